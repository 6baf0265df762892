"""Where a user agent client connects to: ``TRANSPORT:HOST:PORT``, and what it follows from (RFC 3261 18.1, 19.1.2)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, NamedTuple

from sipframe.message import SipURI

__all__ = ["Server", "parse_server", "server_of"]

_PORTS: Final = {"UDP": 5060, "TCP": 5060, "TLS": 5061}


class Server(NamedTuple):
    """A far end. ``transport`` is ``UDP``, ``TCP`` or ``TLS``, ``host`` a name or an address without brackets."""

    transport: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport.lower()}:{with_port(self.host, self.port)}"


def with_port(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_server(text: str) -> Server:
    """Read ``udp:HOST:PORT``, ``tcp:...`` or ``tls:...``; the port may be left out. Raises ValueError."""
    transport, _, rest = text.partition(":")
    name = transport.upper()
    if name not in _PORTS:
        raise ValueError(f"{text!a} does not begin with udp:, tcp: or tls:")
    if rest.startswith("["):
        host, bracket, port = rest[1:].partition("]")
        if not bracket or ip_address(host).version != 6:
            raise ValueError(f"{text!a} has no IPv6 address in its brackets")
        if port and not port.startswith(":"):
            raise ValueError(f"{text!a} is not TRANSPORT:HOST:PORT")
        port = port[1:]
    else:
        host, _, port = rest.partition(":")
    if not host:
        raise ValueError(f"{text!a} has no host")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!a}: {port!a} is no port")
    return Server(name, host, int(port) if port else _PORTS[name])


def server_of(aor: SipURI) -> Server:
    """Where an AOR's registrar is when nobody says: at its domain, without a look at SRV records."""
    transport = "TLS" if aor.scheme == "sips" else "UDP"
    return Server(transport, aor.host.strip("[]"), aor.port or _PORTS[transport])
