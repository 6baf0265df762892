"""Who takes part in what passes: a life line for each address, callers to the left of the server, others to its right.

Rules: a party is an address and a port. Whoever sends the first message of a Call-ID is a caller; whoever is sent a
request of a call that somebody else began is called, and moves to the right, once and for good. A party is named by the
first message that says who it is: From when it asks, To when it is asked. There are no more parties at once than have
room: the one that has been silent longest goes; and when somebody comes, so do those of other calls who are idle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sipframe.cli.ladder import Participant
from sipframe.message import Message, MessageError, Request, Response, SipURI
from sipframe.message.name_addr import NameAddr

if TYPE_CHECKING:
    from sipframe.tracing import Traced
    from sipframe.verdicts import Address

__all__ = ["IDLE", "MOST_CALLS", "Parties", "host_and_port"]

IDLE: Final = 5.0
"""Seconds of silence after which a party makes room when the life lines change anyway."""

MOST_CALLS: Final = 1_000
"""Call-IDs of which it is remembered who began them."""


class Parties:
    """The parties of one picture, no more than ``most`` besides the server; None is no limit."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self._called: dict[Address, bool] = {}
        """Who takes part, and whether to the right; the one that has been silent longest first."""
        self._order: dict[Address, None] = {}
        self._latest: dict[Address, tuple[float, str | None]] = {}
        """When each party's last message passed, and its Call-ID."""
        self._names: dict[Address, Participant] = {}
        self._began: dict[str, Address | None] = {}
        self._server = ""

    def take(self, traced: Traced, message: Request | Response | None) -> bool:
        """A message passes. True when the life lines change by that."""
        peer = traced.peer
        call_id = None if message is None else message.first("call-id")
        before = self._called.pop(peer, None)
        called = before or self._is_called(traced, message)
        self._called[peer] = called
        named = self._names.get(peer)
        if named is None or not named.name:
            name = _user_of(traced, message)
            self._names[peer] = Participant(name, f"{host_and_port(peer)} {traced.transport}")
        if before is None:
            self._order[peer] = None
            if self.most is not None:
                self._make_room(peer, traced.at, call_id)
        self._latest[peer] = traced.at, call_id
        began, self._server = self._server, self._server or host_and_port(traced.local)
        return not began or before is not called or self._names[peer] != (named or self._names[peer])

    def _make_room(self, peer: Address, now: float, call_id: str | None) -> None:
        for one in [one for one in self._called if one != peer]:
            at, call = self._latest[one]
            if len(self._called) > max(1, self.most or 1) or (call != call_id and at + IDLE < now):
                del self._called[one], self._order[one], self._names[one], self._latest[one]

    def _is_called(self, traced: Traced, message: Request | Response | None) -> bool:
        if message is None:
            return traced.sent
        asked = traced.sent is isinstance(message, Request)
        call_id = message.first("call-id")
        if call_id is None:
            return asked
        if call_id not in self._began:
            while len(self._began) >= MOST_CALLS:
                del self._began[next(iter(self._began))]
            self._began[call_id] = None if asked else traced.peer
        return asked and self._began[call_id] != traced.peer

    def participants(self) -> list[Participant]:
        """All life lines from left to right."""
        return [
            Participant("server", self._server) if one is None else self._names[one] for one in self._lanes()
        ]

    def place_of(self, peer: Address) -> tuple[int, int]:
        """Which life lines are the server's and the party's."""
        lanes = self._lanes()
        return lanes.index(None), lanes.index(peer)

    def _lanes(self) -> list[Address | None]:
        left = [one for one in self._order if not self._called[one]]
        right = [one for one in self._order if self._called[one]]
        return [*reversed(left), None, *right]


def host_and_port(address: Address) -> str:
    """``192.0.2.7:5060`` or ``[2001:db8::7]:5060``; ``*`` for a socket on all addresses."""
    host = f"[{address.host}]" if ":" in address.host else address.host or "*"
    return f"{host}:{address.port}"


def _user_of(traced: Traced, message: Message | None) -> str:
    if message is None:
        return ""
    asks = traced.sent is not isinstance(message, Request)
    return _user(lambda: message.from_ if asks else message.to)


def _user(read: Callable[[], NameAddr]) -> str:
    try:
        uri = read().uri
    except MessageError:
        return ""
    return (uri.user or uri.host) if isinstance(uri, SipURI) else str(uri)
