"""The one exception that reading a message raises: the peer's fault, with the answer it deserves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sipframe.message.message import Request, Response

__all__ = ["MessageError"]


class MessageError(ValueError):
    """What arrived is not SIP as RFC 3261 has it.

    ``status`` and ``reason`` are the answer for a request (``reason`` goes on the wire: printable, one line, and it
    never repeats what the peer sent). ``partial`` is the message as far as it could be read, if it is good enough to
    try to answer it; the typed access to it may raise again.
    """

    def __init__(self, reason: str, status: int = 400, partial: Request | Response | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.partial = partial
