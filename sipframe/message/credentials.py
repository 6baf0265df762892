"""Challenges and credentials: WWW-Authenticate, Authorization and their proxy forms (RFC 3261 20.7, 20.44, 22).

Rules: one field is one value here, since its grammar separates parameters by the comma that separates values
elsewhere (RFC 3261 7.3.1). Nothing is checked against anything: that is the authenticator's.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sipframe.message.errors import MessageError
from sipframe.message.grammar import QUOTED, TOKEN, unquote

__all__ = ["Credentials", "parse_auth_params", "parse_credentials"]

_PARAM = re.compile(
    rf"({TOKEN}++)[ \t]*+=[ \t]*+(?:({QUOTED})|([^\s,\"]++))[ \t]*+,?+[ \t]*+|(.+)", re.DOTALL
)
_SCHEME = re.compile(rf"({TOKEN}++)[ \t]*+", re.ASCII)
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]++=*+")


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


def parse_credentials(values: list[str]) -> tuple[Credentials, ...]:
    """Parse each field as one scheme with its parameters, in order. Raises MessageError."""
    found: list[Credentials] = []
    for value in values:
        scheme = _SCHEME.match(value)
        if scheme is None:
            raise MessageError("Malformed credentials")
        rest = value[scheme.end() :]
        if rest and _TOKEN68.fullmatch(rest):
            found.append(Credentials(scheme.group(1), {"": rest}, value))
        else:
            found.append(Credentials(scheme.group(1), parse_auth_params(rest), value))
    return tuple(found)
