"""A whole server with phones that call each other, and what must be left of that: nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sipframe.decisions import Decision
from sipframe.message import Request
from sipframe.testing import Call, Dialog, Incoming, Phone, Server
from sipframe.transport import ListenAddress

__all__ = [
    "ALICE",
    "BOB",
    "CAROL",
    "USERS",
    "answered",
    "asked",
    "at_rest",
    "clock",
    "decision",
    "listen",
    "registered",
    "sent_to",
    "serving",
]

USERS = {"alice": "a", "bob": "b", "carol": "c"}
ALICE, BOB, CAROL = [f"sip:{user}@example.com" for user in USERS]

_LONGEST = 400.0
"""Longer than every timer of a call: timer C, then 64*T1 for the CANCEL's answer and for the ACK."""


def listen(*transports: str, host: str = "192.0.2.1") -> tuple[ListenAddress, ...]:
    """Where a server listens that needs no more than these: making a certificate takes a while."""
    return tuple(
        [
            ListenAddress.parse(f"{one}:{5061 if one == 'tls' else 5060}:interface={host}")
            for one in transports
        ]
    )


@contextmanager
def serving(*transports: str, **settings: Any) -> Iterator[Server]:
    """A server over these transports (UDP and TCP) that is at rest again in the end."""
    settings.setdefault("users", USERS)
    with Server(listen=listen(*(transports or ("udp", "tcp"))), **settings) as server:
        server.network.hosts["example.com"] = server.host
        before = clock(server)
        yield server
        at_rest(server, before)


def clock(server: Server) -> Counter[str]:
    """What stands on the clock, by name."""
    return Counter([repr(one).partition(" at ")[0] for one in server.reactor.getDelayedCalls()])


def at_rest(server: Server, before: Counter[str] | None = None) -> None:
    """After all timers nothing is left of any call: no transaction, no branch, no request under way, no timer."""
    server.advance(_LONGEST)
    service = server.service
    assert service.transactions() == {}
    assert service.proxy_counters is not None
    assert service.proxy_counters.calls_underway == 0
    running = service._running
    assert running is not None
    assert not running.sender.underway
    for phone in server.phones:
        for flow in phone.flows:
            if flow.transport != "UDP":
                flow.close()
    server.advance(_LONGEST)
    if before is not None:
        assert clock(server) == before
    assert not list(server.log)


def registered(server: Server, *users: str, transport: str = "udp", **more: Any) -> list[Phone]:
    """A registered phone for each of ``users``."""
    phones = []
    for user in users:
        phone = server.phone(f"sip:{user}@example.com", password=USERS[user], transport=transport, **more)
        assert phone.register().status == 200
        phones.append(phone)
    return phones


def asked(phone: Phone, method: str = "INVITE", within: float = 0.0) -> Incoming:
    """The request that has just come to ``phone``."""
    return phone.next_request(method, within=within)


def answered(call: Call, phone: Phone) -> Dialog:
    """``phone`` rings and answers ``call``: its end of the dialog."""
    incoming = asked(phone)
    incoming.ring()
    dialog = incoming.accept()
    assert call.wait(0.0).status == 200
    call.phone.pass_time(lambda: dialog.acked, 0.0)
    assert dialog.acked
    return dialog


def sent_to(phone: Phone, method: str) -> list[Request]:
    """The requests with ``method`` that reached ``phone``, retransmissions included."""
    return [one for one in phone.received if isinstance(one, Request) and one.method == method]


def decision(server: Server, method: str = "INVITE") -> Decision:
    """The last decision about a request with ``method``."""
    return next(one for one in reversed(server.decisions) if one.method == method)
