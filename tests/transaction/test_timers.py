"""The queues: one call of the clock, exact instants, and nothing for what was cancelled."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from sipframe.transaction import TimerQueues, TimerSettings


class Owner:
    """Writes down when its timers fire."""

    def __init__(self, clock: Clock, log: list[tuple[float, str]]) -> None:
        self._clock = clock
        self._log = log

    def fired(self, event: str) -> None:
        self._log.append((round(self._clock.seconds(), 6), event))


class CountingClock(Clock):
    """Counts how often a wake-up is asked for."""

    asked = 0

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002 - Twisted's name
        *args: object,
        **kw: object,
    ) -> IDelayedCall:
        self.asked += 1
        return super().callLater(delay, callable, *args, **kw)


def turn(clock: Clock, until: float) -> None:
    """Turn the clock from one wake-up to the next, as a reactor does."""
    while clock.getDelayedCalls() and min(c.getTime() for c in clock.getDelayedCalls()) <= until:
        clock.advance(min(c.getTime() for c in clock.getDelayedCalls()) - clock.seconds())
    clock.advance(until - clock.seconds())


def test_ten_thousand_timers_have_one_call() -> None:
    clock = CountingClock()
    queue = TimerQueues(clock).queue("J", 32.0)
    log: list[tuple[float, str]] = []
    for _ in range(10_000):
        queue.start(Owner(clock, log))
    assert (len(clock.getDelayedCalls()), clock.asked) == (1, 1)
    clock.advance(31.9)
    assert log == []
    clock.advance(0.1)
    assert log == [(32.0, "J")] * 10_000
    assert clock.getDelayedCalls() == []


def test_one_turn_of_the_reactor_fires_no_more_than_the_burst() -> None:
    clock = Clock()
    queues = TimerQueues(clock, burst=10)
    queue = queues.queue("J", 32.0)
    log: list[tuple[float, str]] = []
    for _ in range(25):
        queue.start(Owner(clock, log))
    clock.rightNow = 32.0
    fired = []
    while clock.calls:
        call = clock.calls.pop(0)
        call.func(*call.args)
        fired.append(len(log))
    assert fired == [10, 20, 25]


def test_the_earliest_of_all_queues_is_woken_for() -> None:
    clock = Clock()
    queues = TimerQueues(clock)
    log: list[tuple[float, str]] = []
    owner = Owner(clock, log)
    for event, length in (("H", 32.0), ("G", 0.5), ("I", 5.0)):
        queues.queue(event, length).start(owner)
        assert len(clock.getDelayedCalls()) == 1
    turn(clock, 40)
    assert log == [(0.5, "G"), (5.0, "I"), (32.0, "H")]


def test_late_timers_fire_in_the_order_in_which_they_were_due() -> None:
    clock = Clock()
    queues = TimerQueues(clock)
    log: list[tuple[float, str]] = []
    owner = Owner(clock, log)
    short = queues.queue("short", 1.0)
    long = queues.queue("long", 1.5)
    long.start(owner)
    short.start(owner)
    clock.advance(0.9)
    others = [Owner(clock, log) for _ in range(2)]
    for other in others:
        short.start(other)
        long.start(other)
    clock.advance(50)
    assert [event for _, event in log] == ["short", "long", "short", "short", "long", "long"]


def test_a_cancelled_timer_does_not_fire_and_leaves_nothing() -> None:
    clock = Clock()
    queues = TimerQueues(clock)
    queue = queues.queue("B", 32.0)
    log: list[tuple[float, str]] = []
    owners = [Owner(clock, log) for _ in range(1000)]
    for owner in owners:
        queue.start(owner)
    for owner in owners[:-1]:
        queue.cancel(owner)
    assert len(queue.entries) == 1
    queue.cancel(owners[0])  # twice is as good as once
    clock.advance(40)
    assert len(log) == 1


def test_cancelled_timers_ask_the_clock_for_nothing() -> None:
    clock = CountingClock()
    queue = TimerQueues(clock).queue("B", 32.0)
    first = Owner(clock, [])
    queue.start(first)
    for _ in range(1000):
        owner = Owner(clock, [])
        queue.start(owner)
        queue.cancel(owner)
    queue.cancel(first)
    assert clock.asked == 1
    clock.advance(32)  # one wake-up with nothing to do, and then peace
    assert (clock.asked, clock.getDelayedCalls()) == (1, [])


def test_many_timers_share_a_wake_up_within_the_slack() -> None:
    clock = CountingClock()
    queue = TimerQueues(clock, slack=0.01).queue("J", 1.0)
    log: list[tuple[float, str]] = []
    for _ in range(100):
        queue.start(Owner(clock, log))
        clock.advance(0.001)
    clock.asked = 0
    turn(clock, 3)
    assert len(log) == 100
    assert clock.asked <= 11
    due = [1.0 + 0.001 * number for number in range(100)]
    late = [fired - wanted for (fired, _), wanted in zip(log, due, strict=True)]
    assert min(late) >= -1e-6
    assert max(late) <= 0.01 + 1e-6


def test_an_owner_that_raises_does_not_stop_the_others() -> None:
    clock = Clock()
    queue = TimerQueues(clock).queue("J", 1.0)
    log: list[tuple[float, str]] = []

    class Broken:
        def fired(self, event: str) -> None:
            raise ZeroDivisionError

    queue.start(Broken())
    queue.start(Owner(clock, log))
    with pytest.raises(ZeroDivisionError):
        clock.advance(1)
    clock.advance(1)
    assert [event for _, event in log] == ["J"]


def test_a_timer_may_start_the_next() -> None:
    clock = Clock()
    queues = TimerQueues(clock)
    queue = queues.queue("E", 0.5)
    log: list[float] = []

    class Again:
        def fired(self, event: str) -> None:
            log.append(clock.seconds())
            queue.start(self)

    queue.start(Again())
    turn(clock, 2.2)
    assert log == [0.5, 1.0, 1.5, 2.0]


def test_a_queue_of_length_zero_fires_in_the_next_turn() -> None:
    clock = Clock()
    log: list[tuple[float, str]] = []
    TimerQueues(clock).queue("now", 0.0).start(Owner(clock, log))
    assert log == []
    clock.advance(0)
    assert log == [(0.0, "now")]


def test_the_first_can_be_fired_before_its_time() -> None:
    clock = Clock()
    queue = TimerQueues(clock).queue("J", 32.0)
    assert not queue.fire_first()
    log: list[tuple[float, str]] = []
    queue.start(Owner(clock, log))
    assert queue.fire_first()
    assert (log, len(queue.entries)) == ([(0.0, "J")], 0)


def test_after_stop_nothing_fires() -> None:
    clock = Clock()
    queues = TimerQueues(clock)
    queue = queues.queue("J", 1.0)
    log: list[tuple[float, str]] = []
    queue.start(Owner(clock, log))
    queues.stop()
    queue.start(Owner(clock, log))
    clock.advance(10)
    assert log == []


def test_an_owner_may_stop_everything() -> None:
    clock = Clock()
    queues = TimerQueues(clock)
    queue = queues.queue("J", 1.0)
    log: list[tuple[float, str]] = []

    class Stopper:
        def fired(self, event: str) -> None:
            queues.stop()

    queue.start(Stopper())
    queue.start(Owner(clock, log))
    clock.advance(10)
    assert (log, clock.getDelayedCalls()) == ([], [])


def test_the_values_of_table_4() -> None:
    settings = TimerSettings()
    assert (settings.t1, settings.t2, settings.t4, settings.timer_d) == (0.5, 4.0, 5.0, 32.0)
    assert (settings.timeout, settings.trying_after, settings.late_trying_after) == (32.0, 0.2, 3.5)
    assert settings.intervals(settings.t2) == [0.5, 1.0, 2.0, 4.0]
    assert settings.intervals(settings.timeout) == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]


def test_a_t2_below_t1_is_the_interval() -> None:
    settings = TimerSettings(t1=2.0, t2=1.0)
    assert settings.intervals(settings.t2) == [1.0]
    assert settings.late_trying_after == 2.0


@pytest.mark.parametrize("name", ["t1", "t2", "t4", "timer_d", "trying_after"])
def test_a_timer_takes_time(name: str) -> None:
    with pytest.raises(ValueError):
        TimerSettings(**{name: 0})
