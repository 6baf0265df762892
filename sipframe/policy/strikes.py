"""Failures, counted: how long each one holds up whoever it is counted against.

Rules: pure; ``now`` is an argument, in seconds. The first ``allowed`` failures cost nothing, the next one ``first``
seconds, and each further one twice as long as the one before, up to ``longest``. One failure is forgiven for each
``forgive`` seconds that pass after that time without another. A table holds ``most`` records. When it is full, those
that have nothing left in them go first, then the lightest of those that hold nobody up; **a record that holds somebody
up is never forgotten**, and when there are only such, another failure is not recorded: nobody is freed by a flood of
failures, and nobody is held up for it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from itertools import islice
from typing import Final, NamedTuple

__all__ = ["Pace", "StrikeTable", "Strikes"]

_LOOKS: Final = 16
"""How many records are looked at for one that may go. They are taken in turn, so all of them are in time."""


class Strikes(NamedTuple):
    """The failures of one key."""

    failures: int
    until: float
    """When it is not held up any more, or the time of the last failure; forgiveness begins here."""


class Pace(NamedTuple):
    """How failures turn into time; see the head of this module."""

    allowed: int
    first: float
    longest: float
    forgive: float

    def left(self, strikes: Strikes, now: float) -> int:
        """How many failures are not forgiven yet."""
        if now <= strikes.until:
            return strikes.failures
        return max(0, strikes.failures - int((now - strikes.until) / self.forgive))

    def held(self, strikes: Strikes, now: float) -> float:
        """For how long it is still held up; 0 when it is not."""
        # A clock that was set back holds nobody up for longer than ever.
        return min(max(0.0, strikes.until - now), self.longest)

    def after(self, strikes: Strikes, now: float) -> Strikes:
        """One failure more."""
        failures = min(self.left(strikes, now) + 1, self._heaviest())
        over = failures - self.allowed
        if over <= 0:
            return Strikes(failures, now)
        return Strikes(failures, now + min(self.first * 2.0 ** (over - 1), self.longest))

    def _heaviest(self) -> int:
        # What counts for nothing would take time to be forgiven.
        return self.allowed + 1 + max(0, math.ceil(math.log2(self.longest / self.first)))


_NONE: Final = Strikes(0, 0.0)


class StrikeTable:
    """Failures by key."""

    __slots__ = ("_most", "_records", "pace")

    def __init__(self, pace: Pace, most: int) -> None:
        self.pace = pace
        self._most = most
        self._records: OrderedDict[Hashable, Strikes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def fail(self, key: Hashable, now: float) -> Strikes:
        """Record one failure more, when there is room; the record as it is now."""
        before = self._records.get(key)
        if before is None:
            if len(self._records) >= self._most and not self._make_room(now):
                return _NONE
            before = _NONE._replace(until=now)
        found = self._records[key] = self.pace.after(before, now)
        return found

    def forget(self, key: Hashable) -> Strikes:
        """Forgive ``key`` everything; what was recorded."""
        return self._records.pop(key, _NONE)

    def _make_room(self, now: float) -> bool:
        lightest: tuple[int, Hashable] | None = None
        for key, strikes in list(islice(self._records.items(), _LOOKS)):
            left = self.pace.left(strikes, now)
            if left == 0:
                del self._records[key]
                return True
            self._records.move_to_end(key)
            if not self.pace.held(strikes, now) and (lightest is None or left < lightest[0]):
                lightest = (left, key)
        if lightest is None:
            return False
        del self._records[lightest[1]]
        return True
