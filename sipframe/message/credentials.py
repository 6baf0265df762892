"""Challenges and credentials: WWW-Authenticate, Authorization and their proxy forms (RFC 3261 20.7, 20.44, 22).

Rules: one field is one value here, since its grammar separates parameters by the comma that separates values
elsewhere (RFC 3261 7.3.1). Nothing is checked against anything: that is the authenticator's.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from sipframe.message.errors import MessageError
from sipframe.message.grammar import QUOTED, TOKEN, unquote

__all__ = ["Credentials", "parse_auth_params", "parse_credentials"]

_PARAM = re.compile(
    rf"({TOKEN}++)[ \t]*+=[ \t]*+(?:({QUOTED})|([^\s,\"]++))[ \t]*+,?+[ \t]*+|(.+)", re.DOTALL
)
_SCHEME = re.compile(rf"({TOKEN}++)[ \t]*+", re.ASCII)
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]++=*+")
_USUAL_NAMES: Final = frozenset(
    ("username", "realm", "nonce", "uri", "response", "algorithm", "opaque", "qop", "nc", "cnonce")
)
_REMEMBERED_LENGTH: Final = 256


_new = tuple.__new__  # what a NamedTuple does, without the detour


class Credentials(NamedTuple):
    """A scheme and its parameters; it serves for challenges as well.

    Names are in lower case, values unquoted. For a scheme with a single token (``Bearer``) that token is the value
    of ``""``.
    """

    scheme: str
    params: dict[str, str]
    raw: str


def parse_auth_params(text: str) -> dict[str, str]:
    """Parse ``name=value`` pairs as Authorization and Authentication-Info have them. Raises MessageError."""
    found: dict[str, str] = {}
    for name, quoted, bare, junk in _PARAM.findall(text):
        if junk:
            raise MessageError("Malformed credentials")
        key = name.lower()
        if key in found:
            raise MessageError("Repeated parameter in credentials")
        found[key] = (unquote(quoted) if "\\" in quoted else quoted[1:-1]) if quoted else bare
    return found


def _usual_digest(text: str) -> dict[str, str] | None:
    """The parameters of Digest as nearly all clients write them; None when they need more care, or are wrong.

    Cut at the quotation marks, every other piece is a value. What is left is the same for all requests of a phone, but
    for its nonce count.
    """
    pieces = text.split('"')
    around = '"'.join(pieces[::2])
    if "\\" in text or len(around) > _REMEMBERED_LENGTH:
        return None
    names, unquoted = _layout(around)
    values = pieces[1::2]
    if len(names) != len(values) or not names:
        return None
    found = unquoted.copy()
    found.update(zip(names, values, strict=True))
    return found


@lru_cache(maxsize=1024)
def _layout(around: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """What stands around the quoted strings, ``username=", realm=", algorithm=MD5``: the names of the strings, and all
    parameters in order, with the values of those that are not quoted. No names: it needs more care, or is wrong.
    """
    wrong: tuple[tuple[str, ...], dict[str, str]] = ((), {})
    pieces = around.split('"')
    names: list[str] = []
    found: dict[str, str] = {}
    for at, piece in enumerate(pieces):
        if at == len(pieces) - 1 and not piece:
            break  # it ends with a quoted string
        quoted = ""
        for pair in (piece.removeprefix(", ") if at else piece).split(", "):
            name, equals, value = pair.partition("=")
            if quoted or not equals or name not in _USUAL_NAMES or name in found:
                return wrong
            found[name] = value
            if not value:
                quoted = name
                names.append(name)
            elif not value.replace("-", "").isalnum():
                return wrong
        if (quoted == "") != (at == len(pieces) - 1):
            return wrong
    return tuple(names), found


def parse_credentials(values: list[str]) -> tuple[Credentials, ...]:
    """Parse each field as one scheme with its parameters, in order. Raises MessageError."""
    found: list[Credentials] = []
    for value in values:
        if value[:7] == "Digest ":
            usual = _usual_digest(value[7:])
            if usual is not None:
                found.append(_new(Credentials, ("Digest", usual, value)))
                continue
        scheme = _SCHEME.match(value)
        if scheme is None:
            raise MessageError("Malformed credentials")
        rest = value[scheme.end() :]
        if rest and _TOKEN68.fullmatch(rest):
            found.append(Credentials(scheme.group(1), {"": rest}, value))
        else:
            found.append(Credentials(scheme.group(1), parse_auth_params(rest), value))
    return tuple(found)
