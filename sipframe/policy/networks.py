"""Numeric addresses: which networks they are in, and what counts as one source.

Rules: addresses are the text that a socket gives; nothing is resolved. One subscriber has one IPv4 address or one IPv6
/64 (RFC 6177 2), so that is one source. An IPv4 address that IPv6 carries (RFC 4291 2.5.5.2) is the IPv4 address.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_network
from typing import Final, TypeAlias

__all__ = ["Networks", "Source", "source_of", "source_text"]

Source: TypeAlias = str | bytes
"""An IPv4 address as text, or the first eight octets of an IPv6 one. It is a key, and cheap to make."""

_MAPPED: Final = bytes(10) + b"\xff\xff"


def source_of(host: str) -> Source:
    """What ``host`` counts as. Raises OSError when it is no numeric address but has a colon in it."""
    if ":" not in host:
        return host
    packed = _packed(host)
    return packed[:8] if len(packed) == 16 else socket.inet_ntop(socket.AF_INET, packed)


def source_text(source: Source) -> str:
    """A source in the words of an administrator: ``192.0.2.7``, ``2001:db8:1:2::/64``."""
    if isinstance(source, str):
        return source
    return f"{IPv6Address(source + bytes(8))}/64"


class Networks:
    """Some networks, each as ``192.0.2.0/24``, ``2001:db8::/32`` or one address; ``host in networks`` asks them.

    Raises ValueError for a network that is none, or has bits set behind its length.
    """

    __slots__ = ("_by_length",)

    def __init__(self, texts: Iterable[str]) -> None:
        # Octets of an address, to the networks of that family: first address and mask.
        self._by_length: dict[int, list[tuple[int, int]]] = {4: [], 16: []}
        for text in texts:
            network = ip_network(text.strip())
            found = (int(network.network_address), int(network.netmask))
            self._by_length[len(network.network_address.packed)].append(found)

    def __contains__(self, host: str) -> bool:
        packed = _packed(host)
        number = int.from_bytes(packed, "big")
        for first, mask in self._by_length[len(packed)]:  # noqa: SIM110 - half the time of any()
            if number & mask == first:
                return True
        return False


def _packed(host: str) -> bytes:
    if ":" not in host:
        return socket.inet_pton(socket.AF_INET, host)
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])  # fe80::1%eth0: RFC 4007 11
    return packed[12:] if packed.startswith(_MAPPED) else packed
