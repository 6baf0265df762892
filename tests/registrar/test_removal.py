"""Removals and bindings that hang on connections, over the memory store and stores that wait."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from sipframe.events import Event, Events
from sipframe.location import MemoryStore
from sipframe.registrar.flow_bindings import FlowBindings
from sipframe.registrar.removal import Removals, at_contact
from sipframe.registrar.turns import Turns
from sipframe.roads import flow_text
from sipframe.seams import Seam
from sipframe.verdicts import Binding, Unavailable
from tests.fakes import FakeFlow

AOR = "sip:bob@example.com"
NOW = 1_000.0


def binding(contact: str, flow: str | None = None, expires_at: float = NOW + 60) -> Binding:
    return Binding(contact, expires_at, "call", 1, NOW, flow=flow)


class World:
    def __init__(self, *bindings: Binding, store: Any = None, most: int = 10) -> None:
        self.store: Any = MemoryStore() if store is None else store
        assert MemoryStore.replace(self.store, AOR, bindings, 0)
        self.clock = Clock()
        self.events = Events()
        self.told: list[Event] = []
        self.events.subscribe(self.told.append)
        self.turns = Turns(1)
        self.removals = Removals(self.turns, self.store, Seam(self.clock, 5), self.events, lambda: NOW)
        self.flow_bindings = FlowBindings(self.removals, most)
        self.answers: list[object] = []

    def remove(self, which: Any = lambda binding: True) -> None:
        self.removals.remove(AOR, which, "test", self.answers.append, self.answers.append)

    @property
    def left(self) -> list[str]:
        return [one.contact for one in MemoryStore.lookup(self.store, AOR).bindings]


ONE, TWO = binding("sip:bob@192.0.2.1"), binding("sip:bob@192.0.2.2")


def test_all() -> None:
    world = World(ONE, TWO)
    world.remove()
    assert world.answers == [(ONE, TWO)]
    assert world.left == []
    fields: dict[str, object] = {"aor": AOR, "bindings": (), "removed": (ONE, TWO), "reason": "test"}
    assert world.told == [Event("sipframe.registrar.removed", fields)]


@pytest.mark.parametrize("contact", ["sip:bob@192.0.2.1", "SIP:%62ob@192.0.2.1"])
def test_one(contact: str) -> None:
    world = World(ONE, TWO, binding("what nobody can read"))
    world.remove(at_contact(contact))
    assert world.answers == [(ONE,)]
    assert world.left == [TWO.contact, "what nobody can read"]


def test_nothing_to_remove() -> None:
    world = World(ONE, binding("sip:bob@192.0.2.2", expires_at=NOW))
    world.remove(at_contact("sip:bob@192.0.2.2"))
    assert (world.answers, world.told) == ([()], [])
    with pytest.raises(ValueError, match="the contact 'no URI' is no URI"):
        at_contact("no URI")


class Racing(MemoryStore):
    """Another writer is faster, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def replace(self, aor: str, bindings: tuple[Binding, ...], version: int) -> bool:
        if self.times:
            self.times -= 1
            snapshot = self.lookup(aor)
            super().replace(aor, (*snapshot.bindings, binding(f"sip:{self.times}@192.0.2.9")), version)
        return super().replace(aor, bindings, version)


def test_another_writer_is_faster() -> None:
    world = World(ONE, store=Racing(2))
    world.remove(at_contact(ONE.contact))
    assert world.answers == [(ONE,)]
    assert world.left == ["sip:1@192.0.2.9", "sip:0@192.0.2.9"]


def test_another_writer_is_always_faster() -> None:
    world = World(ONE, store=Racing(100))
    world.remove()
    [error] = world.answers
    assert isinstance(error, RuntimeError)
    assert world.turns._by_aor == {}


class Waiting(MemoryStore):
    """Says that it is done when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[Deferred[bool]] = []

    def replace(self, aor: str, bindings: tuple[Binding, ...], version: int) -> Any:
        done: Deferred[bool] = Deferred()
        self.done.append(done)
        result = super().replace(aor, bindings, version)
        return done.addCallback(lambda _: result)


def test_one_after_the_other() -> None:
    store = Waiting()
    world = World(ONE, TWO, store=store)
    world.remove(at_contact(ONE.contact))
    world.remove(at_contact(TWO.contact))
    world.remove()
    assert len(store.done) == 1
    [error] = world.answers
    assert isinstance(error, Unavailable)  # too many wait already
    store.done[0].callback(True)
    store.done[1].callback(True)
    assert world.answers[1:] == [(ONE,), (TWO,)]
    assert world.turns._by_aor == {}


def test_a_store_that_does_not_answer() -> None:
    world = World(ONE, store=Waiting())
    world.remove()
    world.clock.advance(5)
    [error] = world.answers
    assert isinstance(error, Unavailable)
    assert world.turns._by_aor == {}


# Bindings that hang on connections.


def by(flow: FakeFlow, contact: str) -> Binding:
    return binding(contact, flow_text(flow))


def test_a_lost_connection_takes_its_bindings_along() -> None:
    flow, other = FakeFlow("TCP", serial=7), FakeFlow("TCP", serial=8)
    world = World(by(flow, "sip:a@192.0.2.1"), by(other, "sip:b@192.0.2.1"), binding("sip:c@192.0.2.1"))
    world.flow_bindings.bound(AOR, flow)
    world.flow_bindings.bound(AOR, flow)
    world.flow_bindings.flow_lost(other)
    assert len(world.left) == 3  # nobody said so of that one
    world.flow_bindings.flow_lost(flow)
    assert world.left == ["sip:b@192.0.2.1", "sip:c@192.0.2.1"]
    [event] = world.told
    assert event.fields["reason"] == "flow lost"
    assert world.flow_bindings.remembered == 0


def test_what_another_flow_has_registered_since_stays() -> None:
    flow, other = FakeFlow("TLS", serial=7), FakeFlow("TLS", serial=8)
    world = World(by(other, "sip:a@192.0.2.1"))
    world.flow_bindings.bound(AOR, flow)
    world.flow_bindings.bound(AOR, other)
    world.flow_bindings.flow_lost(flow)
    assert world.left == ["sip:a@192.0.2.1"]
    assert world.flow_bindings.remembered == 1


def test_a_connection_that_was_lost_while_the_store_was_at_work() -> None:
    flow = FakeFlow("TCP", serial=7)
    world = World(by(flow, "sip:a@192.0.2.1"))
    flow.alive = False
    world.flow_bindings.bound(AOR, flow)
    assert (world.left, world.flow_bindings.remembered) == ([], 0)


def test_datagrams_have_no_end() -> None:
    world = World()
    world.flow_bindings.bound(AOR, FakeFlow("UDP"))
    assert world.flow_bindings.remembered == 0


def test_what_is_remembered_is_bounded() -> None:
    flow = FakeFlow("TCP", serial=7)
    world = World(by(flow, "sip:a@192.0.2.1"), most=1)
    world.flow_bindings.bound("sip:other@example.com", flow)
    world.flow_bindings.bound(AOR, flow)
    world.flow_bindings.bound(AOR, flow)
    assert (world.flow_bindings.remembered, world.flow_bindings.passed_over) == (1, 2)
    world.flow_bindings.flow_lost(flow)
    assert len(world.left) == 1
