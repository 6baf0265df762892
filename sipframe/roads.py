"""The roads out, as values: next hops, our own end of a flow, and flows by name (RFC 3261 18.1.1, RFC 3263 4).

Rules: values and pure functions; no look-up and no socket. A ``sips`` URI has hops over TLS only. What a hop's
certificate must prove is the domain of the URI that led to the hop, whatever the look-up made of it (RFC 5922 7.3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from sipframe.interfaces import IFlow
from sipframe.message import SipURI
from sipframe.verdicts import Address

__all__ = [
    "DEFAULT_PORTS",
    "Destination",
    "FlowText",
    "Hop",
    "Opening",
    "OurEnd",
    "Roads",
    "Unroutable",
    "destination_of",
    "flow_text",
    "parse_flow_text",
]

DEFAULT_PORTS: Final[Mapping[str, int]] = MappingProxyType({"UDP": 5060, "TCP": 5060, "TLS": 5061})
"""The transports that are spoken here, and their ports (RFC 3261 19.1.2)."""


class Unroutable(Exception):
    """A URI leads nowhere. ``status`` and ``reason`` are what an answer would say."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Hop(NamedTuple):
    """One place that a request can be sent to."""

    transport: str
    """``UDP``, ``TCP`` or ``TLS``."""
    host: str
    """A numeric address, without brackets."""
    port: int
    identity: str = ""
    """Over TLS: the domain or address that the peer's certificate must be for (RFC 5922 7.3)."""
    tcp_too: bool = False
    """Over UDP: whether a request that is large may go by TCP instead (RFC 3261 18.1.1): nobody asked for UDP."""

    def __str__(self) -> str:
        return f"{self.transport.lower()}:{host_port(self.host, self.port)}"


class Destination(NamedTuple):
    """Where a URI points (RFC 3263 4): a :class:`Hop`, but that ``host`` may be a name."""

    transport: str
    host: str
    port: int
    identity: str
    tcp_too: bool
    numeric: bool

    def hop(self, host: str) -> Hop:
        """The hop, ``host`` being an address of it."""
        return Hop(self.transport, host, self.port, self.identity, self.tcp_too)


def destination_of(uri: SipURI) -> Destination:
    """Where ``uri`` points, without NAPTR and SRV (RFC 3263 4.1, 4.2). Raises Unroutable."""
    wanted = uri.param("transport")
    transport = "UDP" if wanted is None else wanted.upper()
    if uri.scheme == "sips":
        # RFC 3261 26.2.2: TLS, whatever it runs over; UDP is not for it.
        if wanted is not None and transport not in ("TCP", "TLS"):
            raise Unroutable(503, f"sips is not spoken over {wanted}")
        transport = "TLS"
    elif transport not in DEFAULT_PORTS:
        raise Unroutable(503, f"the transport {wanted} is not spoken here")
    target = (uri.param("maddr") or uri.host).strip("[]")  # RFC 3263 4: TARGET
    if not target:
        raise Unroutable(503, "an empty maddr leads nowhere")
    return Destination(
        transport,
        target,
        uri.port or DEFAULT_PORTS[transport],
        uri.host.strip("[]").rstrip(".").lower() if transport == "TLS" else "",
        transport == "UDP" and wanted is None,
        _is_numeric(target),
    )


def _is_numeric(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class OurEnd(NamedTuple):
    """Our end of a flow, as it stands in Via, Contact and Record-Route: where others reach us over that transport."""

    transport: str
    host: str
    """Without brackets."""
    port: int

    @property
    def sent_by(self) -> str:
        """For Via (RFC 3261 18.1.1)."""
        return host_port(self.host, self.port)

    @property
    def uri(self) -> str:
        """A ``sip`` URI that leads here."""
        transport = "" if self.transport == "UDP" else f";transport={self.transport.lower()}"
        return f"sip:{self.sent_by}{transport}"


class Opening(Protocol):
    """A flow that is not there yet."""

    def cancel(self) -> None:
        """It is not waited for any more: nobody is told."""


class Roads(Protocol):
    """How a core gets at flows; the transport floor has them."""

    def open(
        self, hop: Hop, opened: Callable[[IFlow], object], failed: Callable[[str], object]
    ) -> Opening | None:
        """Find or make a flow to ``hop``: ``opened(flow)``, or ``failed(reason)``, at once or later, and once.

        The result is None when it was at once.
        """

    def end_of(self, flow: IFlow) -> OurEnd:
        """Our end of ``flow``."""

    def find(self, name: str | FlowText | None) -> IFlow | None:
        """The flow of that name, if it lives; the name may be what :func:`flow_text` has written."""


class FlowText(NamedTuple):
    """A flow by name: what :func:`flow_text` says of it."""

    transport: str
    local: Address
    peer: Address
    serial: int


def flow_text(flow: IFlow) -> str:
    """A flow as a binding remembers it: ``TRANSPORT LOCAL PEER SERIAL``."""
    (local, local_port), (peer, peer_port) = flow.local, flow.peer
    if ":" in peer or ":" in local:
        return f"{flow.transport} {host_port(local, local_port)} {host_port(peer, peer_port)} {flow.serial}"
    return f"{flow.transport} {local}:{local_port} {peer}:{peer_port} {flow.serial}"


@lru_cache(maxsize=4096)
def parse_flow_text(text: str) -> FlowText:
    """Read what :func:`flow_text` has written. Raises ValueError."""
    transport, local, peer, serial = text.split(" ")
    return FlowText(transport, _address(local), _address(peer), int(serial))


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return Address(host[1:-1] if host[:1] == "[" else host, int(port))


def host_port(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
