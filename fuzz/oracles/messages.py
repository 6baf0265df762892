"""Oracles of whole messages: a datagram, and a stream cut anywhere.

Rules: an oracle takes any octets. It returns, or it raises: a MessageError is no finding, everything else is one.
"""

from __future__ import annotations

from typing import Final

from sipframe.message import (
    DEFAULT_LIMITS,
    Keepalive,
    Limits,
    MessageError,
    Request,
    Response,
    StreamFramer,
    parse_message,
    response_bytes,
)
from sipframe.message.reading import _read_carefully, read_head
from tests.message.touching import attempt, properties, touch

__all__ = ["datagram", "stream"]

_ANSWER_HAS = frozenset({"via", "from", "to", "call-id", "cseq", "content-length"})
_ANY: Final = Limits(lines=1 << 20)
_SMALL = Limits(head=2_048, lines=64, body=2_048)


def datagram(data: bytes) -> None:
    """What arrives over UDP is a message or a MessageError; either can be answered, and only with what was asked."""
    _straight_is_right(data)
    try:
        message = parse_message(data)
    except MessageError as error:
        _sound(error)
        if error.partial is not None:
            touch(error.partial)
            _answered(error.partial, error.status)
        return
    touch(message)
    written = message.to_bytes()
    again = parse_message(written)
    assert again.to_bytes() == written
    assert (again.start_line, again.lines, again.fields, again.body) == (
        message.start_line,
        message.lines,
        message.fields,
        message.body,
    )
    _answered(message, 400)


_Read = tuple[str, list[str], dict[str, list[str]]] | str


def _straight_is_right(data: bytes) -> None:
    """What is read the straight way is what is read line by line; what is read in one pass, what is read when asked."""
    head, end, _ = data.partition(b"\r\n\r\n")
    if not end or b"\n" in head.replace(b"\r\n", b"") or b"\r" in head.replace(b"\r\n", b""):
        return
    try:
        straight = read_head(head, _ANY)
    except MessageError as error:
        found: _Read = error.reason
    else:
        found = straight.start_line, straight.lines, straight.fields
        if isinstance(straight, Request):
            asked = read_head(head, _ANY)
            straight.read_usual()
            for name in properties(Request):
                one, other = attempt(straight, name), attempt(asked, name)
                assert one[0] == other[0], name
                assert (one[1] and one[1].reason) == (other[1] and other[1].reason), name
    try:
        careful = _read_carefully(head.decode("utf-8", "surrogateescape").split("\r\n"), "")
    except MessageError as error:
        assert found == error.reason
    else:
        assert found == (careful.start_line, careful.lines, careful.fields)


def _sound(error: MessageError) -> None:
    assert 400 <= error.status < 600
    assert error.reason
    assert error.reason.isprintable()
    assert error.reason.isascii()


def _answered(message: Request | Response, status: int) -> None:
    """The answer to a request repeats five fields at most, and is a message again: nothing was smuggled into it."""
    if not isinstance(message, Request):
        return
    try:
        data = response_bytes(message, status, "Bad Request", "of-ours", "", ("192.0.2.1", 5060))
    except MessageError as error:
        _sound(error)
        return
    try:
        answer = parse_message(data, Limits(head=10 * DEFAULT_LIMITS.head, lines=10 * DEFAULT_LIMITS.lines))
    except MessageError as error:
        raise AssertionError(f"our own answer cannot be read: {error.reason}") from error
    assert isinstance(answer, Response)
    assert answer.status == status
    assert set(answer.fields) <= _ANSWER_HAS
    assert answer.body == b""
    assert answer.content_length == 0
    touch(answer)


def stream(data: bytes) -> None:
    """However a stream is cut, the same comes out of it: its octets in order, none twice, none left out.

    The first octet says how many of the next ones are the lengths of the pieces, in turn.
    """
    count = data[0] % 16 if data else 0
    lengths, rest = [1 + length for length in data[1 : 1 + count]], data[1 + count :]
    whole, _ = _framed([rest])
    at = 0
    for octets in whole:
        at = rest.index(octets, at) + len(octets)
    if lengths:
        pieces: list[bytes] = []
        at = 0
        while at < len(rest):
            length = lengths[len(pieces) % len(lengths)]
            pieces.append(rest[at : at + length])
            at += length
        found, largest = _framed(pieces)
        assert found == whole
        assert largest <= _SMALL.head + _SMALL.body + 256 + 8  # a piece, and the empty line


def _framed(pieces: list[bytes]) -> tuple[list[bytes], int]:
    """The octets of what comes out, and how many there were within at most. The framer keeps to small limits."""
    framer = StreamFramer(_SMALL)
    found: list[bytes] = []
    fed = taken = largest = 0
    for piece in pieces:
        framer.feed(piece)
        fed += len(piece)
        while True:
            try:
                one = framer.next()
            except MessageError as error:
                _sound(error)
                if error.partial is not None:
                    touch(error.partial)
                    _answered(error.partial, error.status)
                return found, largest
            if one is None:
                break
            if isinstance(one, Keepalive):
                octets = b"\r\n"
            elif isinstance(one, MessageError):
                _sound(one)
                assert one.partial is not None
                touch(one.partial)
                _answered(one.partial, one.status)
                octets = one.partial.to_bytes().partition(b"\r\n")[2]  # its first line may be repaired
            else:
                touch(one)
                octets = one.to_bytes()
            found.append(octets)
            taken += len(octets)
        largest = max(largest, fed - taken)
    return found, largest
