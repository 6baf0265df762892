"""What tests of hostile peers stand on: a server with two users, a stranger, and requests from a few words."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import _lru_cache_wrapper
from types import FunctionType
from typing import Any

from sipframe.message import Response, parse_auth_params
from sipframe.testing import Phone, Server
from sipframe.verdicts import Binding
from tests.auth import client

__all__ = ["ALICE", "BOB", "answers", "credentials", "kept_objects", "register", "serving"]

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"
PASSWORDS = {"alice": "wonderland", "bob": "zanzibar"}
STRANGER = "198.51.100.66"


@contextmanager
def serving(**settings: Any) -> Iterator[Server]:
    """A server that alice and bob may use. It must not log anything that is a warning or worse."""
    with Server(**{"users": PASSWORDS, "decisions_kept": 10, **settings}) as server:
        yield server
        assert list(server.log) == []


def register(
    *fields: str,
    to: str = BOB,
    call_id: str = "call-1",
    cseq: object = 1,
    branch: str = "z9hG4bK1",
    method: str = "REGISTER",
    uri: str = "sip:example.com",
    from_: str | None = None,
    via: str = "SIP/2.0/UDP 198.51.100.66:5060",
    length: str = "Content-Length: 0",
) -> bytes:
    """A request as somebody writes it by hand."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: {via};branch={branch};rport",
        "Max-Forwards: 70",
        f"From: <{from_ or to}>;tag=1",
        f"To: <{to}>",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        *fields,
        length,
    ]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def answers(phone: Phone, data: bytes) -> list[Response]:
    """What comes back for these octets."""
    before = len(phone.received)
    phone.send(data)
    return [one for one in phone.received[before:] if isinstance(one, Response)]


def credentials(challenged: Response, *, user: str = "bob", password: str | None = None, **other: Any) -> str:
    """An Authorization field that answers the last challenge: that of MD5, which each server offers."""
    challenge = parse_auth_params(challenged.all("www-authenticate")[-1].removeprefix("Digest "))
    known = PASSWORDS.get(user, "") if password is None else password
    changes = {name: other.pop(name) for name in ("response",) if name in other}
    params = client.answer(challenge, username=user, password=known, **other)
    return f"Authorization: {client.written({**params, **changes})}"


def kept_objects(server: Server) -> dict[str, int]:
    """How many objects of the server's there are, by class.

    What the test itself remembers is forgotten first, and so are the memos of pure functions: they are bounded.
    """
    server.events.clear()
    server.network.wire._kept.clear()
    for phone in server.phones:
        phone.strays.clear()
        phone.malformed.clear()
    everything = gc.get_objects()
    for one in everything:
        if isinstance(one, _lru_cache_wrapper) and isinstance(one.__wrapped__, FunctionType):
            one.cache_clear()
    del everything
    _ = gc.collect()
    found: dict[str, int] = {}
    for one in gc.get_objects():
        kind = type(one)
        module = getattr(kind, "__module__", "")
        if isinstance(module, str) and module.startswith("sipframe.") and ".testing" not in module:
            found[kind.__qualname__] = found.get(kind.__qualname__, 0) + 1
    return found


def contacts(bindings: tuple[Binding, ...]) -> list[str]:
    """The URIs of bindings."""
    return [one.contact for one in bindings]
