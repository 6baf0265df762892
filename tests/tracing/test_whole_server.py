"""Traces of the whole server in memory, as an application asks for them."""

from __future__ import annotations

import pytest

from sipframe.message import Request, parse_message
from sipframe.testing import Server
from sipframe.testing.server import BEGINNING
from sipframe.tracing import Traced
from sipframe.verdicts import Address

BOB = "sip:bob@example.com"
USERS = {"alice": "in clear", "bob": "zanzibar"}


def lines(traced: list[Traced]) -> list[str]:
    """``>`` what came, ``<`` what went, and in two words what it was."""
    found = []
    for one in traced:
        message = parse_message(one.octets)
        word = message.method if isinstance(message, Request) else str(message.status)
        found.append(f"{'<' if one.sent else '>'} {word}")
    return found


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_registration(transport: str) -> None:
    seen: list[Traced] = []
    with Server(users=USERS) as server:
        end = server.service.trace(seen.append)
        phone = server.phone(BOB, password="zanzibar", transport=transport)
        assert phone.register().status == 200
        assert lines(seen) == ["> REGISTER", "< 401", "> REGISTER", "< 200"]
        assert {one.transport for one in seen} == {transport.upper()}
        assert {one.local for one in seen} == {Address("192.0.2.1", 5061 if transport == "tls" else 5060)}
        assert {one.peer.host for one in seen} == {phone.host}
        assert all(one.at == BEGINNING for one in seen)
        end()
        phone.refresh()
    assert len(seen) == 4
    credentials = parse_message(seen[2].octets).credentials[0].params
    assert (credentials["username"], credentials["response"]) == ("bob", "redacted")
    assert b"rspauth" not in seen[3].octets or b'rspauth="redacted"' in seen[3].octets


def test_a_user_s_messages_only_and_over_a_stop_and_a_start() -> None:
    seen: list[Traced] = []
    with Server(users=USERS) as server:
        _ = server.service.trace(seen.append, "bob@example.com")
        alice = server.phone("sip:alice@example.com", password="in clear")
        bob = server.phone(BOB, password="zanzibar")
        alice.register()
        assert seen == []
        bob.register()
        assert len(seen) == 4
        server.service.trace(lambda traced: 1 / 0)  # hurts nobody
        server.wait(server.service.stopService())
        server.service.startService()
        server.settle()
        bob.register()
        assert len(seen) > 4


def test_a_request_of_ours_by_its_call_id() -> None:
    seen: list[Traced] = []
    with Server(users=USERS) as server:
        phone = server.phone(BOB, password="zanzibar", transport="tcp")
        phone.register()
        [binding] = server.bindings(BOB)
        phone.answering["OPTIONS"] = lambda incoming: incoming.answer(200)
        end = server.service.trace(seen.append)
        server.wait(server.service.send("OPTIONS", binding))
        assert lines(seen) == ["< OPTIONS", "> 200"]
        end()
        call_id = parse_message(seen[0].octets).call_id
        _ = server.service.trace(seen.append, call_id)
        server.wait(server.service.send("OPTIONS", binding))
    assert len(seen) == 2  # it has another one


def test_a_forwarded_message() -> None:
    seen: list[Traced] = []
    with Server(users=USERS) as server:
        alice = server.phone("sip:alice@example.com", password="in clear")
        bob = server.phone(BOB, password="zanzibar", transport="tls")
        bob.register()
        bob.answering["MESSAGE"] = lambda incoming: incoming.answer(200)
        _ = server.service.trace(seen.append, "bob@example.com")
        assert alice.message(BOB, "hello").status == 200
    assert lines(seen) == ["> MESSAGE", "< 407", "> MESSAGE", "< MESSAGE", "> 200", "< 200"]
    assert [one.transport for one in seen][-3:] == ["TLS", "TLS", "UDP"]
    # Credentials for us go no further (RFC 3261 22.3); those that came are not shown.
    assert b'response="redacted"' in seen[2].octets
