"""Our own end of what goes out: which UDP socket a request leaves by, and what Via says (RFC 3261 18.1.1).

Rules: a request over UDP leaves by a socket that we listen on, so that its answer finds us and NATs stay open; sent-by
is where we listen over that transport, not where a connection of ours happens to begin. A socket that is bound to
loopback leads nowhere else.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address

from sipframe.interfaces import IFlow
from sipframe.roads import OurEnd
from sipframe.transport.flow import UDPFlow
from sipframe.transport.listeners import Listening
from sipframe.verdicts import Address

__all__ = ["OurEnds"]

_FRESH_FOR = 1000
"""How often what was found out is used before it is found out anew: addresses and routes of this machine change."""
_EVERYWHERE = ("", "0.0.0.0", "::")


class OurEnds:
    """What we listen on, as seen from requests that leave. ``listening`` may change meanwhile."""

    def __init__(self, listening: Sequence[Listening]) -> None:
        self._listening = listening
        self._ends: dict[tuple[str, Address, str], OurEnd] = {}
        self._ends_of = 0
        self._uses = 0
        self._sources: dict[str, str | None] = {}

    def datagrams_to(self, host: str, port: int) -> UDPFlow | None:
        """A flow over UDP to a numeric address, or None when no socket of ours leads there."""
        sockets = self._of("UDP", host)
        if not sockets:
            return None
        chosen = sockets[0]
        source = chosen.local.host
        if len(sockets) > 1 or source in _EVERYWHERE:
            routed = self._towards(host)
            if routed is None:
                return None
            chosen = _bound_to(sockets, routed)
            source = routed if chosen.local.host in _EVERYWHERE else chosen.local.host
        if _is_loopback(source) and not _is_loopback(host):
            return None
        return _flow(chosen, source, Address(host, port))

    def datagrams_from(self, local: Address, peer: Address) -> UDPFlow | None:
        """The flow over UDP between these two addresses, if we (still) listen on ``local``."""
        for one in self._of("UDP", peer.host):
            if one.local.port == local.port and one.local.host in (local.host, *_EVERYWHERE):
                return _flow(one, local.host, peer)
        return None

    def end_of(self, flow: IFlow) -> OurEnd:
        """Where we can be reached over the transport of ``flow``, seen from its peer."""
        known = self._known()
        key = (flow.transport, flow.local, flow.peer.host)
        found = known.get(key)
        if found is None:
            found = known[key] = self._end_of(flow)
        return found

    def _known(self) -> dict[tuple[str, Address, str], OurEnd]:
        self._uses += 1
        if self._uses > _FRESH_FOR or len(self._listening) != self._ends_of:
            self._uses = 0
            self._ends_of = len(self._listening)
            self._ends.clear()
            self._sources.clear()
        return self._ends

    def _end_of(self, flow: IFlow) -> OurEnd:
        host, port = flow.local
        if host in _EVERYWHERE:
            host = self._towards(flow.peer.host) or host
        host = host.partition("%")[0]  # an IPv6 zone means nothing to others
        listening = self._of(flow.transport, flow.peer.host)
        if flow.transport == "UDP":
            listening = [one for one in listening if one.local.port == port]
        if listening:
            one = _bound_to(listening, host)
            if one.advertised is not None:
                return OurEnd(flow.transport, *one.advertised)
            port = one.local.port
            if one.local.host not in _EVERYWHERE:
                host = one.local.host
        return OurEnd(flow.transport, host, port)

    def _towards(self, host: str) -> str | None:
        self._known()
        if host not in self._sources:
            self._sources[host] = source_towards(host)
        return self._sources[host]

    def versions(self, transport: str) -> frozenset[int]:
        """The IP versions that a request can leave by. UDP needs a socket of ours; a connection needs none, but where
        we listen to nobody we are not at home.
        """
        return frozenset(
            [
                6 if ":" in one.local.host else 4
                for one in self._listening
                if one.transport == "UDP" or transport != "UDP"
            ]
        )

    def _of(self, transport: str, peer: str) -> list[Listening]:
        version_6 = ":" in peer
        return [
            one
            for one in self._listening
            if one.transport == transport and (":" in one.local.host) == version_6
        ]


def _bound_to(listening: list[Listening], host: str) -> Listening:
    """Of several, the one that is bound to ``host``, or to all addresses, or to one that leads elsewhere."""

    def distance(one: Listening) -> int:
        bound = one.local.host
        return 0 if bound == host else 1 if bound in _EVERYWHERE else 3 if _is_loopback(bound) else 2

    return min(listening, key=distance)


def _flow(one: Listening, source: str, peer: Address) -> UDPFlow | None:
    endpoint = one.endpoint
    if endpoint is None or not endpoint.alive:
        return None
    if endpoint.elsewhere is not None:
        endpoint = endpoint.elsewhere(source)
    return UDPFlow(endpoint, peer)


@lru_cache(maxsize=4096)
def _is_loopback(host: str) -> bool:
    return ip_address(host.partition("%")[0]).is_loopback


def source_towards(host: str) -> str | None:
    """The address that the routing table has us send from to ``host``; None when there is no road. Sends nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 5060))
        except OSError:
            return None
        found: str = probe.getsockname()[0]
    return found.partition("%")[0]
