"""Token buckets, many of them, in bounded memory.

Rules: pure; ``now`` is an argument, in seconds. A bucket holds ``burst`` tokens and gets ``rate`` a second; a key that
was never seen has a full one. What is kept of a bucket is one number, the time at which it is full again (the generic
cell rate algorithm, ITU-T I.371 annex A, turned to tokens). **Only full buckets are forgotten**, which nobody can tell.

There are two generations. A bucket that is used moves to the young one; after the time that it takes to fill an empty
bucket the young generation becomes the old one, and what the old one still held, nobody has used for so long, is full.

When ``most`` buckets are kept and none may go, **newcomers share** ``most`` further ones; which key gets which one
cannot be foretold without ``salt``. So a flood from more sources than there is room for frees none of them, takes
nothing from those who have a bucket, and takes from a newcomer only when it empties the one that the newcomer shares.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable

__all__ = ["TokenBuckets"]


class TokenBuckets:
    """``rate`` tokens a second and at most ``burst`` for each key. Raises ValueError for what makes no sense."""

    __slots__ = (
        "_began",
        "_ends",
        "_fill",
        "_full",
        "_interval",
        "_most",
        "_old",
        "_salt",
        "_shared",
        "_young",
    )

    def __init__(self, rate: float, burst: int, *, most: int, salt: Hashable = 0) -> None:
        if not rate > 0 or burst < 1 or most < 1:
            raise ValueError(f"rate {rate}, burst {burst}, most {most}: each must be more than 0")
        self._interval = 1 / rate
        self._fill = burst / rate
        # With less than one token in it, it is further than this from being full. A thousandth is for rounding.
        self._full = (burst - 1 + 0.001) / rate
        self._most = most
        self._salt = salt
        self._young: dict[Hashable, float] = {}
        self._old: dict[Hashable, float] = {}
        self._shared: array[float] | None = None
        self._began = self._ends = float("-inf")

    def __len__(self) -> int:
        """How many buckets are kept for one key each."""
        return len(self._young) + len(self._old)

    def take(self, key: Hashable, now: float) -> float:
        """Take a token out of the bucket of ``key``: 0 when there was one, else the seconds until there is."""
        if not self._began <= now < self._ends:
            self._turn(now)
        young = self._young
        full_at = young.get(key)
        if full_at is None:
            full_at = self._old.pop(key, None)
            if full_at is None:
                if len(young) + len(self._old) >= self._most:
                    return self._take_shared(key, now)
                full_at = now
            young[key] = full_at
        to_fill = full_at - now
        if to_fill > self._full:
            if to_fill > self._fill:  # a clock was set back: it is empty, no worse
                young[key] = now + self._fill
                return self._interval
            return to_fill - self._full
        young[key] = (full_at if to_fill > 0 else now) + self._interval
        return 0.0

    def _take_shared(self, key: Hashable, now: float) -> float:
        shared = self._shared
        if shared is None:
            shared = self._shared = array("d", bytes(8 * self._most))
        number = hash((self._salt, key)) % self._most
        to_fill = min(max(0.0, shared[number] - now), self._fill)
        if to_fill > self._full:
            shared[number] = now + to_fill
            return to_fill - self._full
        shared[number] = now + to_fill + self._interval
        return 0.0

    def _turn(self, now: float) -> None:
        missed = now >= self._ends + self._fill
        self._old = {} if missed else self._young
        self._young = {}
        self._began, self._ends = now, now + self._fill
