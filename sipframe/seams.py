"""Asking a plug-in: values at once, Deferreds and coroutines in their time, nothing for ever.

Rules: this is the only room below the transport that knows what a Deferred is. An answer that is there already costs
no Deferred, no coroutine and no timer. Every other one has a deadline. What a plug-in raises reaches ``failed``,
never the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from sipframe.verdicts import Rejected, Unavailable

__all__ = ["Continuation", "Seam", "chained", "refusal_for"]

A = TypeVar("A")

Continuation = Callable[[A, Any], None]


Asked = Callable[..., object]
"""Any method of a seam."""


class Seam:
    """How one core asks its plug-ins.

    ``deadline`` is in seconds; what has not answered by then is cancelled and has failed with
    :class:`~sipframe.verdicts.Unavailable`.
    """

    __slots__ = ("_clock", "_deadline")

    def __init__(self, clock: IReactorTime, deadline: float) -> None:
        self._clock = clock
        self._deadline = deadline

    def ask(
        self,
        method: Asked,
        arguments: tuple[object, ...],
        attempt: A,
        then: Continuation[A],
        failed: Callable[[A, Asked, BaseException], None],
    ) -> None:
        """Call ``method``; go on, now or later: ``then(attempt, answer)`` or ``failed(attempt, method, error)``."""
        try:
            answer = method(*arguments)
        except Exception as error:
            failed(attempt, method, error)
            return
        if isinstance(answer, CoroutineType):
            answer = Deferred.fromCoroutine(answer)
        if not isinstance(answer, Deferred):
            then(attempt, answer)
            return
        if not answer.called:
            _ = answer.addTimeout(self._deadline, self._clock)

        def went_wrong(failure: Failure) -> None:
            if failure.check(DeferredTimeout):
                error: BaseException = Unavailable(f"no answer within {self._deadline} s")
            else:
                error = failure.value or RuntimeError("the plug-in failed")
            failed(attempt, method, error)

        _ = answer.addCallbacks(lambda value: then(attempt, value), went_wrong)


def refusal_for(error: BaseException) -> Rejected:
    """The answer to what a plug-in raised: 503 for what may be better soon, else 500 (RFC 3261 10.3 step 7, 21.5)."""
    if isinstance(error, Unavailable):
        return Rejected(503, "Service Unavailable", (("Retry-After", str(error.retry_after)),))
    return Rejected(500, "Server Internal Error")


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
