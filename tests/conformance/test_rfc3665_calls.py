"""The calls of RFC 3665, section 3, that have a proxy in them, on a clock that stands still.

One server is each of the proxies, and a phone is each of Alice and Bob, at the addresses that the RFC gives them. What
is compared is who sends what to whom, in the order of each pair: the methods, the answers, the users that requests are
for, Max-Forwards, and how many have stamped the request. What an RFC can only give an example of (branches, tags,
nonces, the text of a Record-Route) is not. Over UDP, where the RFC has TCP, since nobody can see TCP between servers.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sipframe.message import Request, Response, SipURI, parse_message
from sipframe.proxy import ProxySettings
from sipframe.testing import Call, Network, Phone, Server
from sipframe.transport import ListenAddress

FOLDER = Path(__file__).parent / "rfc3665"
FLOWS = {path.name.partition("-")[0]: path for path in FOLDER.glob("3.*")}
ATLANTA, BILOXI, CHICAGO = "atlanta.example.com", "biloxi.example.com", "chicago.example.com"
ALICE, BOB = f"sip:alice@{ATLANTA}", f"sip:bob@{BILOXI}"
HOSTS = {
    f"client.{ATLANTA}": "192.0.2.101",
    f"ss1.{ATLANTA}": "192.0.2.111",
    ATLANTA: "192.0.2.111",
    f"client.{BILOXI}": "192.0.2.201",
    f"ss2.{BILOXI}": "192.0.2.222",
    BILOXI: "192.0.2.222",
}
ROLES = {
    "192.0.2.101": "Alice",
    "192.0.2.111": "Proxy 1",
    "192.0.2.222": "Proxy 2",
    "192.0.2.201": "Bob",
}
USERS = {"alice": "zanzibar", "bob": "rabinzaz"}


class Said(NamedTuple):
    """A message, by what an implementation can be compared with."""

    what: str
    """Method and user, or status."""
    forwards: int | None
    vias: int


def said(message: Request | Response, vias: int = 0) -> Said:
    if isinstance(message, Response):
        return Said(str(message.status), None, len(message.vias) + vias)
    uri = message.uri
    user = uri.user if isinstance(uri, SipURI) else None
    # RFC 3665 3.8 F11 has Alice in a CANCEL that is for Bob.
    if message.method == "CANCEL":
        return Said("CANCEL bob", None, len(message.vias))
    return Said(f"{message.method} {user}", message.max_forwards, len(message.vias))


Told = dict[tuple[str, str], list[Said]]


def printed(flow: str) -> Told:
    """What the RFC shows, without 100: it is sent only when nothing better follows within 200 ms (RFC 3261 17.2.1)."""
    told: Told = {}
    for one in tomllib.loads((FLOWS[flow] / "flow.toml").read_text(encoding="utf-8"))["message"]:
        octets = (FLOWS[flow] / one["file"]).read_bytes()
        message = parse_message(octets.replace(b"SIP/2.0  ", b"SIP/2.0 "))  # 3.9 has two blanks
        if not isinstance(message, Response) or message.status != 100:
            told.setdefault((one["from"], one["to"]), []).append(said(message))
    return told


class World:
    """The proxies and the phones."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.network = Network()
        self.network.hosts.update(HOSTS)
        self.began = 0

    def proxy(self, name: str, *domains: str, **settings: Any) -> Server:
        host = HOSTS[name]
        server = Server(
            network=self.network,
            host=host,
            domains=domains,
            aliases={name: domains[0]},
            users=settings.pop("users", USERS),
            listen=(ListenAddress.parse(f"udp:5060:interface={host}"),),
            **settings,
        )
        return self._stack.enter_context(server)

    def bob(self, server: Server) -> Phone:
        bob = server.phone(BOB, password=USERS["bob"], host=HOSTS[f"client.{BILOXI}"])
        assert bob.register().status == 200
        return bob

    def alice(self, server: Server) -> Phone:
        return server.phone(ALICE, password=USERS["alice"], host=HOSTS[f"client.{ATLANTA}"])

    def begins(self) -> None:
        """What was said so far is no part of the flow."""
        self.network.timeline.settle()
        self.began = len(self.network.wire)

    def told(self) -> Told:
        """What was said since."""
        self.network.timeline.settle()
        told: Told = {}
        for one in list(self.network.wire)[self.began :]:
            message = parse_message(one.data)
            if not isinstance(message, Response) or message.status != 100:
                ends = ROLES[one.source.host], ROLES[one.target.host]
                told.setdefault(ends, []).append(said(message))
        return told


@pytest.fixture
def world() -> Iterator[World]:
    with ExitStack() as stack:
        yield World(stack)


class Two(NamedTuple):
    """A proxy for each domain, and a phone at each."""

    world: World
    alice: Phone
    bob: Phone


@pytest.fixture
def two(world: World) -> Two:
    first = world.proxy(f"ss1.{ATLANTA}", ATLANTA)
    second = world.proxy(f"ss2.{BILOXI}", BILOXI)
    bob, alice = world.bob(second), world.alice(first)
    return Two(world, alice, bob)


def calls(alice: Phone) -> Call:
    """Alice calls Bob by way of her proxy, as in F1."""
    return alice.call(BOB, fields=[f"Route: <sip:ss1.{ATLANTA};lr>"])


def has_been_challenged(two: Two) -> None:
    """Alice knows a nonce of her proxy's: some of the flows begin with credentials."""
    assert two.alice.request("OPTIONS", f"sip:nobody@{ATLANTA}").status == 480
    two.world.begins()


def test_the_octets_are_those_of_the_rfc() -> None:
    assert sorted(FLOWS) == ["3.10", "3.11", "3.2", "3.3", "3.4", "3.6", "3.8", "3.9"]
    for path in FLOWS.values():
        messages = tomllib.loads((path / "flow.toml").read_text(encoding="utf-8"))["message"]
        for one in messages:
            assert hashlib.sha256((path / one["file"]).read_bytes()).hexdigest() == one["sha256"]


def test_3_2_session_establishment_through_two_proxies(two: Two) -> None:
    two.world.begins()
    call = calls(two.alice)
    incoming = two.bob.next_request("INVITE")
    incoming.ring()
    dialog = incoming.accept()
    assert call.wait().status == 200
    assert dialog.bye().status == 200
    assert two.world.told() == printed("3.2")


def test_3_3_session_with_multiple_proxy_authentication(world: World) -> None:
    first = world.proxy(f"ss1.{ATLANTA}", ATLANTA)
    second = world.proxy(f"ss2.{BILOXI}", BILOXI, proxy=ProxySettings(strangers="authenticate"))
    bob, alice = world.bob(second), world.alice(first)
    world.begins()
    call = calls(alice)
    dialog = bob.next_request("INVITE").accept()
    assert call.wait().status == 200
    assert dialog.phone is bob
    assert world.told() == printed("3.3")
    (request,) = [one for one in bob.received if isinstance(one, Request) and one.method == "INVITE"]
    assert not request.all("proxy-authorization")  # each proxy takes its own


def test_3_4_successful_session_with_proxy_failure(world: World) -> None:
    first = world.proxy(f"ss1.{ATLANTA}", ATLANTA)
    second = world.proxy(f"ss2.{BILOXI}", BILOXI, ATLANTA)
    bob, alice = world.bob(second), world.alice(first)
    _ = alice.flow
    world.begins()
    first.crash()
    call = calls(alice)
    world.network.timeline.advance(32)
    assert call.failure == "timed out"
    alice.flow.close()
    alice = world.alice(second)
    call = alice.call(BOB)
    incoming = bob.next_request("INVITE")
    incoming.ring()
    dialog = incoming.accept()
    assert call.wait().status == 200
    assert dialog.bye().status == 200
    assert world.told() == printed("3.4")


def test_3_6_session_via_redirect_and_proxy_servers_with_sdp_in_ack(world: World) -> None:
    # What the redirect server says is not ours: from F4 on.
    world.network.hosts[CHICAGO] = HOSTS[f"ss2.{BILOXI}"]
    proxy = world.proxy(f"ss2.{BILOXI}", CHICAGO)
    bob = proxy.phone(f"sip:bob@{CHICAGO}", password=USERS["bob"], host=HOSTS[f"client.{BILOXI}"])
    assert bob.register().status == 200
    alice = world.alice(proxy)
    world.begins()
    call = alice.call(f"sip:bob@{CHICAGO}", to=BOB, body=b"")
    call.ack_body = b"v=0\r\n"
    incoming = bob.next_request("INVITE")
    assert incoming.request.body == b""
    incoming.ring()
    dialog = incoming.accept()
    assert call.wait().status == 200
    assert dialog.bye().status == 200
    assert [ack.body for ack in dialog.acks] == [b"v=0\r\n"]
    expected: Told = {}
    for (source, target), messages in printed("3.6").items():
        # The RFC says "Proxy" of two of them.
        ends = ["Proxy 2" if end in ("Proxy", "Proxy 3") else end for end in (source, target)]
        if "Redirect Server" not in ends:
            left = [one for one in messages if one.what != "302"]
            expected.setdefault((ends[0], ends[1]), []).extend(left)
    assert {ends: sorted(messages) for ends, messages in world.told().items()} == {
        ends: sorted(messages) for ends, messages in expected.items()
    }


def test_3_8_unsuccessful_no_answer(two: Two) -> None:
    has_been_challenged(two)
    call = calls(two.alice)
    two.bob.next_request("INVITE").ring()
    two.world.network.timeline.advance(15)
    call.cancel()
    assert call.wait().status == 487
    assert two.world.told() == printed("3.8")


def test_3_9_unsuccessful_busy(two: Two) -> None:
    has_been_challenged(two)
    call = calls(two.alice)
    two.bob.next_request("INVITE").reject(486)
    assert call.wait().status == 486
    assert two.world.told() == printed("3.9")


def test_3_10_unsuccessful_no_response_from_user_agent(two: Two) -> None:
    has_been_challenged(two)
    two.bob.flow.close()
    call = calls(two.alice)
    assert call.wait(40).status == 408
    told = two.world.told()
    # The RFC's proxy makes it a 480; by RFC 3261 16.7 step 6 it is a 408.
    expected = {
        ends: [one._replace(what=one.what.replace("480", "408")) for one in messages]
        for ends, messages in printed("3.10").items()
    }
    assert told == expected
    assert [one.what for one in told["Proxy 2", "Bob"]] == ["INVITE bob"] * 7


def test_3_11_unsuccessful_temporarily_unavailable(two: Two) -> None:
    has_been_challenged(two)
    call = calls(two.alice)
    incoming = two.bob.next_request("INVITE")
    incoming.ring()
    incoming.reject(480)
    assert call.wait().status == 480
    assert two.world.told() == printed("3.11")
