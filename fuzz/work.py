"""Inputs that grow, for everything that reads them: shapes that a reader may have to look at more than once.

Rules: a reader takes octets of any size and refuses none for its size; a MessageError is no finding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from sipframe.auth.sources.htdigest import read_htdigest
from sipframe.message import (
    Limits,
    MessageError,
    Request,
    Response,
    StreamFramer,
    parse_auth_params,
    parse_credentials,
    parse_message,
    parse_name_addr,
    parse_name_addrs,
    parse_uri,
    parse_vias,
    response_bytes,
)
from sipframe.message.fields import parse_cseq, parse_retry_after, parse_warnings
from sipframe.message.grammar import parse_params, split_list, tokens
from sipframe.message.via import salvaged
from sipframe.transport.stun import answer
from tests.message.touching import touch

__all__ = ["READERS", "SHAPES", "WIDE", "filled"]

WIDE: Final = Limits(head=1 << 23, lines=1 << 23, body=1 << 23)

_START: Final = b"REGISTER sip:example.com SIP/2.0\r\n"
_FIELDS: Final = (
    b"Via",
    b"To",
    b"Contact",
    b"Authorization",
    b"Require",
    b"Warning",
    b"Retry-After",
    b"Date",
    b"CSeq",
)

SHAPES: Final[Mapping[str, tuple[bytes, ...]]] = MappingProxyType(
    {
        "value": (
            *(
                b"a",
                b" ",
                b";",
                b",",
                b'"',
                b"\\",
                b"<",
                b"(",
                b"%",
                b"[",
                b"a ",
                b"a,",
                b"a, ",
                b";a",
                b";a=b",
            ),
            *(
                b'";',
                b'\\"',
                b'"a",',
                b"<>,",
                b"<sip:a@b>,",
                b"sip:a@b,",
                b';a="b"',
                b"a=b,",
                b'a="b",',
                b"%41",
                b"a.",
            ),
            *(
                b"::",
                b"-",
                b"\xff",
                b"\xc3\xa9",
                b"SIP/2.0/UDP a;branch=z9hG4bK1,",
                b'399 a "b",',
                b"(a",
                b"()",
                b" ;a",
            ),
        ),
        "field": (
            b"a:\r\n",
            b"a: b\r\n",
            b"\r\n ",
            b" \r\n",
            b"a\r\n",
            b"a:b\r\n c\r\n",
            b"Via: SIP/2.0/UDP a\r\n",
        ),
        "line": (b"a", b" ", b"\r", b"\n", b"\0", b"\xff", b":", b"\r\n\r", b"a:"),
        "stream": (
            *(b"\r\n", b"\r\n\r\n", b"a", b"OPTIONS sip:a@b SIP/2.0\r\nl:0\r\n\r\n", b"a:b\r\n", b"\r\n "),
            b"MESSAGE sip:a@b SIP/2.0\r\nl:40\r\n\r\n" + b"b" * 40,
        ),
        "body": (b"b",),
        "octets": (b"\0", b"\x7f\xff\0\0"),
        "lines": (b"a:b:" + b"0" * 32 + b"\n", b"#\n", b"\n", b":"),
    }
)
"""What is repeated, by what it is repeated as."""


def filled(kind: str, unit: bytes, size: int) -> bytes:
    """About ``size`` octets of that shape."""
    data = unit * (size // len(unit))
    if kind == "field":
        return _START + data + b"\r\n"
    if kind == "line":
        return data
    if kind == "body":
        return b"MESSAGE sip:a@b SIP/2.0\r\nl: %d\r\n\r\n" % len(data) + data
    if kind == "octets":
        data = data[: len(data) & 0xFFFC]  # what a length of 16 bits can say
        return b"\0\1" + len(data).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + data
    return data


def _message(data: bytes) -> None:
    try:
        message: Request | Response | None = parse_message(data, WIDE)
    except MessageError as error:
        message = error.partial
    if message is not None:
        touch(message)
        if isinstance(message, Request):
            try:
                _ = response_bytes(message, 400, "Bad Request", "t", "", ("192.0.2.1", 5060))
            except MessageError:
                pass


def _fields(data: bytes) -> None:
    """The value in every field that has a grammar of its own, one message each."""
    for name in _FIELDS:
        _message(_START + name + b": " + data + b"\r\n\r\n")


def _value(read: Callable[[str], object]) -> Callable[[bytes], None]:
    def reading(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        for one in (text, text + '"', '"' + text, "<" + text, "sip:" + text, "sip:a@b;" + text, "a " + text):
            try:
                read(one)
            except MessageError:
                pass

    return reading


def _fed(piece: int) -> Callable[[bytes], None]:
    def feeding(data: bytes) -> None:
        framer = StreamFramer(WIDE)
        for at in range(0, len(data), piece):
            framer.feed(data[at : at + piece])
            try:
                while framer.next() is not None:
                    pass
            except MessageError:
                return

    return feeding


def _htdigest(data: bytes) -> None:
    try:
        _ = read_htdigest(data)
    except ValueError:
        pass


READERS: Final[Mapping[str, tuple[Callable[[bytes], object], tuple[str, ...]]]] = MappingProxyType(
    {
        "datagram": (_message, ("field", "line", "body")),
        "fields": (_fields, ("value",)),
        "URI": (_value(parse_uri), ("value",)),
        "address": (_value(parse_name_addr), ("value",)),
        "addresses": (_value(lambda text: parse_name_addrs([text])), ("value",)),
        "Via": (_value(lambda text: parse_vias([text])), ("value",)),
        "Via, salvaged": (_value(salvaged), ("value",)),
        "credentials": (_value(lambda text: parse_credentials(["Digest " + text])), ("value",)),
        "parameters of credentials": (_value(parse_auth_params), ("value",)),
        "parameters": (_value(lambda text: parse_params(";" + text)), ("value",)),
        "list": (_value(split_list), ("value",)),
        "tokens": (_value(lambda text: tokens([text])), ("value",)),
        "CSeq": (_value(parse_cseq), ("value",)),
        "Retry-After": (_value(lambda text: parse_retry_after("1 " + text)), ("value",)),
        "Warning": (_value(lambda text: parse_warnings([text])), ("value",)),
        "stream, at once": (_fed(1 << 30), ("stream", "field", "body")),
        "stream, in reads": (_fed(65_536), ("stream", "field", "body")),
        "stream, drip-fed": (_fed(7), ("stream", "field", "body")),
        "STUN": (lambda data: answer(data, "192.0.2.1", 5060), ("octets",)),
        "htdigest": (_htdigest, ("lines",)),
    }
)
"""Everything that reads, and the kinds of shapes it is given."""
