"""The keys that tokens are verified with: a JWK Set (RFC 7517), read with care.

Rules: only public keys of RSA, of the NIST curves and Ed25519 are taken, of private keys the public half. A symmetric
key never is, nor one that is meant for encryption. What is not understood is left out (RFC 7517 5); a set of which
nothing is left is none. **A key serves the algorithms of its own kind and no other**, whatever a token says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import base64_to_int

__all__ = ["ALGORITHMS", "LARGEST", "KeySet", "VerificationKey", "parse_key_set"]

VerificationKey: TypeAlias = RSAKey | ECKey | OKPKey

LARGEST: Final = 256 * 1024
"""Octets that a JWK Set may have."""
_MOST_KEYS: Final = 200
_RSA_BITS: Final = range(2048, 8193)
"""Weaker ones prove nothing, larger ones cost too much."""

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_BY_CURVE: Final[Mapping[object, tuple[str, ...]]] = MappingProxyType(
    {"P-256": ("ES256",), "P-384": ("ES384",), "P-521": ("ES512",), "Ed25519": ("EdDSA", "Ed25519")}
)
ALGORITHMS: Final = (*_RSA, *(name for names in _BY_CURVE.values() for name in names))
"""Of signatures, as JWS has them (RFC 7518 3.1, RFC 8037 3.1, RFC 9864 2.2): none of them is symmetric."""


@attrs.frozen(eq=False)
class KeySet:
    """Public keys by algorithm and ``kid``. Two sets are never equal: each reading is another one."""

    by_kid: Mapping[tuple[str, str], tuple[VerificationKey, ...]] = attrs.field(repr=False)
    """Algorithm and kid; a key without a kid has "" here."""
    by_algorithm: Mapping[str, tuple[VerificationKey, ...]] = attrs.field(repr=False)

    def candidates(self, algorithm: str, kid: str | None) -> tuple[VerificationKey, ...]:
        """The keys that a token with this header may be signed with.

        A token that names a key is verified with that key only; one that names none, when there is no choice.
        """
        if kid is not None:
            return self.by_kid.get((algorithm, kid), ())
        keys = self.by_algorithm.get(algorithm, ())
        return keys if len(keys) == 1 else ()


def parse_key_set(octets: bytes) -> KeySet:
    """Read a JWK Set. Raises ValueError when it is none, or none with a key for us."""
    if len(octets) > LARGEST:
        raise ValueError(f"it has more than {LARGEST} octets")
    try:
        document = json.loads(octets)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it is no JWK Set: there is no list of keys in it")
    if len(entries) > _MOST_KEYS:
        raise ValueError(f"it has more than {_MOST_KEYS} keys")
    by_kid: dict[tuple[str, str], tuple[VerificationKey, ...]] = {}
    by_algorithm: dict[str, tuple[VerificationKey, ...]] = {}
    for entry in entries:
        found = _key(entry) if isinstance(entry, dict) else None
        if found is None:
            continue
        key, algorithms = found
        kid = entry.get("kid", "")
        for algorithm in algorithms:
            by_algorithm[algorithm] = (*by_algorithm.get(algorithm, ()), key)
            if isinstance(kid, str):
                by_kid[algorithm, kid] = (*by_kid.get((algorithm, kid), ()), key)
    if not by_algorithm:
        raise ValueError("it has no key that a signature could be verified with")
    return KeySet(MappingProxyType(by_kid), MappingProxyType(by_algorithm))


def _key(entry: dict[str, Any]) -> tuple[VerificationKey, tuple[str, ...]] | None:
    """The key, and what it may verify; None for a key that is none of ours."""
    if entry.get("use", "sig") != "sig":
        return None
    operations = entry.get("key_ops")
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return None
    kind = entry.get("kty")
    algorithms: tuple[str, ...] = _RSA
    try:
        key: VerificationKey
        if kind == "RSA":
            if base64_to_int(entry["n"]).bit_length() not in _RSA_BITS:
                return None
            key = RSAKey.import_key(_only(entry, "n", "e"))
        elif kind == "EC":
            algorithms = _BY_CURVE.get(entry.get("crv"), ())
            key = ECKey.import_key(_only(entry, "crv", "x", "y"))
        elif kind == "OKP":
            algorithms = _BY_CURVE.get(entry.get("crv"), ())
            key = OKPKey.import_key(_only(entry, "crv", "x"))
        else:
            return None
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if "alg" in entry:
        algorithms = tuple([name for name in algorithms if name == entry["alg"]])
    return (key, algorithms) if algorithms else None


def _only(entry: dict[str, Any], *names: str) -> Any:
    return {"kty": entry["kty"], **{name: entry[name] for name in names}}
