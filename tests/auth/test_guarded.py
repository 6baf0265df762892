"""A credential source behind its guard: it answers as it did, nonsense is its own failure, and secrets stay with it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from sipframe.auth.guarded import guarded
from sipframe.auth.settings import DigestSettings
from sipframe.auth.userhash import IUserhashSource
from sipframe.events import Event, Events
from sipframe.interfaces import ICredentialSource
from sipframe.seams import Inquiry, PluginLimits, Seam, chained
from sipframe.verdicts import Accepted, Secret, Unavailable
from tests.auth import client
from tests.auth.server import Server, Users


class World:
    def __init__(self, users: dict[str, object]) -> None:
        self.clock = Clock()
        self.happened: list[Event] = []
        events = Events()
        _ = events.subscribe(self.happened.append)
        self.seam = Seam(self.clock, PluginLimits(), events)
        self.users = Users(users)
        self.source: Any = guarded(self.users, self.seam)
        self.inquiry = Inquiry([])

    def secret(self, name: str = "bob") -> Any:
        with self.seam.current.of(self.inquiry):
            return self.source.secret(name, "example.com", "MD5")


@pytest.mark.parametrize(
    "answer", ["canary", Secret(ha1="canary"), Secret(password="canary", owner="x"), None]
)
@pytest.mark.parametrize("later", [False, True])
def test_it_answers_as_the_source_does_and_notes_no_secret(answer: object, later: bool) -> None:
    waiting: Deferred[object] = Deferred()
    world = World({"bob": waiting if later else answer})
    found = world.secret()
    if later:
        results: list[object] = []
        _ = found.addCallback(results.append)
        waiting.callback(answer)
        (found,) = results
    assert found is answer
    expected = ("None", "no such user") if answer is None else ("Secret", "")
    assert [step[:3] for step in world.inquiry.steps] == [("Users.secret", *expected)]
    assert "canary" not in repr(world.inquiry.steps)


@pytest.mark.parametrize(
    "nonsense",
    [b"zanzibar", 7, True, ("zanzibar",), Secret(ha1=b"canary"), Secret(password=5), Secret(owner=Secret())],  # type: ignore[arg-type]
)
def test_nonsense_is_the_sources_failure(nonsense: object) -> None:
    world = World({"bob": nonsense})
    with pytest.raises(TypeError) as raised:
        _ = world.secret()
    assert [one.fields for one in world.happened] == [{"plugin": "Users.secret", "error": "TypeError"}]
    assert "canary" not in str(raised.value)


def test_it_provides_what_the_source_does() -> None:
    assert verifyObject(ICredentialSource, World({}).source)
    assert verifyObject(IUserhashSource, World({}).source)

    class Plain:
        def secret(self, username: str, realm: str, algorithm: str) -> object:
            return None

    from zope.interface import directlyProvides

    plain = Plain()
    directlyProvides(plain, ICredentialSource)
    assert IUserhashSource(guarded(plain, World({}).seam), None) is None
    with pytest.raises(TypeError):
        _ = guarded(Plain(), World({}).seam)


@pytest.mark.parametrize("userhash", [False, True])
def test_the_authenticator_stands_on_it(userhash: bool) -> None:
    world = World({"bob": "zanzibar"})
    server = Server(DigestSettings(userhash=True), world.source, chain=chained)
    params = client.answer(server.challenged(), password="zanzibar", userhash=userhash)
    verdict = server.ask(client.written(params))
    assert isinstance(verdict, Accepted)


def test_identical_look_ups_are_one() -> None:
    world = World({"bob": Deferred()})
    waiters = [world.secret() for _ in range(3)]
    assert world.users.asked == [("bob", "example.com", "MD5")]
    for one in waiters:
        _ = one.addErrback(lambda failure: failure.trap(Unavailable))
    world.clock.advance(5)
    assert [one.name for one in world.happened] == ["sipframe.plugin.failed"]
    assert all(one.called for one in waiters)
