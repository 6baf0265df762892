"""Trusted networks: whoever sends from there is believed to be who they say they are.

Rules: the address that counts is the one the socket saw, never a Via. A request from elsewhere, or one whose From (for
a REGISTER: whose To) names no user of ours, is abstained from.

**This proves nothing.** Whoever can send from a trusted network can register as any user and take their calls; so can
whoever is let in by a proxy, a NAT or a host there, for then its address is what the socket sees. A datagram's source
address is whatever its sender wrote, so UDP counts only where that is asked for; a connection needs somebody who
answers from that address. Credentials are not looked at: a wrong password from a trusted network is no obstacle.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from zope.interface import implementer

from sipframe.auth.claimed import claim_of
from sipframe.domains import Domains
from sipframe.interfaces import IAuthenticator
from sipframe.message import MessageError
from sipframe.surroundings import Surroundings
from sipframe.verdicts import Abstained, Accepted, Identity, Rejected

if TYPE_CHECKING:
    from sipframe.interfaces import IFlow
    from sipframe.message import Request

__all__ = ["TrustedNetworks", "trusted"]

_TRANSPORTS: Final = ("UDP", "TCP", "TLS")
_MOST_REMEMBERED: Final = 4096
"""Pairs of transport and address whose answer is kept, about 200 octets each."""

_ELSEWHERE: Final = Abstained("not from a trusted network")
_NOBODY: Final = Abstained("from a trusted network, but as no user of ours")


class _Network(NamedTuple):
    addresses: IPv4Network | IPv6Network
    transport: str | None

    @classmethod
    def parse(cls, text: str, udp: bool) -> _Network:
        transport, slash, rest = text.partition("/")
        if not slash or transport.upper() not in _TRANSPORTS:
            transport, rest = "", text
        try:
            addresses = ip_network(rest)
        except ValueError as error:
            raise ValueError(
                f"networks: {error}; write 192.0.2.0/24, or tls/192.0.2.0/24 for one transport"
            ) from None
        if addresses.prefixlen == 0:
            raise ValueError(f"networks: {text} is everybody")
        if transport.upper() == "UDP" and not udp:
            raise ValueError(
                f"networks: {text}: the source of a datagram can be forged; say udp=yes to trust it"
            )
        return cls(addresses, transport.upper() or None)


@implementer(IAuthenticator)
class TrustedNetworks:
    """Accepts requests from ``networks`` as the user of ours that they name.

    ``networks`` are CIDR, ``192.0.2.0/24``; ``tls/192.0.2.0/24`` is trusted over that transport only. Without ``udp``
    no datagram is. Raises ValueError for what is no network, and for a network that is everybody.
    """

    def __init__(self, networks: Iterable[str], domains: Domains, *, udp: bool = False) -> None:
        self._networks = tuple([_Network.parse(network, udp) for network in networks])
        if not self._networks:
            raise ValueError("networks: one at least")
        self._domains = domains
        self._udp = udp
        self._trusts = lru_cache(_MOST_REMEMBERED)(self._look_up)

    def authenticate(self, request: Request, flow: IFlow) -> Accepted | Abstained | Rejected:
        """Accepted, or Abstained (IAuthenticator)."""
        if not self._trusts(flow.transport, flow.peer.host):
            return _ELSEWHERE
        try:
            claim = claim_of(request, self._domains)
        except MessageError as error:
            return Rejected(error.status, error.reason)
        if claim is None:
            return _NOBODY
        return Accepted(Identity(claim.aor, claim.domain, frozenset((claim.aor,))))

    def _look_up(self, transport: str, host: str) -> bool:
        if transport == "UDP" and not self._udp:
            return False
        try:
            address = ip_address(host)
        except ValueError:
            return False
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address  # as a socket for both families has it
        return any(address in one.addresses and one.transport in (None, transport) for one in self._networks)


def trusted(
    *,
    networks: Annotated[
        tuple[str, ...],
        "whose requests are believed, as 192.0.2.0/24; tls/192.0.2.0/24 over that transport only",
    ],
    udp: Annotated[bool, "believe datagrams as well, whose source address can be forged"] = False,
    surroundings: Surroundings,
) -> TrustedNetworks:
    """Requests from these networks come from whom they say. Anybody there can be any user. Raises ValueError."""
    return TrustedNetworks(networks, Domains(surroundings.domains, surroundings.aliases), udp=udp)
