"""The stock authenticators against the contract of all authenticators."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from sipframe.auth.authenticator import DigestAuthenticator
from sipframe.auth.bearer.authenticator import BearerAuthenticator
from sipframe.auth.bearer.key_set import KeySet, parse_key_set
from sipframe.auth.bearer.settings import BearerSettings
from sipframe.auth.certificate import CertificateAuthenticator
from sipframe.auth.chain import Chain
from sipframe.auth.settings import DigestSettings
from sipframe.auth.trusted import TrustedNetworks
from sipframe.domains import Domains
from sipframe.testing.contracts import Ask, AuthenticatorContract, Proof, StillFlow, digest_proof
from sipframe.testing.contracts.digest_client import register
from sipframe.verdicts import Address
from tests.auth.bearer.issuer import AUDIENCE, ISSUER, claims, jwks, signer
from tests.auth.bearer.issuer import NOW as ISSUED
from tests.auth.server import Users
from tests.auth.test_certificate import NOW as VALID
from tests.auth.test_certificate import made, uri

DOMAINS = Domains(["example.com"])
BOBS = frozenset(["sip:bob@example.com"])


class TestDigest(AuthenticatorContract):
    settings = DigestSettings()

    def open_authenticator(self, place: Path) -> Any:
        return DigestAuthenticator(
            Users({"bob": "zanzibar", "alice": "wonderland"}),
            domains=["example.com"],
            secret=bytes(range(32)),
            clock=self.reactor.seconds,
            settings=self.settings,
        )

    def good_request(self, ask: Ask) -> Proof:
        return digest_proof(ask, "bob", "zanzibar")


class TestStrictDigest(TestDigest):
    examples = 8
    settings = DigestSettings.strict(qop=("auth-int", "auth"))


class Keys:
    """The issuer's keys, always at hand."""

    def __init__(self) -> None:
        self.set = parse_key_set(jwks(signer("EC", "old"), signer("RSA", "r1")))

    def held(self) -> KeySet | None:
        return self.set

    def newer(self) -> Any:
        return None

    def close(self) -> None:
        return None


class TestBearer(AuthenticatorContract):
    covers_method = False
    covers_uri = False
    refuses_replay = False
    kind: ClassVar[tuple[str, str]] = ("EC", "old")

    def open_authenticator(self, place: Path) -> BearerAuthenticator:
        settings = BearerSettings(issuer=ISSUER, audience=(AUDIENCE,))
        return BearerAuthenticator(settings, Keys(), DOMAINS, realm="example.com", wall_clock=lambda: ISSUED)

    def good_request(self, ask: Ask) -> Proof:
        token = signer(*self.kind).token(claims())
        request = register("example.com", "bob", fields=[("Authorization", f"Bearer {token}")])
        return Proof(request, StillFlow("TLS"), "bob@example.com", BOBS, token.rpartition(".")[2])


class TestBearerWithRSA(TestBearer):
    examples = 8
    kind: ClassVar[tuple[str, str]] = ("RSA", "r1")


class OfTheFlow(AuthenticatorContract):
    """Where the flow is the proof, it is one for all that is sent on it."""

    covers_method = False
    covers_uri = False
    refuses_replay = False


class TestCertificate(OfTheFlow):
    def open_authenticator(self, place: Path) -> CertificateAuthenticator:
        return CertificateAuthenticator(DOMAINS, lambda: VALID.timestamp() + 60)

    def good_request(self, ask: Ask) -> Proof:
        flow = StillFlow("TLS", peer_certificate=made(uri("sip:bob@example.com")))
        return Proof(register("example.com", "bob"), flow, "sip:bob@example.com", BOBS)


class TestTrustedNetworks(OfTheFlow):
    believes_claims = True

    def open_authenticator(self, place: Path) -> TrustedNetworks:
        return TrustedNetworks(["192.0.2.0/24", "2001:db8::/32"], DOMAINS)

    def good_request(self, ask: Ask) -> Proof:
        flow = StillFlow("TCP", Address("192.0.2.77", 5060))
        return Proof(register("example.com", "bob"), flow, "sip:bob@example.com", BOBS)


class TestChainOfCertificateAndDigest(TestDigest):
    examples = 8

    def open_authenticator(self, place: Path) -> Chain:
        certificate = CertificateAuthenticator(DOMAINS, lambda: VALID.timestamp() + 60)
        return Chain([certificate, super().open_authenticator(place)])


class TestChainOfBearerAndDigest(TestDigest):
    examples = 8

    def open_authenticator(self, place: Path) -> Chain:
        return Chain([TestBearer().open_authenticator(place), super().open_authenticator(place)])
