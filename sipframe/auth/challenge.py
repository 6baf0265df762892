"""Challenges, and the protection space they are for (RFC 7616 3.3, RFC 8760 2.3).

Rules: one challenge for each configured algorithm, in the configured order, each with a nonce of its own. Writing a
challenge leaves nothing behind.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from sipframe.auth.digest import ALGORITHMS, Algorithm
from sipframe.auth.nonce import NonceClock, NonceSeries
from sipframe.auth.settings import DigestSettings
from sipframe.message import quote
from sipframe.verdicts import Challenge

__all__ = ["Offer", "Outcome", "ProtectionSpace"]

_new = tuple.__new__  # what a NamedTuple does, without the detour


class Outcome(StrEnum):
    """Why a request is challenged: :attr:`sipframe.verdicts.Challenge.reason`, for logs only."""

    NO_CREDENTIALS = "no credentials"
    UNKNOWN_REALM = "credentials for another realm"
    NOT_OFFERED = "algorithm, qop or userhash that is not on offer"
    UNKNOWN_USER = "unknown user"
    BAD_RESPONSE = "wrong digest"
    STALE = "right digest, stale nonce"
    REPLAYED = "right digest, nonce count used before"


class Offer(NamedTuple):
    """One algorithm on offer, and its nonces."""

    algorithm: Algorithm
    nonces: NonceSeries


class ProtectionSpace:
    """What one realm offers (RFC 3261 22.1)."""

    def __init__(self, realm: str, settings: DigestSettings, secret: bytes, clock: NonceClock) -> None:
        self.realm = realm
        offers = [
            Offer(ALGORITHMS[name], NonceSeries(secret, realm, name, clock)) for name in settings.algorithms
        ]
        # RFC 3261 25.1: tokens have no case. Most clients send the name as we wrote it, or none, which means MD5.
        self._offers = {offer.algorithm.name: offer for offer in offers}
        self._offers.update({offer.algorithm.name.lower(): offer for offer in offers})
        before = f'Digest realm={quote(realm)}, qop="{",".join(settings.qop)}", nonce="'
        opaque = f'", opaque="{settings.opaque}"'
        userhash = ", userhash=true" if settings.userhash else ""
        self._fresh, self._stale = (
            [
                (before, offer.nonces, f"{opaque}{stale}, algorithm={offer.algorithm.name}{userhash}")
                for offer in offers
            ]
            for stale in (", stale=FALSE", ", stale=TRUE")
        )

    def offer(self, algorithm: str) -> Offer | None:
        """What is on offer under the name ``algorithm``; nothing else may be used (no downgrade)."""
        return self._offers.get(algorithm) or self._offers.get(algorithm.lower())

    def challenge(self, outcome: Outcome) -> Challenge:
        """Ask for credentials."""
        values = tuple([f"{before}{nonces.issue()}{after}" for before, nonces, after in self._fresh])
        return _new(Challenge, (values, outcome, False))

    def challenge_again(self, outcome: Outcome) -> Challenge:
        """Ask again, with ``stale=TRUE``: whoever sent this knows the password (RFC 7616 3.3)."""
        return Challenge(
            tuple([f"{before}{nonces.issue()}{after}" for before, nonces, after in self._stale]),
            outcome,
            True,
        )
