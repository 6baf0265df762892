"""The layer as a whole: order, limits, counts, stopping."""

from __future__ import annotations

import pytest

from sipframe.transaction import ServerTransaction, TransactionSettings
from tests.transaction.fakes import World, answer, request, response


def answered(transaction: ServerTransaction) -> None:
    transaction.respond(200, answer(200, transaction.request))


def test_the_transaction_is_in_the_matching_before_the_core_hears_of_it() -> None:
    world = World()
    once: list[ServerTransaction] = []

    def again(transaction: ServerTransaction) -> None:
        once.append(transaction)
        world.receive(request())

    world.core.answer_with = again
    world.receive(request())
    assert (len(once), world.happened()) == (1, ["tu.request OPTIONS"])


def test_a_core_that_raises_leaves_no_transaction_that_never_ends() -> None:
    world = World()

    def broken(transaction: ServerTransaction) -> None:
        raise ZeroDivisionError

    world.core.answer_with = broken
    with pytest.raises(ZeroDivisionError):
        world.receive(request())
    assert (world.left(), world.timers()) == (0, 0)


def test_a_core_that_raises_after_its_answer_keeps_the_answer() -> None:
    world = World()

    def broken(transaction: ServerTransaction) -> None:
        answered(transaction)
        raise ZeroDivisionError

    world.core.answer_with = broken
    with pytest.raises(ZeroDivisionError):
        world.receive(request())
    world.receive(request())
    assert world.happened()[1:] == ["respond 200", "respond 200"]


def small(limit: int = 2) -> World:
    return World(settings=TransactionSettings(max_server_transactions=limit))


def test_above_the_limit_answered_transactions_go_first_the_oldest_first() -> None:
    world = small()
    world.core.answer_with = answered
    for number in range(3):
        world.receive(request(branch=f"z9hG4bK{number}"))
    assert (world.left(), world.layer.counts.let_go, world.layer.counts.refused) == (2, 1, 0)
    world.happened()
    world.receive(request(branch="z9hG4bK2"))
    world.receive(request(branch="z9hG4bK1"))
    assert world.happened() == ["respond 200"] * 2
    world.receive(request(branch="z9hG4bK0"))
    assert world.happened() == ["tu.request OPTIONS", "respond 200"]


def test_when_all_have_work_to_do_new_requests_are_refused() -> None:
    world = small()
    world.begin(request("INVITE", "z9hG4bK0")).respond(486, answer(486, request("INVITE")))
    world.receive(request("OPTIONS", "z9hG4bK1"))
    world.happened()
    world.receive(request("OPTIONS", "z9hG4bK2"))
    assert world.happened() == ["tu.refused OPTIONS"]
    assert (world.left(), world.layer.counts.refused) == (2, 1)
    world.receive(request("OPTIONS", "z9hG4bK1"))  # what is there goes on
    world.receive(request("ACK", "z9hG4bK0"))
    assert world.happened() == []


def test_a_cancel_that_matches_is_never_refused() -> None:
    world = small(1)
    world.begin(request("INVITE"))
    world.receive(request("CANCEL", "z9hG4bKother"))
    world.receive(request("CANCEL"))
    assert world.happened() == [
        "tu.request INVITE",
        "tu.refused CANCEL",
        "respond 200",
        "tu.cancelled INVITE",
    ]


def test_cancels_above_the_limit_make_no_room_for_others() -> None:
    world = small(1)
    world.begin(request("INVITE"))
    world.receive(request("CANCEL"))
    world.receive(request("OPTIONS"))
    assert world.happened()[-1] == "tu.refused OPTIONS"
    assert world.left() == 1


def test_active_counts_by_machine_and_state_and_unanswered_what_is_waited_for() -> None:
    world = World()
    world.begin(request("INVITE", "z9hG4bK1")).respond(180, answer(180, request("INVITE")))
    world.begin(request("INVITE", "z9hG4bK2")).respond(200, answer(200, request("INVITE")))
    world.begin(request("OPTIONS", "z9hG4bK3"))
    world.begin(request("OPTIONS", "z9hG4bK4")).respond(200, answer(200, request("OPTIONS")))
    world.send("INVITE", "z9hG4bK5")
    world.send("OPTIONS", "z9hG4bK6")
    world.receive(response(200, "OPTIONS", "z9hG4bK6"))
    assert world.layer.active() == {
        ("INVITE server", "Proceeding"): 1,
        ("INVITE server", "Accepted"): 1,
        ("non-INVITE server", "Trying"): 1,
        ("non-INVITE server", "Completed"): 1,
        ("INVITE client", "Calling"): 1,
        ("non-INVITE client", "Completed"): 1,
    }
    assert world.layer.unanswered() == 3


def test_counts() -> None:
    world = World()
    world.core.answer_with = answered
    world.receive(request())
    world.receive(request())
    world.send("OPTIONS", "z9hG4bK5")
    world.receive(response(200, "OPTIONS", "z9hG4bK5"))
    world.receive(response(200, "OPTIONS", "z9hG4bK6"))
    counts = world.layer.counts
    assert (counts.requests, counts.retransmissions) == (1, 1)
    assert (counts.sent, counts.responses, counts.strays) == (1, 1, 1)


def test_stop_says_how_many_are_left_and_no_timer_fires_any_more() -> None:
    world = World()
    world.begin(request("INVITE", "z9hG4bK1"))
    world.send("INVITE", "z9hG4bK2")
    assert world.layer.stop() == 2
    assert world.clock.getDelayedCalls() == []
    world.happened()
    world.begin(request("INVITE", "z9hG4bK3"))
    world.clock.advance(100)
    assert world.happened() == ["tu.request INVITE"]


def test_stop_with_nothing_left() -> None:
    assert World().layer.stop() == 0


def test_an_unreliable_and_a_reliable_flow_in_one_layer() -> None:
    world = World("TLS")
    world.core.answer_with = answered
    world.receive(request(branch="z9hG4bK1"))
    world.flow.transport = "UDP"
    world.receive(request(branch="z9hG4bK2"))
    assert world.left() == 1


def test_a_limit_below_one_is_a_mistake() -> None:
    with pytest.raises(ValueError):
        TransactionSettings(max_server_transactions=0)
