"""UDP in memory: what :class:`twisted.internet.interfaces.IReactorUDP` gives, without a socket."""

from __future__ import annotations

from typing import Any, Final, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import MessageLengthError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import AbstractDatagramProtocol
from zope.interface import implementer

from sipframe.testing.network import Network
from sipframe.verdicts import Address

__all__ = ["LARGEST", "MemoryDatagramPort", "endpoint"]

LARGEST: Final = 65_507
"""What a datagram can hold over IPv4."""


def endpoint(kind: str, address: Address) -> IPv4Address | IPv6Address:
    """An address as Twisted has it; ``kind`` is ``UDP`` or ``TCP``."""
    if ":" in address.host:
        return IPv6Address("UDP" if kind == "UDP" else "TCP", address.host, address.port)
    return IPv4Address("UDP" if kind == "UDP" else "TCP", address.host, address.port)


@implementer(IListeningPort)
class MemoryDatagramPort:
    """A UDP port of one host. ``hosts`` are the addresses that it is bound to; ``shown`` is what it says that it is."""

    def __init__(
        self,
        network: Network,
        hosts: tuple[str, ...],
        shown: str,
        port: int,
        protocol: AbstractDatagramProtocol,
    ) -> None:
        self._network = network
        self._hosts = hosts
        self._shown = shown
        self._wanted = port
        self._protocol = protocol
        self._source = Address(hosts[0], port)
        self._connected: Address | None = None
        self.open = False
        """While it listens."""

    def startListening(self) -> None:
        """Take the port. Raises CannotListenError."""
        port = self._network.bind("UDP", self._hosts, self._wanted, self)
        self._source = Address(self._hosts[0], port)
        self.open = True
        self._protocol.makeConnection(cast(Any, self))

    def stopListening(self) -> Deferred[None]:
        """Give it back."""
        self.cut()
        return succeed(None)

    def cut(self) -> None:
        """The port is gone."""
        if self.open:
            self.vanish()
            self._protocol.doStop()

    def vanish(self) -> None:
        """The host is gone, and nobody on it is told."""
        if self.open:
            self.open = False
            self._network.unbind("UDP", self._hosts, self._source.port)

    loseConnection = stopListening

    def getHost(self) -> IPv4Address | IPv6Address:
        """Our end."""
        return endpoint("UDP", Address(self._shown, self._source.port))

    def connect(self, host: str, port: int) -> None:
        """Talk to one address only."""
        self._connected = Address(host, port)

    def write(self, packet: bytes, addr: tuple[Any, ...] | None = None) -> int | None:
        """Send a datagram. Raises MessageLengthError."""
        if len(packet) > LARGEST:
            raise MessageLengthError("message too long")
        target = self._connected if addr is None else Address(addr[0], addr[1])
        if target is None:
            raise ValueError("an address, or connect() before")
        if self.open:
            self._network.send_datagram(self._source, target, bytes(packet))
        return len(packet)

    def writeSequence(self, packets: Any, addr: tuple[Any, ...]) -> None:
        """Send the parts of a datagram."""
        self.write(b"".join(packets), addr)

    def arrived(self, data: bytes, source: Address) -> None:
        """From the network."""
        if self._connected is None or self._connected == source:
            self._protocol.datagramReceived(data, (source.host, source.port))

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """Part of IUDPTransport; there is no broadcast here."""

    def getBroadcastAllowed(self) -> bool:
        """Part of IUDPTransport."""
        return False

    def __repr__(self) -> str:
        return f"<memory UDP port {self._shown}:{self._source.port}>"
