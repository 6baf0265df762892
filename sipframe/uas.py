"""The UAS core: what every request is checked for before a method's own rules (RFC 3261 8.2).

Rules: checks come in the order of 8.2 and 16.3, and each has its answer. A request that cannot be read but can be
answered is answered without a transaction (8.2.7); what cannot be answered is counted and dropped. ACK is never
answered, CANCEL is the transaction layer's, and neither is challenged (22.1). A tag for To is a keyed hash of what
identifies the request: a retransmission that is answered without a transaction gets the same one (8.2.7).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final, Protocol

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
from sipframe.seams import Seam, field_lines, refusal_for, refusal_line, report
from sipframe.transaction import ServerTransaction, TransactionUser
from sipframe.verdicts import Admitted, Rejected

__all__ = ["UserAgentServer", "UserAgentServerCounters"]

OPTION_TAGS: Final = frozenset({"path"})
"""The extensions that Require may name (RFC 3261 8.2.2.3): Path (RFC 3327) is stored and echoed."""

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
    "Accept: application/sdp\r\nAccept-Encoding: identity\r\nAccept-Language: en\r\n"
    f"Supported: {', '.join(sorted(OPTION_TAGS))}\r\n"
)
"""What a 200 to OPTIONS tells besides Allow (RFC 3261 11.2)."""

_ADMITTED: Final = Admitted()
_TOO_LARGE: Final = "Answer Too Large for UDP"
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


class _Arrival:
    """A request that policies are asked about before anything else."""

    __slots__ = ("policies_left", "transaction")

    def __init__(self, transaction: ServerTransaction, policies: tuple[Admission, ...]) -> None:
        self.transaction = transaction
        self.policies_left = policies


class Admission(Protocol):
    """The part of IPolicy that every request is asked of."""

    def admit(self, request: Request, flow: IFlow) -> object: ...


class UserAgentServer(TransactionUser):
    """The transaction user of a server: checks requests, hands them to the core of their method, writes answers.

    ``tag_key`` (any octets, up to 64, kept secret) makes To tags. ``serves`` says whether a Request-URI is ours.
    """

    def __init__(
        self,
        *,
        serves: Callable[[object, IFlow], bool],
        policies: Sequence[Admission],
        seam: Seam,
        events: Events,
        tag_key: bytes,
    ) -> None:
        self._serves = serves
        self._policies = tuple(policies)
        self._seam = seam
        self._events = events
        self._tag_key = tag_key
        self._cores: dict[str, Callable[[ServerTransaction], None]] = {"OPTIONS": self._options}
        self._allow = ""
        self._ongoing: dict[tuple[str, int, str | None], ServerTransaction] = {}
        self.counters = UserAgentServerCounters()
        self.add_core("OPTIONS", self._options)

    def add_core(self, method: str, core: Callable[[ServerTransaction], None]) -> None:
        """Let ``core`` answer requests with ``method``; it may raise MessageError before it has done anything."""
        self._cores[method] = core
        self._allow = f"Allow: {', '.join(sorted({*self._cores, 'CANCEL'}))}\r\n"

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
            self._answer_error(transaction, error)
            return
        if to.tag is None:
            # RFC 3261 8.2.2.2: the same request by another path. Ongoing ones are known by these three.
            mark = (call_id, cseq.number, from_.tag)
            other = self._ongoing.get(mark)
            if other is not None and other.method == transaction.method:
                self.counters.merged += 1
                self.answer(transaction, 482, "Loop Detected", kept=False)
                return
        if request.method == "CANCEL":
            # RFC 3261 9.2: it matches nothing of ours. It cannot be sent again, so nobody may ask more of it (22.1).
            self.answer(transaction, 481, REASONS[481], kept=False)
        elif self._policies:
            self._admitted(_Arrival(transaction, self._policies), _ADMITTED)
        else:
            self._dispatch(transaction)
        if not transaction.answered and transaction.mark is None:
            self._remember(transaction)

    def ack(self, request: Request, flow: IFlow) -> None:
        """An ACK that belongs to no transaction of ours: never answered (RFC 3261 17.1.1.3)."""
        self.counters.stray_acks += 1

    def cancelled(self, transaction: ServerTransaction, cancel: Request) -> None:
        """A CANCEL for a request that we have not answered yet (RFC 3261 9.2)."""
        self.answer(transaction, 487, "Request Terminated", kept=True)

    def stray_response(self, response: Response, flow: IFlow) -> None:
        """A response that nobody waits for: dropped (RFC 6026 7.3)."""
        self.counters.stray_responses += 1

    def refused(self, request: Request, flow: IFlow) -> None:
        """There is no room for another transaction (RFC 3261 21.5.4)."""
        if request.method != "ACK":
            fields = "Retry-After: 5\r\n"
            _ = self._respond_alone(request, flow, 503, REASONS[503], fields)

    def terminated(self, transaction: ServerTransaction) -> None:
        """A transaction has ended, and with it what RFC 3261 8.2.2.2 calls ongoing."""
        mark = transaction.mark
        if mark is not None and self._ongoing.get(mark) is transaction:
            del self._ongoing[mark]

    # What the transport calls.

    def malformed(self, error: MessageError, flow: IFlow) -> None:
        """What arrived is no sound message: answered when it is a request that can be, else counted and dropped."""
        request = error.partial
        if (
            isinstance(request, Request)
            and request.method != "ACK"
            and self._respond_alone(request, flow, error.status, _phrase(error))
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
        return self._response(request, flow, 200, "OK", "")

    # Steps of a request.

    def _admitted(self, arrival: _Arrival, verdict: object) -> None:
        transaction = arrival.transaction
        if transaction.answered:
            return  # a CANCEL was faster than the policy
        if type(verdict) is Rejected:
            status, reason = refusal_line(verdict)
            self.answer(transaction, status, reason, field_lines(verdict.fields), kept=False)
        elif type(verdict) is not Admitted:
            raise TypeError("not what an IPolicy gives")
        elif arrival.policies_left:
            policy, *left = arrival.policies_left
            arrival.policies_left = tuple(left)
            arguments = (transaction.request, transaction.flow)
            self._seam.ask(policy.admit, arguments, arrival, self._admitted, self._policy_failed)
        else:
            self._dispatch(transaction)

    def _policy_failed(self, arrival: _Arrival, method: object, error: BaseException) -> None:
        report(self._events, method, error)
        self._admitted(arrival, refusal_for(error))

    def _dispatch(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        core = self._cores.get(request.method)
        if core is None:
            # RFC 3261 8.2.1; 21.5.2: 501 is for methods that are not known at all.
            status = 405 if request.method in _SIP_METHODS else 501
            self.answer(transaction, status, REASONS[status], self._allow, kept=False)
            return
        try:
            if not isinstance(request.uri, SipURI):
                self.answer(transaction, 416, "Unsupported URI Scheme", kept=False)  # RFC 3261 8.2.2.1
                return
            if request.max_forwards == 0 and not self._serves(request.uri, transaction.flow):
                self.answer(transaction, 483, "Too Many Hops", kept=False)  # RFC 3261 16.3 step 3
                return
            if "require" in request.fields:
                unknown = [tag for tag in request.require if tag.lower() not in OPTION_TAGS]
                if unknown:
                    fields = f"Unsupported: {', '.join(unknown)}\r\n"
                    self.answer(transaction, 420, "Bad Extension", fields, kept=False)  # RFC 3261 8.2.2.3
                    return
            core(transaction)
        except MessageError as error:
            self._answer_error(transaction, error)
        except Exception as error:
            report(self._events, core, error)
            self.answer(transaction, 500, REASONS[500], kept=False)

    def _options(self, transaction: ServerTransaction) -> None:
        # RFC 3261 11.2
        request = transaction.request
        uri = request.uri
        if not self._serves(uri, transaction.flow) or (isinstance(uri, SipURI) and uri.user):
            self.answer(transaction, 404, "Not Found", kept=False)
            return
        self.answer(transaction, 200, "OK", f"{self._allow}{_CAPABILITIES}", kept=False)

    # Answers.

    def answer(
        self, transaction: ServerTransaction, status: int, reason: str, fields: str = "", *, kept: bool
    ) -> None:
        """Send a final response. ``fields`` are ready lines; ``kept`` lets the transaction absorb retransmissions.

        Without ``kept`` the transaction is forgotten at once: zero state before proof (RFC 3261 8.2.7).
        """
        if transaction.answered:
            self.counters.late_answers += 1
            return
        data = self._response(transaction.request, transaction.flow, status, reason, fields)
        if kept:
            if transaction.mark is None:
                self._remember(transaction)
            transaction.respond(status, data)
        else:
            transaction.respond_stateless(status, data)

    def _respond_alone(
        self, request: Request, flow: IFlow, status: int, reason: str, fields: str = ""
    ) -> bool:
        """Answer what has no transaction; say whether there was a Via to answer by."""
        try:
            data = self._response(request, flow, status, reason, fields)
            via = request.reply_via
        except MessageError:
            return False
        flow.respond(data, via)
        return True

    def _answer_error(self, transaction: ServerTransaction, error: MessageError) -> None:
        self.answer(transaction, error.status, _phrase(error), kept=False)

    def _remember(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        mark = (request.call_id, request.cseq.number, request.from_.tag)
        transaction.mark = mark
        self._ongoing.setdefault(mark, transaction)

    def _response(self, request: Request, flow: IFlow, status: int, reason: str, fields: str) -> bytes:
        peer = flow.peer
        return response_bytes(request, status, reason, self._tag(request), fields, (peer.host, peer.port))

    def _tag(self, request: Request) -> str:
        # RFC 3261 9.2: a CANCEL, which has the same CSeq number and top Via, gets the same tag.
        number = (request.first("cseq") or "").partition(" ")[0]
        identifying = f"{request.reply_via.text}\n{request.first('call-id')}\n{number}"
        return blake2b(
            identifying.encode("utf-8", "surrogateescape"), digest_size=8, key=self._tag_key
        ).hexdigest()


def _phrase(error: MessageError) -> str:
    # RFC 3261 21.4.1: the Reason-Phrase should say what is wrong.
    usual = REASONS.get(error.status, "Bad Request")
    return usual if error.status != 400 else f"{usual} ({error.reason})"
