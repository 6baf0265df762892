"""The stock policies as they are chosen by name (``sipframe/plugins/stock.py`` has the names)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from sipframe.domains import Domains
from sipframe.interfaces import IPolicy
from sipframe.policy.access import Allow, Conditions, Deny, Refusal
from sipframe.policy.back_off import BackOff, BackOffSettings
from sipframe.policy.rate_limit import RateLimit, RateLimits
from sipframe.policy.shadow import Shadow
from sipframe.policy.terms import RegistrationTerms, TermsChange
from sipframe.seams import Seam
from sipframe.surroundings import Surroundings

__all__ = ["allow", "back_off", "deny", "rate_limit", "shadow", "terms"]


def terms(
    change: TermsChange,
    *,
    domain: Annotated[tuple[str, ...], "only for AORs of these domains"] = (),
    user: Annotated[tuple[str, ...], "only for these AORs: bob@example.com"] = (),
    domains: Annotated[Mapping[str, Any] | None, "terms by domain"] = None,
    users: Annotated[Mapping[str, Any] | None, "terms by user"] = None,
    surroundings: Surroundings,
) -> RegistrationTerms:
    """Registration terms for a domain, a user or everybody; only what is given changes."""
    return RegistrationTerms(
        change, domain=domain, user=user, domains=domains, users=users, served=_domains(surroundings)
    )


def allow(conditions: Conditions, refusal: Refusal, *, surroundings: Surroundings) -> Allow:
    """Let in only what fits all the conditions."""
    return Allow(conditions, refusal, domains=_domains(surroundings))


def deny(conditions: Conditions, refusal: Refusal, *, surroundings: Surroundings) -> Deny:
    """Refuse what fits all the conditions."""
    return Deny(conditions, refusal, domains=_domains(surroundings))


def rate_limit(limits: RateLimits, *, surroundings: Surroundings) -> RateLimit:
    """Token buckets for each address and each AOR."""
    return RateLimit(limits, clock=surroundings.reactor.seconds, salt=surroundings.entropy(16))


def back_off(settings: BackOffSettings, *, surroundings: Surroundings) -> BackOff:
    """Hold up who fails to authenticate, longer each time."""
    return BackOff(
        settings,
        reactor=surroundings.reactor,
        wall_clock=surroundings.wall_clock,
        domains=_domains(surroundings),
        events=surroundings.events,
    )


def shadow(
    *,
    policy: Annotated[str, "the candidate, as behind --policy; its colons as \\:"],
    deadline: Annotated[float, "seconds that its answer is awaited"] = 5.0,
    most_awaited: Annotated[int, "answers that are awaited at once; beyond that it is not asked"] = 100,
    surroundings: Surroundings,
) -> Shadow:
    """Ask a candidate and report where it differs; never do what it says."""
    if not deadline > 0:
        raise ValueError(f"deadline: must be more than 0, not {deadline}")
    return Shadow(
        surroundings.plug_in(IPolicy, policy),
        name=policy,
        events=surroundings.events,
        seam=Seam(surroundings.reactor, deadline),
        most_awaited=most_awaited,
    )


def _domains(surroundings: Surroundings) -> Domains:
    return Domains(surroundings.domains, surroundings.aliases)
