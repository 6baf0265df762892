from __future__ import annotations

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.cli.terminal import can_show, cells, duration, visible, wants_colour, wrapped

# Any text, and more of what is dangerous or wide.
ANY_TEXT = st.text(
    st.one_of(st.characters(exclude_categories=()), st.sampled_from("\x1b\x07\r\n\t ;界é\u202e\u0301"))
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sip:bob@example.com", "sip:bob@example.com"),
        ("Grüße 界", "Grüße 界"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\r\nb\tc", "a\\x0d\\x0ab\\x09c"),
        ("\x9b31m", "\\x9b31m"),  # the C1 form of ESC [
        ("right\u202eleft", "right\\u202eleft"),
        (b"\xff\xfe".decode("utf-8", "surrogateescape"), "\\xff\\xfe"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_would_act_upon_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_without_more_than_ascii_the_rest_is_escaped() -> None:
    assert visible("é界\x00a", ascii_only=True) == "\\xe9\\u754c\\x00a"


@given(ANY_TEXT)
def test_what_is_visible_can_be_printed(text: str) -> None:
    assert visible(text).isprintable()
    assert visible(text, ascii_only=True).isascii()


@given(ANY_TEXT, st.integers(4, 60), st.integers(0, 2))
def test_wrapped_lines_fit_and_lose_nothing_but_blanks(text: str, width: int, indent: int) -> None:
    text = visible(text)
    lines = wrapped(text, width, indent)
    assert lines
    assert all(cells(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_wrapped_at_blanks_and_before_parameters() -> None:
    assert wrapped("Contact sip:a@192.0.2.1;transport=tcp for 1h", 27, 2) == [
        "Contact sip:a@192.0.2.1",
        "  ;transport=tcp for 1h",
    ]


def test_wide_characters_take_two_cells_and_combining_ones_none() -> None:
    assert [cells(text) for text in ("ab", "界", "e\u0301")] == [2, 2, 1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (59.9, "59s"),
        (60, "1m 00s"),
        (3599, "59m 59s"),
        (3600, "1h 00m"),
        (86399, "23h 59m"),
        (90061, "1d 01h"),
        (2**32 - 1, "49710d 06h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


class Screen(StringIO):
    def __init__(self, encoding: str, *, tty: bool = True) -> None:
        super().__init__()
        self._encoding = encoding
        self._tty = tty

    @property
    def encoding(self) -> str:  # type: ignore[override]  # StringIO has none worth asking
        return self._encoding

    def isatty(self) -> bool:
        return self._tty


@pytest.mark.parametrize(
    ("encoding", "can"), [("utf-8", True), ("ascii", False), ("latin-1", False), ("none", False)]
)
def test_what_an_encoding_can_show(encoding: str, can: bool) -> None:
    assert can_show("│", Screen(encoding)) is can


@pytest.mark.parametrize(
    ("environ", "tty", "wanted"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({}, True, False),
    ],
)
def test_colours(environ: dict[str, str], tty: bool, wanted: bool) -> None:
    assert wants_colour(Screen("utf-8", tty=tty), environ) is wanted
