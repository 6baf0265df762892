"""From, To, Contact, Route, Path: name-addr and addr-spec."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import MessageError, NameAddr, parse_name_addr, parse_name_addrs
from sipframe.testing.strategies import addresses


@pytest.mark.parametrize(
    ("text", "display", "uri", "params"),
    [
        # RFC 3261 20.10, 20.20, 20.39
        (
            '"Mr. Watson" <sip:watson@worcester.bell-telephone.com> ;q=0.7; expires=3600',
            "Mr. Watson",
            "sip:watson@worcester.bell-telephone.com",
            (("q", "0.7"), ("expires", "3600")),
        ),
        (
            '"Mr. Watson" <mailto:watson@bell-telephone.com> ;q=0.1',
            "Mr. Watson",
            "mailto:watson@bell-telephone.com",
            (("q", "0.1"),),
        ),
        ("<sips:bob@192.0.2.4>;expires=60", "", "sips:bob@192.0.2.4", (("expires", "60"),)),
        (
            '"A. G. Bell" <sip:agb@bell-telephone.com> ;tag=a48s',
            "A. G. Bell",
            "sip:agb@bell-telephone.com",
            (("tag", "a48s"),),
        ),
        (
            "sip:+12125551212@server.phone2net.com;tag=887s",
            "",
            "sip:+12125551212@server.phone2net.com",
            (("tag", "887s"),),
        ),
        (
            "Anonymous <sip:c8oqz84zk7z@privacy.org>;tag=hyh8",
            "Anonymous",
            "sip:c8oqz84zk7z@privacy.org",
            (("tag", "hyh8"),),
        ),
        (
            "The Operator <sip:operator@cs.columbia.edu>;tag=287447",
            "The Operator",
            "sip:operator@cs.columbia.edu",
            (("tag", "287447"),),
        ),
        # the rest
        ("<sip:a@b;lr>", "", "sip:a@b;lr", ()),
        ("<sip:a@b?x=y>;z", "", "sip:a@b?x=y", (("z", None),)),
        ("<sip:a,b@c>", "", "sip:a,b@c", ()),
        ('"a, <b>; \\"c\\" \\\\"<sip:d@e>', 'a, <b>; "c" \\', "sip:d@e", ()),
        ('""<sip:d@e>', "", "sip:d@e", ()),
        ("caller<sip:caller@example.com>", "caller", "sip:caller@example.com", ()),
        ("J\u00fcrgen <sip:j@e>", "J\u00fcrgen", "sip:j@e", ()),
        ("\udcff <sip:j@e>", "\udcff", "sip:j@e", ()),
        ("a\t b  <sip:j@e>", "a\t b", "sip:j@e", ()),
        ("tel:+1-201-555-0123;tag=a", "", "tel:+1-201-555-0123", (("tag", "a"),)),
        ("sip:a@b ; tag = c", "", "sip:a@b", (("tag", "c"),)),
        ("sip:[::1]:5060;tag=c", "", "sip:[::1]:5060", (("tag", "c"),)),
        (
            '<sip:a@b>;+sip.instance="<urn:uuid:0>";reg-id=1',
            "",
            "sip:a@b",
            (("+sip.instance", '"<urn:uuid:0>"'), ("reg-id", "1")),
        ),
    ],
)
def test_valid(text: str, display: str, uri: str, params: tuple[tuple[str, str | None], ...]) -> None:
    expected = NameAddr(display, uri, params)
    assert parse_name_addr(text) == expected
    assert parse_name_addrs([text]) == (expected,)
    assert parse_name_addrs([f"{text} ,{text}", text]) == (expected,) * 3
    assert parse_name_addr(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "<",
        "<sip:a@b",
        "sip:a@b>",
        "<<sip:a@b>>",
        '"a <sip:a@b>',
        'a" <sip:a@b>',
        '"a" b <sip:a@b>',
        'a "b" <sip:a@b>',
        "Bell, Alexander <sip:a@b>",
        "a:b <sip:a@b>",
        "a@b",
        "*",
        "*;expires=0",
        "sip:a@b?x=y",
        "sip:a,b@c",
        "<sip:a@b>x",
        "<sip:a@b> x",
        "<sip:a@b>;",
        "<sip:a@b>;;x",
        "<sip:a@b>;x=",
        "<sip:a@b>;x=<y>",
        '<sip:a@b>;x="',
        "<sip:a@b>;tag=a;TAG=b",
        "<sip:a@b>;tag=a b",
        "<sip:a@b>,",
        ",<sip:a@b>",
        "<sip:a@b> <sip:c@d>",
        "sip:a@b c",
        "<sip:a@b>;x=a\nb",
        "<sip:a@b\r\nX: y>",
        "a\r\n<sip:a@b>",
        '"a\r\nb" <sip:a@b>',
        "a\0 <sip:a@b>",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(MessageError):
        parse_name_addr(text)
    if text != "sip:a,b@c":
        with pytest.raises(MessageError):
            parse_name_addrs([text])


def test_a_single_value_is_no_list() -> None:
    with pytest.raises(MessageError):
        parse_name_addr("<sip:a@b>,<sip:c@d>")


def test_a_list_may_be_repeated() -> None:
    found = parse_name_addrs(["<sip:a@b>;x,sip:c@d;y , <tel:+1>", '"e,f" <sip:g@h>'])
    assert [(one.display, one.uri_text) for one in found] == [
        ("", "sip:a@b"),
        ("", "sip:c@d"),
        ("", "tel:+1"),
        ("e,f", "sip:g@h"),
    ]


@pytest.mark.parametrize("q", ["0", "1", "0.", "1.", "0.5", "0.123", "1.000"])
def test_q(q: str) -> None:
    assert parse_name_addr(f"<sip:a@b>;q={q}").q == q


@pytest.mark.parametrize("q", ["2", "1.1", "0.1234", ".5", "-0.5", "1.001", "a", '""', "00", "0.5e1"])
def test_what_is_no_q(q: str) -> None:
    address = parse_name_addr(f"<sip:a@b>;q={q}")
    for _ in range(2):
        with pytest.raises(MessageError):
            _ = address.q


def test_a_bare_q_is_none_either() -> None:
    with pytest.raises(MessageError):
        _ = parse_name_addr("<sip:a@b>;q").q


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("60", 60),
        ("4294967295", 2**32 - 1),
        ("4294967296", 3600),
        ("x", 3600),
        ("-1", 3600),
        ("1.5", 3600),
    ],
)
def test_expires(text: str, seconds: int) -> None:
    # RFC 3261 20.10: what is malformed counts as 3600.
    assert parse_name_addr(f"<sip:a@b>;expires={text}").expires == seconds


def test_no_expires_and_a_bare_one() -> None:
    assert parse_name_addr("<sip:a@b>").expires is None
    assert parse_name_addr("<sip:a@b>;expires").expires == 3600


def test_a_malformed_uri_is_refused_each_time_it_is_asked_for() -> None:
    address = parse_name_addr("<sip:a b@c>;tag=x")
    assert address.tag == "x"
    for _ in range(2):
        with pytest.raises(MessageError):
            _ = address.uri


@given(st.lists(addresses(), min_size=1, max_size=4))
def test_what_the_grammar_makes_is_read(texts: list[str]) -> None:
    unfolded = [" ".join(text.split("\r\n")) for text in texts]
    found = parse_name_addrs([", ".join(unfolded)])
    assert found == tuple(parse_name_addr(text) for text in unfolded)
    for one in found:
        _ = one.uri
        assert parse_name_addr(str(one)) == one


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for candidate in (text, f"<{text}>", f'"{text}" <sip:a@b>', f"{text}<sip:a@b>", f"<sip:a@b>{text}"):
        try:
            address = parse_name_addr(candidate)
        except MessageError:
            continue
        assert not {"\r", "\n"} & set(str(address))
        assert parse_name_addr(str(address)) == address
