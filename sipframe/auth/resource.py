"""Whether the ``uri`` of credentials names what the request is for (RFC 7616 3.4.6, RFC 8760 2.6 item 6).

Rules: RFC 7616 wants the same resource; RFC 8760 takes that back to a URI that we would accept requests for, because
proxies and clients rewrite. So: equivalent URIs agree (RFC 3261 19.1.4). Otherwise the users must be the same, and
the host must be the Request-URI's, a domain of ours or an address. An address is no domain, and behind a NAT we do
not know our own; SIPp 3.6.1 always sends ``sip:ADDRESS:PORT``. Scheme, port and parameters then do not matter.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from sipframe.message import MessageError, SipURI, equivalent, parse_uri
from sipframe.message.uri import plain

__all__ = ["same_resource"]


def same_resource(request_uri: str, named: str, domains: AbstractSet[str]) -> bool:
    """Compare the text of a Request-URI with that of a ``uri`` parameter; ``domains`` are ours, in lower case.

    Malformed ones agree with nothing but their own text.
    """
    if request_uri == named:
        return True
    try:
        target, uri = parse_uri(request_uri), parse_uri(named)
        if equivalent(target, uri):
            return True
    except MessageError:
        return False
    if not isinstance(target, SipURI) or not isinstance(uri, SipURI):
        return False
    if plain(target.user or "") != plain(uri.user or ""):
        return False
    host = uri.host.lower()
    return host == target.host.lower() or host in domains or _is_address(host)


def _is_address(host: str) -> bool:
    return host[0] == "[" or host.replace(".", "").isdigit()
