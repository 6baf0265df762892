"""From a URI to hops by the system's names alone: A and AAAA (RFC 3263 4.2), without NAPTR and SRV.

Rules: the reactor's resolver is asked, and only for a host that is a name. What it gives is a list of hops in its
order, cut at a limit. The name stays what a certificate must prove, whatever address it led to (RFC 5922 7.3).
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHostResolution, IResolutionReceiver
from zope.interface import implementer

from sipframe.message import SipURI
from sipframe.roads import Hop, Unroutable, destination_of

__all__ = ["HostResolver"]


class HostResolver:
    """Finds the hops of a URI. ``reactor`` provides IReactorPluggableNameResolver; ``most`` bounds one answer."""

    def __init__(self, reactor: object, most: int = 8) -> None:
        self._reactor: Any = reactor
        self._most = most

    def resolve(self, uri: SipURI) -> list[Hop] | Deferred[list[Hop]]:
        """The hops to try, in order; at once when the host is an address. Raises Unroutable."""
        destination = destination_of(uri)
        if destination.numeric:
            return [destination.hop(destination.host)]
        found: Deferred[list[str]] = Deferred()
        self._reactor.nameResolver.resolveHostName(_Addresses(found), destination.host)

        def hops(addresses: list[str]) -> list[Hop]:
            if not addresses:
                raise Unroutable(503, f"{destination.host} has no address")
            return [destination.hop(address) for address in addresses[: self._most]]

        return found.addCallback(hops)


@implementer(IResolutionReceiver)
class _Addresses:
    """Collects what the resolver finds."""

    def __init__(self, found: Deferred[list[str]]) -> None:
        self._found = found
        self._addresses: dict[str, None] = {}

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """The look-up has begun."""

    def addressResolved(self, address: Any) -> None:
        """One address."""
        self._addresses[address.host] = None

    def resolutionComplete(self) -> None:
        """That was all."""
        if not self._found.called:
            self._found.callback(list(self._addresses))
