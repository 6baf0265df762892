"""Challenges and credentials."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import MessageError, parse_auth_params, parse_credentials, quote
from sipframe.testing.strategies import tokens

RFC_3261_20_7 = (
    'Digest username="Alice", realm="atlanta.com", nonce="84a4cc6f3082121f32b42a2187831a9e", '
    'response="7587245234b3434cc3412213e5f113a5432"'
)
RFC_3261_20_44 = (
    'Digest realm="atlanta.com", domain="sip:boxesbybob.com", qop="auth", '
    'nonce="f84f1cec41e6cbe5aea9c8e88d359", opaque="", stale=FALSE, algorithm=MD5'
)
# RFC 3665 2.1 F3 prints no comma behind the nonce count.
RFC_3665_2_1_F3 = (
    'Digest username="bob", realm="atlanta.example.com" nonce="ea9c8e88df84f1cec4341ae6cbe5a359", opaque="", '
    'uri="sips:ss2.biloxi.example.com", response="dfe56131d1958046689d83306477ecc"'
)


def test_credentials_of_rfc_3261() -> None:
    (found,) = parse_credentials([RFC_3261_20_7])
    assert found.scheme == "Digest"
    assert found.raw == RFC_3261_20_7
    assert found.params == {
        "username": "Alice",
        "realm": "atlanta.com",
        "nonce": "84a4cc6f3082121f32b42a2187831a9e",
        "response": "7587245234b3434cc3412213e5f113a5432",
    }


def test_a_challenge_of_rfc_3261() -> None:
    (found,) = parse_credentials([RFC_3261_20_44])
    assert found.params["opaque"] == ""
    assert found.params["stale"] == "FALSE"
    assert found.params["qop"] == "auth"


def test_a_comma_may_be_missing() -> None:
    (found,) = parse_credentials([RFC_3665_2_1_F3])
    assert (found.params["realm"], found.params["nonce"]) == (
        "atlanta.example.com",
        "ea9c8e88df84f1cec4341ae6cbe5a359",
    )
    assert len(found.params) == 6


@pytest.mark.parametrize(
    ("text", "scheme", "params"),
    [
        ("Bearer mF_9.B5f-4.1JqM", "Bearer", {"": "mF_9.B5f-4.1JqM"}),
        ("Negotiate YII==", "Negotiate", {"": "YII=="}),
        ("NTLM", "NTLM", {}),
        ("digest a=b", "digest", {"a": "b"}),
        ("Digest  a = b ,\tc = d", "Digest", {"a": "b", "c": "d"}),
        ('Digest A="b,c", D=e', "Digest", {"a": "b,c", "d": "e"}),
        ('Digest a="\\"\\\\"', "Digest", {"a": '"\\'}),
        ('Digest uri=sip:a@b;x="y"', "Digest", None),
        ("Digest uri=sip:a@b;lr,nc=00000001", "Digest", {"uri": "sip:a@b;lr", "nc": "00000001"}),
        ('Digest username="\u00e9\udcff"', "Digest", {"username": "\u00e9\udcff"}),
        ("Digest a=b,", "Digest", {"a": "b"}),
    ],
)
def test_forms(text: str, scheme: str, params: dict[str, str] | None) -> None:
    if params is None:
        with pytest.raises(MessageError):
            parse_credentials([text])
        return
    (found,) = parse_credentials([text])
    assert (found.scheme, found.params, found.raw) == (scheme, params, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        '"Digest"',
        "Digest a,",
        "Digest a b",
        "Digest =b",
        'Digest a="b',
        'Digest a="b\\"',
        'Digest a="b\nc"',
        "Digest a=b\nc",
        "Digest a=,b=c",
        "Digest a=b,,c=d",
        "Digest ,a=b",
        "Digest a=b,a=b",
        "Digest a=b,A=c",
        "Digest a=b; c=d e",
        'Digest a="b" junk',
        "D\u00efgest a=b",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(MessageError):
        parse_credentials([text])


def test_each_field_is_one_value() -> None:
    found = parse_credentials(["Digest a=b,c=d", "Bearer x"])
    assert [one.scheme for one in found] == ["Digest", "Bearer"]
    assert parse_credentials([]) == ()


def test_authentication_info() -> None:
    # RFC 3261 20.6, RFC 7616 3.5
    assert parse_auth_params('nextnonce="47364c23432d2e131a5fb210812c"') == {
        "nextnonce": "47364c23432d2e131a5fb210812c"
    }
    assert parse_auth_params('qop=auth, rspauth="", cnonce="a", nc=00000001')["nc"] == "00000001"


@given(st.dictionaries(tokens.map(str.lower), st.text(st.characters(exclude_characters="\r\n"))), st.data())
def test_what_is_written_is_read(params: dict[str, str], data: st.DataObject) -> None:
    between = data.draw(st.sampled_from([", ", ",", " , ", " "]))
    text = between.join(f"{name}={quote(value)}" for name, value in params.items())
    assert parse_auth_params(text) == params


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, f"Digest {text}", f'Digest a="{text}"', f"Digest a={text}, b=c"):
        try:
            found = parse_credentials([candidate])
        except MessageError:
            continue
        assert len(found) == 1
