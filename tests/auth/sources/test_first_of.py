"""Several sources in order: the first that knows the user, and no way round one that fails."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer
from zope.interface.verify import verifyObject

from sipframe.auth.sources.first_of import FirstOf
from sipframe.auth.userhash import IUserhashSource
from sipframe.interfaces import ICredentialSource
from sipframe.verdicts import Secret, Unavailable
from tests.auth.server import Users
from tests.auth.sources.around import CANARY, registers, result

ASKED = ("bob", "example.com", "MD5")


@implementer(ICredentialSource)
class Plain:
    """No IUserhashSource."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked = 0

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def later(waited: Deferred[Any]) -> object:
    return await waited


def test_the_first_that_knows_the_user_wins() -> None:
    answer = Secret(password="second")
    sources = [Plain(None), Plain(answer), Plain("third")]
    assert FirstOf(sources).secret(*ASKED) is answer
    assert [source.asked for source in sources] == [1, 1, 0]


def test_nobody_knows_the_user() -> None:
    assert FirstOf([Plain(None), Plain(None)]).secret(*ASKED) is None


@pytest.mark.parametrize("nonsense", [False, b"bytes", 7])
def test_nonsense_is_handed_on(nonsense: object) -> None:
    source = FirstOf([Plain(nonsense), Plain(CANARY)])
    assert source.secret(*ASKED) is nonsense
    with pytest.raises(TypeError):
        registers(source)


@pytest.mark.parametrize("error", [Unavailable("down"), LookupError("broken")])
def test_a_source_that_raises_fails_the_request(error: Exception) -> None:
    behind = Plain(CANARY)
    with pytest.raises(type(error)):
        FirstOf([Plain(None), Plain(error), behind]).secret(*ASKED)
    assert behind.asked == 0


@pytest.mark.parametrize("wrapped", [False, True])
def test_sources_that_wait(wrapped: bool) -> None:
    one: Deferred[object] = Deferred()
    two: Deferred[object] = Deferred()
    waiting: list[Deferred[object] | Coroutine[Any, Any, object]] = [one, two]
    if wrapped:
        waiting = [later(one), later(two)]
    last = Plain("third")
    proved = registers(FirstOf([Plain(None), Plain(waiting[0]), Plain(waiting[1]), last]))
    one.callback(None)
    two.callback(Secret(password=CANARY))
    assert result(proved) is True
    assert last.asked == 0


def test_one_that_waits_and_knows_nothing_is_followed_by_one_that_does_not_wait() -> None:
    waited: Deferred[object] = Deferred()
    answer = FirstOf([Plain(waited), Plain("second")]).secret(*ASKED)
    waited.callback(None)
    assert result(answer) == "second"


def test_a_failure_that_comes_later_fails_the_request() -> None:
    waited: Deferred[object] = Deferred()
    behind = Plain(CANARY)
    answer = FirstOf([Plain(waited), behind]).secret(*ASKED)
    waited.errback(Unavailable("down"))
    with pytest.raises(Unavailable):
        result(answer)
    assert behind.asked == 0


def test_giving_up_cancels_what_is_waited_for() -> None:
    waited: Deferred[object] = Deferred()
    behind = Plain(CANARY)
    answer = FirstOf([Plain(waited), behind]).secret(*ASKED)
    assert isinstance(answer, Deferred)
    answer.cancel()
    with pytest.raises(CancelledError):
        result(answer)
    assert behind.asked == 0


def test_userhash_is_there_when_all_sources_have_it() -> None:
    both = FirstOf([Users({"alice": "1"}), Users({"bob": "2"})])
    assert verifyObject(ICredentialSource, both)
    assert verifyObject(IUserhashSource, both)
    assert not IUserhashSource.providedBy(FirstOf([Users(), Plain(None)]))


@pytest.mark.parametrize("wait", [False, True])
def test_names_by_hash(wait: bool) -> None:
    class Slow(Users):
        def username(self, userhash: str, realm: str, algorithm: str) -> object:
            found = super().username(userhash, realm, algorithm)
            return later(done(found)) if wait else found

    def done(value: object) -> Deferred[object]:
        fired: Deferred[object] = Deferred()
        fired.callback(value)
        return fired

    from tests.auth.client import HASHES
    from tests.auth.sources.around import REALM

    sources = FirstOf([Slow({"alice": "1"}), Slow({"bob": "2"})])
    for name, expected in (("alice", "alice"), ("bob", "bob"), ("carol", None)):
        found = sources.username(HASHES["MD5"](f"{name}:{REALM}".encode()), REALM, "MD5")
        assert (result(found) if wait else found) == expected


def test_what_cannot_be_chained() -> None:
    with pytest.raises(ValueError):
        FirstOf([])
    nothing: Any = object()
    with pytest.raises(TypeError):
        FirstOf([nothing])
