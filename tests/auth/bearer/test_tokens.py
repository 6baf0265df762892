"""What a token has to be, and every trick that has been played on those who believe one (RFC 8725 2)."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import ECKey, RSAKey

from sipframe.auth.bearer.key_set import parse_key_set
from sipframe.auth.bearer.tokens import Decryption, InvalidToken, check_claims, header_of, verified_claims
from tests.auth.bearer.issuer import AUDIENCE, ISSUER, NOW, Signer, b64, claims, encoded, jwks, signer

RSA, EC, OKP = signer("RSA", "r1"), signer("EC", "e1"), signer("OKP", "o1")
KEYS = parse_key_set(jwks(RSA, EC, OKP))
ALGORITHMS = ("RS256", "ES256", "EdDSA")


def read(token: str) -> Any:
    """The claims of a token that is good for the keys above."""
    header = header_of(token, ALGORITHMS)
    return verified_claims(token, header, KEYS.candidates(*header))


def refused(token: str) -> str:
    with pytest.raises(InvalidToken) as caught:
        read(token)
    assert caught.value.error == "invalid_token"
    for part in token.split("."):
        assert len(part) < 8 or part not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("one", [RSA, EC, OKP], ids=lambda one: one.algorithm)
def test_a_signed_token(one: Signer) -> None:
    assert read(one.token()) == claims()
    assert refused(one.token()[:-6] + "AAAAAA") == "a wrong signature"
    start, _, signature = one.token().rpartition(".")
    head, _, _ = start.partition(".")
    assert refused(f"{head}.{encoded(claims(sub='alice@example.com'))}.{signature}") == "a wrong signature"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_no_signature_is_no_proof(algorithm: str) -> None:
    start = f"{encoded({'alg': algorithm, 'kid': 'r1'})}.{encoded(claims())}"
    for signature in ("", b64(b"x"), RSA.token().rpartition(".")[2]):
        assert refused(f"{start}.{signature}") == "an algorithm that is not allowed"
    assert refused(RSA.token().rpartition(".")[0] + ".") == "a wrong signature"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_no_password(algorithm: str) -> None:
    start = f"{encoded({'alg': algorithm, 'kid': 'r1'})}.{encoded(claims())}"
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    for secret in (RSA.pem, RSA.pem.strip(), json.dumps(RSA.jwk).encode(), b""):
        mac = hmac.new(secret, start.encode(), digest).digest()
        assert refused(f"{start}.{b64(mac)}") == "an algorithm that is not allowed"


def test_an_algorithm_that_is_not_on_the_list() -> None:
    token = RSA.token()
    with pytest.raises(InvalidToken, match="not allowed"):
        header_of(token, ("ES256",))


def test_a_key_of_another_kind_verifies_nothing() -> None:
    # The kid of the RSA key over a signature of the EC key, and the other way round.
    assert refused(EC.token({"kid": "r1"})) == "a wrong signature"
    assert refused(RSA.token({"kid": "e1"})) == "a wrong signature"
    assert refused(EC.token({"alg": "RS256"})) == "a wrong signature"


@pytest.mark.parametrize(
    "kid", ["unknown", "../../../../dev/null", "' OR 1=1 --", "r1\0", "R1", "", "https://evil.example/jwks"]
)
def test_a_kid_chooses_among_our_keys_and_nothing_else(kid: str) -> None:
    assert refused(RSA.token({"kid": kid})) == "a wrong signature"


@pytest.mark.parametrize("kid", [1, True, ["r1"], {"r1": 1}])
def test_a_kid_is_text(kid: object) -> None:
    assert refused(RSA.token({"kid": kid})) == "a kid that is no text"


def test_keys_that_a_token_brings_are_not_looked_at() -> None:
    mallory = Signer("EC", "e1")
    for header in (
        {"jwk": mallory.jwk},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/cert"},
        {"x5c": [b64(b"certificate")]},
        {"jwk": mallory.jwk, "kid": None},
    ):
        assert refused(mallory.token(header)) == "a wrong signature"
        # An honest issuer may say them.
        assert read(EC.token({**header, "kid": "e1"})) == claims()


def test_critical_parameters_are_not_understood() -> None:
    assert refused(RSA.token({"crit": ["exp"], "exp": NOW})) == "a critical header parameter"
    assert refused(RSA.token({"crit": ["b64"], "b64": False})) == "a critical header parameter"
    assert refused(RSA.token({"b64": False})) == "a critical header parameter"
    assert refused(RSA.token({"crit": []})) == "a critical header parameter"


def test_an_elliptic_signature_of_zeros() -> None:
    start = EC.token().rpartition(".")[0]
    for signature in (b"\0" * 64, b"\0" * 63, b"", b"\0" * 8, EC.key.sign(start.encode(), _ecdsa())):
        assert refused(f"{start}.{b64(signature)}") == "a wrong signature"


def _ecdsa() -> Any:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.ECDSA(hashes.SHA256())  # in DER, as JWS does not have it


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "....",
        "a.b.c",
        "opaque-reference-token",
        f"{encoded([])}.{encoded({})}.",
        f"{encoded('alg')}.{encoded({})}.",
        f"{encoded(7)}.{encoded({})}.",
        f"{encoded(None)}.{encoded({})}.",
        f"{b64(b'[' * 3000)}.{encoded({})}.",
        f"{b64(b'{' * 9000)}.{encoded({})}.",
        f"{b64(bytes([0xFF]) * 30)}.{encoded({})}.",
        f"{encoded({'alg': 'RS256', 'kid': 'x' * 9000})}.{encoded({})}.",
        "ünïcöde.ä.b",
    ],
)
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(InvalidToken):
        read(token)


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"1", b"null", b"{", b'{"exp": NaN}', b'{"exp": Infinity}', b"[" * 2000, b"\xff"]
)
def test_claims_that_are_none(payload: bytes) -> None:
    start = f"{encoded({'alg': 'EdDSA', 'kid': 'o1'})}.{b64(payload)}"
    token = f"{start}.{b64(OKP.signature(start.encode()))}"
    assert refused(token).startswith("claims that are no")


@given(st.text(st.characters(codec="utf-8"), max_size=60) | st.text("aeyJ0.-_=", max_size=60))
def test_nonsense_is_invalid_and_nothing_worse(token: str) -> None:
    with pytest.raises(InvalidToken):
        read(token)


@given(
    st.sampled_from([RSA, EC, OKP]),
    st.integers(0, 2000),
    st.characters(codec="ascii"),
)
def test_no_character_of_a_token_can_be_changed(one: Signer, at: int, character: str) -> None:
    token = one.token()
    at %= len(token)
    changed = token[:at] + character + token[at + 1 :]
    if changed != token:
        with pytest.raises(InvalidToken):
            read(changed)


def check(
    *,
    audience: tuple[str, ...] = (AUDIENCE,),
    scope: tuple[str, ...] = (),
    leeway: float = 30.0,
    **changes: Any,
) -> Any:
    return check_claims(
        claims(**changes), issuer=ISSUER, audience=audience, scope=scope, now=NOW, leeway=leeway
    )


class TestClaims:
    def test_when_a_token_is_good(self) -> None:
        assert check() == (-30.0, NOW + 630)
        assert check(nbf=NOW, exp=NOW + 1.5) == (NOW - 30, NOW + 31.5)
        assert check(nbf=NOW + 30, exp=NOW - 29) == (NOW, NOW + 1)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"exp": None}, "no time"),
            ({"exp": "soon"}, "no time"),
            ({"exp": str(int(NOW + 600))}, "no time"),
            ({"exp": True}, "no time"),
            ({"exp": [NOW + 600]}, "no time"),
            ({"exp": float("nan")}, "no time"),
            ({"exp": float("inf")}, "no time"),
            ({"exp": 10**400}, "no time"),
            ({"nbf": "now"}, "no time"),
            ({"exp": NOW - 30}, "expired"),
            ({"exp": 0}, "expired"),
            ({"exp": -(10**300)}, "expired"),
            ({"nbf": NOW + 31}, "not valid yet"),
            ({"iss": None}, "another issuer"),
            ({"iss": ISSUER + "/"}, "another issuer"),
            ({"iss": ISSUER.upper()}, "another issuer"),
            ({"iss": [ISSUER]}, "another issuer"),
            ({"aud": None}, "another audience"),
            ({"aud": "other"}, "another audience"),
            ({"aud": ["other", 7]}, "another audience"),
            ({"aud": {AUDIENCE: 1}}, "another audience"),
            ({"aud": f"{AUDIENCE} other"}, "another audience"),
            ({"aud": []}, "another audience"),
        ],
    )
    def test_when_it_is_not(self, changes: dict[str, Any], reason: str) -> None:
        with pytest.raises(InvalidToken, match=reason) as caught:
            check(**changes)
        assert caught.value.error == "invalid_token"

    def test_audiences(self) -> None:
        assert check(aud=["other", AUDIENCE])
        assert check(audience=("a", AUDIENCE))

    @pytest.mark.parametrize("granted", ["sip", "openid sip register", ["register", "sip"]])
    def test_a_scope_that_suffices(self, granted: object) -> None:
        assert check_claims(
            claims(scope=granted), issuer=ISSUER, audience=(AUDIENCE,), scope=("sip",), now=NOW, leeway=0
        )

    @pytest.mark.parametrize("granted", [None, "", "SIP", "siphon", 7, {"sip": 1}, ["openid"]])
    def test_a_scope_that_does_not(self, granted: object) -> None:
        with pytest.raises(InvalidToken, match="scope") as caught:
            check_claims(
                claims(scope=granted), issuer=ISSUER, audience=(AUDIENCE,), scope=("sip",), now=NOW, leeway=0
            )
        assert caught.value.error == "invalid_scope"  # RFC 8898 4


class TestEncryption:
    """RFC 8898 5: tokens that proxies on the way cannot read."""

    @pytest.mark.parametrize(
        ("kind", "algorithm", "encryption"),
        [
            ("RSA", "RSA-OAEP-256", "A256GCM"),
            ("RSA", "RSA-OAEP", "A128CBC-HS256"),
            ("EC", "ECDH-ES", "A128GCM"),
        ],
    )
    @pytest.mark.parametrize("pem", [True, False])
    def test_the_signed_token_is_inside(self, kind: str, algorithm: str, encryption: str, pem: bool) -> None:
        ours = signer(kind, "ours")
        token = self.encrypted(OKP.token(), ours, algorithm, encryption)
        decryption = Decryption(ours.private_pem if pem else self.private_jwks(ours))
        assert read(decryption.opened(token)) == claims()

    def test_an_encrypted_token_alone_proves_nothing(self) -> None:
        ours = signer("EC", "ours")
        opened = Decryption(ours.private_pem).opened(
            self.encrypted(json.dumps(claims()), ours, "ECDH-ES", "A128GCM")
        )
        assert refused(opened) == "no signed JWT"

    def test_nor_one_that_was_encrypted_twice(self) -> None:
        ours = signer("EC", "ours")
        once = self.encrypted(OKP.token(), ours, "ECDH-ES", "A128GCM")
        twice = self.encrypted(once, ours, "ECDH-ES", "A128GCM")
        assert refused(Decryption(ours.private_pem).opened(twice)) == "no signed JWT"

    def test_other_keys_and_algorithms_do_not_open_it(self) -> None:
        ours, other = signer("RSA", "ours"), signer("RSA", "r2")
        decryption = Decryption(ours.private_pem)
        good = self.encrypted(OKP.token(), ours, "RSA-OAEP-256", "A256GCM")
        broken = [
            self.encrypted(OKP.token(), other, "RSA-OAEP-256", "A256GCM"),
            good[:-4] + "AAAA",
            good.replace(".", "..", 1),
            f"{encoded({'alg': 'RSA1_5', 'enc': 'A256GCM'})}.{good.partition('.')[2]}",
            f"{encoded({'alg': 'dir', 'enc': 'A256GCM'})}.{good.partition('.')[2]}",
            f"{encoded({'alg': 'PBES2-HS256+A128KW', 'enc': 'A256GCM', 'p2c': 10**9, 'p2s': 'a'})}...",
            f"{encoded({'alg': 'RSA-OAEP-256', 'enc': 'A256GCM', 'zip': 'DEF'})}.{good.partition('.')[2]}",
            f"{encoded([])}....",
            "....",
        ]
        for token in broken:
            with pytest.raises(InvalidToken, match="cannot be decrypted"):
                decryption.opened(token)

    @pytest.mark.parametrize(
        "octets",
        [
            b"",
            b"{}",
            b'{"keys": []}',
            b"-----BEGIN",
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            RSA.pem,
            jwks(RSA),
            jwks({"kty": "oct", "k": b64(b"secret" * 8), "kid": "s"}),
        ],
    )
    def test_only_private_keys_decrypt(self, octets: bytes) -> None:
        with pytest.raises(ValueError):
            Decryption(octets)

    def test_no_key_is_in_its_repr(self) -> None:
        assert repr(Decryption(signer("EC", "ours").private_pem)) == "<Decryption>"

    def encrypted(self, text: str, to: Signer, algorithm: str, encryption: str) -> str:
        kinds: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey}
        key = kinds[to.kind].import_key(to.jwk)
        header = {"alg": algorithm, "enc": encryption, "cty": "JWT", "kid": to.kid}
        return jwe.encrypt_compact(header, text, key, algorithms=[algorithm, encryption])

    def private_jwks(self, one: Signer) -> bytes:
        kinds: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey}
        key = kinds[one.kind].import_key(one.private_pem, {"kid": one.kid})
        return jwks(key.as_dict(private=True))
