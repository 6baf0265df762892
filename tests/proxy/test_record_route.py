"""Record-Route values of ours (RFC 3261 16.6 step 4, RFC 5658)."""

from __future__ import annotations

import itertools

import pytest

from sipframe.message import SipURI, parse_name_addr
from sipframe.proxy import record_routes, route_uri
from sipframe.roads import OurEnd

UDP = OurEnd("UDP", "192.0.2.1", 5060)
TCP = OurEnd("TCP", "192.0.2.1", 5060)
TLS = OurEnd("TLS", "proxy.example.com", 5061)
UDP6 = OurEnd("UDP", "2001:db8::1", 5060)


@pytest.mark.parametrize(
    ("end", "uri"),
    [
        (UDP, "sip:192.0.2.1:5060;lr"),
        (TCP, "sip:192.0.2.1:5060;transport=tcp;lr"),
        (TLS, "sips:proxy.example.com:5061;lr"),
        (UDP6, "sip:[2001:db8::1]:5060;lr"),
    ],
)
def test_the_uri_of_an_end(end: OurEnd, uri: str) -> None:
    assert route_uri(end) == uri
    assert route_uri(end, "abc") == uri.replace(":", ":abc@", 1)


def test_tls_for_those_who_want_it_otherwise() -> None:
    assert route_uri(TLS, transport_tls=True) == "sip:proxy.example.com:5061;transport=tls;lr"
    assert route_uri(TLS, transport_tls=True, sips=True) == "sips:proxy.example.com:5061;lr"


@pytest.mark.parametrize(("end", "uri"), [(TCP, "sips:192.0.2.1;lr"), (UDP6, "sips:[2001:db8::1];lr")])
def test_where_sips_is_a_must_it_is_sips(end: OurEnd, uri: str) -> None:
    assert route_uri(end, sips=True) == uri


def test_one_value_where_nothing_changes() -> None:
    assert record_routes(UDP, UDP) == ("<sip:192.0.2.1:5060;lr>",)
    assert record_routes(TCP, TCP, "a", "a") == ("<sip:a@192.0.2.1:5060;transport=tcp;lr>",)


@pytest.mark.parametrize("ends", list(itertools.permutations([UDP, TCP, TLS, UDP6], 2)))
def test_two_values_where_the_road_changes(ends: tuple[OurEnd, OurEnd]) -> None:
    incoming, outgoing = ends
    # RFC 5658 5: the value for the outgoing end is the upper one (F2).
    assert record_routes(incoming, outgoing, "in", "out") == (
        f"<{route_uri(outgoing, 'out')}>",
        f"<{route_uri(incoming, 'in')}>",
    )


def test_two_values_for_two_flows() -> None:
    assert record_routes(UDP, UDP, "a", "b") == ("<sip:b@192.0.2.1:5060;lr>", "<sip:a@192.0.2.1:5060;lr>")
    assert len(record_routes(UDP, UDP, "a")) == 1


@pytest.mark.parametrize("sips", [False, True])
@pytest.mark.parametrize("transport_tls", [False, True])
@pytest.mark.parametrize("ends", list(itertools.product([UDP, TCP, TLS, UDP6], repeat=2)))
def test_every_value_is_a_loose_route(ends: tuple[OurEnd, OurEnd], sips: bool, transport_tls: bool) -> None:
    for value in record_routes(*ends, "a", "b", sips=sips, transport_tls=transport_tls):
        uri = parse_name_addr(value).uri
        assert isinstance(uri, SipURI)
        assert uri.param("lr") == ""
        assert uri.scheme == "sips" if sips else True
