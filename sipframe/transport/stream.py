"""TCP and TLS connections: octets to messages and keep-alives, deadlines, and a bound on what is queued.

Rules: framing is :class:`~sipframe.message.StreamFramer`'s; an error that it raises ends the connection, after the sink
had the chance to answer (RFC 3261 18.3). Every state of a connection has a deadline. A peer that does not read is cut
off when more is queued for it than the limit. After ``close`` nothing is read and nothing more is written.
"""

from __future__ import annotations

from typing import Final, Protocol, cast

from twisted.internet.interfaces import IAddress, IHandshakeListener, IProtocol, IPushProducer, ITransport
from twisted.internet.protocol import ServerFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from sipframe.message import Keepalive, MessageError, Request, Response, StreamFramer
from sipframe.transport.flow import StreamFlow
from sipframe.transport.sink import Ground
from sipframe.transport.tls import TLSIdentity
from sipframe.transport.tls_layer import TLSLayer
from sipframe.transport.turns import KEEPALIVES_FOR_ONE, MESSAGES_AT_ONCE
from sipframe.verdicts import Address

__all__ = ["StreamFactory", "StreamProtocol", "StreamTransport"]

_PONG: Final = b"\r\n"

_HANDSHAKE: Final = 0
_SILENT: Final = 1
"""Connected, but no message has come yet."""
_OPEN: Final = 2
_CLOSING: Final = 3
_LOST: Final = 4

_NEVER: Final = -1.0


class _Endpoint(Protocol):
    host: str
    port: int


class StreamTransport(Protocol):
    """What a connection is written to: a TCP transport of Twisted's, or :class:`~.tls_layer.TLSLayer` over one."""

    def write(self, data: bytes) -> None: ...
    def loseConnection(self) -> None: ...
    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def loseWriteConnection(self) -> None: ...
    def abortConnection(self) -> None: ...
    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...
    def getPeer(self) -> _Endpoint: ...
    def getHost(self) -> _Endpoint: ...


@implementer(IProtocol, IHandshakeListener, IPushProducer)
class StreamProtocol:
    """One connection."""

    __slots__ = (
        "_framer",
        "_ground",
        "_heard",
        "_ours",
        "_peer",
        "_queued",
        "_secure",
        "_shown",
        "_since",
        "_state",
        "_stuck",
        "_transport",
        "factory",
        "flow",
        "held",
        "known",
        "slot",
    )

    def __init__(self, ground: Ground, secure: bool) -> None:
        self._ground = ground
        self._secure = secure
        self._state = _LOST
        self._framer: StreamFramer | None = None
        self._heard = self._since = _NEVER
        self._stuck = self._shown = self._ours = False
        self._queued = 0
        self.slot = 0
        self.held = False
        """Whether what has arrived waits for its turn; nothing is read meanwhile."""
        self.known = False
        """Whether a phone has registered by it."""
        self.factory: object = None

    # What Twisted calls.

    def makeConnection(self, transport: ITransport) -> None:
        """The connection is there."""
        ground = self._ground
        self._transport = stream = cast(StreamTransport, transport)
        host, peer = stream.getHost(), stream.getPeer()
        self._peer = peer.host
        ground.connections.opened(peer.host)
        ground.streams[self] = None
        self.flow = StreamFlow(
            self,
            ground,
            "TLS" if self._secure else "TCP",
            Address(host.host, host.port),
            Address(peer.host, peer.port),
            next(ground.serials),
        )
        ground.flows[self.flow.serial] = self.flow
        self._framer = StreamFramer(ground.limits.message_sizes)
        stream.registerProducer(self, True)
        self._enter(_HANDSHAKE if self._secure else _SILENT)

    def connectionMade(self) -> None:
        """Part of IProtocol; :meth:`makeConnection` does it all."""

    def handshakeCompleted(self) -> None:
        """TLS is there, and with it who the peer is."""
        if self._state == _HANDSHAKE:
            self.flow.peer_certificate = cast(TLSLayer, self._transport).peer_certificate()
            self._enter(_SILENT)

    def handshake_failed(self, reason: str) -> None:
        """TLS will not come about; the connection is being closed."""

    def dataReceived(self, data: bytes) -> None:
        """Take what arrived."""
        framer = self._framer
        if framer is None:
            return
        ground = self._ground
        self._heard = ground.deadlines.now
        framer.feed(data)
        if self.held:
            return
        if not self.known and ground.turns.waiting:
            self._hold()
        else:
            self.take(MESSAGES_AT_ONCE)

    def take(self, most: int) -> None:
        """Take so many messages of what has arrived; the rest waits for its turn."""
        framer = self._framer
        if framer is None:
            return
        flow = self.flow
        ground = self._ground
        sink = ground.sink
        pings = 0
        blanks = KEEPALIVES_FOR_ONE * most
        spoke = False
        while True:
            try:
                message = framer.next()
            except MessageError as error:
                if ground.traffic.watched:
                    ground.traffic.came(framer.unread, flow)
                self._refuse(error)
                return
            if message is None:
                self._release()
                break
            if message is Keepalive.PING or message is Keepalive.PONG:
                pings += message is Keepalive.PING
                blanks -= 1
                if not blanks and framer.pending:
                    self._hold()
                    break
                continue
            if isinstance(message, MessageError):
                if ground.traffic.watched and message.partial is not None:
                    ground.traffic.came(message.partial.to_bytes(), flow)
                self._tell(message)
            else:
                spoke = True
                if self._state == _SILENT:
                    self._shown = True
                    self._enter(_OPEN)
                if ground.traffic.watched:
                    ground.traffic.came(message.to_bytes(), flow)
                try:
                    if type(message) is Request:
                        sink.request(message, flow)
                    else:
                        sink.response(cast(Response, message), flow)
                except Exception:
                    ground.failed(sink.request, flow)
            if self._framer is None:
                return  # closed by what the sink did
            most -= 1
            if not most and framer.pending:
                self._hold()
                break
        if pings:
            ground.counters.keepalives += pings
            self.write(_PONG * pings)  # RFC 5626 3.5.1
        if self._state == _OPEN:
            if not framer.pending:
                self._since = _NEVER
            elif spoke or self._since == _NEVER:
                self._since = ground.clock.seconds()
                ground.deadlines.watch(self)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The connection is gone."""
        if self._state == _LOST:
            return
        self._state = _LOST
        self._framer = None
        self.held = False
        ground = self._ground
        ground.deadlines.forget(self)
        ground.connections.closed(self._peer)
        flow = self.flow
        flow.lost()
        del ground.flows[flow.serial]
        del self._transport
        if self._shown:
            try:
                ground.sink.flow_lost(flow)
            except Exception:
                ground.failed(ground.sink.flow_lost, flow)
        ground.gone(self)

    def pauseProducing(self) -> None:
        """The transport's own buffer is full: from now on what is queued counts."""
        self._stuck = True

    def resumeProducing(self) -> None:
        """The peer has read it all."""
        self._stuck = False
        self._queued = 0

    def stopProducing(self) -> None:
        """The transport is going; :meth:`connectionLost` follows."""

    def _hold(self) -> None:
        if not self.held:
            self.held = True
            self._transport.pauseProducing()
            self._ground.turns.put(self)

    def _release(self) -> None:
        if self.held:
            self.held = False
            self._transport.resumeProducing()

    # What the flow calls.

    def write(self, data: bytes) -> None:
        """Send ``data`` whole, or cut the connection when the peer has left too much unread."""
        if self._stuck:
            self._queued += len(data)
            if self._queued > self._ground.limits.queued:
                self._ground.counters.queue_overflows += 1
                self.abort()
                return
        self._transport.write(data)

    def close(self) -> None:
        """Close once what is queued has left, or when the peer takes too long to read it."""
        if self._state < _CLOSING:
            self._stop()
            self._transport.loseConnection()

    def abort(self) -> None:
        """Close now."""
        if self._state != _LOST:
            if self._state != _CLOSING:
                self._stop()
            self._transport.abortConnection()

    def _tell(self, error: MessageError) -> None:
        ground = self._ground
        ground.counters.malformed += 1
        self._shown = True
        try:
            ground.sink.malformed(error, self.flow)
        except Exception:
            ground.failed(ground.sink.malformed, self.flow)

    def _refuse(self, error: MessageError) -> None:
        self._tell(error)
        if self._state < _CLOSING:
            self._stop()
            # A close with octets unread would be a reset, and take our answer with it: say that we are done,
            # and read on without looking until the peer closes as well or has lingered too long.
            self._transport.loseWriteConnection()

    def _in_use(self) -> None:
        """It speaks SIP from now on: it is a connection of ours, and it is not the peer who must begin."""
        self._shown = self._ours = True
        self._heard = self._ground.deadlines.now
        self._enter(_OPEN)

    def _stop(self) -> None:
        self._framer = None
        self._release()
        self.flow.alive = False
        self._transport.unregisterProducer()
        self._enter(_CLOSING)

    # Deadlines.

    def _enter(self, state: int) -> None:
        self._state = state
        self._since = _NEVER if state == _OPEN else self._ground.clock.seconds()
        self._ground.deadlines.watch(self)

    def due(self) -> float:
        """When this state has lasted too long."""
        limits = self._ground.limits
        state = self._state
        if state == _OPEN:
            idle = self._heard + (limits.outgoing_idle if self._ours else limits.idle)
            return idle if self._since == _NEVER else min(idle, self._since + limits.message)
        if state == _SILENT:
            return self._since + limits.first_message
        if state == _HANDSHAKE:
            return self._since + limits.handshake
        return self._since + limits.linger

    def overdue(self) -> None:
        """It has."""
        counters = self._ground.counters
        state = self._state
        if state == _CLOSING:
            counters.linger_timeouts += 1
            self.abort()
            return
        if state == _HANDSHAKE:
            counters.handshake_timeouts += 1
        elif state == _SILENT:
            counters.first_message_timeouts += 1
        elif self._since != _NEVER:
            counters.message_timeouts += 1
        else:
            counters.idle_timeouts += 1
        self.close()


class StreamFactory(ServerFactory):
    """Makes the connections of one listening socket."""

    noisy = False

    def __init__(self, ground: Ground, identity: TLSIdentity | None = None) -> None:
        self._ground = ground
        self._identity = identity

    def refused(self, why: str) -> None:
        """A connection was closed before there was a protocol for it."""
        self._ground.crowding.refused(why)

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:  # type: ignore[override]
        """A new connection's protocol, or None to close it at once: there are too many."""
        ground = self._ground
        if addr is not None:
            full = ground.connections.full(cast(_Endpoint, addr).host)
            if full is not None:
                ground.crowding.refused(full)
                return None
        ground.counters.connections_accepted += 1
        identity = self._identity
        if identity is None:
            return StreamProtocol(ground, False)
        return TLSLayer(StreamProtocol(ground, True), identity, ground.counters, ground.turns)
