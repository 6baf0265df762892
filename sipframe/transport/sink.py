"""What the transport floor calls, and what all its parts share.

Rules: the transport knows nothing of the floors above but this. Everything that a part needs from outside is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Protocol

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from sipframe.interfaces import IFlow
from sipframe.message import MessageError, Request, Response
from sipframe.transport.counters import TransportCounters
from sipframe.transport.crowding import Crowding
from sipframe.transport.deadlines import Deadlines
from sipframe.transport.known import Known
from sipframe.transport.limits import ConnectionCount, TransportLimits
from sipframe.transport.traffic import Traffic
from sipframe.transport.turns import Turns

if TYPE_CHECKING:
    from sipframe.transport.flow import StreamFlow
    from sipframe.transport.stream import StreamProtocol

__all__ = ["Ground", "Sink"]

_log = Logger()


class Sink(Protocol):
    """Who takes what arrives. An exception is logged and counted and hurts only the message at hand."""

    def request(self, request: Request, flow: IFlow, /) -> object:
        """A request came by ``flow``."""

    def response(self, response: Response, flow: IFlow, /) -> object:
        """A response came by ``flow``."""

    def malformed(self, error: MessageError, flow: IFlow, /) -> object:
        """What came is no message. A connection is closed afterwards: what is sent now still leaves."""

    def flow_lost(self, flow: IFlow, /) -> object:
        """A connection that has brought messages is gone. Called once, with ``flow.alive`` False."""

    def too_large(self, data: bytes, flow: IFlow, /) -> bytes | None:
        """No datagram can hold ``data``: what shall be sent in its place, if anything (one try)."""


@attrs.define(eq=False)
class Ground:
    """What the flows of one process stand on."""

    clock: IReactorTime
    sink: Sink
    limits: TransportLimits = attrs.field(factory=TransportLimits)
    counters: TransportCounters = attrs.field(factory=TransportCounters)
    traffic: Traffic = attrs.field(factory=Traffic)
    """Told of every message, when somebody watches."""
    serials: Iterator[int] = attrs.field(factory=lambda: count(1))
    """Gives each flow its number."""
    deadlines: Deadlines = attrs.field(
        default=attrs.Factory(lambda self: Deadlines(self.clock), takes_self=True)
    )
    connections: ConnectionCount = attrs.field(
        default=attrs.Factory(lambda self: ConnectionCount(self.limits), takes_self=True)
    )
    crowding: Crowding = attrs.field(
        default=attrs.Factory(lambda self: Crowding(self.clock, self.counters), takes_self=True)
    )
    known: Known = attrs.field(default=attrs.Factory(lambda self: Known(self.limits.known), takes_self=True))
    """Where phones have registered from, over UDP."""
    turns: Turns = attrs.field(default=attrs.Factory(lambda self: Turns(self.clock), takes_self=True))
    streams: dict[StreamProtocol, None] = attrs.field(factory=dict)
    """Every connection there is, the oldest first."""
    flows: dict[int, StreamFlow] = attrs.field(factory=dict)
    """Their flows, by serial."""
    when_empty: list[Callable[[], object]] = attrs.field(factory=list)
    """Called, once each, when the last connection has gone."""

    def take_limits(self, limits: TransportLimits) -> None:
        """Limit what happens from now on by others. Open connections keep the sizes of messages they began with."""
        self.limits = limits
        self.connections.limits = limits

    def gone(self, stream: StreamProtocol) -> None:
        """One connection less."""
        self.streams.pop(stream, None)
        while self.when_empty and not self.streams:
            self.when_empty.pop()()

    def failed(self, what: Callable[..., object], flow: IFlow) -> None:
        """Log and count the exception at hand, which ``what`` of the sink raised."""
        self.counters.sink_failures += 1
        _log.failure(
            "{what} failed on what came by {transport} from {peer}",
            what=what.__name__,
            transport=flow.transport,
            peer=flow.peer,
        )
