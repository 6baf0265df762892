"""The one exception of a client whose work did not come to an end."""

from __future__ import annotations

__all__ = ["ClientError"]


class ClientError(Exception):
    """It did not come to an end. The text is one line for a person.

    ``unreachable``: nothing was ever heard from that address, another one may do.
    """

    def __init__(self, text: str, *, unreachable: bool = False) -> None:
        super().__init__(text)
        self.unreachable = unreachable
