"""The digest authenticator against the contract of all authenticators."""

from __future__ import annotations

from pathlib import Path

from sipframe.auth.authenticator import DigestAuthenticator
from sipframe.auth.settings import DigestSettings
from sipframe.testing.contracts import Ask, AuthenticatorContract, Proof, digest_proof
from tests.auth.server import Users


class TestDigest(AuthenticatorContract):
    settings = DigestSettings()

    def open_authenticator(self, place: Path) -> DigestAuthenticator:
        return DigestAuthenticator(
            Users({"bob": "zanzibar", "alice": "wonderland"}),
            domains=["example.com"],
            secret=bytes(range(32)),
            clock=self.reactor.seconds,
            settings=self.settings,
        )

    def good_request(self, ask: Ask) -> Proof:
        return digest_proof(ask, "bob", "zanzibar")


class TestStrict(TestDigest):
    settings = DigestSettings.strict(qop=("auth-int", "auth"))
