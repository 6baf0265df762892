"""Cutting a stream into messages (RFC 3261 7.5, 18.3; RFC 5626 3.5.1; RFC 7118 is framed elsewhere).

Rules: all cutting happens in octets. The end of a head is searched for from where the last search stopped, so that
drip-fed octets cost linear time. A size is checked before memory grows. CRLFs are keep-alives only between messages. A
stream goes on behind a malformed message only where its Content-Length is beyond doubt.
"""

from __future__ import annotations

from enum import Enum

from sipframe.message.errors import MessageError
from sipframe.message.message import Request, Response
from sipframe.message.names import NO_NAME
from sipframe.message.reading import DEFAULT_LIMITS, NO_COLON, STRAY, Limits, body_length, read_head

__all__ = ["Keepalive", "StreamFramer"]

_DOUBTFUL = frozenset({STRAY, NO_COLON, NO_NAME})
"""Defects that may hide a second Content-Length, which another element on the way would go by."""


class Keepalive(Enum):
    """What stands between two messages (RFC 5626 3.5.1)."""

    PING = "CRLFCRLF"
    """Answer with one CRLF."""
    PONG = "CRLF"
    """An answer to a ping of ours, or the first half of a ping."""


class StreamFramer:
    """Turns what a connection delivers into messages and keep-alives."""

    __slots__ = ("_body", "_buffer", "_defect", "_half_ping", "_limits", "_message", "_searched")

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._searched = 0
        self._message: Request | Response | None = None
        self._body = 0
        self._half_ping = False
        self._defect: MessageError | None = None

    @property
    def pending(self) -> bool:
        """Whether a message has begun that is not complete."""
        return self._message is not None or len(self._buffer) > 0

    @property
    def unread(self) -> bytes:
        """What has been fed and not been given out; behind an error that :meth:`next` raised, what it is about."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take in what arrived. Call :meth:`next` until it returns None before feeding more."""
        self._buffer += data

    def next(self) -> Request | Response | Keepalive | MessageError | None:
        """The next message or keep-alive, or None until more arrives.

        A message that is malformed, but whose end is beyond doubt, comes back as the MessageError that it deserves, and
        the stream goes on: other people's messages may share it. Raises MessageError when the end of a message cannot
        be known: close the connection.
        """
        buffer = self._buffer
        message = self._message
        if message is None:
            if not buffer:
                return None
            if buffer[0] == 13:
                return self._between()
            self._half_ping = False
            end = buffer.find(b"\r\n\r\n", self._searched)
            # Up to three octets of the empty line may have come already.
            if (len(buffer) - 3 if end < 0 else end) > self._limits.head:
                raise MessageError("Header fields too large", 513)
            if end < 0:
                self._searched = max(0, len(buffer) - 3)
                return None
            self._defect = None
            try:
                message = read_head(buffer[:end], self._limits)
            except MessageError as error:
                if not _is_framed(error):
                    raise
                message, self._defect = error.partial, error
                assert message is not None
            length = body_length(message, self._limits)
            if length is None:
                # RFC 3261 18.3, 20.14: over a stream Content-Length MUST be used.
                raise MessageError("Missing Content-Length", 400, message)
            del buffer[: end + 4]
            self._searched = 0
            if not length:
                return self._defect or message
            self._message = message
            self._body = length
        if len(buffer) < self._body:
            return None
        message.body = bytes(buffer[: self._body])
        del buffer[: self._body]
        self._message = None
        return self._defect or message

    def _between(self) -> Keepalive | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        if buffer[1] != 10:
            raise MessageError("CR or LF inside a line")
        del buffer[:2]
        # The two halves of a ping may arrive apart; whoever waits for the rest of the first one hears of no pong.
        self._half_ping = not self._half_ping
        return Keepalive.PONG if self._half_ping else Keepalive.PING


def _is_framed(error: MessageError) -> bool:
    """Whether a malformed head leaves no doubt about where its message ends."""
    message = error.partial
    if message is None or error.status != 400 or error.reason in _DOUBTFUL:
        return False
    return len(message.fields.get("content-length", ())) == 1
