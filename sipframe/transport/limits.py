"""Every limit of the transport floor, with its default, and the count of connections against two of them.

Rules: nothing in this floor is bounded by a number that is not here. Times are in seconds, sizes in octets.
"""

from __future__ import annotations

import socket
from typing import Any

import attrs

from sipframe.message import DEFAULT_LIMITS, Limits

__all__ = ["ConnectionCount", "TransportLimits"]


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ValueError(f"{attribute.name}: must be more than 0, not {value}")


@attrs.frozen(kw_only=True)
class TransportLimits:
    """What peers may take up. A wrong value raises ValueError that names the limit."""

    connections: int = attrs.field(default=10_000, validator=_positive)
    """TCP and TLS connections in all; one too many is closed as soon as it is accepted."""
    connections_per_address: int = attrs.field(default=4_096, validator=_positive)
    """The same for one IPv4 address or one IPv6 /64: an office behind one NAT fits, a second flood does not."""
    handshake: float = attrs.field(default=15.0, validator=_positive)
    """From a connection's arrival to the end of its TLS handshake."""
    first_message: float = attrs.field(default=30.0, validator=_positive)
    """From then to the end of its first SIP message; keep-alives do not count."""
    message: float = attrs.field(default=30.0, validator=_positive)
    """From the first octet of a message to its last."""
    idle: float = attrs.field(default=7_200.0, validator=_positive)
    """Silence on a connection that has spoken SIP. A phone without keep-alives is heard of once per registration, and
    :class:`sipframe.verdicts.Terms` lets one last this long; RFC 5626 pings come every two minutes or so."""
    linger: float = attrs.field(default=5.0, validator=_positive)
    """How long a connection that is being closed may take to receive what is still queued."""
    queued: int = attrs.field(default=65_536, validator=_positive)
    """What may be queued to a peer that does not read, once the socket and the 64 KiB of Twisted's buffer are full."""
    connect: float = attrs.field(default=10.0, validator=_positive)
    """From the beginning of a connection of ours to its being there; TLS has ``handshake`` more."""
    outgoing: int = attrs.field(default=5_000, validator=_positive)
    """Connections that we have made or are making; they count as ``connections`` too."""
    outgoing_idle: float = attrs.field(default=300.0, validator=_positive)
    """Silence of the peer on a connection that we have made, before it is closed."""
    waiting_to_connect: int = attrs.field(default=10_000, validator=_positive)
    """Requests that may wait for connections of ours, in all."""
    udp_request: int = attrs.field(default=1_300, validator=_positive)
    """A request with more octets goes by TCP where the target lets us choose (RFC 3261 18.1.1)."""
    message_sizes: Limits = DEFAULT_LIMITS
    """How large one message may be."""
    udp_receive_buffer: int = attrs.field(default=4_194_304, validator=_positive)
    """What the kernel is asked to hold of datagrams that we have not read yet; it may grant less."""
    udp_waiting: int = attrs.field(default=1_048_576, validator=_positive)
    """Octets of datagrams of strangers that may wait for their turn on one socket when more come than can be answered,
    and as many of phones that have registered, which go first. One address may have a sixteenth of it."""
    known: int = attrs.field(default=100_000, validator=_positive)
    """Addresses that phones have registered from over UDP: so many at least, and at most twice as many, go first."""
    honour_maddr: bool = False
    """Whether a response over UDP goes to the Via's maddr (RFC 3261 18.2.2). Anyone can write there the address of
    someone else, or of a service of this host, and have our answers sent to it; so only for closed networks."""


class ConnectionCount:
    """How many connections there are, in all and by address."""

    __slots__ = ("_by_network", "limits", "total")

    def __init__(self, limits: TransportLimits) -> None:
        self.limits = limits
        self._by_network: dict[str | bytes, int] = {}
        self.total = 0

    def full(self, host: str) -> str | None:
        """Which limit one more connection from ``host`` would go beyond; None when it would not."""
        if self.total >= self.limits.connections:
            return f"{self.total} are open (limits.connections)"
        if self._by_network.get(_network(host), 0) >= self.limits.connections_per_address:
            return f"{host} has {self.limits.connections_per_address} (limits.connections-per-address)"
        return None

    def has_room(self, host: str) -> bool:
        """Whether one more connection from ``host`` is within the limits."""
        return self.full(host) is None

    def opened(self, host: str) -> None:
        """Count a connection from ``host``."""
        network = _network(host)
        self.total += 1
        self._by_network[network] = self._by_network.get(network, 0) + 1

    def closed(self, host: str) -> None:
        """Uncount a connection from ``host``."""
        network = _network(host)
        self.total -= 1
        left = self._by_network[network] - 1
        if left:
            self._by_network[network] = left
        else:
            del self._by_network[network]


def _network(host: str) -> str | bytes:
    # One subscriber gets an IPv6 /64 (RFC 6177), so that is what counts as one address.
    if ":" not in host:
        return host
    return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:8]
