"""What is matched to what: RFC 3261 17.2.3 and 9.2, RFC 6026 6."""

from __future__ import annotations

import pytest

from sipframe.message import MessageError, Request
from sipframe.transaction.matching import Rfc2543Key, server_key
from tests.transaction.fakes import World, answer, request


def key(message: Request) -> object:
    return server_key(message, message.via)


def test_branch_sent_by_and_method_tell_transactions_apart() -> None:
    same = key(request("OPTIONS", "z9hG4bK1"))
    assert same == key(request("OPTIONS", "z9hG4bK1", sent_by="CLIENT.example.com", via_params=";rport"))
    others = [
        request("OPTIONS", "z9hG4bK2"),
        request("OPTIONS", "z9hG4bK1", sent_by="other.example.com"),
        request("OPTIONS", "z9hG4bK1", sent_by="client.example.com:5070"),
        request("REGISTER", "z9hG4bK1"),
    ]
    assert len({same, *(key(other) for other in others)}) == 5


def test_equal_branches_of_different_clients_are_different_transactions() -> None:
    world = World()
    world.receive(request(sent_by="one.example.com"))
    world.receive(request(sent_by="two.example.com"))
    assert world.happened() == ["tu.request OPTIONS"] * 2


def test_a_merged_request_is_a_transaction_of_its_own() -> None:
    """RFC 3261 8.2.2.2: the same Call-ID, CSeq and From tag by another path have another branch."""
    world = World()
    world.receive(request(branch="z9hG4bK1"))
    world.receive(request(branch="z9hG4bK2"))
    assert world.happened() == ["tu.request OPTIONS"] * 2


@pytest.mark.parametrize("status", [180, 486])
def test_an_ack_is_matched_to_its_invite(status: int) -> None:
    world = World()
    world.begin(request("INVITE")).respond(status, answer(status, request("INVITE")))
    world.happened()
    world.receive(request("ACK", to_tag="ours"))
    assert world.happened() == []
    assert world.layer.counts.retransmissions == 1


def test_an_ack_with_another_branch_goes_to_the_core() -> None:
    world = World()
    world.begin(request("INVITE")).respond(200, answer(200, request("INVITE")))
    world.happened()
    world.receive(request("ACK", "z9hG4bKother", to_tag="ours"))
    assert world.happened() == ["tu.ack"]


# CANCEL, RFC 3261 9.2


def test_a_cancel_is_answered_and_the_core_is_told() -> None:
    world = World()
    world.begin(request("INVITE"))
    world.receive(request("CANCEL"))
    assert world.happened() == ["tu.request INVITE", "respond 200", "tu.cancelled INVITE"]
    assert world.layer.active() == {
        ("INVITE server", "Proceeding"): 1,
        ("non-INVITE server", "Completed"): 1,
    }
    world.receive(request("CANCEL"))
    assert world.happened() == ["respond 200"]


def test_the_core_may_answer_the_invite_when_it_is_told() -> None:
    world = World("TLS")
    transaction = world.begin(request("INVITE"))
    world.core.cancelled = (  # type: ignore[method-assign]
        lambda transaction, cancel: transaction.respond(487, answer(487, transaction.request))
    )
    world.receive(request("CANCEL"))
    assert world.happened() == ["tu.request INVITE", "respond 200", "respond 487"]
    assert transaction.state == "Completed"


@pytest.mark.parametrize("status", [200, 486])
def test_a_cancel_after_the_final_answer_changes_nothing(status: int) -> None:
    world = World()
    transaction = world.begin(request("INVITE"))
    transaction.respond(status, answer(status, request("INVITE")))
    world.happened()
    world.receive(request("CANCEL"))
    assert world.happened() == ["respond 200"]
    assert transaction.state in ("Accepted", "Completed")


def test_a_cancel_of_another_method_is_answered_and_changes_nothing() -> None:
    world = World()
    world.begin(request("REGISTER"))
    world.receive(request("CANCEL"))
    assert world.happened() == ["tu.request REGISTER", "respond 200"]


@pytest.mark.parametrize("branch", ["z9hG4bK2", None])
def test_a_cancel_that_matches_nothing_is_the_core_s_to_answer(branch: str | None) -> None:
    world = World()
    world.begin(request("INVITE"))
    world.receive(request("CANCEL", branch))
    assert world.happened() == ["tu.request INVITE", "tu.request CANCEL"]


def test_a_cancel_from_another_sent_by_matches_nothing() -> None:
    world = World()
    world.begin(request("INVITE"))
    world.receive(request("CANCEL", sent_by="elsewhere.example.com"))
    assert world.happened() == ["tu.request INVITE", "tu.request CANCEL"]


# RFC 2543 peers

OLD_BRANCHES = [None, "1", "z9hG4bK", "Z9HG4BK77ef"]


@pytest.mark.parametrize("branch", OLD_BRANCHES)
def test_without_a_branch_of_rfc_3261_the_old_rules_match(branch: str | None) -> None:
    assert isinstance(key(request(branch=branch)), Rfc2543Key)
    world = World()
    world.receive(request("INVITE", branch))
    world.receive(request("INVITE", branch))
    assert world.happened() == ["tu.request INVITE"]
    others = [
        request("INVITE", branch, cseq=2),
        request("INVITE", branch, to_tag="x"),
        request("INVITE", branch, sent_by="other.example.com"),
        request("OPTIONS", branch),
    ]
    for other in others:
        world.receive(other)
    assert len(world.happened()) == 4


@pytest.mark.parametrize("branch", OLD_BRANCHES)
def test_an_old_ack_needs_the_to_tag_of_the_response(branch: str | None) -> None:
    world = World()
    transaction = world.begin(request("INVITE", branch))
    transaction.respond(486, answer(486, request("INVITE", branch), "ours"))
    world.happened()
    world.receive(request("ACK", branch, to_tag="another"))
    assert (world.happened(), transaction.state) == (["tu.ack"], "Completed")
    world.receive(request("ACK", branch, to_tag="ours"))
    assert (world.happened(), transaction.state) == ([], "Confirmed")
    world.receive(request("ACK", branch, to_tag="ours"))
    assert world.happened() == []
    world.clock.advance(5)
    world.receive(request("ACK", branch, to_tag="ours"))
    assert world.happened() == ["tu.ack"]
    assert not world.layer._acks


@pytest.mark.parametrize("to_tag", [None, "dialog"])
def test_an_old_ack_for_a_2xx_goes_to_the_core(to_tag: str | None) -> None:
    """RFC 6026 6: matched or not, an ACK of an RFC 2543 peer is not absorbed in Accepted."""
    world = World()
    invite = request("INVITE", None, to_tag=to_tag)
    transaction = world.begin(invite)
    transaction.respond(200, answer(200, invite, "ours"))
    world.happened()
    world.receive(request("ACK", None, to_tag=to_tag or "ours"))
    assert (world.happened(), transaction.state) == (["tu.ack"], "Accepted")


def test_an_old_ack_inside_a_dialog_has_the_tag_of_its_invite() -> None:
    world = World()
    invite = request("INVITE", None, to_tag="dialog")
    transaction = world.begin(invite)
    transaction.respond(486, answer(486, invite, "ours"))
    world.receive(request("ACK", None, to_tag="dialog"))
    assert transaction.state == "Confirmed"


def test_an_old_cancel_is_matched() -> None:
    world = World()
    world.begin(request("INVITE", None))
    world.receive(request("CANCEL", None))
    assert world.happened() == ["tu.request INVITE", "respond 200", "tu.cancelled INVITE"]


def test_an_answer_that_nobody_could_acknowledge_ends_by_timer_h() -> None:
    world = World()
    world.begin(request("INVITE", None)).respond(486, b"SIP/2.0 486 Busy Here\r\n\r\n")
    assert world.instants("tu.timed_out", 40) == [32.0]


@pytest.mark.parametrize("field", ["via", "call-id", "from", "to", "cseq"])
def test_what_cannot_be_matched_is_an_error_and_changes_nothing(field: str) -> None:
    world = World()
    broken = request("INVITE", None)
    del broken.fields[field]
    with pytest.raises(MessageError):
        world.receive(broken)
    assert (world.left(), world.happened()) == (0, [])
