"""What is ours, as one request sees it (RFC 3261 16.4).

Rules: a URI is ours when its user part is a token that we signed for this Call-ID or for a path, when its host is a
domain that is served, or when it names the end of the flow that the request came by. Only a token proves anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sipframe.domains import Domains
from sipframe.interfaces import IFlow
from sipframe.message import SipURI
from sipframe.proxy.token import SHORTEST, FlowTokens
from sipframe.roads import DEFAULT_PORTS, FlowText, OurEnd

__all__ = ["PATH_SCOPE", "Here"]

PATH_SCOPE: Final = "path"
"""What tokens in Path URIs are good for: every request to the phone behind them."""


class Here:
    """For a request with ``call_id`` that came by a flow whose end here is ``end``."""

    __slots__ = ("_call_id", "_domains", "_end", "_local", "_named", "_tokens")

    def __init__(self, domains: Domains, tokens: FlowTokens, call_id: str, end: OurEnd, flow: IFlow) -> None:
        self._domains = domains
        self._tokens = tokens
        self._call_id = call_id
        self._end = end
        self._local = flow.local
        self._named: dict[str, FlowText | None] = {}

    def flow_of(self, uri: SipURI) -> FlowText | None:
        """The flow that a URI of ours names; None when it is none that we signed."""
        user = uri.user
        if user is None or len(user) < SHORTEST:
            return None
        named = self._named
        if user not in named:
            read = self._tokens.read
            named[user] = read(user, self._call_id) or read(user, PATH_SCOPE)
        return named[user]

    def recorded(self, uri: SipURI) -> bool:
        """Whether we placed ``uri`` into a Record-Route or a Path."""
        return self.flow_of(uri) is not None

    def here(self, uri: SipURI) -> bool:
        """Whether ``uri`` leads to us."""
        if self._domains.domain_of(uri.host) is not None:
            return True
        host, port = uri.host.strip("[]"), uri.port
        end = self._end
        if host.lower() == end.host.lower() and (port or _default_port(uri)) == end.port:
            return True
        return (host, port) == self._local or self.recorded(uri)

    def flows(self, taken: Sequence[SipURI]) -> list[FlowText | None]:
        """The flows that the URIs which were taken out name, in their order."""
        return [self.flow_of(uri) for uri in taken]

    def maddr(self, uri: SipURI) -> bool:
        """Whether ``maddr`` is ours, and the request came by the transport and to the port that ``uri`` names."""
        end = self._end
        transport = (uri.param("transport") or ("TLS" if uri.scheme == "sips" else "UDP")).upper()
        port = uri.port or _default_port(uri)
        return ((uri.param("maddr") or "").strip("[]"), transport, port) == (
            end.host,
            end.transport,
            end.port,
        )


def _default_port(uri: SipURI) -> int:
    transport = (uri.param("transport") or ("TLS" if uri.scheme == "sips" else "UDP")).upper()
    return DEFAULT_PORTS.get("TLS" if uri.scheme == "sips" else transport, 5060)
