from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from sipframe.auth.authenticator import DigestAuthenticator
from sipframe.auth.chain import Chain
from sipframe.interfaces import IAuthenticator, ICredentialSource, IFlow
from sipframe.message import Request
from sipframe.verdicts import Abstained, Accepted, Challenge, Identity, Rejected, Unavailable
from tests.fakes import FakeFlow, request

ACCEPTED = Accepted(Identity("bob", "example.com", frozenset(("sip:bob@example.com",))))
REJECTED = Rejected(400, "Bad credentials")
DIGEST = Challenge(('Digest realm="a"', 'Digest realm="a", algorithm=MD5'), "wrong digest")
BEARER = Challenge(('Bearer realm="a"',), "no credentials")
STALE = Challenge(('Digest realm="b"',), "right digest, stale nonce", True)
ABSTAINED = Abstained("not from a trusted network")


@implementer(IAuthenticator)
class Says:
    """Gives what it was made with, and counts how often it was asked."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked = 0

    def authenticate(self, request: Request, flow: IFlow) -> object:
        self.asked += 1
        return self.answer() if callable(self.answer) else self.answer


def ask(*answers: object) -> Any:
    return Chain([Says(answer) for answer in answers]).authenticate(request(), FakeFlow())


def came(answer: object) -> object:
    """What a Deferred that has fired came to; anything else as it is."""
    if not isinstance(answer, Deferred):
        return answer
    found: list[object] = []
    _ = answer.addBoth(found.append)
    assert found, "it waits"
    return found[0]


async def coroutine(answer: object) -> object:
    return answer


def test_it_is_an_authenticator() -> None:
    assert verifyObject(IAuthenticator, Chain([Says(ACCEPTED)]))


def test_it_needs_authenticators() -> None:
    with pytest.raises(ValueError, match="one authenticator"):
        Chain([])
    with pytest.raises(TypeError):
        Chain([object()])


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([ACCEPTED], ACCEPTED),
        ([REJECTED, ACCEPTED], REJECTED),
        ([ABSTAINED, ACCEPTED], ACCEPTED),
        ([DIGEST, ACCEPTED], ACCEPTED),
        ([DIGEST, REJECTED], REJECTED),
        ([DIGEST], DIGEST),
        ([ABSTAINED, DIGEST, ABSTAINED], DIGEST),
        (
            [ABSTAINED, Abstained("no client certificate")],
            Abstained("not from a trusted network; no client certificate"),
        ),
        ([Abstained(), Abstained()], Abstained()),
        ([BEARER, DIGEST], Challenge((*BEARER.values, *DIGEST.values), "wrong digest")),
        ([BEARER, BEARER], Challenge(BEARER.values * 2, "no credentials")),
        ([STALE, BEARER], Challenge((*STALE.values, *BEARER.values), "right digest, stale nonce", True)),
        (
            [STALE, DIGEST],
            Challenge((*STALE.values, *DIGEST.values), "right digest, stale nonce; wrong digest", True),
        ),
    ],
)
def test_the_verdict_of_all(answers: list[object], expected: object) -> None:
    assert ask(*answers) == expected


def test_who_comes_after_the_end_is_not_asked() -> None:
    for end in (ACCEPTED, REJECTED):
        last = Says(ACCEPTED)
        Chain([Says(end), last]).authenticate(request(), FakeFlow())
        assert last.asked == 0


@pytest.mark.parametrize("answer", [None, True, "sip:bob@example.com", (), Accepted, [ACCEPTED]])
def test_what_is_no_verdict_ends_it(answer: object) -> None:
    last = Says(ACCEPTED)
    chain = Chain([Says(lambda: answer), last])
    with pytest.raises(TypeError, match="Says gave"):
        chain.authenticate(request(), FakeFlow())
    assert last.asked == 0


def test_a_challenge_of_nothing_is_no_challenge() -> None:
    with pytest.raises(ValueError, match="without a value"):
        ask(Challenge((), "nothing"), DIGEST)


class Broken(Exception):
    pass


def broken() -> object:
    raise Broken


def broken_later() -> object:
    return Deferred.fromCoroutine(_broken())


async def _broken() -> object:
    raise Unavailable("the database is gone")


def test_a_failure_is_the_failure_of_all() -> None:
    last = Says(ACCEPTED)
    with pytest.raises(Broken):
        Chain([Says(DIGEST), Says(broken), last]).authenticate(request(), FakeFlow())
    failed: Any = came(Chain([Says(ABSTAINED), Says(broken_later), last]).authenticate(request(), FakeFlow()))
    assert failed.check(Unavailable)
    failed = came(Chain([Says(_broken), last]).authenticate(request(), FakeFlow()))
    assert failed.check(Unavailable)
    failed = came(ask(lambda: succeed(ABSTAINED), broken))
    assert failed.check(Broken)
    failed = came(ask(lambda: succeed(None), ACCEPTED))
    assert failed.check(TypeError)
    assert last.asked == 0


def test_cancelling_ends_it() -> None:
    last = Says(ACCEPTED)
    slow: Deferred[object] = Deferred()
    answer: Any = Chain([Says(lambda: slow), last]).authenticate(request(), FakeFlow())
    answer.cancel()
    failed: Any = came(answer)
    assert failed.check(CancelledError)
    assert last.asked == 0


KINDS = st.sampled_from([ACCEPTED, REJECTED, DIGEST, BEARER, STALE, ABSTAINED, Abstained()])
WAYS = st.sampled_from(["value", "fired", "later", "coroutine", "slow coroutine"])


@given(st.lists(st.tuples(KINDS, WAYS), min_size=1, max_size=6))
def test_how_an_answer_comes_changes_nothing(answers: list[tuple[Any, str]]) -> None:
    clock = Clock()

    def later(verdict: object) -> Deferred[object]:
        answer: Deferred[object] = Deferred()
        clock.callLater(1, answer.callback, verdict)
        return answer

    async def slow(verdict: object) -> object:
        return await later(verdict)

    ways: dict[str, Callable[[object], object]] = {
        "value": lambda verdict: verdict,
        "fired": succeed,
        "later": later,
        "coroutine": coroutine,
        "slow coroutine": slow,
    }

    def says(verdict: object, way: str) -> Says:
        return Says(lambda: ways[way](verdict))

    chain = [says(verdict, way) for verdict, way in answers]
    answer = Chain(chain).authenticate(request(), FakeFlow())
    clock.pump([1.0] * len(answers))
    assert came(answer) == ask(*[verdict for verdict, _ in answers])
    ends = [index for index, (verdict, _) in enumerate(answers) if verdict in (ACCEPTED, REJECTED)]
    asked = ends[0] + 1 if ends else len(answers)
    assert [one.asked for one in chain] == [1] * asked + [0] * (len(answers) - asked)
    # No Deferred is made when nothing waits.
    if all(way == "value" for _, way in answers[:asked]):
        assert not isinstance(answer, Deferred)


@implementer(ICredentialSource)
class Nobody:
    def secret(self, username: str, realm: str, algorithm: str) -> object:
        return None


def test_digest_has_no_objection_to_a_bearer_token() -> None:
    digest = DigestAuthenticator(
        Nobody(), domains=("example.com",), secret=b"0123456789abcdef", clock=lambda: 1000.0
    )
    chain = Chain([digest, Says(ACCEPTED)])
    bearing = request("REGISTER", "Authorization: Bearer abc.def.ghi")
    assert chain.authenticate(bearing, FakeFlow("TLS")) == ACCEPTED
    challenge = Chain([Says(BEARER), digest]).authenticate(request(), FakeFlow())
    assert isinstance(challenge, Challenge)
    assert [value.partition(" ")[0] for value in challenge.values] == ["Bearer", "Digest"]
    assert challenge.reason == "no credentials"
