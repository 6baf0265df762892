"""What stands around each method of a plug-in: deadline, bulkhead, circuit breaker, cancellation.

Rules: an answer that is there already costs no Deferred, no coroutine and no timer. Every other one has a deadline that
the plug-in cannot put off. A call holds one of the plug-in's places until its answer, its end after it was cancelled,
or its deadline, whichever is first: so one that takes no notice of being cancelled is bounded as well. Questions wait
for a place in the order in which they came. Each asker gets one outcome, or has abandoned the question and gets none.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from types import CoroutineType
from typing import Any, Final, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sipframe.events import Events
from sipframe.seams.answers import NotAsked
from sipframe.seams.breaker import Breaker
from sipframe.seams.current import Current
from sipframe.seams.inquiry import Inquiry
from sipframe.seams.limits import PluginLimits
from sipframe.verdicts import Accepted, Admitted, Challenge, Rejected, Secret, Snapshot, Terms, Unavailable

__all__ = ["Continuation", "Failed", "Guard", "GuardedMethod", "Question"]

_log = Logger()

A = TypeVar("A", bound=Inquiry)

Continuation = Callable[[A, Any], None]
Failed = Callable[[A, "GuardedMethod", BaseException], None]
WAITING: Final = (Deferred, CoroutineType)
PLAIN: Final = frozenset(
    (bool, str, type(None), Accepted, Admitted, Challenge, Rejected, Secret, Snapshot, Terms)
)  # looked at first: Deferred is an abstract class, and asking for an instance of one takes its time
_UNLIMITED: Final = 1 << 62


class GuardedMethod:
    """One method of a plug-in, and the only way to call it. ``name`` is what it is called in logs and records."""

    __slots__ = ("_breaker", "_current", "_inherited", "_seconds", "guard", "method", "name")

    def __init__(self, guard: Guard, method: Callable[..., object]) -> None:
        self.guard = guard
        self.method = method
        self.name = guard.name
        self._breaker = guard.breaker
        self._current = guard.current
        self._inherited = guard.current.inherited
        self._seconds = guard.seconds

    def ask(
        self, arguments: tuple[object, ...], inquiry: A, then: Continuation[A], failed: Failed[A]
    ) -> None:
        """Call the method; go on, now or later: ``then(inquiry, answer)`` or ``failed(inquiry, self, error)``.

        When ``then`` raises, which it does over an answer that is not what it should be, ``failed`` is called as well.
        """
        inquiry.asked = self
        inquiry.since = self._seconds()
        if self.guard.blocked:
            self.guard.admit(self, arguments, inquiry, then, failed)
            return
        if self._inherited() is not None:
            # Another request's coroutine has led here; what is asked now is not asked for that one.
            self.guard.put(Question(self, arguments, inquiry, then, failed))
            return
        try:
            current = self._current
            before, current.asking = current.asking, inquiry
            try:
                answer = self.method(*arguments)
            finally:
                current.asking = before
            if type(answer) not in PLAIN and isinstance(answer, WAITING):
                with current.of(inquiry):
                    answer = waiting(answer)
                self.guard.hold(Question(self, arguments, inquiry, then, failed), answer)
                return
            if self._breaker.row or self.guard.in_flight:
                self.guard.answered()
            then(inquiry, answer)
        except Exception as error:
            self.guard.raised(inquiry, error)
            failed(inquiry, self, error)

    def call(self, *arguments: object) -> object:
        """Call the method for another plug-in: its answer, or a Deferred of it. Raises what the method raises.

        Cancelling the Deferred abandons the question.
        """
        if not self.guard.blocked:
            try:
                answer = self.method(*arguments)
                if type(answer) in PLAIN or not isinstance(answer, WAITING):
                    if self._breaker.row or self.guard.in_flight:
                        self.guard.answered()
                    return answer
            except Exception as error:
                self.guard.raised(None, error)
                raise
            return self._later(arguments, waiting(answer))
        return self._later(arguments, None)

    def _later(self, arguments: tuple[object, ...], answer: Deferred[object] | None) -> Deferred[object]:
        result: Deferred[object] = Deferred(lambda _: inquiry.abandon())
        inquiry = Inquiry([])

        def then(_: Inquiry, value: object) -> None:
            result.callback(value)

        def failed(_: Inquiry, method: GuardedMethod, error: BaseException) -> None:
            result.errback(error)

        if answer is None:
            self.guard.admit(self, arguments, inquiry, then, failed)
        else:
            self.guard.hold(Question(self, arguments, inquiry, then, failed), answer)
        return result


def waiting(answer: Any) -> Deferred[object]:
    """A Deferred or coroutine as a Deferred."""
    return Deferred.fromCoroutine(answer) if isinstance(answer, CoroutineType) else answer


class Question(Generic[A]):
    """A question that was not answered at once."""

    __slots__ = (
        "answer",
        "answers_before",
        "arguments",
        "asked",
        "due",
        "failed",
        "holds_place",
        "inquiry",
        "open",
        "probing",
        "then",
    )

    def __init__(
        self,
        asked: GuardedMethod,
        arguments: tuple[object, ...],
        inquiry: A,
        then: Continuation[A],
        failed: Failed[A],
    ) -> None:
        self.asked = asked
        self.arguments = arguments
        self.inquiry = inquiry
        self.then = then
        self.failed = failed
        self.answer: Deferred[object] | None = None
        self.answers_before = 0
        """How many answers the plug-in had given when this was asked."""
        self.due = 0.0
        self.open = True
        """Whether the asker still waits for an outcome."""
        self.holds_place = False
        self.probing = False

    def came(self, value: object) -> None:
        if not self.holds_place:
            return  # too late
        guard = self.asked.guard
        guard.leave(self)
        if self.open:
            guard.answered()
            self.succeed(value)
        guard.next_in_queue()

    def broke(self, failure: Failure) -> None:
        if not self.holds_place:
            return
        guard = self.asked.guard
        guard.leave(self)
        if self.open:
            error: BaseException = failure.value or RuntimeError("the plug-in failed")
            if isinstance(error, DeferredTimeout):
                error = Unavailable("a time-out within the plug-in")
            guard.raised(self.inquiry, error, self.answers_before)
            self.fail(error)
        guard.next_in_queue()

    def expire(self, error: Unavailable) -> None:
        """The deadline: whoever asked has waited long enough, and the plug-in has held its place long enough."""
        guard, answer = self.asked.guard, self.answer
        guard.leave(self)
        if self.open:
            if answer is not None:
                self.cancel(answer)
                guard.raised(self.inquiry, error, self.answers_before)
            self.fail(error)
        guard.next_in_queue()

    def abandon(self) -> None:
        """Whoever asked is gone."""
        if not self.open:
            return
        self.open = False
        self.inquiry.question = None
        self.let_go()
        guard, answer = self.asked.guard, self.answer
        if answer is None:
            guard.leave(self)
        else:
            self.cancel(answer)  # what heeds it gives its place back now, the rest at its deadline
        if self.probing:
            self.probing = False
            guard.breaker.try_another()

    def succeed(self, value: object) -> None:
        inquiry = self.inquiry
        self.open = False
        inquiry.question = None
        try:
            self.then(inquiry, value)
        except Exception as error:
            self._failed(error)
        self.let_go()

    def fail(self, error: BaseException) -> None:
        self.open = False
        self.inquiry.question = None
        self._failed(error)
        self.let_go()

    def _failed(self, error: BaseException) -> None:
        try:
            self.failed(self.inquiry, self.asked, error)
        except Exception:
            _log.failure("what follows a failure of {method} failed", method=self.asked.name)

    def cancel(self, answer: Deferred[object]) -> None:
        try:
            answer.cancel()
        except Exception:
            _log.failure("{method} cannot be cancelled", method=self.asked.name)

    def let_go(self) -> None:
        # It may stay among the deadlines behind a slow one; the request must not.
        del self.inquiry, self.then, self.failed, self.arguments


class Guard:
    """Around one method of ``plug_in``. ``name`` is what the method is called in logs, events and records.

    ``blocked`` is True when a question cannot simply be asked: it is the one thing that the fast path looks at.
    """

    def __init__(
        self,
        plug_in: object,
        name: str,
        limits: PluginLimits,
        clock: IReactorTime,
        events: Events,
        current: Current,
    ) -> None:
        self.plug_in = plug_in
        self.name = name
        self.limits = limits
        self.breaker = Breaker(limits.failures, limits.open_for)
        self.current = current
        self.seconds: Callable[[], float] = clock.seconds
        self.blocked = False
        self.in_flight = 0
        """Calls whose answers are not there yet."""
        self._most = limits.in_flight or _UNLIMITED
        self._clock = clock
        self._events = events
        self._queue: OrderedDict[Question[Any], None] = OrderedDict()
        self._waiting: deque[Question[Any]] = deque()  # in the order of their deadlines
        self._wake: IDelayedCall | None = None
        self._asking = False
        self._full = False
        self._stopped = False

    @property
    def queued(self) -> int:
        """Questions that wait for a place."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Whether nothing waits for this plug-in."""
        return not (self.in_flight or self._queue)

    # What asking needs when it does not simply work.

    def admit(
        self,
        asked: GuardedMethod,
        arguments: tuple[object, ...],
        inquiry: A,
        then: Continuation[A],
        failed: Failed[A],
    ) -> None:
        """Let a question wait for a place, or try an open breaker; or say at once that it has failed."""
        breaker = self.breaker
        if self._stopped:
            failed(inquiry, asked, NotAsked("the server is stopping"))
        elif breaker.closed:
            if len(self._queue) >= self.limits.queue:
                self._say_full()
                failed(inquiry, asked, NotAsked("too many questions wait already"))
                return
            question = Question(asked, arguments, inquiry, then, failed)
            self._queue[question] = None
            self._watch(question)
        elif self.in_flight < self._most and breaker.lets_through(self.seconds()):
            question = Question(asked, arguments, inquiry, then, failed)
            question.probing = True
            self.put(question)
        else:
            failed(inquiry, asked, self._left_alone())

    def _left_alone(self) -> NotAsked:
        after = max(1, math.ceil(self.breaker.retry_at - self.seconds()))
        return NotAsked(f"left alone after {self.breaker.row} failures in a row", after)

    def _say_full(self) -> None:
        if not self._full:
            self._full = True  # until the queue has been empty
            _log.warn(
                "{plugin}: {calls} calls in flight and {queued} questions waiting; more are answered 503",
                plugin=self.name,
                calls=self.in_flight,
                queued=len(self._queue),
            )

    def put(self, question: Question[Any]) -> None:
        """Put a question that has waited, or that tries an open breaker."""
        try:
            with self.current.of(question.inquiry):
                answer = question.asked.method(*question.arguments)
                if isinstance(answer, WAITING):
                    answer = waiting(answer)
        except Exception as error:
            if question.open:
                self.raised(question.inquiry, error)
                question.fail(error)
            return
        if not question.open:
            # What the plug-in did has ended the request that it was asked about.
            if isinstance(answer, Deferred):
                _ = answer.addErrback(lambda _: None)
                question.cancel(answer)
        elif isinstance(answer, Deferred):
            self.hold(question, answer)
        else:
            self.answered()
            question.succeed(answer)

    def hold(self, question: Question[Any], answer: Deferred[object]) -> None:
        """Wait for an answer."""
        question.answer = answer
        question.answers_before = self.breaker.answers
        question.holds_place = True
        self.in_flight += 1
        self._look()
        _ = answer.addCallbacks(question.came, question.broke)
        # A Deferred that was "called" may still wait for another one: only this tells.
        if question.open and question.holds_place:
            self._watch(question)

    def leave(self, question: Question[Any]) -> None:
        """Take a question's place back."""
        if question.holds_place:
            question.holds_place = False
            self.in_flight -= 1
        else:
            _ = self._queue.pop(question, None)
        self._look()

    def next_in_queue(self) -> None:
        """Give the places that are free to those who wait for one; send them away when the breaker is open."""
        if self._asking:
            return  # from within the loop below
        self._asking = True
        try:
            while self._queue and not self._stopped:
                if not self.breaker.closed:
                    question, _ = self._queue.popitem(last=False)
                    question.fail(self._left_alone())
                elif self.in_flight < self._most:
                    question, _ = self._queue.popitem(last=False)
                    self.put(question)
                else:
                    break
        finally:
            self._asking = False
            self._look()

    def _look(self) -> None:
        self.blocked = bool(
            self._stopped or self._queue or self.in_flight >= self._most or not self.breaker.closed
        )
        if not self._queue:
            self._full = False

    # The breaker.

    def answered(self) -> None:
        """The plug-in has answered."""
        if self.breaker.answered():
            self._look()
            _log.info("{plugin} answers again", plugin=self.name)
            if self._events.wanted:
                self._events.publish("sipframe.plugin.closed", plugin=self.name)

    def raised(
        self, inquiry: Inquiry | None, error: BaseException, answers_before: int | None = None
    ) -> None:
        """The plug-in has failed, or somebody else whom it asked.

        It had given ``answers_before`` answers when it was asked; None stands for as many as by now.
        """
        breaker = self.breaker
        counts = isinstance(error, Unavailable) and not isinstance(error, NotAsked)
        if not counts or (inquiry is not None and error is inquiry.told):
            if breaker.probing:
                self.answered()
            return
        if answers_before is not None and answers_before != breaker.answers:
            return  # it has answered others meanwhile
        if self._stopped or not breaker.missed(self.seconds()):
            return
        self._look()
        _log.warn(
            "{plugin} has failed {count} times in a row and is left alone for {seconds} s",
            plugin=self.name,
            count=breaker.row,
            seconds=breaker.open_for,
        )
        if self._events.wanted:
            self._events.publish(
                "sipframe.plugin.opened", plugin=self.name, failures=breaker.row, seconds=breaker.open_for
            )

    # Deadlines.

    def _watch(self, question: Question[Any]) -> None:
        question.inquiry.question = question
        queue = self._waiting
        while queue and not (queue[0].open or queue[0].holds_place):
            _ = queue.popleft()
        deadline = self.limits.deadline
        if not question.due:
            question.due = self.seconds() + deadline
            if queue and queue[-1].due > question.due:
                self._set_back(question.due)
            queue.append(question)
        if self._wake is None:
            self._wake = self._clock.callLater(deadline, self._sweep)

    def _set_back(self, due: float) -> None:
        """The clock shows less than before: nobody's deadline is later than ``due`` for that."""
        for question in self._waiting:
            question.due = min(question.due, due)
        if self._wake is not None and self._wake.active():
            self._wake.reset(self.limits.deadline)

    def _sweep(self) -> None:
        queue = self._waiting
        now = self.seconds()
        # Whoever waited for a place until now gets none: its time is up as well.
        self._asking = True
        try:
            while queue and (not (queue[0].open or queue[0].holds_place) or queue[0].due <= now):
                self._expire(queue.popleft(), f"within {self.limits.deadline} s")
        finally:
            self._asking = False
        self.next_in_queue()
        # Not ``now``: what was expired may have taken its time, and nobody behind it has any more for that.
        left = max(0.0, queue[0].due - self.seconds()) if queue else 0.0
        self._wake = self._clock.callLater(left, self._sweep) if queue else None

    def _expire(self, question: Question[Any], why: str) -> None:
        if question.answer is None:
            question.expire(NotAsked(f"no place {why}"))
        else:
            question.expire(Unavailable(f"no answer {why}"))

    def refuse_all(self) -> None:
        """From now on nothing is asked."""
        self._stopped = True
        self._look()

    def stop(self) -> None:
        """Give up on every answer that is not there yet, as at its deadline; nothing is left on the clock."""
        self.refuse_all()
        queue = self._waiting
        while queue:
            self._expire(queue.popleft(), "before the server stopped")
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
