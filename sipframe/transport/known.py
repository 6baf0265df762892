"""Where phones have registered from: who goes first when not everybody can be served.

Rules: memory is bounded, and small for one phone; whoever is forgotten is a stranger until the next registration.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Known"]


class Known:
    """Addresses that somebody has registered from: the last ``most`` of them, up to twice as many.

    An address is kept as its hash, which has a key that nobody else knows.
    """

    __slots__ = ("_before", "_most", "_now")

    def __init__(self, most: int) -> None:
        self._most = most
        self._now: set[int] = set()
        self._before: set[int] = set()

    def add(self, source: tuple[Any, ...]) -> None:
        """Somebody has registered from ``source`` just now."""
        now = self._now
        now.add(hash(source))
        if len(now) >= self._most:
            self._before, self._now = now, set()

    def __contains__(self, source: tuple[Any, ...]) -> bool:
        mark = hash(source)
        return mark in self._now or mark in self._before
