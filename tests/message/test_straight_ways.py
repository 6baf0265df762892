"""What is read the straight way comes out as by the whole grammar."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sipframe.message import (
    MessageError,
    Request,
    parse_auth_params,
    parse_credentials,
    parse_message,
    parse_vias,
    stamped,
)
from sipframe.message.credentials import _TOKEN68
from sipframe.message.grammar import params_text, parse_params
from tests.message.touching import attempt, properties

NAMES = st.sampled_from(
    ("username", "realm", "nonce", "qop", "nc", "algorithm", "opaque", "uri", "auth-param", "QOP")
)
VALUES = st.one_of(
    st.sampled_from(
        ("auth", "00000001", "SHA-256", "", "a b", "-", '""', '"a"', '"a, b=c"', '"a\\"b"', '"', 'a"b"')
    ),
    st.text('ab"=, \\-\u00e9', max_size=6),
)
COMMAS = st.sampled_from((", ", ",", " ,  ", " ", ""))
PARAMETERS = st.lists(
    st.tuples(NAMES, st.sampled_from(("=", "= ", "", " =")), VALUES, COMMAS),
    max_size=6,
).map(lambda found: "".join([name + equals + value + comma for name, equals, value, comma in found]))


@given(PARAMETERS)
@example(', realm="a"')
def test_credentials(text: str) -> None:
    if _TOKEN68.fullmatch(text):
        return  # the other form of credentials
    try:
        whole = parse_auth_params(text)
    except MessageError:
        with pytest.raises(MessageError):
            parse_credentials([f"Digest {text}"])
    else:
        assert parse_credentials([f"Digest {text}"]) == (("Digest", whole, f"Digest {text}"),)


def test_credentials_as_phones_write_them() -> None:
    text = 'username="u", realm="a, b", nonce="n=", uri="sip:x", response="0f", algorithm=MD5, qop=auth, nc=00000001'
    (credentials,) = parse_credentials([f"Digest {text}"])
    assert credentials.params == parse_auth_params(text)
    assert list(credentials.params) == [
        "username",
        "realm",
        "nonce",
        "uri",
        "response",
        "algorithm",
        "qop",
        "nc",
    ]


BRANCH = "branch=z9hG4bK-5.8"


@pytest.mark.parametrize(
    "params",
    [
        f";{BRANCH}",
        f";{BRANCH};rport",
        f";rport;{BRANCH}",
        f";rport;{BRANCH};rport",
        f";{BRANCH};rport=5060",
        f";{BRANCH};received=192.0.2.1;rport",
        f";BRANCH=z9hG4bK1;{BRANCH}",
        f" ; {BRANCH} ; rport",
        f';{BRANCH};x="a;b"',
        ";branch=;rport",
        ";branch;rport",
        ";",
        f";{BRANCH};\u00e9",
    ],
)
def test_via(params: str) -> None:
    text = f"SIP/2.0/UDP 192.0.2.1:5070{params}"
    try:
        expected = parse_params(params.strip())
    except MessageError:
        with pytest.raises(MessageError):
            parse_vias([text])
        return
    (via,) = parse_vias([text])
    assert via == ("SIP/2.0", "UDP", "192.0.2.1", 5070, expected, text)


def test_a_via_is_remembered_up_to_its_parameters_only() -> None:
    first, second = parse_vias(
        ["SIP/2.0/UDP pc.example.com;branch=z9hG4bK1", "SIP/2.0/UDP pc.example.com;branch=z9hG4bK2"]
    )
    assert (first.branch, second.branch) == ("z9hG4bK1", "z9hG4bK2")
    for wrong in (
        "SIP/2.0/UDP pc.example.com:0;branch=z9hG4bK1",
        "SIP/2.0/UDP  ;branch=z9hG4bK1",
        ";branch=z9hG4bK1",
    ):
        for _ in range(2):
            with pytest.raises(MessageError):
                parse_vias([wrong])


@pytest.mark.parametrize(
    "params",
    [
        f";{BRANCH};rport",
        f";rport;{BRANCH}",
        f";{BRANCH};RPORT",
        f";{BRANCH};x=rport;rport",
        f";{BRANCH}x;rport;y",
    ],
)
def test_a_stamp(params: str) -> None:
    (via,) = parse_vias([f"SIP/2.0/UDP rport.example.com:5070{params}"])
    kept = params_text(via.params).replace(";rport", ";rport=99")
    if "x=rport" in params:
        kept = f";{BRANCH};x=rport;rport=99"
    assert stamped(via, "192.0.2.9", 99) == f"SIP/2.0/UDP rport.example.com:5070{kept};received=192.0.2.9"


USUAL = {
    "Via": (
        "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport",
        "SIP/2.0/TCP a;branch=z9hG4bK1, SIP/2.0/UDP b",
        "x",
    ),
    "From": (
        "<sip:alice@example.com>;tag=1",
        '"A" <sip:alice@example.com>',
        "sip:alice@example.com;tag=1",
        "<",
    ),
    "To": ("<sip:bob@example.com>", "<>", "<sip:bob@example.com>;tag=", "<sip:bob@example.com>;Tag=2"),
    "Call-ID": ("1@a", "", "a b", "\u00e9", "a\x7f"),
    "CSeq": (
        "1 REGISTER",
        "01 REGISTER",
        "1  REGISTER",
        "1 INVITE",
        "\u0661 REGISTER",
        "2147483648 REGISTER",
        "1",
        "",
    ),
    "Max-Forwards": ("70", "070", "256", "-1", "", "\u0667"),
    "Contact": ("<sip:a@b>", "*", "<sip:a@b>, <sip:c@d>;q=1", "sip:a@b;expires=5", "<", ""),
    "Expires": ("3600", "", "x", "4294967296", "99999999999", "\u0663"),
}
FIELDS = st.lists(
    st.sampled_from(tuple(USUAL)).flatmap(
        lambda name: st.tuples(
            st.sampled_from((name, name, name, name.lower(), f"{name} ")),
            st.sampled_from((": ", ": ", ": ", ":", ":  ", "")),
            st.sampled_from((USUAL[name][0], *USUAL[name])),
            st.sampled_from(("", "", "", " ", "\r\n ", "\t")),
        )
    ),
    max_size=10,
).map(lambda found: ["".join(parts) for parts in found])
WHOLE = [f"{name}: {values[0]}" for name, values in USUAL.items()]


def read(lines: list[str]) -> Request | None:
    try:
        message = parse_message("\r\n".join(["REGISTER sip:example.com SIP/2.0", *lines, "", ""]).encode())
    except MessageError as error:
        message = error.partial  # type: ignore[assignment]  # what it is, the next line asks
    return message if isinstance(message, Request) else None


@given(st.one_of(FIELDS, FIELDS.map(lambda some: [*some, *WHOLE[len(some) :]])))
@example(WHOLE)
def test_all_in_one_pass_is_what_each_is_by_itself(lines: list[str]) -> None:
    at_once, one_by_one = read(lines), read(lines)
    assert (at_once is None) == (one_by_one is None)
    if at_once is None or one_by_one is None:
        return
    at_once.read_usual()
    for name in properties(Request):
        value, error = attempt(at_once, name)
        other, other_error = attempt(one_by_one, name)
        assert value == other, name
        assert repr(error) == repr(other_error), name


def test_all_in_one_pass_reads_what_phones_send() -> None:
    request = read(WHOLE)
    assert request is not None
    request.read_usual()
    for name in ("vias", "from_", "to", "call_id", "cseq", "max_forwards", "contacts", "expires"):
        assert name in vars(request)


@given(FIELDS)
def test_a_head(lines: list[str]) -> None:
    """One field in an unusual spelling makes all of them be read the careful way."""
    straight, careful = read(lines), read([*lines, "Odd : x"])
    assert (straight is None) == (careful is None)
    if straight is not None and careful is not None:
        assert straight.fields == {name: values for name, values in careful.fields.items() if name != "odd"}
