"""Authenticators to try the contract on: one that keeps it, and many that each break one rule."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from sipframe.auth.authenticator import DigestAuthenticator
from sipframe.interfaces import IAuthenticator, IFlow
from sipframe.message import Request, SipURI
from sipframe.verdicts import Accepted, Identity, Rejected
from tests.auth.server import Users


def identity(name: str, aor: str | None = None) -> Identity:
    return Identity(name, "example.com", frozenset((aor or f"sip:{name}@example.com",)))


def credential(request: Request, name: str) -> str:
    """A parameter of the first credentials; empty without."""
    return request.credentials[0].params.get(name, "") if request.credentials else ""


@implementer(IAuthenticator)
class House:
    """Digest for alice and bob."""

    def __init__(self, reactor: IReactorTime) -> None:
        clock: Callable[[], float] = reactor.seconds
        users = Users({"alice": "wonderland", "bob": "zanzibar"})
        self.reactor = reactor
        self.digest = DigestAuthenticator(users, domains=["example.com"], secret=bytes(32), clock=clock)

    def authenticate(self, request: Request, flow: IFlow) -> object:
        return self.digest.authenticate(request, flow)


class Slow(House):
    """The same, later."""

    async def authenticate(self, request: Request, flow: IFlow) -> object:
        answer: Deferred[None] = Deferred()
        self.reactor.callLater(0.1, answer.callback, None)
        await answer
        return self.digest.authenticate(request, flow)


# Those that break a rule.


class Trusting(House):
    """Who has no credentials is who they say they are."""

    def authenticate(self, request: Request, flow: IFlow) -> object:
        if not request.all("authorization"):
            uri = request.from_.uri
            if isinstance(uri, SipURI) and request.method == "OPTIONS":
                return Accepted(identity("alice"))
        return super().authenticate(request, flow)


class Forgiving(House):
    """Alice is let in with any password."""

    def authenticate(self, request: Request, flow: IFlow) -> object:
        verdict = super().authenticate(request, flow)
        if not isinstance(verdict, (Accepted, Rejected)) and credential(request, "username") == "alice":
            return Accepted(identity("alice"))
        return verdict


class Forgetful(House):
    """What was good once is good again."""

    def __init__(self, reactor: IReactorTime) -> None:
        super().__init__(reactor)
        self.good: dict[str, object] = {}

    def authenticate(self, request: Request, flow: IFlow) -> object:
        value = request.first("authorization") or ""
        if value in self.good:
            return self.good[value]
        verdict = super().authenticate(request, flow)
        if isinstance(verdict, Accepted):
            self.good[value] = verdict
        return verdict


class Raises(House):
    """Somebody else will have looked at the credentials."""

    def authenticate(self, request: Request, flow: IFlow) -> object:
        _ = [one.params["username"] for one in request.credentials]
        return super().authenticate(request, flow)


class Shrugs(House):
    """What it does not understand it says nothing about."""

    def authenticate(self, request: Request, flow: IFlow) -> object:
        verdict = super().authenticate(request, flow)
        return None if isinstance(verdict, Rejected) else verdict


class Shouts(House):
    """Its AORs are as people write them."""

    def authenticate(self, request: Request, flow: IFlow) -> object:
        verdict = super().authenticate(request, flow)
        if isinstance(verdict, Accepted):
            return Accepted(identity("alice", "sip:alice@EXAMPLE.com"))
        return verdict


class AnyMethod(House):
    """A proof for REGISTER is one for OPTIONS."""

    def authenticate(self, request: Request, flow: IFlow) -> object:
        if request.method == "OPTIONS" and credential(request, "username") == "alice":
            return Accepted(identity("alice"))
        return super().authenticate(request, flow)


class FollowsTo(House):
    """Who has proved anything is whoever To says."""

    def authenticate(self, request: Request, flow: IFlow) -> object:
        verdict = super().authenticate(request, flow)
        if isinstance(verdict, Accepted) and isinstance(request.to.uri, SipURI):
            return Accepted(identity(request.to.uri.user or ""))
        return verdict


class Echoes(House):
    """It tells what was wrong, in the words of whoever sent it."""

    def authenticate(self, request: Request, flow: IFlow) -> object:
        verdict = super().authenticate(request, flow)
        if isinstance(verdict, Rejected):
            return Rejected(
                403, "Forbidden", (("Warning", f"399 x {request.first('authorization')}\r\nX: y"),)
            )
        return verdict


class Says700(House):
    """No such status."""

    def authenticate(self, request: Request, flow: IFlow) -> object:
        verdict = super().authenticate(request, flow)
        return verdict if isinstance(verdict, Accepted) else Rejected(700, "No")


class Scribbles(House):
    """It marks what it has seen."""

    def authenticate(self, request: Request, flow: IFlow) -> object:
        request.lines.append("X-Seen: yes")
        return super().authenticate(request, flow)
