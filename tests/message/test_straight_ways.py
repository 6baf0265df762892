"""What is read the straight way comes out as by the whole grammar."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sipframe.message import MessageError, parse_auth_params, parse_credentials, parse_vias
from sipframe.message.credentials import _TOKEN68
from sipframe.message.grammar import parse_params

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
