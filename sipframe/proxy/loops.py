"""Branches of ours, and loops told from spirals by them (RFC 3261 16.6 step 8, RFC 5393 4.2).

Rules: a branch is the cookie, a part that is never the same twice, a dot, and the loop part: a keyed hash of all that
decides where the request goes. It depends on the request as it was received and never on the method (RFC 5393 4.2.1).
A request that carries the loop part it would get again has looped; one that was here before with other values spirals.
The loop part is keyed, so that it is ours without a look at the sent-by, and Via values that others wrote need not be
read for it (RFC 5393 4.2.4).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import blake2s
from typing import Final

from sipframe.message import COOKIE, Request

__all__ = ["Branches"]

_LOOP_OCTETS: Final = 8


class Branches:
    """Makes branches and finds them again. ``key`` is at least 16 octets of entropy, kept secret, the same for all
    processes that stand for one proxy."""

    __slots__ = ("_mac",)

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError("a key for branches has at least 16 octets")
        self._mac = blake2s(key=hmac.digest(key, b"loop", "sha256"), digest_size=_LOOP_OCTETS)

    def loop_part(self, request: Request, also: Iterable[str] = ()) -> str:
        """The loop part for ``request``, as it was received.

        ``also`` is what else decides where it goes here: what a policy looks at, the identity of its sender. Raises
        MessageError when From, To, Call-ID or CSeq cannot be read.
        """
        fields = request.fields
        # RFC 5393 4.2.1: all that decides; 4.2.4: and what tells one transaction from another.
        parts = [
            request.uri_text,
            request.call_id,
            str(request.cseq.number),
            request.from_.tag or "",
            request.to.tag or "",
        ]
        for name in ("route", "proxy-require", "proxy-authorization"):
            values = fields.get(name)
            parts.append("\n".join(values) if values else "")
        parts.extend(also)
        mac = self._mac.copy()
        mac.update("\r".join(parts).encode("utf-8", "surrogateescape"))
        return mac.hexdigest()

    def branch(self, unique: str, loop_part: str) -> str:
        """A branch. ``unique`` is a token that was never used before and that nobody can guess."""
        return f"{COOKIE}{unique}.{loop_part}"

    def stateless(self, request: Request, loop_part: str) -> str:
        """The branch of a request that is forwarded without a transaction: the same each time (RFC 3261 16.11)."""
        mac = self._mac.copy()
        parts = (request.via.text, request.to.tag or "", request.method, str(request.cseq.number))
        mac.update("\r".join(parts).encode("utf-8", "surrogateescape"))
        return self.branch(mac.hexdigest(), loop_part)

    def looped(self, request: Request, loop_part: str) -> bool:
        """Whether ``request`` was here before as it is now (RFC 5393 4.2.2)."""
        values = request.fields.get("via", ())
        if len(values) == 1 and "," not in values[0]:
            return False  # its only Via is that of the element it came from
        end = f".{loop_part}"
        return any(end in value for value in values)
