"""URIs: taking apart, writing back, comparison by RFC 3261 19.1.4, and the canonical AOR."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import MessageError, OtherURI, SipURI, aor_of, equivalent, parse_uri
from sipframe.message.uri import plain
from sipframe.testing.strategies import ALPHANUM, MARK, sip_uris, texts

DATA = Path(__file__).parent / "data"


def table(name: str, key: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = tomllib.loads((DATA / name).read_text(encoding="utf-8"))[key]
    return rows


def sip(text: str) -> SipURI:
    uri = parse_uri(text)
    assert isinstance(uri, SipURI)
    return uri


@pytest.mark.parametrize("row", table("parse.toml", "uri"), ids=lambda row: row["uri"])
def test_taken_apart(row: dict[str, Any]) -> None:
    uri = sip(row["uri"])
    assert uri.scheme == row["scheme"]
    assert plain(uri.user or "") == row["user"]
    assert (uri.password or "") == row["password"]
    assert uri.host == row["host"]
    assert (uri.port or 0) == row["port"]
    assert [name if value is None else f"{name}={value}" for name, value in uri.params] == row["params"]
    assert [f"{name}={value}" for name, value in uri.headers] == row["headers"]
    assert str(uri) == row["uri"]


@pytest.mark.parametrize("row", table("comparison.toml", "pair"), ids=lambda row: f"{row['a']} {row['b']}")
def test_comparison(row: dict[str, Any]) -> None:
    a, b = parse_uri(row["a"]), parse_uri(row["b"])
    assert equivalent(a, b) is row["equal"]
    assert equivalent(b, a) is row["equal"]


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("sip:a@b;%6Cr", "sip:a@b;lr", True),
        ("sip:a@b;tr%61nsport=t%63p", "sip:a@b;transport=TCP", True),
        ("sip:a@b;tr%61nsport=tcp", "sip:a@b", False),
        ("sip:a@b;lr", "sip:a@b;lr=on", False),
        ("sip:a@b;lr", "sip:a@b", True),
        ("sip:a@b?x=%41", "sip:a@b?x=A", True),
        ("sip:a@b?X=A", "sip:a@b?x=A", True),
        ("sip:a@b?x=a", "sip:a@b?x=A", False),
        ("sip:a@b?x=1&x=1", "sip:a@b?x=1", False),
        ("sip:%00@b", "sip:%00%00@b", False),
        ("sip:a%40b@c", "sip:a%2540b@c", False),
        ("sip:[2001:DB8::1]", "sip:[2001:db8:0:0:0:0:0:1]", True),
        ("sip:[2001:db8::1]", "sip:[2001:db8::2]", False),
        ("tel:+1", "tel:+1", True),
        ("tel:+1", "sip:+1@b", False),
        ("mailto:a@b", "mailto:A@b", False),
        ("TEL:+1", "tel:+1", True),
    ],
)
def test_comparison_of_what_the_table_leaves_out(a: str, b: str, *, equal: bool) -> None:
    assert equivalent(parse_uri(a), parse_uri(b)) is equal
    assert equivalent(parse_uri(b), parse_uri(a)) is equal


@pytest.mark.parametrize(
    ("text", "scheme", "rest"),
    [
        ("tel:+1-201-555-0123", "tel", "+1-201-555-0123"),
        ("tel:7042;phone-context=example.com", "tel", "7042;phone-context=example.com"),
        ("mailto:watson@bell-telephone.com", "mailto", "watson@bell-telephone.com"),
        ("urn:service:sos", "urn", "service:sos"),
        ("URN:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "urn", "uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
        ("isbn:2983792873", "isbn", "2983792873"),
        ("nobodyKnowsThisScheme:totallyopaquecontent", "nobodyknowsthisscheme", "totallyopaquecontent"),
        ("http://[::1]:80/p?q#f", "http", "//[::1]:80/p?q#f"),
        ("data:,a=b", "data", ",a=b"),
    ],
)
def test_other_schemes_are_kept(text: str, scheme: str, rest: str) -> None:
    assert parse_uri(text) == OtherURI(scheme, rest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip",
        "sip:",
        "sips:",
        "alice@example.com",
        "sip:@example.com",
        "sip::pw@example.com",
        "sip:alice@",
        "sip:alice@ex ample.com",
        "sip:al ice@example.com",
        " sip:alice@example.com",
        "sip:alice@example.com\n",
        "sip:alice@example.com ",
        "sip:alice\0@example.com",
        "sip:al\u00efce@example.com",
        "sip:alice@ex\u00e4mple.com",
        "\u017fip:alice@example.com",
        "sip:alice@-example.com",
        "sip:alice@example-.com",
        "sip:alice@example..com",
        "sip:alice@.example.com",
        "sip:alice@example.com:",
        "sip:alice@example.com:x",
        "sip:alice@example.com:-1",
        "sip:alice@example.com:+5060",
        "sip:alice@example.com:65536",
        "sip:alice@example.com:\u0665060",
        "sip:alice@example.com:5060:5060",
        "sip:a@b@c",
        "sip:a@b,c",
        "sip:a%4@b",
        "sip:a%zz@b",
        "sip:a%@b",
        'sip:"a"@b',
        "sip:a@b;",
        "sip:a@b;;lr",
        "sip:a@b;lr=",
        "sip:a@b;=x",
        "sip:a@b;a b",
        "sip:a@b;x=1;X=2",
        "sip:a@b;lr;%6Cr",
        "sip:a@b?",
        "sip:a@b?x",
        "sip:a@b?=x",
        "sip:a@b?x=1&",
        "sip:a@b?x=<y>",
        "sip:[::1",
        "sip:::1",
        "sip:[]",
        "sip:[1]",
        "sip:[::1::]",
        "sip:[::12345]",
        "sip:[fe80::1%25eth0]",
        "sip:[1.2.3.4]",
        "sip:a@[::1]5060",
        'tel:"+1',
        "tel:",
        "1tel:5",
        "tel:+1 2",
        "tel:<1>",
    ],
)
def test_malformed(text: str) -> None:
    for _ in range(2):  # nothing is remembered that should not be
        with pytest.raises(MessageError):
            parse_uri(text)


def test_parameters_are_found_by_their_plain_name_and_decoded_once() -> None:
    uri = sip("sip:a@b;%6C%72;n%61me=v%61lue%25%34%31;Transport=TCP")
    assert uri.param("lr") == ""
    assert uri.param("name") == "value%41"
    assert uri.param("transport") == "TCP"
    assert uri.param("maddr") is None


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("value%25%34%31", "value%41"),
        ("null-%00-null", "null-\0-null"),
        ("%C3%A9", "\u00e9"),
        ("%c3%a9", "\u00e9"),
        ("%FF", "\udcff"),
        ("%ED%A0%80", "\udced\udca0\udc80"),
        ("%40%3a", "@:"),
        ("none", "none"),
    ],
)
def test_escapes_are_undone_once(text: str, decoded: str) -> None:
    assert plain(text) == decoded


@pytest.mark.parametrize(
    ("text", "aor"),
    [
        ("sip:alice@example.com", "sip:alice@example.com"),
        ("sips:alice@example.com", "sip:alice@example.com"),
        ("SIP:alice@EXAMPLE.com", "sip:alice@example.com"),
        ("sip:Alice@example.com", "sip:Alice@example.com"),
        ("sip:%61lice@example.com", "sip:alice@example.com"),
        ("sip:alice:secret@example.com:5070;transport=tcp?x=y", "sip:alice@example.com"),
        ("sip:alice;day=tuesday@example.com", "sip:alice;day=tuesday@example.com"),
        ("sip:alice@example.com.", "sip:alice@example.com"),
        ("sip:example.com", "sip:example.com"),
        ("sip:null-%00-null@example.com", "sip:null-\0-null@example.com"),
        ("sip:a%40b@example.com", "sip:a@b@example.com"),
        ("sip:a%2541@example.com", "sip:a%41@example.com"),
        ("sip:a@[2001:DB8:0::1]", "sip:a@[2001:db8::1]"),
        ("sip:a@192.0.2.4", "sip:a@192.0.2.4"),
    ],
)
def test_the_canonical_aor(text: str, aor: str) -> None:
    assert aor_of(sip(text)) == aor


def test_a_uri_of_another_scheme_names_no_aor() -> None:
    with pytest.raises(MessageError, match="no SIP or SIPS URI"):
        aor_of(parse_uri("tel:+15550100"))


@given(sip_uris())
def test_a_valid_uri_comes_back(text: str) -> None:
    uri = sip(text)
    again = sip(str(uri))
    assert again == uri
    assert equivalent(uri, again)
    assert str(again) == str(uri)


@given(sip_uris(), sip_uris())
def test_comparison_has_no_direction(a: str, b: str) -> None:
    assert equivalent(sip(a), sip(b)) is equivalent(sip(b), sip(a))


@given(texts(ALPHANUM + MARK), texts(ALPHANUM + MARK))
def test_aors_are_one_exactly_when_their_users_are(a: str, b: str) -> None:
    one, other = sip(f"sip:{a}@example.com"), sip(f"sip:{b}@example.com")
    assert (aor_of(one) == aor_of(other)) is (plain(a) == plain(b))
    assert aor_of(one).rpartition("@") == (f"sip:{plain(a)}", "@", "example.com")


@given(st.text(ALPHANUM + MARK, min_size=1), st.data())
def test_an_escape_of_an_unreserved_character_changes_nothing(user: str, data: st.DataObject) -> None:
    forms = [st.sampled_from([one, f"%{ord(one):02x}", f"%{ord(one):02X}"]) for one in user]
    escaped = "".join(data.draw(form) for form in forms)
    assert equivalent(sip(f"sip:{escaped}@b"), sip(f"sip:{user}@b"))


@given(st.text())
def test_any_text_is_a_uri_or_refused(text: str) -> None:
    for candidate in (
        text,
        f"sip:{text}",
        f"sip:a@{text}",
        f"sip:a@[{text}]",
        f"sip:a@b;{text}",
        f"sip:a@b?{text}",
    ):
        try:
            uri = parse_uri(candidate)
        except MessageError:
            continue
        assert str(uri).isprintable()
        assert str(uri).isascii()
