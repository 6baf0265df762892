"""Header field names: the canonical spelling that everything is looked up by, and which fields stand once.

Rules: a canonical name is lower case and in its long form (RFC 3261 7.3.1: names are case-insensitive; 7.3.3:
compact forms). A hidden spelling of a field is therefore the same field everywhere.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

from sipframe.message.errors import MessageError

__all__ = ["COMPACT", "SINGLE", "canonical_name"]

COMPACT: Final = MappingProxyType(
    {
        # RFC 3261 20 and its IANA successors.
        "a": "accept-contact",
        "b": "referred-by",
        "c": "content-type",
        "d": "request-disposition",
        "e": "content-encoding",
        "f": "from",
        "i": "call-id",
        "j": "reject-contact",
        "k": "supported",
        "l": "content-length",
        "m": "contact",
        "n": "identity-info",
        "o": "event",
        "r": "refer-to",
        "s": "subject",
        "t": "to",
        "u": "allow-events",
        "v": "via",
        "x": "session-expires",
        "y": "identity",
    }
)

SINGLE: Final = frozenset(
    {
        # RFC 3261 7.3.1 and table 2: fields whose grammar is no comma-separated list.
        "call-id",
        "content-disposition",
        "content-length",
        "content-type",
        "cseq",
        "date",
        "event",
        "expires",
        "from",
        "join",
        "max-breadth",
        "max-forwards",
        "mime-version",
        "min-expires",
        "min-se",
        "organization",
        "priority",
        "rack",
        "refer-to",
        "referred-by",
        "replaces",
        "reply-to",
        "retry-after",
        "rseq",
        "server",
        "session-expires",
        "sip-etag",
        "sip-if-match",
        "subject",
        "subscription-state",
        "target-dialog",
        "timestamp",
        "to",
        "user-agent",
    }
)

_USUAL = (
    "Via From To Call-ID CSeq Max-Forwards Contact Expires Content-Length Content-Type User-Agent Authorization "
    "Allow Supported Require Proxy-Require Route Record-Route Path Accept Event Allow-Events Proxy-Authorization "
    "Server Date Session-Expires Min-SE Subject Accept-Encoding Accept-Language WWW-Authenticate "
    "Proxy-Authenticate Authentication-Info Retry-After Min-Expires Unsupported Timestamp Organization"
)
_SPELLINGS: Final = MappingProxyType(
    {
        **{name: name.lower() for name in _USUAL.split()},
        **{name.lower(): name.lower() for name in _USUAL.split()},
        **{name.upper(): name.lower() for name in _USUAL.split()},
        "Call-Id": "call-id",
        "Cseq": "cseq",
        **COMPACT,
        **{short.upper(): name for short, name in COMPACT.items()},
    }
)
NO_NAME: Final = "Malformed header field name"
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")

usual_spelling = dict(_SPELLINGS).get
"""The canonical name for a spelling that is often seen, or None: the straight way for :func:`canonical_name`."""


def canonical_name(name: str) -> str:
    """The canonical form of a field name as it stands before the colon, blanks included (RFC 3261 25.1, HCOLON).

    Raises MessageError when it is no token.
    """
    known = _SPELLINGS.get(name)
    if known is not None:
        return known
    stripped = name.rstrip(" \t")
    if not _TOKEN.fullmatch(stripped):
        raise MessageError(NO_NAME)
    canonical = stripped.lower()
    return COMPACT.get(canonical, canonical)
