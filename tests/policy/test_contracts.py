"""The stock policies against the contract of all policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from sipframe.domains import Domains
from sipframe.events import Events
from sipframe.interfaces import IFlow
from sipframe.message import Request
from sipframe.policy import (
    Allow,
    BackOff,
    BackOffSettings,
    BasePolicy,
    Conditions,
    Deny,
    RateLimit,
    RateLimits,
    Refusal,
    RegistrationTerms,
    Shadow,
    TermsChange,
    Via,
)
from sipframe.seams import Seam
from sipframe.testing.contracts import PolicyContract
from sipframe.verdicts import Admitted, Rejected

DOMAINS = Domains(["example.com"], {"sip.example.com": "example.com"})


class TestBase(PolicyContract):
    deterministic = True

    def open_policy(self, place: Path) -> BasePolicy:
        return BasePolicy()


class TestDeny(PolicyContract):
    deterministic = True

    def open_policy(self, place: Path) -> Deny:
        conditions = Conditions(
            network=("192.0.2.0/24", "fe80::/10"), domain=("example.com",), user_agent=("*x*", "")
        )
        return Deny(conditions, Refusal(), domains=DOMAINS)


class TestAllow(PolicyContract):
    deterministic = True

    def open_policy(self, place: Path) -> Allow:
        conditions = Conditions(method=("REGISTER",), transport=("tls",), domain=("sip.example.com",))
        return Allow(conditions, Refusal(), domains=DOMAINS)


class TestTerms(PolicyContract):
    deterministic = True
    widens = True

    def open_policy(self, place: Path) -> RegistrationTerms:
        return RegistrationTerms(
            TermsChange(max_expires=600, max_contacts=2),
            domains={"example.com": {"min-expires": 300}},
            users={"alice@example.com": {"default-expires": 10_000, "third-party": True}},
            served=DOMAINS,
        )


class TestRateLimit(PolicyContract):
    most: ClassVar[int] = 300

    def open_policy(self, place: Path) -> RateLimit:
        limits = RateLimits(address_rate=1.0, address_burst=2, aor_rate=1.0, aor_burst=2, most=100)
        return RateLimit(limits, clock=self.reactor.seconds)

    def size(self, policy: RateLimit) -> int:
        return sum(
            len(one) for one in (policy._datagrams, policy._connections, policy._aors) if one is not None
        )


class TestVia(PolicyContract):
    deterministic = True

    def open_policy(self, place: Path) -> Via:
        return Via(to="sip:192.0.2.7;transport=tcp", user="*a*")


class TestViaForEverybody(PolicyContract):
    deterministic = True

    def open_policy(self, place: Path) -> Via:
        return Via(to="sips:gateway.example.com", always=True)


class Fails(BackOff):
    """Every request is followed by news of its failure, or every third of its success."""

    def __init__(self, events: Events, **arguments: Any) -> None:
        super().__init__(BackOffSettings(allowed=1, address_allowed=2, most=50), events=events, **arguments)
        self.events = events
        self.asked = 0

    def admit(self, request: Request, flow: IFlow) -> Admitted | Rejected:
        verdict = super().admit(request, flow)
        self.asked += 1
        about: dict[str, Any] = {"peer": flow.peer, "aor": self._aor(request)}
        if self.asked % 3:
            self.events.publish("sipframe.registrar.challenged", reason="wrong digest", **about)
        else:
            self.events.publish("sipframe.registrar.bound", **about)
        return verdict


class TestBackOff(PolicyContract):
    most: ClassVar[int] = 250

    def open_policy(self, place: Path) -> BackOff:
        return Fails(Events(), reactor=self.reactor, wall_clock=self.reactor.seconds, domains=DOMAINS)

    def size(self, policy: BackOff) -> int:
        kept: tuple[Any, ...] = (policy._pairs, policy._sources, policy._proven, policy._held)
        return sum(map(len, kept))


class TestShadow(PolicyContract):
    deterministic = True

    def open_policy(self, place: Path) -> Shadow:
        candidate: Any = TestDeny().open_policy(place)
        return Shadow(candidate, name="deny", events=Events(), seam=Seam(self.reactor, 5.0))
