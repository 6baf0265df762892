"""The registrar's driver: RFC 3261 10.3 step by step, one method a step.

Rules: the domain first, then each plug-in once and in this order: authenticator, policies, store; ownership is looked
at when the policies have given their terms. What changes bindings is answered 200 only after the store has said that
the change is durable. When the store does not say so in time the answer is 503, and what it does later stands: it is
what the client asked for, and whoever comes next plans on a fresh look-up. REGISTERs for one AOR are carried out in the
order in which they got as far as the store (10.3): while one waits there the next ones wait for it. Nothing that a
plug-in does wrong lets anyone in. When a request is gone before its answer, whoever is asked about it is asked no
longer; but a change that the store has been handed is carried out, and waited for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from sipframe.decisions import Detail, RawStep, cut
from sipframe.domains import Domains
from sipframe.events import Events
from sipframe.gruu import Gruus
from sipframe.interfaces import IFlow
from sipframe.message import MessageError, Request, SipURI
from sipframe.registrar.explain import owned, planned_text, terms_changed
from sipframe.registrar.flow_bindings import FlowBindings
from sipframe.registrar.own_uri import against_own_uri
from sipframe.registrar.plan import Plan, Refusal, Registration, plan, registration_of
from sipframe.registrar.removal import MOST_RACES, Removals, Store
from sipframe.registrar.settings import RegistrarSettings
from sipframe.registrar.success import Success
from sipframe.registrar.turns import IDLE, QUEUED, Turns
from sipframe.roads import flow_text
from sipframe.seams import GuardedMethod, Inquiry, NotAsked, Seam, field_lines, refusal_for, refusal_line
from sipframe.transaction import ServerTransaction
from sipframe.verdicts import (
    Abstained,
    Accepted,
    Challenge,
    Identity,
    Rejected,
    Snapshot,
    Terms,
)

__all__ = ["Answering", "Registrar"]

_HIGHEST: Final = 599  # RFC 3261 10.3: a registrar gives no 6xx
_STEP_1: Final = "RFC 3261 10.3 step 1"
_STEP_3: Final = "RFC 3261 10.3 step 3"
_STEP_4: Final = "RFC 3261 10.3 step 4"
_STEP_5: Final = "RFC 3261 10.3 step 5"
_STEP_8: Final = "RFC 3261 10.3 step 8"
_IN_ORDER: Final = "RFC 3261 10.3 in order"
_FOUND: Final = "{} bindings, version {}".format


class Answering(Protocol):
    """How a core answers; ``fields`` are ready lines, each with its CRLF.

    What has not proved anything yet gets an answer that leaves no state behind (``kept`` is False).
    """

    def answer(
        self, transaction: ServerTransaction, status: int, reason: str, fields: str = "", *, kept: bool
    ) -> None: ...


class Authenticator(Protocol):
    """IAuthenticator for the type checker."""

    def authenticate(self, request: Request, flow: IFlow) -> object: ...


class Policy(Protocol):
    """The part of IPolicy that a registration is asked of."""

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> object: ...


class _Attempt(Inquiry):
    """One REGISTER on its way through the steps."""

    __slots__ = (
        "fields",
        "flow",
        "handed_over",
        "identity",
        "now",
        "plan",
        "policies_left",
        "queued",
        "races",
        "registrar",
        "registration",
        "request",
        "terms",
        "transaction",
        "turn",
    )

    aor: str

    def __init__(
        self,
        registrar: Registrar,
        transaction: ServerTransaction,
        steps: list[RawStep],
        registration: Registration,
        terms: Terms,
    ) -> None:
        self.steps = steps
        self.aor = None  # type: ignore[assignment]  # looked for when somebody is let in
        self.question = None
        self.told = None
        self.registrar = registrar
        self.transaction = transaction
        self.request = transaction.request
        self.flow = transaction.flow
        self.registration = registration
        self.terms = terms
        self.identity: Identity | None = None
        self.fields = ""
        self.policies_left: Iterator[GuardedMethod] = iter(())
        self.plan: Plan | None = None
        self.now = 0.0
        self.races = 0
        self.turn = IDLE
        self.queued = False
        self.handed_over = False
        """Whether the store has a change to carry out."""

    def take(self) -> None:
        """It is its turn."""
        if self.queued:
            self.queued = False
            self.registrar.take_turn(self)
        else:
            self.registrar.look_up(self)

    def abandon(self) -> None:
        """The transaction is gone."""
        self.registrar.abandon(self)


def _nothing(flow: IFlow) -> None:
    """Nobody wants to know."""


class Registrar:
    """Answers REGISTER requests that the UAS core has found to be sound.

    What it asks, and on which terms, holds for as long as it lives: :meth:`reconfigured` makes another one.
    ``most_waiting`` is how many REGISTERs for one AOR may wait for the one that the store is busy with; the next one
    is answered 503. ``most_asked`` is how many Contact values one REGISTER may have; more are 400. Without ``gruus``
    nobody gets a GRUU, whatever ``settings`` say. ``proved`` is told of each flow by which a REGISTER has succeeded.
    """

    def __init__(
        self,
        *,
        domains: Domains,
        authenticator: Authenticator,
        store: Store,
        policies: Iterable[Policy],
        terms: Terms,
        seam: Seam,
        events: Events,
        wall_clock: Callable[[], float],
        answering: Answering,
        most_waiting: int = 32,
        most_asked: int = 100,
        settings: RegistrarSettings | None = None,
        gruus: Gruus | None = None,
        proved: Callable[[IFlow], object] = _nothing,
    ) -> None:
        self._domains = domains
        self._seam = seam
        self._seconds = seam.seconds
        self._lookup = seam.method(store, "lookup")
        self._replace = seam.method(store, "replace")
        self._configure(authenticator, policies, terms)
        self._events = events
        self._wall_clock = wall_clock
        self._answering = answering
        self._most_asked = most_asked
        self._turns = Turns(most_waiting)
        self.removals = Removals(self._turns, store, seam, events, wall_clock)
        self.flow_bindings = FlowBindings(self.removals)
        settings = RegistrarSettings() if settings is None else settings
        self._outbound = settings.outbound
        self._gruus = gruus if settings.gruu else None
        self._success = Success(settings, self._gruus)
        self._proved = proved

    def _configure(self, authenticator: Authenticator, policies: Iterable[Policy], terms: Terms) -> None:
        self._authenticate = self._seam.method(authenticator, "authenticate")
        self._policies = tuple([self._seam.method(policy, "registration") for policy in policies])
        self._terms = terms

    def reconfigured(
        self, *, authenticator: Authenticator, policies: Iterable[Policy], terms: Terms
    ) -> Registrar:
        """A registrar that asks others, on other terms, with the same store and the same turns.

        Its :meth:`register` takes the place of this one's (:meth:`sipframe.uas.UserAgentServer.reconfigure`); what has
        begun here ends here.
        """
        other = copy.copy(self)
        other._configure(authenticator, policies, terms)  # noqa: SLF001  # one of us
        return other

    def register(self, transaction: ServerTransaction) -> None:
        """Carry out one REGISTER. Raises MessageError when it is malformed; then nothing has happened."""
        request = transaction.request
        flow = transaction.flow
        uri = request.uri
        to = request.to.uri
        if not isinstance(to, SipURI):
            raise MessageError("The AOR in To is no SIP or SIPS URI")  # RFC 3261 10.2
        work = transaction.work
        steps: list[RawStep] = [] if work is None else work.steps
        if not isinstance(uri, SipURI) or not self._domains.serves(uri, flow):
            # 10.3 step 1, without a proxy
            transaction.work = found = Inquiry(steps)
            found.rule(_STEP_1, "Rejected", "the Request-URI names no domain that is served")
            self._refuse(transaction, request, Rejected(404, "Domain not served here"), proven=False)
            return
        registration = registration_of(request, None, self._most_asked, outbound=self._outbound)
        transaction.work = attempt = _Attempt(self, transaction, steps, registration, self._terms)
        self._authenticate.ask((request, flow), attempt, self._authenticated, self._failed)

    def _authenticated(self, attempt: _Attempt, verdict: object) -> None:
        # RFC 3261 10.3 step 3
        name = self._authenticate.name
        if type(verdict) is Accepted:
            identity = verdict.identity
            aors: object = identity.aors if type(identity) is Identity else None
            if not isinstance(aors, frozenset | set):  # a str would answer "in" for each of its parts
                raise TypeError("not what an IAuthenticator gives")
            if verdict.fields:
                attempt.fields = field_lines(verdict.fields)
            attempt.note(name, "Accepted", identity.name, self._seconds())
            attempt.identity = identity
            attempt.aor = self._aor_asked(attempt.request)
            attempt.registration = attempt.registration.came_by(flow_text(attempt.flow))
            if not attempt.aor:
                why = "To names no user of the domain in the Request-URI"
                self._refuse_by(attempt, _STEP_5, why, Rejected(404, "AOR not served here"))
                return
            attempt.policies_left = iter(self._policies)
            self._ask_policies(attempt)
        elif type(verdict) is Challenge:
            fields = field_lines([("WWW-Authenticate", value) for value in verdict.values])
            if not fields:
                raise ValueError("a Challenge without a value")  # RFC 3261 20.44
            attempt.note(name, "Challenge", cut(verdict.reason), self._seconds())
            if self._events.wanted:
                self._events.publish(
                    "sipframe.registrar.challenged",
                    aor=self._aor_asked(attempt.request),
                    peer=attempt.flow.peer,
                    call_id=attempt.registration.call_id,
                    reason=verdict.reason,
                )
            self._answering.answer(attempt.transaction, 401, "Unauthorized", fields, kept=False)
        elif type(verdict) is Rejected:
            self._refused(attempt, name, verdict)
        elif type(verdict) is Abstained:
            attempt.note(name, "Abstained", cut(verdict.reason), self._seconds())
            why = "no authenticator has anything to say about the request"
            self._refuse_by(attempt, _STEP_3, why, Rejected(403, "Forbidden"))
        else:
            raise TypeError("not what an IAuthenticator gives")

    def _aor_asked(self, request: Request) -> str:
        uri, to = request.uri, request.to.uri
        assert isinstance(uri, SipURI)
        assert isinstance(to, SipURI)
        return self._domains.aor_asked(uri, to)

    def _ask_policies(self, attempt: _Attempt) -> None:
        policy = next(attempt.policies_left, None)
        if policy is not None:
            arguments = (attempt.request, attempt.aor, attempt.identity, attempt.terms)
            policy.ask(arguments, attempt, self._permitted, self._failed)
            return
        identity, aor = attempt.identity, attempt.aor
        assert identity is not None
        if aor in identity.aors:
            attempt.steps.append((_STEP_4, "Accepted", (owned, identity.name, aor), 0.0))
        elif attempt.terms.third_party is True:
            attempt.rule(_STEP_4, "Accepted", cut(f"{identity.name} may act for {aor}: third_party"))
        else:
            why = f"{identity.name} does not own {aor}"
            self._refuse_by(attempt, _STEP_4, why, Rejected(403, "Not your address of record"))
            return
        if attempt.registration.instances and self._gruus is not None:
            refusal = against_own_uri(attempt.registration, aor, self._domains, self._gruus)
            if refusal is not None:
                self._refuse_by(attempt, refusal.rule, refusal.why, refusal.verdict)
                return
        if not self._turns.wait(attempt):
            why = "too many registrations of one AOR at once"
            self._refuse_by(attempt, _IN_ORDER, why, refusal_for(NotAsked(why)))
        elif attempt.turn == QUEUED:
            attempt.queued = True
            attempt.since = self._seconds()

    def _permitted(self, attempt: _Attempt, verdict: object) -> None:
        asked = attempt.asked
        assert asked is not None
        if type(verdict) is Terms:
            changed: Detail = ""
            if verdict is not attempt.terms:
                _check(verdict)
                changed = (terms_changed, attempt.terms, verdict)
            attempt.note(asked.name, "Terms", changed, self._seconds())
            attempt.terms = verdict
            self._ask_policies(attempt)
        elif type(verdict) is Rejected:
            self._refused(attempt, asked.name, verdict)
        else:
            raise TypeError("not what an IPolicy gives")

    def take_turn(self, attempt: _Attempt) -> None:
        """``attempt`` has waited for its turn; when that was too long, others with it, it need not wait any more."""
        now = self._seconds()
        attempt.note(_IN_ORDER, "Waited", "for another change of the same AOR", now)
        if now - attempt.since > self._seam.limits.deadline:
            why = "its turn has come too late"
            self._refuse_by(attempt, _IN_ORDER, why, refusal_for(NotAsked(why)))
            self._turns.end(attempt)
        else:
            self.look_up(attempt)

    def look_up(self, attempt: _Attempt) -> None:
        """It is the turn of ``attempt``."""
        self._lookup.ask((attempt.aor,), attempt, self._looked_up, self._store_failed)

    def _looked_up(self, attempt: _Attempt, snapshot: object) -> None:
        if type(snapshot) is not Snapshot:
            raise TypeError("lookup() gave no Snapshot")
        found = (_FOUND, len(snapshot.bindings), snapshot.version)
        attempt.note(self._lookup.name, "Snapshot", found, self._seconds())
        attempt.now = self._wall_clock()
        planned = plan(attempt.registration, snapshot.bindings, attempt.terms, attempt.now)
        if isinstance(planned, Refusal):
            self._refuse_by(attempt, planned.rule, planned.why, planned.verdict)
            self._turns.end(attempt)
            return
        attempt.plan = planned
        if not planned.changed:
            self._done(attempt)
            return
        attempt.handed_over = True
        arguments = (attempt.aor, planned.bindings, snapshot.version)
        self._replace.ask(arguments, attempt, self._replaced, self._store_failed)

    def _replaced(self, attempt: _Attempt, done: object) -> None:
        attempt.handed_over = False
        if done is True:
            attempt.note(self._replace.name, "True", "durable", self._seconds())
            self._done(attempt)
        elif done is False:
            # Another writer was there between look-up and replace: plan again on what is there now.
            attempt.races += 1
            if attempt.races >= MOST_RACES:
                raise RuntimeError("the version moved on each time")
            attempt.note(self._replace.name, "False", "the version has moved on", self._seconds())
            if attempt.transaction.answered:
                self._turns.end(attempt)  # gone meanwhile
                return
            self.look_up(attempt)
        else:
            raise TypeError("replace() gave neither True nor False")

    def _done(self, attempt: _Attempt) -> None:
        self._succeed(attempt)
        if attempt.terms.drop_when_flow_lost and attempt.registration.contacts:
            self.flow_bindings.bound(attempt.aor, attempt.flow)
        self._turns.end(attempt)

    def _succeed(self, attempt: _Attempt) -> None:
        assert attempt.plan is not None
        now = self._wall_clock()  # the store may have taken its time: what is promised is what is left
        bindings = attempt.plan.bindings
        fields = self._success.fields(
            attempt.request, attempt.aor, attempt.registration, bindings, now, attempt.fields
        )
        told = (planned_text, attempt.plan.changed, len(bindings))
        attempt.steps.append((_STEP_8, "Accepted", told, 0.0))
        self._answering.answer(attempt.transaction, 200, "OK", fields, kept=True)
        self._proved(attempt.flow)
        if self._events.wanted:
            self._events.publish(
                "sipframe.registrar.bound" if attempt.plan.changed else "sipframe.registrar.fetched",
                aor=attempt.aor,
                bindings=bindings,
                peer=attempt.flow.peer,
                call_id=attempt.registration.call_id,
                cseq=attempt.registration.cseq,
            )

    def _refused(self, attempt: _Attempt, name: str, verdict: Rejected) -> None:
        """A plug-in has refused. Raises TypeError or ValueError when that cannot be sent."""
        _ = refusal_line(verdict, _HIGHEST), field_lines(verdict.fields)
        attempt.note(name, "Rejected", cut(verdict.reason), self._seconds())
        self._refuse_attempt(attempt, verdict)

    def _refuse_by(self, attempt: _Attempt, rule: str, why: str, verdict: Rejected) -> None:
        attempt.rule(rule, "Rejected", cut(why))
        self._refuse_attempt(attempt, verdict)

    def _refuse_attempt(self, attempt: _Attempt, verdict: Rejected) -> None:
        self._refuse(attempt.transaction, attempt.request, verdict, proven=attempt.identity is not None)

    def _refuse(
        self, transaction: ServerTransaction, request: Request, verdict: Rejected, *, proven: bool
    ) -> None:
        status, reason = refusal_line(verdict, _HIGHEST)
        fields = field_lines(verdict.fields)
        if self._events.wanted:
            self._events.publish(
                "sipframe.registrar.refused",
                status=status,
                reason=reason,
                peer=transaction.flow.peer,
                call_id=request.call_id,
            )
        self._answering.answer(transaction, status, reason, fields, kept=proven)

    def _store_failed(self, attempt: _Attempt, asked: GuardedMethod, error: BaseException) -> None:
        attempt.handed_over = False
        try:
            self._failed(attempt, asked, error)
        finally:
            self._turns.end(attempt)

    def _failed(self, attempt: _Attempt, asked: GuardedMethod, error: BaseException) -> None:
        self._refuse_attempt(attempt, self._seam.failed(attempt, asked, error))

    def abandon(self, attempt: _Attempt) -> None:
        """The transaction is gone: nothing is answered. The turn ends, but not before what the store was handed."""
        if attempt.handed_over:
            return
        if attempt.question is not None:
            attempt.question.abandon()
        self._turns.leave(attempt)


def _check(terms: Terms) -> None:
    """Raise ValueError for terms that no registration can be on: whoever gave them has a bug."""
    numbers: tuple[object, ...] = (
        terms.default_expires,
        terms.min_expires,
        terms.max_expires,
        terms.max_contacts,
        terms.other_scheme_expires,
        terms.max_contact_octets,
    )
    if not all(isinstance(number, int) and number > 0 for number in numbers):
        raise ValueError("Terms have whole numbers above 0")
    if terms.min_expires > terms.max_expires:
        raise ValueError("Terms whose min_expires is above max_expires")
    if terms.when_full not in ("refuse", "replace-oldest"):
        raise ValueError("Terms whose when_full is unknown")
