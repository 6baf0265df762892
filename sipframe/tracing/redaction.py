"""Messages without their secrets: what may leave the process for somebody to look at.

Rules: it works on any octets, whether they are a message or not, and goes by lines, so that what cannot be parsed is no
way around it. Of credentials what is known to be harmless stays and everything else goes (RFC 7616 3.4, RFC 6750 2.1).
Passwords in URIs go (RFC 3261 19.1.1), and keys in SDP (RFC 4568, RFC 8839 5.4, RFC 4567, RFC 8866 5.12), wherever a
line of a body looks like one. A body in an encoding that hides its lines goes whole. Content-Length is kept true.
A field of nobody's standard goes when its name says that it holds a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

__all__ = ["REDACTED", "redacted"]

REDACTED: Final = "redacted"
"""Stands where a secret stood."""

# Of Digest; the response is what a password can be guessed from. A nonce is no secret: it was sent in the clear.
_CREDENTIALS: Final = frozenset(
    ("algorithm", "cnonce", "nc", "nonce", "opaque", "qop", "realm", "stale", "uri", "userhash", "username")
)
_INFO: Final = frozenset(("cnonce", "nc", "nextnonce", "qop"))
_SECRET_WORDS: Final = frozenset(
    {
        *(
            "apikey",
            "auth",
            "cookie",
            "credential",
            "credentials",
            "jwt",
            "key",
            "otp",
            "passphrase",
            "passwd",
        ),
        *("password", "pin", "secret", "ticket", "token"),
    }
)
"""A field with one of these between the hyphens of its name is a secret."""
_PLAIN_ENCODINGS: Final = frozenset(("", "7bit", "8bit", "binary", "identity"))

_LINES: Final = re.compile(r"[^\r\n]*+(?:\r\n|\r|\n|\Z)")
_SCHEME: Final = re.compile(r"[ \t]*+([A-Za-z][A-Za-z0-9-]{0,19})[ \t\r\n]++(?=[^ \t\r\n])")
_PARAMETER: Final = re.compile(r'(?>(?:[^",\\]++|"(?>(?:[^"\\]++|\\.)*)")*)', re.DOTALL)
_NAME: Final = re.compile(r"\s*+[\w.!%*+`'~-]+\s*+")
_VALUE: Final = re.compile(r'\s*+(?:"(?>(?:[^"\\]++|\\.)*)"|[^\s",]*+)\s*+', re.DOTALL)
_URI_PASSWORD: Final = re.compile(
    r'\b((?:sips?|https?|wss?|ftps?|ldaps?|turns?|stuns?|xmpp|im|pres):(?://)?[^\s:@<>"]*+):'
    r'(?:(?!,\s*sips?:)[^\s<>"])*@',
    re.IGNORECASE,
)
_URI_CREDENTIALS: Final = re.compile(r'([?&][a-z0-9%-]*authorization=)[^&\s>"]*+', re.IGNORECASE)
_SDP_SECRET: Final = re.compile(
    r"[ \t]*+(?:(a=crypto:)[0-9]++[ \t]++[A-Za-z0-9_]++[ \t]++|a=crypto:|a=ice-pwd:|a=key-mgmt:|k=)",
    re.IGNORECASE,
)


def redacted(octets: bytes) -> bytes:
    """``octets`` of a message with :data:`REDACTED` in the place of every secret."""
    text = octets.decode("utf-8", "surrogateescape")
    end = _end_of_head(text)
    head, body = text[:end], text[end:]
    lines = _logical_lines(head)
    if body:
        before = len(_octets(body))
        inner = _logical_lines(body)
        if any(map(_hides, [*lines, *inner])):
            body = REDACTED
        else:
            body = "".join(map(_clean, inner))
        after = len(_octets(body))
        if after != before:
            lines = [_resized(line, before, after) for line in lines]
    return _octets("".join(map(_clean, lines)) + body)


def _end_of_head(text: str) -> int:
    """Where the first empty line ends, whatever lines end in."""
    starts = [at for at in map(text.find, ("\n\r", "\n\n", "\r\r")) if at >= 0]
    if not starts:
        return len(text)
    second = min(starts) + 1
    return second + (2 if text.startswith("\r\n", second) else 1)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _logical_lines(text: str) -> list[str]:
    """``text`` in lines with their ends; what continues a line is part of it (RFC 3261 7.3.1)."""
    lines: list[str] = []
    for line in _LINES.findall(text):
        if lines and line[:1] in (" ", "\t"):
            lines[-1] += line
        else:
            lines.append(line)
    return lines


def _clean(line: str) -> str:
    sdp = _SDP_SECRET.match(line)
    if sdp is not None:
        return line[: sdp.end()] + REDACTED + _end_of(line)
    name, colon, value = line.partition(":")
    key = name.strip(" \t").lower()
    if colon:
        redact = _rule_for(key)
        if redact is not None:
            end = _end_of(line)
            line = f"{name}:{redact(value[: len(value) - len(end)])}{end}"
    if "authorization=" in line.lower():
        line = _URI_CREDENTIALS.sub(rf"\1{REDACTED}", line)
    if (
        "@" in line and _URI_PASSWORD.search(line) is not None
    ):  # a substitution is slow even where there is none
        line = _URI_PASSWORD.sub(rf"\1:{REDACTED}@", line)
    return line


def _rule_for(key: str) -> Callable[[str], str] | None:
    if key in ("authorization", "proxy-authorization"):
        return _credentials
    if key in ("authentication-info", "proxy-authentication-info"):
        return _info
    if "authorization" in key or not _SECRET_WORDS.isdisjoint(key.split("-")):
        return _nothing
    return None


def _nothing(value: str) -> str:
    return f" {REDACTED}"


def _credentials(value: str) -> str:
    scheme = _SCHEME.match(value)
    if scheme is None:
        return _nothing(value)  # it may be nothing but a secret
    kept = None
    if scheme[1].lower() == "digest":
        kept = _parameters(value[scheme.end() :], _CREDENTIALS)
    return f" {scheme[1]} {REDACTED if kept is None else kept}"


def _info(value: str) -> str:
    kept = _parameters(value, _INFO)
    return _nothing(value) if kept is None else kept


def _parameters(text: str, harmless: frozenset[str]) -> str | None:
    """``text`` with the values of all parameters redacted but those that are ``harmless``; None when it has others
    than parameters in it.
    """
    kept: list[str] = []
    at = 0
    while True:
        found = _PARAMETER.match(text, at)
        assert found is not None  # it matches the empty text
        name, equals, value = found[0].partition("=")
        if not equals or not _NAME.fullmatch(name):
            return None
        if name.strip().lower() not in harmless or not _VALUE.fullmatch(value):
            value = f'"{REDACTED}"'
        kept.append(f"{name}={value}")
        at = found.end()
        if at == len(text):
            return ",".join(kept)
        if text[at] != ",":
            return None
        at += 1


def _hides(line: str) -> bool:
    """Whether a line says that what follows is not as it looks."""
    name, _, value = line.partition(":")
    key = name.strip(" \t").lower()
    if key not in ("content-encoding", "e", "content-transfer-encoding"):
        return False
    return value.strip().lower() not in _PLAIN_ENCODINGS


def _resized(line: str, before: int, after: int) -> str:
    """A Content-Length that was right says ``after`` now."""
    name, _, value = line.partition(":")
    if name.strip(" \t").lower() not in ("content-length", "l") or value.strip().lstrip("0") != str(before):
        return line
    return f"{name}: {after}{_end_of(line)}"


def _end_of(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]
