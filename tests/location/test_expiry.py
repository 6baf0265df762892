"""The wheel of seconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.location.expiry import ExpiryWheel, second_of


@pytest.mark.parametrize(
    ("moment", "second"),
    [(0.0, 0), (1.999, 1), (-0.5, -1), (7, 7), (2.0**32 + 0.5, 2**32), (float("inf"), 2**62)],
)
def test_seconds(moment: float, second: int) -> None:
    assert second_of(moment) == second


@pytest.mark.parametrize("moment", [float("inf"), float("nan"), 1e300, 10**400])
def test_the_end_of_time(moment: float) -> None:
    assert second_of(moment) == 2**62
    assert second_of(-float("inf")) == -(2**62)


def test_due_is_earliest_first_and_bounded() -> None:
    wheel = ExpiryWheel()
    for second in (5, 3, 9, 4):
        wheel.add(f"a{second}", second)
    assert wheel.due(2.9, 10) == []
    assert wheel.due(5.0, 10) == ["a3", "a4", "a5"]
    assert wheel.due(5.0, 2) == ["a3", "a4"]
    wheel.remove("a3", 3)
    assert wheel.due(100.0, 2) == ["a4", "a5"]


def test_refreshing_for_ever_leaves_nothing_behind() -> None:
    wheel = ExpiryWheel()
    wheel.add("a", 0)
    for second in range(1, 10_000):
        wheel.remove("a", second - 1)
        wheel.add("a", second)
    assert len(wheel._order) <= 100
    assert len(wheel._aors) == 1
    assert wheel.due(10_000.0, 10) == ["a"]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(0, 9))), max_size=200))
def test_it_knows_where_everyone_stands(moves: list[tuple[str, int | None]]) -> None:
    wheel, model = ExpiryWheel(), dict[str, int]()
    for name, second in moves:
        if name in model:
            wheel.remove(name, model.pop(name))
        if second is not None:
            wheel.add(name, second)
            model[name] = second
        for now in (0, 4, 9):
            due = wheel.due(now, 100)
            assert sorted(due) == sorted(aor for aor, second in model.items() if second <= now)
            assert [model[aor] for aor in due] == sorted(model[aor] for aor in due)
