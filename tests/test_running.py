"""One start of a server: what a reload retires is closed when nobody can ask it any more."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.task import deferLater
from zope.interface import implementer

from sipframe.interfaces import ICloseable
from sipframe.plugging import Choice
from sipframe.policy import BasePolicy
from sipframe.surroundings import Surroundings
from sipframe.testing import Server
from sipframe.verdicts import Admitted


@implementer(ICloseable)
class Slow(BasePolicy):
    """Takes its time for each answer, and remembers whether it was asked or closed last."""

    made: list[Slow]

    def __init__(self, seconds: float, *, surroundings: Surroundings) -> None:
        self._seconds = seconds
        self._reactor = surroundings.reactor
        self.heard: list[str] = []
        self.made.append(self)

    def admit(self, *_: Any) -> object:
        self.heard.append("admit")
        return deferLater(self._reactor, self._seconds, Admitted)

    def registration(self, *arguments: Any) -> object:
        self.heard.append("registration")
        return deferLater(self._reactor, self._seconds, lambda: arguments[-1])

    def close(self) -> None:
        self.heard.append("closed")


def test_what_is_retired_is_closed_after_its_last_request(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Slow] = []
    monkeypatch.setattr(Slow, "made", made, raising=False)
    slow = f"{__name__}.Slow:seconds=4"
    with Server(users={"alice": "secret"}, policies=(slow, slow)) as server:
        phone = server.phone("sip:alice@example.com", password="secret")
        assert phone.register().status == 200
        waiting = phone.begin_register()
        server.advance(1)
        quick = Choice.parse(f"{__name__}.Slow:seconds=1")
        assert server.service.reload(attrs.evolve(server.settings, policies=(quick,))) == ()
        server.advance(60)
        assert waiting.wait().status == 200
        assert [one.heard[-3:] for one in made[:2]] == [["admit", "registration", "closed"]] * 2
        assert made[2].heard == []


@implementer(ICloseable)
class Lasting(BasePolicy):
    """Takes its time to close."""

    told: list[str]

    def __init__(self, *, surroundings: Surroundings) -> None:
        self._reactor = surroundings.reactor

    def close(self) -> object:
        self.told.append("closing")
        return deferLater(self._reactor, 0.2, self.told.append, "closed")


@pytest.mark.parametrize("seconds", [0, 15.1], ids=["to be closed", "being closed"])
def test_a_stop_waits_for_what_is_retired(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(Lasting, "told", told, raising=False)
    with Server(policies=(f"{__name__}.Lasting",)) as server:
        assert server.service.reload(attrs.evolve(server.settings, policies=())) == ()
        server.advance(seconds)
        server.stop()
        assert told == ["closing", "closed"]
