"""Reading messages: one split of the head, and a body by Content-Length (RFC 3261 7, 18.3).

Rules: everything is checked in octets, and against the limits, before anything is allocated. A head is split once. What
is wrong with a message that can still be told for a request's comes with it, so that it can be answered.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from sipframe.message.errors import MessageError
from sipframe.message.grammar import is_token
from sipframe.message.message import Request, Response
from sipframe.message.names import SINGLE, canonical_name, usual_spelling

__all__ = ["DEFAULT_LIMITS", "NO_COLON", "STRAY", "Limits", "body_length", "parse_message", "read_head"]


class Limits(NamedTuple):
    """How large a message may be. Octets, except ``lines``."""

    head: int = 32_768
    """The start line and all header fields."""
    lines: int = 256
    """Header field lines."""
    body: int = 262_144
    """The body."""


DEFAULT_LIMITS = Limits()


STRAY: Final = "CR or LF inside a line"
NO_COLON: Final = "Header field without a colon"
_STATUS_LINE = re.compile(r"(SIP/[0-9]+\.[0-9]+) ([0-9]+) (.*)", re.ASCII | re.IGNORECASE | re.DOTALL)
_METHODS = frozenset(
    (
        "REGISTER",
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "MESSAGE",
        "SUBSCRIBE",
        "NOTIFY",
        "INFO",
        "PRACK",
        "UPDATE",
        "REFER",
        "PUBLISH",
    )
)
_BLANKS: Final = (" ", "\t")
_VERSION = re.compile(r"SIP/[0-9]+\.[0-9]+", re.ASCII | re.IGNORECASE)


def read_head(head: bytes | bytearray, limits: Limits = DEFAULT_LIMITS) -> Request | Response:
    """Read the start line and the header fields; ``head`` ends before the empty line. The body is empty yet.

    Raises MessageError; its ``partial`` is there when the start line could be told apart.
    """
    text = head.decode("utf-8", "surrogateescape")
    lines = text.split("\r\n")
    joined = "".join(lines)
    if "\n" in joined or "\r" in joined:
        return _read_carefully(lines, STRAY)  # RFC 3261 7: lines end in CRLF, and nothing else does
    if len(lines) > limits.lines + 1:
        raise MessageError("Too many header fields", 513)
    if "  " in text or "\t" in text or " \r\n" in text or text[-1:] == " ":
        return _read_carefully(lines, "")
    # The straight way, which nearly all messages go: one blank behind each colon, well-known names in a usual spelling.
    start = lines.pop(0)
    fields: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        key = usual_spelling(name)
        if key in fields:
            if key in SINGLE:
                break
            fields[key].append(value)
        elif key is None or not value:
            break
        else:
            fields[key] = [value]
    else:
        return _start(start, lines, fields)
    return _read_carefully([start, *lines], "")


def _read_carefully(lines: list[str], stray: str) -> Request | Response:
    """Read a head line by line. ``stray``: what is wrong with it already."""
    start = lines.pop(0)
    fields: dict[str, list[str]] = {}
    defect = _take_fields(lines, fields, stray)
    if defect is None:
        lines = _join_folded(lines)
        fields.clear()
        defect = _take_fields(lines, fields, stray, folded=True)
        assert defect is not None
    if defect is STRAY:
        fields = _unbroken(fields)
    try:
        message = _start(start, lines, fields)
    except MessageError as error:
        # What is wrong with the fields comes first: whether the message can be framed depends on it.
        raise MessageError(defect, 400, error.partial) if defect else error from None
    if defect:
        raise MessageError(defect, 400, message)
    return message


def _take_fields(
    lines: list[str], fields: dict[str, list[str]], defect: str, folded: bool = False
) -> str | None:
    """Read header field lines into ``fields``; the result is what is wrong with them, or ``defect``.

    None: a line is folded, and they are to be read again with ``folded`` when it is joined.
    """
    for line in lines:
        name, colon, value = line.partition(":")
        key = usual_spelling(name)
        if key is None or not colon:
            if not folded and line[:1] in _BLANKS:
                return None
            if not colon:
                defect = STRAY if defect is STRAY else NO_COLON
                continue
            try:
                key = canonical_name(name)
            except MessageError as error:
                defect = STRAY if defect is STRAY else error.reason
                continue
        if folded and "\r\n" in value:
            # RFC 3261 7.3.1: a fold, and the white space around it, is one blank.
            value = " ".join([part.strip(" \t") for part in value.split("\r\n")])
        value = value.strip(" \t")
        if key in fields:
            if key in SINGLE:
                defect = defect or "Repeated header field that may stand once"
            fields[key].append(value)
        else:
            fields[key] = [value]
    return defect


def _unbroken(fields: dict[str, list[str]]) -> dict[str, list[str]]:
    """The values without CR and LF: nothing else of a broken message may be repeated in an answer to it."""
    whole = {
        name: [value for value in values if "\r" not in value and "\n" not in value]
        for name, values in fields.items()
    }
    return {name: values for name, values in whole.items() if values}


def _join_folded(lines: list[str]) -> list[str]:
    joined: list[list[str]] = []
    for line in lines:
        if line[:1] in _BLANKS and joined:
            joined[-1].append(line)
        else:
            joined.append([line])
    return ["\r\n".join(parts) for parts in joined]


def _start(start: str, lines: list[str], fields: dict[str, list[str]]) -> Request | Response:
    parts = start.split(" ")
    if (
        len(parts) == 3
        and parts[2] == "SIP/2.0"
        and (parts[0] in _METHODS or is_token(parts[0]))
        and parts[1]
    ):
        return Request(parts[0], parts[1], "SIP/2.0", lines, fields)
    status = _STATUS_LINE.fullmatch(start)
    if status is not None:
        version, code, reason = status.groups()
        if version.upper() != "SIP/2.0" or len(code) != 3 or not "100" <= code <= "699":
            raise MessageError("Malformed Status-Line", 400, Response(0, reason, version, lines, fields))
        return Response(int(code), reason, version, lines, fields)
    exact = len(parts)
    while not parts[-1] and len(parts) > 3:
        parts.pop()  # blanks at the end of the Request-Line
    version = parts[-1]
    if len(parts) < 3 or not _VERSION.fullmatch(version) or not is_token(parts[0]):
        raise MessageError("Malformed start line")
    # From here on the line can be told for a request's, and answered.
    request = Request(parts[0], " ".join(parts[1:-1]), version, lines, fields)
    if version.upper() != "SIP/2.0":
        raise MessageError("Version Not Supported", 505, request)  # RFC 3261 21.5.6
    if exact != 3 or not parts[1]:
        raise MessageError("White space in the Request-Line", 400, request)  # RFC 3261 7.1
    return request


def parse_message(datagram: bytes, limits: Limits = DEFAULT_LIMITS) -> Request | Response:
    """Read the message of one datagram (RFC 3261 18.3). Raises MessageError.

    Octets behind Content-Length are dropped; without Content-Length the body is the rest. CRLFs before the start
    line are skipped (RFC 3261 7.5).
    """
    if datagram[:1] == b"\r":
        start = 0
        while datagram.startswith(b"\r\n", start):
            start += 2
        datagram = datagram[start:]
    head, end, body = datagram.partition(b"\r\n\r\n")
    if len(head) > limits.head:
        raise MessageError("Header fields too large", 513)
    if not end:
        raise MessageError("No empty line after the header fields", 400, _as_far_as_it_goes(head, limits))
    message = read_head(head, limits)
    length = body_length(message, limits)
    message.body = body
    if length is not None and length != len(body):
        if length > len(body):
            raise MessageError("Content-Length larger than the datagram", 400, message)
        message.body = body[:length]
    elif len(body) > limits.body:
        raise MessageError("Message Too Large", 513, message)
    return message


def body_length(message: Request | Response, limits: Limits) -> int | None:
    """What Content-Length says, checked before anything is allocated; None without it. Raises MessageError."""
    values = message.fields.get("content-length")
    if values is None:
        return None
    if values[0] == "0":
        return 0
    try:
        length = message.content_length
    except MessageError as error:
        raise MessageError(error.reason, 400, message) from None
    assert length is not None
    if length > limits.body:
        raise MessageError("Message Too Large", 513, message)  # RFC 3261 21.5.7
    return length


def _as_far_as_it_goes(head: bytes, limits: Limits) -> Request | Response | None:
    try:
        return read_head(head, limits)
    except MessageError as error:
        return error.partial
