from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from sipframe.transport.deadlines import Deadlines


class Thing:
    def __init__(self, clock: Clock, due: float) -> None:
        self.slot = 0
        self.clock = clock
        self.at = due
        self.ended: list[float] = []

    def due(self) -> float:
        return self.at

    def overdue(self) -> None:
        self.ended.append(self.clock.seconds())


def run(clock: Clock, seconds: float, step: float = 0.25) -> None:
    clock.pump([step] * int(seconds / step))


@given(st.lists(st.floats(0, 50), max_size=20), st.floats(0, 10_000))
def test_never_early_and_at_most_a_tick_late(dues: list[float], start: float) -> None:
    clock = Clock()
    clock.advance(start)
    deadlines = Deadlines(clock)
    things = [Thing(clock, start + due) for due in dues]
    for thing in things:
        deadlines.watch(thing)
    run(clock, 60)
    for thing in things:
        [ended] = thing.ended
        assert thing.at <= ended <= thing.at + 2.0  # the timer's own start is anywhere within a tick
    assert clock.getDelayedCalls() == []


def test_a_deadline_that_moves_away_is_asked_again() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    thing = Thing(clock, 5)
    deadlines.watch(thing)
    thing.at = 20
    run(clock, 19)
    assert thing.ended == []
    run(clock, 3)
    assert len(thing.ended) == 1


def test_a_deadline_that_comes_nearer_is_watched_anew() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    thing = Thing(clock, 7_200)
    deadlines.watch(thing)
    thing.at = 3
    deadlines.watch(thing)
    run(clock, 5)
    assert len(thing.ended) == 1
    assert clock.getDelayedCalls() == []


def test_what_is_forgotten_leaves_no_timer_and_nothing_else() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    things = [Thing(clock, 100 + number) for number in range(50)]
    for thing in things:
        deadlines.watch(thing)
    for thing in things:
        deadlines.forget(thing)
        deadlines.forget(thing)
    assert clock.getDelayedCalls() == []
    assert deadlines._buckets == {}


def test_one_that_ends_may_forget_its_neighbour() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    first, second = Thing(clock, 1), Thing(clock, 1)

    def forget_both() -> None:
        first.ended.append(clock.seconds())
        deadlines.forget(first)
        deadlines.forget(second)

    first.overdue = second.overdue = forget_both  # type: ignore[method-assign]
    deadlines.watch(first)
    deadlines.watch(second)
    run(clock, 5)
    assert len(first.ended) == 1
    assert clock.getDelayedCalls() == []


def test_a_process_that_slept_catches_up_at_once() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    things = [Thing(clock, float(due)) for due in (10, 1_000, 2_000_000)]
    for thing in things:
        deadlines.watch(thing)
    clock.advance(1_000_000)
    assert [len(thing.ended) for thing in things] == [1, 1, 0]
    deadlines.forget(things[2])


def test_an_exception_stops_no_other_deadline() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    bad, good = Thing(clock, 1), Thing(clock, 4)

    def fail() -> None:
        raise RuntimeError("a bug")

    bad.overdue = fail  # type: ignore[method-assign]
    deadlines.watch(bad)
    deadlines.watch(good)
    try:
        run(clock, 3)
    except RuntimeError:
        pass
    run(clock, 5)
    assert len(good.ended) == 1


def test_now_is_no_older_than_a_tick() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    clock.advance(1_000)
    thing = Thing(clock, 2_000)
    deadlines.watch(thing)
    assert deadlines.now == 1_000
    run(clock, 10)
    assert clock.seconds() - deadlines.now <= 1.0
    deadlines.forget(thing)
