"""Remembered answers, and look-ups that share one call."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from sipframe.auth.guarded import guarded
from sipframe.auth.sources.answers import Answers
from sipframe.interfaces import ICredentialSource
from sipframe.seams import PluginLimits, Seam
from sipframe.verdicts import Secret, Unavailable
from tests.auth.sources.around import CANARY, logged, result

SECRET = Secret(password=CANARY)


class Slow:
    """Questions, and the Deferreds that answer them."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.asked: list[str] = []
        self.under_way: list[Deferred[Secret | None]] = []
        defaults = {"remember": 60, "remember_unknown": 5, "remembered": 3, "most_calls": 100}
        self.answers = Answers(self.ask, self.clock, **{**defaults, **settings})

    def ask(self, username: str, realm: str, algorithm: str) -> Deferred[Secret | None]:
        self.asked.append(username)
        self.under_way.append(Deferred())
        return self.under_way[-1]

    def secret(self, username: str = "bob", realm: str = "r", algorithm: str = "MD5") -> Any:
        return self.answers.secret(username, realm, algorithm)

    def learn(self, username: str, answer: Secret | None) -> None:
        waiting = self.secret(username)
        self.under_way.pop().callback(answer)
        assert result(waiting) == answer


@pytest.mark.parametrize(("answer", "seconds"), [(SECRET, 60), (None, 5)])
def test_an_answer_is_good_for_its_time(answer: Secret | None, seconds: float) -> None:
    slow = Slow()
    slow.learn("bob", answer)
    slow.clock.advance(seconds - 0.1)
    assert slow.secret() == answer
    assert slow.asked == ["bob"]
    slow.clock.advance(0.1)
    assert isinstance(slow.secret(), Deferred)


def test_a_new_answer_takes_the_place_of_the_old() -> None:
    slow = Slow()
    slow.learn("bob", SECRET)
    slow.clock.advance(60)
    slow.learn("bob", None)
    assert slow.secret() is None
    slow.clock.advance(5)
    slow.learn("bob", SECRET)
    assert slow.secret() == SECRET


def test_nothing_is_remembered_when_told_so() -> None:
    slow = Slow(remember=0, remember_unknown=0)
    for answer in (SECRET, None, SECRET):
        slow.learn("bob", answer)
    assert slow.asked == ["bob"] * 3


def test_realm_and_algorithm_belong_to_the_question() -> None:
    slow = Slow()
    slow.learn("bob", SECRET)
    assert isinstance(slow.secret(realm="other"), Deferred)
    assert isinstance(slow.secret(algorithm="SHA-256"), Deferred)


def test_what_is_remembered_is_bounded_and_made_up_names_push_nobody_out() -> None:
    slow = Slow()
    slow.learn("bob", SECRET)
    for number in range(100):
        slow.learn(f"nobody{number}", None)
    assert slow.secret() == SECRET
    assert slow.secret("nobody97") is None
    assert isinstance(slow.secret("nobody96"), Deferred)
    for name in ("alice", "carol", "dave"):
        slow.learn(name, SECRET)
    assert slow.secret("alice") == SECRET
    assert isinstance(slow.secret("bob"), Deferred)
    assert len(slow.answers._known) == len(slow.answers._unknown) == 3


@pytest.mark.parametrize("answer", [SECRET, None])
def test_identical_questions_share_one_call(answer: Secret | None) -> None:
    slow = Slow(remember=0, remember_unknown=0)
    waiting = [slow.secret() for _ in range(3)]
    other = slow.secret("alice")
    assert slow.asked == ["bob", "alice"]
    slow.under_way[0].callback(answer)
    assert [result(one) for one in waiting] == [answer] * 3
    assert not other.called


def test_a_failure_goes_to_all_and_is_not_remembered() -> None:
    slow = Slow()
    waiting = [slow.secret() for _ in range(3)]
    slow.under_way[0].errback(Unavailable("down"))
    for one in waiting:
        with pytest.raises(Unavailable, match="down"):
            result(one)
    assert isinstance(slow.secret(), Deferred)
    assert slow.asked == ["bob", "bob"]


def test_a_question_that_cannot_be_asked() -> None:
    class Broken(Slow):
        def ask(self, username: str, realm: str, algorithm: str) -> Deferred[Secret | None]:
            _ = super().ask(username, realm, algorithm)
            raise LookupError("broken")

    slow = Broken()
    for _ in range(2):
        with pytest.raises(LookupError):
            result(slow.secret())
    assert list(slow.answers.calls) == []


def test_who_gives_up_leaves_the_call_to_the_others() -> None:
    slow = Slow()
    first, second = slow.secret(), slow.secret()
    first.cancel()
    with pytest.raises(CancelledError):
        result(first)
    slow.under_way[0].callback(SECRET)
    assert result(second) == SECRET


def test_who_gives_up_alone_leaves_the_answer_to_the_next() -> None:
    slow = Slow()
    alone = slow.secret()
    alone.cancel()
    with pytest.raises(CancelledError):
        result(alone)
    again = slow.secret()
    slow.under_way[0].callback(SECRET)
    assert result(again) == SECRET
    assert slow.asked == ["bob"]


def test_a_failure_that_nobody_waits_for_is_told_without_its_text() -> None:
    slow = Slow()
    alone = slow.secret()
    alone.addErrback(lambda _: None)
    alone.cancel()
    with logged() as text:
        slow.under_way[0].errback(LookupError(CANARY))
        assert "LookupError" in text()


def test_one_who_is_answered_may_cancel_another() -> None:
    slow = Slow()
    first, second = slow.secret(), slow.secret()
    second.addErrback(lambda failure: failure.type)
    first.addCallback(lambda _: second.cancel())
    slow.under_way[0].callback(SECRET)
    assert result(second) is CancelledError


def test_one_who_is_answered_may_ask_again() -> None:
    slow = Slow(remember=0)
    again: list[object] = []
    slow.secret().addCallback(lambda _: again.append(slow.secret()))
    slow.under_way[0].callback(SECRET)
    assert len(again) == 1
    slow.under_way[1].callback(SECRET)
    assert result(again[0]) == SECRET


def test_calls_are_bounded() -> None:
    slow = Slow(most_calls=2)
    first = slow.secret("a")
    slow.secret("b")
    assert isinstance(slow.secret("a"), Deferred)
    with pytest.raises(Unavailable):
        slow.secret("c")
    slow.under_way[0].callback(None)
    assert result(first) is None
    assert isinstance(slow.secret("c"), Deferred)


@pytest.mark.parametrize("name", ["", "b\0b", b"\xff".decode("utf-8", "surrogateescape"), "x" * 1025])
def test_what_is_no_name_is_nobody_and_nobody_is_asked(name: str) -> None:
    slow = Slow()
    assert slow.secret(name) is None
    assert slow.asked == []


@pytest.mark.parametrize(
    "settings",
    [
        {"remember": -1},
        {"remember": float("nan")},
        {"remember_unknown": float("inf")},
        {"remembered": 0},
        {"most_calls": 0},
    ],
)
def test_numbers_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Slow(**settings)


def test_made_up_names_do_not_shut_out_who_is_remembered() -> None:
    @implementer(ICredentialSource)
    class Source:
        def secret(self, username: str, realm: str, algorithm: str) -> object:
            return slow.answers.secret(username, realm, algorithm)

    slow = Slow(most_calls=2)
    slow.learn("bob", SECRET)
    source = guarded(Source(), Seam(slow.clock, PluginLimits(failures=3)))
    for number in range(10):
        try:
            waiting: Any = source.secret(f"nobody-{number}", "r", "MD5")
        except Unavailable:
            continue
        waiting.addErrback(lambda _: None)
    assert source.secret("bob", "r", "MD5") == SECRET
