from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.auth.bearer.key_set import LARGEST, parse_key_set
from tests.auth.bearer.issuer import Signer, b64, jwks, number, signer

RSA = signer("RSA", "r1")
EC = signer("EC", "e1")
OKP = signer("OKP", "o1")


def algorithms(entry: dict[str, Any]) -> set[str]:
    """What a key is used for; another one is beside it, so that the set is one."""
    found = parse_key_set(jwks(entry, signer("OKP", "beside")))
    return {algorithm for algorithm, kid in found.by_kid if kid == entry.get("kid", "")}


def test_a_key_serves_the_algorithms_of_its_kind() -> None:
    assert algorithms(RSA.jwk) == {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
    assert algorithms(EC.jwk) == {"ES256"}
    assert algorithms(OKP.jwk) == {"EdDSA", "Ed25519"}
    assert algorithms({**RSA.jwk, "alg": "RS256"}) == {"RS256"}
    assert algorithms({**RSA.jwk, "use": "sig", "key_ops": ["verify"], "x5t": "abc"}) == algorithms(RSA.jwk)


@pytest.mark.parametrize(
    "entry",
    [
        {**RSA.jwk, "use": "enc"},
        {**RSA.jwk, "key_ops": ["encrypt"]},
        {**RSA.jwk, "key_ops": "verify"},
        {**RSA.jwk, "alg": "HS256"},
        {**RSA.jwk, "alg": "ES256"},
        {**RSA.jwk, "kty": "oct", "k": b64(b"secret" * 8)},
        {**RSA.jwk, "kty": "AKP"},
        {**RSA.jwk, "kty": ["RSA"]},
        {**RSA.jwk, "n": "!"},
        {**RSA.jwk, "n": 7},
        {**RSA.jwk, "e": number(4)},
        {**Signer("RSA", "weak", 1024).jwk},
        {**RSA.jwk, "n": number(2**10_000 + 1)},
        {**EC.jwk, "x": number(5, 32)},
        {**EC.jwk, "crv": "secp256k1"},
        {**EC.jwk, "crv": ["P-256"]},
        {**EC.jwk, "crv": "P-384"},
        {**OKP.jwk, "crv": "X25519"},
        {**OKP.jwk, "x": b64(b"short")},
        {"kty": "EC", "kid": "nothing"},
        {},
    ],
)
def test_others_are_left_out(entry: dict[str, Any]) -> None:
    entry = {**entry, "kid": "other"}
    assert algorithms(entry) == set()


def test_a_private_key_lends_its_public_half() -> None:
    secret = OKP.key.private_bytes_raw()
    found = parse_key_set(jwks({**OKP.jwk, "d": b64(secret)}))
    (key,) = found.candidates("EdDSA", "o1")
    assert not key.is_private


def test_candidates() -> None:
    other = signer("RSA", "r2")
    keys = parse_key_set(jwks(RSA, other, EC, OKP))
    assert len(keys.candidates("RS256", "r1")) == 1
    assert keys.candidates("RS256", "r1") != keys.candidates("RS256", "r2")
    assert keys.candidates("ES256", "r1") == ()  # a kid does not change what a key is for
    assert keys.candidates("HS256", "r1") == ()
    assert keys.candidates("RS256", "unknown") == ()
    assert keys.candidates("RS256", None) == ()  # there is a choice
    assert len(keys.candidates("ES256", None)) == 1


def test_no_secret_is_in_its_repr() -> None:
    assert RSA.jwk["n"] not in repr(parse_key_set(jwks(RSA)))


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no JWK Set"),
        (b"{}", "no JWK Set"),
        (b'{"keys": {}}', "no JWK Set"),
        (b'{"keys": []}', "no key"),
        (b'{"keys": [1, null, "a", {}]}', "no key"),
        (json.dumps({"keys": [{}] * 201}).encode(), "more than 200"),
        (b" " * (LARGEST + 1), "octets"),
    ],
)
def test_what_is_no_set(octets: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_key_set(octets)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = st.sampled_from(["kty", "n", "e", "crv", "x", "y", "use", "key_ops", "alg", "kid", "d"])


@given(st.sampled_from([RSA.jwk, EC.jwk, OKP.jwk]), st.dictionaries(MEMBERS, JSON, min_size=1, max_size=3))
def test_it_never_raises_anything_else(good: dict[str, Any], changes: dict[str, Any]) -> None:
    try:
        parse_key_set(jwks({**good, **changes}))
    except ValueError:
        pass
