from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from sipframe.auth.trusted import TrustedNetworks
from sipframe.domains import Domains
from sipframe.interfaces import IAuthenticator
from sipframe.verdicts import Abstained, Accepted, Identity
from tests.fakes import FakeFlow, Parts, request

DOMAINS = Domains(["example.com", "example.org"], {"sip.example.com": "example.com"})
BOB = Accepted(Identity("sip:bob@example.com", "example.com", frozenset(("sip:bob@example.com",))))


def ask(
    networks: tuple[str, ...],
    peer: str = "192.0.2.7",
    transport: str = "TCP",
    method: str = "REGISTER",
    **parts: str,
) -> object:
    udp = any(network.startswith("udp") for network in networks)
    made: Parts = parts  # type: ignore[assignment]
    asked = request(method, **made)
    return TrustedNetworks(networks, DOMAINS, udp=udp).authenticate(asked, FakeFlow(transport, peer))


def test_it_is_an_authenticator() -> None:
    assert verifyObject(IAuthenticator, TrustedNetworks(["192.0.2.0/24"], DOMAINS))


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_a_connection_from_there_is_believed(transport: str) -> None:
    assert ask(("192.0.2.0/24",), transport=transport) == BOB


@pytest.mark.parametrize(
    ("networks", "peer", "transport"),
    [
        (("192.0.2.0/24",), "192.0.3.7", "TCP"),
        (("192.0.2.0/24",), "192.0.2.7", "UDP"),  # forged as easily as sent
        (("tls/192.0.2.0/24",), "192.0.2.7", "TCP"),
        (("tls/192.0.2.0/24",), "192.0.2.7", "UDP"),
        (("tcp/192.0.2.0/24", "tls/198.51.100.0/24"), "198.51.100.1", "TCP"),
        (("2001:db8::/32",), "192.0.2.7", "TCP"),
        (("192.0.2.0/24",), "2001:db8::c000:207", "TCP"),
        (("192.0.2.0/24",), "", "TCP"),
        (("192.0.2.0/24",), "unix", "TCP"),
    ],
)
def test_others_are_not(networks: tuple[str, ...], peer: str, transport: str) -> None:
    assert ask(networks, peer, transport) == Abstained("not from a trusted network")


@pytest.mark.parametrize(
    ("networks", "peer", "transport"),
    [
        (("192.0.2.7",), "192.0.2.7", "TCP"),
        (("198.51.100.0/24", "192.0.2.0/24"), "192.0.2.7", "TCP"),
        (("TLS/192.0.2.0/24",), "192.0.2.7", "TLS"),
        (("udp/192.0.2.0/24",), "192.0.2.7", "UDP"),
        (("2001:db8::/32",), "2001:db8::7", "TCP"),
        (("fe80::/10",), "fe80::7%eth0", "TCP"),
        (("192.0.2.0/24",), "::ffff:192.0.2.7", "TCP"),  # an IPv4 peer of a socket for both families
    ],
)
def test_networks(networks: tuple[str, ...], peer: str, transport: str) -> None:
    assert ask(networks, peer, transport) == BOB


def test_udp_is_trusted_only_where_that_was_said() -> None:
    flow = FakeFlow("UDP")
    assert TrustedNetworks(["192.0.2.0/24"], DOMAINS, udp=True).authenticate(request(), flow) == BOB
    assert isinstance(TrustedNetworks(["192.0.2.0/24"], DOMAINS).authenticate(request(), flow), Abstained)


@pytest.mark.parametrize(
    "via",
    ["Via: SIP/2.0/TCP 192.0.2.7:5060;branch=z9hG4bK2;received=192.0.2.7", "X-Forwarded-For: 192.0.2.7"],
)
def test_what_a_request_says_of_its_road_counts_for_nothing(via: str) -> None:
    trusted = TrustedNetworks(["192.0.2.0/24"], DOMAINS)
    assert isinstance(
        trusted.authenticate(request("REGISTER", via), FakeFlow("TCP", "203.0.113.1")), Abstained
    )


def test_whom_a_register_and_another_request_claim() -> None:
    third = {"from_": "<sip:alice@example.com>;tag=1", "to": "<sip:bob@example.com>"}
    assert ask(("192.0.2.0/24",), **third) == BOB
    found = ask(("192.0.2.0/24",), method="MESSAGE", **third)
    assert isinstance(found, Accepted)
    assert found.identity == Identity(
        "sip:alice@example.com", "example.com", frozenset(("sip:alice@example.com",))
    )


def test_an_alias_and_a_sips_uri_name_the_user() -> None:
    assert ask(("192.0.2.0/24",), to="<sips:bob@SIP.example.com>") == BOB


@pytest.mark.parametrize(
    "to", ["<sip:bob@example.net>", "<sip:example.com>", "<tel:+1234>", "<sip:bob@192.0.2.1>"]
)
def test_only_users_of_ours(to: str) -> None:
    assert isinstance(ask(("192.0.2.0/24",), to=to), Abstained)
    assert isinstance(ask(("192.0.2.0/24",), method="MESSAGE", from_=f"{to};tag=1"), Abstained)


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ((), "one at least"),
        (("example.com",), "192.0.2.0/24"),
        (("192.0.2.1/24",), "host bits"),
        (("sctp/192.0.2.0/24",), "sctp"),
        (("0.0.0.0/0",), "everybody"),
        (("tls/::/0",), "everybody"),
        (("udp/192.0.2.0/24",), "udp=yes"),
    ],
)
def test_what_is_no_network(networks: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrustedNetworks(networks, DOMAINS)


@given(st.ip_addresses(), st.sampled_from(["UDP", "TCP", "TLS"]))
def test_nobody_else_is_ever_believed(address: object, transport: str) -> None:
    ours = str(address).startswith("192.0.2.") or str(address) == "2001:db8::1"
    found = ask(("192.0.2.0/24", "tls/2001:db8::1"), str(address), transport)
    if isinstance(found, Accepted):
        assert ours
        assert transport != "UDP"
