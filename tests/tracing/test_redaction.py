"""What may leave the process: no secret, and otherwise the message as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import Request, Response, parse_message
from sipframe.tracing import redacted

SECRET = "5ecre7"
MESSAGES = sorted((Path(__file__).parents[1] / "conformance" / "rfc4475").glob("*.dat"))
WITH_SECRETS = {"intmeth", "regaut01"}
"""A Request-URI with a password, and credentials of an unknown scheme."""


def message(*lines: str, body: str = "") -> bytes:
    head = ["REGISTER sip:example.com SIP/2.0", "Call-ID: 1", *lines, f"Content-Length: {len(body)}"]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


def shown(*lines: str, body: str = "") -> str:
    return redacted(message(*lines, body=body)).decode()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            f'Authorization: Digest username="bob", realm="a, b", response="{SECRET}", uri="sip:b", nc=1, qop=auth',
            'Authorization: Digest username="bob", realm="a, b", response="redacted", uri="sip:b", nc=1, qop=auth',
        ),
        (f"authorization : DIGEST response = {SECRET}", 'authorization : DIGEST response ="redacted"'),
        (f'Proxy-Authorization: Digest x="{SECRET}",nc=1', 'Proxy-Authorization: Digest x="redacted",nc=1'),
        (
            f'Authorization: Digest uri="sip:u:{SECRET}@b"',
            'Authorization: Digest uri="sip:u:redacted@b"',
        ),
        (f"Authorization: Bearer {SECRET}", "Authorization: Bearer redacted"),
        (f"Authorization: Ticket {SECRET} and, more", "Authorization: Ticket redacted"),
        (f"Authorization: {SECRET}", "Authorization: redacted"),
        (f"Authorization: a.{SECRET} b", "Authorization: redacted"),
        ("Authorization:", "Authorization: redacted"),
        # What is no list of parameters.
        (f"Authorization: Digest {SECRET}", "Authorization: Digest redacted"),
        (f'Authorization: Digest nonce="n", Bearer {SECRET}', "Authorization: Digest redacted"),
        (f"Authorization: Digest nonce=n {SECRET}", 'Authorization: Digest nonce="redacted"'),
        (f'Authorization: Digest nonce="n" {SECRET}', 'Authorization: Digest nonce="redacted"'),
        (f'Authorization: Digest realm="x, response={SECRET}', "Authorization: Digest redacted"),
        (f'Authorization: Digest realm="x\\", response={SECRET}', "Authorization: Digest redacted"),
        (f'Authorization: Digest opaque=\\"{SECRET}', "Authorization: Digest redacted"),
        # A folded line is one line.
        (
            f'Authorization: Digest nonce="n",\r\n\tresponse="{SECRET}"',
            'Authorization: Digest nonce="n",\r\n\tresponse="redacted"',
        ),
        (f"Authorization: Bearer\r\n {SECRET}", "Authorization: Bearer redacted"),
        (f"Authorization:\r\n {SECRET}\r\n more", "Authorization: redacted"),
        # What lines should not end in.
        (f"Subject: x\nAuthorization: Bearer {SECRET}", "Subject: x\nAuthorization: Bearer redacted"),
        (f"Subject: x\rAuthorization: Bearer {SECRET}", "Subject: x\rAuthorization: Bearer redacted"),
        (
            f'Authentication-Info: rspauth="{SECRET}", nextnonce="n", cnonce="c", nc=1, qop=auth',
            'Authentication-Info: rspauth="redacted", nextnonce="n", cnonce="c", nc=1, qop=auth',
        ),
        (f"Proxy-Authentication-Info: {SECRET}", "Proxy-Authentication-Info: redacted"),
        (f"X-Auth-Token: {SECRET}", "X-Auth-Token: redacted"),
        (f"X-API-Key: {SECRET}", "X-API-Key: redacted"),
        (f"P-Media-Authorization: {SECRET}", "P-Media-Authorization: redacted"),
        (f"Cookie: a={SECRET}", "Cookie: redacted"),
        (f"From: <sip:bob:{SECRET}@b>;tag=1", "From: <sip:bob:redacted@b>;tag=1"),
        (f"From: <sips:bob:{SECRET}@{SECRET}@b>", "From: <sips:bob:redacted@b>"),
        (
            f"Contact: sip:bob:{SECRET}@b, sip:eve:{SECRET}@c",
            "Contact: sip:bob:redacted@b, sip:eve:redacted@c",
        ),
        (f"Call-Info: <https://bob:{SECRET}@b/>", "Call-Info: <https://bob:redacted@b/>"),
        (
            f"Refer-To: <sip:b?Subject=x&Proxy-Authorization=Digest%20{SECRET}>",
            "Refer-To: <sip:b?Subject=x&Proxy-Authorization=redacted>",
        ),
    ],
)
def test_fields(line: str, expected: str) -> None:
    assert SECRET in line or line == "Authorization:"
    assert shown(line) == message(expected).decode()


@pytest.mark.parametrize(
    "line",
    [
        'WWW-Authenticate: Digest realm="example.com", nonce="n", opaque="o", stale=false, qop="auth"',
        "Contact: <sip:bob@192.0.2.7:5060>;expires=60, <sip:eve@192.0.2.8>",
        "Contact: sip:192.0.2.7:5060,sip:bob@192.0.2.8",
        "Route: <sip:p1.example.com:5060;lr>, <sip:p2.example.com;lr>",
        "Call-ID: a:b:c@example.com",
        "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1",
        "Content-Type: application/sdp",
        "Subject: the key is a:b@c",
        "Key",
        "",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    assert shown(line) == message(line).decode()


def test_the_start_line() -> None:
    request = f"INVITE sip:bob:{SECRET}@example.com SIP/2.0\r\n\r\n".encode()
    assert redacted(request) == b"INVITE sip:bob:redacted@example.com SIP/2.0\r\n\r\n"


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_keys_in_sdp(end: str) -> None:
    lines = [
        "v=0",
        f"k=clear:{SECRET}",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{SECRET}|2^20|1:32",
        f"a=crypto:inline:{SECRET}",
        f"A=Crypto:2 a=b {SECRET}",
        "a=ice-ufrag:8hhY",
        f"a=ice-pwd:{SECRET}",
        f"a=key-mgmt:mikey {SECRET}",
        "a=fingerprint:sha-256 19:E2",
        "",
    ]
    expected = [
        "v=0",
        "k=redacted",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 redacted",
        "a=crypto:redacted",
        "A=Crypto:redacted",
        "a=ice-ufrag:8hhY",
        "a=ice-pwd:redacted",
        "a=key-mgmt:redacted",
        "a=fingerprint:sha-256 19:E2",
        "",
    ]
    assert shown(body=end.join(lines)) == message(body=end.join(expected)).decode()


@pytest.mark.parametrize(
    "empty", ["\r\n\r\n", "\n\n", "\r\r", "\n\r\n", "\r\n\n", "\r\n\r", "\r\r\n", "\n\r"]
)
def test_wherever_the_head_ends(empty: str) -> None:
    text = f"BYE sip:b SIP/2.0\r\nContent-Encoding: gzip{empty}\tk={SECRET}"
    assert redacted(text.encode()).decode() == f"BYE sip:b SIP/2.0\r\nContent-Encoding: gzip{empty}redacted"


def test_a_message_within_a_message() -> None:
    inner = f"NOTIFY sip:b SIP/2.0\r\nAuthorization: Bearer {SECRET}\r\n\r\n"
    assert SECRET not in shown("Content-Type: message/sip", body=inner)


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("Content-Encoding: gzip", f"k={SECRET}"),
        ("e: gzip", SECRET),
        ("Subject: x", f"--b\r\nContent-Transfer-Encoding: base64\r\n\r\n{SECRET}\r\n--b--"),
    ],
)
def test_a_body_that_hides_its_lines_goes_whole(field: str, body: str) -> None:
    assert shown(field, body=body) == message(field, body="redacted").decode()


@pytest.mark.parametrize("length", ["Content-Length: 7", "l: x", "Subject: x"])
def test_a_content_length_that_was_wrong_stays(length: str) -> None:
    octets = f"BYE sip:b SIP/2.0\r\n{length}\r\n\r\nk=clear:secret\r\n".encode()
    assert redacted(octets) == f"BYE sip:b SIP/2.0\r\n{length}\r\n\r\nk=redacted\r\n".encode()


@pytest.mark.parametrize("length", ["Content-Length: 16", "l:016"])
def test_a_content_length_that_was_right_is_right(length: str) -> None:
    octets = f"BYE sip:b SIP/2.0\r\n{length}\r\n\r\nk=clear:secret\r\n".encode()
    found = parse_message(redacted(octets))
    assert (found.content_length, found.body) == (12, b"k=redacted\r\n")


def test_there_is_data_to_look_at() -> None:
    assert len(MESSAGES) > 30


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_messages_of_rfcs_without_secrets_stay_as_they_are(path: Path) -> None:
    octets = path.read_bytes()
    assert (redacted(octets) == octets) == (path.stem not in WITH_SECRETS)


WORDS = ("Digest", "nonce", "response", "Authorization", "sip", "a=crypto", "Content-Encoding")
PIECES = st.sampled_from([*'\r\n \t:,"\\=@;<>kl9\udcffé', *WORDS])


@given(st.lists(PIECES, max_size=30).map("".join))
def test_whatever_comes_it_is_done_and_done_once(text: str) -> None:
    once = redacted(text.encode("utf-8", "surrogateescape"))
    assert redacted(once) == once


@given(
    before=st.lists(PIECES, max_size=12).map("".join),
    middle=st.lists(PIECES.filter(lambda piece: "\n" not in piece and "\r" not in piece), max_size=12).map(
        "".join
    ),
)
def test_no_token_behind_authorization_is_ever_shown(before: str, middle: str) -> None:
    # A token that is not behind a name of which it could be the harmless value.
    line = f"{before}\r\nAuthorization: Bearer {middle}{SECRET}"
    assert SECRET.encode() not in redacted(line.encode("utf-8", "surrogateescape"))


@given(
    st.lists(
        st.sampled_from(['nonce="n"', "qop=auth", "nc=1", 'realm="a\\",b"', "x=y", "z", '"', ""]), max_size=5
    )
)
def test_no_digest_is_ever_shown(parameters: list[str]) -> None:
    for position in range(len(parameters) + 1):
        values = [*parameters[:position], f'response="{SECRET}"', *parameters[position:]]
        assert SECRET not in shown(f"Authorization: Digest {','.join(values)}")


def test_what_comes_out_can_be_parsed() -> None:
    found = parse_message(message(f'Authorization: Digest username="bob", response="{SECRET}"'))
    again = parse_message(redacted(found.to_bytes()))
    assert isinstance(again, Request)
    [credentials] = again.credentials
    assert credentials.params == {"username": "bob", "response": "redacted"}
    assert not isinstance(again, Response)
