"""URIs: parsing, comparison and the canonical form of an AOR (RFC 3261 19.1, 10.3 step 5; RFC 5954).

Rules: components keep their escapes, as they stood; whoever needs the plain text asks for it, and it is decoded once.
Two URIs are compared by :func:`equivalent`, never by ``==``: the relation is not transitive (19.1.4).
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from sipframe.message.errors import MessageError
from sipframe.message.grammar import Params

__all__ = ["URI", "OtherURI", "SipURI", "aor_of", "equivalent", "parse_uri"]

_ESCAPED = r"%[0-9A-Fa-f]{2}"


def _some(characters: str) -> str:
    """An expression for any number of ``characters`` and escapes, in one way only."""
    return rf"[{characters}]*+(?:{_ESCAPED}[{characters}]*+)*"


_USER = _some(r"A-Za-z0-9\-_.!~*'()&=+$,;?/")
_PASSWORD = _some(r"A-Za-z0-9\-_.!~*'()&=+$,")
_HEADERS = _some(r"A-Za-z0-9\-_.!~*'()\[\]/?:+$=&")
_PARAM_CHARACTERS = r"A-Za-z0-9\-_.!~*'()\[\]/:&+$"
_PARAM = rf"(?=[{_PARAM_CHARACTERS}%]){_some(_PARAM_CHARACTERS)}"
_SIP = re.compile(
    rf"""([Ss][Ii][Pp][Ss]?):
    (?: (?![:@])({_USER}) (?: :({_PASSWORD}) )? @ )?
    ( [A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9.])? | \[[0-9A-Fa-f:.]++\] )
    (?: :([0-9]{{1,5}}) )?
    ( (?>(?: ;{_PARAM}(?:={_PARAM})? )*) )
    (?: \?(?=.)({_HEADERS}) )?
    """,
    re.VERBOSE | re.ASCII,
)
_OTHER = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):([!#-;=?-~]+)")
_UNRESERVED_ESCAPE = re.compile(_ESCAPED)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()")
_new = tuple.__new__  # what a NamedTuple does, without the detour
_MUST_AGREE = ("user", "ttl", "method", "maddr", "transport")


class SipURI(NamedTuple):
    """A ``sip:`` or ``sips:`` URI (RFC 3261 19.1.1). ``user`` and ``password`` are None when they are left out."""

    scheme: str
    user: str | None
    password: str | None
    host: str
    """As written; an IPv6 reference keeps its brackets."""
    port: int | None
    params: Params
    headers: tuple[tuple[str, str], ...]

    def param(self, name: str) -> str | None:
        """The value of a URI parameter, escapes undone, ``""`` when it stands bare, None when it is missing."""
        for key, value in self.params:
            if key == name or ("%" in key and plain(key).lower() == name):
                return "" if value is None else plain(value)
        return None

    def __str__(self) -> str:
        userinfo = ""
        if self.user is not None:
            userinfo = self.user + ("" if self.password is None else f":{self.password}") + "@"
        port = "" if self.port is None else f":{self.port}"
        params = "".join([f";{name}" if value is None else f";{name}={value}" for name, value in self.params])
        headers = "?" + "&".join([f"{name}={value}" for name, value in self.headers]) if self.headers else ""
        return f"{self.scheme}:{userinfo}{self.host}{port}{params}{headers}"


class OtherURI(NamedTuple):
    """A URI of another scheme (``tel:``, ``mailto:``, ``urn:`` ...): kept, listed, never used as a SIP target."""

    scheme: str
    rest: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"


URI = SipURI | OtherURI


def _parse_uri(text: str) -> URI:
    match = _SIP.fullmatch(text)
    if match is not None:
        scheme, user, password, host, port, params_text, headers_text = match.groups()
        if host[0] == "[":
            try:
                IPv6Address(host[1:-1])
            except ValueError:
                raise MessageError("Malformed IPv6 reference in a URI") from None
        elif ".." in host or ".-" in host or "-." in host:
            raise MessageError("Malformed host in a URI")
        number: int | None = None
        if port is not None:
            number = int(port)
            if number > 65535:
                raise MessageError("Port out of range in a URI")
        params = _uri_params(params_text) if params_text else ()
        headers = _uri_headers(headers_text) if headers_text else ()
        return _new(SipURI, (scheme.lower(), user, password, host, number, params, headers))
    other = _OTHER.fullmatch(text)
    if other is None or other.group(1).lower() in ("sip", "sips"):
        raise MessageError("Malformed URI")
    return OtherURI(other.group(1).lower(), other.group(2))


_remembered = lru_cache(maxsize=4096)(_parse_uri)
_REMEMBERED_LENGTH = 128


def parse_uri(text: str) -> URI:
    """Take a URI apart. Raises MessageError when it is malformed.

    Short URIs are remembered, since a phone sends the same few again and again; the memory that takes is bounded.
    """
    return _remembered(text) if len(text) <= _REMEMBERED_LENGTH else _parse_uri(text)


def _uri_params(text: str) -> Params:
    found: list[tuple[str, str | None]] = []
    for item in text[1:].split(";"):
        name, equals, value = item.partition("=")
        found.append((name.lower(), value if equals else None))
    if len(found) > 1 and len({plain(name).lower() for name, _ in found}) != len(found):
        # RFC 3261 19.1.1: any given parameter-name MUST NOT appear more than once.
        raise MessageError("Repeated parameter in a URI")
    return tuple(found)


def _uri_headers(text: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for item in text.split("&"):
        name, equals, value = item.partition("=")
        if not name or not equals:
            raise MessageError("Malformed header component in a URI")
        found.append((name, value))
    return tuple(found)


def plain(text: str) -> str:
    """Undo all escapes, once (RFC 3261 19.1.2: ``value%25%34%31`` is ``value%41``)."""
    if "%" not in text:
        return text
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _comparable(text: str) -> str:
    # RFC 3261 19.1.4: characters outside the reserved set equal their escapes; an escape's digits have no case.
    if "%" not in text:
        return text

    def fold(match: re.Match[str]) -> str:
        character = chr(int(match.group()[1:], 16))
        return character if character in _UNRESERVED else match.group().upper()

    return _UNRESERVED_ESCAPE.sub(fold, text)


def _comparable_host(host: str) -> str:
    if host[0] == "[":
        return IPv6Address(host[1:-1]).compressed  # RFC 5954 4.2: by the binary address
    return host.lower()


def equivalent(a: URI, b: URI) -> bool:
    """Whether two URIs are equal by RFC 3261 19.1.4; other schemes by scheme and exact text after it."""
    if isinstance(a, OtherURI) or isinstance(b, OtherURI):
        return a == b
    if a == b:
        return True
    if a.scheme != b.scheme or a.port != b.port:
        return False
    if (a.user is None) != (b.user is None) or (a.password is None) != (b.password is None):
        return False
    if _comparable(a.user or "") != _comparable(b.user or ""):
        return False
    if _comparable(a.password or "") != _comparable(b.password or ""):
        return False
    if _comparable_host(a.host) != _comparable_host(b.host):
        return False
    return _params_agree(a.params, b.params) and _headers_agree(a.headers, b.headers)


def _params_agree(a: Params, b: Params) -> bool:
    if a == b:
        return True
    left = {_comparable(name).lower(): _comparable(value or "").lower() for name, value in a}
    right = {_comparable(name).lower(): _comparable(value or "").lower() for name, value in b}
    if any(left[name] != right[name] for name in left.keys() & right.keys()):
        return False
    # 19.1.4: these never match when they stand in one URI only, even with their default value.
    return all((name in left) == (name in right) for name in _MUST_AGREE)


def _headers_agree(a: tuple[tuple[str, str], ...], b: tuple[tuple[str, str], ...]) -> bool:
    # 19.1.4: header components are never ignored; each field by its own rules, which we read as exact text.
    return sorted((name.lower(), _comparable(value)) for name, value in a) == sorted(
        (name.lower(), _comparable(value)) for name, value in b
    )


def aor_of(uri: URI) -> str:
    """The canonical AOR of a URI, the key that bindings are stored by (RFC 3261 10.3 step 5).

    Raises MessageError for a URI of another scheme, which names no AOR.

    Parameters, headers, password and port go, escapes are undone, the host is lower-cased. ``sip`` and ``sips`` name
    the same AOR (RFC 5630 3.1): ``sip:user@host``. An unescaped user may hold any character; the last ``@`` divides.
    """
    if not isinstance(uri, SipURI):
        raise MessageError("The URI is no SIP or SIPS URI")
    _, user, _, host, _, _, _ = uri
    host = f"[{_comparable_host(host)}]" if host[0] == "[" else host.lower().rstrip(".")
    if user is None:
        return f"sip:{host}"
    return f"sip:{plain(user) if '%' in user else user}@{host}"
