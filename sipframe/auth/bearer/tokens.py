"""Tokens: signed JWTs, possibly encrypted (RFC 7519, RFC 7515, RFC 7516, RFC 8725).

Rules: nothing in a token is believed before its signature is right, and then only what the algorithms on our list say
with keys of our own; keys that a token brings or points to (``jwk``, ``jku``, ``x5c``, ``x5u``) are not looked at. What
encrypts a token proves nothing: the signed one must be inside. ``exp`` must be there. **No error and no reason holds
any part of a token.**
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from math import isfinite
from typing import Any, Final, NamedTuple

from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from sipframe.auth.bearer.key_set import VerificationKey

__all__ = [
    "ENCRYPTION",
    "Decryption",
    "Header",
    "InvalidToken",
    "check_claims",
    "header_of",
    "verified_claims",
]

ENCRYPTION: Final = frozenset(
    {"RSA-OAEP-256", "RSA-OAEP", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"}
    | {"A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"}
)
"""How a token may be encrypted for us (RFC 7518 4.1, 5.1): with a public key, authenticated and not compressed."""

_BROKEN: Final = (JoseError, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError)
"""What the libraries raise over octets that an attacker chose."""


class InvalidToken(Exception):
    """It proves nothing; the message is for the log and holds no part of it. ``error`` is for the wire (RFC 8898 4)."""

    def __init__(self, reason: str, error: str = "invalid_token") -> None:
        super().__init__(reason)
        self.error = error


class Header(NamedTuple):
    """What a token says about its signature."""

    algorithm: str
    kid: str | None


class _Signatures(JWSRegistry):
    """The list of algorithms decides, not the library's opinion on what is in fashion (it warns of EdDSA)."""

    max_header_length = 4096

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()):
            raise InvalidToken("an algorithm that is not allowed")
        return self.algorithms[name]


def header_of(token: str, algorithms: Collection[str]) -> Header:
    """Which key and algorithm a signed token names. Raises InvalidToken."""
    encoded = token.partition(".")[0]
    if token.count(".") != 2 or len(encoded) > _Signatures.max_header_length:
        raise InvalidToken("no signed JWT")
    try:
        header = json.loads(urlsafe_b64decode(encoded.encode()))
    except _BROKEN:
        raise InvalidToken("no signed JWT") from None
    if not isinstance(header, dict):
        raise InvalidToken("no signed JWT")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise InvalidToken("an algorithm that is not allowed")  # RFC 8725 3.1
    if "crit" in header or "b64" in header:
        raise InvalidToken("a critical header parameter")  # RFC 7515 4.1.11: none is understood here
    if kid is not None and not isinstance(kid, str):
        raise InvalidToken("a kid that is no text")
    return Header(algorithm, kid)


def verified_claims(token: str, header: Header, keys: Iterable[VerificationKey]) -> Mapping[str, Any]:
    """The claims of a token that one of ``keys`` has signed. Raises InvalidToken."""
    registry = _Signatures(algorithms=(header.algorithm,), strict_check_header=False)
    for key in keys:
        try:
            payload = jws.deserialize_compact(token, key, registry=registry).payload
        except _BROKEN:
            continue
        return _claims(payload)
    raise InvalidToken("a wrong signature")


def _claims(payload: bytes | None) -> Mapping[str, Any]:
    try:
        claims = json.loads(payload or b"", parse_constant=_no_constant)
    except _BROKEN:
        raise InvalidToken("claims that are no JSON") from None
    if not isinstance(claims, dict):
        raise InvalidToken("claims that are no object")
    return claims


def _no_constant(name: str) -> object:
    raise ValueError(name)  # NaN is neither before nor after anything


def check_claims(
    claims: Mapping[str, Any],
    *,
    issuer: str,
    audience: Collection[str],
    scope: Collection[str],
    now: float,
    leeway: float,
) -> tuple[float, float]:
    """From when till when a token is good (RFC 7519 4.1), wall-clock seconds with the leeway. Raises InvalidToken."""
    until = _time(claims, "exp")
    since = _time(claims, "nbf") if "nbf" in claims else 0.0
    if until is None or since is None:
        raise InvalidToken("no time when it ends, or times that are no numbers")
    if now >= until + leeway:
        raise InvalidToken("expired")
    if now < since - leeway:
        raise InvalidToken("not valid yet")
    if claims.get("iss") != issuer:
        raise InvalidToken("another issuer")
    if not _texts(claims.get("aud")) & set(audience):
        raise InvalidToken("another audience")
    granted = claims.get("scope", "")
    if not _texts(granted.split(" ") if isinstance(granted, str) else granted) >= set(scope):
        raise InvalidToken("a scope that does not suffice", "invalid_scope")
    return since - leeway, until + leeway


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:
        return None


def _texts(value: object) -> set[str]:
    values = value if isinstance(value, list) else [value]
    return {one for one in values if isinstance(one, str)}


class Decryption:
    """Our private keys, for tokens that were encrypted for us (RFC 8898 5): ``octets`` are a JWK Set or one PEM key.

    Raises ValueError when they are neither.
    """

    def __init__(self, octets: bytes) -> None:
        self._keys = _private_keys(octets)
        self._registry = JWERegistry(algorithms=ENCRYPTION, strict_check_header=False)

    def opened(self, token: str) -> str:
        """The signed token inside. Raises InvalidToken."""
        try:
            plaintext = jwe.decrypt_compact(token, self._keys, registry=self._registry).plaintext
            return (plaintext or b"").decode("ascii")
        except _BROKEN:
            raise InvalidToken("it cannot be decrypted") from None

    def __repr__(self) -> str:
        return "<Decryption>"


def _private_keys(octets: bytes) -> KeySet | RSAKey | ECKey:
    try:
        if b"-----BEGIN" in octets:
            key: RSAKey | ECKey
            try:
                key = RSAKey.import_key(octets)
            except _BROKEN:
                key = ECKey.import_key(octets)
            keys: KeySet | RSAKey | ECKey = key
            everyone: list[Any] = [key]
        else:
            keys = KeySet.import_key_set(json.loads(octets))
            everyone = list(keys)
    except _BROKEN:
        raise ValueError("neither a JWK Set nor a PEM key without a passphrase") from None
    if not everyone or not all(
        isinstance(key, RSAKey | ECKey | OKPKey) and key.is_private for key in everyone
    ):
        raise ValueError("there is a key in it that is no private one")
    return keys
