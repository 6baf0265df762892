"""The registrar's driver: RFC 3261 10.3 step by step, one method a step.

Rules: the domain first, then each plug-in once and in this order: authenticator, policies, store; ownership is looked
at when the policies have given their terms. What changes bindings is answered 200 only after the store has said that
the change is durable. When the store does not say so in time the answer is 503, and what it does later stands: it is
what the client asked for, and whoever comes next plans on a fresh look-up. REGISTERs for one AOR are carried out in the
order in which they got as far as the store (10.3): while one waits there the next ones wait for it. Nothing that a
plug-in does wrong lets anyone in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from sipframe.domains import Domains
from sipframe.events import Events
from sipframe.interfaces import IFlow
from sipframe.message import MessageError, Request, SipURI, format_date
from sipframe.registrar.flow_bindings import FlowBindings
from sipframe.registrar.plan import Plan, Registration, contact_lines, plan, registration_of
from sipframe.registrar.removal import MOST_RACES, Removals, Store
from sipframe.registrar.turns import IDLE, Turns
from sipframe.roads import flow_text
from sipframe.seams import Seam, field_lines, refusal_for, refusal_line, report
from sipframe.transaction import ServerTransaction
from sipframe.verdicts import (
    Abstained,
    Accepted,
    Challenge,
    Identity,
    Rejected,
    Snapshot,
    Terms,
    Unavailable,
)

__all__ = ["Answering", "Registrar"]


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


class _Attempt:
    """One REGISTER on its way through the steps."""

    __slots__ = (
        "aor",
        "asked",
        "fields",
        "flow",
        "identity",
        "now",
        "plan",
        "policies_left",
        "races",
        "registrar",
        "request",
        "terms",
        "transaction",
        "turn",
    )

    def __init__(
        self,
        registrar: Registrar,
        transaction: ServerTransaction,
        aor: str,
        asked: Registration,
        terms: Terms,
    ) -> None:
        self.registrar = registrar
        self.transaction = transaction
        self.request = transaction.request
        self.flow = transaction.flow
        self.aor = aor
        self.asked = asked
        self.terms = terms
        self.identity: Identity | None = None
        self.fields = ""
        self.policies_left: tuple[Policy, ...] = ()
        self.plan: Plan | None = None
        self.now = 0.0
        self.races = 0
        self.turn = IDLE

    def take(self) -> None:
        """It is its turn."""
        self.registrar.look_up(self)


class Registrar:
    """Answers REGISTER requests that the UAS core has found to be sound.

    ``most_waiting`` is how many REGISTERs for one AOR may wait for the one that the store is busy with; the next one
    is answered 503. ``most_asked`` is how many Contact values one REGISTER may have; more are 400.
    """

    def __init__(
        self,
        *,
        domains: Domains,
        authenticator: Authenticator,
        store: Store,
        policies: Sequence[Policy],
        terms: Terms,
        seam: Seam,
        events: Events,
        wall_clock: Callable[[], float],
        answering: Answering,
        most_waiting: int = 32,
        most_asked: int = 100,
    ) -> None:
        self._domains = domains
        self._authenticator = authenticator
        self._store = store
        self._policies = tuple(policies)
        self._terms = terms
        self._seam = seam
        self._events = events
        self._wall_clock = wall_clock
        self._answering = answering
        self._most_asked = most_asked
        self._turns = Turns(most_waiting)
        self.removals = Removals(self._turns, store, seam, events, wall_clock)
        self.flow_bindings = FlowBindings(self.removals)
        self._date = (0, "")

    def register(self, transaction: ServerTransaction) -> None:
        """Carry out one REGISTER. Raises MessageError when it is malformed; then nothing has happened."""
        request = transaction.request
        flow = transaction.flow
        uri = request.uri
        to = request.to.uri
        if not isinstance(to, SipURI):
            raise MessageError("The AOR in To is no SIP or SIPS URI")  # RFC 3261 10.2
        if not isinstance(uri, SipURI) or not self._domains.serves(uri, flow):
            # 10.3 step 1, without a proxy
            self._refuse(transaction, request, Rejected(404, "Domain not served here"), proven=False)
            return
        asked = registration_of(request, flow_text(flow), self._most_asked)
        attempt = _Attempt(self, transaction, self._domains.aor_asked(uri, to), asked, self._terms)
        self._seam.ask(
            self._authenticator.authenticate, (request, flow), attempt, self._authenticated, self._failed
        )

    def _authenticated(self, attempt: _Attempt, verdict: object) -> None:
        # RFC 3261 10.3 step 3
        if type(verdict) is Accepted:
            identity = verdict.identity
            aors: object = identity.aors if type(identity) is Identity else None
            if not isinstance(aors, frozenset | set):  # a str would answer "in" for each of its parts
                raise TypeError("not what an IAuthenticator gives")
            if verdict.fields:
                attempt.fields = field_lines(verdict.fields)
            attempt.identity = identity
            if not attempt.aor:
                self._refuse_attempt(attempt, Rejected(404, "AOR not served here"))  # 10.3 step 5
                return
            attempt.policies_left = self._policies
            self._ask_policies(attempt, attempt.terms)
        elif type(verdict) is Challenge:
            fields = field_lines([("WWW-Authenticate", value) for value in verdict.values])
            if not fields:
                raise ValueError("a Challenge without a value")  # RFC 3261 20.44
            if self._events.wanted:
                self._events.publish(
                    "sipframe.registrar.challenged",
                    aor=attempt.aor,
                    peer=attempt.flow.peer,
                    call_id=attempt.asked.call_id,
                    reason=verdict.reason,
                )
            self._answering.answer(attempt.transaction, 401, "Unauthorized", fields, kept=False)
        elif type(verdict) is Rejected:
            self._refuse_attempt(attempt, verdict)
        elif type(verdict) is Abstained:
            # Nobody knows who this is, and nobody asks.
            self._refuse_attempt(attempt, Rejected(403, "Forbidden"))
        else:
            raise TypeError("not what an IAuthenticator gives")

    def _ask_policies(self, attempt: _Attempt, verdict: object) -> None:
        if type(verdict) is Rejected:
            self._refuse_attempt(attempt, verdict)
            return
        if type(verdict) is not Terms:
            raise TypeError("not what an IPolicy gives")
        attempt.terms = verdict
        if attempt.policies_left:
            policy, *left = attempt.policies_left
            attempt.policies_left = tuple(left)
            arguments = (attempt.request, attempt.aor, attempt.identity, verdict)
            self._seam.ask(policy.registration, arguments, attempt, self._ask_policies, self._failed)
            return
        identity = attempt.identity
        if identity is None or (attempt.aor not in identity.aors and verdict.third_party is not True):
            self._refuse_attempt(attempt, Rejected(403, "Not your address of record"))  # 10.3 step 4
            return
        if not self._turns.wait(attempt):
            self._refuse_attempt(
                attempt, refusal_for(Unavailable("too many registrations of one AOR at once"))
            )

    def look_up(self, attempt: _Attempt) -> None:
        """It is the turn of ``attempt``."""
        self._seam.ask(self._store.lookup, (attempt.aor,), attempt, self._looked_up, self._store_failed)

    def _looked_up(self, attempt: _Attempt, snapshot: object) -> None:
        if type(snapshot) is not Snapshot:
            raise TypeError("lookup() gave no Snapshot")
        attempt.now = self._wall_clock()
        planned = plan(attempt.asked, snapshot.bindings, attempt.terms, attempt.now)
        if isinstance(planned, Rejected):
            self._refuse_attempt(attempt, planned)
            self._turns.end(attempt)
            return
        attempt.plan = planned
        if not planned.changed:
            self._replaced(attempt, True)
            return
        arguments = (attempt.aor, planned.bindings, snapshot.version)
        self._seam.ask(self._store.replace, arguments, attempt, self._replaced, self._store_failed)

    def _replaced(self, attempt: _Attempt, done: object) -> None:
        if done is True:
            self._succeed(attempt)
            if attempt.terms.drop_when_flow_lost and attempt.asked.contacts:
                self.flow_bindings.bound(attempt.aor, attempt.flow)
            self._turns.end(attempt)
        elif done is False:
            # Another writer was there between look-up and replace: plan again on what is there now.
            attempt.races += 1
            if attempt.races >= MOST_RACES:
                raise RuntimeError("the version moved on each time")
            self.look_up(attempt)
        else:
            raise TypeError("replace() gave neither True nor False")

    def _succeed(self, attempt: _Attempt) -> None:
        assert attempt.plan is not None
        now = attempt.now
        bindings = attempt.plan.bindings
        second = int(now)
        if self._date[0] != second:
            self._date = (second, f"Date: {format_date(now)}\r\n")
        fields = f"{contact_lines(bindings, now)}{attempt.fields}{self._date[1]}"
        if attempt.asked.path_wanted:
            fields += "".join([f"Path: {value}\r\n" for value in attempt.asked.path])  # RFC 3327 5.3
        self._answering.answer(attempt.transaction, 200, "OK", fields, kept=True)  # 10.3 step 8
        if self._events.wanted:
            self._events.publish(
                "sipframe.registrar.bound" if attempt.plan.changed else "sipframe.registrar.fetched",
                aor=attempt.aor,
                bindings=bindings,
                peer=attempt.flow.peer,
                call_id=attempt.asked.call_id,
                cseq=attempt.asked.cseq,
            )

    def _refuse_attempt(self, attempt: _Attempt, verdict: Rejected) -> None:
        self._refuse(attempt.transaction, attempt.request, verdict, proven=attempt.identity is not None)

    def _refuse(
        self, transaction: ServerTransaction, request: Request, verdict: Rejected, *, proven: bool
    ) -> None:
        status, reason = refusal_line(verdict, 599)  # RFC 3261 10.3: a registrar gives no 6xx
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

    def _store_failed(self, attempt: _Attempt, method: object, error: BaseException) -> None:
        try:
            self._failed(attempt, method, error)
        finally:
            self._turns.end(attempt)

    def _failed(self, attempt: _Attempt, method: object, error: BaseException) -> None:
        report(self._events, method, error)
        self._refuse_attempt(attempt, refusal_for(error))
