"""shadow: whatever the candidate does, the request goes on; what it would have done is told."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from sipframe.events import Event, Events
from sipframe.interfaces import ICloseable, IFlow, IPolicy
from sipframe.message import Request
from sipframe.policy import BasePolicy, Shadow
from sipframe.seams import Seam
from sipframe.verdicts import Admitted, Identity, Rejected, Routing, Target, Terms, Unavailable
from tests.fakes import FakeFlow, request

AOR = "sip:bob@example.com"
BOB = Identity("bob", "example.com", frozenset([AOR]))
TERMS = Terms()
ROUTING = Routing((Target("sip:bob@192.0.2.7"),), AOR)
FORBIDDEN = Rejected(403, "Forbidden")


class Candidate(BasePolicy):
    """Gives ``answer``, or what it gives when it can be called."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    def _answer(self) -> object:
        self.asked += 1
        return self.answer() if callable(self.answer) else self.answer

    def admit(self, request: Request, flow: IFlow) -> object:
        return self._answer()

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> object:
        return self._answer()

    def route(self, request: Request, identity: Identity | None, routing: Routing) -> object:
        return self._answer()


class World:
    def __init__(self, answer: Any, most_awaited: int = 3) -> None:
        self.clock = Clock()
        self.heard: list[Event] = []
        events = Events()
        _ = events.subscribe(self.heard.append)
        self.candidate = Candidate(answer)
        self.policy = Shadow(
            self.candidate,
            name="candidate:x=1",
            events=events,
            seam=Seam(self.clock, 5.0),
            most_awaited=most_awaited,
        )

    def admit(self) -> list[tuple[object, ...]]:
        """Ask it; what was told besides letting it in."""
        assert self.policy.admit(request(), FakeFlow()) == Admitted()
        return self.told()

    def register(self) -> list[tuple[object, ...]]:
        assert self.policy.registration(request(), AOR, BOB, TERMS) is TERMS
        return self.told()

    def route(self) -> list[tuple[object, ...]]:
        """What was told, with what would have become of the routing."""
        assert self.policy.route(request(), None, ROUTING) is ROUTING
        routings = [event.fields["routing"] for event in self.heard]
        return [(*one, routing) for one, routing in zip(self.told(), routings, strict=True)]

    def told(self) -> list[tuple[object, ...]]:
        told = []
        for event in self.heard:
            assert event.name == "sipframe.policy.differs"
            assert (event.fields["policy"], event.fields["call_id"]) == ("candidate:x=1", "call-1")
            told.append(
                tuple(
                    event.fields[name] for name in ("method", "verdict", "status", "reason", "terms", "aor")
                )
            )
        self.heard.clear()
        return told


def raising() -> object:
    raise ZeroDivisionError("secret")


async def later(value: object) -> object:
    return value


def test_it_is_a_policy() -> None:
    policy = World(Admitted()).policy
    assert verifyObject(IPolicy, policy)
    assert verifyObject(ICloseable, policy)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Admitted(), []),
        (lambda: later(Admitted()), []),
        (FORBIDDEN, [("admit", "Rejected", 403, "Forbidden", {}, "")]),
        (lambda: later(FORBIDDEN), [("admit", "Rejected", 403, "Forbidden", {}, "")]),
        (raising, [("admit", "ZeroDivisionError", 500, "Server Internal Error", {}, "")]),
        (TERMS, [("admit", "TypeError", 500, "Server Internal Error", {}, "")]),
        (None, [("admit", "TypeError", 500, "Server Internal Error", {}, "")]),
        (Rejected(200, "OK"), [("admit", "ValueError", 500, "Server Internal Error", {}, "")]),
    ],
)
def test_admit(answer: object, told: list[tuple[object, ...]]) -> None:
    world = World(answer)
    assert world.admit() == told
    assert world.policy._awaited == 0


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (TERMS, []),
        (Terms(), []),
        (
            TERMS._replace(max_contacts=1, third_party=True),
            [("registration", "Terms", 0, "", {"max_contacts": 1, "third_party": True}, AOR)],
        ),
        (FORBIDDEN, [("registration", "Rejected", 403, "Forbidden", {}, AOR)]),
        (Rejected(603, "Decline"), [("registration", "ValueError", 500, "Server Internal Error", {}, AOR)]),
        (Admitted(), [("registration", "TypeError", 500, "Server Internal Error", {}, AOR)]),
        (raising, [("registration", "ZeroDivisionError", 500, "Server Internal Error", {}, AOR)]),
    ],
)
def test_registration(answer: object, told: list[tuple[object, ...]]) -> None:
    world = World(answer)
    assert world.register() == told
    assert world.policy._awaited == 0


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ROUTING, []),
        (Routing(*ROUTING), []),
        (lambda: later(ROUTING), []),
        (
            ROUTING._replace(targets=(), record_route=False),
            [("route", "Routing", 0, "", {}, AOR, {"targets": (), "record_route": False})],
        ),
        (FORBIDDEN, [("route", "Rejected", 403, "Forbidden", {}, AOR, {})]),
        (Rejected(603, "Decline"), [("route", "Rejected", 603, "Decline", {}, AOR, {})]),
        (TERMS, [("route", "TypeError", 500, "Server Internal Error", {}, AOR, {})]),
        (None, [("route", "TypeError", 500, "Server Internal Error", {}, AOR, {})]),
        (raising, [("route", "ZeroDivisionError", 500, "Server Internal Error", {}, AOR, {})]),
    ],
)
def test_route(answer: object, told: list[tuple[object, ...]]) -> None:
    world = World(answer)
    assert world.route() == told
    assert world.policy._awaited == 0


def test_an_answer_that_comes_later_is_told_later() -> None:
    waiting: Deferred[object] = Deferred()
    world = World(lambda: waiting)
    assert world.admit() == []
    waiting.callback(FORBIDDEN)
    assert world.told() == [("admit", "Rejected", 403, "Forbidden", {}, "")]


def test_a_candidate_that_hangs_is_asked_so_often_and_not_more() -> None:
    world = World(Deferred, most_awaited=3)
    for _ in range(10):
        assert world.admit() == []
    assert (world.candidate.asked, world.policy.skipped) == (3, 7)
    world.clock.advance(5)
    assert world.told() == [("admit", "Unavailable", 503, "Service Unavailable", {}, "")] * 3
    assert world.admit() == []
    assert world.candidate.asked == 4


def test_a_candidate_that_says_it_is_unavailable() -> None:
    def unavailable() -> object:
        raise Unavailable("no")

    assert World(unavailable).admit() == [("admit", "Unavailable", 503, "Service Unavailable", {}, "")]


def test_nothing_is_left_when_it_is_closed() -> None:
    world = World(Deferred)
    _ = world.admit()
    world.policy.close()
    assert world.told() == []
    assert world.clock.getDelayedCalls() == []


def test_one_answer_at_least_is_awaited() -> None:
    with pytest.raises(ValueError, match="most_awaited"):
        _ = World(Admitted(), most_awaited=0)
