"""The proxy's driver: RFC 3261 16.3 to 16.5 step by step, one method a step; then a fork takes over.

Rules: the checks first (16.3), then each plug-in once and in this order: authenticator, location store, policies. Who
must prove what is decided in :mod:`sipframe.proxy.relaying`; nothing that a plug-in does wrong lets a request through.
Before somebody has proved something nothing is kept. ACK is passed on without a transaction, by a Route of ours or to
a user of ours, and never answered (16.11). What a request was answered, and why, is recorded like every answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from sipframe.decisions import Detail, RawStep, cut, without_password
from sipframe.domains import Domains
from sipframe.events import Events
from sipframe.gruu import Gruus
from sipframe.interfaces import IFlow
from sipframe.message import URI, MessageError, Request, SipURI
from sipframe.proxy.ack import AckCopy
from sipframe.proxy.consumed import for_us
from sipframe.proxy.context import Forking, ResponseContext
from sipframe.proxy.fork import Answering, Fork, Outgoing, ProxyCounters
from sipframe.proxy.here import Here, dialog_scope, follows, party
from sipframe.proxy.loops import Branches
from sipframe.proxy.proxied import Come, Proxied
from sipframe.proxy.reaching import Found, reach
from sipframe.proxy.relaying import Must, Standing, must
from sipframe.proxy.routing import preprocess
from sipframe.proxy.settings import ProxySettings
from sipframe.proxy.spirals import branch_of
from sipframe.proxy.targets import routing_flaw, target_of
from sipframe.proxy.token import FlowTokens
from sipframe.proxy.validation import AnswerHere, Refusal, Validation, validate
from sipframe.seams import GuardedMethod, Inquiry, Seam, field_lines, refusal_line
from sipframe.sending import Sender
from sipframe.transaction import ServerTransaction, TimerQueue
from sipframe.verdicts import (
    Abstained,
    Accepted,
    Binding,
    Challenge,
    Identity,
    Rejected,
    Routing,
    Snapshot,
    Target,
)

__all__ = ["Come", "Proxied", "Proxy"]

_RECORDED: Final = frozenset({"INVITE", "SUBSCRIBE", "NOTIFY", "REFER"})
"""The methods that begin dialogs (RFC 3261 12.1, RFC 6665 4.3, RFC 3515 2.4)."""

_AUTHORIZED: Final = "RFC 3261 16.3 step 6"
_TARGETS: Final = "RFC 3261 16.5"


class Authenticator(Protocol):
    """IAuthenticator for the type checker."""

    def authenticate(self, request: Request, flow: IFlow) -> object: ...


class Policy(Protocol):
    """The part of IPolicy that a proxied request is asked of."""

    def route(self, request: Request, identity: Identity | None, routing: Routing) -> object: ...


class Locations(Protocol):
    """The part of ILocationStore that a proxy needs."""

    def lookup(self, aor: str) -> object: ...


class Resolver(Protocol):
    """Finds the hops of a URI (RFC 3263)."""

    def resolve(self, uri: SipURI) -> object: ...


class Proxy:
    """Forwards requests that the UAS core has found to be sound and not meant for this server itself.

    What it asks holds for as long as it lives: a reload makes another one, with the same ``tokens`` and ``branches``.
    ``queue(event, seconds)`` gives a timer queue, ``timeout`` is 64*T1; ``realms`` are those that credentials for us
    name. ``underway`` are the requests whose branches have not all ended, in their order.
    """

    def __init__(
        self,
        *,
        settings: ProxySettings,
        domains: Domains,
        authenticator: Authenticator,
        store: Locations,
        policies: Iterable[Policy],
        resolver: Resolver,
        sender: Sender,
        seam: Seam,
        events: Events,
        wall_clock: Callable[[], float],
        answering: Answering,
        tokens: FlowTokens,
        branches: Branches,
        counters: ProxyCounters,
        underway: dict[Fork, None],
        gruus: Gruus | None = None,
        queue: Callable[[str, float], TimerQueue],
        timeout: float = 32.0,
        realms: Iterable[str] = (),
    ) -> None:
        self._settings = settings
        self._domains = domains
        self._seam = seam
        self._seconds = seam.seconds
        self._authenticate = seam.method(authenticator, "authenticate")
        self._lookup = seam.method(store, "lookup")
        self._policies = tuple([seam.method(policy, "route") for policy in policies])
        self._events = events
        self._wall_clock = wall_clock
        self._answering = answering
        self._tokens = tokens
        self._branches = branches
        self._roads = sender.roads
        self._layer = sender.layer
        self._realms = frozenset(realm.lower() for realm in realms)
        self._gruus = gruus
        self._validation = Validation(max_forwards=settings.max_forwards, max_breadth=settings.max_breadth)
        self._forking = Forking(max_targets=settings.max_targets)
        self._recursing = Forking(recurse=True, max_targets=settings.max_targets)
        self._in_front = frozenset(name.lower() for name in settings.relay_to)
        self.counters = counters
        self._outgoing = Outgoing(
            sender=sender,
            resolve=seam.method(resolver, "resolve"),
            answering=answering,
            tokens=tokens,
            events=events,
            seconds=seam.seconds,
            timer_c=queue("timer C", settings.timer_c),
            timer_cancel=queue("64*T1 after CANCEL", timeout),
            tls_by_transport=settings.record_route_tls == "transport",
            counters=counters,
            underway=underway,
        )

    # What the UAS core calls.

    def fronts(self, uri: object) -> bool:
        """Whether we stand in front of the registrar that a Request-URI names."""
        return isinstance(uri, SipURI) and uri.host.lower() in self._in_front and uri.param("maddr") is None

    def takes(self, request: Request, flow: IFlow) -> Come | None:
        """What has come, when it is to be forwarded; None when it is for this server itself.

        Raises MessageError when a Route that matters is malformed.
        """
        here = Here(self._domains, self._tokens, request, self._roads.end_of(flow), flow)
        come = preprocess(request, here)
        uri = come.uri
        if not come.routes and isinstance(uri, SipURI) and not uri.user and here.here(uri):
            return None
        return Come(come, here.names(come.taken) if come.taken else [])

    def proxy(self, transaction: ServerTransaction, taken: Come) -> None:
        """Forward one request. Raises MessageError when it is malformed; then nothing has happened."""
        request, flow = transaction.request, transaction.flow
        come, names = taken
        work = transaction.work
        steps: list[RawStep] = [] if work is None else work.steps
        loop_part = self._branches.loop_part(request)
        valid = validate(request, self._branches, loop_part, self._validation)
        if isinstance(valid, AnswerHere):
            self._answering.capabilities(transaction)
            return
        if isinstance(valid, Refusal):
            transaction.work = Inquiry(steps)
            self._refuse(transaction, valid.verdict, valid.rule, valid.why)
            return
        transaction.work = proxied = Proxied(self, transaction, steps, come, valid, loop_part)
        uri, from_ = come.uri, request.from_.uri
        domain = self._domains.domain_of(uri.host) if isinstance(uri, SipURI) else None
        if domain is not None and isinstance(uri, SipURI):
            proxied.callee = self._domains.aor_of(uri) or ""
        if isinstance(from_, SipURI) and self._domains.domain_of(from_.host) is not None:
            proxied.claims = self._domains.aor_of(from_) or ""
        # Who looks for a call looks for a user of ours: whom it goes to, or who has sent it.
        proxied.aor = proxied.callee or proxied.claims or ""
        followed = follows(request, flow, names)
        if followed is not None:
            proxied.follows = True
            proxied.dialog_flow = followed.flow
            proxied.bound = followed.bound
            if _contact(uri):
                proxied.callee = ""
        proxied.in_front = not come.routes and self.fronts(uri)
        standing = Standing(
            follows=proxied.follows,
            by_flow=followed is not None and followed.by_flow,
            claims=proxied.claims is not None,
            inbound=domain is not None and not come.routes,
            in_front=proxied.in_front,
        )
        what, why = must(standing, self._settings.strangers)
        before = branch_of(request, flow, self._layer) if what is Must.PROVE else None
        if before is not None:
            what, why = Must.NOTHING, "this server has sent it itself, and it has come back"
            proxied.identity = before.proxied.identity
        if what is Must.NOTHING:
            steps.append((_AUTHORIZED, "Passed", why, 0.0))
            self._locate(proxied)
        elif what is Must.BE_REFUSED:
            self._refuse(transaction, Rejected(403, "Forbidden"), _AUTHORIZED, why)
        else:
            steps.append((_AUTHORIZED, "Proof", why, 0.0))
            shown = request.as_to_server()
            self._authenticate.ask((shown, flow), proxied, self._authenticated, self._failed)

    def ack(self, request: Request, flow: IFlow) -> None:
        """Pass on an ACK for a 2xx, or drop it (RFC 3261 16.11)."""
        try:
            taken = self.takes(request, flow)
            loop_part = self._branches.loop_part(request)
            forwards = request.max_forwards
            looped = self._branches.looped(request, loop_part)
            if request.to.tag is None:
                taken = None  # RFC 3261 13.2.2.4: it is a request within a dialog
        except MessageError:
            taken, looped, forwards, loop_part = None, False, None, ""
        if taken is None or looped or forwards == 0:
            self.counters.acks_dropped += 1
            return
        come, names = taken
        left = self._settings.max_forwards if forwards is None else forwards - 1
        branch = self._branches.stateless(request, loop_part)
        # RFC 3261 13.2.2.4: it has the credentials of its INVITE.
        consumed = for_us(self._realms, request, bool(party(self._domains, request.from_.uri)))
        copy = AckCopy(self._outgoing, request, flow, come, left, branch, consumed)
        aor = self._domains.aor_of(come.uri) if isinstance(come.uri, SipURI) else None
        followed = follows(request, flow, names)
        if followed is not None:
            copy.dialog_flow = name = followed.flow
            copy.bound = followed.bound
            if aor is None or come.routes or _contact(come.uri):
                copy.send_to(Target(come.uri_text), name)
                return
        if aor is None or come.routes:
            self.counters.acks_dropped += 1  # no open relay
            return
        copy.aor = aor
        self._lookup.ask((aor,), copy, self._ack_located, _ack_failed)

    # Steps of a request.

    def _authenticated(self, proxied: Proxied, verdict: object) -> None:
        # RFC 3261 16.3 step 6, 22.3
        name = self._authenticate.name
        if type(verdict) is Accepted:
            identity = verdict.identity
            aors: object = identity.aors if type(identity) is Identity else None
            if not isinstance(aors, frozenset | set):
                raise TypeError("not what an IAuthenticator gives")
            proxied.note(name, "Accepted", identity.name, self._seconds())
            if proxied.claims is not None and proxied.claims not in aors:
                why = f"{identity.name} does not own {proxied.claims or 'the domain'}, which From names"
                self._refuse(
                    proxied.transaction, Rejected(403, "Not your address of record"), _AUTHORIZED, why
                )
                return
            proxied.identity = identity
            self._locate(proxied)
        elif type(verdict) is Challenge:
            fields = field_lines([("Proxy-Authenticate", value) for value in verdict.values])
            if not fields:
                raise ValueError("a Challenge without a value")  # RFC 3261 20.27
            proxied.note(name, "Challenge", cut(verdict.reason), self._seconds())
            if self._events.wanted:
                self._events.publish(
                    "sipframe.proxy.challenged",
                    aor=proxied.claims or "",
                    peer=proxied.flow.peer,
                    call_id=proxied.request.call_id,
                    reason=verdict.reason,
                )
            phrase = "Proxy Authentication Required"
            self._answering.answer(proxied.transaction, 407, phrase, fields, kept=False)
        elif type(verdict) is Rejected:
            self._rejected(proxied, name, verdict)
        elif type(verdict) is Abstained:
            proxied.note(name, "Abstained", cut(verdict.reason), self._seconds())
            why = "no authenticator has anything to say about the request"
            self._refuse(proxied.transaction, Rejected(403, "Forbidden"), _AUTHORIZED, why)
        else:
            raise TypeError("not what an IAuthenticator gives")

    def _locate(self, proxied: Proxied) -> None:
        # RFC 3261 16.5
        come = proxied.come
        uri = come.uri
        settings = self._settings
        if (
            self._gruus is not None
            and proxied.callee
            and isinstance(uri, SipURI)
            and uri.param("gr") is not None
        ):
            proxied.gruu = self._gruus.resolve(uri)
            proxied.callee = "" if proxied.gruu is None else proxied.gruu.aor
        if proxied.callee and isinstance(uri, SipURI) and uri.param("maddr") is None:
            self._lookup.ask((proxied.callee,), proxied, self._located, self._failed)
            return
        if (
            proxied.dialog_flow is None
            and isinstance(uri, SipURI)
            and self._domains.domain_of(uri.host) is not None
        ):
            why = "the Request-URI names no user of the domain"
            self._refuse(proxied.transaction, Rejected(404, "Not Found"), _TARGETS, why)
            return
        target = target_of(come.uri_text)
        if target is None:
            why = "the Request-URI is neither sip nor sips"
            self._refuse(proxied.transaction, Rejected(416, "Unsupported URI Scheme"), _TARGETS, why)
            return
        proxied.routing = Routing((target,), "", settings.record_route, settings.recurse)
        self._ask_policies(proxied)

    def _located(self, proxied: Proxied, snapshot: object) -> None:
        if type(snapshot) is not Snapshot:
            raise TypeError("lookup() gave no Snapshot")
        bindings = snapshot.bindings
        if proxied.gruu is not None:
            leads = proxied.gruu.targets(bindings, self._wall_clock())
            if leads is None:
                proxied.note(self._lookup.name, "Snapshot", "", self._seconds())
                why = "the temporary GRUU is not valid any more"
                self._refuse(proxied.transaction, Rejected(404, "Not Found"), "RFC 5627 6.1", why)
                return
            bindings = leads
        gruu = proxied.gruu is not None
        found = self._reach(bindings, proxied.come.uri.scheme == "sips", gruu=gruu)
        if gruu and proxied.come.routes:
            found = found._replace(
                targets=tuple([one._replace(path=()) for one in found.targets])
            )  # RFC 5627 6.1
        proxied.found = found
        told: Detail = (_found_text, found)
        proxied.note(self._lookup.name, "Snapshot", told, self._seconds())
        targets = found.targets
        if bindings or proxied.gruu is not None:
            proxied.dialog_flow = None
        elif proxied.dialog_flow is not None:
            targets = (Target(proxied.come.uri_text),)  # nobody's AOR, but somebody's Contact
        settings = self._settings
        proxied.routing = Routing(targets, proxied.callee, settings.record_route, settings.recurse)
        self._ask_policies(proxied)

    def _ask_policies(self, proxied: Proxied) -> None:
        if proxied.follows:
            self._forward(proxied)
            return
        proxied.policies_left = iter(self._policies)
        self._ask_next(proxied)

    def _ask_next(self, proxied: Proxied) -> None:
        policy = next(proxied.policies_left, None)
        if policy is None:
            self._forward(proxied)
        else:
            arguments = (proxied.request, proxied.identity, proxied.routing)
            policy.ask(arguments, proxied, self._routed, self._failed)

    def _routed(self, proxied: Proxied, verdict: object) -> None:
        asked = proxied.asked
        assert asked is not None
        if type(verdict) is Routing:
            changed: Detail = ""
            if verdict is not proxied.routing:
                flaw = routing_flaw(verdict)
                if flaw:
                    raise ValueError(flaw)
                if verdict != proxied.routing:
                    changed = (_routing_text, verdict)
            proxied.note(asked.name, "Routing", changed, self._seconds())
            proxied.routing = verdict
            self._ask_next(proxied)
        elif type(verdict) is Rejected:
            self._rejected(proxied, asked.name, verdict)
        else:
            raise TypeError("not what an IPolicy gives")

    def _forward(self, proxied: Proxied) -> None:
        # RFC 3261 16.6
        transaction, routing = proxied.transaction, proxied.routing
        if transaction.answered:
            return
        sips = proxied.come.uri.scheme == "sips"
        forking = self._recursing if routing.recurse else self._forking
        method = transaction.method
        context = ResponseContext(method, proxied.valid.breadth, sips=sips, forking=forking)
        proxied.fork = fork = Fork(
            proxied,
            self._outgoing,
            context,
            proxied.come,
            proxied.valid,
            proxied.loop_part,
            record=routing.record_route and method in _RECORDED,
            scopes=self._scopes(proxied),
            dialog_flow=proxied.dialog_flow,
            bound=proxied.bound and not proxied.in_front,
            insecure=proxied.found is not None and proxied.found.insecure,
            consumed=for_us(
                self._realms,
                proxied.request,
                proxied.identity is not None or proxied.claims is not None,
                proxied.in_front,
            ),
        )
        self.counters.proxied += 1
        fork.begin(routing.targets)

    # Within.

    def _scopes(self, proxied: Proxied) -> tuple[str, str]:
        """What tokens for either side of the dialog are good for: of whoever has proved something, of users of ours,
        and of whom we stand in front of, later requests may go anywhere."""
        request = proxied.request
        trusted = proxied.identity is not None or (proxied.follows and not proxied.bound)
        to = party(self._domains, request.to.uri)
        here = proxied.found is not None and bool(proxied.found.targets) and to == proxied.callee
        return (
            dialog_scope(request.call_id, party(self._domains, request.from_.uri), trusted),
            dialog_scope(request.call_id, to, here or proxied.in_front),
        )

    def _reach(self, bindings: Sequence[Binding], secure: bool, *, gruu: bool = False) -> Found:
        return reach(bindings, self._wall_clock(), secure, self._roads.find, gruu=gruu)

    def _ack_located(self, copy: AckCopy, snapshot: object) -> None:
        if type(snapshot) is not Snapshot:
            raise TypeError("lookup() gave no Snapshot")
        targets = self._reach(snapshot.bindings, copy.come.uri.scheme == "sips").targets
        if targets:
            # RFC 3261 16.11: a stateless proxy has one target, the same one each time.
            copy.send_to(max(targets, key=_q), None)
        elif copy.dialog_flow is not None:
            copy.send_to(Target(copy.come.uri_text), copy.dialog_flow)
        else:
            self.counters.acks_dropped += 1

    def _rejected(self, proxied: Proxied, name: str, verdict: Rejected) -> None:
        """A plug-in has refused. Raises TypeError or ValueError when that cannot be sent."""
        status, reason = refusal_line(verdict)
        fields = field_lines(verdict.fields)
        proxied.note(name, "Rejected", cut(verdict.reason), self._seconds())
        self._answering.answer(proxied.transaction, status, reason, fields, kept=proxied.identity is not None)

    def _failed(self, proxied: Proxied, asked: GuardedMethod, error: BaseException) -> None:
        verdict = self._seam.failed(proxied, asked, error)
        status, reason = refusal_line(verdict)
        fields = field_lines(verdict.fields)
        self._answering.answer(proxied.transaction, status, reason, fields, kept=proxied.identity is not None)

    def _refuse(self, transaction: ServerTransaction, verdict: Rejected, rule: str, why: str) -> None:
        steps = ((rule, "Rejected", cut(why), 0.0),)
        fields = field_lines(verdict.fields)
        self._answering.answer(transaction, verdict.status, verdict.reason, fields, kept=False, steps=steps)


def _contact(uri: URI) -> bool:
    """Whether ``uri``, of a request within a dialog, is what somebody gave as Contact, be the host one of ours: on the
    machine of the server itself it is. Such a URI has a port; AORs and GRUUs have none."""
    return isinstance(uri, SipURI) and uri.port is not None and uri.param("gr") is None


def _ack_failed(copy: AckCopy, asked: GuardedMethod, error: BaseException) -> None:
    copy.dropped()


def _q(target: Target) -> int:
    return target.q


def _found_text(found: Found) -> str:
    parts = [f"{len(found.targets)} {'target' if len(found.targets) == 1 else 'targets'}"]
    parts.extend([f"{without_password(contact)} left out: {why}" for contact, why in found.left_out])
    return "; ".join(parts)


def _routing_text(routing: Routing) -> str:
    return ", ".join([without_password(target.uri) for target in routing.targets]) or "no targets"
