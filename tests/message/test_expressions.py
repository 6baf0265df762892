"""The expressions of the grammar: what they are made of, since interpreters differ."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from re import _constants as kinds  # type: ignore[attr-defined]  # there is no public way to look at one
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import sipframe

SINGLE = (kinds.LITERAL, kinds.NOT_LITERAL, kinds.IN, kinds.ANY)


def expressions() -> Iterator[tuple[str, re.Pattern[str]]]:
    for module in walk_packages(sipframe.__path__, "sipframe."):
        if not module.name.endswith("__main__"):
            for name, value in vars(import_module(module.name)).items():
                if isinstance(value, re.Pattern):
                    yield f"{module.name}:{name}", value


def possessive_groups(parts: Any) -> Iterator[object]:
    if isinstance(parts, parser.SubPattern | tuple | list):
        for part in parts:
            if isinstance(part, tuple) and part and part[0] is kinds.POSSESSIVE_REPEAT:
                _, _, body = part[1]
                if len(body) != 1 or body[0][0] not in SINGLE:
                    yield body
            yield from possessive_groups(part)


@pytest.mark.parametrize(("name", "expression"), list(expressions()))
def test_no_group_is_possessive(name: str, expression: re.Pattern[str]) -> None:
    """One that has begun to match and fails is matched wrongly by CPython 3.11.0 to 3.11.4 (gh-106052)."""
    assert list(possessive_groups(parser.parse(expression.pattern, expression.flags))) == []


def test_a_possessive_group_would_be_found() -> None:
    assert len(list(possessive_groups(parser.parse(r"a(?:(b|(?:c[d]++)*+)|[e]++|.*+)x")))) == 1
