"""The guard: a plug-in is asked no more than it may be, is left alone when it fails, and nobody waits for nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import Clock

from sipframe.events import Event
from sipframe.seams import NotAsked, PluginLimits, Seam, refusal_for
from sipframe.verdicts import Unavailable
from tests.seams.asking import Asked, PlugIn, World


class Broken(Exception):
    pass


def raises(_: int) -> object:
    raise Broken


def unavailable(_: int) -> object:
    raise Unavailable("not now")


async def at_once(_: int) -> object:
    return "x"


class TestBulkhead:
    def test_no_more_calls_than_places(self) -> None:
        world = World(in_flight=2, queue=3)
        world.ask(4)
        assert (world.plug_in.asked, world.guard.in_flight, world.guard.queued) == ([0, 1], 2, 2)
        world.plug_in.give(1)
        assert (world.plug_in.asked, world.guard.queued) == ([0, 1, 2], 1)
        world.plug_in.give(0)
        world.plug_in.give(2)
        world.plug_in.give(3)
        assert world.kinds() == ["x"] * 4
        assert (world.plug_in.most, world.guard.in_flight) == (2, 0)
        world.clock.advance(100)
        assert world.clock.getDelayedCalls() == []

    def test_the_first_in_the_queue_is_the_first_to_go(self) -> None:
        world = World(in_flight=1)
        world.ask(3)
        world.plug_in.give(0)
        world.ask()
        world.plug_in.give(1)
        world.plug_in.give(2)
        assert world.plug_in.asked == [0, 1, 2, 3]

    def test_a_full_queue_is_503_at_once(self) -> None:
        world = World(in_flight=1, queue=2)
        world.ask(4)
        assert world.kinds() == [None, None, None, NotAsked]
        (error,) = world.questions[3].outcomes
        assert isinstance(error, NotAsked)
        assert refusal_for(error) == (503, "Service Unavailable", (("Retry-After", "5"),))
        assert world.happened == []  # it was not asked, so it has not failed

    @pytest.mark.parametrize("answer", [lambda _: "x", at_once, succeed])
    def test_what_answers_at_once_takes_no_place(self, answer: Any) -> None:
        world = World(in_flight=1, queue=0)
        world.plug_in.answer = answer
        world.ask(10)
        assert world.clock.getDelayedCalls() == []
        assert (world.guard.in_flight, world.guard.blocked, len(world.kinds())) == (0, False, 10)

    def test_those_who_waited_may_be_answered_at_once(self) -> None:
        world = World(in_flight=1)
        world.ask(1500)
        world.plug_in.answer = lambda number: number
        world.plug_in.give(0)
        assert world.kinds() == ["x", *range(1, 1500)]

    def test_waiting_for_a_place_counts_for_the_deadline(self) -> None:
        world = World(in_flight=1, deadline=5.0)
        world.ask()
        world.clock.advance(2)
        world.ask()
        world.clock.advance(1)
        world.plug_in.give(0)
        assert world.plug_in.asked == [0, 1]
        world.clock.advance(3.9)
        assert world.kinds() == ["x", None]
        world.clock.advance(0.2)
        assert world.kinds() == ["x", Unavailable]

    def test_who_got_no_place_in_time_was_not_asked(self) -> None:
        world = World(in_flight=1, deadline=5.0, failures=0)
        world.ask(3)
        world.clock.advance(5)
        # The place that the first one leaves comes too late for the others.
        assert (world.kinds(), world.plug_in.asked) == ([Unavailable, NotAsked, NotAsked], [0])
        assert (world.guard.idle, world.clock.getDelayedCalls()) == (True, [])

    def test_none_at_all_means_any_number(self) -> None:
        world = World(in_flight=0)
        world.ask(5000)
        assert len(world.plug_in.asked) == 5000


class TestClock:
    def test_a_clock_that_is_set_back_puts_off_no_deadline(self) -> None:
        world = World(deadline=5, failures=0)
        world.ask()
        world.clock.advance(1)
        world.clock.rightNow -= 900
        world.ask()
        world.clock.advance(5)
        assert world.kinds() == [Unavailable, Unavailable]
        world.ask()
        world.clock.advance(5)
        assert world.kinds()[2:] == [Unavailable]
        assert (world.guard.idle, world.clock.getDelayedCalls()) == (True, [])


class TestAbandoned:
    @pytest.mark.parametrize("then", [lambda _: "x", raises, unavailable, at_once, lambda _: Deferred()])
    def test_by_what_the_plug_in_does_when_it_is_asked(self, then: Any) -> None:
        world = World(in_flight=1, failures=1)
        world.ask(3)

        def ends_its_request(number: int) -> object:
            if number != 1:
                return "x"
            world.questions[1].abandon()
            return then(number)

        world.plug_in.answer = ends_its_request
        world.plug_in.give(0)
        assert world.kinds() == ["x", None, "x"]
        world.clock.advance(100)
        assert (world.guard.idle, world.clock.getDelayedCalls()) == (True, [])

    def test_a_call_is_cancelled_and_its_place_is_free(self) -> None:
        world = World(in_flight=1)
        world.ask(2)
        world.questions[0].abandon()
        assert (world.plug_in.cancelled, world.plug_in.asked) == ([0], [0, 1])
        world.plug_in.give(1)
        world.clock.advance(100)
        assert world.kinds() == [None, "x"]
        assert world.happened == []

    def test_who_waits_for_a_place_is_never_asked(self) -> None:
        world = World(in_flight=1)
        world.ask(3)
        world.questions[1].abandon()
        world.plug_in.give(0)
        assert world.plug_in.asked == [0, 2]
        assert world.kinds() == ["x", None, None]

    def test_a_coroutine_learns_of_it(self) -> None:
        ended: list[int] = []

        async def answer(number: int) -> object:
            try:
                return await Deferred()
            finally:
                ended.append(number)

        world = World()
        world.plug_in.answer = answer
        world.ask().abandon()
        assert (ended, world.guard.in_flight) == ([0], 0)

    def test_a_call_that_takes_no_notice_holds_its_place_until_its_deadline(self) -> None:
        world = World(in_flight=1, deadline=5.0)
        late: list[Deferred[object]] = []

        async def obstinate(_: int) -> object:
            while True:
                late.append(Deferred())
                try:
                    return await late[-1]
                except Exception:
                    continue

        world.plug_in.answer = obstinate
        world.ask().abandon()
        world.plug_in.answer = lambda _: "x"
        world.ask()
        assert (world.kinds(), world.guard.in_flight) == ([None, None], 1)
        world.clock.advance(5)
        assert (world.kinds(), world.guard.in_flight) == ([None, NotAsked], 0)
        world.ask()
        assert world.kinds() == [None, NotAsked, "x"]
        late[-1].callback("too late")
        assert (world.questions[0].outcomes, world.guard.in_flight) == ([], 0)

    def test_a_canceller_that_raises_hurts_nobody(self) -> None:
        def broken(_: Deferred[object]) -> None:
            raise Broken

        world = World()
        world.plug_in.answer = lambda _: Deferred(broken)
        world.ask().abandon()
        world.clock.advance(5)
        assert (world.kinds(), world.guard.in_flight) == ([None], 0)

    def test_twice_is_as_good_as_once_and_after_the_end_it_is_nothing(self) -> None:
        world = World()
        asked = world.ask()
        asked.abandon()
        asked.abandon()
        world.ask()
        world.plug_in.give(1)
        world.questions[1].abandon()
        assert (world.kinds(), world.plug_in.cancelled) == ([None, "x"], [0])


class TestBreaker:
    def opened(self, **limits: Any) -> World:
        world = World(**{"failures": 3, "open_for": 10.0, **limits})
        world.plug_in.answer = unavailable
        world.ask(3)
        world.plug_in.answer = world.plug_in.wait
        return world

    @pytest.mark.parametrize(
        "answer",
        [
            unavailable,
            lambda _: fail(Unavailable("not now")),
            lambda _: fail(DeferredTimeout()),
            lambda _: Deferred(),
        ],
    )
    def test_so_many_failures_in_a_row_open_it(self, answer: Any) -> None:
        world = World(failures=3, open_for=10.0, deadline=5.0)
        world.plug_in.answer = answer
        for _ in range(5):
            world.ask()
            world.clock.advance(5)
        assert world.plug_in.asked in (
            [0, 1, 2],
            [0, 1, 2, 4],
        )  # the last one may have come after ten seconds
        assert world.kinds()[:4] == [Unavailable, Unavailable, Unavailable, NotAsked]
        assert world.happened == [
            Event("sipframe.plugin.opened", {"plugin": "PlugIn.ask", "failures": 3, "seconds": 10.0})
        ]

    @pytest.mark.parametrize("answer", [raises, lambda _: fail(Broken())])
    def test_a_bug_does_not(self, answer: Any) -> None:
        """Anybody's request may set one off; it must not shut out the others."""
        world = World(failures=3)
        world.plug_in.answer = answer
        world.ask(100)
        assert world.kinds() == [Broken] * 100
        assert world.happened == []

    def test_an_answer_ends_the_row(self) -> None:
        world = World(failures=3)
        for _ in range(5):
            world.plug_in.answer = unavailable
            world.ask(2)
            world.plug_in.answer = lambda _: "x"
            world.ask()
        assert NotAsked not in world.kinds()

    def test_a_late_answer_ends_it_as_well(self) -> None:
        world = World(failures=3)
        world.ask()
        world.plug_in.answer = unavailable
        world.ask(2)
        world.plug_in.give(0)
        world.ask(2)
        assert world.guard.breaker.closed

    @pytest.mark.parametrize("way", [lambda _: "x", lambda _: succeed("x")])
    def test_who_hang_together_while_others_are_answered_do_not_open_it(self, way: Any) -> None:
        world = World(failures=3, deadline=5.0)
        world.ask(4)
        world.clock.advance(2)
        world.plug_in.answer = way
        world.ask()
        world.clock.advance(3)
        assert world.kinds() == [*[Unavailable] * 4, "x"]
        assert world.guard.breaker.closed
        world.plug_in.answer = world.plug_in.wait
        world.ask(3)
        world.clock.advance(5)
        assert not world.guard.breaker.closed

    def test_open_it_asks_nobody_and_says_when_to_come_again(self) -> None:
        world = self.opened()
        world.clock.advance(2.5)
        asked = world.ask()
        assert world.plug_in.asked == [0, 1, 2]
        (error,) = asked.outcomes
        assert isinstance(error, NotAsked)
        assert (str(error), error.retry_after) == ("left alone after 3 failures in a row", 8)

    def test_after_a_time_one_tries(self) -> None:
        world = self.opened()
        world.clock.advance(10)
        world.ask(3)
        assert world.plug_in.asked == [0, 1, 2, 3]
        assert world.kinds()[3:] == [None, NotAsked, NotAsked]
        world.plug_in.give(3)
        world.ask(2)
        assert world.plug_in.asked == [0, 1, 2, 3, 6, 7]
        assert world.happened[-1] == Event("sipframe.plugin.closed", {"plugin": "PlugIn.ask"})

    def test_one_that_answers_at_once_will_do(self) -> None:
        world = self.opened()
        world.clock.advance(10)
        world.plug_in.answer = lambda _: "x"
        world.ask(2)
        assert (world.kinds()[3:], world.guard.blocked) == (["x", "x"], False)

    @pytest.mark.parametrize("answer", [unavailable, lambda _: Deferred()])
    def test_one_more_failure_opens_it_again(self, answer: Any) -> None:
        world = self.opened(deadline=5.0)
        world.clock.advance(10)
        world.plug_in.answer = answer
        world.ask()
        world.clock.advance(5)
        world.ask()
        world.clock.advance(4)
        assert world.kinds()[3:] == [Unavailable, NotAsked]
        assert world.names() == ["sipframe.plugin.opened"]  # it never was closed
        world.clock.advance(6)
        world.ask()
        assert world.plug_in.asked[-1] == 5

    def test_a_bug_is_an_answer_to_the_one_that_tries(self) -> None:
        world = self.opened()
        world.clock.advance(10)
        world.plug_in.answer = raises
        world.ask()
        assert world.names() == ["sipframe.plugin.opened", "sipframe.plugin.closed"]

    def test_when_the_one_that_tries_is_gone_another_one_may(self) -> None:
        world = self.opened()
        world.clock.advance(10)
        world.ask().abandon()
        world.ask()
        assert world.plug_in.asked == [0, 1, 2, 3, 4]
        world.plug_in.give(4)
        assert world.guard.breaker.closed

    def test_who_waits_for_a_place_is_sent_away_when_it_opens(self) -> None:
        world = World(failures=2, in_flight=2)
        world.ask(5)
        world.plug_in.fail(0, Unavailable("not now"))
        world.plug_in.fail(1, Unavailable("not now"))
        assert world.kinds() == [Unavailable, Unavailable, None, NotAsked, NotAsked]
        assert (world.guard.queued, world.guard.in_flight) == (0, 1)

    def test_none_at_all_means_never(self) -> None:
        world = World(failures=0)
        world.plug_in.answer = unavailable
        world.ask(100)
        assert world.kinds() == [Unavailable] * 100

    def test_a_failure_of_somebody_else_whom_it_asked_is_not_its_own(self) -> None:
        world = World(failures=3)

        def answer(_: int) -> object:
            error = Unavailable("another plug-in")
            asked = world.seam.current.get()
            assert asked is world.questions[-1]
            asked.told = error
            raise error

        world.plug_in.answer = answer
        world.ask(10)
        assert world.guard.breaker.closed


class TestStop:
    def test_nothing_is_asked_any_more_and_nothing_is_left(self) -> None:
        world = World(in_flight=2, failures=2)
        world.ask(4)
        world.seam.stop()
        world.ask()
        assert world.kinds() == [Unavailable, Unavailable, NotAsked, NotAsked, NotAsked]
        assert (world.plug_in.asked, world.plug_in.cancelled) == ([0, 1], [0, 1])
        assert world.clock.getDelayedCalls() == []
        assert world.happened == []  # a stop is no failure of the plug-in

    def test_nor_of_a_plug_in_that_nobody_has_asked_before(self) -> None:
        world = World()
        world.seam.stop()
        other = PlugIn()
        asked = Asked(0)
        world.seam.method(other, "ask").ask((0,), asked, world.then, world.failed)
        assert (other.asked, [type(one) for one in asked.outcomes]) == ([], [NotAsked])

    def test_what_follows_a_failure_asks_in_vain(self) -> None:
        """The next one in turn asks as soon as the one before it has failed."""
        world = World()
        other = world.seam.method(PlugIn(), "ask")

        def failed(asked: Asked, *_: object) -> None:
            other.ask((1,), asked, world.then, world.failed)

        world.method.ask((0,), Asked(0), world.then, failed)
        world.seam.stop()
        assert world.clock.getDelayedCalls() == []


class TestGuards:
    def test_a_plug_in_has_one_whoever_asks(self) -> None:
        world = World()
        assert world.seam.guard(world.plug_in, "ask") is world.guard
        assert world.seam.guard(PlugIn(), "ask") is not world.guard

    def test_and_each_of_its_methods_has_its_own(self) -> None:
        world = World(in_flight=1, failures=1)
        other = world.seam.method(world.plug_in, "wait")
        world.ask(2)
        asked = Asked(5)
        other.ask((5,), asked, world.then, world.failed)
        assert (world.plug_in.asked, sorted(world.plug_in.waiting)) == ([0], [0, 5])
        world.plug_in.fail(0, Unavailable("not now"))
        world.plug_in.give(5)
        assert asked.outcomes == ["x"]

    def test_a_guard_ends_with_those_who_ask_through_it(self) -> None:
        world = World()
        before = len(world.seam.guards())
        method = world.seam.method(PlugIn(), "ask")
        assert len(world.seam.guards()) == before + 1
        del method
        assert len(world.seam.guards()) == before

    def test_one_may_have_limits_of_its_own(self) -> None:
        world = World()
        plug_in = PlugIn()
        guard = world.seam.guard(plug_in, "ask", PluginLimits(in_flight=1))
        assert world.seam.guard(plug_in, "ask").limits.in_flight == guard.limits.in_flight == 1

    def test_it_is_called_by_its_class(self) -> None:
        class Mine(PlugIn):
            pass

        assert World().seam.method(Mine(), "ask").name == "Mine.ask"

    @pytest.mark.parametrize(
        "limits",
        [
            {"deadline": 0},
            {"deadline": -1},
            {"in_flight": -1},
            {"queue": -1},
            {"failures": -1},
            {"open_for": 0},
        ],
    )
    def test_limits_are_numbers_that_make_sense(self, limits: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(limits))):
            _ = PluginLimits(**limits)


class TestCalls:
    """One plug-in calls another: a value at once, or a Deferred."""

    def test_a_value_is_a_value(self) -> None:
        world = World()
        world.plug_in.answer = lambda _: "x"
        assert world.method.call(1) == "x"

    def test_what_is_raised_is_raised(self) -> None:
        world = World(failures=2)
        world.plug_in.answer = unavailable
        for _ in range(2):
            with pytest.raises(Unavailable):
                world.method.call(1)
        result = world.method.call(1)
        assert isinstance(result, Deferred)
        found: list[object] = []
        _ = result.addErrback(lambda failure: found.append(failure.type))
        assert found == [NotAsked]

    def test_what_waits_has_its_deadline(self) -> None:
        world = World(deadline=5.0)
        result = world.method.call(1)
        assert isinstance(result, Deferred)
        found: list[object] = []
        _ = result.addErrback(lambda failure: found.append(failure.type))
        world.clock.advance(5)
        assert (found, world.plug_in.cancelled) == ([Unavailable], [1])

    def test_who_cancels_it_abandons_it(self) -> None:
        world = World(in_flight=1)
        first, second = world.method.call(1), world.method.call(2)
        assert isinstance(first, Deferred)
        assert isinstance(second, Deferred)
        for one in (second, first):
            _ = one.addErrback(lambda _: None)
            one.cancel()
        assert (world.plug_in.asked, world.plug_in.cancelled, world.guard.idle) == ([1], [1], True)


class Machine(RuleBasedStateMachine):
    """Anything may happen in any order; what must always hold is in the invariants."""

    LIMITS = PluginLimits(deadline=5.0, in_flight=3, queue=4, failures=3, open_for=7.0)

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.seam = Seam(self.clock, self.LIMITS)
        self.plug_in = Scripted()
        self.method = self.seam.method(self.plug_in, "ask")
        self.begun: dict[int, float] = {}
        self.asked: dict[int, Asked] = {}
        self.abandoned: set[int] = set()

    @rule(way=st.sampled_from(["wait", "wait", "wait", "value", "bug", "unavailable", "obstinate", "again"]))
    def ask(self, way: str) -> None:
        number = len(self.asked)
        asked = self.asked[number] = Asked(number)
        self.begun[number] = self.clock.seconds()
        self.plug_in.ways[number] = way
        self.method.ask((number,), asked, self.then, self.failed)

    def then(self, asked: Asked, answer: object) -> None:
        asked.outcomes.append(answer)
        if self.plug_in.ways[asked.number] == "again":
            self.ask("wait")

    def failed(self, asked: Asked, method: object, error: BaseException) -> None:
        asked.outcomes.append(error)

    @precondition(lambda self: self.plug_in.waiting)
    @rule(data=st.data(), outcome=st.sampled_from(["value", "bug", "unavailable"]))
    def answer(self, data: st.DataObject, outcome: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.plug_in.waiting)))
        one = self.plug_in.waiting.pop(number)
        if outcome == "value":
            one.callback("x")
        else:
            one.errback(Broken() if outcome == "bug" else Unavailable("not now"))

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.asked)))
        if not self.asked[number].outcomes:
            self.abandoned.add(number)
        self.asked[number].abandon()

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.5, 5.0, 7.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def no_more_in_flight_than_places(self) -> None:
        guard = self.method.guard
        assert 0 <= guard.in_flight <= self.LIMITS.in_flight
        assert guard.queued <= self.LIMITS.queue
        assert self.plug_in.heeding() <= guard.in_flight

    @invariant()
    def one_outcome_or_abandoned_and_in_time(self) -> None:
        for number, asked in self.asked.items():
            assert len(asked.outcomes) <= (number not in self.abandoned)
            if not asked.outcomes and number not in self.abandoned:
                assert self.clock.seconds() < self.begun[number] + self.LIMITS.deadline
                assert asked.question is not None

    def teardown(self) -> None:
        for _ in range(3):  # what has been waited for may ask again
            self.clock.advance(self.LIMITS.deadline)
        for number, asked in self.asked.items():
            assert len(asked.outcomes) == (number not in self.abandoned)
        assert self.method.guard.idle
        assert self.clock.getDelayedCalls() == []


class Scripted:
    """Answers each question in the way that was chosen for it."""

    def __init__(self) -> None:
        self.ways: dict[int, str] = {}
        self.waiting: dict[int, Deferred[Any]] = {}
        self.ignoring: set[int] = set()

    def heeding(self) -> int:
        return len(self.waiting.keys() - self.ignoring)

    def ask(self, number: int) -> object:
        way = self.ways[number]
        if way in ("value", "again"):
            return "x"
        if way == "bug":
            raise Broken
        if way == "unavailable":
            raise Unavailable("not now")
        if way == "obstinate":
            self.ignoring.add(number)
            return self.obstinate(number)

        def cancel(_: Deferred[Any]) -> None:
            del self.waiting[number]

        one = self.waiting[number] = Deferred(cancel)
        return one

    async def obstinate(self, number: int) -> object:
        while True:
            one = self.waiting[number] = Deferred()
            try:
                return await one
            except Unavailable:
                raise
            except Exception:
                continue


TestAnythingMayHappen = Machine.TestCase
TestAnythingMayHappen.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
