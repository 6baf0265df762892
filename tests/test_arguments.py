"""Text and TOML as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from sipframe.arguments import Argument, as_text, describe, from_text, from_toml
from sipframe.transport import ListenAddress

BASE = Path("/base")
Mode = Literal["process", "power"]


@pytest.mark.parametrize(
    ("wanted", "text", "value"),
    [
        (str, "a", "a"),
        (str, "", ""),
        (int, "-3", -3),
        (float, "1.5", 1.5),
        (bool, "yes", True),
        (bool, "False", False),
        (Path, "a/b", BASE / "a/b"),
        (Path, "/a", Path("/a")),
        (Path | None, "a", BASE / "a"),
        (int | None, "3", 3),
        (tuple[str, ...], "a,b", ("a", "b")),
        (tuple[int, ...], "1,2", (1, 2)),
        (Mode, "power", "power"),
        (ListenAddress, "udp:5060", ListenAddress("udp", 5060)),
        (Any, "x", "x"),
    ],
)
def test_text(wanted: Any, text: str, value: object) -> None:
    assert from_text(wanted, text, BASE) == value


@pytest.mark.parametrize(
    ("wanted", "text", "right"),
    [
        (int, "1.5", "a whole number"),
        (int, "", "a whole number"),
        (float, "soon", "a number"),
        (bool, "1", "yes or no"),
        (Path, "", "a path"),
        (tuple[int, ...], "1,x", "a list, each a whole number"),
        (Mode, "maybe", "process or power"),
        (int | None, "x", "a whole number"),
        (Mapping[str, Any], "x", "a table"),
    ],
)
def test_wrong_text(wanted: Any, text: str, right: str) -> None:
    with pytest.raises(ValueError, match=f"is not {right}$"):
        from_text(wanted, text)


def test_a_type_that_parses_text_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="the transport is udp, tcp or tls"):
        from_text(ListenAddress, "x")


@pytest.mark.parametrize(
    ("wanted", "given", "value"),
    [
        (str, "a", "a"),
        (int, 3, 3),
        (float, 3, 3.0),
        (float, 0.5, 0.5),
        (bool, True, True),
        (Path, "a", BASE / "a"),
        (tuple[str, ...], ["a"], ("a",)),
        (tuple[Path, ...], ["a"], (BASE / "a",)),
        (Mapping[str, Any], {"a": 1}, {"a": 1}),
        (Mapping[str, str], {"a": "b"}, {"a": "b"}),
        (Mode, "process", "process"),
        (str | None, "a", "a"),
        (ListenAddress, "tcp:1", ListenAddress("tcp", 1)),
    ],
)
def test_toml(wanted: Any, given: object, value: object) -> None:
    made = from_toml(wanted, given, BASE)
    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        (str, 3),
        (int, "3"),
        (int, 3.0),
        (int, True),
        (float, "3"),
        (float, True),
        (bool, 1),
        (bool, "yes"),
        (Path, 3),
        (tuple[str, ...], "a,b"),
        (tuple[str, ...], [1]),
        (Mapping[str, Any], [1]),
        (Mapping[str, str], {"a": 1}),
        (Mode, "maybe"),
        (ListenAddress, 5060),
    ],
)
def test_wrong_toml(wanted: Any, given: object) -> None:
    with pytest.raises(ValueError, match="is not"):
        from_toml(wanted, given)


def test_an_argument_is_described_by_its_annotation() -> None:
    assert Argument.of("check_every", Annotated[float, "seconds"], "2.0") == (
        "check-every",
        float,
        "2.0",
        "seconds",
    )
    assert Argument.of("path", Path, None).description == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "yes"), (False, "no"), (("a", "b"), "a,b"), (1.5, "1.5"), ("x", "x")],
)
def test_defaults_as_text(value: object, text: str) -> None:
    assert as_text(value) == text


def test_types_in_words() -> None:
    assert describe(int | str) == "a whole number or text"
