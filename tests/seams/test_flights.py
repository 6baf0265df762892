"""Single-flight: one look-up for all who ask the same, and nobody's leaving hurts the others."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from sipframe.decisions import Detail
from sipframe.seams import Inquiry, NotAsked, SingleFlight
from sipframe.verdicts import Unavailable
from tests.seams.asking import World


def check(answer: object) -> tuple[str, Detail]:
    if not isinstance(answer, str):
        raise TypeError("no text")
    return "str", answer.upper()


class Lookups:
    """Several who ask one plug-in; ``outcomes`` is what came to each, in order."""

    def __init__(self, **limits: Any) -> None:
        self.world = World(**limits)
        self.plug_in = self.world.plug_in
        self.flight = SingleFlight(self.world.seam, self.plug_in, "ask", check)
        self.inquiries: list[Inquiry] = []
        self.waiters: list[Deferred[object]] = []
        self.outcomes: list[tuple[int, object]] = []

    def ask(self, number: int = 7) -> object:
        """Ask for a new inquiry; what waits is kept."""
        inquiry = Inquiry([])
        index = len(self.inquiries)
        self.inquiries.append(inquiry)
        with self.world.seam.current.of(inquiry):
            answer = self.flight.call(number)
        if isinstance(answer, Deferred):
            self.waiters.append(answer)

            def came(value: object) -> None:
                kind = value.type if isinstance(value, Failure) else value
                self.outcomes.append((index, kind))

            _ = answer.addBoth(came)
        return answer

    def steps(self) -> list[list[tuple[str, str, Detail]]]:
        return [[step[:3] for step in one.steps] for one in self.inquiries]


@pytest.fixture
def lookups() -> Lookups:
    return Lookups()


def test_all_who_ask_the_same_get_one_answer(lookups: Lookups) -> None:
    for _ in range(3):
        _ = lookups.ask()
    assert (lookups.plug_in.asked, lookups.outcomes) == ([7], [])
    lookups.plug_in.give(7, "x")
    assert lookups.outcomes == [(0, "x"), (1, "x"), (2, "x")]
    assert lookups.steps() == [[("PlugIn.ask", "str", "X")]] * 3
    assert (lookups.flight.waiting, lookups.world.guard.in_flight) == (0, 0)


def test_each_is_noted_the_time_that_it_took_itself(lookups: Lookups) -> None:
    for _ in range(3):
        _ = lookups.ask()
        lookups.world.clock.advance(1)
    lookups.plug_in.give(7, "x")
    assert [one.steps[0][3] for one in lookups.inquiries] == [3, 2, 1]


def test_the_next_one_after_the_answer_asks_again(lookups: Lookups) -> None:
    _ = lookups.ask()
    lookups.plug_in.give(7, "x")
    _ = lookups.ask()
    assert lookups.plug_in.asked == [7, 7]


def test_who_asks_something_else_does_not_share(lookups: Lookups) -> None:
    _ = lookups.ask(7), lookups.ask(8)
    assert lookups.plug_in.asked == [7, 8]


def test_what_is_answered_at_once_is_a_value(lookups: Lookups) -> None:
    lookups.plug_in.answer = lambda number: "x"
    assert lookups.ask() == "x"
    assert lookups.steps() == [[("PlugIn.ask", "str", "X")]]
    assert lookups.world.clock.getDelayedCalls() == []


def test_outside_any_request_nothing_is_noted(lookups: Lookups) -> None:
    lookups.plug_in.answer = lambda number: "x"
    assert lookups.flight.call(1) == "x"


class TestLeaving:
    def test_one_does_not_end_it_for_the_others(self, lookups: Lookups) -> None:
        for _ in range(3):
            _ = lookups.ask()
        for index in (0, 2):
            lookups.waiters[index].cancel()
        assert lookups.plug_in.cancelled == []
        lookups.plug_in.give(7, "x")
        assert lookups.outcomes == [(0, CancelledError), (2, CancelledError), (1, "x")]

    def test_the_last_one_does(self, lookups: Lookups) -> None:
        for _ in range(2):
            _ = lookups.ask()
        for one in lookups.waiters:
            one.cancel()
        assert (lookups.plug_in.cancelled, lookups.world.guard.in_flight) == ([7], 0)
        assert (lookups.flight.waiting, lookups.world.happened) == (0, [])
        _ = lookups.ask()
        assert lookups.plug_in.asked == [7, 7]

    def test_one_who_leaves_because_of_anothers_answer(self, lookups: Lookups) -> None:
        for _ in range(3):
            _ = lookups.ask()
        _ = lookups.waiters[0].addCallback(lambda _: lookups.waiters[1].cancel())
        lookups.plug_in.give(7, "x")
        assert lookups.outcomes == [(0, "x"), (1, CancelledError), (2, "x")]
        assert lookups.flight.waiting == 0


class TestFailing:
    def test_a_failure_is_everybodys_and_told_once(self, lookups: Lookups) -> None:
        for _ in range(3):
            _ = lookups.ask()
        error = Unavailable("the directory is gone")
        lookups.plug_in.fail(7, error)
        assert lookups.outcomes == [(number, Unavailable) for number in range(3)]
        assert lookups.steps() == [[("PlugIn.ask", "Unavailable", "the directory is gone")]] * 3
        assert [one.told for one in lookups.inquiries] == [error] * 3
        assert [one.fields for one in lookups.world.happened] == [
            {"plugin": "PlugIn.ask", "error": "Unavailable"}
        ]

    def test_what_is_raised_is_raised(self, lookups: Lookups) -> None:
        def raises(_: int) -> object:
            raise LookupError("a secret")

        lookups.plug_in.answer = raises
        with pytest.raises(LookupError):
            _ = lookups.ask()
        assert lookups.steps() == [[("PlugIn.ask", "LookupError", "")]]
        assert lookups.world.names() == ["sipframe.plugin.failed"]

    @pytest.mark.parametrize("later", [False, True])
    def test_nonsense_is_the_failure_of_who_gave_it(self, lookups: Lookups, later: bool) -> None:
        if later:
            _ = lookups.ask()
            lookups.plug_in.give(7, 5)
            assert lookups.outcomes == [(0, TypeError)]
        else:
            lookups.plug_in.answer = lambda number: 5
            with pytest.raises(TypeError):
                _ = lookups.ask()
        assert lookups.world.names() == ["sipframe.plugin.failed"]
        assert lookups.steps() == [[("PlugIn.ask", "TypeError", "")]]

    def test_the_deadline_is_that_of_the_one_call(self) -> None:
        lookups = Lookups(deadline=5.0)
        _ = lookups.ask()
        lookups.world.clock.advance(3)
        _ = lookups.ask()
        lookups.world.clock.advance(2)
        assert lookups.outcomes == [(0, Unavailable), (1, Unavailable)]
        assert lookups.world.guard.breaker.row == 1

    def test_no_more_may_wait_for_the_same_than_in_the_queue(self) -> None:
        lookups = Lookups(queue=2)
        for _ in range(3):
            _ = lookups.ask()
        with pytest.raises(NotAsked):
            _ = lookups.ask()
        lookups.plug_in.give(7, "x")
        assert [one[1] for one in lookups.outcomes] == ["x"] * 3

    def test_an_open_breaker_is_no_failure_to_tell(self) -> None:
        lookups = Lookups(failures=1)
        _ = lookups.ask()
        lookups.plug_in.fail(7, Unavailable("gone"))
        _ = lookups.ask()
        assert lookups.outcomes[1] == (1, NotAsked)
        assert lookups.world.names() == ["sipframe.plugin.failed", "sipframe.plugin.opened"] or (
            lookups.world.names() == ["sipframe.plugin.opened", "sipframe.plugin.failed"]
        )
        assert lookups.steps()[1] == [("PlugIn.ask", "NotAsked", "left alone after 1 failures in a row")]
