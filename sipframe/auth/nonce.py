"""Nonces that cost the server nothing until they come back (RFC 7616 3.3, 5.4).

Rules: a nonce is 14 hex digits of issue time in microseconds and 28 of a MAC over them, 42 characters in all, since
clients have small buffers. The MAC's key is bound to realm and algorithm, so that a nonce given for one is foreign
to the other. The MAC is keyed BLAKE2s (RFC 7693 2.9): the promise of HMAC for a fifth of its time. Nothing is
remembered but the last issue time, which keeps nonces unique.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from sipframe.auth.digest import octets

__all__ = ["FOREIGN", "NONCE_LENGTH", "NonceClock", "NonceSeries"]

NONCE_LENGTH: Final = 42
FOREIGN: Final = -1
"""What :meth:`NonceSeries.issued` says of a nonce that is not ours: another secret, realm, algorithm, or no nonce."""

_STAMP_DIGITS: Final = 14
_MAC_OCTETS: Final = 14
_SECOND: Final = 1_000_000


class NonceClock:
    """Issue times: whole microseconds, never the same twice.

    ``clock`` gives seconds and should not go back: ``time.monotonic`` when each process has its own secret, wall-clock
    time when several share one. A step back is survived: nonces from the future then count as expired.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = -1

    def now(self) -> int:
        """The time, in microseconds."""
        return int(self._clock() * _SECOND)

    def stamp(self) -> int:
        """A time that was not given out before, as long as the clock does not go back by a second."""
        stamp = int(self._clock() * _SECOND)
        if stamp <= self._last < stamp + _SECOND:
            stamp = self._last + 1
        self._last = stamp
        return stamp


class NonceSeries:
    """The nonces of one realm and algorithm.

    ``secret`` is at least 16 octets of entropy, the same for all series of a server.
    """

    def __init__(self, secret: bytes, realm: str, algorithm: str, clock: NonceClock) -> None:
        if len(secret) < 16:
            raise ValueError("a nonce secret has at least 16 octets")
        key = hmac.digest(secret, octets(f"{algorithm}\0{realm}"), "sha256")
        self._mac = hashlib.blake2s(key=key, digest_size=_MAC_OCTETS)
        self._clock = clock

    def issue(self) -> str:
        """A fresh nonce."""
        stamp = f"{self._clock.stamp():014x}"
        mac = self._mac.copy()
        mac.update(stamp.encode())
        return stamp + mac.hexdigest()

    def issued(self, nonce: str) -> int:
        """When ``nonce`` was issued, in the clock's microseconds; :data:`FOREIGN` when it is not ours."""
        if len(nonce) != NONCE_LENGTH or not nonce.isascii():
            return FOREIGN
        stamp = nonce[:_STAMP_DIGITS]
        mac = self._mac.copy()
        mac.update(stamp.encode())
        if not hmac.compare_digest(stamp + mac.hexdigest(), nonce):
            return FOREIGN
        return int(stamp, 16)  # The MAC says that we wrote these digits.
