"""Time that a test moves: order, moments, and what does not end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import AlreadyCalled, AlreadyCancelled

from sipframe.testing import Restless, Timeline
from sipframe.testing import timeline as module
from sipframe.testing.timeline import Owner

DELAYS = st.lists(st.integers(0, 50), max_size=40)


@given(DELAYS)
def test_each_call_comes_at_its_moment_and_those_of_one_moment_in_their_order(delays: list[int]) -> None:
    timeline, owner = Timeline(), Owner()
    came: list[tuple[float, int]] = []
    for number, delay in enumerate(delays):
        timeline.call_later(owner, delay, lambda number=number: came.append((timeline.now, number)))
    timeline.advance(50)
    assert came == sorted([(float(delay), number) for number, delay in enumerate(delays)])
    assert timeline.now == 50


@given(DELAYS, st.lists(st.floats(0, 20), max_size=10))
def test_it_is_the_same_in_one_step_and_in_many(delays: list[int], steps: list[float]) -> None:
    def run(steps: list[float]) -> list[tuple[float, int]]:
        timeline, owner = Timeline(), Owner()
        came: list[tuple[float, int]] = []

        def call(number: int) -> None:
            came.append((timeline.now, number))
            if number % 3 == 0:
                timeline.call_later(owner, 7, call, number + 1)

        for number, delay in enumerate(delays):
            timeline.call_later(owner, delay, call, number)
        for step in steps:
            timeline.advance(step)
        timeline.advance(200)
        return came

    assert run(steps) == run([])


def test_soon_is_behind_what_is_under_way_and_before_any_time_passes() -> None:
    timeline, owner = Timeline(), Owner()
    came: list[str] = []

    def first() -> None:
        timeline.soon(came.append, "soon")
        timeline.call_later(owner, 0, came.append, "later")
        came.append("first")

    timeline.call_later(owner, 1, first)
    timeline.call_later(owner, 1, came.append, "second")
    timeline.advance(1)
    assert came == ["first", "soon", "second", "later"]


def test_a_call_can_be_cancelled_and_moved() -> None:
    timeline, owner = Timeline(), Owner()
    came: list[tuple[str, float]] = []

    def note(name: str) -> None:
        came.append((name, timeline.now))

    gone, moved, put_off = [
        timeline.call_later(owner, 1, note, name) for name in ("gone", "moved", "put off")
    ]
    assert gone.active()
    assert "at 1 s" in repr(moved)
    gone.cancel()
    moved.reset(5)
    put_off.delay(2)
    assert put_off.getTime() == 3
    assert timeline.waiting(owner) == [put_off, moved]
    assert timeline.next_moment() == 3
    timeline.advance(10)
    assert came == [("put off", 3), ("moved", 5)]
    assert not moved.active()
    with pytest.raises(AlreadyCancelled):
        gone.cancel()
    with pytest.raises(AlreadyCalled):
        moved.reset(1)


def test_nothing_of_a_dead_owner_comes() -> None:
    timeline, owner, other = Timeline(), Owner(), Owner()
    came: list[str] = []
    timeline.call_later(owner, 1, came.append, "dead")
    timeline.call_later(other, 2, came.append, "alive")
    owner.dead = True
    assert timeline.next_moment() == 2
    timeline.advance(3)
    assert came == ["alive"]


def test_a_call_that_raises_stops_nothing() -> None:
    timeline, owner = Timeline(), Owner()
    came: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    timeline.soon(fail)
    timeline.call_later(owner, 0, fail)
    timeline.call_later(owner, 0, came.append, "next")
    timeline.settle()
    assert came == ["next"]


def test_what_never_comes_to_rest_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 1_000)
    timeline = Timeline()

    def again() -> None:
        timeline.soon(again)

    again()
    with pytest.raises(Restless, match="at 0 s"):
        timeline.settle()


def test_time_goes_forward_and_only_from_outside() -> None:
    timeline = Timeline()
    with pytest.raises(ValueError, match="forward"):
        timeline.advance(-1)
    refused: list[type[BaseException]] = []

    def within() -> None:
        try:
            timeline.advance(1)
        except RuntimeError as error:
            refused.append(type(error))

    timeline.soon(within)
    timeline.settle()
    assert refused == [RuntimeError]
