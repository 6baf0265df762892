"""docs/check.md: its tables are those of the code, and its example of a check is one."""

from __future__ import annotations

import argparse
import re
from typing import Any

from docs.make_check_results import BEGIN, END, PAGE
from sipframe.checking import CHECKS, Check, Outcome
from sipframe.checking.user_agent import UserAgent
from sipframe.cli import check
from tests.checking.toy import Toy, checked

TEXT = PAGE.read_text(encoding="utf-8")
RESULTS = TEXT.partition(BEGIN)[2].partition(END)[0]
ROW = re.compile(
    r"^\| `([^`]+)` \| (MUST|SHOULD) \| (.*?) \(((?:RFC )[^|]*)\) \| ([^|]*) \| ([^|]*) \|$", re.M
)


def test_the_results_have_a_row_for_every_check() -> None:
    rows = [(name, level) for name, level, *_ in ROW.findall(RESULTS)]
    assert rows == [(one.id, one.level.name) for one in CHECKS], "run python -m docs.make_check_results"


def test_our_server_passes_in_every_row() -> None:
    for name, _, _, _, ours, theirs in ROW.findall(RESULTS):
        over = len(next(one.transports for one in CHECKS if one.id == name))
        wanted = {"✔"} if name != "digest.no-downgrade" else {"·"}
        assert set(ours.split()) == wanted, name
        assert len(ours.split()) == len(theirs.split()) == over, name


def test_every_option_is_in_the_table() -> None:
    parsers: list[argparse.ArgumentParser] = []

    class Commands:
        def add_parser(self, name: str, *, help: str) -> argparse.ArgumentParser:  # noqa: A002
            parsers.append(argparse.ArgumentParser(name))
            return parsers[0]

    check.register(Commands())
    options = set(re.findall(r"`(--[a-z-]+)", parsers[0].format_help().replace(" -", " `-")))
    documented = {
        name for row in re.findall(r"^\| (`.*?) \|", TEXT, re.M) for name in re.findall("`(--[a-z-]+)", row)
    }
    assert documented == options - {"--help"}


def test_every_word_about_the_user_agent_is_true() -> None:
    named = re.findall(r"^\| `(?:await )?ua\.(\w+)", TEXT, re.M)
    assert len(named) > 10
    assert [name for name in named if not hasattr(UserAgent, name)] == []


def test_the_example_is_a_check() -> None:
    [block] = re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S)
    scope: dict[str, Any] = {}
    exec(compile(block, "check.md", "exec", dont_inherit=True), scope)
    example = scope["q"]
    assert isinstance(example, Check)
    [result] = checked(Toy(), [example]).results
    assert (result.outcome, result.reason) == (Outcome.FAILED, "q comes back as None")
