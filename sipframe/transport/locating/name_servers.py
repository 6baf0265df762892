"""The system's name servers, by ``twisted.names``: what is asked when nobody has given another DNS client.

Rules: nothing is made before the first question. resolv.conf is read again when it has changed. Every timer and
every connection is lent, and :meth:`NameServers.close` takes all of them back; a datagram socket ends when its question
is cancelled. So nothing is left on the reactor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakSet

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress

from sipframe.transport.locating.settings import ResolverSettings, name_server
from sipframe.transport.tls import stamp_of

__all__ = ["DNSClient", "NameServers"]


class DNSClient(Protocol):
    """Asks name servers, as ``twisted.names.client.Resolver`` does.

    Each Deferred fires with three sequences of ``twisted.names.dns.RRHeader``: answer, authority, additional. It fails
    with DNSNameError, AuthoritativeDomainError or a bare DomainError when there is nothing; every other failure means
    that nobody knows. ``name`` is in octets. What is not wanted any more is cancelled.
    """

    def lookupNamingAuthorityPointer(self, name: bytes) -> Deferred[Any]:
        """NAPTR records."""

    def lookupService(self, name: bytes) -> Deferred[Any]:
        """SRV records."""

    def lookupAddress(self, name: bytes) -> Deferred[Any]:
        """A records."""

    def lookupIPV6Address(self, name: bytes) -> Deferred[Any]:
        """AAAA records."""


class NameServers:
    """A :class:`DNSClient`. ``reactor`` provides IReactorTime, IReactorUDP and IReactorTCP."""

    def __init__(self, reactor: object, settings: ResolverSettings) -> None:
        self._settings = settings
        self._lent = _Lent(reactor, settings.question_deadline)
        self._servers = [name_server(text) for text in settings.servers]
        self._stamp: object = None
        self._client: Any = None

    def lookupNamingAuthorityPointer(self, name: bytes) -> Deferred[Any]:
        """NAPTR records."""
        return self._ask("lookupNamingAuthorityPointer", name)

    def lookupService(self, name: bytes) -> Deferred[Any]:
        """SRV records."""
        return self._ask("lookupService", name)

    def lookupAddress(self, name: bytes) -> Deferred[Any]:
        """A records."""
        return self._ask("lookupAddress", name)

    def lookupIPV6Address(self, name: bytes) -> Deferred[Any]:
        """AAAA records."""
        return self._ask("lookupIPV6Address", name)

    def close(self) -> None:
        """Give back all connections and timers; questions that are open must have been cancelled."""
        self._client = None
        self._lent.take_back()

    def _ask(self, method: str, name: bytes) -> Deferred[Any]:
        self._look()
        try:
            asked: Deferred[Any] = getattr(self._client, method)(name)
        except BaseException:
            # No socket to be had. It takes such a question for one that is under way, for ever: so not the same again.
            self._client = None
            raise
        return asked

    def _look(self) -> None:
        if self._servers:
            if self._client is None:
                self._client = self._made(self._servers)
            return
        stamp = stamp_of(self._settings.resolv_conf)
        if self._client is None or stamp != self._stamp:
            self._stamp = stamp
            self._client = self._made(self._of_the_system())

    def _of_the_system(self) -> list[tuple[str, int]]:
        try:
            text = self._settings.resolv_conf.read_text("utf-8", "replace")
        except OSError:
            text = ""
        servers: list[tuple[str, int]] = []
        for line in text.splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                try:
                    servers.append((name_server(words[1])[0], 53))
                except ValueError:
                    continue
        return servers or [("127.0.0.1", 53)]  # resolv.conf(5): the one on this machine

    def _made(self, servers: list[tuple[str, int]]) -> Any:
        from twisted.names import client, dns  # slow to import, and a server that asks nobody needs neither

        timeouts: list[float] = []
        while sum(timeouts) * len(servers) < self._settings.question_deadline:
            timeouts.append(self._settings.resend * 2 ** len(timeouts))
        lent = self._lent

        class Connections(client.DNSClientFactory):
            """For answers that are too large for a datagram; with timers of ours."""

            def buildProtocol(self, addr: IAddress | None) -> Any:
                """A connection to a name server."""
                made = dns.DNSProtocol(self.controller, reactor=lent)
                made.factory = self
                return made

        made = client.Resolver(servers=list(servers), timeout=tuple(timeouts), reactor=lent)
        factory: Any = Connections
        made.factory = factory(made, tuple(timeouts))
        made.factory.noisy = False
        return made


class _Lent:
    """A reactor that knows what it has lent: timers and connections. A datagram socket ends with its question."""

    def __init__(self, reactor: Any, connect: float) -> None:
        self._reactor = reactor
        self._connect = connect
        self._calls: WeakSet[Any] = WeakSet()
        self._connectors: WeakSet[Any] = WeakSet()
        self.seconds: Callable[[], float] = reactor.seconds

    def callLater(self, delay: float, function: Callable[..., object], *arguments: object) -> Any:
        """As IReactorTime has it."""
        call = self._reactor.callLater(delay, function, *arguments)
        self._calls.add(call)
        return call

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
        """As IReactorUDP has it."""
        # What is asked for is any port of 65,536, which somebody else may have, or want; the system knows a free one,
        # and its choice is random as well (RFC 6056).
        return self._reactor.listenUDP(0, protocol, interface, maxPacketSize)

    def connectTCP(self, host: str, port: int, factory: Any) -> Any:
        """As IReactorTCP has it."""
        made = self._reactor.connectTCP(host, port, factory, self._connect)
        self._connectors.add(made)
        return made

    def take_back(self) -> None:
        """End all of it."""
        for connector in tuple(self._connectors):
            connector.disconnect()
        for call in tuple(self._calls):
            if call.active():
                call.cancel()
