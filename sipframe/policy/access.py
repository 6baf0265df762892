"""Whom to let in: by network, method, domain, User-Agent and transport.

Rules: within one policy conditions of several kinds must all hold, and of several values of one kind any will do.
``deny`` refuses what fits, ``allow`` what does not; both look at every request, ACK and CANCEL excepted, before anybody
has proved anything. So a domain is the one that a request is about, never the one that it claims to be from: that of To
in a REGISTER, which names the bindings (RFC 3261 10.3 step 5), else that of the Request-URI. From is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs

from sipframe.domains import Domains
from sipframe.interfaces import IFlow
from sipframe.message import MessageError, SipURI
from sipframe.policy.base import BasePolicy
from sipframe.policy.glob import Glob
from sipframe.policy.networks import Networks
from sipframe.seams import refusal_line
from sipframe.verdicts import Admitted, Rejected

if TYPE_CHECKING:
    from sipframe.message import Request

__all__ = ["Allow", "Conditions", "Deny", "Refusal"]

_ADMITTED: Final = Admitted()
_TRANSPORTS: Final = ("UDP", "TCP", "TLS", "WS", "WSS")

Condition = Callable[["Request", IFlow], bool]


def _network(_: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    try:
        _ = Networks(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None


def _method(_: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    for method in value:
        if not method or method != method.upper():
            # RFC 3261 7.1: methods have case, so this one would never be met.
            raise ValueError(f"{attribute.name}: {method!r} is none; methods are in upper case")


def _transport(_: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    for transport in value:
        if transport.upper() not in _TRANSPORTS:
            raise ValueError(f"{attribute.name}: {transport!r} is none of {', '.join(_TRANSPORTS).lower()}")


@attrs.frozen(kw_only=True)
class Conditions:
    """What requests are told apart by. An empty condition is none; one at least is needed."""

    network: Annotated[tuple[str, ...], "where it comes from: 192.0.2.0/24, 2001:db8::/32, one address"] = (
        attrs.field(default=(), validator=_network)
    )
    method: Annotated[tuple[str, ...], "such as REGISTER, OPTIONS"] = attrs.field(
        default=(), validator=_method
    )
    domain: Annotated[tuple[str, ...], "the domain it is about, aliases included"] = ()
    user_agent: Annotated[
        tuple[str, ...], "its User-Agent; * is any text, case does not count, empty is without"
    ] = ()
    transport: Annotated[tuple[str, ...], "udp, tcp, tls"] = attrs.field(default=(), validator=_transport)

    def __attrs_post_init__(self) -> None:
        if not any(attrs.astuple(self)):
            raise ValueError("one condition at least: network, method, domain, user-agent or transport")

    def compiled(self, domains: Domains | None = None) -> Condition:
        """Whether all of them hold for a request. ``domains`` knows aliases of domains that are served."""
        tests: list[Condition] = []
        if self.transport:
            transports = frozenset([transport.upper() for transport in self.transport])
            tests.append(lambda request, flow: flow.transport in transports)
        if self.method:
            methods = frozenset(self.method)
            tests.append(lambda request, flow: request.method in methods)
        if self.network:
            networks = Networks(self.network)
            tests.append(lambda request, flow: flow.peer.host in networks)
        if self.domain:
            known = domains or Domains(())
            names = frozenset([_domain(known, name) for name in self.domain])
            tests.append(lambda request, flow: _domain_of(known, request) in names)
        if self.user_agent:
            globs = [Glob(pattern) for pattern in self.user_agent]
            tests.append(lambda request, flow: _fits(globs, request))
        return tests[0] if len(tests) == 1 else _all(tests)


def _all(tests: list[Condition]) -> Condition:
    def holds(request: Request, flow: IFlow) -> bool:
        for test in tests:  # noqa: SIM110 - half the time of all()
            if not test(request, flow):
                return False
        return True

    return holds


def _status(_: object, __: object, value: int) -> None:
    _ = refusal_line(Rejected(value, ""))


def _reason(_: object, __: object, value: str) -> None:
    _ = refusal_line(Rejected(403, value))


@attrs.frozen(kw_only=True)
class Refusal:
    """What those who may not come in are told (RFC 3261 21.4.4)."""

    status: Annotated[int, "the answer to those who may not, 400 to 699"] = attrs.field(
        default=403, validator=_status
    )
    reason: Annotated[str, "its reason phrase"] = attrs.field(default="Forbidden", validator=_reason)


class Deny(BasePolicy):
    """Refuses what fits ``conditions``."""

    def __init__(
        self, conditions: Conditions, refusal: Refusal | None = None, *, domains: Domains | None = None
    ) -> None:
        refusal = Refusal() if refusal is None else refusal
        self._fits = conditions.compiled(domains)
        self._refusal = Rejected(refusal.status, refusal.reason)

    def admit(self, request: Request, flow: IFlow) -> Admitted | Rejected:
        """Let in what does not fit."""
        return self._refusal if self._fits(request, flow) else _ADMITTED


class Allow(Deny):
    """Refuses what does not fit ``conditions``."""

    def admit(self, request: Request, flow: IFlow) -> Admitted | Rejected:
        """Let in what fits."""
        return _ADMITTED if self._fits(request, flow) else self._refusal


def _domain(known: Domains, name: str) -> str:
    return known.domain_of(name) or name.strip("[]").rstrip(".").lower()


def _domain_of(known: Domains, request: Request) -> str | None:
    try:
        uri = request.to.uri if request.method == "REGISTER" else request.uri
    except MessageError:
        return None  # a request that cannot be read is about no domain; its 400 comes later
    return _domain(known, uri.host) if isinstance(uri, SipURI) else None


def _fits(globs: list[Glob], request: Request) -> bool:
    agent = (request.first("user-agent") or "").lower()
    return any(glob.matches(agent) for glob in globs)
