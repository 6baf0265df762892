"""Flow tokens: what we write into Record-Route and Path URIs of ours, and nobody else can (RFC 5626 5.2).

Rules: a token says which flow, and is signed together with a scope, such as a Call-ID, that the later request must have
too. It stands in the user part of a URI, so it is base64url without padding: 10 octets of a MAC, then the flow.
The MAC is keyed BLAKE2s (RFC 7693 2.9), compared in constant time. A token holds as long as the key does; whether the
flow still lives is another question. What is remembered only saves work, and is bounded.
"""

from __future__ import annotations

import binascii
import hmac
from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from hashlib import blake2s
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from sipframe.interfaces import IFlow
from sipframe.roads import FlowText
from sipframe.verdicts import Address

__all__ = ["SHORTEST", "FlowTokens"]

_MAC_OCTETS: Final = 10
"""80 bits, as in the example of RFC 5626 5.2."""
# RFC 4648 5.
_TO_BASE64: Final = str.maketrans("-_", "+/")
_FROM_BASE64: Final = str.maketrans("+/", "-_")
_TRANSPORTS: Final = ("UDP", "TCP", "TLS", "WS", "WSS")
_V4: Final = 0
_V6: Final = 1
_TEXT: Final = 2
"""An address that would not come back letter by letter from its octets, such as one with a zone."""
SHORTEST: Final = 32
"""No token of ours has fewer characters."""
_LONGEST: Final = 400
_MOST_REMEMBERED: Final = 4096


class FlowTokens:
    """Makes tokens and reads them. ``key`` is at least 16 octets of entropy, kept secret."""

    __slots__ = ("_mac", "_remembered")

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError("a key for flow tokens has at least 16 octets")
        # Each request of a dialog brings the same ones.
        self._remembered = lru_cache(maxsize=_MOST_REMEMBERED)(self._read)
        self._mac = blake2s(key=hmac.digest(key, b"flow token", "sha256"), digest_size=_MAC_OCTETS)

    def issue(self, flow: IFlow | FlowText, scope: str = "") -> str:
        """The token of ``flow``, good for ``scope``."""
        transport = flow.transport
        # Over UDP the addresses are all there is to a flow: each datagram has a serial of its own.
        data = _octets(transport, flow.local, flow.peer, 0 if transport == "UDP" else flow.serial)
        return _text(self._sign(data, scope) + data)

    def read(self, token: str | None, scope: str = "") -> FlowText | None:
        """The flow of a token of ours that was made for ``scope``, else None. ``token`` may be any user part."""
        if token is None or not SHORTEST <= len(token) <= _LONGEST:
            return None
        return (self._remembered if len(scope) <= _LONGEST else self._read)(token, scope)

    def _read(self, token: str, scope: str) -> FlowText | None:
        try:
            octets = a2b_base64(
                token.translate(_TO_BASE64) + "=="
            )  # which may be more padding than there should be
        except (binascii.Error, ValueError):
            return None
        if _text(octets) != token:
            return None  # another spelling of what may be one of ours
        data = octets[_MAC_OCTETS:]
        if not hmac.compare_digest(self._sign(data, scope), octets[:_MAC_OCTETS]):
            return None
        return _flow(data)

    def _sign(self, data: bytes, scope: str) -> bytes:
        mac = self._mac.copy()
        mac.update(bytes((len(data),)))
        mac.update(data)
        mac.update(scope.encode("utf-8", "surrogateescape"))
        return mac.digest()


def _text(octets: bytes) -> str:
    return b2a_base64(octets, newline=False).decode("ascii").rstrip("=").translate(_FROM_BASE64)


@lru_cache(maxsize=4096)
def _octets(transport: str, local: Address, peer: Address, serial: int) -> bytes:
    return (
        bytes((_TRANSPORTS.index(transport),))
        + _end(local)
        + _end(peer)
        + serial.to_bytes((serial.bit_length() + 7) // 8, "big")
    )


@lru_cache(maxsize=4096)
def _flow(data: bytes) -> FlowText:
    """The flow again; ``data`` is what :func:`_octets` wrote: it was signed."""
    local, position = _read_end(data, 1)
    peer, position = _read_end(data, position)
    return FlowText(_TRANSPORTS[data[0]], local, peer, int.from_bytes(data[position:], "big"))


def _end(address: Address) -> bytes:
    host, port = address
    try:
        ip = ip_address(host)
    except ValueError:
        ip = None
    if ip is None or str(ip) != host or "%" in host:
        text = host.encode("utf-8", "surrogateescape")
        return bytes((_TEXT, len(text))) + text + port.to_bytes(2, "big")
    return bytes((_V4 if ip.version == 4 else _V6,)) + ip.packed + port.to_bytes(2, "big")


def _read_end(data: bytes, position: int) -> tuple[Address, int]:
    kind = data[position]
    position += 1
    if kind == _V4:
        end = position + 4
        host = str(IPv4Address(data[position:end]))
    elif kind == _V6:
        end = position + 16
        host = str(IPv6Address(data[position:end]))
    else:
        end = position + 1 + data[position]
        host = data[position + 1 : end].decode("utf-8", "surrogateescape")
    return Address(host, int.from_bytes(data[end : end + 2], "big")), end + 2
