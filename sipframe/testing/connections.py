"""TCP in memory: the two ends of a connection, what listens, and what connects.

Rules: what one end writes arrives whole and in order. An end that does not read lets the other one fill up, as a socket
does; an orderly close arrives behind everything that was written before, a reset at once. Nothing tells an end that a
silent network has swallowed what it wrote.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, UserError
from twisted.internet.interfaces import (
    IConnector,
    IConsumer,
    IHalfCloseableProtocol,
    IListeningPort,
    IProtocol,
    ITCPTransport,
)
from twisted.internet.protocol import ClientFactory, Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sipframe.testing.datagrams import endpoint
from sipframe.testing.network import Network
from sipframe.testing.timeline import Owner, ScheduledCall
from sipframe.verdicts import Address

__all__ = ["Connector", "MemoryPort", "StreamEnd"]

_log = Logger()

BUFFER: Final = 65_536
"""What Twisted's transports hold before they tell a producer to pause."""

_END: Final = b""
"""Behind everything that was written: there is no more."""

_OPEN: Final = 0
_CLOSING: Final = 1
"""Closing once the other end has everything."""
_GONE: Final = 2


@implementer(ITCPTransport, IConsumer)
class StreamEnd:
    """One end of a connection, as the transport of its protocol. Made in pairs by :meth:`pair`."""

    disconnecting = False

    def __init__(self, network: Network, owner: Owner, local: Address, remote: Address) -> None:
        self._network = network
        self.owner = owner
        self.local = local
        self.remote = remote
        self.other: StreamEnd = self
        self.protocol: IProtocol | None = None
        self._state = _OPEN
        self.under_way: deque[bytes] = deque()
        """What was written and is not at the other end yet."""
        self._octets = 0
        self.stalled = 0
        """How much of it waits for the other end to read."""
        self._last_arrival = 0.0
        self.reading = True
        self._half_closed = False
        self._producer: Any = None
        self._streaming = False
        self._producer_paused = False
        self.when_lost: Callable[[Failure], None] | None = None
        """Told of the end, after the protocol."""
        self.silent = False
        """Whatever is written disappears."""

    @classmethod
    def pair(
        cls, network: Network, client: tuple[Owner, Address], server: tuple[Owner, Address]
    ) -> tuple[StreamEnd, StreamEnd]:
        """Two ends of one connection."""
        first = cls(network, client[0], client[1], server[1])
        second = cls(network, server[0], server[1], client[1])
        first.other, second.other = second, first
        return first, second

    @property
    def connected(self) -> bool:
        """While it is open."""
        return self._state != _GONE

    # ITransport

    def write(self, data: bytes) -> None:
        """Send ``data``."""
        if self._state == _OPEN and not self._half_closed and data:
            self._push(bytes(data))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send all of ``data``."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close once everything has left."""
        if self._state == _OPEN:
            self._state = _CLOSING
            self.disconnecting = True
            if self._half_closed:
                self._network.timeline.soon(self.finish)
            else:
                self._push(_END)

    def loseWriteConnection(self) -> None:
        """Send no more, and go on reading."""
        if self._state == _OPEN and not self._half_closed:
            self._half_closed = True
            self._push(_END)

    def abortConnection(self) -> None:
        """Reset the connection."""
        if self._state != _GONE:
            self.under_way.clear()
            self._network.timeline.soon(self.lost, ConnectionAborted())
            if not self.silent:
                self._network.timeline.soon(self.other.lost, ConnectionLost("Connection reset by peer"))

    def vanish(self) -> None:
        """The host is gone: nobody on it is told, and the other end's host answers nothing but resets."""
        if self._state != _GONE:
            self._state = _GONE
            self.protocol = None
            self.under_way.clear()
            self._network.timeline.soon(self.other.lost, ConnectionLost("Connection reset by peer"))

    def fall_silent(self) -> None:
        """Nothing arrives at either end any more, and nobody is told: a cable that is out, a NAT that has forgotten."""
        for end in (self, self.other):
            end.silent = True
            end.under_way.clear()

    def getPeer(self) -> IPv4Address | IPv6Address:
        """The far end."""
        return endpoint("TCP", self.remote)

    def getHost(self) -> IPv4Address | IPv6Address:
        """Our end."""
        return endpoint("TCP", self.local)

    # ITCPTransport: options that a memory connection has no use for.

    def getTcpNoDelay(self) -> bool:
        """Always."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing."""

    def getTcpKeepAlive(self) -> bool:
        """Never."""
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing."""

    # Producers and consumers

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Tell ``producer`` when the other end does not read."""
        self._producer, self._streaming = producer, streaming
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """Tell it no longer."""
        self._producer = None

    def pauseProducing(self) -> None:
        """Read no more: what comes waits at the other end."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Read on."""
        if not self.reading:
            self.reading = True
            stalled, self.other.stalled = self.other.stalled, 0
            for _ in range(stalled):
                self._network.timeline.soon(self.other.arrive)

    def stopProducing(self) -> None:
        """Nobody wants what comes: close."""
        self.loseConnection()

    # The road to the other end

    def _push(self, data: bytes) -> None:
        if self.silent:
            return
        self.under_way.append(data)
        self._octets += len(data)
        timeline = self._network.timeline
        arrival = max(self._last_arrival, timeline.now + self._network.drawn_delay())
        if arrival <= timeline.now:
            timeline.soon(self.arrive)
        else:
            self._last_arrival = arrival
            timeline.call_later(_ROAD, arrival - timeline.now, self.arrive)
        if self._octets > BUFFER and self._producer is not None and not self._producer_paused:
            self._producer_paused = True
            if self._streaming:
                self._producer.pauseProducing()

    def arrive(self) -> None:
        """The first of what is under way is there."""
        target = self.other
        if not self.under_way:
            return
        if not target.reading and target.connected:
            self.stalled += 1
            return
        data = self.under_way.popleft()
        self._octets -= len(data)
        if data:
            if target.connected and target.protocol is not None and not target.owner.dead:
                try:
                    target.protocol.dataReceived(data)
                except Exception as failed:
                    # As Twisted does it: the connection of a protocol that fails is lost.
                    _log.failure("a protocol failed on what it received")
                    target.lost(failed)
                    self._network.timeline.soon(self.lost, ConnectionLost("Connection reset by peer"))
                    return
        else:
            target.end_came()
        if not self.under_way:
            self._drained()

    def _drained(self) -> None:
        if self._producer is not None and (self._producer_paused or not self._streaming):
            self._producer_paused = False
            self._producer.resumeProducing()
        if self._state == _CLOSING:
            self.finish()

    def end_came(self) -> None:
        """The other end writes no more."""
        if self._state == _GONE:
            return
        half: Any = IHalfCloseableProtocol(self.protocol, None)
        if half is not None and self._state == _OPEN:
            half.readConnectionLost()
            return
        self.lost(ConnectionDone())
        # This end is closed, and so the other one has nothing to read either.
        self._network.timeline.soon(self.other.finish)

    def finish(self) -> None:
        """It is over, in order."""
        self.lost(ConnectionDone())

    def lost(self, reason: Exception) -> None:
        """It is over."""
        if self._state == _GONE:
            return
        self._state = _GONE
        self.disconnecting = True
        self.under_way.clear()
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        protocol, self.protocol = self.protocol, None
        if self.owner.dead:
            return
        failure = Failure(reason)
        if protocol is not None:
            protocol.connectionLost(failure)
        told, self.when_lost = self.when_lost, None
        if told is not None:
            told(failure)

    def __repr__(self) -> str:
        return f"<memory connection of {self.local.host}:{self.local.port} to {self.remote.host}:{self.remote.port}>"


_ROAD: Final = Owner()
"""What is under way belongs to nobody."""


@implementer(IListeningPort)
class MemoryPort:
    """A listening TCP port of one host."""

    def __init__(
        self, network: Network, owner: Owner, hosts: tuple[str, ...], shown: str, port: int, factory: Factory
    ) -> None:
        self._network = network
        self.owner = owner
        self._hosts = hosts
        self._shown = shown
        self._port = port
        self._factory = factory
        self.open = False
        """While it listens."""
        self.accepted: list[StreamEnd] = []
        """Our ends of the connections that may still be there."""

    def startListening(self) -> None:
        """Take the port. Raises CannotListenError."""
        self._port = self._network.bind("TCP", self._hosts, self._port, self)
        self.open = True
        self._factory.doStart()

    def stopListening(self) -> Deferred[None]:
        """Give it back; connections go on."""
        if self.open:
            self.vanish()
            self._factory.doStop()
        return succeed(None)

    loseConnection = stopListening

    def vanish(self) -> None:
        """The host is gone, and nobody on it is told."""
        if self.open:
            self.open = False
            self._network.unbind("TCP", self._hosts, self._port)

    def getHost(self) -> IPv4Address | IPv6Address:
        """Where we listen."""
        return endpoint("TCP", Address(self._shown, self._port))

    def arrived(self, data: Any, source: Address) -> None:
        """Part of what has a port; connections come by :meth:`accept`."""

    def accept(self, end: StreamEnd) -> bool:
        """Take our end of a new connection; False when the factory wants none."""
        self.accepted = [one for one in self.accepted if one.connected]
        protocol = self._factory.buildProtocol(endpoint("TCP", end.remote))
        if protocol is None:
            return False
        end.protocol = protocol
        self.accepted.append(end)
        protocol.makeConnection(end)
        return True

    def __repr__(self) -> str:
        return f"<memory TCP port {self._shown}:{self._port}>"


@implementer(IConnector)
class Connector:
    """What connects to a port, by name or address."""

    def __init__(
        self,
        network: Network,
        owner: Owner,
        local: tuple[str, int],
        remote: tuple[str, int],
        factory: ClientFactory[Any],
        timeout: float | None,
    ) -> None:
        self._network = network
        self._owner = owner
        self._local = local
        self._remote = remote
        self._factory = factory
        self._timeout = timeout
        self._state = "disconnected"
        self._patience: ScheduledCall | None = None
        self.end: StreamEnd | None = None

    def connect(self) -> None:
        """Begin."""
        if self._state != "disconnected":
            raise RuntimeError("is connected or connects already")
        self._state = "connecting"
        self._factory.doStart()
        self._factory.startedConnecting(self)
        if self._state != "connecting":
            return
        timeline = self._network.timeline
        if self._timeout:
            self._patience = timeline.call_later(self._owner, self._timeout, self._fail, error.TimeoutError())
        delay = self._network.drawn_delay()
        if delay:
            timeline.call_later(self._owner, delay, self._reach)
        else:
            timeline.soon(self._reach)

    def stopConnecting(self) -> None:
        """Give up."""
        self._fail(UserError())

    def disconnect(self) -> None:
        """Close the connection, or give up."""
        if self._state == "connecting":
            self.stopConnecting()
        elif self.end is not None:
            self.end.loseConnection()

    @property
    def idle(self) -> bool:
        """Whether it neither has a connection nor is about to."""
        return self._state == "disconnected"

    def getDestination(self) -> IPv4Address | IPv6Address:
        """Where to."""
        return endpoint("TCP", Address(*self._remote))

    def _reach(self) -> None:
        if self._state != "connecting" or self._owner.dead:
            return
        host = self._network.hosts.get(self._remote[0], self._remote[0])
        remote = Address(host, self._remote[1])
        port = self._network.bound("TCP", remote)
        if not isinstance(port, MemoryPort):
            self._fail(error.ConnectionRefusedError(111, "Connection refused"))
            return
        local = Address(self._local[0], self._local[1] or self._network.free_port("TCP", (self._local[0],)))
        ours, theirs = StreamEnd.pair(self._network, (self._owner, local), (port.owner, remote))
        protocol = self._factory.buildProtocol(ours.getPeer())
        if protocol is None:
            self._fail(UserError())
            return
        if self._patience is not None:
            self._patience.cancel()
        self._state = "connected"
        self.end = ours
        if not port.accept(theirs):
            theirs.abortConnection()
        ours.protocol, ours.when_lost = protocol, self._lost
        protocol.makeConnection(ours)

    def _lost(self, reason: Failure) -> None:
        self._state = "disconnected"
        self._factory.clientConnectionLost(self, reason)
        self._factory.doStop()

    def _fail(self, reason: Exception) -> None:
        if self._state == "connecting":
            self._state = "disconnected"
            if self._patience is not None and self._patience.active():
                self._patience.cancel()
            self._factory.clientConnectionFailed(self, Failure(reason))
            self._factory.doStop()
