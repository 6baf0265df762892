"""via: what fits goes by way of another proxy, and says so in Route; phones that are here are left alone."""

from __future__ import annotations

from typing import Any

import pytest

from sipframe.interfaces import IPolicy
from sipframe.plugging import Choice, check
from sipframe.policy import Via
from sipframe.proxy import ProxySettings
from sipframe.testing import Phone, Server
from sipframe.verdicts import Identity, Routing, Target
from tests.fakes import request
from tests.proxy.whole import ALICE, BOB, serving
from tests.tree import ROOT

GATEWAY = "198.51.100.7"
BY = "<sip:198.51.100.7;lr>"
ALICE_HERSELF = Identity("alice", "example.com", frozenset([ALICE]))
HERE = Routing((Target("sip:bob@192.0.2.4"),), "sip:bob@example.com")
AWAY = Routing((), "sip:bob@example.com")


def asked(policy: Via, uri: str, routing: Routing, identity: Identity | None = ALICE_HERSELF) -> object:
    return policy.route(request("INVITE", uri=uri), identity, routing)


def elsewhere(uri: str) -> Routing:
    return Routing((Target(uri),))


def by_gateway(routing: Routing, uri: str, by: str = BY) -> Routing:
    return routing._replace(targets=(Target(uri, path=(by,)),))


@pytest.mark.parametrize(
    ("to", "value"),
    [
        ("sip:198.51.100.7", BY),
        ("sip:198.51.100.7;lr", BY),
        ("sip:198.51.100.7:5070;transport=tcp", "<sip:198.51.100.7:5070;transport=tcp;lr>"),
        ("sips:gateway.example.net", "<sips:gateway.example.net;lr>"),
    ],
)
def test_it_becomes_a_route(to: str, value: str) -> None:
    uri = "sip:+4930123@example.net"
    assert asked(Via(to=to), uri, elsewhere(uri)) == by_gateway(elsewhere(uri), uri, value)


@pytest.mark.parametrize("to", ["", "gateway", "tel:112", "sip:", "sip:gateway?subject=x", "sip:a@b\r\nX: y"])
def test_what_is_no_sip_uri_is_a_mistake(to: str) -> None:
    with pytest.raises(ValueError, match=r"^to: "):
        _ = Via(to=to)
    with pytest.raises(ValueError, match="to"):
        check(IPolicy, Choice("via", {}), ROOT)


@pytest.mark.parametrize(
    ("patterns", "uri", "fits"),
    [
        ({}, "sip:+4930123@example.net", True),
        ({}, "sip:example.net", True),
        ({"domain": "example.net"}, "sip:bob@EXAMPLE.net", True),
        ({"domain": "*.example.net"}, "sip:bob@a.example.net", True),
        ({"domain": "*.example.net"}, "sip:bob@example.net", False),
        ({"user": "+49*"}, "sip:+4930123@example.net", True),
        ({"user": "+49*"}, "sip:+3312345@example.net", False),
        ({"user": "+49*"}, "sip:example.net", False),
        ({"user": "0*", "domain": "example.org"}, "sip:030@example.net", False),
    ],
)
def test_only_what_fits(patterns: dict[str, Any], uri: str, fits: bool) -> None:
    given = elsewhere(uri)
    expected = by_gateway(given, uri) if fits else given
    assert asked(Via(to="sip:198.51.100.7", **patterns), uri, given) == expected


def test_phones_that_are_here_are_left_alone() -> None:
    uri = "sip:bob@example.com"
    assert asked(Via(to="sip:198.51.100.7"), uri, HERE) is HERE
    assert asked(Via(to="sip:198.51.100.7"), uri, AWAY) == by_gateway(AWAY, uri)
    assert asked(Via(to="sip:198.51.100.7", always=True), uri, HERE) == by_gateway(HERE, uri)


def test_strangers_get_nowhere_by_it_unless_that_is_said() -> None:
    uri = "sip:+4930123@example.net"
    given = elsewhere(uri)
    assert asked(Via(to="sip:198.51.100.7", always=True), uri, given, None) is given
    assert asked(Via(to="sip:198.51.100.7", strangers=True), uri, given, None) == by_gateway(given, uri)


def test_the_first_rule_that_fits_decides() -> None:
    uri = "sip:+4930123@example.net"
    first = asked(Via(to="sip:198.51.100.7"), uri, elsewhere(uri))
    assert isinstance(first, Routing)
    assert asked(Via(to="sip:203.0.113.9", always=True), uri, first) is first


# In the whole server.


def gateway_of(server: Server) -> Phone:
    gateway = server.phone("sip:gateway@carrier.example.net", host=GATEWAY)
    _ = gateway.connect()
    return gateway


def test_calls_go_by_the_gateway() -> None:
    with serving("udp", "tcp", policies=[f"via:to=sip\\:{GATEWAY}:user=+*"]) as server:
        gateway = gateway_of(server)
        alice = server.phone(ALICE, password="a", transport="tcp")
        assert alice.register().status == 200
        call = alice.call("sip:+4930123@example.com")
        came = gateway.next_request("INVITE")
        # The Request-URI says whom the caller wants, the Route by whom.
        assert (came.request.uri_text, came.request.all("route")) == ("sip:+4930123@example.com", [BY])
        dialog = came.accept()
        assert call.wait().status == 200
        server.settle()
        assert dialog.acked
        hanging_up = dialog.begin_bye()
        server.settle()
        assert hanging_up.wait().status == 200
        assert [one.method for one in call.dialog.requests] == ["BYE"]


def test_users_of_ours_are_called_at_home() -> None:
    with serving("udp", "tcp", policies=[f"via:to=sip\\:{GATEWAY}"]) as server:
        gateway = gateway_of(server)
        alice = server.phone(ALICE, password="a", transport="tcp")
        bob = server.phone(BOB, password="b", transport="tcp")
        _ = bob.register()
        call = alice.call(BOB)
        bob.next_request("INVITE").reject(486)
        assert call.wait().status == 486
        _ = bob.unregister()
        call = alice.call(BOB)
        gateway.next_request("INVITE").reject(404)
        assert call.wait().status == 404
        steps = [step for step in server.decisions[-1].steps if step.asked == "Via.route"]
        assert [(step.verdict, step.reason) for step in steps] == [("Routing", BOB)]


def test_a_gateway_that_says_nothing() -> None:
    with serving("udp", policies=[f"via:to=sip\\:{GATEWAY}"]) as server:
        alice = server.phone(ALICE, password="a")
        assert alice.call("sip:+4930123@example.net").wait().status == 408


@pytest.mark.parametrize("said", ["", ":strangers=yes"])
def test_nobody_gets_to_the_gateway_without_an_account_unless_that_is_said(said: str) -> None:
    with serving("udp", policies=[f"via:to=sip\\:{GATEWAY}{said}"]) as server:
        gateway = gateway_of(server)
        stranger = server.phone("sip:mallory@example.org")
        assert stranger.call("sip:+4930123@example.net").wait().status == 407
        assert stranger.call("sip:+4930123@example.net", from_=ALICE).wait().status == 407
        # Requests to a domain of ours need no proof, but what they name is no user here.
        call = stranger.call("sip:+4930123@example.com")
        if said:
            gateway.next_request("INVITE").reject(404)
            assert call.wait().status == 404
        else:
            assert call.wait().status == 480
            assert gateway.received == []


def test_the_registrar_behind_it() -> None:
    """An edge: anybody may send to the domain behind it, and phones register there by way of here (RFC 3327)."""
    policy = f"via:to=sip\\:{GATEWAY}:domain=corp.example.org:strangers=yes"
    proxy = ProxySettings(relay_to=("corp.example.org",))
    with serving("udp", "tcp", policies=[policy], proxy=proxy) as server:
        registrar = gateway_of(server)
        carol = server.phone("sip:carol@corp.example.org", transport="tcp", server_name="example.com")
        registering = carol.begin("REGISTER", "sip:corp.example.org", fields=[f"Contact: <{carol.contact}>"])
        came = registrar.next_request("REGISTER")
        [path] = came.request.all("path")
        assert path.endswith(";lr;ob>")
        came.answer(200)
        assert registering.wait().status == 200
        # What the registrar sends by that Path finds the connection of the phone.
        calling = registrar.begin("MESSAGE", carol.contact, to=carol.aor, fields=[f"Route: {path}"])
        carol.next_request("MESSAGE").answer(200)
        assert calling.wait().status == 200
