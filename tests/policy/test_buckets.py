"""Token buckets, beside the plainest form of the same: a dictionary of tokens that are never forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipframe.policy.buckets import TokenBuckets

# Powers of two, and times that are multiples of them: nothing is rounded, so both must agree exactly.
RATES = [0.25, 0.5, 1.0, 2.0, 4.0]
STEPS = [0.0, 0.0, 0.0, 0.125, 0.25, 0.5, 1.0, 3.0, 10.0, 100.0]


class Plain:
    """``tokens`` and when they were counted, by key."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self.buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: str, now: float) -> bool:
        tokens, at = self.buckets.get(key, (self.burst, now))
        tokens = min(self.burst, tokens + (now - at) * self.rate)
        taken = tokens >= 1
        self.buckets[key] = (tokens - taken, now)
        return taken


TRAFFIC = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(STEPS)), max_size=60)


@given(st.sampled_from(RATES), st.integers(1, 5), TRAFFIC)
def test_as_the_plain_one(rate: float, burst: int, traffic: list[tuple[str, float]]) -> None:
    buckets, plain, now = TokenBuckets(rate, burst, most=100), Plain(rate, burst), 1000.0
    for key, step in traffic:
        now += step
        assert (buckets.take(key, now) == 0) is plain.take(key, now)


@given(st.sampled_from(RATES), st.integers(1, 5), TRAFFIC)
def test_who_waits_as_long_as_told_gets_a_token(
    rate: float, burst: int, traffic: list[tuple[str, float]]
) -> None:
    buckets, now = TokenBuckets(rate, burst, most=100), 1000.0
    for key, step in traffic:
        now += step
        wait = buckets.take(key, now)
        if wait:
            assert 0 < wait <= 1 / rate
            assert buckets.take(key, now + wait / 2) > 0
            now += wait + 1e-9
            assert buckets.take(key, now) == 0


@settings(max_examples=200)
@given(
    st.sampled_from(RATES),
    st.integers(1, 3),
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(STEPS)), max_size=60),
)
def test_at_the_bound_nobody_who_has_a_bucket_is_freed_or_held_up(
    rate: float, burst: int, most: int, traffic: list[tuple[int, float]]
) -> None:
    buckets, plain, now = TokenBuckets(rate, burst, most=most), Plain(rate, burst), 1000.0
    assert buckets.take("a", now) == 0
    assert plain.take("a", now)
    for number, step in traffic:
        # "a" asks often enough to be known; the others are from anywhere.
        now += min(step, 0.125 / rate)
        _ = buckets.take(f"other {number}", now)
        assert (buckets.take("a", now) == 0) is plain.take("a", now)
        assert len(buckets) <= most


def test_newcomers_share_when_there_is_no_room() -> None:
    buckets = TokenBuckets(1.0, 2, most=1, salt=b"secret")
    assert [buckets.take("a", 0.0) for _ in range(2)] == [0, 0]
    assert len(buckets) == 1
    # There is one bucket to share.
    assert [buckets.take(key, 0.0) == 0 for key in ("b", "c", "d")] == [True, True, False]
    assert buckets.take("a", 0.0) > 0
    assert [buckets.take(key, 1.0) == 0 for key in ("a", "d", "e")] == [True, True, False]


def test_many_newcomers_share_many() -> None:
    buckets = TokenBuckets(1.0, 5, most=1000, salt=b"secret")
    for number in range(1000):
        assert buckets.take(number, 0.0) == 0
    # 100 floods beyond the bound empty a tenth of what the others share.
    for number in range(100):
        for _ in range(20):
            _ = buckets.take(f"flood {number}", 0.0)
    refused = sum(buckets.take(f"honest {number}", 0.0) > 0 for number in range(300))
    assert refused < 90
    # And none of the floods has got more than its burst.
    assert all(buckets.take(f"flood {number}", 0.0) > 0 for number in range(100))


def test_full_buckets_are_forgotten() -> None:
    buckets = TokenBuckets(1.0, 3, most=1000)
    for number in range(100):
        _ = buckets.take(number, 0.0)
    assert len(buckets) == 100
    _ = buckets.take("a", 3.0)
    assert len(buckets) == 101  # some may have been used at the end of that time
    _ = buckets.take("a", 6.0)
    assert len(buckets) == 1
    for number in range(100):
        _ = buckets.take(number, 6.0)
    _ = buckets.take("a", 1000.0)
    assert len(buckets) == 1


def test_a_clock_that_is_set_back_empties_at_most() -> None:
    buckets = TokenBuckets(2.0, 4, most=10)
    assert [buckets.take("a", 1e6) for _ in range(4)] == [0] * 4
    assert buckets.take("a", 0.0) == 0.5
    assert buckets.take("a", 0.5) == 0
    assert buckets.take("a", 0.5) > 0


@pytest.mark.parametrize(
    ("rate", "burst", "most"), [(0, 1, 1), (-1, 1, 1), (float("nan"), 1, 1), (1, 0, 1), (1, 1, 0)]
)
def test_nonsense(rate: float, burst: int, most: int) -> None:
    with pytest.raises(ValueError):
        _ = TokenBuckets(rate, burst, most=most)
