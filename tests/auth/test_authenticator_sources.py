"""Sources that wait, fail or return nonsense."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import cast

import pytest
from twisted.internet.defer import Deferred

from sipframe.auth.settings import DigestSettings
from sipframe.verdicts import Accepted, Challenge
from tests.auth import client
from tests.auth.server import Server, Users


def deferred_chain(awaitable: Awaitable[object], then: Callable[[object], object]) -> object:
    assert isinstance(awaitable, Deferred)
    return awaitable.addCallback(then)


def test_a_source_that_waits() -> None:
    waiting: Deferred[object] = Deferred()
    server = Server(source=Users({"bob": waiting}), chain=deferred_chain)
    verdicts: list[object] = []
    result = server.ask(client.written(client.answer(server.challenged())))
    assert isinstance(result, Deferred)
    _ = result.addCallback(verdicts.append)
    assert verdicts == []
    waiting.callback("zanzibar")
    assert [type(verdict) for verdict in verdicts] == [Accepted]


def test_a_source_of_coroutines() -> None:
    async def later(value: object) -> object:
        return value

    class Slow(Users):
        def secret(self, username: str, realm: str, algorithm: str) -> object:
            return later(super().secret(username, realm, algorithm))

        def username(self, userhash: str, realm: str, algorithm: str) -> object:
            return later(super().username(userhash, realm, algorithm))

    server = Server(DigestSettings(userhash=True), Slow())
    for userhash in (False, True):
        for password, kind in (("zanzibar", Accepted), ("guess", Challenge)):
            params = client.answer(server.challenged(), password=password, userhash=userhash)
            asked = cast("Coroutine[Deferred[object], object, object]", server.ask(client.written(params)))
            verdicts: list[object] = []
            _ = Deferred.fromCoroutine(asked).addCallback(verdicts.append)
            assert [type(verdict) for verdict in verdicts] == [kind]


@pytest.mark.parametrize("nonsense", [b"bytes", 7, ("zanzibar",), True])
def test_a_source_that_returns_nonsense_lets_nobody_in(nonsense: object) -> None:
    server = Server(source=Users({"bob": nonsense}))
    with pytest.raises(TypeError):
        server.ask(client.written(client.answer(server.challenged())))
    waiting: Deferred[object] = Deferred()
    waiting.callback(nonsense)
    server = Server(source=Users({"bob": waiting}), chain=deferred_chain)
    failures: list[object] = []
    result = server.ask(client.written(client.answer(server.challenged())))
    assert isinstance(result, Deferred)
    _ = result.addErrback(lambda failure: failures.append(failure.type))
    assert failures == [TypeError]


def test_a_source_of_hashes_that_returns_nonsense() -> None:
    class Odd(Users):
        def username(self, userhash: str, realm: str, algorithm: str) -> object:
            return 7

    server = Server(DigestSettings(userhash=True), Odd())
    with pytest.raises(TypeError):
        server.ask(client.written(client.answer(server.challenged(), userhash=True)))


def test_what_a_source_raises_rises() -> None:
    class Broken(Users):
        def secret(self, username: str, realm: str, algorithm: str) -> object:
            raise LookupError("the disk is gone")

    server = Server(source=Broken())
    with pytest.raises(LookupError):
        server.ask(client.written(client.answer(server.challenged())))
