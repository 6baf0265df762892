"""The best response of those that the branches brought (RFC 3261 16.7 steps 6 and 7).

Rules: a 6xx before all; else the lowest class; in it what helps to send the request again; else the first that came.
What says the least comes last in its class: 487 and 408 in 4xx, 503 in 5xx. The challenges of all branches go into
one answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sipframe.message import Response
from sipframe.proxy.actions import Respond

__all__ = ["Outcome", "best"]

_HELPS: Final = frozenset((401, 407, 415, 420, 484))
_WITHIN: Final = {**dict.fromkeys(_HELPS, -1), 487: 1, 408: 2, 503: 1}
_CHALLENGES: Final = (("www-authenticate", "WWW-Authenticate"), ("proxy-authenticate", "Proxy-Authenticate"))


class Outcome(NamedTuple):
    """How a branch ended: with ``response``, or, without one, as if a response with ``status`` had come."""

    status: int
    response: Response | None = None
    contacts: tuple[str, ...] | None = None
    """The Contact values that are left, when some were taken out (RFC 3261 16.7 step 4)."""


def best(outcomes: Sequence[Outcome]) -> Respond:
    """The answer that ``outcomes`` (at least one, none of them 2xx) make together."""
    chosen = outcomes[0] if len(outcomes) == 1 else min(outcomes, key=_rank)
    status, response, contacts = chosen
    if status == 503:
        # RFC 3261 16.7 step 6: a 503 would say that nobody at all can be reached by us.
        return Respond(500, None, True)
    challenges: tuple[str, ...] = ()
    if status in (401, 407) and len(outcomes) > 1:
        challenges = _challenges(outcomes, chosen)
    return Respond(status, response, True, challenges, contacts)


def _rank(outcome: Outcome) -> tuple[int, int]:
    status = outcome.status
    kind = status // 100
    return 0 if kind == 6 else kind, _WITHIN.get(status, 0)


def _challenges(outcomes: Sequence[Outcome], chosen: Outcome) -> tuple[str, ...]:
    """The challenges of all 401 and 407 but ``chosen``, as they came (RFC 3261 16.7 step 7)."""
    return tuple(
        [
            f"{spelled}: {value}"
            for outcome in outcomes
            if outcome.status in (401, 407) and outcome is not chosen and outcome.response is not None
            for name, spelled in _CHALLENGES
            for value in outcome.response.all(name)
        ]
    )
