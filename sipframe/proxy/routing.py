"""Routes: what is ours is taken off a request that comes (RFC 3261 16.4), the way on is written (16.6 steps 2, 6, 7).

Rules: values in, values out; the request is not changed. Which URIs are ours is asked of :class:`Ours`, since only a
driver knows names, addresses and keys. A route value keeps its text. What is read here and is malformed raises
MessageError (400): it is a part of the request that must be well-formed (16.3 step 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sipframe.message import URI, MessageError, Request, SipURI, parse_name_addr, parse_uri
from sipframe.message.grammar import split_list

__all__ = ["Ours", "Preprocessed", "Way", "preprocess", "request_uri", "way"]


class Ours(Protocol):
    """What is ours, as one request sees it."""

    def recorded(self, uri: SipURI) -> bool:
        """Whether we placed ``uri`` into a Record-Route or a Path: its user part is a token of ours."""

    def here(self, uri: SipURI) -> bool:
        """Whether ``uri``, of a Route, names this proxy; recorded ones do."""

    def maddr(self, uri: SipURI) -> bool:
        """Whether the maddr of ``uri`` is ours, and the request came by the transport and to the port that ``uri``
        names (RFC 3261 16.4)."""


class Preprocessed(NamedTuple):
    """A request after RFC 3261 16.4."""

    uri_text: str
    """The Request-URI to proceed with."""
    uri: URI
    routes: tuple[str, ...]
    """The Route values that are left, as text."""
    changed: bool
    """Whether ``routes`` are not all that the request had."""
    taken: tuple[SipURI, ...]
    """The URIs of ours that were taken out, in their order: the Request-URI of a strict router first, then Routes."""


def preprocess(request: Request, ours: Ours) -> Preprocessed:
    """Take out of ``request`` what is ours. Raises MessageError when a Route that matters is malformed."""
    uri = request.uri
    uri_text = request.uri_text
    values = request.fields.get("route")
    routes = [] if values is None else [item for value in values for item in split_list(value)]
    all_of_them = len(routes)
    taken: list[SipURI] = []
    if isinstance(uri, SipURI):
        if routes and uri.user is not None and ours.recorded(uri):
            # RFC 3261 16.4: the element before us is a strict router. The last Route is what it was all about.
            taken.append(uri)
            uri_text = parse_name_addr(routes.pop()).uri_text
            uri = parse_uri(uri_text)
        if isinstance(uri, SipURI) and uri.param("maddr") is not None and ours.maddr(uri):
            kept = tuple([pair for pair in uri.params if pair[0] not in ("maddr", "transport")])
            uri = uri._replace(params=kept, port=None)  # RFC 3261 16.4
            uri_text = str(uri)
    first = 0
    while first < len(routes):
        # RFC 3261 16.4; RFC 5658 5: what we recorded doubly is taken out together, in the place of a spiral.
        route = parse_name_addr(routes[first]).uri
        if not (isinstance(route, SipURI) and ours.here(route)):
            break
        taken.append(route)
        first += 1
    left = tuple(routes[first:])
    return Preprocessed(uri_text, uri, left, len(left) != all_of_them, tuple(taken))


class Way(NamedTuple):
    """Where a request goes on one branch."""

    uri_text: str
    """The Request-URI of the copy."""
    routes: tuple[str, ...]
    """Its Route values."""
    changed: bool
    """Whether they are not those that the request had."""
    next_hop: SipURI
    """What the procedures of RFC 3263 are applied to (RFC 3261 16.6 step 7)."""


def way(come: Preprocessed, target: str, path: Sequence[str] = ()) -> Way:
    """The way of a request to ``target``, a SIP or SIPS URI, by ``path`` (Route values: the path that the target was
    registered with, or proxies that must be visited).

    Raises MessageError when a route value or the target cannot be read or is no SIP URI.
    """
    uri_text = request_uri(target)  # RFC 3261 16.6 step 2
    routes = come.routes
    changed = come.changed
    if path:
        routes = (*path, *routes)  # RFC 3327 5.4, RFC 3261 16.6 step 6: ahead of what is there
        changed = True
    if not routes:
        return Way(uri_text, routes, changed, _sip(parse_uri(uri_text)))
    first = parse_name_addr(routes[0]).uri_text
    hop = _sip(parse_uri(first))
    if hop.param("lr") is None:
        # RFC 3261 16.6 step 6: the next hop is a strict router.
        routes = (*routes[1:], f"<{uri_text}>")
        changed = True
        uri_text = request_uri(first)
    elif uri_text[:5].lower() == "sips:" and hop.scheme != "sips":
        hop = hop._replace(scheme="sips")  # RFC 3261 16.6 step 7
    return Way(uri_text, routes, changed, hop)


def request_uri(text: str) -> str:
    """A URI without what a Request-URI must not have: header fields and ``method`` (RFC 3261 19.1.1, table 1)."""
    if "?" not in text and ";method" not in text.lower():
        return text
    uri = parse_uri(text)
    if not isinstance(uri, SipURI):
        return text
    kept = tuple([pair for pair in uri.params if pair[0] != "method"])
    return str(uri._replace(params=kept, headers=()))


def _sip(uri: URI) -> SipURI:
    if not isinstance(uri, SipURI):
        raise MessageError("No SIP URI to go by", 416)
    return uri
