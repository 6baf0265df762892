"""A policy that only watches another one: what it would have said, and where that would have made a difference.

Rules: the candidate is asked all that a policy is asked, and its verdict is never applied. Nothing waits for it: the
request goes on at once. What it raises, and an answer that does not come in time, are reported as a difference, since
they would have been a 500 or 503. At most so many answers are awaited; beyond that it is not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from zope.interface import implementer

from sipframe.events import Events
from sipframe.interfaces import ICloseable, IFlow, IPolicy
from sipframe.policy.base import BasePolicy
from sipframe.seams import Seam, refusal_for, refusal_line
from sipframe.verdicts import Admitted, Identity, Rejected, Routing, Terms

if TYPE_CHECKING:
    from sipframe.message import Request

__all__ = ["Shadow"]

_ADMITTED: Final = Admitted()


class _Question(NamedTuple):
    """What the candidate was asked. ``given`` is None when it was asked to admit."""

    method: str
    call_id: str
    aor: str
    given: Terms | Routing | None


@implementer(ICloseable)
class Shadow(BasePolicy):
    """Asks ``candidate`` (an IPolicy) and publishes ``sipframe.policy.differs``, with its ``name``.

    ``seam`` is how it is asked, with a deadline; ``most_awaited`` is how many answers may be awaited at once.
    ``skipped`` counts what was not asked because of that.
    """

    def __init__(
        self, candidate: IPolicy, *, name: str, events: Events, seam: Seam, most_awaited: int = 100
    ) -> None:
        if most_awaited < 1:
            raise ValueError(f"most_awaited: must be 1 or more, not {most_awaited}")
        self._candidate = candidate
        self._name = name
        self._events = events
        self._seam = seam
        self._most_awaited = most_awaited
        self._awaited = 0
        self._closed = False
        self.skipped = 0

    def admit(self, request: Request, flow: IFlow) -> Admitted:
        """Let it in, whatever the candidate says."""
        self._ask(
            self._candidate.admit,
            (request, flow),
            _Question("admit", request.first("call-id") or "", "", None),
        )
        return _ADMITTED

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> Terms:
        """Leave the terms as they are, whatever the candidate says."""
        question = _Question("registration", request.first("call-id") or "", aor, terms)
        self._ask(self._candidate.registration, (request, aor, identity, terms), question)
        return terms

    def route(self, request: Request, identity: Identity | None, routing: Routing) -> Routing:
        """Leave the routing as it is, whatever the candidate says."""
        question = _Question("route", request.first("call-id") or "", routing.aor, routing)
        self._ask(self._candidate.route, (request, identity, routing), question)
        return routing

    def _ask(self, method: Callable[..., object], arguments: tuple[object, ...], question: _Question) -> None:
        if self._awaited >= self._most_awaited:
            self.skipped += 1
            return
        self._awaited += 1
        self._seam.ask(method, arguments, question, self._answered, self._failed)

    def _answered(self, question: _Question, verdict: object) -> None:
        given = question.given
        if type(verdict) is Rejected:
            status, reason = refusal_line(verdict, 599 if type(given) is Terms else 699)
            self._publish(question, "Rejected", status, reason, {})
        elif given is not None and type(verdict) is type(given):
            before = given._asdict()
            changed = {field: value for field, value in verdict._asdict().items() if value != before[field]}
            if changed:
                self._publish(question, type(verdict).__name__, 0, "", changed)
        elif type(verdict) is not Admitted or given is not None:
            raise TypeError("not what an IPolicy gives")
        self._awaited -= 1

    def _failed(self, question: _Question, method: object, error: BaseException) -> None:
        self._awaited -= 1
        status, reason, _ = refusal_for(error)
        self._publish(question, type(error).__name__, status, reason, {})

    def _publish(
        self, question: _Question, verdict: str, status: int, reason: str, changed: dict[str, object]
    ) -> None:
        if self._events.wanted and not self._closed:
            self._events.publish(
                "sipframe.policy.differs",
                policy=self._name,
                method=question.method,
                verdict=verdict,
                status=status,
                reason=reason,
                terms=changed if verdict == "Terms" else {},
                routing=changed if verdict == "Routing" else {},
                aor=question.aor,
                call_id=question.call_id,
            )

    def close(self) -> None:
        """Wait for no answer any more."""
        self._closed = True
        self._seam.stop()
