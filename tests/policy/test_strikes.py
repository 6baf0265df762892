"""Failures counted: the pace of one, and what a full table forgets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.policy.strikes import Pace, Strikes, StrikeTable

PACE = Pace(allowed=2, first=4.0, longest=60.0, forgive=100.0)
NOW = 1000.0


def failures(count: int, pace: Pace = PACE, now: float = NOW) -> Strikes:
    strikes = Strikes(0, now)
    for _ in range(count):
        strikes = pace.after(strikes, now)
    return strikes


def test_each_costs_twice_as_much_as_the_one_before() -> None:
    assert [PACE.held(failures(count), NOW) for count in range(10)] == [0, 0, 0, 4, 8, 16, 32, 60, 60, 60]


def test_one_is_forgiven_at_a_time_after_the_end() -> None:
    strikes = failures(4)  # until 8 s from now
    assert [PACE.left(strikes, NOW + after) for after in (0, 8, 107, 108, 208, 308, 408, 9999)] == [
        4,
        4,
        4,
        3,
        2,
        1,
        0,
        0,
    ]
    assert PACE.held(PACE.after(strikes, NOW + 108), NOW + 108) == 8
    assert PACE.held(PACE.after(strikes, NOW + 408), NOW + 408) == 0


def test_what_costs_nothing_more_need_not_be_forgiven() -> None:
    # 4, 8, 16, 32, 60: five above those that are allowed, however many there were.
    assert failures(1000).failures == 7


def test_a_longest_delay_that_is_the_first() -> None:
    pace = Pace(1, 10.0, 10.0, 100.0)
    assert [pace.held(failures(count, pace), NOW) for count in range(4)] == [0, 0, 10, 10]
    assert failures(9, pace).failures == 2


def test_a_clock_that_is_set_back_holds_nobody_up_for_longer_than_ever() -> None:
    assert PACE.held(failures(9), 0.0) == 60


@given(st.lists(st.sampled_from([0.0, 1.0, 4.0, 50.0, 100.0, 250.0]), max_size=40))
def test_who_is_held_up_has_used_up_the_allowance(steps: list[float]) -> None:
    now, strikes = NOW, Strikes(0, NOW)
    for all_failures, step in enumerate(steps, 1):
        now += step
        strikes = PACE.after(strikes, now)
        assert 1 <= PACE.left(strikes, now) <= all_failures
        assert (PACE.held(strikes, now) > 0) is (strikes.failures > PACE.allowed)
        assert PACE.held(strikes, now) <= PACE.longest


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 5.0, 120.0])), max_size=40))
def test_with_room_a_table_is_a_pace_for_each_key(failing: list[tuple[str, float]]) -> None:
    table, now = StrikeTable(PACE, 3), NOW
    plain: dict[str, Strikes] = {}
    for key, step in failing:
        now += step
        plain[key] = PACE.after(plain.get(key, Strikes(0, now)), now)
        assert table.fail(key, now) == plain[key]
    assert len(table) == len(plain)


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.0, 0.0, 1.0, 5.0, 120.0, 1000.0])), max_size=80),
)
def test_who_is_held_up_is_never_forgotten(most: int, failing: list[tuple[int, float]]) -> None:
    table, now = StrikeTable(PACE, most), NOW
    held: dict[int, Strikes] = {}
    for key, step in failing:
        now += step
        held = {one: strikes for one, strikes in held.items() if strikes.until > now}
        strikes = table.fail(key, now)
        if key in held:
            # Its failures went on from where they were.
            assert strikes == PACE.after(held[key], now)
        if strikes.until > now:
            held[key] = strikes
        assert len(held) <= len(table) <= most


def test_what_is_spent_goes_first_and_then_the_lightest() -> None:
    table = StrikeTable(Pace(5, 4.0, 60.0, 100.0), 3)
    _ = table.fail("old", 0.0)
    for _ in range(3):
        _ = table.fail("heavy", 150.0)
    for _ in range(2):
        _ = table.fail("light", 150.0)
    _ = table.fail("new", 150.0)
    assert (len(table), table.forget("old").failures) == (3, 0)
    for _ in range(3):
        _ = table.fail("new", 150.0)
    _ = table.fail("newer", 150.0)
    assert [table.forget(key).failures for key in ("heavy", "light", "new", "newer")] == [3, 0, 4, 1]


def test_without_room_a_failure_is_not_recorded() -> None:
    table = StrikeTable(Pace(1, 4.0, 60.0, 100.0), 2)
    for key in ("a", "a", "b", "b"):
        _ = table.fail(key, 0.0)
    assert [table.fail("c", 0.0) for _ in range(9)] == [Strikes(0, 0.0)] * 9
    assert table.fail("c", 4.0) == Strikes(1, 4.0)


@pytest.mark.parametrize("count", [1, 3])
def test_who_is_forgiven_begins_anew(count: int) -> None:
    table = StrikeTable(PACE, 9)
    for _ in range(count):
        _ = table.fail("a", NOW)
    assert table.forget("a").failures == count
    assert table.forget("a").failures == 0
    assert table.fail("a", NOW) == Strikes(1, NOW)
