"""Which messages somebody wants to see: those of a call, those about a user, or all.

Rules: a message is about whoever its Request-URI, To, From or a Contact names. Once one message of a Call-ID is about a
user, all others with that Call-ID are wanted as well, because responses and requests inside a dialog may name nobody
that the user is known by. The memory for such Call-IDs is bounded: the one that has been silent longest goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sipframe.domains import Domains
from sipframe.message import URI, Limits, MessageError, Request, Response, SipURI, aor_of, parse_message

__all__ = ["MOST_CALLS", "Subject"]

MOST_CALLS: Final = 1_000
"""Call-IDs that are remembered for one subject."""

_LONGEST: Final = 1_000_000
_LIMITS: Final = Limits(head=_LONGEST, lines=_LONGEST, body=_LONGEST)
"""The transport has let it in, or we have written it."""


class Subject:
    """Everything that has the Call-ID ``call_id`` or is about one of ``aors``; without both simply everything.

    ``aors`` are canonical; ``domains`` says what else they are called.
    """

    def __init__(
        self,
        domains: Domains,
        *,
        call_id: str | None = None,
        aors: Iterable[str] = (),
        most_calls: int = MOST_CALLS,
    ) -> None:
        self._domains = domains
        self._call_id = call_id
        self._aors = frozenset(aors)
        self._most_calls = most_calls
        self._calls: dict[str, None] = {}
        """Call-IDs, the one that has been silent longest first."""

    def wants(self, octets: bytes) -> bool:
        """Whether this message is one of those."""
        if self._call_id is None and not self._aors:
            return True
        message = _read(octets)
        call_id = None if message is None else message.first("call-id")
        if message is None or call_id is None:
            return False
        if call_id == self._call_id:
            return True
        if not self._aors:
            return False
        if call_id not in self._calls and not self._is_about(message):
            return False
        self._calls.pop(call_id, None)
        while len(self._calls) >= self._most_calls:
            del self._calls[next(iter(self._calls))]
        self._calls[call_id] = None
        return True

    def _is_about(self, message: Request | Response) -> bool:
        return any(
            aor_of(uri) in self._aors or self._domains.aor_of(uri) in self._aors
            for uri in _uris(message)
            if isinstance(uri, SipURI)
        )


def _read(octets: bytes) -> Request | Response | None:
    try:
        return parse_message(octets, _LIMITS)
    except MessageError as error:
        return error.partial


def _uris(message: Request | Response) -> Iterator[URI]:
    if isinstance(message, Request):
        try:
            yield message.uri
        except MessageError:
            pass
    for name in ("to", "from_"):
        try:
            yield getattr(message, name).uri
        except MessageError:
            pass
    try:
        contacts = message.contacts
    except MessageError:
        return
    for contact in contacts:
        try:
            yield contact.uri
        except MessageError:
            pass
