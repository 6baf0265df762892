"""What went over the network, in order: every datagram, every message on a connection, every connection.

Rules: octets as the ends saw them, so that what went through TLS can be read. What is kept is bounded, the oldest
goes first. Nothing is judged here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from sipframe.verdicts import Address

__all__ = ["Passage", "Wire"]

MOST_KEPT: Final = 10_000


class Passage(NamedTuple):
    """Something that went from one end to another."""

    at: float
    """Seconds since the test's time began, when it left."""
    transport: str
    """``UDP``, ``TCP`` or ``TLS``."""
    source: Address
    target: Address
    data: bytes
    """A datagram, or one message on a connection; empty when something happened to a connection."""
    fate: str = ""
    """``lost``, ``twice``, ``late by 0.2 s``; of a connection what happened to it; else empty."""


class Wire:
    """The last ``most_kept`` passages. Iterating goes from the oldest to the newest."""

    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        self._kept: deque[Passage] = deque(maxlen=most_kept)
        self.add: Callable[[Passage], None] = self._kept.append
        """Keep one more."""

    def __iter__(self) -> Iterator[Passage]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, *hosts: str) -> list[Passage]:
        """Those that came from or went to one of ``hosts``."""
        return [one for one in self if one.source.host in hosts or one.target.host in hosts]

    def octets(self) -> bytes:
        """All that was sent, one after the other: for comparing one run with another."""
        return b"".join([one.data for one in self])
