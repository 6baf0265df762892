"""The tests of gateways.py: real calls by gateways that are in trouble, and the contract of policies.

python -m pytest examples/test_gateways.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gateways import Gateways

from sipframe.testing import Phone, Server
from sipframe.testing.contracts import PolicyContract

PREFIXES = {"+": ["dear.example.net"], "+49": ["cheap.example.net", "dear.example.net"], "+49900": []}
USERS = {"alice": "secret", "+4930123": "desk"}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(policies=[Gateways(prefixes=PREFIXES)], users=USERS) as server:
        yield server


def gateway(server: Server, name: str, host: str) -> Phone:
    """Something that listens where that name leads."""
    server.network.hosts[name] = host
    made = server.phone(f"sip:gateway@{name}", host=host)
    made.connect()
    return made


@pytest.fixture
def cheap(server: Server) -> Phone:
    return gateway(server, "cheap.example.net", "203.0.113.1")


@pytest.fixture
def dear(server: Server) -> Phone:
    return gateway(server, "dear.example.net", "203.0.113.2")


@pytest.fixture
def alice(server: Server) -> Phone:
    return server.phone("sip:alice@example.com", password="secret", transport="tls")


def test_the_cheap_one_first(alice: Phone, cheap: Phone, dear: Phone) -> None:
    call = alice.call("sip:+4940555@example.com")
    incoming = cheap.next_request("INVITE")
    assert incoming.request.uri_text == "sip:+4940555@cheap.example.net"
    incoming.accept()
    assert call.wait().status == 200
    assert not dear.received


def test_the_dear_one_when_the_cheap_one_has_no_line(alice: Phone, cheap: Phone, dear: Phone) -> None:
    call = alice.call("sip:+4940555@example.com")
    cheap.next_request("INVITE").reject(503)
    dear.next_request("INVITE").accept()
    assert call.wait().status == 200


def test_the_dear_one_when_nothing_is_heard_of_the_cheap_one(alice: Phone, dear: Phone) -> None:
    call = alice.call("sip:+4940555@example.com")
    dear.next_request("INVITE", within=64).accept()
    assert call.wait().status == 200


def test_the_longest_prefix_decides(alice: Phone, dear: Phone) -> None:
    call = alice.call("sip:+33155@example.com")
    dear.next_request("INVITE").reject(404)
    assert call.wait().status == 404
    assert alice.call("sip:+4990055@example.com").wait().reason == "Not by This Gateway"


def test_who_is_here_is_called_here(server: Server, alice: Phone, cheap: Phone) -> None:
    desk = server.phone("sip:+4930123@example.com", password="desk")
    desk.register()
    call = alice.call("sip:+4930123@example.com")
    desk.next_request("INVITE").reject(486)
    assert call.wait().status == 486
    assert not cheap.received


def test_strangers_call_nobody_at_our_cost(server: Server, cheap: Phone, dear: Phone) -> None:
    stranger = server.phone("sip:mallory@example.org")
    assert stranger.call("sip:+4940555@example.com").wait().status == 403
    assert cheap.received == dear.received == []


def test_a_table_that_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"\+49: not a list of gateways"):
        Gateways(prefixes={"+49": "cheap.example.net"})


class TestContract(PolicyContract):
    deterministic = True

    def open_policy(self, place: Path) -> Gateways:
        return Gateways(prefixes=PREFIXES)
