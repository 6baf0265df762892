"""Server transactions at the seam: what a flow and a core see (RFC 3261 17.2, RFC 6026, RFC 4320)."""

from __future__ import annotations

import pytest

from sipframe.transaction import ServerTransaction, TimerSettings, TransactionSettings
from tests.transaction.fakes import World, answer, request


def respond(transaction: ServerTransaction, status: int) -> None:
    """Answer, and again and again if the test asks: the request may be let go by then."""
    transaction.respond(status, b"SIP/2.0 %d Whatever\r\n\r\n" % status)


# INVITE, RFC 3261 17.2.1


def test_an_invite_gets_its_100_after_200_ms() -> None:
    world = World()
    world.begin(request("INVITE"))
    assert world.happened() == ["tu.request INVITE"]
    assert world.instants("respond 100", 10) == [0.2]


def test_the_100_has_no_to_tag_and_the_request_s_via() -> None:
    world = World()
    world.begin(request("INVITE"))
    world.clock.advance(0.2)
    assert b"To: <sip:bob@example.com>\r\n" in world.flow.sent[0]
    assert b"branch=z9hG4bK1" in world.flow.sent[0]


@pytest.mark.parametrize("status", [180, 200, 486])
def test_no_100_when_the_core_answers_in_time(status: int) -> None:
    world = World("TLS")
    transaction = world.begin(request("INVITE"))
    world.clock.advance(0.1)
    respond(transaction, status)
    assert world.instants("respond 100", 10) == []


def test_no_timer_at_all_when_the_core_answers_at_once() -> None:
    world = World("TLS")
    world.core.answer_with = lambda transaction: respond(transaction, 200)
    world.begin(request("OPTIONS"))
    assert world.clock.getDelayedCalls() == []


def test_a_retransmitted_invite_gets_the_last_provisional_again() -> None:
    world = World()
    transaction = world.begin(request("INVITE"))
    world.receive(request("INVITE"))
    assert world.happened() == ["tu.request INVITE"]  # nothing to send again yet
    respond(transaction, 180)
    respond(transaction, 183)
    world.receive(request("INVITE"))
    assert world.happened() == ["respond 180", "respond 183", "respond 183"]


def test_timer_g_and_timer_h_over_udp() -> None:
    world = World()
    transaction = world.begin(request("INVITE"))
    respond(transaction, 486)
    times = world.instants("respond 486", 31.9)
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert world.instants("tu.timed_out", 1) == [0.1]
    assert world.left() == 0


def test_no_timer_g_over_a_reliable_transport_but_timer_h() -> None:
    world = World("TCP")
    respond(world.begin(request("INVITE")), 486)
    assert world.instants("respond 486", 31.9) == []
    assert world.instants("tu.timed_out", 1) == [0.1]


def test_an_ack_ends_the_retransmissions_and_timer_i_absorbs_more() -> None:
    world = World()
    transaction = world.begin(request("INVITE"))
    respond(transaction, 486)
    world.clock.advance(0.6)
    world.receive(request("ACK", to_tag="ours"))
    assert transaction.state == "Confirmed"
    assert world.instants("respond 486", 4.9) == []
    world.receive(request("ACK", to_tag="ours"))
    assert world.happened() == []
    world.clock.advance(0.1)  # T4
    assert world.left() == 0
    world.receive(request("ACK", to_tag="ours"))
    assert world.happened() == ["tu.ack"]


def test_timer_i_is_zero_over_a_reliable_transport() -> None:
    world = World("TLS")
    respond(world.begin(request("INVITE")), 486)
    world.receive(request("ACK", to_tag="ours"))
    assert (world.left(), world.timers()) == (0, 0)


def test_a_retransmitted_invite_gets_the_final_answer_again() -> None:
    world = World()
    respond(world.begin(request("INVITE")), 486)
    world.happened()
    world.receive(request("INVITE"))
    assert world.happened() == ["respond 486"]


# Accepted, RFC 6026


@pytest.mark.parametrize("transport", ["UDP", "TLS"])
def test_accepted_absorbs_the_invite_and_passes_acks_and_2xx_until_timer_l(transport: str) -> None:
    world = World(transport)
    transaction = world.begin(request("INVITE"))
    respond(transaction, 200)
    assert transaction.state == "Accepted"
    world.happened()
    world.receive(request("INVITE"))
    assert world.happened() == []  # the UAS core sends its 2xx again, not the transaction
    respond(transaction, 200)
    respond(transaction, 202)
    assert world.happened() == ["respond 200", "respond 202"]
    world.receive(request("ACK", to_tag="ours"))
    world.receive(request("ACK", to_tag="ours"))
    assert world.happened() == ["tu.ack", "tu.ack"]
    respond(transaction, 486)
    respond(transaction, 180)
    assert world.instants("respond 200", 31.9) == []
    assert transaction.state == "Accepted"
    world.clock.advance(0.1)
    assert (transaction.state, world.left()) == ("Terminated", 0)
    respond(transaction, 200)
    assert world.happened() == []


def test_a_transport_error_leaves_the_invite_transaction_where_it_is() -> None:
    world = World("TCP")
    transaction = world.begin(request("INVITE"))
    world.flow.alive = False
    world.layer.flow_lost(world.flow)
    respond(transaction, 200)
    assert world.happened() == ["tu.request INVITE", "tu.transport_failed"]
    assert transaction.state == "Accepted"
    world.receive(request("INVITE"))
    assert world.happened() == []


# Other methods, RFC 3261 17.2.2


def test_the_answer_is_kept_for_timer_j_over_udp() -> None:
    world = World()
    respond(world.begin(request()), 200)
    world.clock.advance(31.9)
    world.happened()
    world.receive(request())
    assert world.happened() == ["respond 200"]
    world.clock.advance(0.1)
    assert world.left() == 0
    world.receive(request())
    assert world.happened() == ["tu.request OPTIONS"]


def test_the_answer_is_the_end_over_a_reliable_transport() -> None:
    world = World("TLS")
    respond(world.begin(request()), 200)
    assert (world.left(), world.timers()) == (0, 0)
    assert world.happened() == ["tu.request OPTIONS", "respond 200"]


def test_a_retransmission_that_comes_before_the_answer_is_discarded() -> None:
    world = World()
    world.begin(request())
    world.receive(request())
    assert world.happened() == ["tu.request OPTIONS"]
    assert world.layer.counts.retransmissions == 1


def test_a_second_final_answer_is_discarded() -> None:
    world = World()
    transaction = world.begin(request())
    for status in (200, 500, 408, 100):
        respond(transaction, status)
    world.receive(request())
    assert world.happened() == ["tu.request OPTIONS", "respond 200", "respond 200"]


def test_the_request_is_let_go_with_the_answer() -> None:
    world = World()
    transaction = world.begin(request())
    assert (transaction.answered, transaction.request.method) == (False, "OPTIONS")
    respond(transaction, 200)
    assert (transaction.answered, transaction.method) == (True, "OPTIONS")
    with pytest.raises(RuntimeError, match="let go"):
        _ = transaction.request


# RFC 4320


@pytest.mark.parametrize("transport", ["UDP", "TLS"])
def test_a_slow_answer_begins_with_a_100_when_timer_e_would_be_at_t2(transport: str) -> None:
    world = World(transport)
    transaction = world.begin(request())
    assert world.instants("respond 100", 30) == [3.5]
    assert transaction.state == "Proceeding"
    if transport == "UDP":
        world.receive(request())
        assert world.happened() == ["respond 100"]


def test_the_late_100_follows_t1_and_t2() -> None:
    settings = TransactionSettings(TimerSettings(t1=0.1, t2=0.8))
    world = World(settings=settings)
    world.begin(request())
    assert world.instants("respond 100", 5) == [0.7]


def test_other_methods_get_no_408_and_end_in_silence() -> None:
    world = World()
    transaction = world.begin(request())
    respond(transaction, 408)
    assert world.happened() == ["tu.request OPTIONS"]
    assert (transaction.answered, world.left()) == (True, 0)


def test_other_methods_get_no_1xx_but_100_and_that_not_early_over_udp() -> None:
    world = World()
    transaction = world.begin(request())
    respond(transaction, 180)
    respond(transaction, 100)
    assert world.happened() == ["tu.request OPTIONS"]
    world.clock.advance(3.5)
    respond(transaction, 183)
    respond(transaction, 100)
    assert world.happened() == ["respond 100", "respond 100"]


def test_other_methods_may_get_a_100_over_a_reliable_transport_at_any_time() -> None:
    world = World("TLS")
    transaction = world.begin(request())
    respond(transaction, 100)
    assert world.happened() == ["tu.request OPTIONS", "respond 100"]
    assert world.instants("respond 100", 10) == []


# Without state, RFC 3261 8.2.7


@pytest.mark.parametrize("transport", ["UDP", "TLS"])
@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_a_stateless_answer_leaves_nothing(method: str, transport: str) -> None:
    world = World(transport)
    transaction = world.begin(request(method))
    transaction.respond_stateless(401, answer(401, request(method)))
    assert world.happened() == [f"tu.request {method}", "respond 401"]
    assert (world.left(), world.timers()) == (0, 0)
    world.receive(request(method))
    assert world.happened() == [f"tu.request {method}"]


def test_the_ack_for_a_stateless_answer_comes_to_the_core() -> None:
    world = World()
    world.begin(request("INVITE")).respond_stateless(401, answer(401, request("INVITE")))
    world.happened()
    world.receive(request("ACK", to_tag="ours"))
    assert world.happened() == ["tu.ack"]


def test_who_has_sent_a_provisional_is_not_stateless() -> None:
    world = World()
    transaction = world.begin(request("INVITE"))
    respond(transaction, 180)
    transaction.respond_stateless(486, answer(486, request("INVITE")))
    assert transaction.state == "Completed"


def test_a_stateless_answer_after_the_answer_is_not_sent() -> None:
    world = World()
    transaction = world.begin(request())
    respond(transaction, 200)
    transaction.respond_stateless(401, b"SIP/2.0 401 No\r\n\r\n")
    assert world.happened() == ["tu.request OPTIONS", "respond 200"]
    assert transaction.state == "Completed"


def test_a_dropped_transaction_sends_nothing_and_leaves_nothing() -> None:
    world = World()
    transaction = world.begin(request("INVITE"))
    transaction.drop()
    respond(transaction, 200)
    assert world.instants("respond 100", 10) == []
    assert (world.left(), transaction.state, transaction.answered) == (0, "Terminated", True)


# The mark, RFC 3261 8.2.2.2


def test_the_end_of_a_marked_transaction_is_reported_once() -> None:
    world = World()
    transaction = world.begin(request())
    transaction.mark = ("987asjd97y7atg", 1, "88sja8x")
    respond(transaction, 200)
    assert world.instants("tu.terminated ('987asjd97y7atg', 1, '88sja8x')", 40) == [32.0]
    transaction.drop()
    assert world.happened() == []


def test_the_end_of_one_without_a_mark_is_not_reported() -> None:
    world = World()
    world.begin(request()).drop()
    assert world.happened() == ["tu.request OPTIONS"]


def test_repr_says_method_and_state() -> None:
    assert repr(World().begin(request())) == "<ServerTransaction OPTIONS Trying>"
