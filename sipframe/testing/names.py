"""The name servers of a network in memory: its names, and whatever other records a test has put there."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, succeed

if TYPE_CHECKING:
    from sipframe.testing.network import Network

__all__ = ["MemoryNames"]

_TTL = 60


class MemoryNames:
    """What :class:`sipframe.transport.DNSClient` asks for, from ``hosts`` and ``records`` of ``network``."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def lookupNamingAuthorityPointer(self, name: bytes) -> Deferred[Any]:
        """NAPTR records."""
        return self._answer(name, "Record_NAPTR")

    def lookupService(self, name: bytes) -> Deferred[Any]:
        """SRV records."""
        return self._answer(name, "Record_SRV")

    def lookupAddress(self, name: bytes) -> Deferred[Any]:
        """A records."""
        return self._answer(name, "Record_A", 4)

    def lookupIPV6Address(self, name: bytes) -> Deferred[Any]:
        """AAAA records."""
        return self._answer(name, "Record_AAAA", 6)

    def _answer(self, name: bytes, kind: str, version: int = 0) -> Deferred[Any]:
        from twisted.names import dns, error  # slow to import, and most tests know no name

        made: Callable[..., Any] = getattr(dns, kind)
        text = name.decode("ascii").lower()
        records = [one for one in self._network.records.get(text, ()) if type(one) is made]
        host = self._network.hosts.get(text)
        if host is not None and ip_address(host).version == version:
            records.append(made(host))
        if not records:
            return fail(error.DomainError(name))
        headers = [dns.RRHeader(name, one.TYPE, dns.IN, one.ttl or _TTL, one) for one in records]
        return succeed((headers, [], []))
