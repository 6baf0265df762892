"""An authorization server for tests: keys, JWK Sets and tokens, made from RFC 7515 and 7518 with cryptography alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

NOW = 1_772_000_000.0
ISSUER = "https://idp.example.net/realm"
AUDIENCE = "sip.example.com"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encoded(value: object) -> str:
    return b64(json.dumps(value, allow_nan=True).encode())


def number(value: int, size: int | None = None) -> str:
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Signer:
    """One key pair: ``kind`` is RSA, EC or OKP."""

    def __init__(self, kind: str, kid: str | None, size: int = 2048) -> None:
        self.kind = kind
        self.kid = kid
        self.key: Any
        if kind == "RSA":
            self.key = rsa.generate_private_key(65537, size)
            numbers = self.key.public_key().public_numbers()
            self.jwk = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        elif kind == "EC":
            self.key = ec.generate_private_key(ec.SECP256R1())
            point = self.key.public_key().public_numbers()
            self.jwk = {"kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32)}
        else:
            self.key = ed25519.Ed25519PrivateKey.generate()
            self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(self.key.public_key().public_bytes_raw())}
        if kid is not None:
            self.jwk["kid"] = kid

    @property
    def algorithm(self) -> str:
        return {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}[self.kind]

    @property
    def pem(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        pem: bytes = self.key.public_key().public_bytes(serialization.Encoding.PEM, form)
        return pem

    @property
    def private_pem(self) -> bytes:
        none = serialization.NoEncryption()
        pem: bytes = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none
        )
        return pem

    def signature(self, data: bytes) -> bytes:
        if self.kind == "RSA":
            signature: bytes = self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        elif self.kind == "EC":
            r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        else:
            signature = self.key.sign(data)
        return signature

    def signed(self, claims: object, header: Mapping[str, object] | None = None) -> str:
        """A token; ``header`` adds to the usual one, None takes something away."""
        whole: dict[str, object] = {"alg": self.algorithm, "typ": "at+jwt", "kid": self.kid, **(header or {})}
        start = (
            f"{encoded({key: value for key, value in whole.items() if value is not None})}.{encoded(claims)}"
        )
        return f"{start}.{b64(self.signature(start.encode()))}"

    def token(self, header: Mapping[str, object] | None = None, **changes: object) -> str:
        return self.signed(claims(**changes), header)


def claims(**changes: object) -> dict[str, object]:
    """Good claims of bob; None takes one away."""
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "bob@example.com",
        "exp": NOW + 600,
        "iat": NOW - 5,
        **changes,
    }
    return {key: value for key, value in good.items() if value is not None}


@cache
def signer(kind: str, kid: str | None = None) -> Signer:
    """A key pair that all tests share."""
    return Signer(kind, kid)


def jwks(*entries: Signer | dict[str, Any]) -> bytes:
    return json.dumps({"keys": [one.jwk if isinstance(one, Signer) else one for one in entries]}).encode()
