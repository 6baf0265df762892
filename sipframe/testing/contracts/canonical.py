"""Canonical AORs, as plug-ins have to give them.

Rules: ``sip:user@host``, with the user's escapes undone and the host in lower case, as :func:`sipframe.message.aor_of`
makes them (RFC 3261 10.3 step 5). The user may hold any character, so the last ``@`` divides.
"""

from __future__ import annotations

from sipframe.message import MessageError, SipURI, aor_of, parse_uri

__all__ = ["is_canonical"]


def is_canonical(aor: object) -> bool:
    """Whether ``aor`` could have come from :func:`sipframe.message.aor_of`, for a URI with a user."""
    if not isinstance(aor, str) or not aor.startswith("sip:"):
        return False
    user, _, host = aor.removeprefix("sip:").rpartition("@")
    try:
        uri = parse_uri(f"sip:{host}")
    except MessageError:
        return False
    return bool(user) and isinstance(uri, SipURI) and aor_of(uri) == f"sip:{host}"
