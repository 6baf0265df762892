"""Nonce counts that were seen, so that no credentials work twice (RFC 7616 3.4, parameter ``nc``).

Rules: called only after the digest has matched, or anyone could spoil the counts of others. A count above the
highest is taken, one inside the window below it is taken once (UDP reorders), anything else is a replay. Memory is
bounded, and it fails closed: once a nonce had to be forgotten early, every unknown nonce issued no later than it
counts as used. Its client then gets a new one for one more round trip.
"""

from __future__ import annotations

from collections import deque

__all__ = ["NonceCounts"]


class NonceCounts:
    """The counts of at most ``capacity`` nonces, each with a window of ``width`` counts. Nonces go by issue time."""

    def __init__(self, capacity: int = 100_000, width: int = 64) -> None:
        self._capacity = capacity
        self._width = width
        self._mask = (1 << width) - 1
        # Highest count and window of a nonce in one int: the highest in the upper bits, below it one bit for each of
        # the last `width` counts, bit 0 for the highest itself.
        self._seen: dict[int, int] = {}
        self._order: deque[int] = deque()
        self._horizon = -1

    def __len__(self) -> int:
        return len(self._seen)

    def accept(self, issued: int, count: int, expired_before: int) -> bool:
        """Take ``count`` (1 or more) for the nonce issued at ``issued``; False when it is a replay.

        Nonces issued before ``expired_before`` are refused elsewhere and may be forgotten for free.
        """
        if count < 1:
            return False
        state = self._seen.get(issued)
        if state is None:
            return self._first(issued, count, expired_before)
        highest = state >> self._width
        window = state & self._mask
        if count > highest:
            shift = min(count - highest, self._width)
            window = ((window << shift) | 1) & self._mask
            highest = count
        else:
            bit = highest - count
            if bit >= self._width or window >> bit & 1:
                return False
            window |= 1 << bit
        self._seen[issued] = highest << self._width | window
        return True

    def _first(self, issued: int, count: int, expired_before: int) -> bool:
        if issued <= self._horizon:
            return False
        order = self._order
        for _ in range(2):  # Two out for one in: what has expired drains, and no request pays for many.
            if order and order[0] < expired_before:
                del self._seen[order.popleft()]
        if len(order) >= self._capacity:
            if issued <= order[0]:
                return False  # It would be the next to go; nobody else has to make room for it.
            oldest = order.popleft()
            del self._seen[oldest]
            self._horizon = max(self._horizon, oldest)
        order.append(issued)
        self._seen[issued] = count << self._width | 1
        return True
