"""Turns: what changes the bindings of one AOR happens one after the other, in the order it was asked (RFC 3261 10.3).

Rules: a turn that ends at once costs no more than an entry in a table. While one waits for the store, those behind it
wait for it, up to a limit; those for other AORs do not. A turn ends exactly once, whatever came of it.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

__all__ = ["IDLE", "QUEUED", "Turn", "Turns"]

IDLE: Final = 0
QUEUED: Final = 1
_WAITS: Final = 2
_RUNS: Final = 3


class Turn(Protocol):
    """What takes a turn. ``turn`` is for :class:`Turns` alone, and :data:`IDLE` at first."""

    aor: str
    turn: int

    def take(self) -> None:
        """It is its turn; :meth:`Turns.end` follows, now or later."""


class Turns:
    """The turns of all AORs. ``most_waiting`` is how many may wait behind the one that runs, for one AOR."""

    __slots__ = ("_by_aor", "_most_waiting")

    def __init__(self, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._by_aor: dict[str, deque[Turn] | None] = {}
        """Whoever waits behind the one that runs; None as long as nobody has."""

    def wait(self, one: Turn) -> bool:
        """Let ``one`` take its turn, now or when those before it have ended. False when too many wait already."""
        if one.aor not in self._by_aor:
            self._by_aor[one.aor] = None
            self._run(one)
            return True
        waiting = self._by_aor[one.aor]
        if waiting is None:
            waiting = self._by_aor[one.aor] = deque()
        if len(waiting) < self._most_waiting:
            one.turn = QUEUED
            waiting.append(one)
        else:
            return False
        return True

    def end(self, one: Turn) -> None:
        """The turn of ``one`` has ended."""
        waited = one.turn == _WAITS
        one.turn = IDLE
        if waited:
            waiting = self._by_aor[one.aor]
            if waiting:
                self._run(waiting.popleft())
            else:
                del self._by_aor[one.aor]

    def leave(self, one: Turn) -> None:
        """``one`` wants its turn no longer, or wants to end it, if it has not ended."""
        if one.turn == QUEUED:
            one.turn = IDLE
            waiting = self._by_aor[one.aor]
            assert waiting is not None
            waiting.remove(one)
        elif one.turn != IDLE:
            self.end(one)

    def _run(self, one: Turn) -> None:
        """Let ``one`` and those behind it take their turns, until one of them has to wait."""
        while True:
            one.turn = _RUNS
            one.take()
            if one.turn == _RUNS:
                one.turn = _WAITS
                return
            waiting = self._by_aor[one.aor]
            if not waiting:
                del self._by_aor[one.aor]
                return
            one = waiting.popleft()
