"""docs/hardening.md names tests that there are."""

from __future__ import annotations

import re

from fuzz.targets import TARGETS
from tests.tree import ROOT

PAGE = (ROOT / "docs" / "hardening.md").read_text("utf-8")
TEST = re.compile(r"`([\w/]+\.py)::(?:(\w+)::)?(\w+)`")


def test_the_tests_of_each_class_are_there() -> None:
    rows = [
        line for line in PAGE.partition("## Classes")[2].partition("\n## ")[0].splitlines() if line[:1] == "|"
    ][2:]
    assert len(rows) == 15
    for row in rows:
        assert TEST.findall(row), row
    for path, group, name in TEST.findall(PAGE):
        text = (ROOT / "tests" / path).read_text("utf-8")
        for wanted in (group, name):
            found = re.search(rf"^\s*(def|class) {wanted}\b|^{wanted} = ", text, re.MULTILINE)
            assert found or not wanted, f"{path}::{wanted}"


def test_each_target_is_told_of() -> None:
    fuzzed = PAGE.partition("## Fuzzing")[2].partition("\n## ")[0]
    words = set(re.findall(r"[\w-]+", fuzzed))
    assert set(TARGETS) <= words
