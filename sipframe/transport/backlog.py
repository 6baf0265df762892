"""Datagrams that come faster than they can be answered: whose turn is next, and which are dropped.

Rules: who has registered from an address goes before everybody else there is. The others have turns by address, one
datagram each, so that a flood from one address delays nobody but itself. What waits is bounded in octets, of each
address and in all; what goes beyond is dropped and counted, as the kernel would have done without looking. None of this
happens while datagrams are answered as fast as they come.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from sipframe.transport.counters import TransportCounters
from sipframe.transport.flow import SocketAddress
from sipframe.transport.known import Known

if TYPE_CHECKING:
    from sipframe.transport.udp import UDPEndpoint

__all__ = ["Backlog", "Waiting"]

_OF_ONE: Final = 16
"""One address may have this part of all the room."""
_OVERHEAD: Final = 200
"""Octets that a datagram takes besides its own, more or less."""

Waiting = tuple[bytes, SocketAddress, "UDPEndpoint"]


class Backlog:
    """What one socket has read and nobody has looked at."""

    __slots__ = ("_counters", "_known", "_left", "_most", "_others", "_room", "_served_first")

    def __init__(self, known: Known, most: int, counters: TransportCounters) -> None:
        self._known = known
        self._most = most
        self._counters = counters
        self._served_first: deque[Waiting] = deque()
        self._others: dict[str, deque[Waiting]] = {}
        self._room = most
        """Octets that the others may still take."""
        self._left = most
        """The same of those who are known."""

    def __bool__(self) -> bool:
        return bool(self._served_first or self._others)

    def put(self, datagram: bytes, source: SocketAddress, endpoint: UDPEndpoint) -> None:
        """Have it wait for its turn, or drop it."""
        size = len(datagram) + _OVERHEAD
        if source in self._known:
            if size <= self._left:
                self._left -= size
                self._served_first.append((datagram, source, endpoint))
            else:
                self._counters.dropped_overload += 1
            return
        waiting = self._others.get(source[0])
        if size > self._room or (waiting is not None and len(waiting) * size > self._most // _OF_ONE):
            self._counters.dropped_overload += 1
            return
        self._room -= size
        if waiting is None:
            waiting = self._others[source[0]] = deque()
        waiting.append((datagram, source, endpoint))

    def known(self) -> Waiting | None:
        """The next one of those who are known."""
        if not self._served_first:
            return None
        found = self._served_first.popleft()
        self._left += len(found[0]) + _OVERHEAD
        return found

    def other(self) -> Waiting | None:
        """The next one of the others: each address in turn."""
        if not self._others:
            return None
        host = next(iter(self._others))
        waiting = self._others.pop(host)
        found = waiting.popleft()
        if waiting:
            self._others[host] = waiting  # behind all the others
        self._room += len(found[0]) + _OVERHEAD
        return found

    def clear(self) -> None:
        """Nobody waits any more."""
        self._served_first.clear()
        self._others.clear()
        self._room = self._left = self._most
