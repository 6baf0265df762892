"""What is ours, as one request sees it (RFC 3261 16.4).

Rules: a URI is ours when its user part is a token that we signed for this dialog or for a path, when its host is a
domain that is served, or when it names the end of the flow that the request came by. Only a token proves anything, and
no more than what was proved when it was made: it is signed for the Call-ID, for whom From or To named on its side, and
for whether that side may send requests to anywhere. Both sides of a dialog know the tokens of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sipframe.domains import Domains
from sipframe.interfaces import IFlow
from sipframe.message import URI, Request, SipURI
from sipframe.proxy.token import SHORTEST, FlowTokens
from sipframe.roads import DEFAULT_PORTS, FlowText, OurEnd

__all__ = ["PATH_SCOPE", "Follows", "Here", "Named", "dialog_scope", "follows", "party"]

PATH_SCOPE: Final = "path"
"""What tokens in Path URIs are good for: every request to the phone behind them."""


def party(domains: Domains, uri: URI) -> str:
    """Whom of ours a From or To names; empty for somebody from elsewhere."""
    if not isinstance(uri, SipURI):
        return ""
    domain = domains.domain_of(uri.host)
    return "" if domain is None else domains.aor_of(uri) or f"sip:{domain}"


def dialog_scope(call_id: str, side: str, trusted: bool) -> str:
    """What a token is good for that is recorded for a dialog: for the side that ``side``, a :func:`party`, names.
    ``trusted``: requests that come by its flow may go anywhere."""
    return f"{call_id}\n{'+' if trusted else '-'}{side}"


class Named(NamedTuple):
    """What a token of ours says."""

    flow: FlowText
    sender: bool = False
    """It was signed for whom From names now."""
    trusted: bool = False
    """What comes by that flow may go anywhere."""
    path: bool = False
    """It is of a Path, and good for requests outside of dialogs, too."""


class Follows(NamedTuple):
    """What a request gains by the Routes of ours that it follows."""

    flow: FlowText
    """Where the last of them leads."""
    by_flow: bool
    """It came by the flow that the first one names, from whom that was signed for."""
    bound: bool
    """It may go nowhere else than that flow leads to."""


def follows(request: Request, flow: IFlow, names: Sequence[Named | None]) -> Follows | None:
    """What ``request``, which came by ``flow``, gains by the tokens that were taken out of it."""
    if not names:
        return None
    first, last = names[0], names[-1]
    if last is None or (request.to.tag is None and not last.path):
        return None  # RFC 3261 12.2.1.1: within a dialog To has a tag
    by_flow = False
    if first is not None and first.sender:
        name = first.flow
        if name[:3] == (flow.transport, flow.local, flow.peer):
            by_flow = flow.transport == "UDP" or name.serial == int(flow.serial)
    return Follows(last.flow, by_flow, not (by_flow and first is not None and first.trusted))


class Here:
    """For ``request``, which came by a flow whose end here is ``end``."""

    __slots__ = ("_domains", "_end", "_local", "_named", "_request", "_tokens")

    def __init__(
        self, domains: Domains, tokens: FlowTokens, request: Request, end: OurEnd, flow: IFlow
    ) -> None:
        self._domains = domains
        self._tokens = tokens
        self._request = request
        self._end = end
        self._local = flow.local
        self._named: dict[str, Named | None] = {}

    def named_by(self, uri: SipURI) -> Named | None:
        """What a URI of ours says; None when it is none that we signed. Raises MessageError when From or To cannot be
        read."""
        user = uri.user
        if user is None or len(user) < SHORTEST:
            return None
        named = self._named
        if user not in named:
            named[user] = self._read(user)
        return named[user]

    def _read(self, token: str) -> Named | None:
        request, read = self._request, self._tokens.read
        call_id = request.call_id
        for sender, side in ((True, request.from_), (False, request.to)):
            who = party(self._domains, side.uri)
            for trusted in (True, False):
                flow = read(token, dialog_scope(call_id, who, trusted))
                if flow is not None:
                    return Named(flow, sender, trusted)
        flow = read(token, PATH_SCOPE)
        return None if flow is None else Named(flow, path=True)

    def recorded(self, uri: SipURI) -> bool:
        """Whether we placed ``uri`` into a Record-Route or a Path."""
        return self.named_by(uri) is not None

    def here(self, uri: SipURI) -> bool:
        """Whether ``uri`` leads to us."""
        if self._domains.domain_of(uri.host) is not None:
            return True
        host, port = uri.host.strip("[]"), uri.port
        end = self._end
        if host.lower() == end.host.lower() and (port or _default_port(uri)) == end.port:
            return True
        return (host, port) == self._local or self.recorded(uri)

    def names(self, taken: Sequence[SipURI]) -> list[Named | None]:
        """What the URIs which were taken out say, in their order."""
        return [self.named_by(uri) for uri in taken]

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
