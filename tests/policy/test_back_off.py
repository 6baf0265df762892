"""back-off: who is held up, for how long, and who is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from sipframe.auth.challenge import Outcome
from sipframe.domains import Domains
from sipframe.events import Event, Events
from sipframe.interfaces import ICloseable, IPolicy
from sipframe.policy import BackOff, BackOffSettings
from sipframe.verdicts import Address, Admitted
from tests.fakes import FakeFlow, request

NOW = 1_700_000_000.0
PROOF = 'Authorization: Digest username="bob"'
DOMAINS = Domains(["example.com", "example.org"], {"alias.example.com": "example.com"})
How = Literal["wrong", "right", "asks"]


class World:
    """A registrar in few words: who asks, and how it went."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.events = Events()
        self.heard: list[Event] = []
        defaults = {"allowed": 2, "address_allowed": 6, "first_delay": 4.0, "longest_delay": 64.0}
        self.policy = BackOff(
            BackOffSettings(**{**defaults, **settings}),
            reactor=self.clock,
            wall_clock=lambda: NOW + self.clock.seconds(),
            domains=DOMAINS,
            events=self.events,
        )
        _ = self.events.subscribe(self.heard.append)

    def register(
        self, how: How, user: str = "bob", peer: str = "192.0.2.7", port: int = 5062, to: str = ""
    ) -> str:
        """One REGISTER: ``let in`` (and then the outcome is published), or the refusal."""
        to = to or f"sip:{user}@example.com"
        message = request("REGISTER", *([] if how == "asks" else [PROOF]), to=f"<{to}>")
        flow = FakeFlow(peer=peer)
        flow.peer = Address(peer, port)
        verdict = self.policy.admit(message, flow)
        if not isinstance(verdict, Admitted):
            ((name, value),) = verdict.fields
            assert (name, verdict.reason) == ("Retry-After", "Too Many Failures")
            return f"{verdict.status} {value}"
        fields: dict[str, Any] = {
            "aor": DOMAINS.aor_asked(message.uri, message.to.uri),  # type: ignore[arg-type]
            "peer": flow.peer,
            "call_id": "x",
        }
        if how == "right":
            self.events.publish("sipframe.registrar.bound", bindings=(), **fields)
        else:
            reason = "wrong digest" if how == "wrong" else "no credentials"
            self.events.publish("sipframe.registrar.challenged", reason=reason, **fields)
        return "let in"

    def wrong(self, times: int, user: str = "bob", **more: Any) -> list[str]:
        return [self.register("wrong", user, **more) for _ in range(times)]

    def bans(self) -> list[tuple[object, ...]]:
        return [
            (event.name.rpartition(".")[2], *event.fields.values())
            for event in self.heard
            if event.name.startswith("sipframe.policy.")
        ]


@pytest.fixture
def world() -> World:
    return World()


def test_it_is_a_policy(world: World) -> None:
    assert verifyObject(IPolicy, world.policy)
    assert verifyObject(ICloseable, world.policy)


def test_reasons_are_those_of_the_authenticator() -> None:
    assert set(BackOffSettings().reasons) == {Outcome.BAD_RESPONSE, Outcome.UNKNOWN_USER}


def test_each_failure_takes_longer(world: World) -> None:
    assert world.wrong(4) == ["let in", "let in", "let in", "500 4"]
    world.clock.advance(3.5)
    assert world.wrong(1) == ["500 1"]
    world.clock.advance(0.5)
    assert world.wrong(2) == ["let in", "500 8"]
    world.clock.advance(8)
    assert world.wrong(2) == ["let in", "500 16"]


def test_the_right_password_waits_as_well_but_a_challenge_does_not(world: World) -> None:
    _ = world.wrong(3)
    assert world.register("right") == "500 4"
    assert world.register("asks") == "let in"
    world.clock.advance(4)
    assert world.register("right") == "let in"


@pytest.mark.parametrize(
    "reason", [one for one in Outcome if one not in (Outcome.BAD_RESPONSE, Outcome.UNKNOWN_USER)]
)
def test_what_is_no_failure(world: World, reason: str) -> None:
    for _ in range(50):
        world.events.publish(
            "sipframe.registrar.challenged",
            aor="sip:bob@example.com",
            peer=Address("192.0.2.7", 5062),
            call_id="x",
            reason=reason,
        )
    assert world.register("right") == "let in"


def test_of_the_reasons_of_a_chain_one_will_do(world: World) -> None:
    for _ in range(3):
        world.events.publish(
            "sipframe.registrar.challenged",
            aor="sip:bob@example.com",
            peer=Address("192.0.2.7", 5062),
            call_id="x",
            reason="bearer token expired; wrong digest",
        )
    assert world.register("right") == "500 4"


def test_success_forgives() -> None:
    world = World(address_allowed=1000)
    for _ in range(20):
        assert world.wrong(2) == ["let in"] * 2
        assert world.register("right") == "let in"


def test_time_forgives_the_address(world: World) -> None:
    for _ in range(20):
        assert world.wrong(2) == ["let in"] * 2
        assert world.register("right") == "let in"
        world.clock.advance(1300)  # two are forgiven


def test_success_forgives_nobody_else_and_not_the_address(world: World) -> None:
    assert world.wrong(2, "alice") == ["let in"] * 2
    assert world.wrong(2) == ["let in"] * 2
    assert world.register("right") == "let in"
    assert world.wrong(2, "alice") == ["let in", "500 4"]
    # That were five at this address; six are allowed.
    assert world.wrong(3, "carol") == ["let in", "let in", "503 4"]


def test_one_phone_behind_a_nat_hurts_no_other(world: World) -> None:
    for _ in range(20):
        _ = world.register("wrong", "bad-phone")
        for number in range(20):
            assert world.register("right", f"phone-{number}", port=6000 + number) == "let in"
        world.clock.advance(30)


def test_guessing_at_a_user_elsewhere_hurts_nobody(world: World) -> None:
    for number in range(200):
        _ = world.register("wrong", peer=f"198.51.100.{number}")
        _ = world.register("wrong", peer="203.0.113.9")
    assert world.register("right") == "let in"


def test_who_tries_many_users_holds_up_the_address(world: World) -> None:
    tried = [world.register("wrong", f"user-{number}") for number in range(8)]
    assert tried == ["let in"] * 7 + ["503 4"]
    assert world.register("right", "somebody") == "503 4"
    assert world.register("right", "somebody", peer="192.0.2.8") == "let in"


def test_an_address_is_an_ipv6_64(world: World) -> None:
    for number in range(7):
        assert world.register("wrong", f"user-{number}", peer=f"2001:db8::{number}") == "let in"
    assert world.register("wrong", "x", peer="2001:db8::ffff") == "503 4"
    assert world.register("wrong", "x", peer="2001:db8:0:1::1") == "let in"


def test_a_proven_peer_is_not_held_up_by_others_at_its_address(world: World) -> None:
    assert world.register("right", port=6000) == "let in"
    _ = [world.register("wrong", f"user-{number}", port=7000) for number in range(9)]
    assert world.wrong(9, port=7000)[-1] == "503 4"
    assert world.register("right", port=6000) == "let in"
    # But the same phone from another port is anybody.
    assert world.register("right", port=6001) == "503 4"


def test_it_is_until_it_fails_itself(world: World) -> None:
    assert world.register("right", port=6000) == "let in"
    _ = [world.register("wrong", f"user-{number}", port=7000) for number in range(9)]
    assert world.register("wrong", port=6000) == "let in"
    assert world.register("right", port=6000) == "503 8"


@pytest.mark.parametrize("to", ["sip:mallory@alias.example.com", "sips:mallory@EXAMPLE.COM"])
def test_to_in_another_form_is_the_same_aor(world: World, to: str) -> None:
    assert world.register("right", "mallory", port=6000) == "let in"
    _ = [world.register("wrong", f"user-{number}", port=7000) for number in range(9)]
    assert world.register("wrong", port=6000, to=to) == "let in"
    assert world.register("wrong", port=6000, to=to) == "503 8"


def test_an_aor_that_is_none_of_ours_is_nobody(world: World) -> None:
    tried = [world.register("wrong", to=f"sip:{number}@elsewhere.example") for number in range(8)]
    assert tried == ["let in"] * 7 + ["503 4"]


def test_only_the_last_few_ports_are_proven(world: World) -> None:
    for port in (*range(6000, 6020), 6012):
        assert world.register("right", port=port) == "let in"
    _ = [world.register("wrong", f"user-{number}", port=7000) for number in range(9)]
    let_in = [port for port in range(6000, 6020) if world.register("asks", port=port) == "let in"]
    assert len(let_in) == 20
    let_in = [port for port in range(6000, 6020) if world.register("right", port=port) == "let in"]
    assert let_in == list(range(6012, 6020))


def test_the_oldest_proven_pair_is_forgotten() -> None:
    world = World(most=3, allowed=1)
    for user in "abcda":
        assert world.register("right", user, port=6000) == "let in"
    for user in "abcd":
        assert world.register("wrong", user, port=7000) == "let in"
        assert world.register("wrong", user, port=7000) in ("let in", "503 4")
    assert [world.register("right", user, port=6000) for user in "cda"] == ["let in"] * 3
    assert world.register("right", "b", port=6000) != "let in"


def test_other_methods_are_held_up_with_the_address(world: World) -> None:
    _ = [world.register("wrong", f"user-{number}") for number in range(9)]
    verdict = world.policy.admit(request("OPTIONS", PROOF), FakeFlow())
    assert not isinstance(verdict, Admitted)
    assert world.policy.admit(request("OPTIONS"), FakeFlow()) == Admitted()
    malformed = request("REGISTER", PROOF, to="<sip:bob@exa mple.com>")
    assert world.policy.admit(malformed, FakeFlow(peer="192.0.2.8")) == Admitted()


def test_events(world: World) -> None:
    _ = world.wrong(4)
    assert world.bans() == [("banned", "192.0.2.7", "sip:bob@example.com", NOW + 4, 3)]
    world.clock.advance(4)
    assert world.bans()[1:] == [("unbanned", "192.0.2.7", "sip:bob@example.com", 3)]
    _ = world.wrong(1)
    world.heard.clear()
    world.clock.advance(8)
    assert world.register("right") == "let in"
    assert world.bans() == [("unbanned", "192.0.2.7", "sip:bob@example.com", 4)]
    world.heard.clear()
    for number in range(3):
        _ = world.wrong(1, f"user-{number}")
    assert world.bans() == [("banned", "192.0.2.7", "", NOW + 12 + 4, 7)]
    assert world.policy._ends


def test_an_answer_that_comes_late_makes_it_longer(world: World) -> None:
    _ = world.wrong(3)
    world.clock.advance(1)
    # It was let in before the third one had failed.
    late = {"aor": "sip:bob@example.com", "peer": Address("192.0.2.7", 5062), "call_id": "x"}
    world.events.publish("sipframe.registrar.challenged", reason="wrong digest", **late)
    assert [ban[:2] for ban in world.bans()] == [("banned", "192.0.2.7")] * 2
    world.clock.advance(7)
    assert world.register("right") == "500 1"
    world.clock.advance(1)
    assert [ban[0] for ban in world.bans()] == ["banned", "banned", "unbanned"]
    # And a success that comes late ends it.
    _ = world.wrong(1)
    assert world.register("right") == "500 16"
    world.events.publish("sipframe.registrar.fetched", bindings=(), **late)
    assert world.register("right") == "let in"
    assert [ban[0] for ban in world.bans()][3:] == ["banned", "unbanned"]
    world.clock.advance(1000)
    assert len(world.bans()) == 5
    assert world.clock.getDelayedCalls() == []


def test_each_ends_in_its_time(world: World) -> None:
    assert world.wrong(4)[-1] == "500 4"
    world.clock.advance(4)
    assert world.wrong(2)[-1] == "500 8"
    world.clock.advance(1)
    assert world.wrong(4, "alice", peer="192.0.2.8")[-1] == "500 4"
    world.heard.clear()
    world.clock.advance(4)
    assert world.bans() == [("unbanned", "192.0.2.8", "sip:alice@example.com", 3)]
    world.clock.advance(3)
    assert [ban[1] for ban in world.bans()] == ["192.0.2.8", "192.0.2.7"]


def test_answers_that_come_late_take_no_memory(world: World) -> None:
    late = {"aor": "sip:bob@example.com", "peer": Address("192.0.2.7", 5062), "call_id": "x"}
    for _ in range(1000):
        world.events.publish("sipframe.registrar.challenged", reason="wrong digest", **late)
    assert len(world.policy._ends) <= 5
    assert world.register("right", peer="192.0.2.7") == "503 64"
    assert len(world.clock.getDelayedCalls()) == 1
    world.clock.advance(64)
    assert world.register("right") == "let in"
    assert [ban[0] for ban in world.bans()][-2:] == ["unbanned", "unbanned"]


def test_the_file_lists_addresses(tmp_path: Path) -> None:
    path = tmp_path / "bans"
    world = World(file=path, file_every=0.5)
    _ = world.wrong(3)
    world.clock.advance(0.5)
    assert path.read_text() == ""  # one AOR is no reason to lock out an office
    for number in range(5):
        _ = world.wrong(1, f"user-{number}", peer="192.0.2.7")
    world.clock.advance(0.5)
    assert path.read_text() == "192.0.2.7 2023-11-14T22:13:24Z\n"
    world.clock.advance(4)
    world.clock.advance(0.5)
    assert path.read_text() == ""


def test_memory_is_bounded() -> None:
    world = World(most=50, allowed=1, address_allowed=1)
    for number in range(1000):
        for _ in range(3):
            _ = world.register("wrong", f"user-{number}", peer=f"198.51.{number // 200}.{number % 200}")
        _ = world.register("right", f"user-{number}", peer="203.0.113.1")
        world.clock.advance(0.01)
    policy = world.policy
    assert max(len(policy._pairs), len(policy._sources), len(policy._proven)) <= 50
    assert len(policy._ends) <= 2 * len(policy._held) + 1 <= 201
    world.clock.advance(10_000)
    assert (policy._held, policy._ends, world.clock.getDelayedCalls()) == ({}, [], [])


def test_nothing_is_left_when_it_is_closed(tmp_path: Path) -> None:
    world = World(file=tmp_path / "bans")
    for number in range(9):
        _ = world.wrong(3, f"user-{number}")
    world.policy.close()
    assert world.clock.getDelayedCalls() == []
    assert (tmp_path / "bans").read_text().startswith("192.0.2.7 ")
    _ = world.wrong(5, peer="192.0.2.8")
    assert world.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"allowed": 0},
        {"address_allowed": -1},
        {"first_delay": 0.0},
        {"longest_delay": float("inf")},
        {"longest_delay": 3.0},
        {"forgive_every": float("nan")},
        {"most": 0},
        {"file_every": 0.0},
    ],
)
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        _ = BackOffSettings(**wrong)
