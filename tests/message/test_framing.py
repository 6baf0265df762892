"""Streams: messages cut anywhere, several at once, keep-alives, and limits that hold before memory grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import Keepalive, Limits, Message, MessageError, StreamFramer
from sipframe.testing.strategies import messages, nearly
from tests.message.touching import touch

CORPUS = {
    path.stem: path.read_bytes()
    for path in sorted((Path(__file__).parent.parent / "conformance" / "rfc4475").glob("*.dat"))
}

PING, PONG = Keepalive.PING, Keepalive.PONG
SHORT = b"OPTIONS sip:a@b SIP/2.0\r\nl:0\r\n\r\n"
BODY = b"MESSAGE sip:a@b SIP/2.0\r\nl:8\r\n\r\n\r\n\r\n\r\n\r\n"
ANSWER = b"SIP/2.0 200 OK\r\nTo:\r\n <sip:a@b>\r\nContent-Length: 3\r\n\r\nabc"

Found = list[bytes | str | Keepalive | tuple[str, int]]


def collect(framer: StreamFramer, data: bytes) -> Found:
    """Feed ``data`` and give what comes out: messages as octets, malformed ones as their reason.

    An error that ends the stream is a tuple of reason and status; nothing comes after it.
    """
    framer.feed(data)
    found: Found = []
    while True:
        try:
            one = framer.next()
        except MessageError as error:
            return [*found, (error.reason, error.status)]
        if one is None:
            return found
        if isinstance(one, MessageError):
            found.append(one.reason)
        else:
            found.append(one if isinstance(one, Keepalive) else one.to_bytes())


def framed(*pieces: bytes, limits: Limits | None = None) -> Found:
    framer = StreamFramer(limits or Limits())
    found: Found = []
    for piece in pieces:
        found += collect(framer, piece)
        if found and isinstance(found[-1], tuple):
            break
    return found


@pytest.mark.parametrize("name", CORPUS)
def test_every_message_split_at_every_byte(name: str) -> None:
    data = CORPUS[name]
    whole = framed(data)
    for at in range(1, len(data)):
        assert framed(data[:at], data[at:]) == whole
    assert framed(*[data[at : at + 1] for at in range(len(data))]) == whole


@pytest.mark.parametrize("data", [SHORT, BODY, ANSWER, SHORT + ANSWER, BODY + SHORT + BODY])
def test_split_at_any_two_bytes(data: bytes) -> None:
    whole = framed(data)
    for first in range(len(data)):
        for second in range(first, len(data)):
            assert framed(data[:first], data[first:second], data[second:]) == whole


def test_several_in_one_read() -> None:
    assert framed(SHORT + BODY + ANSWER + SHORT) == [SHORT, BODY, ANSWER, SHORT]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (
            b"OPTIONS sip:a@b SIP/2.0\r\nl:0\r\ni:1\r\ni:2\r\n\r\n",
            "Repeated header field that may stand once",
        ),
    ],
)
def test_a_malformed_message_whose_end_is_known_does_not_end_the_stream(bad: bytes, said: str) -> None:
    assert framed(SHORT + bad + ANSWER) == [SHORT, said, ANSWER]


@pytest.mark.parametrize(
    "bad",
    [
        b"OPTIONS sip:a@b SIP/2.0\r\nl:0\r\nl:0\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nl:0\nno: 1\r\n\r\n",
        b"OPTIONS sip:a@b SIP/7.0\r\nl:0\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nl:-1\r\n\r\n",
        b"no start line\r\nl:0\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nl:0\r\nno colon\r\n\r\n",
    ],
)
def test_a_message_whose_end_is_in_doubt_ends_the_stream(bad: bytes) -> None:
    found = framed(SHORT + bad + ANSWER)
    assert found[0] == SHORT
    assert isinstance(found[1], tuple)
    assert len(found) == 2


def test_messages_before_a_partial_one_are_not_lost() -> None:
    framer = StreamFramer()
    assert collect(framer, SHORT + BODY + ANSWER[:20]) == [SHORT, BODY]
    assert framer.pending
    assert collect(framer, ANSWER[20:]) == [ANSWER]
    assert not framer.pending


def test_a_start_line_and_part_of_a_field() -> None:
    framer = StreamFramer()
    assert collect(framer, b"OPTIONS sip:a@b SIP/2.0\r\nCall-") == []
    assert collect(framer, b"ID: x\r\nl: 0\r\n\r\n") == [
        b"OPTIONS sip:a@b SIP/2.0\r\nCall-ID: x\r\nl: 0\r\n\r\n"
    ]


# Keep-alives (RFC 5626 3.5.1) stand between messages only.


def test_crlf_in_the_middle_of_a_message_is_no_keepalive() -> None:
    for data in (SHORT, BODY, ANSWER):
        for at in range(1, len(data)):
            if data[at : at + 2] == b"\r\n":
                assert framed(data[:at], b"\r\n", data[at + 2 :]) == [data]
            if data[at : at + 4] == b"\r\n\r\n":
                assert framed(data[:at], b"\r\n\r\n", data[at + 4 :]) == [data]


def test_ping() -> None:
    assert framed(b"\r\n\r\n") == [PONG, PING]
    assert framed(b"\r\n\r\n\r\n\r\n") == [PONG, PING, PONG, PING]


@pytest.mark.parametrize(
    "pieces", [(b"\r", b"\n\r\n"), (b"\r\n", b"\r\n"), (b"\r\n\r", b"\n"), (b"\r", b"\n", b"\r", b"\n")]
)
def test_a_ping_in_pieces_is_one_ping(pieces: tuple[bytes, ...]) -> None:
    assert framed(*pieces) == [PONG, PING]


def test_two_halves_with_a_message_between_are_no_ping() -> None:
    assert framed(b"\r\n" + SHORT + b"\r\n" + SHORT) == [PONG, SHORT, PONG, SHORT]
    assert framed(b"\r\n", BODY, b"\r\n") == [PONG, BODY, PONG]
    assert framed(b"\r\n", SHORT[:3], SHORT[3:], b"\r\n\r\n") == [PONG, SHORT, PONG, PING]


def test_keepalives_between_messages() -> None:
    assert framed(SHORT + b"\r\n\r\n" + BODY + b"\r\n\r\n") == [SHORT, PONG, PING, BODY, PONG, PING]


def test_half_a_crlf_is_waited_for() -> None:
    framer = StreamFramer()
    assert collect(framer, b"\r") == []
    assert collect(framer, b"\n") == [PONG]
    assert not framer.pending


@pytest.mark.parametrize("data", [b"\rO", b"\r\r\n", b"\r\0"])
def test_a_cr_between_messages_begins_a_crlf(data: bytes) -> None:
    assert framed(data) == [("CR or LF inside a line", 400)]
    assert framed(data[:1], data[1:]) == [("CR or LF inside a line", 400)]


@pytest.mark.parametrize("data", [b"\n" + SHORT, b"\n\n" + SHORT, SHORT.replace(b"\r\n", b"\n", 1)])
def test_bare_lf(data: bytes) -> None:
    (error,) = framed(data)
    assert isinstance(error, tuple)
    assert error[1] == 400


# Content-Length.


def test_missing_content_length_is_an_error_that_can_be_answered() -> None:
    framer = StreamFramer()
    framer.feed(b"MESSAGE sip:a@b SIP/2.0\r\nCall-ID: x\r\n\r\nbody")
    with pytest.raises(MessageError, match="Missing Content-Length") as caught:
        framer.next()
    assert caught.value.status == 400
    assert caught.value.partial is not None
    assert caught.value.partial.call_id == "x"


@pytest.mark.parametrize(
    "length",
    [
        "-1",
        "+1",
        "0x1",
        "1 1",
        "1,1",
        "1;x",
        "\u0661",
        "\u00b9",
        "",
        "1e1",
        "9" * 21,
        "9" * 5000,
        "1\r\nl:1",
        "1\r\nContent-Length:0",
    ],
)
def test_lengths_that_are_none(length: str) -> None:
    (error,) = framed(f"MESSAGE sip:a@b SIP/2.0\r\nContent-Length: {length}\r\n\r\nx".encode())
    assert isinstance(error, tuple)
    assert error[1] == 400


def test_a_hidden_second_length_does_not_smuggle() -> None:
    for second in ("l", "CONTENT-length ", "Content-Length\t"):
        (error,) = framed(f"MESSAGE sip:a@b SIP/2.0\r\nl: 0\r\n{second}: 33\r\n\r\n".encode() + SHORT)
        assert isinstance(error, tuple)
    # A name that only looks like it is another field.
    data = b"MESSAGE sip:a@b SIP/2.0\r\nContent_Length: 33\r\nl: 0\r\n\r\n"
    assert framed(data + SHORT) == [data, SHORT]


def test_a_body_is_cut_by_its_length_whatever_it_holds() -> None:
    body = b"\0\n\r\r\n\r\nSIP/2.0 200 OK\r\n\r\n\xff"
    data = b"MESSAGE sip:a@b SIP/2.0\r\nl: %d\r\n\r\n" % len(body) + body
    assert framed(data + data) == [data, data]


# A malformed message whose end is beyond doubt does not end the stream.


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"OPTIONS sip:a b SIP/2.0\r\nl: 3\r\n\r\nabc", "White space in the Request-Line"),
        (
            b"OPTIONS sip:a@b SIP/2.0\r\nTo: x\r\nl: 3\r\nt: y\r\n\r\nabc",
            "Repeated header field that may stand once",
        ),
        (b"SIP/2.0 4294967301 x\r\nl: 3\r\n\r\nabc", "Malformed Status-Line"),
    ],
)
def test_the_stream_goes_on_behind_a_malformed_message(message: bytes, reason: str) -> None:
    framer = StreamFramer()
    framer.feed(message + SHORT)
    error = framer.next()
    assert isinstance(error, MessageError)
    assert (error.reason, error.status) == (reason, 400)
    assert error.partial is not None
    assert error.partial.body == b"abc"
    assert collect(framer, message + SHORT + message) == [SHORT, reason, SHORT, reason]
    for at in range(len(message)):
        assert framed(message[:at], message[at:] + SHORT) == [reason, SHORT]


@pytest.mark.parametrize(
    "message",
    [
        b"junk\r\nl: 0\r\n\r\n",
        b"OPTIONS sip:a@b SIP/3.0\r\nl: 0\r\n\r\n",
        b"OPTIONS sip:a b SIP/2.0\r\n\r\n",
        b"OPTIONS sip:a b SIP/2.0\r\nl: 0\r\nl: 0\r\n\r\n",
        b"OPTIONS sip:a b SIP/2.0\r\nl: x\r\n\r\n",
        # Another element on the way may read a second length in these.
        b"OPTIONS sip:a@b SIP/2.0\r\nl: 0\r\nOwn: x\nContent-Length: 5\r\n\r\n",
        b"OPTIONS sip:a b SIP/2.0\r\nl: 0\r\nOwn: x\nContent-Length: 5\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nl: 0\r\nContent-Length\x0b: 5\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\n Content-Length: 5\r\nl: 0\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nl: 0\r\nContent-Length 5\r\n\r\n",
        b"OPTIONS sip:a b SIP/2.0\r\nl: 0\r\nContent-Length 5\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nt: x\r\nt: y\r\nl: 0\r\nContent-Length 5\r\n\r\n",
    ],
)
def test_the_stream_ends_where_there_is_doubt(message: bytes) -> None:
    (error,) = framed(message + SHORT)
    assert isinstance(error, tuple)


# Limits: what is refused is refused before it is there.


def test_a_huge_body_is_refused_by_its_head_alone() -> None:
    for length in (11, 2**31, 2**32 - 1, 2**32, 10**19):
        framer = StreamFramer(Limits(body=10))
        framer.feed(b"MESSAGE sip:a@b SIP/2.0\r\nl: %d\r\n\r\n" % length)
        with pytest.raises(MessageError) as caught:
            framer.next()
        assert caught.value.status == (513 if length < 2**32 else 400)
        assert caught.value.partial is not None
    data = b"MESSAGE sip:a@b SIP/2.0\r\nl: 10\r\n\r\n0123456789"
    assert framed(data, limits=Limits(body=10)) == [data]


def test_a_head_without_an_end_is_refused_at_the_limit() -> None:
    limits = Limits(head=100)
    framer = StreamFramer(limits)
    for _ in range(103):  # three octets may belong to the empty line
        framer.feed(b"x")
        assert framer.next() is None
    framer.feed(b"x")
    with pytest.raises(MessageError) as caught:
        framer.next()
    assert caught.value.status == 513


def test_a_head_of_just_the_limit_comes_in_any_pieces() -> None:
    limits = Limits(head=len(SHORT) - 4)
    for at in range(len(SHORT)):
        assert framed(SHORT[:at], SHORT[at:], limits=limits) == [SHORT]
    limits = Limits(head=len(SHORT) - 5)
    for at in range(len(SHORT)):
        assert framed(SHORT[:at], SHORT[at:], limits=limits) == [("Header fields too large", 513)]


def test_too_many_lines() -> None:
    data = b"OPTIONS sip:a@b SIP/2.0\r\n" + b"Own:x\r\n" * 9 + b"l:0\r\n\r\n"
    assert framed(data, limits=Limits(lines=10)) == [data]
    assert framed(data, limits=Limits(lines=9)) == [("Too many header fields", 513)]


def test_a_refusal_stays() -> None:
    framer = StreamFramer()
    framer.feed(b"junk\r\n\r\n" + SHORT)
    for _ in range(3):
        with pytest.raises(MessageError):
            framer.next()


class Searched(bytearray):
    """A buffer that counts the octets that were searched."""

    octets = 0

    def find(self, sub: Any, start: SupportsIndex | None = None, end: SupportsIndex | None = None, /) -> int:
        self.octets += len(self) - int(start or 0)
        return super().find(sub, start, end)


def test_octets_that_come_one_by_one_are_searched_a_few_times_each() -> None:
    framer = StreamFramer()
    framer._buffer = searched = Searched()
    data = b"OPTIONS sip:a@b SIP/2.0\r\nSubject: " + b"x" * 20_000 + b"\r\nl: 5000\r\n\r\n" + b"y" * 5000
    found = framed(data)
    dripped: Found = []
    for at in range(len(data)):
        dripped += collect(framer, data[at : at + 1])
    assert dripped == found == [data]
    assert searched.octets <= 4 * len(data)


def test_many_messages_in_one_read_are_searched_once() -> None:
    framer = StreamFramer()
    framer._buffer = Searched()
    ends = 0
    framer.feed(SHORT * 500)
    while framer.next() is not None:
        ends += 1
    assert ends == 500


# Properties.


@given(
    st.lists(st.one_of(st.sampled_from([SHORT, BODY, ANSWER, b"\r\n\r\n"]), messages()), max_size=3),
    st.data(),
)
def test_how_a_stream_is_cut_does_not_matter(sent: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    found = framed(*pieces)
    # The same messages as in datagrams, which test_message.py compares with what was sent.
    assert [one for one in found if isinstance(one, bytes)] == [one for one in sent if one != b"\r\n\r\n"]
    assert found.count(PING) == found.count(PONG) == sent.count(b"\r\n\r\n")


@given(nearly(), st.data())
def test_a_damaged_stream_is_cut_alike_in_any_pieces(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert framed(*pieces) == framed(stream)


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_any_octets_are_cut_or_refused(pieces: list[bytes]) -> None:
    framer = StreamFramer()
    for piece in pieces:
        framer.feed(piece)
        try:
            while (one := framer.next()) is not None:
                if isinstance(one, Message):
                    touch(one)
        except MessageError as error:
            if error.partial is not None:
                touch(error.partial)
            return
