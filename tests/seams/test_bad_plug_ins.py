"""A plug-in that hangs, raises, is slow or lies, under load: it hurts its own requests alone, and lets nobody in.

The load is many requests at one moment of a clock that the test moves; others are unaffected when they are answered at
that same moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from sipframe.verdicts import Snapshot, Unavailable
from tests.fakes import FakeFlow
from tests.registrar.whole import Policy, Whole

LOAD = 40
DEADLINE = 5.0
LIMITS: dict[str, Any] = {"deadline": DEADLINE, "in_flight": 8, "queue": 16, "failures": 5, "open_for": 10.0}


class Broken(Exception):
    pass


def later(clock: Clock, seconds: float, value: object) -> Deferred[object]:
    one: Deferred[object] = Deferred(lambda _: call.cancel())
    call = clock.callLater(seconds, one.callback, value)
    return one


def hangs(clock: Clock) -> Callable[..., object]:
    def method(*_: object) -> object:
        return later(clock, 60, None)

    return method


def raises(_: Clock) -> Callable[..., object]:
    def method(*_: object) -> object:
        raise Broken

    return method


def unavailable(_: Clock) -> Callable[..., object]:
    def method(*_: object) -> object:
        raise Unavailable("gone for lunch", 30)

    return method


def lies(_: Clock) -> Callable[..., object]:
    return lambda *_: 42


def slowly_lies(clock: Clock) -> Callable[..., object]:
    def method(*_: object) -> object:
        return later(clock, 1, Snapshot(None, 0))  # type: ignore[arg-type]

    return method


WRONG: dict[str, tuple[Any, set[int]]] = {
    "hangs": (hangs, {503}),
    "raises": (raises, {500}),
    "unavailable": (unavailable, {503}),
    "lies": (lies, {500}),
    # Most are too many to wait for a place; they are told so.
    "slowly lies": (slowly_lies, {500, 503}),
}


def put(whole: Whole, policy: Policy, where: str, method: Callable[..., object]) -> None:
    if where == "secret":
        whole.users.answer = method
    elif where == "registration":
        policy.answer = method
    elif where == "lookup":
        whole.store.lookup_answer = method
    else:
        whole.store.replace_answer = method


@pytest.mark.parametrize("where", ["secret", "registration", "lookup", "replace"])
@pytest.mark.parametrize(("wrong", "statuses"), WRONG.values(), ids=WRONG.keys())
def test_only_who_needs_it_is_hurt(where: str, wrong: Any, statuses: set[int]) -> None:
    policy = Policy()
    whole = Whole(policies=[policy], **LIMITS)
    _ = whole.register()
    put(whole, policy, where, wrong(whole.clock))
    flow = FakeFlow("TCP", serial=5)
    for number in range(LOAD):
        _ = whole.register(flow=flow, call_id=f"own-{number}", to=f"<sip:bob@example.com>;n={number}")
        # Who does not need it is answered at the same moment.
        challenged = whole.send("REGISTER", call_id=f"other-{number}")
        options = whole.send("OPTIONS", call_id=f"other-{number}")
        assert challenged is not None
        assert options is not None
        assert (challenged.status, options.status) == (401, 200)
    assert max(guard.in_flight for guard in whole.seam.guards()) <= LOAD
    whole.clock.advance(DEADLINE)
    whole.clock.advance(DEADLINE)
    finals = [one for one in flow.responses() if one.status >= 200]
    assert len(finals) == LOAD
    assert {one.status for one in finals} <= statuses
    for one in finals:
        assert (one.first("retry-after") is not None) is (one.status == 503)
    assert whole.bound() == ["sip:bob@192.0.2.7:5062"]
    # Nothing is left of it, and once it is well again it is asked again.
    whole.clock.advance(100)
    assert all(guard.idle for guard in whole.seam.guards())
    assert whole.uas._by_flow == {}
    whole.users.answer = policy.answer = None
    whole.store.lookup_answer = whole.store.replace_answer = None
    again = whole.register()
    assert again is not None
    assert again.status == 200


@pytest.mark.parametrize("where", ["lookup", "replace"])
def test_a_store_that_is_slow_is_only_slow(where: str) -> None:
    whole = Whole(deadline=DEADLINE, in_flight=2)
    _ = whole.register()
    real: Callable[..., object] = getattr(super(type(whole.store), whole.store), where)

    def slow(*arguments: object) -> object:
        one: Deferred[object] = Deferred()
        _ = whole.clock.callLater(1, lambda: one.callback(real(*arguments)))
        return one

    put(whole, Policy(), where, slow)
    for number in range(3):
        _ = whole.register(call_id=str(number))
    whole.clock.pump([1.0] * 4)
    assert whole.statuses() == [401, 200, 200, 200, 200]


def test_a_source_that_hangs_costs_its_requests_no_more_than_one_deadline() -> None:
    """Then it is left alone, and they are told at once when to come again."""
    whole = Whole(**LIMITS)
    _ = whole.register()
    whole.users.answer = hangs(whole.clock)
    for number in range(5):
        _ = whole.register(user=f"user{number}", call_id=str(number))
    whole.clock.advance(DEADLINE)
    whole.clock.advance(1)
    answer = whole.register(call_id="later")
    assert answer is not None
    assert (answer.status, answer.first("retry-after")) == (503, "9")
    assert whole.steps()[0] == ("Users.secret", "NotAsked", "left alone after 5 failures in a row")
    assert whole.last().steps[0].seconds == 0
