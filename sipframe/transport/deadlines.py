"""Many deadlines behind one timer: a wheel of buckets, one for each tick.

Rules: a deadline is never early and at most one tick late. What is watched says itself when it is due, and is asked
again then, so that a deadline that only moves away costs nothing to move. One that comes nearer is watched anew.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Deadlines", "Watched"]


class Watched(Protocol):
    """What :class:`Deadlines` watches."""

    slot: int
    """For :class:`Deadlines` alone; 0 while not watched."""

    def due(self) -> float:
        """When it is too late, on the clock's time."""

    def overdue(self) -> None:
        """It is too late. Not watched any more when called."""


class Deadlines:
    """Watches things with a resolution of ``tick`` seconds; without any it has no timer."""

    __slots__ = ("_buckets", "_call", "_clock", "_count", "_swept", "_tick", "now")

    def __init__(self, clock: IReactorTime, tick: float = 1.0) -> None:
        self._clock = clock
        self._tick = tick
        self._buckets: dict[int, dict[Watched, None]] = {}  # in an order that is the same each time
        self._count = 0
        self._swept = 0
        self._call: IDelayedCall | None = None
        self.now = clock.seconds()
        """The clock's time, at most one tick old while anything is watched."""

    def watch(self, one: Watched) -> None:
        """Watch ``one`` from now on, or anew."""
        if not self._count:
            self._start()
        if one.slot:
            if one.slot <= self._slot_of(one):
                return  # it is asked early enough
            self._take_out(one)
        self._file(one)

    def forget(self, one: Watched) -> None:
        """Watch ``one`` no longer."""
        if one.slot:
            self._take_out(one)
            one.slot = 0
            self._stop_if_empty()

    def _slot_of(self, one: Watched) -> int:
        return max(int(one.due() / self._tick), self._swept) + 1

    def _file(self, one: Watched) -> None:
        one.slot = slot = self._slot_of(one)
        bucket = self._buckets.get(slot)
        if bucket is None:
            bucket = self._buckets[slot] = {}
        bucket[one] = None
        self._count += 1

    def _take_out(self, one: Watched) -> None:
        bucket = self._buckets[one.slot]
        del bucket[one]
        if not bucket:
            del self._buckets[one.slot]
        self._count -= 1

    def _start(self) -> None:
        self.now = self._clock.seconds()
        self._swept = int(self.now / self._tick)
        if self._call is None:
            self._call = self._clock.callLater(self._tick, self._sweep)

    def _stop_if_empty(self) -> None:
        if not self._count and self._call is not None:
            self._call.cancel()
            self._call = None

    def _sweep(self) -> None:
        # Armed before anything is called, so that an exception stops nothing.
        self._call = self._clock.callLater(self._tick, self._sweep)
        self.now = now = self._clock.seconds()
        last = int(now / self._tick)
        first, self._swept = self._swept + 1, last
        if last - first > len(self._buckets):
            slots = sorted(slot for slot in self._buckets if slot <= last)  # the process was asleep
        else:
            slots = list(range(first, last + 1))
        for slot in slots:
            for one in tuple(self._buckets.get(slot, ())):
                if one.slot != slot:
                    continue  # one before it in this bucket had it forgotten or moved
                self._take_out(one)
                one.slot = 0
                if one.due() > now:
                    self._file(one)
                else:
                    one.overdue()
        self._stop_if_empty()
