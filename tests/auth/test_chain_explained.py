"""Several authenticators in the whole server: each behind its guard, and a step of its own in the record."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import implementer

from sipframe.interfaces import IAuthenticator, IFlow
from sipframe.message import Request
from sipframe.testing import Server

HERE = "tests.auth.test_chain_explained"
TRUSTED = "trusted:networks=10.0.0.0/8"


@implementer(IAuthenticator)
class Hanging:
    """Never answers."""

    def authenticate(self, request: Request, flow: IFlow) -> object:
        return Deferred()


@implementer(IAuthenticator)
class Lying:
    """Gives what is no verdict."""

    def authenticate(self, request: Request, flow: IFlow) -> object:
        return True


def steps(server: Server) -> list[tuple[str, str, str]]:
    """Of the newest decision: what was asked, the verdict and the reason."""
    decision = next(iter(server.service.decisions))
    return [(step.asked, step.verdict, step.reason) for step in decision.steps]


def test_each_says_its_own() -> None:
    with Server(authenticator=[TRUSTED, "digest"], users={"alice": "secret"}) as server:
        phone = server.phone("sip:alice@example.com", password="wrong", transport="tcp")
        assert phone.register().status == 401
        asked = {name: (verdict, reason) for name, verdict, reason in steps(server)}
        assert asked["TrustedNetworks.authenticate"] == ("Abstained", "not from a trusted network")
        assert asked["DigestAuthenticator.authenticate"] == ("Challenge", "wrong digest")
        assert asked["Chain.authenticate"] == ("Challenge", "wrong digest")


def test_what_one_does_wrong_is_its_own_failure_and_lets_nobody_in() -> None:
    for name, status in (("Hanging", 503), ("Lying", 500)):
        with Server(authenticator=[f"{HERE}.{name}", "digest"], users={"alice": "secret"}) as server:
            phone = server.phone("sip:alice@example.com", password="secret", transport="tcp")
            assert phone.register().status == status
            assert f"{name}.authenticate" in {event.fields.get("plugin") for event in server.events}
            assert not server.bindings("sip:alice@example.com")
            assert "DigestAuthenticator.authenticate" not in {asked for asked, _, _ in steps(server)}
