"""A client that proves a password: what credential sources and digest authenticators are asked with.

Rules: requests are REGISTERs of RFC 3261 10.2, read back as the server reads them. Challenges are answered as
:mod:`sipframe.ua` answers them (RFC 7616 3.4, RFC 8760 2.4).
"""

from __future__ import annotations

from collections.abc import Iterable

from sipframe.message import Request, parse_credentials, parse_message, request_bytes
from sipframe.ua.answering import ProtectionSpace, choose
from sipframe.verdicts import Challenge

__all__ = ["answered", "register"]


def register(
    domain: str,
    user: str = "alice",
    *,
    fields: Iterable[tuple[str, str]] = (),
    method: str = "REGISTER",
    uri: str | None = None,
) -> Request:
    """A request of ``user`` to ``domain``; ``user`` stands in URIs as it is."""
    octets = request_bytes(
        method,
        f"sip:{domain}" if uri is None else uri,
        [
            ("Via", "SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bKnashds7"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{user}@{domain}>;tag=a73kszlfl"),
            ("To", f"<sip:{user}@{domain}>"),
            ("Call-ID", "1j9FpLxk3uxtm8tn@192.0.2.7"),
            ("CSeq", f"1 {method}"),
            ("Contact", "<sip:alice@192.0.2.7:5062>"),
            *fields,
        ],
    )
    request = parse_message(octets)
    if not isinstance(request, Request):
        raise TypeError("a request was written, and no request was read")
    return request


def answered(challenge: Challenge, username: str, password: str, request: Request) -> tuple[str, str] | None:
    """The Authorization field that answers ``challenge`` for ``request``; None when it asks for no digest."""
    choice = choose(parse_credentials(list(challenge.values)))
    if choice is None:
        return None
    space = ProtectionSpace(choice, proxy=False)
    value = space.credentials(username, password, request.method, request.uri_text, "0a4f113b", request.body)
    return "Authorization", value
