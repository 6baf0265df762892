"""Where we listen: ``TRANSPORT:PORT[:interface=ADDRESS][:advertise=HOST[:PORT]]``, and the sockets that come of it.

Rules: an address is checked when it is made, before anything listens. Without an interface it is every IPv4 address of
the host; ``::`` is every IPv6 address and no IPv4 one. The reactor is an argument. Stopping has two steps: first no new
connection comes in while everything that is open goes on, then all is closed, within a bound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, cast

import attrs
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.internet.posixbase import PosixReactorBase

from sipframe.message import MessageError, SipURI, parse_uri
from sipframe.transport.everywhere import EverywherePort, knows_destinations
from sipframe.transport.sink import Ground
from sipframe.transport.sockets import BACKLOG, DirectPort
from sipframe.transport.stream import StreamFactory
from sipframe.transport.tls import TLSIdentity
from sipframe.transport.udp import LARGEST_DATAGRAM, DatagramPort, UDPEndpoint
from sipframe.verdicts import Address

__all__ = ["ListenAddress", "Listeners", "Listening"]

_TRANSPORTS: Final[Mapping[str, Literal["udp", "tcp", "tls"]]] = MappingProxyType(
    {"udp": "udp", "tcp": "tcp", "tls": "tls"}
)
_FORM: Final = "TRANSPORT:PORT[:interface=ADDRESS][:advertise=HOST[:PORT]]"
_ONLY: Final = "only interface=ADDRESS and advertise=HOST[:PORT] may stand"
_OPTION: Final = re.compile(r":(?=interface=|advertise=)")


def _port_number(_: object, __: object, value: int) -> None:
    if not 0 <= value <= 65_535:
        raise ValueError(f"the port is 0 to 65535, not {value}")


def _numeric(_: object, __: object, value: str) -> None:
    if value:
        try:
            ip_address(value)
        except ValueError:
            raise ValueError(f"the interface is a numeric IPv4 or IPv6 address, not {value!r}") from None


def _host_port(_: object, __: object, value: str) -> None:
    if value:
        try:
            uri = parse_uri(f"sip:{value}")
        except MessageError:
            uri = None
        if not isinstance(uri, SipURI) or uri.user is not None or uri.params or uri.headers:
            raise ValueError(f"advertise is HOST or HOST:PORT, not {value!r}")


@attrs.frozen
class ListenAddress:
    """One address to listen on. ``str()`` gives the text that :meth:`parse` reads."""

    transport: Literal["udp", "tcp", "tls"]
    port: int = attrs.field(validator=_port_number)
    """0 lets the system choose."""
    interface: str = attrs.field(default="", validator=_numeric)
    """A numeric address without brackets; empty for all IPv4 addresses of the host."""
    advertise: str = attrs.field(default="", validator=_host_port)
    """HOST or HOST:PORT, by which others reach this socket, where that is not its own address: behind a NAT, or by the
    name in the certificate. It stands in Via, Record-Route and Contact; empty: the address itself does."""

    @property
    def advertised(self) -> tuple[str, int | None] | None:
        """Host, without brackets, and port of what is advertised."""
        if not self.advertise:
            return None
        uri = parse_uri(f"sip:{self.advertise}")
        assert isinstance(uri, SipURI)
        return uri.host.strip("[]"), uri.port

    @classmethod
    def parse(cls, text: str) -> ListenAddress:
        """Read ``udp:5060``, ``tcp:5060:interface=192.0.2.1``, ``tls:5061:interface=[::1]`` (the brackets may be
        missing, and colons may be escaped as in Twisted's endpoints). Raises ValueError with one line."""
        first, *options = _OPTION.split(text)
        name, _, port = first.partition(":")
        port, _, more = port.partition(":")
        transport = _TRANSPORTS.get(name.lower())
        if transport is None:
            raise ValueError(f"{text!r}: the transport is udp, tcp or tls, as in {_FORM}")
        if not (port.isascii() and port.isdigit()):
            raise ValueError(f"{text!r}: the port is 0 to 65535, as in {_FORM}")
        if more:
            raise ValueError(f"{text!r}: behind the port {_ONLY}, as in {_FORM}")
        given: dict[str, str] = {}
        for option in options:
            key, _, value = option.partition("=")
            if not value or key in given:
                raise ValueError(f"{text!r}: behind the port {_ONLY}, once and not empty, as in {_FORM}")
            given[key] = value.replace("\\:", ":")
        interface = given.get("interface", "")
        if interface.startswith("[") and interface.endswith("]"):
            interface = interface[1:-1]
        try:
            return cls(transport, int(port), interface, given.get("advertise", ""))
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}") from None

    def __str__(self) -> str:
        interface = f"[{self.interface}]" if ":" in self.interface else self.interface
        at = f":interface={interface}" if interface else ""
        known = f":advertise={self.advertise}" if self.advertise else ""
        return f"{self.transport}:{self.port}{at}{known}"


class Listening(NamedTuple):
    """A socket that listens."""

    transport: str
    """``UDP``, ``TCP`` or ``TLS``."""
    local: Address
    port: IListeningPort
    endpoint: UDPEndpoint | None = None
    """What speaks UDP through it."""
    advertised: Address | None = None
    """Where others reach it, when that is not ``local``."""


class Listeners:
    """All that one server listens on, and its connections."""

    def __init__(self, reactor: object, ground: Ground, identity: TLSIdentity | None = None) -> None:
        """``reactor`` provides IReactorUDP and IReactorTCP; one that is built on descriptors is used directly."""
        self._reactor: Any = reactor
        self._ground = ground
        self._identity = identity
        self._direct = isinstance(reactor, PosixReactorBase)
        self.open: list[Listening] = []

    def listen(self, address: ListenAddress) -> Listening:
        """Open one more. Raises :class:`twisted.internet.error.CannotListenError`; ValueError for TLS without
        certificates."""
        endpoint = UDPEndpoint(self._ground) if address.transport == "udp" else None
        port = self._stream(address) if endpoint is None else self._udp(address, endpoint)
        host = cast(Any, port.getHost())
        advertised = None
        if address.advertised is not None:
            known, number = address.advertised
            advertised = Address(known, host.port if number is None else number)
        local = Address(host.host, host.port)
        made = Listening(address.transport.upper(), local, port, endpoint, advertised)
        self.open.append(made)
        return made

    def _udp(self, address: ListenAddress, endpoint: UDPEndpoint) -> IListeningPort:
        if not self._direct:
            port: IListeningPort = self._reactor.listenUDP(
                address.port, endpoint, address.interface, LARGEST_DATAGRAM
            )
            return port
        kind = EverywherePort if knows_destinations(address.interface) else DatagramPort
        direct: IListeningPort = kind(address.port, endpoint, address.interface, self._reactor)
        direct.startListening()
        return direct

    def _stream(self, address: ListenAddress) -> IListeningPort:
        identity = None
        if address.transport == "tls":
            identity = self._identity
            if identity is None:
                raise ValueError(f"{address}: TLS needs a certificate")
        factory = StreamFactory(self._ground, identity)
        if not self._direct:
            port: IListeningPort = self._reactor.listenTCP(address.port, factory, BACKLOG, address.interface)
            return port
        direct = DirectPort(address.port, factory, BACKLOG, address.interface, self._reactor)
        direct.startListening()
        return direct

    def stop_accepting(self) -> Deferred[None]:
        """Close the listening TCP and TLS sockets. Connections and UDP go on; fires when it is done."""
        return self._stop([one for one in self.open if one.transport != "UDP"])

    def close(self, deadline: float) -> Deferred[None]:
        """Close everything: what is queued may leave for ``deadline`` seconds. Fires when nothing is open."""
        streams = self._ground.streams
        done = self._stop(list(self.open))
        for stream in tuple(streams):
            stream.close()
        if not streams:
            return done
        gone: Deferred[None] = Deferred()
        _Farewell(self._ground, gone, deadline)
        return done.addCallback(lambda _: gone)

    def _stop(self, some: list[Listening]) -> Deferred[None]:
        waiting = []
        for one in some:
            self.open.remove(one)
            stopping = one.port.stopListening()
            if stopping is not None:
                waiting.append(stopping)
        return DeferredList(waiting, consumeErrors=True).addCallback(lambda _: None)


class _Farewell:
    """Waits for the connections of ``ground`` to go, and cuts those that are left at the deadline."""

    def __init__(self, ground: Ground, gone: Deferred[None], deadline: float) -> None:
        self._ground = ground
        self._gone = gone
        self._cut: IDelayedCall | None = ground.clock.callLater(deadline, self._abort)
        ground.when_empty.append(self._empty)

    def _abort(self) -> None:
        self._cut = None
        for stream in tuple(self._ground.streams):
            stream.abort()

    def _empty(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
        self._gone.callback(None)
