"""Oracles of what stands in fields: URIs, addresses, Via, credentials, numbers, dates.

Rules: an oracle takes any octets; a MessageError is no finding. What is read, written and read again is the same. Where
there are two ways to read a thing, a straight one and a careful one, they agree.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import TypeVar

from sipframe.auth.authenticator import DigestAuthenticator
from sipframe.auth.resource import same_resource
from sipframe.domains import Domains
from sipframe.message import (
    MessageError,
    SipURI,
    Via,
    aor_of,
    equivalent,
    format_date,
    parse_auth_params,
    parse_credentials,
    parse_date,
    parse_name_addr,
    parse_name_addrs,
    parse_uri,
    parse_vias,
    quote,
    stamped,
    unquote,
)
from sipframe.message.fields import parse_cseq, parse_retry_after, parse_warnings, whole_number
from sipframe.message.grammar import params_text, parse_params, split_list, tokens
from sipframe.message.name_addr import _NAME_ADDR, _from_match, delta_seconds
from sipframe.message.uri import plain
from sipframe.message.via import _VIA, salvaged
from sipframe.verdicts import Challenge, Rejected
from tests.auth import client
from tests.auth.server import EVERYTHING, FLOW, Server

__all__ = ["addresses", "credentials", "fields", "uri", "via"]

T = TypeVar("T")

_DOMAINS = frozenset({"example.com", "biloxi.com"})


def _text(data: bytes) -> str:
    """As the value of a field comes out of a message: no CR, no LF."""
    return data.decode("utf-8", "surrogateescape").replace("\r", "").replace("\n", "")


def _tried(read: Callable[[str], T], text: str) -> T | None:
    try:
        return read(text)
    except MessageError as error:
        assert error.reason.isprintable()
        return None


def uri(data: bytes) -> None:
    """Two URIs, divided by NUL: written back they are the same, and comparing them is fair."""
    texts = [_text(part) for part in data.split(b"\0", 1)]
    found = []
    for text in texts:
        one = _tried(parse_uri, text)
        if one is None:
            continue
        found.append(one)
        again = parse_uri(str(one))
        assert again == one
        assert equivalent(one, again)
        assert plain(plain(text)) is not None
        if isinstance(one, SipURI):
            aor = aor_of(one)
            assert aor.startswith("sip:")
            assert one.host.isascii()
            for name, _ in one.params:
                assert one.param(plain(name).lower()) is not None
            _ = Domains(["example.com"], {"sip.example.com": "example.com"}).aor_of(one)
    if len(found) == 2:
        a, b = found
        assert equivalent(a, b) == equivalent(b, a)
        if isinstance(a, SipURI) and isinstance(b, SipURI) and equivalent(a, b):
            assert aor_of(a) == aor_of(b)
    _ = same_resource(texts[0], texts[-1], _DOMAINS)


def addresses(data: bytes) -> None:
    """Contact and its like: a list of addresses, each of them the same when it is written and read again."""
    text = _text(data)
    one = _tried(parse_name_addr, text)
    many = _tried(lambda value: parse_name_addrs([value]), text)
    if one is not None:
        assert many == (one,)
        careful = _NAME_ADDR.fullmatch(text)
        assert careful is not None
        assert _from_match(careful) == one
    for address in many or ():
        assert parse_name_addrs([str(address)]) == (address,)
        for name in ("uri", "q", "expires", "tag"):
            try:
                getattr(address, name)
            except MessageError as error:
                assert error.reason.isprintable()
        expires = address.expires
        assert expires is None or 0 <= expires < 2**32


def via(data: bytes) -> None:
    """Via: written back it is the same; with our mark it still names the same transaction."""
    text = _text(data)
    found = _tried(lambda value: parse_vias([value]), text)
    if "," not in text:
        careful = _VIA.fullmatch(text)
        params = None if careful is None else _tried(parse_params, careful.group(6))
        if found:
            assert careful is not None
            assert found[0].params == params
            assert (found[0].transport, found[0].host) == (careful.group(3).upper(), careful.group(4))
        else:
            port = None if careful is None else careful.group(5)
            assert careful is None or params is None or not 0 < int(port or 1) < 65536
    beginning = _tried(salvaged, text)
    for one in found or ():
        assert parse_vias([one.text]) == (one,)
        for host in ("192.0.2.1", "2001:db8::1"):
            (marked,) = parse_vias([stamped(one, host, 5061)])
            assert (marked.branch, marked.sent_by, marked.maddr) == (one.branch, one.sent_by, one.maddr)
            assert (marked.protocol, marked.transport) == (one.protocol, one.transport)
            _marked(one, marked, host)
    if found and beginning is not None:
        assert (beginning.host, beginning.port) == (found[0].host, found[0].port)


def _marked(one: Via, marked: Via, host: str) -> None:
    # RFC 3581 4, RFC 3261 18.2.1: what the client wrote there itself says nothing.
    claimed = one.host.strip("[]")
    assert marked.received == host or (marked.received is None and claimed == host and one.rport is None)
    assert marked.rport == (None if one.rport is None else "5061")


@cache
def _authenticator() -> DigestAuthenticator:
    return Server(EVERYTHING).authenticator


def credentials(data: bytes) -> None:
    """Credentials, challenges and Authentication-Info; and whatever they are, nobody is let in."""
    text = _text(data).strip(" \t")
    for value in (text, "Digest " + text):
        for one in _tried(lambda value: parse_credentials([value]), value) or ():
            assert one.raw == value
            if "" in one.params:
                continue
            careful = parse_auth_params(value[len(one.scheme) :].lstrip(" \t"))
            assert one.params == careful
            written = ", ".join([f"{name}={quote(found)}" for name, found in one.params.items()])
            (again,) = parse_credentials([f"{one.scheme} {written}"])
            assert again.params == one.params
        verdict = _authenticator().authenticate(client.request(value), FLOW)
        assert isinstance(verdict, Challenge | Rejected)


def fields(data: bytes) -> None:
    """The small values: numbers, dates, lists, parameters."""
    text = _text(data).strip(" \t")
    cseq = _tried(parse_cseq, text)
    assert cseq is None or 0 <= cseq.number < 2**31
    assert 0 <= delta_seconds(text) < 2**32
    number = _tried(lambda value: whole_number(value, "Max-Forwards", 255), text)
    assert number is None or 0 <= number < 256
    date = _tried(parse_date, text)
    if date is not None and date.year >= 1000:  # datetime's own year is not padded on all systems
        assert parse_date(format_date((date - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())) == date
    _ = _tried(parse_retry_after, text), _tried(lambda value: parse_warnings([value]), text)
    _ = _tried(parse_auth_params, text)
    assert unquote(quote(text)) == text
    params = _tried(parse_params, text)
    if params is not None:
        assert parse_params(params_text(params)) == params
    items = _tried(split_list, text)
    if items is not None:
        assert split_list(",".join(items)) == items
    found = _tried(lambda value: tokens([value]), text)
    if found:
        assert tokens([", ".join(found)]) == found
