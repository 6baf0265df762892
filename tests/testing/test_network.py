"""The network in memory: accidents from a seed, ports, and what the wire remembers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import CannotListenError

from sipframe.testing import Network, Passage, Wire
from sipframe.verdicts import Address

HERE = Address("192.0.2.1", 5060)
THERE = Address("192.0.2.2", 5060)


class Bound:
    """A port that keeps what arrives, and when."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.got: list[tuple[float, bytes]] = []

    def arrived(self, data: bytes, source: Address) -> None:
        self.got.append((self._network.timeline.now, data))


def sent(network: Network, count: int, every: float = 1.0) -> list[tuple[float, bytes]]:
    """Send numbered datagrams; what arrived."""
    bound = Bound(network)
    network.bind("UDP", (THERE.host,), THERE.port, bound)
    for number in range(count):
        network.send_datagram(HERE, THERE, b"%d" % number)
        network.timeline.advance(every)
    network.timeline.advance(100)
    return bound.got


def test_without_accidents_all_arrives_at_once_and_in_order() -> None:
    assert sent(Network(), 5) == [(float(number), b"%d" % number) for number in range(5)]


@given(st.integers(), st.integers(0, 60))
def test_the_same_seed_has_the_same_accidents(seed: int, count: int) -> None:
    accidents = {"loss": 0.3, "duplicate": 0.2, "reorder": 0.2, "delay": (0.0, 0.5)}
    first, second = Network(seed, **accidents), Network(seed, **accidents)  # type: ignore[arg-type]
    assert sent(first, count) == sent(second, count)
    assert list(first.wire) == list(second.wire)


def test_likelihoods_are_about_what_they_say() -> None:
    lossy = Network(7, loss=0.25)
    assert 700 < len(sent(lossy, 1000)) < 800
    assert sum(one.fate == "lost" for one in lossy.wire) == 1000 - len(
        [one for one in lossy.wire if one.fate == ""]
    )
    assert 1200 < len(sent(Network(7, duplicate=0.25), 1000)) < 1300
    late = sent(Network(7, delay=(0.1, 0.3)), 200)
    waits = [at - number for number, (at, _) in enumerate(late)]
    assert min(waits) >= 0.1
    assert max(waits) <= 0.3001
    numbers = [int(data) for _, data in sent(Network(7, reorder=0.1, delay=0.02), 100, every=0.001)]
    assert numbers != sorted(numbers)
    assert sorted(numbers) == list(range(100))


def test_the_next_ones_can_be_lost() -> None:
    network = Network()
    network.lose_next(2, containing=b"1")
    assert [data for _, data in sent(network, 13)] == [b"%d" % n for n in range(13) if n not in (1, 10)]


def test_a_road_can_be_cut_for_a_while() -> None:
    network = Network()
    restore = network.lose_while(lambda passage: passage.target == THERE)
    network.send_datagram(HERE, THERE, b"before")
    restore()
    assert [data for _, data in sent(network, 1)] == [b"0"]
    assert [one.fate for one in network.wire] == ["lost", ""]


def test_a_datagram_to_nobody_is_gone() -> None:
    network = Network()
    network.send_datagram(HERE, THERE, b"hello")
    network.timeline.settle()
    assert len(network.wire) == 1


def test_a_port_has_one_owner() -> None:
    network = Network()
    network.bind("UDP", (HERE.host,), 5060, Bound(network))
    with pytest.raises(CannotListenError):
        network.bind("UDP", (THERE.host, HERE.host), 5060, Bound(network))
    network.bind("TCP", (HERE.host,), 5060, Bound(network))
    network.unbind("UDP", (HERE.host,), 5060)
    network.bind("UDP", (THERE.host, HERE.host), 5060, Bound(network))
    free = [network.bind("UDP", (HERE.host,), 0, Bound(network)) for _ in range(3)]
    assert len(set(free)) == 3


def test_every_host_is_another_one() -> None:
    network = Network()
    assert len({network.new_host() for _ in range(1000)}) == 1000
    assert network.new_host(version=6).startswith("2001:db8:")


def test_chance_follows_from_seed_and_name() -> None:
    assert Network(1).entropy("a")(16) == Network(1).entropy("a")(16)
    assert Network(1).entropy("a")(16) != Network(1).entropy("b")(16)
    assert Network(1).entropy("a")(16) != Network(2).entropy("a")(16)


def test_the_wire_is_bounded() -> None:
    wire = Wire(3)
    for number in range(5):
        wire.add(Passage(number, "UDP", HERE, THERE, b"%d" % number))
    assert len(wire) == 3
    assert wire.octets() == b"234"
    assert wire.of("192.0.2.9") == []
    assert len(wire.of(HERE.host)) == 3
