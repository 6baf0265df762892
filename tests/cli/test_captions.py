from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sipframe.cli import captions
from sipframe.cli.ladder import Kind
from sipframe.message import MessageError, Request, Response, parse_message


def message(start: str, *fields: str, body: str = "") -> Request | Response:
    text = "\r\n".join([start, *fields, "", body])
    return parse_message(text.encode("utf-8", "surrogateescape"))


REGISTER = "REGISTER sip:example.com SIP/2.0"
AUTHORIZATION = (
    'Authorization: Digest username="bob", realm="example.com", nonce="abc", uri="sip:example.com",'
    ' response="5a1b2c", algorithm=SHA-256, cnonce="c0", qop=auth, nc=0000000A'
)


def test_a_request() -> None:
    request = message(
        REGISTER,
        "CSeq: 7 REGISTER",
        AUTHORIZATION,
        "Contact: <sip:bob@192.0.2.4>;q=0.5;expires=60",
        "Expires: 600",
    )
    assert captions.label(request) == "REGISTER sip:example.com"
    assert captions.aside(request) == "CSeq 7"
    assert captions.kind(request) is Kind.REQUEST
    assert captions.notes(request) == (
        "Digest SHA-256 as bob, nc A",
        "Contact sip:bob@192.0.2.4 ;q=0.5 for 1m 00s",
        "Expires 600",
    )


def test_a_request_that_asks_for_the_bindings_or_removes_them_all() -> None:
    assert captions.notes(message(REGISTER)) == ("no Contact: asks what is there",)
    assert captions.notes(message("OPTIONS sip:example.com SIP/2.0")) == ()
    assert captions.notes(message(REGISTER, "Contact: *", "Expires: 0")) == ("Contact *", "Expires 0")


def test_a_challenge() -> None:
    response = message(
        "SIP/2.0 401 Unauthorized",
        'WWW-Authenticate: Digest realm="example.com", nonce="x", algorithm=MD5, stale=TRUE',
        'WWW-Authenticate: Digest realm="example.com", nonce="y", algorithm=SHA-256, stale=TRUE',
        'WWW-Authenticate: Bearer realm="other"',
    )
    assert captions.label(response) == "401 Unauthorized"
    assert captions.kind(response) is Kind.CHALLENGE
    assert captions.notes(response) == (
        'realm "example.com"',
        "offers MD5, SHA-256",
        'realm "other"',
        "offers Bearer",
        "stale: only the nonce was too old",
    )


def test_kinds_of_responses() -> None:
    kinds = {
        100: Kind.PROVISIONAL,
        200: Kind.SUCCESS,
        302: Kind.FAILURE,
        407: Kind.CHALLENGE,
        423: Kind.FAILURE,
        603: Kind.FAILURE,
    }
    assert {status: captions.kind(message(f"SIP/2.0 {status} Reason")) for status in kinds} == kinds


def test_what_cannot_be_read_says_so() -> None:
    response = message(
        "SIP/2.0 200 OK", "Contact: <sip:bob", "WWW-Authenticate: ?", "Min-Expires: 60", "Warning: x"
    )
    assert captions.notes(response) == (
        "unreadable: Malformed credentials in WWW-Authenticate",
        "unreadable: Malformed address in Contact",
        "Min-Expires 60",
        "Warning: x",
    )
    assert captions.aside(response) == ""


def test_a_long_list_of_bindings_is_cut() -> None:
    contacts = ", ".join([f"<sip:{number}@192.0.2.4>" for number in range(100)])
    found = captions.notes(message("SIP/2.0 200 OK", f"Contact: {contacts}"))
    assert len(found) == 16
    assert found[-1] == "and 85 more"


def test_the_whole_text_without_its_secrets() -> None:
    request = message(
        REGISTER,
        AUTHORIZATION,
        "Proxy-Authorization: Bearer mF_9.B5f-4.1JqM",
        "AUTHORIZATION : Digest response = unquoted, username=x",
        "Subject: folded\r\n  line",
        "Content-Length: 4",
        body="a\r\nb",
    )
    assert captions.text_lines(request) == [
        REGISTER,
        AUTHORIZATION.replace('"5a1b2c"', "(not shown)"),
        "Proxy-Authorization: bearer (not shown)",
        "AUTHORIZATION : Digest response = (not shown), username=x",
        "Subject: folded",
        "  line",
        "Content-Length: 4",
        "",
        "a",
        "b",
    ]


def test_the_servers_proof_is_a_digest_too() -> None:
    response = message("SIP/2.0 200 OK", 'Authentication-Info: qop=auth, rspauth="77aa", nc=00000001')
    assert (
        captions.text_lines(response)[1] == "Authentication-Info: qop=auth, rspauth=(not shown), nc=00000001"
    )


@given(
    st.binary(max_size=60),
    st.sampled_from(["Contact", "WWW-Authenticate", "Authorization", "CSeq", "Expires"]),
)
def test_nothing_that_can_be_read_raises(value: bytes, field: str) -> None:
    head = b"SIP/2.0 200 OK\r\n" + field.encode() + b": " + value + b"\r\n\r\n"
    try:
        response = parse_message(head)
    except MessageError:
        return
    captions.notes(response)
    captions.aside(response)
    captions.text_lines(response)
