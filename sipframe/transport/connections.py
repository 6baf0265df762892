"""Connections of ours, and every other flow that a request can leave by (RFC 3261 18.1.1, RFC 5922 7.3).

Rules: a connection is known by its transport, the peer's address and, over TLS, the name that the peer has proved; only
a request that asks for all three uses it again. Nobody who connects to us is taken for a peer by its address: only who
asks for it in its Via (``alias``) over TLS, and has proved the name by a certificate of its own (RFC 5923). Of
several requests that need the same connection one connects and the others wait. Everything is bounded: how long, how
many, how many wait. A connection that fails, fails the requests that wait for it and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectError, UserError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IAddress, IConnector, IProtocol, ITransport
from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from sipframe.interfaces import IFlow
from sipframe.message import MessageError, Request
from sipframe.roads import DEFAULT_PORTS, FlowText, Hop, OurEnd, host_port, parse_flow_text
from sipframe.transport.flow import StreamFlow
from sipframe.transport.our_ends import OurEnds
from sipframe.transport.sink import Ground
from sipframe.transport.sockets import promptly
from sipframe.transport.stream import StreamProtocol
from sipframe.transport.tls import TLSError
from sipframe.transport.tls_client import TLSClient, Towards, is_for
from sipframe.transport.tls_layer import TLSClientLayer

if TYPE_CHECKING:
    from sipframe.roads import Opening

__all__ = ["Connections"]

_log = Logger()

Key = tuple[str, str, int, str]
"""Transport, address, port, and over TLS the name."""
Opened = Callable[[IFlow], object]
Failed = Callable[[str], object]


class Connections:
    """The roads out of one server (:class:`sipframe.roads.Roads`).

    ``reactor`` provides IReactorTCP. Without ``tls`` no TLS connection is made.
    """

    def __init__(self, reactor: object, ground: Ground, ends: OurEnds, tls: TLSClient | None) -> None:
        self._reactor: Any = reactor
        self.ground = ground
        self._ends = ends
        self.tls = tls
        """What the next TLS connections of ours need; it may be replaced."""
        self._flows: dict[Key, StreamFlow] = {}
        self._aliases: dict[tuple[str, int], IFlow] = {}
        """RFC 5923 5: connections of others, by the address that they can be reached at, over TLS."""
        self._connecting: dict[Key, _Connecting] = {}
        self._waiting = 0
        self._closed = False

    # Roads.

    def open(self, hop: Hop, opened: Opened, failed: Failed) -> Opening | None:
        """Find or make a flow to ``hop``: ``opened(flow)`` or ``failed(reason)``, at once or later.

        The result is None when it was at once.
        """
        if self._closed:
            failed("the server is stopping")
            return None
        if hop.transport == "UDP":
            datagrams = self._ends.datagrams_to(hop.host, hop.port)
            if datagrams is None:
                failed(f"no UDP socket of ours leads to {hop.host}")
            else:
                opened(datagrams)
            return None
        key: Key = (hop.transport, hop.host, hop.port, hop.identity if hop.transport == "TLS" else "")
        flow = self._flows.get(key) or self._aliased(hop)
        if flow is not None and flow.alive:
            opened(flow)
            return None
        connecting = self._connecting.get(key)
        refusal = self._refusal(hop, connecting)
        if refusal:
            failed(refusal)
            return None
        waiter = _Waiter(opened, failed)
        if connecting is not None:
            connecting.waiters[waiter] = None
            waiter.connecting = connecting
            self._waiting += 1
            return waiter
        try:
            side = None if hop.transport != "TLS" or self.tls is None else self.tls.towards(hop.identity)
        except TLSError as error:
            failed(str(error))
            return None
        connecting = _Connecting(self, key, side)
        self._connecting[key] = connecting
        connecting.waiters[waiter] = None
        waiter.connecting = connecting
        self._waiting += 1
        try:
            connecting.connect(self._reactor, self.ground.limits.connect)
        except (OSError, OverflowError, ValueError) as error:
            connecting.end(None, str(error))
        return None if connecting.over else waiter

    def end_of(self, flow: IFlow) -> OurEnd:
        """Our end of ``flow``, as Via says it."""
        return self._ends.end_of(flow)

    def find(self, name: str | FlowText | None) -> IFlow | None:
        """The flow that a binding remembers by that name, if it lives: a connection of this very process, or a pair of
        UDP addresses of which one is still ours.
        """
        if not name:
            return None
        if isinstance(name, str):
            try:
                name = parse_flow_text(name)
            except ValueError:
                return None
        if name.transport == "UDP":
            return self._ends.datagrams_from(name.local, name.peer)
        flow = self.ground.flows.get(name.serial)
        if flow is None or not flow.alive:
            return None
        # Serials of another process may come again; the same serial between the same two addresses does not.
        same = (flow.transport, flow.local, flow.peer) == name[:3]
        return flow if same else None

    def alias(self, request: Request, flow: IFlow) -> None:
        """Take note of a request that has come over TLS from a peer with a certificate: it may have asked for requests
        of ours by the same connection (RFC 5923 8.2)."""
        try:
            via = request.via
        except MessageError:
            return
        if via.transport != "TLS" or not any(name == "alias" for name, _ in via.params):
            return
        place = (flow.peer.host, via.port or DEFAULT_PORTS["TLS"])
        aliases = self._aliases
        if len(aliases) >= self.ground.limits.outgoing and place not in aliases:
            for known in [one for one, other in aliases.items() if not other.alive]:
                del aliases[known]
            if len(aliases) >= self.ground.limits.outgoing:
                return
        aliases[place] = flow

    def _aliased(self, hop: Hop) -> IFlow | None:
        """The connection of a peer that asked for requests by it, if the peer has proved the name that is wanted."""
        if hop.transport != "TLS" or not self._aliases:
            return None
        flow = self._aliases.get((hop.host, hop.port))
        if flow is None:
            return None
        if not flow.alive:
            del self._aliases[hop.host, hop.port]
            return None
        certificate = flow.peer_certificate
        proved = certificate is not None and bool(hop.identity) and is_for(certificate, hop.identity)
        return flow if proved else None

    # For the service.

    def close(self) -> None:
        """Make no more connections; those that are being made fail."""
        self._closed = True
        for connecting in tuple(self._connecting.values()):
            connecting.end(None, "the server is stopping")

    def counts(self) -> tuple[int, int, int]:
        """How many connections of ours are open, how many are being made, and how many requests wait for those."""
        return len(self._flows), len(self._connecting), self._waiting

    # Within.

    def _refusal(self, hop: Hop, connecting: _Connecting | None) -> str:
        limits = self.ground.limits
        if hop.transport not in ("TCP", "TLS"):
            return f"the transport {hop.transport} is not spoken here"
        if hop.transport == "TLS" and (self.tls is None or not hop.identity):
            return "TLS is not spoken here" if self.tls is None else "nobody said whom to expect"
        if self._waiting >= limits.waiting_to_connect:
            return "too many requests wait for connections"
        if connecting is None:
            if len(self._flows) + len(self._connecting) >= limits.outgoing:
                return "too many connections of ours"
            if not self.ground.connections.has_room(hop.host):
                return "too many connections"
        return ""

    def came(self, connecting: _Connecting, flow: StreamFlow) -> None:
        """A connection can be used."""
        self._flows[connecting.key] = flow

    def ended(self, connecting: _Connecting) -> None:
        """A connection has come about, or failed."""
        if self._connecting.get(connecting.key) is connecting:
            del self._connecting[connecting.key]
        self._waiting -= len(connecting.waiters)

    def waits_no_more(self, waiter: _Waiter) -> None:
        """One request less that waits."""
        connecting, waiter.connecting = waiter.connecting, None
        if connecting is not None:
            del connecting.waiters[waiter]
            self._waiting -= 1
            if not connecting.waiters:
                connecting.end(None, "nobody waits for it any more")

    def gone(self, key: Key, flow: StreamFlow) -> None:
        """A connection of ours is lost."""
        if self._flows.get(key) is flow:
            del self._flows[key]


class _Waiter:
    """One request that waits for a connection."""

    __slots__ = ("connecting", "failed", "opened")

    def __init__(self, opened: Opened, failed: Failed) -> None:
        self.opened = opened
        self.failed = failed
        self.connecting: _Connecting | None = None

    def cancel(self) -> None:
        """Wait no longer: nobody is told."""
        if self.connecting is not None:
            self.connecting.table.waits_no_more(self)


class _Connecting(ClientFactory):
    """A connection that is being made, and who waits for it."""

    noisy = False

    def __init__(self, table: Connections, key: Key, side: Towards | None) -> None:
        self.table = table
        self.key = key
        self.waiters: dict[_Waiter, None] = {}
        self._side = side
        self._connector: Any = None
        self.over = False

    def connect(self, reactor: Any, deadline: float) -> None:
        _, host, port, _ = self.key
        connector = reactor.connectTCP(host, port, self, deadline)
        if self.over:
            connector.disconnect()
        else:
            self._connector = connector

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:  # type: ignore[override]
        """The connection is there; TLS is still to come."""
        if self.over:
            return None
        ground = self.table.ground
        stream = _OutgoingStream(ground, self)
        return stream if self._side is None else TLSClientLayer(stream, self._side, ground.counters)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """The connection will not come."""
        self.end(None, _why(reason.value))

    def end(self, flow: StreamFlow | None, reason: str) -> None:
        """It is there, or it has failed: tell who waits."""
        if self.over:
            return
        self.over = True
        table = self.table
        counters = table.ground.counters
        if flow is None:
            counters.connections_failed += 1
        else:
            counters.connections_made += 1
            table.came(self, flow)
        table.ended(self)
        waiters, self.waiters = self.waiters, {}
        for waiter in waiters:
            waiter.connecting = None
        # It knows us: together they would wait for the collector of cycles.
        connector, self._connector = self._connector, None
        if flow is None and connector is not None:
            connector.disconnect()
        transport, host, port, _ = self.key
        for waiter in waiters:
            try:
                if flow is None:
                    waiter.failed(f"{transport.lower()}:{host_port(host, port)}: {reason}")
                else:
                    waiter.opened(flow)
            except Exception:
                _log.failure("what waited for {peer} failed", peer=host_port(host, port))


class _OutgoingStream(StreamProtocol):
    """One connection of ours."""

    __slots__ = ("_connecting", "_key", "_table", "_why")

    def __init__(self, ground: Ground, connecting: _Connecting) -> None:
        super().__init__(ground, connecting.key[0] == "TLS")
        self._connecting: _Connecting | None = connecting
        self._table = connecting.table
        self._key = connecting.key
        self._why = "the connection was closed before it could be used"

    def makeConnection(self, transport: ITransport) -> None:
        """The connection is there."""
        super().makeConnection(transport)
        if not self._secure:
            promptly(transport)
            self._use()

    def handshakeCompleted(self) -> None:
        """TLS is there, and with it who the peer is."""
        super().handshakeCompleted()
        certificate = self.flow.peer_certificate
        name = self._key[3]
        if certificate is None or not is_for(certificate, name):
            # RFC 5922 7.3: the client MUST close the connection immediately.
            self._why = f"its certificate is not for {name}"
            self.abort()
        else:
            self._use()

    def handshake_failed(self, reason: str) -> None:
        """TLS will not come about."""
        self._why = reason

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The connection is gone."""
        self._table.gone(self._key, self.flow)
        super().connectionLost(reason)
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.end(None, self._why)

    def overdue(self) -> None:
        """This state has lasted too long."""
        if self._connecting is not None:
            self._why = "its TLS handshake took too long"
        super().overdue()

    def _use(self) -> None:
        self._in_use()
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.end(self.flow, "")


def _why(error: BaseException | None) -> str:
    if isinstance(error, ConnectTimeout):
        return "no answer to the connection in time"
    if isinstance(error, UserError):
        return "given up"
    if isinstance(error, ConnectError):
        number: object = error.osError
        reason = os.strerror(number) if isinstance(number, int) else str(error)
        return f"{reason[:1].lower()}{reason[1:]}"
    return str(error)
