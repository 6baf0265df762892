from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from zope.interface import directlyProvides

from sipframe.changes import Change, forget_expired, watch
from sipframe.events import Event, Events
from sipframe.interfaces import IExpiring
from sipframe.location import MemoryStore
from sipframe.verdicts import Binding, Forgotten

AOR = "sip:bob@example.com"
NOW = 1_000.0


def binding(cseq: int = 1, expires_at: float = NOW + 60) -> Binding:
    return Binding(f"sip:bob@192.0.2.{cseq}", expires_at, "call-1", cseq, NOW)


class Watching:
    def __init__(self, aor: str | None = AOR) -> None:
        self.events = Events()
        self.heard: list[tuple[str, int, Change]] = []
        self.stop = watch(self.events, aor, self.hear)

    def hear(self, aor: str, bindings: tuple[Binding, ...], change: Change) -> None:
        self.heard.append((aor, len(bindings), change))

    def bound(self, *bindings: Binding, aor: str = AOR, cseq: int = 1) -> None:
        self.events.publish(
            "sipframe.registrar.bound", aor=aor, bindings=bindings, call_id="call-1", cseq=cseq, peer=None
        )


def test_what_a_register_does() -> None:
    it = Watching()
    it.bound(binding())
    it.bound(binding(), cseq=2)  # it took another one away
    it.bound(cseq=3)
    assert it.heard == [(AOR, 1, "bound"), (AOR, 1, "removed"), (AOR, 0, "removed")]


def test_what_others_do() -> None:
    it = Watching()
    it.events.publish("sipframe.registrar.removed", aor=AOR, bindings=(), removed=(binding(),), reason="x")
    it.events.publish("sipframe.location.expired", aor=AOR, bindings=(binding(),), ended=(binding(2),))
    it.events.publish("sipframe.registrar.fetched", aor=AOR, bindings=())
    assert it.heard == [(AOR, 0, "removed"), (AOR, 1, "expired")]


def test_one_aor_or_all_of_them() -> None:
    one, everyone = Watching(), Watching(None)
    for it in (one, everyone):
        it.bound(binding(), aor="sip:alice@example.com")
        it.bound(binding())
    assert [aor for aor, _, _ in one.heard] == [AOR]
    assert [aor for aor, _, _ in everyone.heard] == ["sip:alice@example.com", AOR]
    everyone.stop()
    everyone.bound()
    assert len(everyone.heard) == 2
    assert not everyone.events.wanted


def hearing() -> tuple[Events, list[Event]]:
    events = Events()
    heard: list[Event] = []
    events.subscribe(heard.append)
    return events, heard


def test_expiry_is_told() -> None:
    store = MemoryStore()
    ended, left = binding(1, NOW), binding(2)
    store.replace(AOR, (ended, left), 0)
    events, heard = hearing()
    forget_expired(store, events, NOW)
    assert heard == [Event("sipframe.location.expired", {"aor": AOR, "bindings": (left,), "ended": (ended,)})]
    forget_expired(store, events, NOW)
    assert len(heard) == 1
    # Who does not watch costs nothing, and is told nothing later.
    forget_expired(store, Events(), NOW + 60)
    assert store.lookup(AOR).bindings == ()


class Store:
    """A store of somebody else's."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[float] = []

    def expire(self, now: float) -> Any:
        self.asked.append(now)
        return self.answer()

    forget = expire


def forgotten() -> list[Forgotten]:
    return [Forgotten(AOR, (binding(1, NOW),), ())]


async def forgotten_as_coroutine() -> list[Forgotten]:
    return forgotten()


@pytest.mark.parametrize("answer", [forgotten, lambda: succeed(forgotten()), forgotten_as_coroutine])
def test_stores_that_can_tell(answer: Any) -> None:
    store: Any = Store(answer)
    directlyProvides(store, IExpiring)
    events, heard = hearing()
    forget_expired(store, events, NOW)
    assert [event.fields["aor"] for event in heard] == [AOR]


def test_stores_that_cannot() -> None:
    store = Store(lambda: 3)
    events, heard = hearing()
    forget_expired(store, events, NOW)
    assert (store.asked, heard) == ([NOW], [])


def fail() -> object:
    raise ZeroDivisionError


async def fail_as_coroutine() -> object:
    raise ZeroDivisionError


@pytest.mark.parametrize("answer", [fail, fail_as_coroutine, lambda: ["nonsense"], lambda: succeed(3)])
def test_stores_that_fail(answer: Any, capture_failures: list[str]) -> None:
    store: Any = Store(answer)
    directlyProvides(store, IExpiring)
    events, heard = hearing()
    forget_expired(store, events, NOW)
    assert heard == []
    assert len(capture_failures) == 1


def test_a_store_that_never_ends_it() -> None:
    store: Any = Store(Deferred)
    forget_expired(store, Events(), NOW)
