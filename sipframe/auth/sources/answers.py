"""What a slow source answered, remembered for a while; and each question asked once while it is under way.

Rules: identical look-ups that meet share one call. What is known and who is unknown are kept apart, each bounded, so
that made-up names push nobody out; the oldest goes first. A failure is not remembered. Somebody who does not wait any
more leaves the call to the others, and to whoever asks next: how long a call may take is its owner's matter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sipframe.auth.sources.record import is_name
from sipframe.seams import NotAsked
from sipframe.verdicts import Secret

__all__ = ["Answers", "Key"]

_log = Logger()

Key = tuple[str, str, str]
"""User name, realm and algorithm."""

_LONGEST: Final = 1024
"""Characters of a user name; a longer one is nobody's. It bounds what a remembered name costs."""


class _Call:
    __slots__ = ("answer", "waiting")

    def __init__(self) -> None:
        self.answer: Deferred[Any] | None = None
        self.waiting: deque[Deferred[Secret | None]] = deque()

    def wait(self) -> Deferred[Secret | None]:
        waiter: Deferred[Secret | None] = Deferred(self._forget)
        self.waiting.append(waiter)
        return waiter

    def _forget(self, waiter: Deferred[Secret | None]) -> None:
        self.waiting.remove(waiter)


class Answers:
    """Answers of ``ask(username, realm, algorithm)``, which gives a Deferred of a Secret or None.

    A Secret is good for ``remember`` seconds of ``clock``, None for ``remember_unknown``; at most ``remembered`` of
    each are kept. More than ``most_calls`` look-ups at once are :class:`~sipframe.verdicts.Unavailable`. Raises
    ValueError for a number that makes no sense.
    """

    def __init__(
        self,
        ask: Callable[[str, str, str], Deferred[Secret | None]],
        clock: IReactorTime,
        *,
        remember: float,
        remember_unknown: float,
        remembered: int,
        most_calls: int,
    ) -> None:
        if not (0 <= remember < float("inf") and 0 <= remember_unknown < float("inf")):
            raise ValueError("remember and remember-unknown are a number of seconds, or 0")
        if remembered < 1 or most_calls < 1:
            raise ValueError("remembered and the number of calls are 1 at least")
        self._ask = ask
        self._clock = clock
        self._remember = remember
        self._remember_unknown = remember_unknown
        self._remembered = remembered
        self._most_calls = most_calls
        self._known: dict[Key, tuple[float, Secret]] = {}
        self._unknown: dict[Key, float] = {}
        self._under_way: dict[Key, _Call] = {}

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        """A remembered answer at once, else a Deferred of one. Raises Unavailable."""
        key = (username, realm, algorithm)
        now = self._clock.seconds()
        known = self._known.get(key)
        if known is not None and now < known[0]:
            return known[1]
        if now < self._unknown.get(key, now) or len(username) > _LONGEST or not is_name(username):
            return None
        call = self._under_way.get(key)
        if call is not None:
            return call.wait()
        if len(self._under_way) >= self._most_calls:
            # No failure of the source: made-up names must not shut out those whose answers are remembered.
            raise NotAsked(f"{self._most_calls} look-ups are under way already")
        call = self._under_way[key] = _Call()
        waiter = call.wait()
        call.answer = maybeDeferred(self._ask, *key)
        _ = call.answer.addCallbacks(self._came, self._broke, callbackArgs=(key,), errbackArgs=(key,))
        return waiter

    @property
    def calls(self) -> Sequence[Deferred[Any]]:
        """The look-ups that are under way. They fire with None, whatever comes of them."""
        return [call.answer for call in self._under_way.values() if call.answer is not None]

    def _came(self, answer: Secret | None, key: Key) -> None:
        now = self._clock.seconds()
        if answer is None:
            _put(self._unknown, key, now + self._remember_unknown, self._remembered)
        else:
            _put(self._known, key, (now + self._remember, answer), self._remembered)
        waiting = self._under_way.pop(key).waiting
        while waiting:
            waiting.popleft().callback(answer)

    def _broke(self, failure: Failure, key: Key) -> None:
        waiting = self._under_way.pop(key).waiting
        if not waiting:
            _log.warn(
                "a look-up that nobody waits for any more failed: {error}", error=type(failure.value).__name__
            )
        while waiting:
            waiting.popleft().errback(failure)


def _put(table: dict[Key, Any], key: Key, value: object, size: int) -> None:
    table.pop(key, None)  # to be the youngest again
    if len(table) >= size:
        del table[next(iter(table))]
    table[key] = value
