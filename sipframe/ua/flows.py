"""The client's end of a flow: one UDP socket, or one TCP or TLS connection, to one server.

Rules: a flow reads messages and hands everything on to its :class:`Sink`; it knows no method and no status. It dies
once, and says why in one line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from OpenSSL import crypto
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import DatagramProtocol, connectionDone
from twisted.internet.protocol import Protocol as StreamProtocol
from zope.interface import implementer

from sipframe.interfaces import IFlow
from sipframe.message import Keepalive, MessageError, Request, Response, StreamFramer, parse_message
from sipframe.verdicts import Address

if TYPE_CHECKING:
    from twisted.python.failure import Failure

__all__ = ["ClientFlow", "Connection", "Datagrams", "Sink"]

_UNREACHABLE: Final = "nobody listens there (port unreachable)"


class Sink(Protocol):
    """Whoever has the flow."""

    def sent(self, data: bytes) -> None:
        """``data``, a whole message, leaves now."""

    def arrived(self, message: Request | Response) -> None:
        """A message has come."""

    def malformed(self, error: MessageError) -> None:
        """Something has come that is no message."""

    def pong(self) -> None:
        """A keep-alive was answered (RFC 5626 3.5.1)."""

    def lost(self, reason: str) -> None:
        """The flow is dead, and nobody here has closed it."""


@implementer(IFlow)
class ClientFlow:
    """A flow to a server, ready to be used. ``write`` and ``close`` are the socket's."""

    def __init__(
        self,
        transport: str,
        local: Any,
        peer: Any,
        write: Callable[[bytes], object],
        close: Callable[[], object],
    ) -> None:
        self.transport = transport
        self.secure = transport == "TLS"
        self.peer_certificate: bytes | None = None
        self.serial = 1
        self.alive = True
        self.local = Address(local.host, local.port)
        self.peer = Address(peer.host, peer.port)
        self.sink: Sink | None = None
        """Set it before anything is sent."""
        self.tls_version = ""
        """``TLSv1.3``; empty when there is no TLS."""
        self._write = write
        self._close = close

    def send(self, data: bytes) -> None:
        """Send one whole message; on a dead flow it is dropped."""
        if self.alive:
            if self.sink is not None:
                self.sink.sent(data)
            self._write(data)

    def respond(self, data: bytes, via: object) -> None:
        """Send a response."""
        self.send(data)

    def close(self) -> None:
        """Let go of the socket; the sink hears no more."""
        self.sink = None
        self.alive = False
        self._close()

    def arrived(self, message: Request | Response) -> None:
        """From the socket: a message."""
        if self.sink is not None:
            self.sink.arrived(message)

    def malformed(self, error: MessageError) -> None:
        """From the socket: no message."""
        if self.sink is not None:
            self.sink.malformed(error)

    def pong(self) -> None:
        """From the socket: a keep-alive was answered."""
        if self.sink is not None:
            self.sink.pong()

    def died(self, reason: str) -> None:
        """From the socket: it is of no use any more."""
        if self.alive:
            self.alive = False
            if self.sink is not None:
                self.sink.lost(reason)


class Datagrams(DatagramProtocol):
    """A UDP socket that talks to one address only; ``flow`` is there once it listens."""

    flow: ClientFlow

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    def startProtocol(self) -> None:
        port: Any = self.transport
        # Connected, so that our own address is known and that an unreachable port is heard of.
        port.connect(self._host, self._port)
        self.flow = ClientFlow(
            "UDP", port.getHost(), Address(self._host, self._port), port.write, port.stopListening
        )

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if not datagram.strip(b"\r\n\0"):
            return  # RFC 3261 7.5; a keep-alive
        try:
            message = parse_message(datagram)
        except MessageError as error:
            self.flow.malformed(error)
        else:
            self.flow.arrived(message)

    def connectionRefused(self) -> None:
        self.flow.died(_UNREACHABLE)

    def stopProtocol(self) -> None:
        # Some reactors close a connected socket when an ICMP error comes, and say no more than this.
        self.flow.died(_UNREACHABLE)


@implementer(IHandshakeListener)
class Connection(StreamProtocol):
    """A TCP or TLS connection. ``opened`` fires with its flow when it can be used: TLS only after the handshake."""

    def __init__(self, transport: str) -> None:
        self.opened: Deferred[ClientFlow] = Deferred(lambda _: self._abort())
        self._name = transport
        self._framer = StreamFramer()
        self._flow: ClientFlow | None = None

    def connectionMade(self) -> None:
        if self._name != "TLS":
            self._open("")

    def handshakeCompleted(self) -> None:
        connection: Any = self.transport
        self._open(connection.getHandle().get_protocol_version_name())

    def _open(self, tls_version: str) -> None:
        socket: Any = self.transport
        self._flow = ClientFlow(self._name, socket.getHost(), socket.getPeer(), socket.write, self._abort)
        self._flow.tls_version = tls_version
        if tls_version:
            certificate = socket.getPeerCertificate()
            self._flow.peer_certificate = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        self.opened.callback(self._flow)

    def _abort(self) -> None:
        socket: Any = self.transport
        if socket is not None:
            socket.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        flow = self._flow
        if flow is None or not flow.alive:
            return
        self._framer.feed(data)
        try:
            while (message := self._framer.next()) is not None:
                if isinstance(message, MessageError):
                    flow.malformed(message)
                elif isinstance(message, Keepalive):
                    flow.pong()
                else:
                    flow.arrived(message)  # to nobody, once the flow is closed
        except MessageError as error:
            flow.malformed(error)
            flow.died("it sent what is no SIP")
            self._abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._flow is None:
            if not self.opened.called:
                self.opened.errback(reason)
        elif reason.check(ConnectionDone):
            self._flow.died("the server has closed the connection")
        else:
            self._flow.died(reason.getErrorMessage())
