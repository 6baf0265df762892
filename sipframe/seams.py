"""Asking a plug-in: values at once, Deferreds and coroutines in their time, nothing for ever.

Rules: this is the only room below the transport that knows what a Deferred is. An answer that is there already costs
no Deferred, no coroutine and no timer. Every other one has a deadline that the plug-in cannot put off; what comes later
is not looked at. What a plug-in raises reaches ``failed``, never the caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from types import CoroutineType
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sipframe.events import Events
from sipframe.verdicts import Rejected, Unavailable

__all__ = ["Continuation", "Seam", "chained", "field_lines", "refusal_for", "refusal_line", "report"]

_log = Logger()

A = TypeVar("A")

Continuation = Callable[[A, Any], None]


Asked = Callable[..., object]
"""Any method of a seam."""


class _Waiting(Generic[A]):
    """An answer that is not there yet. It goes on once: with the answer, or at its deadline."""

    __slots__ = ("answer", "attempt", "due", "failed", "method", "then")

    def __init__(
        self,
        answer: Deferred[object],
        method: Asked,
        attempt: A,
        then: Continuation[A],
        failed: Callable[[A, Asked, BaseException], None],
    ) -> None:
        self.answer: Deferred[object] | None = answer
        self.due = 0.0
        self.method = method
        self.attempt = attempt
        self.then = then
        self.failed = failed

    def came(self, value: object) -> None:
        if self.answer is not None:
            try:
                self.then(self.attempt, value)
            except Exception as error:
                self.fail(error)
            self.let_go()

    def broke(self, failure: Failure) -> None:
        if self.answer is not None:
            error: BaseException = failure.value or RuntimeError("the plug-in failed")
            if isinstance(error, DeferredTimeout):
                error = Unavailable("a time-out within the plug-in")
            self.fail(error)
            self.let_go()

    def expire(self, reason: str) -> None:
        answer = self.answer
        if answer is not None:
            self.answer = None
            try:
                answer.cancel()
            except Exception:
                _log.failure("{method} cannot be cancelled", method=name_of(self.method))
            self.fail(Unavailable(reason))
            self.let_go()

    def fail(self, error: BaseException) -> None:
        try:
            self.failed(self.attempt, self.method, error)
        except Exception:
            _log.failure("what follows a failure of {method} failed", method=name_of(self.method))

    def let_go(self) -> None:
        # It may stay in the queue behind a slow one; the request must not.
        self.answer = None
        del self.attempt, self.then, self.failed


class Seam:
    """How one core asks its plug-ins.

    ``deadline`` is in seconds; what has not answered by then is cancelled and has failed with
    :class:`~sipframe.verdicts.Unavailable`, whatever it makes of that.
    """

    __slots__ = ("_clock", "_deadline", "_waiting", "_wake")

    def __init__(self, clock: IReactorTime, deadline: float) -> None:
        self._clock = clock
        self._deadline = deadline
        self._waiting: deque[_Waiting[Any]] = deque()  # in the order of their deadlines
        self._wake: IDelayedCall | None = None

    def ask(
        self,
        method: Asked,
        arguments: tuple[object, ...],
        attempt: A,
        then: Continuation[A],
        failed: Callable[[A, Asked, BaseException], None],
    ) -> None:
        """Call ``method``; go on, now or later: ``then(attempt, answer)`` or ``failed(attempt, method, error)``.

        When ``then`` raises, which it does over an answer that is not what it should be, ``failed`` is called as well.
        """
        try:
            answer = method(*arguments)
            if isinstance(answer, CoroutineType):
                answer = Deferred.fromCoroutine(answer)
            if not isinstance(answer, Deferred):
                then(attempt, answer)
                return
        except Exception as error:
            failed(attempt, method, error)
            return
        waiting = _Waiting(answer, method, attempt, then, failed)
        _ = answer.addCallbacks(waiting.came, waiting.broke)
        # A Deferred that was "called" may still wait for another one: only this tells.
        if waiting.answer is not None:
            self._watch(waiting)

    def _watch(self, waiting: _Waiting[Any]) -> None:
        queue = self._waiting
        while queue and queue[0].answer is None:
            _ = queue.popleft()
        waiting.due = self._clock.seconds() + self._deadline
        queue.append(waiting)
        if self._wake is None:
            self._wake = self._clock.callLater(self._deadline, self._sweep)

    def _sweep(self) -> None:
        queue = self._waiting
        now = self._clock.seconds()
        while queue and (queue[0].answer is None or queue[0].due <= now):
            queue.popleft().expire(f"no answer within {self._deadline} s")
        self._wake = self._clock.callLater(queue[0].due - now, self._sweep) if queue else None

    def stop(self) -> None:
        """Give up on every answer that is not there yet, as at its deadline; nothing is left on the clock."""
        queue = self._waiting
        while queue:
            queue.popleft().expire("the server is stopping")  # what follows may ask again
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None


def refusal_for(error: BaseException) -> Rejected:
    """The answer to what a plug-in raised: 503 for what may be better soon, else 500 (RFC 3261 10.3 step 7, 21.5)."""
    if isinstance(error, Unavailable):
        return Rejected(503, "Service Unavailable", (("Retry-After", str(error.retry_after)),))
    return Rejected(500, "Server Internal Error")


def report(events: Events, method: object, error: BaseException) -> None:
    """Tell the log and the events that a plug-in failed, and which."""
    name = name_of(method)
    if isinstance(error, Unavailable):
        _log.warn("{method} is unavailable: {error}", method=name, error=error)
    else:
        _log.error("{method} failed: {error!r}", method=name, error=error, log_failure=Failure(error))
    if events.wanted:
        # What an exception says may hold anything; its kind holds no credential.
        events.publish("sipframe.plugin.failed", plugin=name, error=type(error).__name__)


def refusal_line(verdict: Rejected, highest: int = 699) -> tuple[int, str]:
    """Status and phrase of a plug-in's refusal. Raises TypeError or ValueError when it is none that can be sent."""
    status, reason, _ = verdict
    if type(status) is not int or not 400 <= status <= highest:
        raise ValueError(f"a refusal has a status from 400 to {highest}")
    if "\r" in reason or "\n" in reason:
        raise ValueError("CR or LF in a reason phrase")
    return status, reason


def field_lines(fields: Sequence[tuple[str, str]]) -> str:
    """Header fields as ready lines. Raises ValueError when one would begin another line, TypeError for no fields."""
    lines = [f"{name}: {value}" for name, value in fields]
    for line in lines:
        if "\r" in line or "\n" in line:
            raise ValueError("CR or LF in a header field")
    return "".join([f"{line}\r\n" for line in lines])


def name_of(method: object) -> str:
    """What a plug-in's method is called in logs and events."""
    return str(getattr(method, "__qualname__", method))


def chained(answer: object, then: Callable[[object], object]) -> object:
    """``then`` of what ``answer`` will be: a Deferred when it is a Deferred or coroutine, else the value itself.

    What ``then`` returns may wait as well.
    """
    if isinstance(answer, CoroutineType):
        answer = Deferred.fromCoroutine(answer)
    if isinstance(answer, Deferred):
        return answer.addCallback(lambda value: _awaited(then(value)))
    return then(answer)


def _awaited(answer: object) -> object:
    return Deferred.fromCoroutine(answer) if isinstance(answer, CoroutineType) else answer
