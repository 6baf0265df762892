"""The small grammar: lists, parameters, tokens, quoted strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import MessageError, Params, param, quote, unquote
from sipframe.message.grammar import is_token, parse_params, split_list, tokens
from sipframe.message.grammar import params_text as written


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        (" a ,\tb", ["a", "b"]),
        ('"a,b",c', ['"a,b"', "c"]),
        ('"a\\",b",c', ['"a\\",b"', "c"]),
        ("<a,b>,c", ["<a,b>", "c"]),
        ('<"a">,b', ['<"a">', "b"]),
        ('"<",b', ['"<"', "b"]),
        ("a;x=1,b;y=2", ["a;x=1", "b;y=2"]),
    ],
)
def test_lists(text: str, items: list[str]) -> None:
    assert split_list(text) == items


@pytest.mark.parametrize("text", ["a,", ",a", "a,,b", ",", '"a,b', "<a,b", 'a,"', 'a,"\\"', "a, ,b", 'a,<"b'])
def test_lists_that_do_not_hold(text: str) -> None:
    with pytest.raises(MessageError):
        split_list(text)


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("", ()),
        (";a", (("a", None),)),
        (";a=b", (("a", "b"),)),
        (";A=B;c", (("a", "B"), ("c", None))),
        (" ; a = b ;c", (("a", "b"), ("c", None))),
        (';a="b;c, \\"d"', (("a", '"b;c, \\"d"'),)),
        (';a=""', (("a", '""'),)),
        (";a=[::1]:5060", (("a", "[::1]:5060"),)),
        (";branch=z9hG4bK-524287-1---a=b@c/d", (("branch", "z9hG4bK-524287-1---a=b@c/d"),)),
        (';+sip.instance="<urn:uuid:0>";reg-id=1', (("+sip.instance", '"<urn:uuid:0>"'), ("reg-id", "1"))),
        (";a\t=\tb", (("a", "b"),)),
    ],
)
def test_parameters(text: str, params: Params) -> None:
    assert parse_params(text) == params


@pytest.mark.parametrize(
    "text",
    [
        ";",
        ";;",
        ";a;",
        ";;a",
        ";a=",
        ";=a",
        ";a==;",
        ";a b",
        ";a=b c",
        ";a,b",
        ';a="b',
        ';a="b"c',
        ';a=b"c"',
        ';"a"=b',
        ";a=<b>",
        ";a=\u00e9",
        ";\u00e9=a",
        ";a;A",
        ";a=1;a=1",
        ";a =",
        "; ;a",
        ";a=\0",
        ";a=\n",
        "a=b",
    ],
)
def test_parameters_that_do_not_hold(text: str) -> None:
    with pytest.raises(MessageError):
        parse_params(text)


def test_a_parameter_by_its_name() -> None:
    params = parse_params(';a;b="x\\"y";c=z')
    assert (param(params, "a"), param(params, "b"), param(params, "c"), param(params, "d")) == (
        "",
        'x"y',
        "z",
        None,
    )


@given(st.text())
def test_parameters_are_written_as_they_are_read(text: str) -> None:
    for candidate in (text, f";{text}", f";a={text}", f";a={quote(text)};b"):
        try:
            params = parse_params(candidate)
        except MessageError:
            continue
        assert parse_params(written(params)) == params


@given(st.text())
def test_what_is_quoted_comes_back(text: str) -> None:
    quoted = quote(text)
    assert "\r" not in quoted
    assert "\n" not in quoted
    assert unquote(quoted) == text.replace("\r", " ").replace("\n", " ")
    assert split_list(f"{quoted},a") == [quoted, "a"]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], ()),
        ([""], ()),
        (["a"], ("a",)),
        (["a, b", "c"], ("a", "b", "c")),
        (["", "c"], ("c",)),
    ],
)
def test_tokens(values: list[str], found: tuple[str, ...]) -> None:
    assert tokens(values) == found


@pytest.mark.parametrize("value", ["a b", "a,", "a;b", '"a"', "a/b", "\u00e9", "a\n", "\0"])
def test_what_is_no_token(value: str) -> None:
    assert not is_token(value)
    with pytest.raises(MessageError):
        tokens([value])


@given(st.text(max_size=30))
def test_a_list_loses_nothing_but_blanks(text: str) -> None:
    try:
        items = split_list(text)
    except MessageError:
        return
    if len(items) > 1:
        assert "".join(",".join(items).split()) == "".join(text.split()) or " " in text or "\t" in text
        assert split_list(", ".join(items)) == items
