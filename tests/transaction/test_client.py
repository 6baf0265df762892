"""Client transactions at the seam: what a flow and a sender see (RFC 3261 17.1, RFC 6026 7.2)."""

from __future__ import annotations

import pytest

from sipframe.message import Request, parse_message
from sipframe.transaction import TimerSettings, TransactionSettings
from tests.transaction.fakes import World, request, response

# INVITE, RFC 3261 17.1.1


def test_timer_a_doubles_without_a_cap_and_timer_b_ends_it() -> None:
    world = World()
    world.send()
    assert world.happened() == ["send INVITE"]
    assert world.instants("send INVITE", 31.9) == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert world.instants("user.timed_out", 1) == [0.1]
    assert world.left() == 0


def test_over_a_reliable_transport_timer_b_alone_runs() -> None:
    world = World("TLS")
    world.send()
    assert world.instants("send INVITE", 31.9) == []
    assert world.instants("user.timed_out", 1) == [0.1]


def test_t1_scales_everything() -> None:
    world = World(settings=TransactionSettings(TimerSettings(t1=0.1)))
    world.send()
    assert world.instants("send INVITE", 1.6) == [0.1, 0.3, 0.7, 1.5]
    assert world.instants("user.timed_out", 10) == [4.8]


def test_a_provisional_response_ends_the_retransmissions_and_timer_b() -> None:
    world = World()
    transaction = world.send()
    world.clock.advance(0.6)
    world.receive(response(100))
    world.receive(response(180))
    assert world.happened()[-2:] == ["user.response 100", "user.response 180"]
    assert world.instants("send INVITE", 300) == []
    assert (transaction.state, world.left()) == ("Proceeding", 1)


@pytest.mark.parametrize("provisional", [False, True])
def test_a_failure_is_acknowledged_and_passed_up_once(provisional: bool) -> None:
    world = World()
    transaction = world.send()
    if provisional:
        world.receive(response(180))
    world.happened()
    world.receive(response(486))
    assert world.happened() == ["send ACK", "user.response 486"]
    world.receive(response(486))
    world.receive(response(500))
    assert world.happened() == ["send ACK", "send ACK"]
    assert len(set(world.flow.sent[-3:])) == 1
    world.receive(response(180))
    world.receive(response(200))
    assert world.happened() == []
    world.clock.advance(31.9)
    assert transaction.state == "Completed"
    world.clock.advance(0.1)  # timer D
    assert world.left() == 0


def test_timer_d_does_not_follow_t1() -> None:
    world = World(settings=TransactionSettings(TimerSettings(t1=0.1)))
    world.send()
    world.receive(response(486))
    world.clock.advance(31.9)
    assert world.left() == 1
    world.clock.advance(0.1)
    assert world.left() == 0


def test_timer_d_is_zero_over_a_reliable_transport() -> None:
    world = World("TCP")
    world.send()
    world.receive(response(486))
    assert world.happened() == ["send INVITE", "send ACK", "user.response 486"]
    assert (world.left(), world.timers()) == (0, 0)


@pytest.mark.parametrize("transport", ["UDP", "TLS"])
def test_accepted_passes_every_2xx_up_until_timer_m(transport: str) -> None:
    world = World(transport)
    transaction = world.send()
    world.receive(response(180))
    world.happened()
    for tag in ("a", "a", "b"):
        world.receive(response(200, to=f";tag={tag}"))
    assert world.happened() == ["user.response 200"] * 3  # and no ACK: that is the user's
    assert transaction.state == "Accepted"
    world.receive(response(486))
    world.receive(response(180))
    assert world.happened() == []
    world.clock.advance(31.9)
    world.receive(response(200))
    assert world.happened() == ["user.response 200"]
    world.clock.advance(0.1)
    assert world.left() == 0
    world.receive(response(200))
    assert world.happened() == ["tu.stray_response 200"]


def test_the_ack_repeats_what_17_1_1_3_says() -> None:
    world = World()
    world.send()
    world.receive(response(486))
    ack = parse_message(world.flow.sent[-1])
    invite = parse_message(world.flow.sent[0])
    assert isinstance(ack, Request)
    assert (ack.method, ack.uri_text) == ("ACK", "sip:bob@example.com")
    assert [via.text for via in ack.vias] == [invite.via.text]
    assert ack.to.tag == "99sa0xk"
    assert (ack.call_id, ack.first("from")) == (invite.call_id, invite.first("from"))
    assert ack.cseq == (1, "ACK")


def test_a_failure_without_a_readable_to_is_passed_up_but_not_acknowledged() -> None:
    world = World()
    world.send()
    broken = response(486)
    del broken.fields["to"]
    world.receive(broken)
    assert world.happened() == ["send INVITE", "user.response 486"]


# Other methods, RFC 3261 17.1.2


def test_timer_e_doubles_up_to_t2_and_timer_f_ends_it() -> None:
    world = World()
    world.send("OPTIONS")
    times = world.instants("send OPTIONS", 31.9)
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert world.instants("user.timed_out", 1) == [0.1]
    assert world.left() == 0


def test_after_a_provisional_timer_e_is_t2_and_timer_f_goes_on() -> None:
    world = World()
    world.send("OPTIONS")
    assert world.instants("send OPTIONS", 0.6) == [0.5]
    world.receive(response(100, "OPTIONS"))
    assert world.instants("send OPTIONS", 10) == [0.9, 4.9, 8.9]
    assert world.instants("user.timed_out", 30) == [21.4]


def test_over_a_reliable_transport_timer_f_alone_runs() -> None:
    world = World("TLS")
    world.send("OPTIONS")
    assert world.instants("send OPTIONS", 31.9) == []
    assert world.instants("user.timed_out", 1) == [0.1]


@pytest.mark.parametrize("status", [200, 404])
def test_one_final_response_is_passed_up_and_timer_k_absorbs_the_rest(status: int) -> None:
    world = World()
    world.send("OPTIONS")
    for each in (100, status, status, 200, 100):
        world.receive(response(each, "OPTIONS"))
    assert world.happened() == ["send OPTIONS", "user.response 100", f"user.response {status}"]
    assert not world.layer.ignored
    world.clock.advance(4.9)
    assert world.left() == 1
    world.clock.advance(0.1)  # T4
    assert (world.left(), world.timers()) == (0, 0)


def test_timer_k_is_zero_over_a_reliable_transport() -> None:
    world = World("TLS")
    world.send("OPTIONS")
    world.receive(response(200, "OPTIONS"))
    assert (world.left(), world.timers()) == (0, 0)


# Flows that die, RFC 3261 17.1.4


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_lost_flow_ends_its_transactions_at_once(method: str) -> None:
    world = World("TLS")
    world.send(method, "z9hG4bK1")
    world.send(method, "z9hG4bK2")
    world.receive(response(100, method))
    world.happened()
    world.flow.alive = False
    world.layer.flow_lost(world.flow)
    assert world.happened() == ["user.transport_failed", "user.transport_failed"]
    assert world.left() == 0


def test_a_lost_flow_does_not_touch_what_is_accepted() -> None:
    world = World("TLS")
    transaction = world.send()
    world.receive(response(200))
    world.happened()
    world.layer.flow_lost(world.flow)
    assert (world.happened(), transaction.state) == ([], "Accepted")


def test_a_dead_flow_is_reported_after_send_has_returned() -> None:
    world = World("TLS")
    world.flow.alive = False
    transaction = world.send()
    assert world.happened() == []
    world.clock.advance(0)
    assert world.happened() == ["user.transport_failed"]
    assert (transaction.state, world.left(), world.clock.getDelayedCalls()) == ("Terminated", 0, [])


def test_a_dropped_transaction_s_responses_are_strays() -> None:
    world = World()
    transaction = world.send()
    transaction.drop()
    world.happened()
    world.receive(response(200))
    assert world.happened() == ["tu.stray_response 200"]
    assert (world.instants("send INVITE", 40), transaction.answered) == ([], True)


# Matching, RFC 3261 17.1.3


def test_branch_and_cseq_method_match_a_response() -> None:
    world = World()
    world.send("INVITE", "z9hG4bK1")
    world.layer.send(request("CANCEL", "z9hG4bK1").to_bytes(), "CANCEL", "z9hG4bK1", world.flow, world.sender)
    world.happened()
    world.receive(response(200, "CANCEL"))
    assert world.happened() == ["user.response 200"]
    assert world.layer.active() == {("INVITE client", "Calling"): 1, ("non-INVITE client", "Completed"): 1}
    world.receive(response(200, "INVITE", "z9hG4bK2"))
    world.receive(response(200, "BYE", "z9hG4bK1"))
    assert world.happened() == ["tu.stray_response 200"] * 2
    assert world.layer.counts.strays == 2


def test_a_response_that_cannot_be_read_is_counted() -> None:
    world = World()
    world.send()
    broken = response(200)
    broken.fields["cseq"] = ["nonsense"]
    world.receive(broken)
    assert (world.layer.counts.malformed_responses, world.happened()) == (1, ["send INVITE"])


def test_an_ack_has_no_transaction_and_a_branch_is_used_once() -> None:
    world = World()
    world.send("OPTIONS")
    with pytest.raises(ValueError, match="in use"):
        world.send("OPTIONS")
    with pytest.raises(ValueError, match="ACK"):
        world.send("ACK")


def test_what_a_transaction_says_of_itself() -> None:
    transaction = World().send()
    assert (transaction.method, transaction.branch, transaction.answered) == ("INVITE", "z9hG4bK1", False)
    assert repr(transaction) == "<ClientTransaction INVITE Calling>"
