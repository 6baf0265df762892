"""The arithmetic of Digest: HA1, response, rspauth and userhash (RFC 7616 3.4, RFC 8760 2).

Rules: pure functions from text and octets to lower-case hex. Nothing here knows a nonce's meaning, compares
anything or raises on what a peer sent: text is hashed as the octets it came from (UTF-8 with surrogateescape).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

__all__ = [
    "ALGORITHMS",
    "BASE_ALGORITHMS",
    "Algorithm",
    "ha1",
    "octets",
    "response",
    "rspauth",
    "session_ha1",
    "userhash",
]


_REMEMBERED_LENGTH: Final = 128


class Algorithm(NamedTuple):
    """One value of the ``algorithm`` parameter (RFC 7616 3.3, RFC 8760 2.7)."""

    name: str
    base: str
    """The name without ``-sess``: what HA1 is kept by."""
    session: bool
    size: int
    """Hex digits of a digest: 32 or 64 (RFC 8760 2.2)."""
    digest: Callable[[bytes], str]
    digest_a2: Callable[[str], str]
    """The digest of a short ``method:uri``, which phones send the same again and again: it is remembered."""


def _hashing(fresh: Any) -> Callable[[bytes], str]:
    # A copy of a hash that has read nothing is a good deal faster than a new one with its keyword arguments.
    copy: Callable[[], Any] = fresh.copy

    def digest(data: bytes) -> str:
        state = copy()
        state.update(data)
        text: str = state.hexdigest()
        return text

    return digest


def _remembering(digest: Callable[[bytes], str]) -> Callable[[str], str]:
    return lru_cache(maxsize=1024)(lambda text: digest(octets(text)))


_BASES: Final[tuple[tuple[str, int, Callable[[bytes], str]], ...]] = (
    ("MD5", 32, _hashing(hashlib.md5(usedforsecurity=False))),
    ("SHA-256", 64, _hashing(hashlib.sha256())),
    # FIPS 180-4's own initial values; RFC 7616 3.9.2 prints SHA-512 cut short, which is another function.
    ("SHA-512-256", 64, _hashing(hashlib.new("sha512_256"))),
)

ALGORITHMS: Final[dict[str, Algorithm]] = {
    name: Algorithm(name, base, session, size, digest, digest_a2)
    for base, size, digest in _BASES
    for digest_a2 in (_remembering(digest),)
    for name, session in ((base, False), (f"{base}-sess", True))
}
"""Every algorithm, by its name as the RFC writes it."""

BASE_ALGORITHMS: Final[tuple[Algorithm, ...]] = tuple(ALGORITHMS[base] for base, _, _ in _BASES)
"""Those that an HA1 is kept for."""


def octets(text: str) -> bytes:
    """The octets that ``text`` was read from."""
    return text.encode("utf-8", "surrogateescape")


def ha1(algorithm: Algorithm, username: str, realm: str, password: str) -> str:
    """H(username:realm:password), the same for a ``-sess`` form (RFC 7616 3.4.2)."""
    return algorithm.digest(octets(f"{username}:{realm}:{password}"))


def session_ha1(algorithm: Algorithm, plain_ha1: str, nonce: str, cnonce: str) -> str:
    """The session key that a ``-sess`` algorithm puts in the place of HA1 (RFC 7616 3.4.2)."""
    return algorithm.digest(octets(f"{plain_ha1}:{nonce}:{cnonce}"))


def userhash(algorithm: Algorithm, username: str, realm: str) -> str:
    """H(username:realm), which a client may send instead of its name (RFC 7616 3.4.4)."""
    return algorithm.digest(octets(f"{username}:{realm}"))


def response(
    algorithm: Algorithm,
    key: str,
    method: str,
    uri: str,
    nonce: str,
    nc: str = "",
    cnonce: str = "",
    qop: str = "",
    body: bytes = b"",
) -> str:
    """The ``response`` parameter (RFC 7616 3.4.1, 3.4.3).

    ``key`` is HA1, or the session key for a ``-sess`` algorithm. ``nc``, ``cnonce`` and ``qop`` are hashed as they
    were sent; an empty ``qop`` gives the form of RFC 2069 (RFC 3261 22.4). ``body`` counts for ``auth-int`` only.
    """
    a2 = f"{method}:{uri}"
    if qop != "auth" and qop.lower() == "auth-int":
        ha2 = algorithm.digest(octets(f"{a2}:{algorithm.digest(body)}"))
    else:
        ha2 = algorithm.digest_a2(a2) if len(a2) <= _REMEMBERED_LENGTH else algorithm.digest(octets(a2))
    kd = f"{key}:{nonce}:{nc}:{cnonce}:{qop}:{ha2}" if qop else f"{key}:{nonce}:{ha2}"
    return algorithm.digest(kd.encode("utf-8", "surrogateescape"))


def rspauth(
    algorithm: Algorithm, key: str, uri: str, nonce: str, nc: str, cnonce: str, qop: str, body: bytes = b""
) -> str:
    """What proves the server to the client: a response with no method, over the answer's body (RFC 7616 3.5)."""
    return response(algorithm, key, "", uri, nonce, nc, cnonce, qop, body)
