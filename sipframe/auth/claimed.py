"""The AOR that a request claims, before anybody proved anything.

Rules: a REGISTER is about the AOR in To (RFC 3261 10.2); whoever sends another request says in From who that is. Only
AORs of domains that are served count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sipframe.domains import Domains
from sipframe.message import SipURI

if TYPE_CHECKING:
    from sipframe.message import Request

__all__ = ["Claim", "claim_of"]


class Claim(NamedTuple):
    """A canonical AOR, and the domain that it belongs to."""

    aor: str
    domain: str


def claim_of(request: Request, domains: Domains) -> Claim | None:
    """Whom ``request`` claims to come from; None when that is no user of ours. Raises MessageError."""
    uri = request.to.uri if request.method == "REGISTER" else request.from_.uri
    if not isinstance(uri, SipURI):
        return None
    aor, domain = domains.aor_of(uri), domains.domain_of(uri.host)
    return None if aor is None or domain is None else Claim(aor, domain)
