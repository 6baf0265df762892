"""Long and ugly input in every field: each character is looked at a bounded number of times.

No time is measured: were one of the patterns quadratic, this module would not end in any bearable time.
"""

from __future__ import annotations

import pytest

from sipframe.message import (
    Limits,
    MessageError,
    Request,
    StreamFramer,
    parse_message,
    parse_uri,
    response_bytes,
)
from tests.message.touching import attempt, properties, touch

SIZE = 200_000
WIDE = Limits(head=10 * SIZE, lines=SIZE, body=SIZE)

UNITS = [
    *'"<>;,:=@/\\%[]()*? \ta0-.&\0\u00e9\udcff',
    *(
        '\\"',
        '",',
        '",\\',
        '"<',
        "<>,",
        "a,",
        "a;",
        ";a",
        ";a=",
        ";a=b",
        ';a="',
        "; ",
        'a="\\',
        "a=b ",
        "a=b,",
        "a =",
    ),
    *(
        "a b",
        "()",
        "(a",
        "\\(",
        "[::",
        "a.",
        "a-",
        "%41",
        "%0",
        "\r\n ",
        " \r\n\t ",
        'a\r\n "',
        "<sip:",
        "sip:a@",
    ),
]

STEMS = [
    "",
    "a",
    '"',
    "<",
    "<sip:",
    "sip:",
    "sip:a@",
    "sip:a@b;",
    "sip:a@b?",
    "<sip:a@b>;",
    '"a" <sip:a@b>;a=',
    "Digest ",
    "Digest a",
    'Digest a="',
    "SIP/2.0/UDP ",
    "SIP/2.0/UDP a",
    "SIP/2.0/UDP a;a",
    "5 ",
    "5 (",
    "399 a ",
    '399 a "',
]

FIELDS = {
    "to": "To",
    "contacts": "Contact",
    "vias": "Via",
    "call_id": "Call-ID",
    "cseq": "CSeq",
    "max_forwards": "Max-Forwards",
    "expires": "Expires",
    "supported": "Supported",
    "credentials": "Authorization",
    "authentication_info": "Authentication-Info",
    "date": "Date",
    "retry_after": "Retry-After",
    "warnings": "Warning",
}


def read(*lines: str, start: str = "REGISTER sip:a SIP/2.0") -> None:
    """Read a message and everything in it, and answer it; whatever is refused is refused by a MessageError."""
    data = "\r\n".join([start, *lines, "", ""]).encode("utf-8", "surrogateescape")
    try:
        found = parse_message(data, WIDE)
    except MessageError as error:
        if not isinstance(error.partial, Request):
            return
        found = error.partial
    touch(found)
    if isinstance(found, Request):
        try:
            response_bytes(found, 400, "Bad Request", "t", "", ("192.0.2.1", 5060))
        except MessageError:
            pass


def test_every_field_with_a_type_is_here() -> None:
    same_grammar = {
        *("from_", "routes", "record_routes", "path"),
        *("via", "reply_via", "contact_star", "uri", "start_line"),
        *("content_length", "min_expires"),
        *("require", "proxy_require", "unsupported", "allow"),
        *("proxy_credentials", "challenges", "proxy_challenges"),
    }
    assert set(properties(Request)) == set(FIELDS) | same_grammar


@pytest.mark.parametrize("unit", UNITS)
def test_long_values(unit: str) -> None:
    long = unit * (SIZE // len(unit))
    for spelled in FIELDS.values():
        read(f"{spelled}:{long}")
        read(f"{spelled}:{long}x\0")


@pytest.mark.parametrize("unit", UNITS)
def test_long_tails(unit: str) -> None:
    tail = unit * (SIZE // 20 // len(unit))
    for stem in STEMS:
        for end in ("", '"\0'):
            read(*[f"{spelled}:{stem}{tail}{end}" for spelled in FIELDS.values()])


@pytest.mark.parametrize("unit", UNITS)
def test_long_uris_names_and_start_lines(unit: str) -> None:
    long = unit * (SIZE // len(unit))
    for stem in (
        "",
        "sip:",
        "sip:a@",
        "sip:[",
        "sip:a@b;",
        "sip:a@b;a=",
        "sip:a@b?",
        "sip:a@b?a=",
        "tel:",
        "a",
    ):
        for end in ("", "@", "\0", "]"):
            attempt(Uri(stem + long + end), "parsed")
    read(f"{long}: x")
    read(f"x{long}\0: x")
    read(long)
    read("To: x", start=long)
    read("To: x", start=f"REGISTER {long} SIP/2.0")
    read("To: x", start=f"SIP/2.0 200 {long}")
    read("To: x", start=f"SIP/2.0 {long}")


class Uri:
    """A text that is parsed as a URI when it is asked to."""

    def __init__(self, text: str) -> None:
        self._text = text

    @property
    def parsed(self) -> object:
        return parse_uri(self._text)


@pytest.mark.parametrize(
    "unit", [b"\r\n", b"\r\n\r", b"\n", b"\r", b"\0", b"a:\r\n", b"a\r\n", b" \r\n", b"\r\n ", b"a:b\r\n "]
)
def test_long_streams(unit: bytes) -> None:
    framer = StreamFramer(WIDE)
    framer.feed(unit * (SIZE // len(unit)))
    try:
        while framer.next() is not None:
            pass
        framer.feed(b"\r\n\r\n")
        framer.next()
    except MessageError:
        pass
