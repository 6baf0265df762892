"""A missing program skips a test, or fails it where everything has to run."""

from __future__ import annotations

import pytest

from tests.tools import require_tool

MISSING = "sipframe-no-such-program"


def test_a_program_that_is_there() -> None:
    assert require_tool("sh").endswith("/sh")


def test_missing_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIPFRAME_REQUIRE_TOOLS", raising=False)
    with pytest.raises(pytest.skip.Exception, match=MISSING):
        require_tool(MISSING)


def test_missing_fails_when_all_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIPFRAME_REQUIRE_TOOLS", "1")
    with pytest.raises(pytest.fail.Exception, match=MISSING):
        require_tool(MISSING)
