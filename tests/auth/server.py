"""An authenticator under test, and a source for it."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock
from zope.interface import implementer

from sipframe.auth import digest
from sipframe.auth.authenticator import DigestAuthenticator
from sipframe.auth.settings import DigestSettings
from sipframe.auth.userhash import IUserhashSource
from sipframe.interfaces import ICredentialSource, IFlow
from sipframe.verdicts import Accepted, Challenge
from tests.auth import client

FLOW = cast(IFlow, None)  # Digest does not look at it.
BOTH = DigestSettings(algorithms=("SHA-256", "MD5"))
EVERYTHING = DigestSettings(algorithms=tuple(client.ALGORITHMS), qop=("auth", "auth-int"), userhash=True)


@implementer(ICredentialSource, IUserhashSource)
class Users:
    """A source of passwords that keeps what it was asked."""

    def __init__(self, users: dict[str, object] | None = None) -> None:
        self.users = {"bob": "zanzibar"} if users is None else users
        self.asked: list[tuple[str, str, str]] = []

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        self.asked.append((username, realm, algorithm))
        return self.users.get(username)

    def username(self, userhash: str, realm: str, algorithm: str) -> object:
        for name in self.users:
            if digest.userhash(digest.ALGORITHMS[algorithm], name, realm) == userhash:
                return name
        return None


class Server:
    """An authenticator with a clock turned by hand."""

    def __init__(
        self, settings: DigestSettings | None = None, source: object = None, **arguments: Any
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.source = Users() if source is None else source
        self.authenticator = DigestAuthenticator(
            self.source,
            **{
                "domains": ["example.com"],
                "realm": "atlanta.example.com",
                "secret": bytes(range(32)),
                "clock": self.clock.seconds,
                "settings": settings,
                **arguments,
            },
        )

    def ask(self, *authorization: str | bytes, **request: Any) -> object:
        return self.authenticator.authenticate(client.request(*authorization, **request), FLOW)

    def challenged(self, index: int = 0) -> dict[str, str]:
        return client.challenge_of(self.ask(), index)

    def accepts(self, params: dict[str, str], **request: Any) -> Accepted:
        verdict = self.ask(client.written(params), **request)
        assert isinstance(verdict, Accepted), verdict
        return verdict

    def challenges(self, params: dict[str, str], **request: Any) -> tuple[bool, str]:
        verdict = self.ask(client.written(params), **request)
        assert isinstance(verdict, Challenge), verdict
        return verdict.stale, verdict.reason
