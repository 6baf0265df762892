from __future__ import annotations

import pytest

from sipframe.transport import TransportLimits
from sipframe.transport.limits import ConnectionCount


@pytest.mark.parametrize(
    "name",
    ["connections", "connections_per_address", "handshake", "first_message", "message", "idle", "queued"],
)
def test_a_limit_is_more_than_nothing(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: must be more than 0, not 0$"):
        TransportLimits(**{name: 0})  # type: ignore[arg-type]


def test_connections_in_all() -> None:
    count = ConnectionCount(TransportLimits(connections=2))
    for host in ("192.0.2.1", "192.0.2.2"):
        assert count.has_room(host)
        count.opened(host)
    assert not count.has_room("192.0.2.3")
    count.closed("192.0.2.1")
    assert count.has_room("192.0.2.3")
    assert count.total == 1


def test_connections_of_one_address() -> None:
    count = ConnectionCount(TransportLimits(connections_per_address=1))
    count.opened("192.0.2.1")
    assert not count.has_room("192.0.2.1")
    assert count.has_room("192.0.2.2")
    count.closed("192.0.2.1")
    assert count.has_room("192.0.2.1")


def test_an_ipv6_subscriber_is_one_address() -> None:
    count = ConnectionCount(TransportLimits(connections_per_address=1))
    count.opened("2001:db8::1")
    assert not count.has_room("2001:db8:0:0:ffff::2")
    assert count.has_room("2001:db8:0:1::1")
    count.opened("fe80::1%eth0")
    assert not count.has_room("fe80::2")


def test_nothing_is_kept_of_those_who_left() -> None:
    count = ConnectionCount(TransportLimits())
    for number in range(1_000):
        count.opened(f"192.0.2.{number}")
        count.closed(f"192.0.2.{number}")
    assert count._by_network == {}
