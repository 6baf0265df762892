"""name-addr and addr-spec: the values of From, To, Contact, Route, Record-Route and Path (RFC 3261 20.10, 25.1).

Rules: the URI stays text here and is taken apart on demand, so that what is only passed on is never rewritten. Without
angle brackets everything behind a semicolon belongs to the field, and a URI with a comma or a question mark is an
error (RFC 3261 20).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from sipframe.message.errors import MessageError
from sipframe.message.grammar import (
    QUOTED,
    TOKEN,
    TOKEN_CHARACTERS,
    Params,
    param,
    params_text,
    parse_params,
    quote,
    unquote,
)
from sipframe.message.uri import URI, parse_uri

__all__ = ["NameAddr", "parse_name_addr", "parse_name_addrs"]

_NAME_ADDR = re.compile(
    rf"""[ \t]*+
    (?: ({QUOTED}|[{TOKEN_CHARACTERS}\x80-\U0010ffff \t]*+) [ \t]*+ <([^<>"\r\n]*+)>
      | ([A-Za-z][A-Za-z0-9+.\-]*+:[^\s<>",;?]++) )
    [ \t]*+ ((?:;(?>(?:[^",<>]++|{QUOTED})*))?)
    """,
    re.VERBOSE,
)
_USUAL = re.compile(rf"<([^<>\"\r\n]++)>(?:;tag=({TOKEN}++))?")
_QVALUE = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?", re.ASCII)
_MALFORMED_EXPIRES = 3600
_REMEMBERED_LENGTH: Final = 128

_new = tuple.__new__  # what a NamedTuple does, without the detour


class NameAddr(NamedTuple):
    """One value: display name (quotes taken off, ``""`` when there is none), the URI's text, the parameters."""

    display: str
    uri_text: str
    params: Params

    @property
    def uri(self) -> URI:
        """The URI taken apart. Raises MessageError when it is malformed."""
        return parse_uri(self.uri_text)

    def param(self, name: str) -> str | None:
        """The parameter ``name`` (lower case), unquoted; ``""`` when it stands bare, None when it is missing."""
        return param(self.params, name)

    @property
    def tag(self) -> str | None:
        """The tag of From or To (RFC 3261 19.3)."""
        for name, value in self.params:
            if name == "tag":
                return "" if value is None else unquote(value)
        return None

    @property
    def q(self) -> str | None:
        """The q parameter of a Contact as written (RFC 3261 20.10). Raises MessageError when it is no qvalue."""
        value = param(self.params, "q") if self.params else None
        if value is not None and not _QVALUE.fullmatch(value):
            raise MessageError("Malformed q in Contact")
        return value

    @property
    def expires(self) -> int | None:
        """The expires parameter of a Contact in seconds; a malformed one counts as 3600 (RFC 3261 20.10)."""
        value = param(self.params, "expires") if self.params else None
        return None if value is None else delta_seconds(value)

    def __str__(self) -> str:
        display = quote(self.display) + " " if self.display else ""
        return f"{display}<{self.uri_text}>{params_text(self.params)}"


def delta_seconds(text: str) -> int:
    """Read seconds as Contact and Expires have them: 3600 for what is malformed or over 2**32-1 (RFC 3261 20.19)."""
    return _seconds(text) if len(text) <= 10 else _MALFORMED_EXPIRES


@lru_cache(maxsize=256)
def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        return _MALFORMED_EXPIRES
    value = int(text)
    return value if value < 2**32 else _MALFORMED_EXPIRES


def _from_match(match: re.Match[str]) -> NameAddr:
    display, bracketed, bare, params = match.groups()
    if bare is not None:
        return _new(NameAddr, ("", bare, parse_params(params)))
    display = unquote(display.strip(" \t")) if display else ""
    return _new(NameAddr, (display, bracketed, parse_params(params)))


def _parse_name_addr(text: str) -> NameAddr:
    usual = _USUAL.fullmatch(text)
    if usual is not None:
        uri_text, tag = usual.groups()
        return _new(NameAddr, ("", uri_text, () if tag is None else (("tag", tag),)))
    match = _NAME_ADDR.fullmatch(text)
    if match is None:
        raise MessageError("Malformed address")
    return _from_match(match)


_remembered = lru_cache(maxsize=4096)(_parse_name_addr)


def parse_name_addr(text: str) -> NameAddr:
    """Parse a field that holds one value (From, To). Raises MessageError.

    Short ones are remembered, since a phone that is challenged sends the same again at once.
    """
    return _remembered(text) if len(text) <= _REMEMBERED_LENGTH else _parse_name_addr(text)


def parse_name_addrs(values: list[str]) -> tuple[NameAddr, ...]:
    """Parse a field that holds a list and may be repeated (Contact, Route, Path ...). Raises MessageError."""
    if len(values) == 1 and "," not in values[0]:
        return (parse_name_addr(values[0]),)
    found: list[NameAddr] = []
    for text in values:
        if "," not in text:
            found.append(parse_name_addr(text))
            continue
        position = 0
        while True:
            match = _NAME_ADDR.match(text, position)
            if match is None:
                raise MessageError("Malformed address")
            found.append(_from_match(match))
            position = match.end()
            if position == len(text):
                break
            if text[position] != ",":
                raise MessageError("Malformed address")
            position += 1
    return tuple(found)
