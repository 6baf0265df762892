"""Answers and requests of our own: what is repeated, what is added, and that nothing of a peer's can add a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import (
    REASONS,
    MessageError,
    Request,
    Response,
    parse_message,
    parse_vias,
    request_bytes,
    response_bytes,
)
from sipframe.testing.strategies import mangled, requests, tokens
from tests.message.touching import touch

HERE = ("192.0.2.1", 5060)
THERE = ("203.0.113.9", 40000)


def request(*lines: str, method: str = "REGISTER") -> Request:
    """A request, or what could be read of a malformed one."""
    data = "\r\n".join([f"{method} sip:example.com SIP/2.0", *lines, "", ""]).encode(
        "utf-8", "surrogateescape"
    )
    found: object = None
    try:
        found = parse_message(data)
    except MessageError as error:
        found = error.partial
    assert isinstance(found, Request)
    return found


def answered(
    to: Request, *, tag: str | None = "t", fields: str = "", source: tuple[str, int] = HERE
) -> list[str]:
    """The lines of a 400 to ``to``, the empty ones at its end left out."""
    data = response_bytes(to, 400, "Bad Request", tag, fields, source)
    assert data.endswith(b"\r\n\r\n")
    assert data.count(b"\r\n\r\n") == 1
    return data.decode("utf-8", "surrogateescape")[:-4].split("\r\n")


def test_a_whole_answer() -> None:
    found = request(
        "v: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKa;rport",
        "Via: SIP/2.0/TCP p1.example.com;branch=z9hG4bKb,SIP/2.0/TLS p2.example.com;branch=z9hG4bKc",
        "Via: SIP/2.0/UDP p3.example.com;branch=z9hG4bKd",
        "f: Bob <sip:bob@example.com>;tag=456248",
        "t: Bob",
        " <sip:bob@example.com>",
        "i: 843817637684230@998sdasdh09",
        "CSeq:  1826   REGISTER",
        "Contact: <sip:bob@192.0.2.4>",
        "l: 0",
    )
    assert response_bytes(found, 423, "Interval Too Brief", "2493k59kd", "Min-Expires: 60\r\n", THERE) == (
        b"SIP/2.0 423 Interval Too Brief\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKa;rport=40000;received=203.0.113.9\r\n"
        b"Via: SIP/2.0/TCP p1.example.com;branch=z9hG4bKb\r\n"
        b"Via: SIP/2.0/TLS p2.example.com;branch=z9hG4bKc\r\n"
        b"Via: SIP/2.0/UDP p3.example.com;branch=z9hG4bKd\r\n"
        b"From: Bob <sip:bob@example.com>;tag=456248\r\n"
        b"To: Bob <sip:bob@example.com>;tag=2493k59kd\r\n"
        b"Call-ID: 843817637684230@998sdasdh09\r\n"
        b"CSeq: 1826   REGISTER\r\n"
        b"Min-Expires: 60\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


USUAL = (
    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa",
    "From: <sip:a@b>;tag=1",
    "Call-ID: x",
    "CSeq: 1 REGISTER",
)


@pytest.mark.parametrize(
    ("to", "tag", "written"),
    [
        ("<sip:a@b>", "t", "<sip:a@b>;tag=t"),
        ("sip:a@b", "t", "sip:a@b;tag=t"),
        ('"a;tag=x" <sip:a@b;tag=y>;z', "t", '"a;tag=x" <sip:a@b;tag=y>;z;tag=t'),
        ("<sip:a@b>;tag=theirs", "t", "<sip:a@b>;tag=theirs"),
        ("<sip:a@b>;TAG=theirs", "t", "<sip:a@b>;TAG=theirs"),
        ("<sip:a@b> ; tag = theirs", "t", "<sip:a@b> ; tag = theirs"),
        ("<sip:a@b>", None, "<sip:a@b>"),
        # Nothing can be added to what cannot be read.
        ('"a <sip:a@b>', "t", '"a <sip:a@b>'),
        ("", "t", ""),
    ],
)
def test_the_tag_of_to_is_added_once(to: str, tag: str | None, written: str) -> None:
    assert f"To: {written}" in answered(request(*USUAL, f"To: {to}"), tag=tag)


def test_a_via_that_was_parsed_before_is_used() -> None:
    found = request(*USUAL, "To: <sip:a@b>")
    assert response_bytes(found, 200, "OK", "t", "", THERE, found.via) == response_bytes(
        found, 200, "OK", "t", "", THERE
    )


@pytest.mark.parametrize("left_out", range(1, 4))
def test_what_is_missing_is_left_out(left_out: int) -> None:
    lines = [*USUAL[:left_out], *USUAL[left_out + 1 :], "To: <sip:a@b>"]
    spelled = USUAL[left_out].partition(":")[0]
    found = answered(request(*lines))
    assert [line.partition(":")[0] for line in found[1:]] == [
        name for name in ("Via", "From", "To", "Call-ID", "CSeq", "Content-Length") if name != spelled
    ]
    assert "To: <sip:a@b>;tag=t" in found  # RFC 3261 8.2.6.2, whatever else is wrong


def test_a_missing_to_is_left_out() -> None:
    assert [line.partition(":")[0] for line in answered(request(*USUAL))[1:]] == [
        "Via",
        "From",
        "Call-ID",
        "CSeq",
        "Content-Length",
    ]


def test_what_stands_twice_is_repeated_once() -> None:
    found = answered(request(*USUAL, *USUAL[1:], "To: <sip:a@b>", "To: <sip:c@d>"))
    assert found[1:] == [*USUAL[:2], "To: <sip:a@b>", *USUAL[2:], "Content-Length: 0"]


def test_what_is_malformed_is_repeated_as_it_is() -> None:
    lines = ("From: \udcff<", "To: a, b <sip:a@b>", "Call-ID: \udcfe x", "CSeq: none")
    assert answered(request(USUAL[0], *lines))[2:-1] == list(lines)


@pytest.mark.parametrize(
    "value",
    [
        "SIP/2.0/UDP 192.0.2.15;;,;,,",
        "SIP/2.0/UDP 192.0.2.15:5070;x=",
        'SIP/2.0/UDP 192.0.2.15;a="',
        "SIP/2.0/UDP 192.0.2.15, junk",
    ],
)
def test_a_via_that_cannot_be_read_is_repeated_as_it_came(value: str) -> None:
    # RFC 4475 3.1.2.1 wants such a request answered.
    found = request(f"Via: {value}", "Via: SIP/2.0/UDP two", *USUAL[1:], "To: <sip:a@b>")
    assert answered(found)[1:3] == [f"Via: {value}", "Via: SIP/2.0/UDP two"]
    assert found.reply_via.host == "192.0.2.15"


def test_a_sound_via_on_top_of_a_malformed_one_is_gone_by() -> None:
    found = request("Via: SIP/2.0/UDP one;rport", "Via: junk", *USUAL[1:], "To: <sip:a@b>")
    assert answered(found)[1:3] == ["Via: SIP/2.0/UDP one;rport", "Via: junk"]
    assert (found.reply_via.host, found.reply_via.rport) == ("one", "")


@pytest.mark.parametrize("lines", [(), ("Via: junk",), ("Via:",), ("Via: junk", "Via: SIP/2.0/UDP two")])
def test_without_a_via_to_go_by_there_is_no_answer(lines: tuple[str, ...]) -> None:
    found = request(*lines, *USUAL[1:], "To: <sip:a@b>")
    with pytest.raises(MessageError):
        response_bytes(found, 400, "Bad Request", "t", "", HERE)
    with pytest.raises(MessageError):
        _ = found.reply_via


@pytest.mark.parametrize("stray", ["\n", "\r", "\n\r"])
@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_a_stray_cr_or_lf_gets_into_no_answer(name: str, stray: str) -> None:
    values = dict(line.split(": ", 1) for line in (*USUAL, "To: <sip:a@b>"))
    values[name] += f"{stray}Injected: yes{stray}{stray}"
    found = request(*[f"{name}: {value}" for name, value in values.items()])
    try:
        lines = answered(found)
    except MessageError:
        assert name == "Via"
        return
    assert not any({"\r", "\n"} & set(line) for line in lines)
    assert not any("Injected" in line for line in lines)
    assert not any(line.startswith(name) for line in lines)


def test_reasons() -> None:
    for status, reason in REASONS.items():
        assert 100 <= status <= 699
        assert reason.isprintable()
        assert reason.isascii()


# Requests of our own.


def test_a_request_of_our_own() -> None:
    data = request_bytes("ACK", "sip:a@b", [("Via", "SIP/2.0/UDP h"), ("Subject", "\u00e9\udcff")], b"body")
    assert data == (
        b"ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nSubject: \xc3\xa9\xff\r\nContent-Length: 4\r\n\r\nbody"
    )
    found = parse_message(data)
    assert isinstance(found, Request)
    assert (found.method, found.body) == ("ACK", b"body")


@pytest.mark.parametrize("broken", ["a\r\nb", "a\nb", "a\rb", "\r\n"])
def test_no_line_can_be_added_to_a_request(broken: str) -> None:
    for method, uri, name, value in (
        (broken, "sip:a@b", "X", "y"),
        ("ACK", broken, "X", "y"),
        ("ACK", "sip:a@b", broken, "y"),
        ("ACK", "sip:a@b", "X", broken),
    ):
        with pytest.raises(ValueError):
            request_bytes(method, uri, [(name, value)])


# Properties.

SOURCES = st.sampled_from([HERE, THERE, ("2001:db8::1", 65535)])


def check(asked: Request, source: tuple[str, int], tag: str) -> None:
    """The answer to ``asked`` is a response with exactly the fields it should have."""
    try:
        data = response_bytes(asked, 400, "Bad Request", tag, "Own: a\r\nOwn: b\r\n", source)
    except MessageError:
        with pytest.raises(MessageError):
            _ = asked.reply_via
        return
    answer = parse_message(data)
    assert isinstance(answer, Response)
    assert answer.to_bytes() == data
    assert (answer.status, answer.reason, answer.body) == (400, "Bad Request", b"")
    expected = ["via"] * len(answer.all("via"))
    expected += [name for name in ("from", "to", "call-id", "cseq") if name in asked.fields]
    assert [line.partition(":")[0].lower() for line in answer.lines] == [
        *expected,
        "own",
        "own",
        "content-length",
    ]
    for name in ("from", "call-id", "cseq"):
        assert answer.all(name) == asked.all(name)[:1]
    try:
        to = asked.to
    except MessageError:
        assert answer.all("to") == asked.all("to")[:1]
    else:
        assert (answer.to.display, answer.to.uri_text) == (to.display, to.uri_text)
        assert answer.to.params == (to.params if to.tag is not None else (*to.params, ("tag", tag)))
    try:
        vias = asked.vias
    except MessageError:
        assert answer.all("via") == asked.all("via")
    else:
        assert answer.vias[1:] == vias[1:]
        assert answer.via.sent_by == vias[0].sent_by
        assert answer.via.branch == vias[0].branch
        assert answer.via.received in (source[0], None)
        assert parse_vias(answer.all("via")) == answer.vias


@given(requests(), SOURCES, tokens)
def test_the_answer_to_any_request(data: bytes, source: tuple[str, int], tag: str) -> None:
    asked = parse_message(data)
    assert isinstance(asked, Request)
    check(asked, source, tag)
    assert touch(asked) == []


@given(requests().flatmap(mangled), SOURCES, tokens)
def test_the_answer_to_any_damaged_request(data: bytes, source: tuple[str, int], tag: str) -> None:
    asked: object = None
    try:
        asked = parse_message(data)
    except MessageError as error:
        asked = error.partial
    if isinstance(asked, Request):
        check(asked, source, tag)
