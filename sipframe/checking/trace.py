"""What was sent and what came while a check ran: enough to draw it afterwards.

Rules: a record is kept of each whole message, in order; what can be read is read here, what cannot is kept as text.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from sipframe.message import MessageError, Request, Response, parse_message

__all__ = ["Direction", "Event", "arrived", "remark", "sent"]


class Direction(Enum):
    """Who did it."""

    SENT = "sent"
    ARRIVED = "arrived"
    REMARK = "remark"
    """Neither: something that happened, such as a connection that was closed."""


class Event(NamedTuple):
    """One thing that happened ``time`` seconds after the check began."""

    time: float
    direction: Direction
    text: str
    """In one line: the first line of a message, or the remark."""
    message: Request | Response | None = None
    """None when it cannot be read."""
    octets: bytes = b""
    """The whole message."""
    again: bool = False
    """A retransmission."""


def sent(time: float, octets: bytes, *, again: bool = False) -> Event:
    """``octets``, meant to be a request, left."""
    message: Request | Response | None
    try:
        message = parse_message(octets)
    except MessageError as error:
        message = error.partial
    first = octets.lstrip(b"\r\n").partition(b"\r\n")[0].decode("utf-8", "surrogateescape")
    return Event(time, Direction.SENT, first or "CRLF", message, octets, again)


def arrived(time: float, message: Request | Response) -> Event:
    """A message came."""
    return Event(time, Direction.ARRIVED, message.start_line, message, message.to_bytes())


def remark(time: float, text: str) -> Event:
    """Something else happened."""
    return Event(time, Direction.REMARK, text)
