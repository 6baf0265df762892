"""Via: reading, and what is written into the top one (RFC 3261 18.2.1, RFC 3581 4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import MessageError, Via, parse_vias, stamped
from sipframe.message.via import salvaged
from sipframe.testing.strategies import via_values


def via(text: str) -> Via:
    (one,) = parse_vias([text])
    return one


def test_the_example_of_rfc_3261_20_42() -> None:
    one = via("SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1")
    assert (one.protocol, one.transport, one.host, one.port) == ("SIP/2.0", "UDP", "first.example.com", 4000)
    assert one.params == (("ttl", "16"), ("maddr", "224.2.0.1"), ("branch", "z9hG4bKa7c6a8dlze.1"))
    assert (one.branch, one.maddr, one.received, one.rport) == (
        "z9hG4bKa7c6a8dlze.1",
        "224.2.0.1",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("SIP/2.0/UDP a", "a", None),
        ("SIP/2.0/TLS Server10.Biloxi.com;branch=z9hG4bKnashds8", "Server10.Biloxi.com", None),
        ("SIP/2.0/UDP 192.0.2.1:5060 ;received=192.0.2.207", "192.0.2.1", 5060),
        ("SIP/2.0/TCP [2001:db8::9:1];branch=z9hG4bKas3", "[2001:db8::9:1]", None),
        ("SIP/2.0/TCP [2001:db8::9:1]:5061;branch=z9hG4bKas3", "[2001:db8::9:1]", 5061),
        ("SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks", "df7jal23ls0d.invalid", None),
        ("SIP/2.0/UDP my_host.local.", "my_host.local.", None),
        ("SIP/2.0/UDP\thost\t:\t1", "host", 1),
    ],
)
def test_sent_by(text: str, host: str, port: int | None) -> None:
    assert (via(text).host, via(text).port) == (host, port)
    assert via(text).sent_by == (host.lower(), port)
    assert via(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/2.0 host",
        "SIP/2.0/UDPhost",
        "SIP//UDP host",
        "/2.0/UDP host",
        "SIP/2.0/ host",
        "SIP/2.0/UDP host:",
        "SIP/2.0/UDP host:0",
        "SIP/2.0/UDP host:65536",
        "SIP/2.0/UDP host:123456",
        "SIP/2.0/UDP host:-1",
        "SIP/2.0/UDP host:\u0661",
        "SIP/2.0/UDP host;",
        "SIP/2.0/UDP host;;branch=x",
        "SIP/2.0/UDP host;branch=",
        "SIP/2.0/UDP host;branch=a;branch=b",
        "SIP/2.0/UDP host;branch=a;BRANCH=a",
        'SIP/2.0/UDP host;x="a',
        "SIP/2.0/UDP host x",
        "SIP/2.0/UDP -host",
        "SIP/2.0/UDP h\u00f6st",
        "SIP/2.0/UDP ::1",
        "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP [host]",
        "SIP/2.0/UDP <host>",
        "SIP/2.0/UDP host,",
        ",SIP/2.0/UDP host",
        "SIP/2.0/UDP host;x=\n",
        "SIP/2.0/UDP host;x=a\r\nInjected: y",
        "SIP/2.0/UDP host\0",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(MessageError):
        parse_vias([text])


def test_several_in_one_field_and_in_several() -> None:
    found = parse_vias(['SIP/2.0/UDP a;x="1,2" , SIP/2.0/TCP b', "SIP/2.0/TLS c;branch=z"])
    assert [(one.transport, one.host) for one in found] == [("UDP", "a"), ("TCP", "b"), ("TLS", "c")]
    assert [one.text for one in found] == ['SIP/2.0/UDP a;x="1,2"', "SIP/2.0/TCP b", "SIP/2.0/TLS c;branch=z"]


HERE, THERE = ("192.0.2.1", 5060), ("203.0.113.9", 40000)


@pytest.mark.parametrize(
    ("text", "source", "written"),
    [
        # RFC 3261 18.2.1: nothing is added when sent-by is the source's address, whatever the ports.
        ("192.0.2.1;branch=z", HERE, "192.0.2.1;branch=z"),
        ("192.0.2.1:5070;branch=z", HERE, "192.0.2.1:5070;branch=z"),
        # It is when they differ, or when sent-by is a name.
        ("192.0.2.1;branch=z", THERE, "192.0.2.1;branch=z;received=203.0.113.9"),
        ("192.0.2.1:5070;branch=z", THERE, "192.0.2.1:5070;branch=z;received=203.0.113.9"),
        ("example.com;branch=z", HERE, "example.com;branch=z;received=192.0.2.1"),
        # RFC 3581 4: with rport both, even when they are the same.
        ("192.0.2.1;branch=z;rport", HERE, "192.0.2.1;branch=z;rport=5060;received=192.0.2.1"),
        ("192.0.2.1;rport;branch=z", THERE, "192.0.2.1;rport=40000;branch=z;received=203.0.113.9"),
        ("192.0.2.1; RPORT ;branch=z", THERE, "192.0.2.1;rport=40000;branch=z;received=203.0.113.9"),
        # What the client wrote itself says nothing.
        ("192.0.2.1;received=198.51.100.1;branch=z", HERE, "192.0.2.1;branch=z"),
        ("192.0.2.1;received=198.51.100.1;branch=z", THERE, "192.0.2.1;branch=z;received=203.0.113.9"),
        ("192.0.2.1;Received=203.0.113.9", THERE, "192.0.2.1;received=203.0.113.9"),
        ("192.0.2.1;rport=1;branch=z", THERE, "192.0.2.1;rport=40000;branch=z;received=203.0.113.9"),
        (
            "192.0.2.1;received=198.51.100.1;rport=1;x",
            HERE,
            "192.0.2.1;rport=5060;x;received=192.0.2.1",
        ),
        # IPv6: sent-by has brackets, received has none.
        ("[2001:db8::1];branch=z", ("2001:db8::1", 5060), "[2001:db8::1];branch=z"),
        ("[2001:db8::1];branch=z", ("2001:db8::2", 5060), "[2001:db8::1];branch=z;received=2001:db8::2"),
        (
            "[2001:db8::1]:5070;branch=z;rport",
            ("2001:db8::2", 9),
            "[2001:db8::1]:5070;branch=z;rport=9;received=2001:db8::2",
        ),
        # The rest stays as it was.
        ('192.0.2.1;x="a;b, \\"c";branch=z', THERE, '192.0.2.1;x="a;b, \\"c";branch=z;received=203.0.113.9'),
        ('192.0.2.1;x="rport";y', THERE, '192.0.2.1;x="rport";y;received=203.0.113.9'),
    ],
)
def test_where_it_really_came_from(text: str, source: tuple[str, int], written: str) -> None:
    assert stamped(via(f"SIP/2.0/UDP {text}"), *source) == f"SIP/2.0/UDP {written}"


@given(via_values(), st.sampled_from([HERE, THERE, ("2001:db8::1", 5061)]))
def test_a_stamp_can_be_read_and_tells_the_source(text: str, source: tuple[str, int]) -> None:
    before = via(" ".join(text.split("\r\n")))
    after = via(stamped(before, *source))
    assert (after.protocol, after.transport, after.sent_by) == (
        before.protocol,
        before.transport,
        before.sent_by,
    )
    assert after.received == source[0] or (after.received is None and after.host.strip("[]") == source[0])
    assert after.rport == (None if before.rport is None else str(source[1]))
    ours = ("received", "rport")
    assert [pair for pair in after.params if pair[0] not in ours] == [
        pair for pair in before.params if pair[0] not in ours
    ]


@pytest.mark.parametrize(
    ("text", "sent_by"),
    [
        ("SIP/2.0/UDP 192.0.2.15;;,;,,", ("192.0.2.15", None)),
        ("SIP/2.0/TCP Host:5070 ;;", ("host", 5070)),
        ("SIP/2.0/UDP [::1]:5070,", ("[::1]", 5070)),
        ("SIP/2.0/UDP host:0;x", ("host", None)),
        ('SIP/2.0/UDP host;x="', ("host", None)),
        ("SIP/2.0/UDP host x", ("host", None)),
    ],
)
def test_the_beginning_of_a_malformed_one(text: str, sent_by: tuple[str, int | None]) -> None:
    with pytest.raises(MessageError):
        parse_vias([text])
    assert salvaged(text).sent_by == sent_by
    assert salvaged(text).params == ()


@pytest.mark.parametrize(
    "text", ["", "SIP/2.0/UDP", "SIP/2.0/UDP ;", "x", "SIP/2.0/UDP host:123456", "SIP/2.0/UDP host<"]
)
def test_nothing_to_go_by(text: str) -> None:
    with pytest.raises(MessageError):
        salvaged(text)
