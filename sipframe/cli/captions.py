"""Messages in a few words: what a ladder says on an arrow and beside it, and the whole text without its secrets.

Rules: what is shown is what a person looks for first (contacts, expiry, challenges, credentials), never a digest.
A field that cannot be read says so; nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from sipframe.cli.ladder import Kind
from sipframe.cli.terminal import duration
from sipframe.message import Credentials, MessageError, NameAddr, Request, Response

__all__ = ["aside", "kind", "label", "notes", "text_lines"]

_MOST_NOTES: Final = 16
"""Beside one arrow; a server that lists a hundred contacts gets no hundred lines."""
_SECRET: Final = re.compile(r'\b((?:response|rspauth)[ \t]*=[ \t]*)("[^"]*"?|[^,\s]*)', re.IGNORECASE)
_SECRET_FIELDS: Final = (
    "authorization",
    "proxy-authorization",
    "authentication-info",
    "proxy-authentication-info",
)


def kind(message: Request | Response) -> Kind:
    """What the arrow looks like."""
    if isinstance(message, Request):
        return Kind.REQUEST
    if message.status < 200:
        return Kind.PROVISIONAL
    if message.status < 300:
        return Kind.SUCCESS
    return Kind.CHALLENGE if message.status in (401, 407) else Kind.FAILURE


def label(message: Request | Response) -> str:
    """``REGISTER sip:example.com`` or ``401 Unauthorized``."""
    if isinstance(message, Request):
        return f"{message.method} {message.uri_text}"
    return f"{message.status} {message.reason}"


def aside(message: Request | Response) -> str:
    """``CSeq 1``; empty when it cannot be read."""
    try:
        return f"CSeq {message.cseq.number}"
    except MessageError:
        return ""


def notes(message: Request | Response) -> tuple[str, ...]:
    """What matters about a message, a line each."""
    found = list(_notes(message))
    if len(found) > _MOST_NOTES:
        found[_MOST_NOTES - 1 :] = [f"and {len(found) - _MOST_NOTES + 1} more"]
    return tuple(found)


def _notes(message: Request | Response) -> Iterator[str]:
    yield from _tried(lambda: _credentials([*message.credentials, *message.proxy_credentials]))
    yield from _tried(lambda: _challenges([*message.challenges, *message.proxy_challenges]))
    if message.contact_star:
        yield "Contact *"
    yield from _tried(lambda: map(_contact, message.contacts))
    if isinstance(message, Request) and message.method == "REGISTER" and not message.all("contact"):
        yield "no Contact: asks what is there"
    for name, field in (
        ("expires", "Expires"),
        ("min-expires", "Min-Expires"),
        ("retry-after", "Retry-After"),
    ):
        yield from (f"{field} {value}" for value in message.all(name))
    for name, field in (("unsupported", "Unsupported"), ("warning", "Warning")):
        yield from (f"{field}: {value}" for value in message.all(name))


def _tried(read: Callable[[], Iterable[str]]) -> list[str]:
    try:
        return list(read())
    except MessageError as error:
        return [f"unreadable: {error.reason}"]


def _credentials(credentials: Iterable[Credentials]) -> Iterator[str]:
    for one in credentials:
        if one.scheme.lower() != "digest":
            yield f"{one.scheme} credentials"
            continue
        words = [f"Digest {one.params.get('algorithm', 'MD5')} as {one.params.get('username', '?')}"]
        if "nc" in one.params:
            words.append(f"nc {one.params['nc'].lstrip('0') or '0'}")
        yield ", ".join(words)


def _challenges(challenges: Iterable[Credentials]) -> Iterator[str]:
    realms: dict[str, list[str]] = {}
    stale = False
    for one in challenges:
        digest = one.scheme.lower() == "digest"
        offered = one.params.get("algorithm", "MD5") if digest else one.scheme
        realms.setdefault(one.params.get("realm", ""), []).append(offered)
        stale = stale or one.params.get("stale", "").lower() == "true"
    for realm, offers in realms.items():
        yield f'realm "{realm}"'
        yield f"offers {', '.join(offers)}"
    if stale:
        yield "stale: only the nonce was too old"


def _contact(contact: NameAddr) -> str:
    lasts = contact.expires
    rest = "".join(
        [
            f";{name}" if value is None else f";{name}={value}"
            for name, value in contact.params
            if name != "expires"
        ]
    )
    return f"Contact {contact.uri_text}{rest and ' '}{rest}" + (
        "" if lasts is None else f" for {duration(lasts)}"
    )


def text_lines(message: Request | Response) -> list[str]:
    """The whole message, line by line, with digests and other credentials taken out."""
    lines = [message.start_line]
    for line in message.lines:
        name, colon, value = line.partition(":")
        if name.strip(" \t").lower() in _SECRET_FIELDS:
            scheme = value.split(None, 1)[0].lower() if value.strip() else ""
            if "authorization" in name.lower() and scheme != "digest":
                value = f" {scheme} (not shown)"
            else:
                value = _SECRET.sub(r"\1(not shown)", value)
        lines += f"{name}{colon}{value}".split("\r\n")
    if message.body:
        lines += ["", *message.body.decode("utf-8", "surrogateescape").split("\r\n")]
    return lines
