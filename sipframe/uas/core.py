"""The UAS core: what every request is checked for before a method's own rules (RFC 3261 8.2).

Rules: checks come in the order of 8.2 and 16.3, and each has its answer. A request that cannot be read but can be
answered is answered without a transaction (8.2.7); what cannot be answered is counted and dropped. ACK is never
answered, CANCEL is the transaction layer's, and neither is challenged (22.1). A tag for To is a keyed hash of what
identifies the request: a retransmission that is answered without a transaction gets the same one (8.2.7). Each final
answer is recorded with the rule or the plug-ins that led to it; one that is only sent again is not. When a request is
gone before its answer, whoever is asked about it is asked no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from types import MappingProxyType
from typing import Final, Protocol

from sipframe.decisions import Decisions, Detail, RawStep, cut
from sipframe.events import Events
from sipframe.interfaces import IFlow
from sipframe.message import (
    REASONS,
    Limits,
    MessageError,
    Request,
    Response,
    SipURI,
    parse_message,
    response_bytes,
)
from sipframe.proxy import Come
from sipframe.seams import GuardedMethod, Inquiry, Seam, field_lines, name_of, refusal_line, report
from sipframe.transaction import ServerTransaction, TransactionUser
from sipframe.uas.recording import Recorder
from sipframe.verdicts import Address, Admitted, Rejected

__all__ = ["Admission", "Core", "UserAgentServer", "UserAgentServerCounters"]

OPTION_TAGS: Final = ("path",)
"""The extensions that Require may name (RFC 3261 8.2.2.3), unless others are given: Path (RFC 3327) is stored and
echoed."""

_SIP_METHODS: Final = frozenset(
    {
        "ACK",
        "BYE",
        "CANCEL",
        "INFO",
        "INVITE",
        "MESSAGE",
        "NOTIFY",
        "OPTIONS",
        "PRACK",
        "PUBLISH",
        "REFER",
        "REGISTER",
        "SUBSCRIBE",
        "UPDATE",
    }
)

_CAPABILITIES: Final = (
    "Accept: application/sdp\r\nAccept-Encoding: identity\r\nAccept-Language: en\r\nSupported: {}\r\n"
)
"""What a 200 to OPTIONS tells besides Allow (RFC 3261 11.2)."""

_TOO_LARGE: Final = "Answer Too Large for UDP"
_LARGE: Final = "a {} of {} octets, which no datagram holds".format
_NOT_SERVED: Final = "{} is not served".format
_NOTHING: Final = ("",)
_REPEATED: Final = (("via", "Via"), ("from", "From"), ("to", "To"), ("call-id", "Call-ID"), ("cseq", "CSeq"))


class UserAgentServerCounters:
    """What was not worth a transaction, or could not be answered."""

    __slots__ = (
        "late_answers",
        "malformed_answered",
        "malformed_dropped",
        "merged",
        "stray_acks",
        "stray_responses",
    )

    def __init__(self) -> None:
        self.late_answers = 0
        """Answers to what was answered, or had ended, before."""
        self.malformed_answered = 0
        self.malformed_dropped = 0
        self.merged = 0
        self.stray_acks = 0
        self.stray_responses = 0


Core = Callable[[ServerTransaction], None]
"""What answers the requests with one method; it may raise MessageError before it has done anything."""


class Forwarding(Protocol):
    """What forwards the requests that are not for this server itself: the proxy (RFC 3261 16)."""

    def fronts(self, uri: object) -> bool: ...

    def takes(self, request: Request, flow: IFlow) -> Come | None: ...

    def proxy(self, transaction: ServerTransaction, taken: Come) -> None: ...

    def ack(self, request: Request, flow: IFlow) -> None: ...


class _Arrival(Inquiry):
    """A request that policies are asked about before anything else. It goes to the core that there was when it came."""

    __slots__ = ("cores", "policies_left", "transaction")

    def __init__(
        self, transaction: ServerTransaction, policies: Iterator[GuardedMethod], cores: Mapping[str, Core]
    ) -> None:
        super().__init__([])
        self.transaction = transaction
        self.policies_left = policies
        self.cores = cores


class Admission(Protocol):
    """The part of IPolicy that every request is asked of."""

    def admit(self, request: Request, flow: IFlow) -> object: ...


class UserAgentServer(TransactionUser):
    """The transaction user of a server: checks requests, hands them to the core of their method, writes answers.

    ``tag_key`` (any octets, up to 64, kept secret) makes To tags. ``serves`` says whether a Request-URI is ours,
    ``aor_of`` which canonical AOR a URI names, if any. ``option_tags`` (lower case) are the extensions that its cores
    know. ``decisions`` gets the record of each final answer, with the time of ``wall_clock`` (seconds since 1970).
    """

    def __init__(
        self,
        *,
        serves: Callable[[object, IFlow], bool],
        policies: Sequence[Admission],
        seam: Seam,
        events: Events,
        tag_key: bytes,
        decisions: Decisions | None = None,
        wall_clock: Callable[[], float] = float,
        aor_of: Callable[[SipURI], str | None] | None = None,
        option_tags: Iterable[str] = OPTION_TAGS,
    ) -> None:
        self._serves = serves
        self._option_tags = frozenset(option_tags)
        self._capabilities = _CAPABILITIES.format(", ".join(sorted(self._option_tags)))
        self._seam = seam
        self._events = events
        self._tag_hash = blake2b(digest_size=8, key=tag_key)
        self._recorder = Recorder(Decisions(0) if decisions is None else decisions, wall_clock, aor_of)
        self._cores: Mapping[str, Core] = MappingProxyType({})
        self._allow = ""
        self.proxy: Forwarding | None = None
        """What takes the requests that are not for this server itself; without it they are refused."""
        self._ongoing: dict[tuple[str, int, str | None], ServerTransaction] = {}
        self._by_flow: dict[int, dict[ServerTransaction, None]] = {}
        self.counters = UserAgentServerCounters()
        self.reconfigure(policies, {"OPTIONS": self._options})

    def add_core(self, method: str, core: Core) -> None:
        """Let ``core`` answer requests with ``method``."""
        self._cores = MappingProxyType({**self._cores, method: core})
        self._allow = f"Allow: {', '.join(sorted({*self._cores, 'CANCEL'}))}\r\n"

    def reconfigure(self, policies: Iterable[Admission], cores: Mapping[str, Core]) -> None:
        """Take ``policies`` in place of those until now, and ``cores`` in place of those for the same methods.

        It holds from the next request on. What is under way ends with the policies and the core it began with.
        """
        admissions = tuple([self._seam.method(policy, "admit") for policy in policies])
        for method, core in cores.items():
            self.add_core(method, core)
        self._policies = admissions

    # What the transaction layer calls.

    def request(self, transaction: ServerTransaction) -> None:
        """A request that is no retransmission."""
        request = transaction.request
        try:
            # RFC 3261 8.1.1: what every request has. Typed access raises with the field's name.
            cseq = request.cseq
            from_ = request.from_
            to = request.to
            call_id = request.call_id
            if cseq.method != request.method:
                raise MessageError("CSeq names another method")
            if not (from_.uri_text and to.uri_text):
                raise MessageError("Empty URI")
            _ = request.max_forwards, request.contacts
            uri = request.uri
            if isinstance(uri, SipURI) and uri.headers:
                raise MessageError("Header fields in the Request-URI")  # RFC 3261 19.1.1, table 1
        except MessageError as error:
            self._answer_error(transaction, error, "RFC 3261 8.1.1")
            return
        if to.tag is None:
            # RFC 3261 8.2.2.2: the same request by another path. Ongoing ones are known by these three.
            mark = (call_id, cseq.number, from_.tag)
            other = self._ongoing.get(mark)
            if other is not None and other.method == transaction.method and not self._takes(transaction):
                self.counters.merged += 1
                why = "a request with this Call-ID, CSeq and From tag is under way: it came by two paths"
                self._refuse(transaction, 482, "RFC 3261 8.2.2.2", why, "Loop Detected")
                return
        if request.method == "CANCEL":
            # RFC 3261 9.2: it matches nothing of ours. It cannot be sent again, so nobody may ask more of it (22.1).
            self._refuse(transaction, 481, "RFC 3261 9.2", "there is no INVITE here that it could cancel")
        elif self._policies:
            arrival = _Arrival(transaction, iter(self._policies), self._cores)
            transaction.work = arrival
            self._ask_next(arrival)
        else:
            self._dispatch(transaction, self._cores)
        if not transaction.answered and transaction.mark is None:
            self._remember(transaction)
            if transaction.flow.transport != "UDP":
                # Somebody is asked about it, and will be for nothing when the connection is lost.
                self._by_flow.setdefault(transaction.flow.serial, {})[transaction] = None

    def ack(self, request: Request, flow: IFlow) -> None:
        """An ACK that belongs to no transaction of ours: never answered (RFC 3261 17.1.1.3)."""
        try:
            # What was answered without a transaction: it ends here, like every ACK for an answer that is no 2xx.
            ours = self.proxy is None or request.to.tag == self._tag(request)
        except MessageError:
            ours = True
        if ours or self.proxy is None:
            self.counters.stray_acks += 1
        else:
            self.proxy.ack(request, flow)

    def cancelled(self, transaction: ServerTransaction, cancel: Request) -> None:
        """A CANCEL for a request that we have not answered yet (RFC 3261 9.2, 16.10)."""
        if transaction.work is not None and transaction.work.cancelled(cancel):
            return
        steps = (("RFC 3261 9.2", "Rejected", "it was cancelled", 0.0),)
        self.answer(transaction, 487, "Request Terminated", kept=True, steps=steps)

    def stray_response(self, response: Response, flow: IFlow) -> None:
        """A response that nobody waits for: dropped (RFC 6026 7.3)."""
        self.counters.stray_responses += 1

    def refused(self, request: Request, flow: IFlow) -> None:
        """There is no room for another transaction (RFC 3261 21.5.4)."""
        if request.method != "ACK":
            fields = "Retry-After: 5\r\n"
            steps = (("RFC 3261 21.5.4", "Rejected", "there is no room for another transaction", 0.0),)
            _ = self._respond_alone(request, flow, 503, REASONS[503], steps, fields)

    def terminated(self, transaction: ServerTransaction) -> None:
        """A transaction has ended, and with it what RFC 3261 8.2.2.2 calls ongoing."""
        mark = transaction.mark
        if mark is not None and self._ongoing.get(mark) is transaction:
            del self._ongoing[mark]
        if self._by_flow:
            self._forget_flow(transaction)
        work, transaction.work = transaction.work, None
        if work is not None:
            work.abandon()  # it has ended without an answer

    def flow_lost(self, flow: IFlow) -> None:
        """Nobody can be answered by ``flow`` any more; what came by it over a connection is dropped."""
        for transaction in tuple(self._by_flow.get(flow.serial, ())):
            if not transaction.answered:
                transaction.drop()

    # What the transport calls.

    def malformed(self, error: MessageError, flow: IFlow) -> None:
        """What arrived is no sound message: answered when it is a request that can be, else counted and dropped."""
        request = error.partial
        if (
            isinstance(request, Request)
            and request.method != "ACK"
            and self._respond_alone(request, flow, error.status, _phrase(error), _malformed(error))
        ):
            self.counters.malformed_answered += 1
            return
        self.counters.malformed_dropped += 1
        if self._events.wanted:
            self._events.publish("sipframe.uas.malformed", peer=flow.peer, reason=error.reason)

    def too_large(self, data: bytes, flow: IFlow) -> bytes | None:
        """No datagram can hold the response ``data``: say so in its place, so that the client may come back by TCP."""
        try:
            response = parse_message(data, Limits(head=len(data), lines=len(data)))
        except MessageError:
            return None
        if not isinstance(response, Response):
            return None
        head = [f"SIP/2.0 500 {_TOO_LARGE}"]
        for name, spelled in _REPEATED:
            head.extend([f"{spelled}: {value}" for value in response.all(name)])
        text = "\r\n".join([*head, "Content-Length: 0", "", ""])
        why = (_LARGE, response.status, len(data))
        steps = (("RFC 3261 18.1.1", "Rejected", why, 0.0),)
        self._recorder.record_replaced(response, flow, 500, _TOO_LARGE, steps)
        return text.encode("utf-8", "surrogateescape")

    # Ready responses for the transaction layer.

    def trying(self, request: Request, flow: IFlow) -> bytes:
        """The 100 that a slow answer begins with: no To tag (RFC 3261 8.2.6.1), and the Timestamp as it came."""
        timestamp = request.first("timestamp")
        fields = "" if timestamp is None else f"Timestamp: {timestamp}\r\n"
        peer = flow.peer
        return response_bytes(request, 100, "Trying", None, fields, (peer.host, peer.port))

    def cancel_ok(self, request: Request, flow: IFlow) -> bytes:
        """The 200 to a CANCEL whose request is here (RFC 3261 9.2)."""
        peer = flow.peer
        steps = (("RFC 3261 9.2", "Accepted", "its request is here", 0.0),)
        self._recorder.record(request, flow, peer, 200, "OK", steps)
        return self._response(request, peer, 200, "OK", "")

    # Steps of a request.

    def _ask_next(self, arrival: _Arrival) -> None:
        policy = next(arrival.policies_left, None)
        transaction = arrival.transaction
        if policy is None:
            self._dispatch(transaction, arrival.cores)
        else:
            arguments = (transaction.request, transaction.flow)
            policy.ask(arguments, arrival, self._admitted, self._policy_failed)

    def _admitted(self, arrival: _Arrival, verdict: object) -> None:
        asked = arrival.asked
        assert asked is not None
        if type(verdict) is Admitted:
            arrival.note(asked.name, "Admitted", "", self._seam.seconds())
            self._ask_next(arrival)
        elif type(verdict) is Rejected:
            status, reason = refusal_line(verdict)
            fields = field_lines(verdict.fields)
            arrival.note(asked.name, "Rejected", cut(reason), self._seam.seconds())
            self.answer(arrival.transaction, status, reason, fields, kept=False)
        else:
            raise TypeError("not what an IPolicy gives")

    def _policy_failed(self, arrival: _Arrival, asked: GuardedMethod, error: BaseException) -> None:
        status, reason, fields = self._seam.failed(arrival, asked, error)
        self.answer(arrival.transaction, status, reason, field_lines(fields), kept=False)

    def _takes(self, transaction: ServerTransaction) -> Come | None:
        """The request for the proxy, unless it is for this server itself. Raises MessageError."""
        proxy, request = self.proxy, transaction.request
        if proxy is None or (
            # RFC 3261 10.3 step 1: a REGISTER for others is refused, unless we stand in front of them.
            request.method == "REGISTER" and "route" not in request.fields and not proxy.fronts(request.uri)
        ):
            return None
        return proxy.takes(request, transaction.flow)

    def _dispatch(self, transaction: ServerTransaction, cores: Mapping[str, Core]) -> None:
        request = transaction.request
        if self.proxy is not None:
            try:
                taken = self._takes(transaction)
                if taken is not None:
                    self.proxy.proxy(transaction, taken)
                    return
            except MessageError as error:
                self._answer_error(transaction, error, "RFC 3261 16.3 step 1")
                return
        core = cores.get(request.method)
        if core is None:
            # RFC 3261 8.2.1; 21.5.2: 501 is for methods that are not known at all.
            status = 405 if request.method in _SIP_METHODS else 501
            why: Detail = (_NOT_SERVED, cut(request.method))
            self._refuse(transaction, status, "RFC 3261 8.2.1", why, fields=self._allow)
            return
        try:
            if not isinstance(request.uri, SipURI):
                why = "the Request-URI is neither sip nor sips"
                self._refuse(transaction, 416, "RFC 3261 8.2.2.1", why, "Unsupported URI Scheme")
                return
            if request.max_forwards == 0 and not self._serves(request.uri, transaction.flow):
                why = "Max-Forwards is 0 and the Request-URI is not served here"
                self._refuse(transaction, 483, "RFC 3261 16.3 step 3", why)
                return
            if "require" in request.fields:
                unknown = [tag for tag in request.require if tag.lower() not in self._option_tags]
                if unknown:
                    names = ", ".join(unknown)
                    why = cut(f"Require names {names}")
                    self._refuse(
                        transaction, 420, "RFC 3261 8.2.2.3", why, fields=f"Unsupported: {names}\r\n"
                    )
                    return
            core(transaction)
        except MessageError as error:
            self._answer_error(transaction, error, "RFC 3261 21.4.1")
        except Exception as error:
            report(self._events, core, error)
            steps = ((name_of(core), type(error).__name__, "", 0.0),)
            self.answer(transaction, 500, REASONS[500], kept=False, steps=steps)

    def _options(self, transaction: ServerTransaction) -> None:
        # RFC 3261 11.2
        request = transaction.request
        uri = request.uri
        if not self._serves(uri, transaction.flow) or (isinstance(uri, SipURI) and uri.user):
            why = "the Request-URI is neither a domain nor an address of this server"
            self._refuse(transaction, 404, "RFC 3261 11.2", why)
            return
        self.capabilities(transaction)

    # Answers.

    def answer(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str,
        fields: str = "",
        *,
        kept: bool,
        steps: Sequence[RawStep] = (),
    ) -> None:
        """Send a final response. ``fields`` are ready lines; ``kept`` lets the transaction absorb retransmissions.

        Without ``kept`` the transaction is forgotten at once: zero state before proof (RFC 3261 8.2.7). ``steps`` led
        here besides those of ``transaction.work``.
        """
        if transaction.answered:
            self.counters.late_answers += 1
            return
        request, flow, work = transaction.request, transaction.flow, transaction.work
        peer = flow.peer
        data = response_bytes(request, status, reason, self._tag(request), fields, peer)
        if transaction.mark is not None:
            self._forget_flow(transaction)
        elif kept:
            self._remember(transaction)
        aor: str | None = None
        if work is not None:
            transaction.work = None
            steps = (*work.steps, *steps) if steps else work.steps
            aor = work.aor
            if work.question is not None:
                work.abandon()  # a CANCEL was faster than whoever is asked
        if kept:
            transaction.respond(status, data)
        else:
            transaction.respond_stateless(status, data)
        self._recorder.record(request, flow, peer, status, reason, steps, aor)

    def pass_on(self, transaction: ServerTransaction, response: Response, data: bytes) -> None:
        """Send ``data``, the final ``response`` of somebody else as it goes to the client (RFC 3261 16.7)."""
        request, flow, work = transaction.request, transaction.flow, transaction.work
        if transaction.mark is not None:
            self._forget_flow(transaction)
        else:
            self._remember(transaction)
        transaction.work = None
        transaction.respond(response.status, data)
        steps, aor = ((), None) if work is None else (work.steps, work.aor)
        self._recorder.record(request, flow, flow.peer, response.status, response.reason, steps, aor)

    def capabilities(self, transaction: ServerTransaction) -> None:
        """Answer an OPTIONS as its final recipient (RFC 3261 11.2)."""
        steps = (("RFC 3261 11.2", "Accepted", "the capabilities of this server", 0.0),)
        self.answer(transaction, 200, "OK", f"{self._allow}{self._capabilities}", kept=False, steps=steps)

    def _refuse(
        self,
        transaction: ServerTransaction,
        status: int,
        rule: str,
        why: Detail,
        reason: str = "",
        fields: str = "",
    ) -> None:
        """Answer as a rule of the RFC has it."""
        steps = ((rule, "Rejected", why, 0.0),)
        self.answer(transaction, status, reason or REASONS[status], fields, kept=False, steps=steps)

    def _respond_alone(
        self,
        request: Request,
        flow: IFlow,
        status: int,
        reason: str,
        steps: Sequence[RawStep],
        fields: str = "",
    ) -> bool:
        """Answer what has no transaction; say whether there was a Via to answer by."""
        peer = flow.peer
        try:
            data = self._response(request, peer, status, reason, fields)
            via = request.reply_via
        except MessageError:
            return False
        flow.respond(data, via)
        self._recorder.record(request, flow, peer, status, reason, steps)
        return True

    def _answer_error(self, transaction: ServerTransaction, error: MessageError, rule: str) -> None:
        self._refuse(transaction, error.status, rule, error.reason, _phrase(error))

    def _remember(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        mark = (request.call_id, request.cseq.number, request.from_.tag)
        transaction.mark = mark
        self._ongoing.setdefault(mark, transaction)

    def _forget_flow(self, transaction: ServerTransaction) -> None:
        serial = transaction.flow.serial
        waiting = self._by_flow.get(serial)
        if waiting is not None:
            _ = waiting.pop(transaction, None)
            if not waiting:
                del self._by_flow[serial]

    def _response(self, request: Request, peer: Address, status: int, reason: str, fields: str) -> bytes:
        return response_bytes(request, status, reason, self._tag(request), fields, peer)

    def _tag(self, request: Request) -> str:
        # RFC 3261 9.2: a CANCEL, which has the same CSeq number and top Via, gets the same tag.
        values = request.fields
        number = values.get("cseq", _NOTHING)[0].partition(" ")[0]
        identifying = f"{request.reply_via.text}\n{values.get('call-id', _NOTHING)[0]}\n{number}"
        tag = self._tag_hash.copy()
        tag.update(identifying.encode("utf-8", "surrogateescape"))
        return tag.hexdigest()


def _phrase(error: MessageError) -> str:
    # RFC 3261 21.4.1: the Reason-Phrase should say what is wrong.
    usual = REASONS.get(error.status, "Bad Request")
    return usual if error.status != 400 else f"{usual} ({error.reason})"


def _malformed(error: MessageError) -> tuple[RawStep, ...]:
    rule = {505: "RFC 3261 7.1", 513: "RFC 3261 21.5.7"}.get(error.status, "RFC 3261 21.4.1")
    return ((rule, "Rejected", error.reason, 0.0),)
