"""Networks and sources, beside the standard library's ipaddress."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.policy.networks import Networks, source_of, source_text

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6)


@given(st.lists(st.tuples(V4 | V6, st.integers(0, 128)), max_size=4), V4 | V6)
def test_as_ipaddress_says(
    ends: list[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]],
    host: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped:
        host = host.ipv4_mapped
    networks = [
        ipaddress.ip_network(f"{end}/{min(length, end.max_prefixlen)}", strict=False) for end, length in ends
    ]
    expected = any(host in network for network in networks)
    assert (str(host) in Networks([str(network) for network in networks])) is expected


@pytest.mark.parametrize(
    ("text", "host", "expected"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        (" 192.0.2.0/24", "192.0.2.255", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("::/0", "192.0.2.7", False),
        ("192.0.2.0/24", "::ffff:192.0.2.9", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("2001:db8::/32", "2001:DB8:ffff::1", True),
    ],
)
def test_networks(text: str, host: str, expected: bool) -> None:
    assert (host in Networks([text])) is expected


@pytest.mark.parametrize(
    "text", ["", "192.0.2.1/24", "192.0.2.0/33", "example.com", "[::1]", "2001:db8::/129"]
)
def test_no_networks(text: str) -> None:
    with pytest.raises(ValueError):
        _ = Networks(["192.0.2.0/24", text])


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_sources(host: str, text: str) -> None:
    assert source_text(source_of(host)) == text


@given(V6, V6)
def test_one_source_is_one_64(a: ipaddress.IPv6Address, b: ipaddress.IPv6Address) -> None:
    same = int(a) >> 64 == int(b) >> 64
    if not (a.ipv4_mapped or b.ipv4_mapped):
        assert (source_of(str(a)) == source_of(str(b))) is same
