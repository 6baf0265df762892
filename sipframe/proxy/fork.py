"""A proxied request on its way: performs what its response context asks for, and tells it what happens (RFC 3261 16.6
to 16.10).

Rules: the context decides, this room does. All that one event asks for is done before the context hears of the next
one. A branch fails over from one hop to the next by itself (RFC 3263 4.3), until nothing new may be begun. What each
branch was sent to, and what came back, stands in the record of the request until its final answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from sipframe.decisions import Detail, RawStep, cut, without_password
from sipframe.events import Events
from sipframe.interfaces import IFlow
from sipframe.message import REASONS, MessageError, Request, Response
from sipframe.proxy.actions import (
    Action,
    CancelBranch,
    Done,
    DropBranch,
    Forward,
    Respond,
    SetTimerC,
    StopTimerC,
)
from sipframe.proxy.context import ResponseContext
from sipframe.proxy.forwarding import Copy, forwarded_request, forwarded_response
from sipframe.proxy.here import PATH_SCOPE
from sipframe.proxy.reaching import Lead, lead
from sipframe.proxy.record_route import record_routes, route_uri
from sipframe.proxy.routing import Preprocessed, Way, way
from sipframe.proxy.token import FlowTokens
from sipframe.proxy.validation import Valid
from sipframe.roads import FlowText, Hop, OurEnd, Roads, Unroutable
from sipframe.seams import GuardedMethod, Inquiry, report
from sipframe.sending import Sender, Sending, SendingUser
from sipframe.transaction import ClientUser, ServerTransaction, TimerQueue, cancel_bytes
from sipframe.verdicts import Target, Unavailable

if TYPE_CHECKING:
    from sipframe.proxy.proxied import Proxied

__all__ = ["Answering", "Fork", "Outgoing", "ProxyCounters"]

_FORWARDED: Final = "RFC 3261 16.6"
_RESPONSES: Final = "RFC 3261 16.7"
_ANOTHER_FLOW: Final = (408, 430)
"""What another flow of the same device may mend (RFC 5626 7)."""
_MOST_STEPS: Final = 500
"""How many steps the record of one request may have before provisional answers leave none: a callee may send as many as
it likes."""
_ELSEWHERE: Final = ('SIP;cause=200;text="Call completed elsewhere"',)
"""Why a phone need not show a call that it missed (RFC 3326 2)."""


class ProxyCounters:
    """What the proxy has done since it began."""

    __slots__ = (
        "acks",
        "acks_dropped",
        "calls_underway",
        "forwarded",
        "proxied",
        "responses",
        "unforwardable",
    )

    def __init__(self) -> None:
        self.proxied = 0
        """Requests that were forwarded, to one target or to many."""
        self.forwarded = 0
        """Copies of them that were sent."""
        self.responses = 0
        """Responses that were passed on."""
        self.unforwardable = 0
        """Responses that were not, because no Via was left in them or it could not be read."""
        self.acks = 0
        """ACKs that were passed on."""
        self.acks_dropped = 0
        self.calls_underway = 0
        """Requests whose branches have not all ended."""


class Answering(Protocol):
    """How answers leave: the UAS core."""

    def answer(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str,
        fields: str = "",
        *,
        kept: bool,
        steps: Sequence[RawStep] = (),
    ) -> None: ...

    def pass_on(self, transaction: ServerTransaction, response: Response, data: bytes) -> None:
        """Send ``data``, a final response that somebody else gave."""

    def capabilities(self, transaction: ServerTransaction) -> None:
        """Answer an OPTIONS as its final recipient (RFC 3261 11.2)."""


class Outgoing:
    """What all forks of one proxy send with."""

    __slots__ = (
        "answering",
        "counters",
        "events",
        "resolve",
        "roads",
        "seconds",
        "sender",
        "timer_c",
        "timer_cancel",
        "tls_by_transport",
        "tokens",
        "underway",
    )

    def __init__(
        self,
        *,
        sender: Sender,
        resolve: GuardedMethod,
        answering: Answering,
        tokens: FlowTokens,
        events: Events,
        seconds: Callable[[], float],
        timer_c: TimerQueue,
        timer_cancel: TimerQueue,
        tls_by_transport: bool,
        counters: ProxyCounters,
        underway: dict[Fork, None],
    ) -> None:
        self.sender = sender
        self.roads: Roads = sender.roads
        self.resolve = resolve
        self.answering = answering
        self.tokens = tokens
        self.events = events
        self.seconds = seconds
        self.timer_c = timer_c
        self.timer_cancel = timer_cancel
        self.tls_by_transport = tls_by_transport
        self.counters = counters
        self.underway = underway


class _Nobody(ClientUser):
    """Cares for nothing that comes of a CANCEL (RFC 3261 9.1)."""


class Fork:
    """The branches of one request. ``dialog_flow`` is the flow that a Route of ours names for where it goes, ``bound``
    that it goes nowhere else; ``scopes`` are what tokens for the client's side and for the other one are good for."""

    __slots__ = (
        "_busy",
        "_happened",
        "_over",
        "_stays",
        "bound",
        "branches",
        "come",
        "consumed",
        "context",
        "dialog_flow",
        "insecure",
        "loop_part",
        "out",
        "proxied",
        "reasons",
        "record",
        "request",
        "scopes",
        "sips",
        "transaction",
        "valid",
    )

    def __init__(
        self,
        proxied: Proxied,
        out: Outgoing,
        context: ResponseContext,
        come: Preprocessed,
        valid: Valid,
        loop_part: str,
        *,
        record: bool,
        scopes: tuple[str, str],
        dialog_flow: FlowText | None,
        bound: bool,
        insecure: bool,
        consumed: frozenset[int],
    ) -> None:
        self.proxied = proxied
        self.out = out
        self.context = context
        self.transaction = proxied.transaction
        self.request: Request = proxied.request
        self.come = come
        self.valid = valid
        self.loop_part = f".{loop_part}"
        self.record = record
        self.scopes = scopes
        self.dialog_flow = dialog_flow
        self.bound = bound
        self.insecure = insecure
        self.consumed = consumed
        self.sips = come.uri.scheme == "sips"
        self.branches: list[Branch] = []
        self.reasons: Sequence[str] = ()
        """Why branches are cancelled."""
        self._happened: deque[tuple[Callable[..., list[Action]], tuple[Any, ...]]] = deque()
        self._busy = False
        self._stays = False
        self._over = False

    def begin(self, targets: Sequence[Target]) -> None:
        """Forward the request to ``targets``."""
        self.out.underway[self] = None
        self.out.counters.calls_underway += 1
        self.tell(self.context.add_targets, targets)

    def cancel(self, cancel: Request | None) -> None:
        """The request was cancelled, or nobody is there any more who could be answered (RFC 3261 16.10)."""
        self.reasons = () if cancel is None else tuple(cancel.all("reason"))
        self.proxied.rule(
            "RFC 3261 16.10", "Cancelled", "" if cancel is not None else "its connection is lost"
        )
        self.tell(self.context.cancelled)

    def ended_by(self, status: int) -> None:
        """A final response with ``status`` has come: if it ends the other branches, this is why (RFC 3326 2)."""
        if self.context.closing:
            return
        if 200 <= status < 300:
            self.reasons = _ELSEWHERE
        elif status >= 600:
            phrase = REASONS.get(status)
            self.reasons = (f"SIP;cause={status}" + (f';text="{phrase}"' if phrase else ""),)

    def give_up(self) -> None:
        """The server stops: answer 503, and let no phone ring any longer."""
        transaction = self.transaction
        if not transaction.answered:
            steps: tuple[RawStep, ...] = (("stop", "Unavailable", "the server is stopping", 0.0),)
            self.out.answering.answer(transaction, 503, REASONS[503], kept=True, steps=steps)
        self.reasons = ()
        self.tell(self.context.cancelled)

    def tell(self, event: Callable[..., list[Action]], *arguments: Any) -> None:
        """Tell the context an event, and do what follows; what happens meanwhile is told afterwards."""
        self._happened.append((event, arguments))
        if self._busy:
            return
        self._busy = True
        try:
            while self._happened:
                event, arguments = self._happened.popleft()
                for action in event(*arguments):
                    if not self._over or type(action) is Respond:
                        self._do(action)
        finally:
            self._busy = False
        if self.context.closing and not self._stays:
            self._stays = True
            for branch in self.branches:
                branch.stay()
        if self.context.done and not self._over:
            self._let_go()

    def note(self, rule: str, verdict: str, detail: Detail, seconds: float = 0.0) -> None:
        """A step of the record, until the final answer has made the record."""
        if not self.transaction.answered:
            self.proxied.steps.append((rule, verdict, detail, seconds))

    def _let_go(self) -> None:
        """Every branch has ended: all that may still come is one more 2xx, which needs the way from a branch to here.
        The way back is cut, so that memory is free when the transactions end and not when cycles are looked for."""
        self._over = True
        self.proxied.fork = None
        for branch in self.branches:
            branch.let_go()
        self.branches.clear()

    # The actions.

    def _do(self, action: Action) -> None:
        match action:
            case Forward():
                branch = Branch(self, action)
                self.branches.append(branch)
                branch.begin()
            case Respond():
                self._respond(action)
            case SetTimerC():
                branch = self.branches[action.branch]
                self.out.timer_c.cancel(branch)
                self.out.timer_c.start(branch)
            case StopTimerC():
                self.branches[action.branch].stop_timers()
            case CancelBranch():
                self.branches[action.branch].cancel()
            case DropBranch():
                self.branches[action.branch].drop()
            case Done():
                self.out.underway.pop(self, None)
                self.out.counters.calls_underway -= 1
                if not action.answered and not self.transaction.answered:
                    self.transaction.drop()  # RFC 4320 4.2

    def _respond(self, action: Respond) -> None:
        transaction, answering = self.transaction, self.out.answering
        response = action.response
        if response is not None:
            try:
                stream = transaction.flow.transport != "UDP"
                data = forwarded_response(response, action.challenges, action.contacts, stream=stream)
            except MessageError:
                data = None
            if data is not None:
                self.out.counters.responses += 1
                if not action.final:
                    transaction.respond(response.status, data)
                elif transaction.answered:
                    transaction.respond(response.status, data)  # RFC 6026 7.1: one more 2xx
                else:
                    answering.pass_on(transaction, response, data)
                return
            self.out.counters.unforwardable += 1
            if not action.final:
                return
            if not transaction.answered:
                flaw = "the response has no Via of the client's"
                steps: tuple[RawStep, ...] = ((_RESPONSES, "Rejected", flaw, 0.0),)
                answering.answer(transaction, 502, REASONS[502], kept=True, steps=steps)
            return
        if transaction.answered:
            return
        fields = ""
        if action.status == 480 and self.insecure:
            fields = f'Warning: 380 {self._us()} "SIPS Not Allowed"\r\n'  # RFC 5630 5.3
        steps = ((_RESPONSES, "Rejected", self._best(action.status), 0.0),)
        answering.answer(transaction, action.status, REASONS[action.status], fields, kept=True, steps=steps)

    def _best(self, status: int) -> Detail:
        if not self.branches:
            return "there is no target" if status == 480 else ""
        return (_best_text, status, len(self.branches))

    def path(self) -> str:
        """Our Path value for a REGISTER that goes to a registrar elsewhere (RFC 3327 5.2, RFC 5626 5.1)."""
        request = self.request
        if request.method != "REGISTER":
            return ""
        out, flow = self.out, self.transaction.flow
        end = out.roads.end_of(flow)
        token = out.tokens.issue(flow, PATH_SCOPE)
        uri = route_uri(end, token, sips=self.sips, transport_tls=out.tls_by_transport)
        # RFC 5626 5.1: only the edge proxy, which has the first Via, says that it keeps the flow.
        ob = ";ob" if len(request.vias) == 1 else ""
        return f"<{uri}{ob}>"

    def _us(self) -> str:
        return self.out.roads.end_of(self.transaction.flow).sent_by


def _best_text(status: int, branches: int) -> str:
    return f"{status} is the best that {branches} {'branch' if branches == 1 else 'branches'} came to"


class Branch(Inquiry, SendingUser):
    """One target of a fork: a request that is sent there, and its timers."""

    __slots__ = ("_began", "_fork", "_instead", "_lead", "_number", "_sending", "_target", "_way", "breadth")

    def __init__(self, fork: Fork, action: Forward) -> None:
        super().__init__([])
        self._fork = fork
        self._number = action.branch
        self._target = action.target
        self.breadth = action.breadth
        self._sending: Sending | None = None
        self._way: Way | None = None
        self._lead: Lead | None = None
        self._instead = action.target.instead
        self._began = fork.out.seconds()

    def __repr__(self) -> str:
        return f"<Branch {self._number} to {self._target.uri}>"

    @property
    def proxied(self) -> Proxied:
        """The request that it is a branch of."""
        return self._fork.proxied

    # What the fork does with it.

    def begin(self) -> None:
        """Send the request to the target: by its flow, or where its URI leads."""
        fork = self._fork
        try:
            self._way = found = way(fork.come, self._target.uri, self._target.path)
            self._lead = leading = lead(
                found, self._target, fork.dialog_flow, fork.out.roads.find, bound=fork.bound
            )
        except ValueError as error:  # MessageError among them
            self._failed(503, str(error))
            return
        if leading is None:
            self._failed(430, "its connection is gone")  # RFC 5626 5.3.1
        elif leading.flow is not None:
            self._send([leading.flow])
        else:
            fork.out.resolve.ask((leading.uri,), self, Branch._resolved, Branch._unresolved)

    def stay(self) -> None:
        """Try no other hop than the one at hand."""
        if self._sending is not None:
            self._sending.stay()

    def cancel(self) -> None:
        """Cancel the INVITE that was sent (RFC 3261 9.1), and wait no longer than 64*T1 for its answer."""
        fork = self._fork
        self.stop_timers()
        fork.out.timer_cancel.start(self)
        sending = self._sending
        transaction = None if sending is None else sending.transaction
        if transaction is not None and transaction.data:
            data = cancel_bytes(transaction.data, fork.reasons)
            layer = fork.out.sender.layer
            _ = layer.send(data, "CANCEL", transaction.branch, transaction.flow, _Nobody())

    def drop(self) -> None:
        """Give it up without a word."""
        self.stop_timers()
        self.abandon()
        if self._sending is not None:
            self._sending.cancel()

    def let_go(self) -> None:
        """Nothing is asked of it any more."""
        self._sending = None

    def stop_timers(self) -> None:
        """Neither timer C nor that of a CANCEL runs any more."""
        out = self._fork.out
        out.timer_c.cancel(self)
        out.timer_cancel.cancel(self)

    def fired(self, event: str) -> None:
        """Timer C (RFC 3261 16.8), or 64*T1 after the CANCEL."""
        fork = self._fork
        fork.note("RFC 3261 16.8", "TimerC", (_rang_text, self._target.uri))
        fork.tell(fork.context.timer_c, self._number)

    # The request of it (sipframe.sending.Composer).

    @property
    def method(self) -> str:
        """The request's method."""
        return self._fork.request.method

    @property
    def branch_end(self) -> str:
        """The loop part (RFC 5393 4.2)."""
        return self._fork.loop_part

    def compose(self, via: str, ours: OurEnd, flow: IFlow) -> bytes:
        """The copy of the request that leaves by ``flow``."""
        fork = self._fork
        assert self._way is not None
        request, came = fork.request, fork.transaction.flow
        values: Sequence[str] = ()
        if fork.record:
            out = fork.out
            ours_scope, theirs_scope = fork.scopes
            values = record_routes(
                out.roads.end_of(came),
                ours,
                out.tokens.issue(came, ours_scope),
                out.tokens.issue(flow, theirs_scope),
                sips=fork.sips,
                transport_tls=out.tls_by_transport,
            )
        stream = flow.transport != "UDP"
        forwards = fork.valid.max_forwards
        copy = Copy(self._way, via, forwards, self.breadth, values, stream, fork.consumed, fork.path())
        return forwarded_request(request, came.peer, copy)

    # What comes of it (sipframe.sending.SendingUser).

    def sent(self, sending: Sending) -> None:
        """It is on its way."""
        self._sending = sending
        fork = self._fork
        fork.out.counters.forwarded += 1
        transaction = sending.transaction
        assert transaction is not None
        fork.note(_FORWARDED, "Forwarded", (_sent_text, self._target.uri, transaction.flow))
        fork.tell(fork.context.started, self._number)

    def response(self, sending: Sending, response: Response) -> None:
        """A response has come."""
        fork = self._fork
        if response.status in _ANOTHER_FLOW and self._try_next_flow(response.status, response.reason):
            return
        if response.status >= 200 or (response.status > 100 and len(fork.proxied.steps) < _MOST_STEPS):
            seconds = fork.out.seconds() - self._began
            fork.note(
                _RESPONSES, str(response.status), (_came_text, response.reason, self._target.uri), seconds
            )
        fork.ended_by(response.status)
        fork.tell(fork.context.response, self._number, response)

    def failed(self, sending: Sending, status: int, reason: str) -> None:
        """No final response will come."""
        self._failed(status, reason)

    # Within.

    def _send(self, ways: Sequence[IFlow | Hop]) -> None:
        self._sending = None
        self._began_by(self._fork.out.sender.send(self, ways, self))

    def _began_by(self, sending: Sending) -> None:
        if self._sending is None and not sending.over:
            self._sending = sending

    def _try_next_flow(self, status: int, reason: str) -> bool:
        """Begin with another flow of the same device, if there is one (RFC 5626 7, RFC 5627 6.1)."""
        fork = self._fork
        if not self._instead or fork.context.closing:
            return False
        fork.note(_FORWARDED, str(status), (_failed_text, self._target.uri, cut(reason)))
        self._target, *rest = self._instead
        self._instead = tuple(rest)
        self.begin()
        return True

    def _resolved(self, hops: object) -> None:
        assert self._lead is not None
        self._send(self._lead.hops(hops))

    def _unresolved(self, asked: GuardedMethod, error: BaseException) -> None:
        if isinstance(error, Unroutable):
            self._failed(error.status, error.reason)
            return
        if not isinstance(error, Unavailable):
            report(self._fork.out.events, asked.name, error)
        self._failed(503, str(error) if isinstance(error, Unavailable) else "the look-up failed")

    def _failed(self, status: int, reason: str) -> None:
        fork = self._fork
        if (status == 503 or status in _ANOTHER_FLOW) and self._try_next_flow(status, reason):
            return
        seconds = fork.out.seconds() - self._began
        fork.note(_FORWARDED, str(status), (_failed_text, self._target.uri, cut(reason)), seconds)
        if status == 408:
            fork.tell(fork.context.timed_out, self._number)
        else:
            fork.tell(fork.context.failed, self._number, status)


def _sent_text(uri: str, flow: IFlow) -> str:
    peer = flow.peer
    return f"to {without_password(uri)} by {flow.transport} {peer.host}:{peer.port}"


def _rang_text(uri: str) -> str:
    return f"to {without_password(uri)} rang for too long"


def _came_text(reason: str, uri: str) -> str:
    return f"{reason}, from {without_password(uri)}"


def _failed_text(uri: str, reason: str) -> str:
    return f"{without_password(uri)}: {reason}"
