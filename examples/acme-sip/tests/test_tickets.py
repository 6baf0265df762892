"""Tickets against the real server in memory, and against the contract of all authenticators."""

from __future__ import annotations

from pathlib import Path

import pytest
from acme_sip.tickets import Tickets, ticket

from sipframe.testing import Phone, Server
from sipframe.testing.contracts import Ask, AuthenticatorContract, Proof, StillFlow
from sipframe.testing.contracts.digest_client import register

KEY = b"0123456789abcdef"


@pytest.fixture
def server(tmp_path: Path) -> Server:
    (tmp_path / "key").write_bytes(KEY)
    chosen = [f"acme-ticket:key-file={tmp_path / 'key'}", "digest"]
    return Server(authenticator=chosen, users={"alice": "wonderland"})


def shown(server: Server, name: str = "alice", seconds: float = 3600, key: bytes = KEY) -> str:
    return f'Authorization: Acme ticket="{ticket(key, name, int(server.now() + seconds))}"'


def phone(server: Server, transport: str = "tls", password: str | None = None) -> Phone:
    return server.phone("sip:alice@example.com", transport=transport, password=password)


def test_a_ticket_is_enough(server: Server) -> None:
    with server:
        assert phone(server).register(fields=[shown(server)]).status == 200
        assert server.bindings("sip:alice@example.com")


def test_a_ticket_that_is_none(server: Server) -> None:
    with server:
        for field, reason in {
            shown(server, seconds=0): "an old ticket",
            shown(server, key=b"fedcba9876543210"): "a forged ticket",
        }.items():
            answer = phone(server).register(fields=[field])
            assert (answer.status, server.decisions[-1].steps[-1].reason) == (401, reason)
            assert answer.all("www-authenticate")[0] == 'Acme realm="example.com"'


def test_somebody_elses_ticket(server: Server) -> None:
    with server:
        assert phone(server).register(fields=[shown(server, name="bob")]).status == 403


def test_who_has_none_has_a_password(server: Server) -> None:
    with server:
        assert phone(server, password="wonderland").register().status == 200
        assert phone(server, "udp", password="wonderland").register().status == 200


def test_in_clear_text_it_counts_for_nothing(server: Server) -> None:
    with server:
        answer = phone(server, "tcp").register(fields=[shown(server)])
        assert answer.status == 401
        assert [value.partition(" ")[0] for value in answer.all("www-authenticate")] == ["Digest"]


class TestContract(AuthenticatorContract):
    covers_method = False
    covers_uri = False
    refuses_replay = False

    def open_authenticator(self, place: Path) -> Tickets:
        (place / "key").write_bytes(KEY)
        return Tickets(key_file=place / "key", surroundings=self.surroundings(place))

    def good_request(self, ask: Ask) -> Proof:
        made = ticket(KEY, "alice", int(self.reactor.seconds()) + 60)
        request = register("example.com", fields=[("Authorization", f'Acme ticket="{made}"')])
        signature = made.rpartition(".")[2]
        return Proof(request, StillFlow("TLS"), "alice", frozenset(["sip:alice@example.com"]), signature)
