"""Connections that have sent more than can be answered at once: whose turn is next.

Rules: no connection has more than a few messages answered in one turn of the reactor; while it waits it is not read.
Connections that phones have registered by go first. The others have one message each, and all of them together only so
many in a turn; handshakes are counted likewise. None of this happens while messages are answered as fast as they come.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = [
    "HANDSHAKES_AT_ONCE",
    "KEEPALIVES_FOR_ONE",
    "MESSAGES_AT_ONCE",
    "STRANGERS",
    "Shakes",
    "Turns",
    "Waits",
]

MESSAGES_AT_ONCE: Final = 16
"""Messages of one connection that are answered before others have their turn."""
KEEPALIVES_FOR_ONE: Final = 64
"""CRLFs that count as much as one message."""
HANDSHAKES_AT_ONCE: Final = 4
"""Steps of TLS handshakes in one turn of the reactor: a step may take a millisecond."""
STRANGERS: Final = 8
"""Messages of connections that nobody has registered by, in one turn of the reactor."""


class Waits(Protocol):
    """Who has messages left."""

    held: bool
    """Whether there may be more of them."""
    known: bool
    """Whether a phone has registered by it."""

    def take(self, most: int) -> None:
        """Answer so many of them."""


class Shakes(Protocol):
    """Who has to go on with a handshake."""

    def go_on(self) -> None:
        """It is its turn."""


class Turns:
    """The connections of one server that wait."""

    __slots__ = ("_call", "_clock", "_known", "_others", "_rest", "_shaken", "_shaking")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._known: deque[Waits] = deque()
        self._others: deque[Waits] = deque()
        self._call: IDelayedCall | None = None
        self._shaking: deque[Shakes] = deque()
        self._shaken = 0
        self._rest: IDelayedCall | None = None

    @property
    def waiting(self) -> bool:
        """Whether anybody waits."""
        return self._call is not None

    def put(self, one: Waits) -> None:
        """Have it wait for its turn."""
        (self._known if one.known else self._others).append(one)
        if self._call is None:
            self._call = self._clock.callLater(0, self._go_on)

    def may_shake(self, one: Shakes) -> bool:
        """Whether there is time for a step of a handshake now; else ``one.go_on`` is called later."""
        if self._rest is None:
            self._rest = self._clock.callLater(0, self._shake)
        if self._shaken < HANDSHAKES_AT_ONCE:
            self._shaken += 1
            return True
        self._shaking.append(one)
        return False

    def _shake(self) -> None:
        shaking = self._shaking
        self._rest = None
        self._shaken = min(len(shaking), HANDSHAKES_AT_ONCE)
        if shaking:
            self._rest = self._clock.callLater(0, self._shake)
        for _ in range(self._shaken):
            shaking.popleft().go_on()

    def _go_on(self) -> None:
        known, others = self._known, self._others
        # Armed before anybody's turn, so that an exception stops nothing.
        self._call = self._clock.callLater(0, self._go_on)
        for _ in range(len(known)):
            self._take(known.popleft(), MESSAGES_AT_ONCE)
        for _ in range(min(len(others), STRANGERS)):
            self._take(others.popleft(), 1)
        if not (known or others):
            self._call.cancel()
            self._call = None

    def _take(self, one: Waits, most: int) -> None:
        one.take(most)
        if one.held:
            (self._known if one.known else self._others).append(one)
