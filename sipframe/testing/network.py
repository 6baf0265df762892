"""A network in memory: addresses, datagrams, connections, and all that can happen to them on their way.

Rules: everything that is left to chance comes from the seed, so that the same test has the same accidents. Datagrams
may be lost, doubled, late and out of order; a connection keeps its order and loses nothing, but it may be slow, break
or fall silent (RFC 3261 18: what each transport promises). Without accidents all arrives at once, at the moment at
which it was sent, after what is under way.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from random import Random
from typing import Any, Final, Protocol

from twisted.internet.error import CannotListenError

from sipframe.testing.timeline import Owner, Timeline
from sipframe.testing.wire import Passage, Wire
from sipframe.verdicts import Address

__all__ = ["Delay", "Network"]

Delay = float | tuple[float, float]
"""Seconds, or the least and the most of them."""

_FIRST_EPHEMERAL: Final = 49_152
_LAST_PORT: Final = 65_535


class _Bound(Protocol):
    """Whatever has a port."""

    def arrived(self, data: Any, source: Address) -> None: ...


class Network:
    """Where the servers and the phones of a test meet.

    ``loss``, ``duplicate`` and ``reorder`` are how likely that is for a datagram, 0 to 1; ``delay`` is how long
    anything takes (:data:`Delay`). All can be changed at any time. ``seed`` is what chance, entropy included, follows
    from.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        loss: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        delay: Delay = 0.0,
        wire: Wire | None = None,
    ) -> None:
        self.seed = seed
        self.loss = loss
        self.duplicate = duplicate
        self.reorder = reorder
        self.delay = delay
        self.timeline = Timeline()
        self.wire = Wire() if wire is None else wire
        """What went over it."""
        self.hosts: dict[str, str] = {}
        """Names and their addresses."""
        self.records: dict[str, list[Any]] = {}
        """Other DNS records by their names, in lower case, for where requests of the server go (RFC 3263):
        ``twisted.names.dns.Record_SRV`` and the like."""
        self.servers: dict[str, str] = {}
        """The hosts of servers, and what they are called in a ladder."""
        self.phones: dict[str, str] = {}
        """The same of phones."""
        self._random = self.chance("network")
        self._ports: dict[tuple[str, str, int], _Bound] = {}
        self._ephemeral: dict[tuple[str, str], int] = {}
        self._losing: list[Callable[[Passage], bool]] = []
        self._last_host = 0

    def chance(self, name: str) -> Random:
        """Chance for one use of it: the same for the same seed and name."""
        return Random(f"{self.seed}/{name}")

    def entropy(self, name: str) -> Callable[[int], bytes]:
        """Octets for one use of them, as ``os.urandom`` gives them: the same for the same seed and name."""
        return self.chance(name).randbytes

    def new_host(self, *, version: int = 4) -> str:
        """An address that nobody has yet (RFC 2544's network for tests, RFC 3849's for IPv6)."""
        self._last_host += 1
        first = "198.18.0.0" if version == 4 else "2001:db8:1::"
        return str(ip_address(first) + self._last_host)

    # Accidents that a test asks for.

    def lose_next(self, count: int = 1, *, containing: bytes = b"") -> None:
        """Lose the next ``count`` datagrams that have ``containing`` in them, whoever sends them."""
        left = count

        def chosen(passage: Passage) -> bool:
            nonlocal left
            if containing not in passage.data:
                return False
            left -= 1
            if not left:
                self._losing.remove(chosen)
            return True

        self._losing.append(chosen)

    def lose_while(self, chosen: Callable[[Passage], bool]) -> Callable[[], None]:
        """Lose each datagram that ``chosen`` says True of, until what is returned is called."""
        self._losing.append(chosen)
        return lambda: self._losing.remove(chosen)

    # Ports.

    def bind(self, transport: str, hosts: tuple[str, ...], port: int, bound: _Bound) -> int:
        """Give ``bound`` a port (0: one that is free) at each of ``hosts``. Raises CannotListenError."""
        if not port:
            port = self.free_port(transport, hosts)
        for host in hosts:
            if (transport, host, port) in self._ports:
                raise CannotListenError(hosts[0], port, OSError(98, "Address already in use"))
        for host in hosts:
            self._ports[transport, host, port] = bound
        return port

    def unbind(self, transport: str, hosts: tuple[str, ...], port: int) -> None:
        """Take it away again."""
        for host in hosts:
            del self._ports[transport, host, port]

    def bound(self, transport: str, address: Address) -> _Bound | None:
        """Whoever has the port at ``address``, if anybody does."""
        return self._ports.get((transport, address.host, address.port))

    def free_port(self, transport: str, hosts: tuple[str, ...]) -> int:
        """A port that nobody has at ``hosts``, another one each time (RFC 6335's dynamic ports)."""
        port = self._ephemeral.get((transport, hosts[0]), _FIRST_EPHEMERAL)
        while any((transport, host, port) in self._ports for host in hosts):
            port += 1
        self._ephemeral[transport, hosts[0]] = port + 1 if port < _LAST_PORT else _FIRST_EPHEMERAL
        return port

    # Passages.

    def send_datagram(self, source: Address, target: Address, data: bytes) -> None:
        """Let a datagram go its way."""
        timeline = self.timeline
        passage = Passage(timeline.now, "UDP", source, target, data)
        if not (self.loss or self.duplicate or self.reorder or self.delay or self._losing):
            self.wire.add(passage)
            timeline.soon(self._arrive, passage)
            return
        fate, delays = self._fate(passage)
        self.wire.add(passage._replace(fate=fate))
        for delay in delays:
            timeline.call_later(_NATURE, delay, self._arrive, passage)

    def _fate(self, passage: Passage) -> tuple[str, list[float]]:
        """What is to be said of a datagram, and after how many seconds it arrives, each time that it does."""
        chance = self._random.random
        # Always as many draws, so that a change of one likelihood leaves the other accidents where they are.
        lost, twice, out_of_order = chance() < self.loss, chance() < self.duplicate, chance() < self.reorder
        delay = self.drawn_delay()
        if lost or any(chosen(passage) for chosen in tuple(self._losing)):
            return "lost", []
        words = [f"late by {delay:.3g} s"] if delay else []
        if out_of_order:
            # Behind whatever is sent within as much time again, and a little.
            delay += delay + 0.01
            words = ["out of order"]
        if twice:
            words.append("twice")
        return ", ".join(words), [delay] * (2 if twice else 1)

    def drawn_delay(self) -> float:
        """How long the next thing takes."""
        delay = self.delay
        return self._random.uniform(*delay) if isinstance(delay, tuple) else delay

    def _arrive(self, passage: Passage) -> None:
        bound = self._ports.get(("UDP", *passage.target))
        if bound is not None:
            bound.arrived(passage.data, passage.source)

    def happened(self, transport: str, source: Address, target: Address, what: str) -> None:
        """Keep it on the wire that something happened to a connection."""
        self.wire.add(Passage(self.timeline.now, transport, source, target, b"", what))


_NATURE: Final = Owner()
"""What is under way is nobody's any more."""
