"""Field names: any spelling leads to one canonical name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import MessageError, parse_message
from sipframe.message.names import COMPACT, SINGLE, canonical_name, usual_spelling


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("Call-ID", "call-id"),
        ("CALL-ID", "call-id"),
        ("cAlL-iD", "call-id"),
        ("i", "call-id"),
        ("I", "call-id"),
        ("i ", "call-id"),
        ("Call-ID \t ", "call-id"),
        ("CoNtEnT-lEnGtH", "content-length"),
        ("L\t", "content-length"),
        ("X-Own", "x-own"),
        ("extensionHeader-!.%*+_`'~", "extensionheader-!.%*+_`'~"),
        ("q", "q"),
    ],
)
def test_spellings(spelled: str, name: str) -> None:
    assert canonical_name(spelled) == name


@pytest.mark.parametrize(
    "spelled",
    [
        "",
        " ",
        " Via",
        "\tVia",
        "Via Via",
        "Vi\0a",
        "Via\x0b",
        "Via\u00a0",
        "V\u0131a",
        "\u212a",
        "\u017f",
        "To\x85",
        "a/b",
        "(a)",
    ],
)
def test_what_is_no_name(spelled: str) -> None:
    assert usual_spelling(spelled) is None
    with pytest.raises(MessageError):
        canonical_name(spelled)


@given(st.text(max_size=8))
def test_a_usual_spelling_is_only_a_short_way(spelled: str) -> None:
    usual = usual_spelling(spelled)
    if usual is not None:
        assert canonical_name(spelled + " ") == usual


@pytest.mark.parametrize(("short", "name"), COMPACT.items())
def test_compact_forms(short: str, name: str) -> None:
    assert canonical_name(short) == canonical_name(short.upper()) == canonical_name(name.title()) == name


def message(*lines: str) -> bytes:
    return "\r\n".join(["OPTIONS sip:a@b SIP/2.0", *lines, "", ""]).encode()


@pytest.mark.parametrize("name", sorted(SINGLE))
def test_singletons_stand_once(name: str) -> None:
    assert parse_message(message(f"{name}: 0")).all(name) == ["0"]
    for again in (name, name.upper(), f"{name.title()} "):
        with pytest.raises(MessageError, match="may stand once") as caught:
            parse_message(message(f"{name}: 0", "Via: x", f"{again}:0"))
        assert caught.value.status == 400
        assert caught.value.partial is not None


@pytest.mark.parametrize("short", [short for short, name in COMPACT.items() if name in SINGLE])
def test_a_compact_form_does_not_hide_a_second_one(short: str) -> None:
    with pytest.raises(MessageError, match="may stand once"):
        parse_message(message(f"{COMPACT[short]}: 0", f"{short}: 0"))


@pytest.mark.parametrize(
    "name", ["via", "contact", "route", "require", "x-own", "authorization", "supported"]
)
def test_others_may_be_repeated(name: str) -> None:
    assert parse_message(message(f"{name}: a", f"{name.upper()} :b")).all(name) == ["a", "b"]
