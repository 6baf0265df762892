"""rate-limit: what counts against whom, and what the answer is."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from sipframe.interfaces import IPolicy
from sipframe.policy import RateLimit, RateLimits
from sipframe.verdicts import Admitted, Identity, Rejected, Terms
from tests.fakes import FakeFlow, request

AOR = "sip:bob@example.com"
BOB = Identity("bob", "example.com", frozenset([AOR]))
MALLORY = Identity("mallory", "example.com", frozenset(["sip:mallory@example.com"]))
TERMS = Terms()


class World:
    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.policy = RateLimit(RateLimits(**limits), clock=self.clock.seconds)

    def admitted(self, peer: str = "192.0.2.7", transport: str = "UDP") -> bool:
        verdict = self.policy.admit(request(), FakeFlow(transport, peer))
        assert verdict == Admitted() or verdict[:2] == (503, "Too Many Requests")
        return verdict == Admitted()

    def registers(self, identity: Identity = BOB, aor: str = AOR) -> bool:
        verdict = self.policy.registration(request(), aor, identity, TERMS)
        assert verdict is TERMS or verdict[:2] == (500, "Too Many Registrations")
        return verdict is TERMS


def test_it_is_a_policy() -> None:
    assert verifyObject(IPolicy, World().policy)


def test_an_address_has_its_burst_and_then_its_rate() -> None:
    world = World(address_rate=2.0, address_burst=3)
    assert [world.admitted() for _ in range(5)] == [True, True, True, False, False]
    assert world.admitted("192.0.2.8")
    world.clock.advance(0.5)
    assert [world.admitted() for _ in range(2)] == [True, False]


def test_retry_after_is_whole_seconds() -> None:
    world = World(address_rate=0.1, address_burst=1, aor_rate=4.0, aor_burst=1)
    assert world.admitted()
    assert world.registers()
    world.clock.advance(2.5)
    refused = world.policy.admit(request(), FakeFlow())
    assert refused == Rejected(503, "Too Many Requests", (("Retry-After", "8"),))
    assert world.registers()
    assert world.policy.registration(request(), AOR, BOB, TERMS) == Rejected(
        500, "Too Many Registrations", (("Retry-After", "1"),)
    )


def test_an_ipv6_64_is_one_address() -> None:
    world = World(address_burst=2)
    assert [world.admitted(f"2001:db8::{n}") for n in range(3)] == [True, True, False]
    assert world.admitted("2001:db8:0:1::1")


def test_forged_datagrams_do_not_hold_up_connections() -> None:
    world = World(address_burst=1)
    assert [world.admitted() for _ in range(2)] == [True, False]
    assert [world.admitted(transport=one) for one in ("TLS", "TCP")] == [True, False]


def test_an_aor_has_its_own() -> None:
    world = World(aor_rate=1.0, aor_burst=2)
    assert [world.registers() for _ in range(3)] == [True, True, False]
    assert world.registers(MALLORY, "sip:mallory@example.com")
    world.clock.advance(1)
    assert [world.registers() for _ in range(2)] == [True, False]


def test_nobody_uses_up_what_is_anothers() -> None:
    world = World(aor_burst=2)
    assert [world.registers(MALLORY) for _ in range(3)] == [True, True, False]
    # Mallory's own AOR is one thing, what Mallory asks about others another.
    assert world.registers(MALLORY, "sip:mallory@example.com")
    assert [world.registers() for _ in range(3)] == [True, True, False]


def test_0_is_no_limit() -> None:
    world = World(address_rate=0.0, address_burst=1, aor_rate=0.0, aor_burst=1)
    assert all(world.admitted() and world.registers() for _ in range(100))


def test_ten_thousand_sources_free_nobody_and_hold_up_nobody() -> None:
    world = World(address_rate=1.0, address_burst=2, most=5000)
    assert [world.admitted() for _ in range(3)] == [True, True, False]
    for number in range(10_000):
        _ = world.admitted(f"198.18.{number >> 8}.{number & 255}")
    assert not world.admitted()
    world.clock.advance(1)
    assert [world.admitted() for _ in range(2)] == [True, False]
    world.clock.advance(4)
    assert world.admitted("192.0.2.200")


@pytest.mark.parametrize(
    "wrong",
    [
        {"address_rate": -1.0},
        {"address_rate": float("inf")},
        {"aor_rate": float("nan")},
        {"address_burst": 0},
        {"aor_burst": -1},
        {"most": 0},
    ],
)
def test_wrong_limits(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        _ = RateLimits(**wrong)
