from __future__ import annotations

import pytest

from sipframe.transport import ListenAddress, Listeners
from tests.transport.recording import RecordingSink, ground_for


@pytest.mark.parametrize(
    ("text", "expected", "written"),
    [
        ("udp:5060", ListenAddress("udp", 5060), "udp:5060"),
        ("TCP:0", ListenAddress("tcp", 0), "tcp:0"),
        (
            "tls:5061:interface=192.0.2.1",
            ListenAddress("tls", 5061, "192.0.2.1"),
            "tls:5061:interface=192.0.2.1",
        ),
        ("tls:5061:interface=[::1]", ListenAddress("tls", 5061, "::1"), "tls:5061:interface=[::1]"),
        ("tls:5061:interface=::1", ListenAddress("tls", 5061, "::1"), "tls:5061:interface=[::1]"),
        (r"tls:5061:interface=\:\:1", ListenAddress("tls", 5061, "::1"), "tls:5061:interface=[::1]"),
        ("udp:5060:interface=::", ListenAddress("udp", 5060, "::"), "udp:5060:interface=[::]"),
        (
            "udp:5060:interface=fe80::1%eth0",
            ListenAddress("udp", 5060, "fe80::1%eth0"),
            "udp:5060:interface=[fe80::1%eth0]",
        ),
        (
            "udp:5060:interface=10.0.0.5:advertise=203.0.113.7",
            ListenAddress("udp", 5060, "10.0.0.5", "203.0.113.7"),
            "udp:5060:interface=10.0.0.5:advertise=203.0.113.7",
        ),
        (
            "tls:5061:advertise=[2001:db8::7]:5071:interface=[::1]",
            ListenAddress("tls", 5061, "::1", "[2001:db8::7]:5071"),
            "tls:5061:interface=[::1]:advertise=[2001:db8::7]:5071",
        ),
    ],
)
def test_addresses(text: str, expected: ListenAddress, written: str) -> None:
    found = ListenAddress.parse(text)
    assert found == expected
    assert str(found) == written
    assert ListenAddress.parse(written) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "transport is udp, tcp or tls"),
        ("5060", "transport is udp, tcp or tls"),
        ("sctp:5060", "transport is udp, tcp or tls"),
        ("udp", "port is 0 to 65535"),
        ("udp:", "port is 0 to 65535"),
        ("udp:sip", "port is 0 to 65535"),
        ("udp:-1", "port is 0 to 65535"),
        ("udp:65536", "port is 0 to 65535, not 65536"),
        ("udp:٥٠٦٠", "port is 0 to 65535"),
        ("udp:5060:", None),
        ("udp:5060:127.0.0.1", "only interface=ADDRESS"),
        ("udp:5060:interface=", "only interface=ADDRESS"),
        ("udp:5060:address=127.0.0.1", "only interface=ADDRESS"),
        ("udp:5060:interface=localhost", "numeric IPv4 or IPv6 address, not 'localhost'"),
        ("udp:5060:interface=127.0.0.1:backlog=5", "numeric IPv4 or IPv6 address"),
        ("udp:5060:advertise=", "once and not empty"),
        ("udp:5060:advertise=a.example:advertise=b.example", "once and not empty"),
        ("udp:5060:advertise=alice@a.example", "advertise is HOST or HOST:PORT"),
        ("udp:5060:advertise=a b", "advertise is HOST or HOST:PORT"),
    ],
)
def test_wrong_addresses_are_said_in_one_line(text: str, message: str | None) -> None:
    if message is None:
        assert ListenAddress.parse(text) == ListenAddress("udp", 5060)
        return
    with pytest.raises(ValueError) as raised:
        ListenAddress.parse(text)
    assert message in str(raised.value)
    assert repr(text) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_tls_needs_a_certificate() -> None:
    ground, _ = ground_for(RecordingSink())
    with pytest.raises(ValueError, match="tls:0: TLS needs a certificate"):
        Listeners(object(), ground).listen(ListenAddress("tls", 0))
