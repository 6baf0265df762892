"""What plug-ins answer, as it goes on the wire: refusals and header fields, checked.

Rules: nothing of what a plug-in raises goes on the wire. CR or LF in what it gives is a bug of the plug-in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import CoroutineType

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from sipframe.events import Events
from sipframe.verdicts import Rejected, Unavailable

__all__ = ["NotAsked", "chained", "field_lines", "name_of", "refusal_for", "refusal_line", "report"]

_log = Logger()
_RETRY_AFTER = 5


class NotAsked(Unavailable):
    """The guard has not asked the plug-in: its breaker is open, or it has too much to do already.

    A plug-in that has a limit of its own raises it as well. It is no failure: no breaker counts it, nobody is told.
    """


def refusal_for(error: BaseException) -> Rejected:
    """The answer to what a plug-in raised: 503 for what may be better soon, else 500 (RFC 3261 10.3 step 7, 21.5)."""
    if isinstance(error, Unavailable):
        after = getattr(error, "retry_after", None)
        if type(after) is not int or after < 0:
            after = _RETRY_AFTER
        return Rejected(503, "Service Unavailable", (("Retry-After", str(after)),))
    return Rejected(500, "Server Internal Error")


def report(events: Events, method: object, error: BaseException) -> None:
    """Tell the log and the events that a plug-in's method failed; ``method`` may be its name."""
    name = method if isinstance(method, str) else name_of(method)
    if isinstance(error, Unavailable):
        _log.warn("{method} is unavailable: {error}", method=name, error=error)
    elif not getattr(error, "logged", False):  # a plug-in that fails for everybody may have told the log once
        _log.error("{method} failed: {error!r}", method=name, error=error, log_failure=Failure(error))
    if events.wanted:
        # What an exception says may hold anything; its kind holds no credential.
        events.publish("sipframe.plugin.failed", plugin=name, error=type(error).__name__)


def name_of(method: object) -> str:
    """What a method is called in logs and events: by the class of the plug-in, wherever it comes from."""
    name = getattr(method, "__name__", None)
    owner = getattr(method, "__self__", None)
    if name is None or owner is None or isinstance(owner, type):
        return str(getattr(method, "__qualname__", method))
    return f"{type(owner).__name__}.{name}"


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
    text = "".join(lines)
    if "\r" in text or "\n" in text:
        raise ValueError("CR or LF in a header field")
    return "\r\n".join([*lines, ""])


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
