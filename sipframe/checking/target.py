"""What is checked: the server, the accounts that are used, and how long to wait.

Rules: values only. How a socket is opened is behind :class:`Sockets`, so that checks run without any as well.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from sipframe.ua import Account
from sipframe.ua.flows import ClientFlow

__all__ = ["Sockets", "Target", "Timing"]


@attrs.frozen(kw_only=True)
class Timing:
    """How long things may take, in seconds."""

    check: float = 10.0
    """One check in all."""
    answer: float = 4.0
    """Until a request that has to be answered counts as not answered."""
    silence: float = 0.4
    """Until a request that need not be answered counts as dropped."""
    retransmit: float = 0.5
    """T1: over UDP a request leaves again after this, then after twice this (RFC 3261 17.1.2.2)."""

    @classmethod
    def within(cls, seconds: float) -> Timing:
        """Those of checks that may take ``seconds`` each."""
        return cls(check=seconds, answer=seconds * 0.4, silence=min(0.4, seconds * 0.04))


@attrs.frozen(kw_only=True)
class Target:
    """One server over one transport (``UDP``, ``TCP``, ``TLS``)."""

    transport: str
    account: Account
    """Whose bindings are made and removed."""
    second: Account | None = None
    """Another user of the same domain, if there is one to use."""
    vacant: bool = True
    """Whether the AOR had no bindings when checking began: only then is ``Contact: *`` ever sent."""
    checked_certificate: bool = True
    """Whether TLS connections are refused when the certificate is not trusted."""


class Sockets(Protocol):
    """Where flows to the server come from."""

    async def open(self) -> ClientFlow:
        """A new socket or connection. Raises :class:`sipframe.ua.ClientError`."""

    async def open_old_tls(self, version: str) -> ClientFlow | None:
        """A connection with ``TLSv1`` or ``TLSv1.1`` and nothing newer; None when the server refuses it.

        Raises :class:`sipframe.checking.check.Skipped` when it cannot be tried here.
        """
