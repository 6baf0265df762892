"""Tickets: a phone shows what it got when its user logged in elsewhere, and needs no password for SIP.

A ticket is ``NAME.EXPIRES.SIGNATURE``, with seconds since 1970 and an HMAC of the rest by a key that whoever makes
tickets and the registrar share. It stands in the request::

    Authorization: Acme ticket="alice.1735693200.6e1c..."

Whoever sees it can use it. So it counts over TLS alone; other requests are left to other authenticators.
"""

from __future__ import annotations

import hmac
import re
from pathlib import Path
from typing import Annotated

from zope.interface import implementer

from sipframe.interfaces import IAuthenticator, IFlow
from sipframe.message import MessageError, Request, quote
from sipframe.surroundings import Surroundings
from sipframe.verdicts import Abstained, Accepted, Challenge, Identity, Rejected

__all__ = ["Tickets", "ticket"]

_NAME = re.compile(r"[a-z0-9-]+")


def ticket(key: bytes, name: str, expires: int) -> str:
    """A ticket for ``name``, good until ``expires`` (seconds since 1970). Raises ValueError."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r}: lower-case letters, digits and hyphens")
    rest = f"{name}.{expires}"
    return f"{rest}.{_signature(key, rest)}"


def _signature(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode("utf-8", "surrogateescape"), "sha256").hex()


@implementer(IAuthenticator)
class Tickets:
    """Accepts who has a ticket, as the user of each domain that it names."""

    def __init__(
        self,
        *,
        key_file: Annotated[Path, "the key that tickets are signed with, 16 octets or more"],
        surroundings: Surroundings,
    ) -> None:
        try:
            self._key = key_file.read_bytes().strip()
        except OSError as error:
            raise ValueError(f"{key_file}: {error.strerror}") from None
        if len(self._key) < 16:
            raise ValueError(f"{key_file}: fewer than 16 octets are no key")
        self._domains = surroundings.domains
        self._realm = surroundings.realm or surroundings.domains[0]
        self._wall_clock = surroundings.wall_clock

    def authenticate(self, request: Request, flow: IFlow) -> Accepted | Challenge | Rejected | Abstained:
        """What the ticket in a request is worth (IAuthenticator)."""
        if not flow.secure:
            return Abstained("tickets count over TLS alone")
        try:
            shown = [
                one.params.get("ticket", "") for one in request.credentials if one.scheme.lower() == "acme"
            ]
        except MessageError as error:
            return Rejected(error.status, error.reason)
        if not shown:
            return self._challenge("no ticket")
        rest, _, signature = shown[0].rpartition(".")
        right = _signature(self._key, rest)
        if not hmac.compare_digest(right.encode(), signature.encode("utf-8", "surrogateescape")):
            return self._challenge("a forged ticket")
        name, _, expires = rest.rpartition(".")
        if int(expires) <= self._wall_clock():
            return self._challenge("an old ticket")
        return Accepted(
            Identity(name, self._realm, frozenset([f"sip:{name}@{one}" for one in self._domains]))
        )

    def _challenge(self, reason: str) -> Challenge:
        return Challenge((f"Acme realm={quote(self._realm)}",), reason)
