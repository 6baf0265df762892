"""A phone's flows: its UDP ports and its connections, as seen from the phone (RFC 5626 3.1).

Rules: a flow dies once and says why; what is sent on a dead one is dropped. What passes over a connection is told to
the wire here, where it can be read; datagrams the network tells itself.
"""

from __future__ import annotations

from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.internet.protocol import ClientFactory, connectionDone
from twisted.internet.protocol import Protocol as TransportProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from sipframe.interfaces import IFlow
from sipframe.message import Keepalive, Limits, MessageError, Request, Response, StreamFramer, parse_message
from sipframe.testing.connections import StreamEnd
from sipframe.testing.network import Network
from sipframe.testing.tls import TLSClient, why
from sipframe.testing.wire import Passage
from sipframe.verdicts import Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IConnector

    from sipframe.message import Via
    from sipframe.testing.reactor import MemoryReactor

__all__ = ["LIMITS", "DatagramFlow", "Flow", "FlowUser", "StreamFlow"]

LIMITS: Final = Limits(head=65_535, lines=1_000)
"""A phone of a test reads whatever the server sends."""

_CONNECT_TIMEOUT: Final = 30.0
_PING: Final = b"\r\n\r\n"


class FlowUser(Protocol):
    """Whose flow it is."""

    def arrived(self, message: Request | Response, flow: Flow) -> None:
        """A message has come."""

    def malformed_came(self, error: MessageError, flow: Flow) -> None:
        """Something has come that is no message."""

    def flow_lost(self, flow: Flow) -> None:
        """``flow`` is dead."""


@implementer(IFlow)
class Flow:
    """What UDP, TCP and TLS have in common. ``local`` is the phone's end, ``peer`` the server's."""

    transport = "UDP"
    secure = False
    peer_certificate: bytes | None = None

    def __init__(self, user: FlowUser, network: Network, local: Address, peer: Address, serial: int) -> None:
        self._user = user
        self._network = network
        self.local = local
        self.peer = peer
        self.serial = serial
        self.opened = False
        """Whether it can be used: a connection takes a moment, and TLS another one."""
        self.alive = True
        self.why = ""
        """Why it died, in a few words."""
        self.pongs = 0
        """How many keep-alives the server has answered (RFC 5626 3.5.1)."""
        self.private: Address | None = None
        """Behind a NAT: the address that the phone has and knows, which means nothing to anybody else. A port of 0 is
        that of :attr:`local`, which is the NAT's."""

    @property
    def sent_by(self) -> str:
        """Our end, as Via and Contact have it."""
        host, port = self.local if self.private is None else self.private
        port = port or self.local.port
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def toward(self, peer: Address) -> Flow:
        """The flow from the same port to ``peer``; over TCP and TLS there is only this one."""
        return self

    def send(self, data: bytes) -> None:
        """Send octets as they are."""
        raise NotImplementedError  # pragma: no cover - both kinds have one

    def respond(self, data: bytes, via: Via) -> None:
        """Send a response."""
        self.send(data)

    def ping(self) -> None:
        """Send a keep-alive: the double CRLF of RFC 5626 3.5.1."""
        self.send(_PING)

    def close(self) -> None:
        """Close it, in order."""
        raise NotImplementedError  # pragma: no cover - both kinds have one

    def reset(self) -> None:
        """Break it: over TCP and TLS the server hears of it at once. A UDP port is closed."""
        raise NotImplementedError  # pragma: no cover - both kinds have one

    def fall_silent(self) -> None:
        """Nothing gets through any more and nobody is told: a cable that is out, a NAT that has forgotten."""
        raise NotImplementedError  # pragma: no cover - both kinds have one

    def died(self, why: str) -> None:
        """For its own parts: it is of no use any more."""
        if self.alive:
            self.alive = self.opened = False
            self.why = why
            self._user.flow_lost(self)

    def __repr__(self) -> str:
        state = "" if self.alive else "dead "
        return f"<{state}{self.transport} flow of {self.sent_by}>"


class DatagramFlow(Flow):
    """A UDP port of a phone. It sends to ``peer`` and takes what comes from anywhere; behind a NAT (``private``) only
    what comes from where it has sent something to."""

    def __init__(
        self,
        user: FlowUser,
        network: Network,
        host: str,
        port: int,
        peer: Address,
        serial: int,
        private: Address | None = None,
    ) -> None:
        bound = network.bind("UDP", (host,), port, self)
        super().__init__(user, network, Address(host, bound), peer, serial)
        self.private = private
        self.opened = True
        self._others: dict[Address, _Aside] = {}
        self._sent_to: set[Address] = set()

    def toward(self, peer: Address) -> Flow:
        """The flow from the same port to ``peer``."""
        if peer == self.peer:
            return self
        found = self._others.get(peer)
        if found is None:
            found = self._others[peer] = _Aside(self, self._user, self._network, peer)
        return found

    def send_to(self, peer: Address, data: bytes) -> None:
        """Send a datagram to ``peer``."""
        if self.alive:
            if self.private is not None:
                self._sent_to.add(peer)
            self._network.send_datagram(self.local, peer, data)

    def send(self, data: bytes) -> None:
        """Send a datagram to the server."""
        self.send_to(self.peer, data)

    def close(self) -> None:
        """Close the port; what is sent there afterwards is lost."""
        if self.alive:
            self._network.unbind("UDP", (self.local.host,), self.local.port)
            for other in self._others.values():
                other.alive = other.opened = False
            self.died("closed")

    def reset(self) -> None:
        """Close the port: there is no connection to break."""
        self.close()

    def fall_silent(self) -> None:
        """Lose every datagram from here and to here."""
        ours = self.local
        _ = self._network.lose_while(lambda passage: ours in (passage.source, passage.target))

    def arrived(self, data: bytes, source: Address) -> None:
        """From the network."""
        if self.private is not None and source not in self._sent_to:
            return
        if not data.strip(b"\r\n\0"):
            self.pongs += 1
            return
        flow = self.toward(source)
        try:
            message = parse_message(data, LIMITS)
        except MessageError as error:
            self._user.malformed_came(error, flow)
        else:
            self._user.arrived(message, flow)


class _Aside(Flow):
    """A UDP port of a phone, and somebody else than its server."""

    def __init__(self, port: DatagramFlow, user: FlowUser, network: Network, peer: Address) -> None:
        super().__init__(user, network, port.local, peer, port.serial)
        self.private = port.private
        self.opened = True
        self._port = port

    def send(self, data: bytes) -> None:
        self._port.send_to(self.peer, data)

    def close(self) -> None:
        self._port.close()

    def reset(self) -> None:
        self._port.reset()

    def fall_silent(self) -> None:
        self._port.fall_silent()

    def toward(self, peer: Address) -> Flow:
        return self._port.toward(peer)


class StreamFlow(Flow):
    """A connection of a phone. Without ``context`` it is TCP, with it TLS to the server that ``name`` names."""

    def __init__(
        self,
        user: FlowUser,
        reactor: MemoryReactor,
        host: str,
        peer: Address,
        serial: int,
        tls: tuple[SSLContext, str] | None,
        private: Address | None = None,
    ) -> None:
        super().__init__(user, reactor.network, Address(host, 0), peer, serial)
        self.private = private
        self.transport = "TCP" if tls is None else "TLS"
        self.secure = tls is not None
        self.tls_version = ""
        """``TLSv1.3``; empty over TCP."""
        self._framer = StreamFramer(LIMITS)
        self._line = line = _Plain(self) if tls is None else TLSClient(self, *tls)
        reactor.connectTCP(peer.host, peer.port, _Factory(self, line), _CONNECT_TIMEOUT, (host, 0))

    def send(self, data: bytes) -> None:
        """Send octets."""
        if self.opened:
            wire = self._network
            wire.wire.add(Passage(wire.timeline.now, self.transport, self.local, self.peer, data))
            self._line.write(data)

    def close(self) -> None:
        """Close the connection in order."""
        if self.alive:
            self._happened("closed by the phone")
            self._line.close()
            self.died("closed")

    def reset(self) -> None:
        """Break the connection."""
        if self.alive:
            self._happened("reset by the phone")
            self._end.abortConnection()
            self.died("reset")

    def fall_silent(self) -> None:
        """Nothing gets through any more, and nobody is told."""
        self._happened("falls silent")
        self._end.fall_silent()

    def stop_reading(self) -> None:
        """Leave at the server what it sends."""
        self._end.pauseProducing()

    def read_on(self) -> None:
        """Read again, first of all what has waited."""
        self._end.resumeProducing()

    @property
    def _end(self) -> StreamEnd:
        end = self._line.transport
        if not isinstance(end, StreamEnd):
            raise RuntimeError(f"{self!r} is not connected")
        return end

    def _happened(self, what: str) -> None:
        self._network.happened(self.transport, self.local, self.peer, what)

    # From the connection.

    def connecting(self, local: Address) -> None:
        """The connection is there; TLS may have to come."""
        self.local = local

    def opened_as(self, tls_version: str) -> None:
        """It can be used."""
        self.tls_version = tls_version
        self.opened = True
        self._happened(tls_version.replace("TLSv", "TLS ") or "connected")

    def received(self, data: bytes) -> None:
        """Octets, out of TLS."""
        if not self.alive:
            return
        self._framer.feed(data)
        try:
            while (message := self._framer.next()) is not None:
                if isinstance(message, MessageError):
                    self._user.malformed_came(message, self)
                elif isinstance(message, Keepalive):
                    self.pongs += 1
                else:
                    self._passed(message.to_bytes())
                    self._user.arrived(message, self)
        except MessageError as error:
            self._user.malformed_came(error, self)
            self.reset()

    def lost(self, reason: str) -> None:
        """The connection is gone, or never came."""
        if self.alive:
            what = reason if self.opened else f"not connected: {reason}"
            self._network.happened(self.transport, self.peer, self.local, what)
            self.died(reason)

    def _passed(self, data: bytes) -> None:
        network = self._network
        network.wire.add(Passage(network.timeline.now, self.transport, self.peer, self.local, data))


class _Plain(TransportProtocol):
    """A connection without TLS."""

    transport: StreamEnd

    def __init__(self, flow: StreamFlow) -> None:
        self._flow = flow

    def connectionMade(self) -> None:
        self._flow.connecting(self.transport.local)
        self._flow.opened_as("")

    def dataReceived(self, data: bytes) -> None:
        self._flow.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._flow.lost(why(reason))

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def close(self) -> None:
        self.transport.loseConnection()


class _Factory(ClientFactory[Any]):
    """Connects one flow."""

    noisy = False

    def __init__(self, flow: StreamFlow, line: _Plain | TLSClient) -> None:
        self._flow = flow
        self._line = line

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return self._line

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self._flow.lost(why(reason))
