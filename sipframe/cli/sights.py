"""What a trace says of each message that passes: its words, and what they have to do with the messages before.

Rules: a message that cannot be read is shown as far as it goes. The same octets once more between the same two are a
retransmission. The Call-ID is told whenever it is another one than that of the message before. Nothing here raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2s
from typing import TYPE_CHECKING, Final, NamedTuple

from sipframe.cli import captions
from sipframe.cli.ladder import Kind
from sipframe.message import Limits, MessageError, Request, Response, parse_message

if TYPE_CHECKING:
    from sipframe.tracing import Traced

__all__ = ["MOST_REMEMBERED", "Sight", "Sights"]

MOST_REMEMBERED: Final = 1_000
"""Messages that a retransmission is recognised by."""

_LONGEST: Final = 1_000_000
_LIMITS: Final = Limits(head=_LONGEST, lines=_LONGEST, body=_LONGEST)
_FIRST_WORDS: Final = 60


class Sight(NamedTuple):
    """A message that passed, in words; none of them is safe for a terminal yet."""

    traced: Traced
    message: Request | Response | None
    """As far as it can be read."""
    label: str
    aside: str
    notes: tuple[str, ...]
    kind: Kind
    since: float
    """Seconds after the message before."""
    text: tuple[str, ...]
    """The lines of its head, or of all of it when it cannot be read."""
    body: tuple[str, ...]
    """The lines of its body."""


class Sights:
    """Sees one message after the other."""

    def __init__(self) -> None:
        self._seen: dict[bytes, None] = {}
        self._call_id: str | None = None
        self._last: float | None = None

    def see(self, traced: Traced) -> Sight:
        """The next message."""
        since = 0.0 if self._last is None else max(0.0, traced.at - self._last)
        self._last = traced.at
        message: Request | Response | None
        reason = ""
        try:
            message = parse_message(traced.octets, _LIMITS)
        except MessageError as error:
            message, reason = error.partial, error.reason
        again = self._again(traced)
        notes = ["again"] if again else []
        if message is None:
            lines = traced.octets.decode("utf-8", "surrogateescape").splitlines()
            words = lines[0][:_FIRST_WORDS] if lines else ""
            return Sight(
                traced, None, words, "", (*notes, f"no SIP: {reason}"), Kind.FAILURE, since, tuple(lines), ()
            )
        notes += self._call_of(message)
        if reason:
            notes.append(f"malformed: {reason}")
        if not again:
            notes += _worth_telling(message)
            if message.body:
                kind = message.first("content-type") or "no type"
                notes.append(f"{kind}, {len(message.body)} octets")
        text, body = _lines_of(message)
        kinds = Kind.AGAIN if again else captions.kind(message)
        return Sight(
            traced,
            message,
            captions.label(message),
            captions.aside(message),
            tuple(notes),
            kinds,
            since,
            text,
            body,
        )

    def _again(self, traced: Traced) -> bool:
        key = blake2s(repr(traced[1:5]).encode("utf-8", "surrogateescape") + traced.octets).digest()
        again = key in self._seen
        self._seen.pop(key, None)
        while len(self._seen) >= MOST_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = None
        return again

    def _call_of(self, message: Request | Response) -> list[str]:
        before, self._call_id = self._call_id, message.first("call-id")
        return [] if self._call_id == before else [f"Call-ID {self._call_id or 'missing'}"]


def _worth_telling(message: Request | Response) -> Iterator[str]:
    """A Contact changes something where it binds a user, makes a dialog or redirects (RFC 3261 12.1, 8.1.3.4)."""
    try:
        method = message.cseq.method
    except MessageError:
        method = ""
    redirects = isinstance(message, Response) and 300 <= message.status < 400
    contacts = redirects or method in ("", "REGISTER", "INVITE", "SUBSCRIBE")
    return (note for note in captions.notes(message) if contacts or not note.startswith("Contact "))


def _lines_of(message: Request | Response) -> tuple[tuple[str, ...], tuple[str, ...]]:
    head = "\r\n".join([message.start_line, *message.lines]).split("\r\n")
    body = message.body.decode("utf-8", "surrogateescape").splitlines()
    return tuple(head), tuple(body)
