"""Patterns, beside a slow reading of the same rule."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.policy.glob import Glob


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_as_a_regular_expression_says(pattern: str, text: str) -> None:
    slow = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert Glob(pattern).matches(text) is (re.fullmatch(slow, text) is not None)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("friendly-scanner", "friendly-scanner", True),
        ("friendly-scanner", "a friendly-scanner", False),
        ("*Friendly-SCANNER*", "a friendly-scanner/1.0", True),
        ("Phone/1.*", "phone/1.0", True),
        ("Phone/1.*", "phone/2.0", False),
        ("*", "", True),
        ("", "", True),
        ("", "phone", False),
        ("a*a", "a", False),  # one a does not stand for two
        ("p?one [1]", "p?one [1]", True),
        ("p?one", "phone", False),
    ],
)
def test_patterns(pattern: str, text: str, expected: bool) -> None:
    assert Glob(pattern).matches(text) is expected


def test_no_pattern_goes_back() -> None:
    # With backtracking this takes longer than anybody waits.
    assert not Glob("*a" * 50 + "*b").matches("a" * 60_000)
