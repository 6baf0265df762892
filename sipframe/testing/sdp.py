"""The session description that a phone of a test offers: one audio stream, never sent (RFC 4566 5)."""

from __future__ import annotations

from sipframe.testing.flows import Flow

__all__ = ["description"]


def description(flow: Flow) -> bytes:
    """A description of a session at the phone's end of ``flow``."""
    host = flow.local.host if flow.private is None else flow.private.host
    where = f"IN IP{6 if ':' in host else 4} {host}"
    return f"v=0\r\no=- 1 1 {where}\r\ns=-\r\nc={where}\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\n".encode()
