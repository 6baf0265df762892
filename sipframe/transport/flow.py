"""Flows: the roads that messages come by (RFC 5626 3.1, RFC 3261 18.2.2).

Rules: a flow dies once. What is sent on a dead flow is counted and dropped, never an exception. A response leaves on
the flow that brought its request and never looks for another one: where that connection is gone, the client asks again
on a new one. A datagram never goes to a multicast, broadcast or unspecified address.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from zope.interface import implementer

from sipframe.interfaces import IFlow
from sipframe.message import Via
from sipframe.verdicts import Address

if TYPE_CHECKING:
    from sipframe.transport.sink import Ground
    from sipframe.transport.stream import StreamProtocol
    from sipframe.transport.udp import UDPEndpoint

__all__ = ["SIP_PORT", "SocketAddress", "StreamFlow", "UDPFlow", "response_address"]

SIP_PORT: Final = 5060
"""The port of a sent-by that names none, over UDP (RFC 3261 18.2.2)."""

_new = tuple.__new__  # what a NamedTuple does, without the detour

SocketAddress = tuple[Any, ...]
"""As the socket module has it: host and port, and over IPv6 the flow label and the scope."""


def response_address(via: Via, source: SocketAddress, honour_maddr: bool = False) -> SocketAddress:
    """Where the response to a request from ``source`` goes whose top Via was ``via``, over UDP.

    The order is that of RFC 3261 18.2.2 with RFC 3581 4. ``received`` is always the source, so the source's host is
    used. ``maddr`` counts only where the settings allow it, and only a unicast literal of the source's family does.
    """
    if honour_maddr and via.maddr is not None:
        host = _unicast(via.maddr, ":" in source[0])
        if host is not None:
            return (host, via.port or SIP_PORT)
    for name, _ in via.params:
        if name == "rport":
            return source
    return (source[0], via.port or SIP_PORT, *source[2:])


def _unicast(maddr: str, version_6: bool) -> str | None:
    try:
        address = ip_address(maddr.strip("[]"))
    except ValueError:
        return None
    if address.is_multicast or address.is_unspecified or (address.version == 6) != version_6:
        return None
    if address.version == 4 and address.is_reserved:
        return None  # 240.0.0.0/4, broadcast among them
    return str(address)


@implementer(IFlow)
class UDPFlow:
    """The road of one datagram, and back. Cheap: one is made for each datagram."""

    __slots__ = ("_endpoint", "_source", "serial")

    transport = "UDP"
    secure = False
    peer_certificate: bytes | None = None

    def __init__(self, endpoint: UDPEndpoint, source: SocketAddress) -> None:
        self._endpoint = endpoint
        self._source = source
        self.serial = next(endpoint.serials)

    @property
    def local(self) -> Address:
        """Our end, as we listen: the unspecified address when we listen on all."""
        return self._endpoint.local

    @property
    def peer(self) -> Address:
        """Where the datagram came from."""
        return _new(Address, self._source[:2])

    @property
    def alive(self) -> bool:
        """Until the socket is closed."""
        return self._endpoint.alive

    def send(self, data: bytes) -> None:
        """Send to where the datagram came from."""
        self._endpoint.send(data, self._source, self)

    def respond(self, data: bytes, via: Via) -> None:
        """Send a response whose top Via was ``via``, by :func:`response_address`."""
        endpoint = self._endpoint
        endpoint.send(data, response_address(via, self._source, endpoint.honour_maddr), self)

    def close(self) -> None:
        """Nothing: there is no connection."""

    def prove(self) -> None:
        """A phone has registered by it: from now on its address goes before those of strangers."""
        self._endpoint.known.add(self._source)

    def __repr__(self) -> str:
        return f"<UDP flow {self.serial} from {self._source[0]} port {self._source[1]}>"


@implementer(IFlow)
class StreamFlow:
    """A TCP or TLS connection, as the floors above see it."""

    __slots__ = (
        "_ground",
        "_stream",
        "alive",
        "local",
        "peer",
        "peer_certificate",
        "secure",
        "serial",
        "transport",
    )

    def __init__(
        self,
        stream: StreamProtocol,
        ground: Ground,
        transport: str,
        local: Address,
        peer: Address,
        serial: int,
    ) -> None:
        self._stream: StreamProtocol | None = stream
        self._ground = ground
        self.transport = transport
        self.secure = transport != "TCP"
        self.local = local
        self.peer = peer
        self.serial = serial
        self.alive = True
        self.peer_certificate: bytes | None = None

    def send(self, data: bytes) -> None:
        """Send one whole message."""
        if self._stream is None or not self.alive:
            self._ground.counters.dropped_dead_flow += 1
        else:
            self._stream.write(data)
            if self._ground.traffic.watched and self.alive:
                self._ground.traffic.left(data, self, self.peer)

    def respond(self, data: bytes, via: Via) -> None:
        """Send a response: over the connection that brought the request (RFC 3261 18.2.2)."""
        self.send(data)

    def close(self) -> None:
        """Close the connection once what is queued has left."""
        if self._stream is not None:
            self._stream.close()

    def prove(self) -> None:
        """A phone has registered by it: from now on it goes before those of strangers."""
        if self._stream is not None:
            self._stream.known = True

    def lost(self) -> None:
        """The connection is gone. For the transport alone."""
        self.alive = False
        self._stream = None

    def __repr__(self) -> str:
        state = "" if self.alive else "dead "
        return f"<{state}{self.transport} flow {self.serial} from {self.peer.host} port {self.peer.port}>"
