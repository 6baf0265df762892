"""For whom a request is relayed, and who has to prove something first (RFC 3261 16.3 step 6, 22.3, 26.3.1.3).

Rules, in this order; whoever has to prove who they are and does not is refused:

- What follows a Route that we signed for its dialog passes, when it comes by the flow that the Route names and from
  whom it was signed for, or claims no domain of ours. It gets to where that Route leads, and no further, unless that
  side has proved something, or is one of ours (:mod:`sipframe.proxy.here`).
- A From in a domain of ours must be proved: who sent the request owns that AOR.
- What goes to a domain of ours, and by no Route of others, passes; or must be proved, or is refused, as it is set.
- What goes to a domain that we stand in front of passes.
- Everything else needs somebody who has an account here: there is no open relay.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple

__all__ = ["Must", "Standing", "must"]


class Must(Enum):
    """What has to be done before a request is relayed."""

    NOTHING = "nothing"
    PROVE = "prove"
    BE_REFUSED = "be refused"


class Standing(NamedTuple):
    """What of a request the rules look at."""

    follows: bool
    """It follows a Route that we made, and signed for its Call-ID."""
    by_flow: bool
    """It came by the flow that the first such Route names, from whom that was signed for."""
    claims: bool
    """Its From is in a domain of ours."""
    inbound: bool
    """Its Request-URI is in a domain of ours, and no Route of others is left."""
    in_front: bool
    """Its Request-URI is in a domain that we stand in front of, and no Route of others is left."""


def must(standing: Standing, strangers: Literal["pass", "authenticate", "refuse"]) -> tuple[Must, str]:
    """What is to be done, and why, for a record."""
    if standing.follows:
        if standing.by_flow:
            return Must.NOTHING, "it follows our Route, by the flow that the Route names"
        if not standing.claims:
            return Must.NOTHING, "it follows our Route"
    if standing.claims:
        return Must.PROVE, "From is in a domain that is served here"
    if standing.inbound:
        if strangers == "pass":
            return Must.NOTHING, "it goes to a domain that is served here"
        if strangers == "refuse":
            return Must.BE_REFUSED, "it comes from another domain"
        return Must.PROVE, "it comes from another domain"
    if standing.in_front:
        return Must.NOTHING, "it goes to a domain that this server stands in front of"
    return Must.PROVE, "it goes from one other domain to another"
