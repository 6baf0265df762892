from __future__ import annotations

import pytest

from sipframe.message import SipURI, parse_uri
from sipframe.roads import (
    Destination,
    FlowText,
    Hop,
    OurEnd,
    Unroutable,
    destination_of,
    flow_text,
    parse_flow_text,
)
from sipframe.verdicts import Address
from tests.fakes import FakeFlow


def destination(text: str) -> Destination:
    uri = parse_uri(text)
    assert isinstance(uri, SipURI)
    return destination_of(uri)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:bob@192.0.2.7", Destination("UDP", "192.0.2.7", 5060, "", True, True)),
        ("sip:bob@192.0.2.7;transport=udp", Destination("UDP", "192.0.2.7", 5060, "", False, True)),
        ("sip:bob@192.0.2.7:5062;transport=TCP", Destination("TCP", "192.0.2.7", 5062, "", False, True)),
        ("sip:[2001:db8::1];transport=tls", Destination("TLS", "2001:db8::1", 5061, "2001:db8::1", False, True)),
        ("sips:bob@Example.com", Destination("TLS", "Example.com", 5061, "example.com", False, False)),
        # RFC 3261 26.2.2: TLS over TCP.
        ("sips:bob@example.com:6;transport=tcp", Destination("TLS", "example.com", 6, "example.com", False, False)),
        # RFC 3263 4: maddr is the target; what must be proved stays the domain.
        ("sips:example.com;maddr=192.0.2.9", Destination("TLS", "192.0.2.9", 5061, "example.com", False, True)),
        ("sip:bob@example.com.", Destination("UDP", "example.com.", 5060, "", True, False)),
    ],
)  # fmt: skip
def test_where_a_uri_points(uri: str, expected: Destination) -> None:
    assert destination(uri) == expected
    assert expected.hop("192.0.2.1")[1:3] == ("192.0.2.1", expected.port)


@pytest.mark.parametrize(
    "uri",
    ["sips:bob@192.0.2.7;transport=udp", "sip:bob@192.0.2.7;transport=sctp", "sip:bob@192.0.2.7;maddr=[]"],
)
def test_where_it_points_nowhere(uri: str) -> None:
    with pytest.raises(Unroutable) as refusal:
        destination(uri)
    assert refusal.value.status == 503


@pytest.mark.parametrize(
    ("ours", "sent_by", "uri"),
    [
        (OurEnd("UDP", "192.0.2.1", 5060), "192.0.2.1:5060", "sip:192.0.2.1:5060"),
        (OurEnd("TLS", "2001:db8::1", 5061), "[2001:db8::1]:5061", "sip:[2001:db8::1]:5061;transport=tls"),
    ],
)
def test_our_end(ours: OurEnd, sent_by: str, uri: str) -> None:
    assert (ours.sent_by, ours.uri) == (sent_by, uri)


def test_a_flow_by_name() -> None:
    flow = FakeFlow("TLS", peer="2001:db8::7", serial=17)
    text = flow_text(flow)
    assert text == "TLS 192.0.2.1:5060 [2001:db8::7]:5062 17"
    assert parse_flow_text(text) == FlowText("TLS", flow.local, Address("2001:db8::7", 5062), 17)


@pytest.mark.parametrize("text", ["", "TCP", "TCP a b c", "TCP a:1 b:2 c", "TCP a:1 b:2 3 4"])
def test_what_is_no_name_of_a_flow(text: str) -> None:
    with pytest.raises(ValueError):
        parse_flow_text(text)


def test_a_hop_as_text() -> None:
    assert str(Hop("TCP", "::1", 5060)) == "tcp:[::1]:5060"
