"""The seam: what a plug-in answers goes on once, in time, whatever the plug-in does."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import Clock

from sipframe.events import Event, Events
from sipframe.seams import Seam, chained, field_lines, refusal_for, refusal_line, report
from sipframe.verdicts import Rejected, Unavailable

DEADLINE = 5.0


class Asker:
    """Asks, and keeps what comes: ``("then", attempt, answer)`` or ``("failed", attempt, kind of error)``."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.seam = Seam(self.clock, DEADLINE)
        self.log: list[tuple[object, ...]] = []
        self.errors: list[BaseException] = []

    def then(self, attempt: object, answer: object) -> None:
        self.log.append(("then", attempt, answer))

    def failed(self, attempt: object, method: object, error: BaseException) -> None:
        self.log.append(("failed", attempt, type(error)))
        self.errors.append(error)

    def ask(self, method: Callable[..., object], *arguments: object, attempt: object = 1) -> None:
        self.seam.ask(method, arguments, attempt, self.then, self.failed)


@pytest.fixture
def asker() -> Asker:
    return Asker()


class Broken(Exception):
    pass


async def coroutine(value: object) -> object:
    return await value if isinstance(value, Deferred) else value


def never() -> Deferred[object]:
    return Deferred()


class TestAnswers:
    @pytest.mark.parametrize("value", [None, 0, "x", (), Broken()])
    @pytest.mark.parametrize("way", [lambda value: value, succeed, coroutine])
    def test_what_is_there_goes_on_at_once_and_needs_no_timer(
        self, asker: Asker, value: object, way: Callable[[object], object]
    ) -> None:
        asker.ask(way, value)
        assert asker.log == [("then", 1, value)]
        assert asker.clock.getDelayedCalls() == []

    @pytest.mark.parametrize("way", [lambda one: one, coroutine])
    def test_what_is_not_goes_on_when_it_is(self, asker: Asker, way: Callable[[object], object]) -> None:
        one: Deferred[object] = Deferred()
        asker.ask(way, one)
        asker.clock.advance(DEADLINE - 1)
        assert asker.log == []
        one.callback("x")
        asker.clock.advance(100)
        assert asker.log == [("then", 1, "x")]

    def test_arguments_are_passed_on(self, asker: Asker) -> None:
        asker.ask(lambda *arguments: arguments, 1, "b")
        assert asker.log == [("then", 1, (1, "b"))]


class TestFailures:
    def raises(self) -> object:
        raise Broken

    async def raises_later(self) -> object:
        raise Broken

    def test_what_is_raised_reaches_failed(self, asker: Asker) -> None:
        asker.ask(self.raises)
        asker.ask(self.raises_later)
        asker.ask(lambda: fail(Broken()))
        assert asker.log == [("failed", 1, Broken)] * 3

    def test_wrong_arguments_are_the_plug_ins_failure(self, asker: Asker) -> None:
        asker.ask(lambda: 1, "one too many")
        assert asker.log == [("failed", 1, TypeError)]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_but_not_what_ends_the_process(self, asker: Asker, error: type[BaseException]) -> None:
        def method() -> object:
            raise error

        with pytest.raises(error):
            asker.ask(method)

    def test_a_time_out_of_its_own_is_unavailable(self, asker: Asker) -> None:
        asker.ask(lambda: fail(DeferredTimeout()))
        assert asker.log == [("failed", 1, Unavailable)]

    def test_cancelled_by_the_plug_in_itself(self, asker: Asker) -> None:
        one = never()
        asker.ask(lambda: one)
        one.cancel()
        assert asker.log == [("failed", 1, CancelledError)]

    @pytest.mark.parametrize("way", [lambda value: value, succeed, coroutine])
    def test_an_answer_that_then_cannot_use_has_failed(
        self, asker: Asker, way: Callable[[object], object]
    ) -> None:
        def then(attempt: object, answer: object) -> None:
            raise Broken

        asker.seam.ask(way, ("x",), 1, then, asker.failed)
        assert asker.log == [("failed", 1, Broken)]

    @pytest.mark.parametrize("outcome", ["callback", "errback", "deadline"])
    def test_failed_that_raises_hurts_nobody_else(self, asker: Asker, outcome: str) -> None:
        def broken(attempt: object, *_: object) -> None:
            raise Broken

        one = never()
        asker.seam.ask(lambda: one, (), 1, broken, broken)
        asker.ask(never, attempt=2)
        if outcome == "callback":
            one.callback("x")
        elif outcome == "errback":
            one.errback(Broken())
        asker.clock.advance(DEADLINE)
        assert asker.log == [("failed", 2, Unavailable)]


def answers_when_cancelled(one: Deferred[object]) -> None:
    one.callback("too late")


def fails_when_cancelled(one: Deferred[object]) -> None:
    one.errback(Broken())


def raises_when_cancelled(_: Deferred[object]) -> None:
    raise Broken


async def takes_no_notice() -> object:
    while True:
        try:
            return await never()
        except Exception:
            continue


class TestDeadline:
    @pytest.mark.parametrize(
        "method",
        [
            never,
            lambda: succeed(None).addCallback(lambda _: never()),
            lambda: Deferred(answers_when_cancelled),
            lambda: Deferred(fails_when_cancelled),
            lambda: Deferred(raises_when_cancelled),
            lambda: Deferred(lambda _: None),
            lambda: coroutine(never()),
            takes_no_notice,
        ],
    )
    def test_nothing_puts_it_off(self, asker: Asker, method: Callable[[], object]) -> None:
        asker.ask(method)
        asker.clock.advance(DEADLINE - 0.001)
        assert asker.log == []
        asker.clock.advance(0.002)
        assert asker.log == [("failed", 1, Unavailable)]
        assert str(asker.errors[0]) == "no answer within 5.0 s"
        asker.clock.advance(100)
        assert len(asker.log) == 1

    def test_the_plug_in_is_cancelled(self, asker: Asker) -> None:
        cancelled: list[object] = []
        asker.ask(lambda: Deferred(cancelled.append))
        asker.clock.advance(DEADLINE)
        assert len(cancelled) == 1

    def test_a_coroutine_learns_of_it(self, asker: Asker) -> None:
        ended: list[str] = []

        async def method() -> object:
            try:
                return await never()
            finally:
                ended.append("ended")

        asker.ask(method)
        asker.clock.advance(DEADLINE)
        assert ended == ["ended"]

    @pytest.mark.parametrize("error", [None, Broken()])
    def test_what_comes_later_is_not_looked_at(self, asker: Asker, error: Exception | None) -> None:
        late: Deferred[object] = Deferred()

        async def method() -> object:
            try:
                return await never()
            except CancelledError:
                return await late

        asker.ask(method)
        asker.clock.advance(DEADLINE)
        if error is None:
            late.callback("too late")
        else:
            late.errback(error)
        assert asker.log == [("failed", 1, Unavailable)]

    def test_each_has_its_own(self, asker: Asker) -> None:
        for attempt in range(3):
            asker.ask(never, attempt=attempt)
            asker.clock.advance(1)
        asker.clock.advance(DEADLINE - 3)
        assert [one[1] for one in asker.log] == [0]
        asker.clock.advance(1)
        assert [one[1] for one in asker.log] == [0, 1]
        asker.clock.advance(1)
        assert [one[1] for one in asker.log] == [0, 1, 2]
        assert asker.clock.getDelayedCalls() == []

    def test_one_timer_for_all(self, asker: Asker) -> None:
        for attempt in range(100):
            asker.ask(never, attempt=attempt)
            asker.clock.advance(0.01)
        assert len(asker.clock.getDelayedCalls()) == 1

    def test_whoever_asks_again_at_the_deadline_gets_a_whole_one(self, asker: Asker) -> None:
        def failed(attempt: object, method: object, error: BaseException) -> None:
            asker.log.append(("failed", attempt, type(error)))
            asker.ask(never, attempt="again")

        asker.seam.ask(never, (), 1, asker.then, failed)
        asker.clock.advance(DEADLINE)
        assert len(asker.log) == 1
        asker.clock.advance(DEADLINE - 0.01)
        assert len(asker.log) == 1
        asker.clock.advance(0.02)
        assert asker.log[1:] == [("failed", "again", Unavailable)]

    def test_a_request_that_went_on_is_not_held_by_a_slow_one_before_it(self, asker: Asker) -> None:
        class Attempt:
            pass

        attempt = Attempt()
        gone = weakref.ref(attempt)
        one: Deferred[object] = Deferred()
        asker.ask(never)
        asker.seam.ask(lambda: one, (), attempt, lambda *_: None, asker.failed)
        one.callback("x")
        del attempt
        _ = gc.collect()
        assert gone() is None

    @given(st.lists(st.tuples(st.floats(0, 2), st.one_of(st.none(), st.floats(0, 8))), max_size=20))
    def test_each_goes_on_once_and_in_time(self, arrivals: list[tuple[float, float | None]]) -> None:
        """For any arrivals and any delays of the plug-in: an answer before the deadline, or a failure at it."""
        asker = Asker()
        ends: dict[int, tuple[str, float]] = {}

        def end(attempt: int, outcome: str) -> None:
            assert attempt not in ends
            ends[attempt] = (outcome, asker.clock.seconds())

        begun: dict[int, float] = {}
        for attempt, (pause, delay) in enumerate(arrivals):
            asker.clock.pump([pause / 20] * 20)  # a jump would make an answer and a deadline one moment
            begun[attempt] = asker.clock.seconds()
            one: Deferred[Any] = Deferred()
            if delay is not None:
                _ = asker.clock.callLater(delay, one.callback, None)
            asker.seam.ask(
                lambda one=one: one,
                (),
                attempt,
                lambda attempt, _: end(attempt, "then"),
                lambda attempt, *_: end(attempt, "failed"),
            )
        for _ in range(400):
            asker.clock.advance(0.1)
        assert ends.keys() == begun.keys()
        for attempt, (_, delay) in enumerate(arrivals):
            outcome, at = ends[attempt]
            if outcome == "then":
                assert delay is not None
                assert delay <= DEADLINE + 0.2
            else:
                assert delay is None or delay >= DEADLINE - 0.2
                assert DEADLINE - 0.001 <= at - begun[attempt] <= DEADLINE + 0.2


class TestRefusals:
    def test_what_may_be_better_soon_is_503(self) -> None:
        assert refusal_for(Unavailable("x", 30)) == Rejected(
            503, "Service Unavailable", (("Retry-After", "30"),)
        )

    def test_the_rest_is_500_and_says_nothing(self) -> None:
        assert refusal_for(Broken("a secret")) == Rejected(500, "Server Internal Error")

    @pytest.mark.parametrize("status", [400, 403, 699])
    def test_a_refusal_that_can_be_sent(self, status: int) -> None:
        assert refusal_line(Rejected(status, "No")) == (status, "No")

    @pytest.mark.parametrize(
        "verdict",
        [
            Rejected(200, "OK"),
            Rejected(399, "x"),
            Rejected(700, "x"),
            Rejected(True, "x"),
            Rejected(403.0, "x"),  # type: ignore[arg-type]
            Rejected("403", "x"),  # type: ignore[arg-type]
            Rejected(403, "a\rb"),
            Rejected(403, "a\nb"),
            Rejected(403, None),  # type: ignore[arg-type]
            Rejected(403, 7),  # type: ignore[arg-type]
        ],
    )
    def test_one_that_cannot(self, verdict: Rejected) -> None:
        with pytest.raises((TypeError, ValueError)):
            _ = refusal_line(verdict)

    def test_fields_become_lines(self) -> None:
        assert field_lines([]) == ""
        assert field_lines((("Retry-After", "5"), ("X", "y"))) == "Retry-After: 5\r\nX: y\r\n"

    @pytest.mark.parametrize("fields", [[("X", "a\r\nb")], [("X", "a\nb")], [("X\r", "a")], [("X", "a\r")]])
    def test_none_of_them_begins_another_line(self, fields: list[tuple[str, str]]) -> None:
        with pytest.raises(ValueError):
            _ = field_lines(fields)

    @given(st.lists(st.tuples(st.text(), st.text()), max_size=4))
    def test_there_are_as_many_lines_as_fields(self, fields: list[tuple[str, str]]) -> None:
        try:
            lines = field_lines(fields)
        except ValueError:
            return
        assert lines.count("\r\n") == lines.count("\r") == lines.count("\n") == len(fields)

    def test_a_failure_is_told_by_name_and_kind(self) -> None:
        events = Events()
        found: list[Event] = []
        report(events, Asker.ask, Broken())
        _ = events.subscribe(found.append)
        report(events, Asker.ask, Broken("a secret"))
        report(events, Asker.ask, Unavailable("a secret"))
        assert found == [
            Event("sipframe.plugin.failed", {"plugin": "Asker.ask", "error": "Broken"}),
            Event("sipframe.plugin.failed", {"plugin": "Asker.ask", "error": "Unavailable"}),
        ]


class TestChained:
    """``chained`` lets one plug-in stand on another."""

    def twice(self, value: object) -> object:
        return f"{value}{value}"

    def test_a_value_stays_a_value(self) -> None:
        assert chained("x", self.twice) == "xx"

    @pytest.mark.parametrize("first", [succeed, coroutine])
    @pytest.mark.parametrize("second", [lambda value: value, succeed, coroutine])
    def test_what_waits_may_lead_to_what_waits(
        self, asker: Asker, first: Callable[[object], object], second: Callable[[object], object]
    ) -> None:
        asker.ask(lambda: chained(first("x"), lambda value: second(self.twice(value))))
        assert asker.log == [("then", 1, "xx")]

    def test_a_value_may_lead_to_what_waits(self, asker: Asker) -> None:
        asker.ask(lambda: chained("x", coroutine))
        assert asker.log == [("then", 1, "x")]

    def test_what_either_raises_is_raised(self, asker: Asker) -> None:
        def raises(_: object) -> object:
            raise Broken

        asker.ask(lambda: chained("x", raises))
        asker.ask(lambda: chained(succeed("x"), raises))
        asker.ask(lambda: chained(fail(Broken()), self.twice))
        assert asker.log == [("failed", 1, Broken)] * 3

    def test_the_deadline_holds_for_both(self, asker: Asker) -> None:
        asker.ask(lambda: chained(succeed("x"), lambda _: never()))
        asker.clock.advance(DEADLINE)
        assert asker.log == [("failed", 1, Unavailable)]
