"""The registrar's driver: RFC 3261 10.3 step by step, one method a step.

Rules: each plug-in is asked once and in this order: domain, policies, authenticator, ownership, policies, store. What
changes bindings is answered 200 only after the store has said that the change is durable. REGISTERs for one AOR are
carried out in the order they came (10.3): while one waits for the store the next ones wait for it. Nothing that a
plug-in does wrong lets anyone in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.logger import Logger

from sipframe.events import Events
from sipframe.interfaces import IFlow
from sipframe.message import MessageError, Request, SipURI, format_date
from sipframe.registrar.domains import Domains
from sipframe.registrar.plan import Plan, Registration, contact_lines, plan, registration_of
from sipframe.seams import Seam, refusal_for
from sipframe.verdicts import (
    Accepted,
    Address,
    Binding,
    Challenge,
    Identity,
    Rejected,
    Snapshot,
    Terms,
    Unavailable,
)

__all__ = ["Answering", "Registrar", "Transaction"]

_log = Logger()
_MOST_RACES = 8


class Transaction(Protocol):
    """What a core needs of a server transaction."""

    @property
    def request(self) -> Request: ...
    @property
    def flow(self) -> IFlow: ...


class Answering(Protocol):
    """How a core answers; ``fields`` are ready lines, each with its CRLF.

    What has not proved anything yet gets an answer that leaves no state behind (``kept`` is False).
    """

    def answer(
        self, transaction: Transaction, status: int, reason: str, fields: str = "", *, kept: bool
    ) -> None: ...


class Authenticator(Protocol):
    """IAuthenticator for the type checker."""

    def authenticate(self, request: Request, flow: IFlow) -> object: ...


class Store(Protocol):
    """ILocationStore for the type checker."""

    def lookup(self, aor: str) -> object: ...
    def replace(self, aor: str, bindings: tuple[Binding, ...], version: int) -> object: ...


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
        "request",
        "terms",
        "transaction",
    )

    def __init__(self, transaction: Transaction, aor: str, asked: Registration, terms: Terms) -> None:
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


class Registrar:
    """Answers REGISTER requests that the UAS core has found to be sound.

    ``most_waiting`` is how many REGISTERs for one AOR may wait for the one that the store is busy with; the next one
    is answered 503.
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
        self._most_waiting = most_waiting
        self._in_turn: dict[str, deque[_Attempt]] = {}
        self._date = (0, "")

    def register(self, transaction: Transaction) -> None:
        """Carry out one REGISTER. Raises MessageError when it is malformed; then nothing has happened."""
        request = transaction.request
        flow = transaction.flow
        uri = request.uri
        to = request.to.uri
        if not isinstance(to, SipURI):
            raise MessageError("The AOR in To is no SIP or SIPS URI")  # RFC 3261 10.2
        if not self.serves(uri, flow):
            # 10.3 step 1, without a proxy
            self._refuse(transaction, Rejected(404, "Domain not served here"), proven=False)
            return
        asked = registration_of(request, flow_text(flow))
        aor = self._domains.aor_of(to)
        attempt = _Attempt(transaction, aor or "", asked, self._terms)
        self._seam.ask(
            self._authenticator.authenticate, (request, flow), attempt, self._authenticated, self._failed
        )

    def serves(self, uri: object, flow: IFlow) -> bool:
        """Whether a Request-URI names a domain of ours, or the address that the request came in on."""
        if not isinstance(uri, SipURI):
            return False
        return self._domains.domain_of(uri.host) is not None or uri.host.strip("[]") == flow.local.host

    def _authenticated(self, attempt: _Attempt, verdict: object) -> None:
        # RFC 3261 10.3 step 3
        if type(verdict) is Accepted:
            attempt.identity = verdict.identity
            if verdict.fields:
                attempt.fields = lines(verdict.fields)
            if not attempt.aor:
                self._refuse(attempt.transaction, Rejected(404, "AOR not served here"))  # 10.3 step 5
                return
            attempt.policies_left = self._policies
            self._ask_policies(attempt, attempt.terms)
        elif type(verdict) is Challenge:
            fields = "".join([f"WWW-Authenticate: {value}\r\n" for value in verdict.values])
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
            self._refuse(attempt.transaction, verdict, proven=False)
        else:
            self._failed(
                attempt,
                self._authenticator.authenticate,
                TypeError("not what an IAuthenticator gives"),
            )

    def _ask_policies(self, attempt: _Attempt, verdict: object) -> None:
        if type(verdict) is Rejected:
            self._refuse(attempt.transaction, verdict)
            return
        if type(verdict) is not Terms:
            self._failed(attempt, self._ask_policies, TypeError("not what an IPolicy gives"))
            return
        attempt.terms = verdict
        if attempt.policies_left:
            policy, *left = attempt.policies_left
            attempt.policies_left = tuple(left)
            arguments = (attempt.request, attempt.aor, attempt.identity, verdict)
            self._seam.ask(policy.registration, arguments, attempt, self._ask_policies, self._failed)
            return
        identity = attempt.identity
        if identity is None or (attempt.aor not in identity.aors and not verdict.third_party):
            self._refuse(attempt.transaction, Rejected(403, "Not your address of record"))  # 10.3 step 4
            return
        self._wait_for_turn(attempt)

    def _wait_for_turn(self, attempt: _Attempt) -> None:
        waiting = self._in_turn.get(attempt.aor)
        if waiting is not None:
            if len(waiting) < self._most_waiting:
                waiting.append(attempt)
            else:
                self._refuse(
                    attempt.transaction, refusal_for(Unavailable("too many registrations of one AOR at once"))
                )
            return
        self._in_turn[attempt.aor] = deque()
        self._look_up(attempt)

    def _next_turn(self, aor: str) -> None:
        waiting = self._in_turn[aor]
        if waiting:
            self._look_up(waiting.popleft())
        else:
            del self._in_turn[aor]

    def _look_up(self, attempt: _Attempt) -> None:
        self._seam.ask(self._store.lookup, (attempt.aor,), attempt, self._looked_up, self._store_failed)

    def _looked_up(self, attempt: _Attempt, snapshot: object) -> None:
        if type(snapshot) is not Snapshot:
            self._store_failed(attempt, self._store.lookup, TypeError("lookup() gave no Snapshot"))
            return
        attempt.now = self._wall_clock()
        try:
            planned = plan(attempt.asked, snapshot.bindings, attempt.terms, attempt.now)
        except MessageError as error:
            planned = Rejected(error.status, error.reason)
        if type(planned) is Rejected:
            self._refuse(attempt.transaction, planned)
            self._next_turn(attempt.aor)
            return
        assert isinstance(planned, Plan)
        attempt.plan = planned
        if not planned.changed:
            self._replaced(attempt, True)
            return
        arguments = (attempt.aor, planned.bindings, snapshot.version)
        self._seam.ask(self._store.replace, arguments, attempt, self._replaced, self._store_failed)

    def _replaced(self, attempt: _Attempt, done: object) -> None:
        if done is True:
            self._succeed(attempt)
            self._next_turn(attempt.aor)
        elif done is False:
            # Another writer was there between look-up and replace: plan again on what is there now.
            attempt.races += 1
            if attempt.races < _MOST_RACES:
                self._look_up(attempt)
            else:
                self._store_failed(
                    attempt, self._store.replace, RuntimeError("the version moved on each time")
                )
        else:
            self._store_failed(
                attempt, self._store.replace, TypeError("replace() gave neither True nor False")
            )

    def _succeed(self, attempt: _Attempt) -> None:
        assert attempt.plan is not None
        now = attempt.now
        bindings = attempt.plan.bindings
        second = int(now)
        if self._date[0] != second:
            self._date = (second, f"Date: {format_date(now)}\r\n")
        fields = f"{contact_lines(bindings, now)}{attempt.fields}{self._date[1]}"
        if attempt.asked.path and "path" in attempt.request.supported:
            fields += "".join([f"Path: {value}\r\n" for value in attempt.asked.path])  # RFC 3327 5.3
        self._answering.answer(attempt.transaction, 200, "OK", fields, kept=True)  # 10.3 step 8
        if self._events.wanted:
            self._events.publish(
                "sipframe.registrar.bound" if attempt.plan.changed else "sipframe.registrar.fetched",
                aor=attempt.aor,
                bindings=bindings,
                peer=attempt.flow.peer,
                call_id=attempt.asked.call_id,
            )

    def _refuse(self, transaction: Transaction, verdict: Rejected, *, proven: bool = True) -> None:
        if self._events.wanted:
            self._events.publish(
                "sipframe.registrar.refused",
                status=verdict.status,
                reason=verdict.reason,
                peer=transaction.flow.peer,
                call_id=transaction.request.call_id,
            )
        self._answering.answer(
            transaction, verdict.status, verdict.reason, lines(verdict.fields), kept=proven
        )

    def _store_failed(self, attempt: _Attempt, method: object, error: BaseException) -> None:
        self._failed(attempt, method, error)
        self._next_turn(attempt.aor)

    def _failed(self, attempt: _Attempt, method: object, error: BaseException) -> None:
        _log.error(
            "{method} failed for {aor!r}: {error!r}",
            method=getattr(method, "__qualname__", method),
            aor=attempt.aor,
            error=error,
        )
        self._refuse(attempt.transaction, refusal_for(error), proven=attempt.identity is not None)


def lines(fields: Sequence[tuple[str, str]]) -> str:
    """Header fields as ready lines. Raises ValueError when one of them would begin another line."""
    for name, value in fields:
        if "\r" in value or "\n" in value or "\r" in name or "\n" in name:
            raise ValueError("CR or LF in a header field")
    return "".join([f"{name}: {value}\r\n" for name, value in fields])


def flow_text(flow: IFlow) -> str:
    """A flow as a binding remembers it: ``TRANSPORT LOCAL PEER SERIAL``."""
    local, peer = flow.local, flow.peer
    return f"{flow.transport} {_end(local)} {_end(peer)} {flow.serial}"


def _end(address: Address) -> str:
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"
