from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sipframe.auth.replay import NonceCounts


def test_a_count_works_once() -> None:
    counts = NonceCounts()
    assert counts.accept(1, 1, 0)
    assert not counts.accept(1, 1, 0)
    assert counts.accept(1, 2, 0)


def test_late_counts_work_once_inside_the_window() -> None:
    counts = NonceCounts(width=4)
    assert counts.accept(1, 10, 0)
    assert counts.accept(1, 8, 0)
    assert not counts.accept(1, 8, 0)
    assert counts.accept(1, 7, 0)
    assert not counts.accept(1, 6, 0)


def test_counts_begin_at_one() -> None:
    assert not NonceCounts().accept(1, 0, 0)


def test_a_jump_beyond_the_window_forgets_what_was_in_it() -> None:
    counts = NonceCounts(width=4)
    assert counts.accept(1, 1, 0)
    assert counts.accept(1, 0xFFFFFFFF, 0)
    assert not counts.accept(1, 1, 0)
    assert counts.accept(1, 0xFFFFFFFE, 0)


@given(st.lists(st.integers(0, 40)), st.integers(1, 12))
def test_against_the_plain_rule(sent: list[int], width: int) -> None:
    counts = NonceCounts(width=width)
    seen: set[int] = set()
    for count in sent:
        fresh = count >= 1 and count not in seen and (not seen or count > max(seen) - width)
        assert counts.accept(7, count, 0) == fresh
        if fresh:
            seen.add(count)


def test_nonces_do_not_disturb_each_other() -> None:
    counts = NonceCounts()
    assert counts.accept(1, 5, 0)
    assert counts.accept(2, 5, 0)
    assert not counts.accept(1, 5, 0)


def test_too_many_nonces_fail_closed() -> None:
    counts = NonceCounts(capacity=3)
    for issued in (10, 20, 30, 40):
        assert counts.accept(issued, 1, 0)
    assert len(counts) == 3
    # 10 was forgotten, so nothing up to it can be told from a replay.
    assert not counts.accept(10, 1, 0)
    assert not counts.accept(5, 1, 0)
    assert counts.accept(20, 2, 0)
    # Full: what is older than all that is counted does not push anything out.
    assert not counts.accept(11, 1, 0)
    assert counts.accept(20, 3, 0)
    assert counts.accept(35, 1, 0)
    assert not counts.accept(20, 4, 0)


def test_what_has_expired_makes_room() -> None:
    counts = NonceCounts(capacity=3)
    for issued in (10, 20, 30):
        assert counts.accept(issued, 1, 0)
    assert counts.accept(40, 1, 25)
    assert len(counts) == 2
    assert counts.accept(15, 1, 12)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 3)), max_size=200), st.integers(1, 5))
def test_bounded_and_never_twice(uses: list[tuple[int, int]], capacity: int) -> None:
    counts = NonceCounts(capacity=capacity)
    taken: set[tuple[int, int]] = set()
    for use in uses:
        if counts.accept(*use, 0):
            assert use not in taken
            taken.add(use)
        assert len(counts) <= capacity
