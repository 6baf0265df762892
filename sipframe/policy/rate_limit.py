"""How much one source and one AOR may ask.

Rules: a source (an IPv4 address, an IPv6 /64) is counted before anybody has proved anything, an AOR only for those who
have, so that nobody uses up what belongs to somebody else; who asks about an AOR that is not theirs uses up their own.
A UDP source can be forged and a connection cannot: they are counted apart. Retransmissions that a transaction absorbs,
ACK and CANCEL do not count. A first challenge and the answer to it are two requests.

A source that asks too much gets 503 with Retry-After: "the server" is not to be asked anything by that client for so
long (RFC 3261 21.5.4, RFC 5626 4.2.1). For one AOR that would be too much, since the client may be a proxy with many
others behind it: 500 with Retry-After is about this request (RFC 3261 21.5.1, 20.33). SIP's 429 means something else
(RFC 3892).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs

from sipframe.interfaces import IFlow
from sipframe.policy.base import BasePolicy
from sipframe.policy.buckets import TokenBuckets
from sipframe.policy.networks import source_of
from sipframe.verdicts import Admitted, Identity, Rejected, Terms

if TYPE_CHECKING:
    from sipframe.message import Request

__all__ = ["RateLimit", "RateLimits", "retry_after"]

_ADMITTED: Final = Admitted()


def _rate(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name}: must be 0 (no limit) or more, not {value}")


def _at_least_one(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if value < 1:
        raise ValueError(f"{attribute.name}: must be 1 or more, not {value}")


@attrs.frozen(kw_only=True)
class RateLimits:
    """Rates and bursts, and how much is remembered."""

    address_rate: Annotated[float, "requests a second from one address or IPv6 /64; 0 is no limit"] = (
        attrs.field(default=50.0, validator=_rate)
    )
    address_burst: Annotated[int, "how many at once: an office behind one NAT registers anew"] = attrs.field(
        default=1000, validator=_at_least_one
    )
    aor_rate: Annotated[float, "authenticated REGISTERs a second for one AOR; 0 is no limit"] = attrs.field(
        default=1.0, validator=_rate
    )
    aor_burst: Annotated[int, "how many at once"] = attrs.field(default=30, validator=_at_least_one)
    most: Annotated[int, "addresses, and AORs, that are counted on their own; others share"] = attrs.field(
        default=100_000, validator=_at_least_one
    )


class RateLimit(BasePolicy):
    """Counts requests. ``clock`` gives seconds; ``salt`` (anything secret) hides who shares with whom at the bound."""

    def __init__(
        self, limits: RateLimits | None = None, *, clock: Callable[[], float], salt: Hashable = 0
    ) -> None:
        limits = RateLimits() if limits is None else limits
        self._clock = clock
        self._datagrams = _buckets(limits.address_rate, limits.address_burst, limits.most, salt)
        self._connections = _buckets(limits.address_rate, limits.address_burst, limits.most, salt)
        self._aors = _buckets(limits.aor_rate, limits.aor_burst, limits.most, salt)

    def admit(self, request: Request, flow: IFlow) -> Admitted | Rejected:
        """Refuse what one source asks too much."""
        buckets = self._datagrams if flow.transport == "UDP" else self._connections
        if buckets is None:
            return _ADMITTED
        wait = buckets.take(source_of(flow.peer.host), self._clock())
        return Rejected(503, "Too Many Requests", retry_after(wait)) if wait else _ADMITTED

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> Terms | Rejected:
        """Refuse what is too much for one AOR."""
        if self._aors is None:
            return terms
        # Ownership is looked at after the policies. A NUL is in no AOR.
        key = aor if aor in identity.aors else f"{identity.realm}\0{identity.name}"
        wait = self._aors.take(key, self._clock())
        return Rejected(500, "Too Many Registrations", retry_after(wait)) if wait else terms


def _buckets(rate: float, burst: int, most: int, salt: Hashable) -> TokenBuckets | None:
    return TokenBuckets(rate, burst, most=most, salt=salt) if rate else None


def retry_after(seconds: float) -> tuple[tuple[str, str], ...]:
    """The field that says when to come back; whole seconds, one at least (RFC 3261 20.33)."""
    return (("Retry-After", str(max(1, math.ceil(seconds)))),)
