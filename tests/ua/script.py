"""A server's side of a registration, written by hand: answers to requests of a client under test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from sipframe.message import Request, Response, SipURI, parse_message, parse_uri, response_bytes
from sipframe.ua import Account, Attempt, Contact, Registration

CONTACT = Contact("<sip:bob@192.0.2.4:5062>")
MD5 = 'Digest realm="example.com", nonce="n1", qop="auth", algorithm=MD5'
SHA256 = 'Digest realm="example.com", nonce="n2", qop="auth", algorithm=SHA-256'


def entropy() -> Callable[[int], bytes]:
    """Octets that never come twice."""
    count = 0

    def draw(octets: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.sha256(str(count).encode()).digest()[:octets]

    return draw


def registration(
    aor: str = "sip:bob@example.com", *, password: str | None = "zanzibar", **settings: object
) -> Registration:
    """A registration of bob's."""
    uri = parse_uri(aor)
    assert isinstance(uri, SipURI)
    settings.setdefault("contacts", (CONTACT,))
    account = Account(uri, "bob", password)
    return Registration(account, ("TCP", "192.0.2.4:5062"), entropy(), **settings)  # type: ignore[arg-type]


def read(attempt: object) -> Request:
    """The request of an attempt."""
    assert isinstance(attempt, Attempt)
    request = parse_message(attempt.data)
    assert isinstance(request, Request)
    assert request.via.branch == attempt.branch
    return request


def answer(request: object, status: int, *fields: str, reason: str = "Reason") -> Response:
    """What a server answers to an attempt or a request."""
    if not isinstance(request, Request):
        request = read(request)
    text = "".join([f"{field}\r\n" for field in fields])
    response = parse_message(response_bytes(request, status, reason, "srv", text, ("192.0.2.4", 5062)))
    assert isinstance(response, Response)
    return response


def challenge(request: object, *values: str, status: int = 401) -> Response:
    """A challenge."""
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    return answer(request, status, *[f"{name}: {value}" for value in values])
