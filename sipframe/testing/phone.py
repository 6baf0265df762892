"""A phone that a test holds in its hand: it registers, refreshes, answers, loses its connection and comes back.

Rules: a phone does what the test says and nothing by itself, but for what the transport, the transactions and the
dialogs of any phone do: it sends again, it answers a challenge, it connects when it has something to say, it
acknowledges a 2xx, it answers a BYE within a dialog with 200 and an INVITE that is cancelled with 487. Its messages are
those of RFC 3261 8.1.1, 10.2 and 12.2. It sends everything to its server, as to an outbound proxy; but over UDP what
another address is the next hop of, within a dialog, goes there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from sipframe.message import (
    COOKIE,
    MessageError,
    NameAddr,
    Request,
    Response,
    SipURI,
    parse_message,
    parse_name_addr,
    parse_uri,
)
from sipframe.testing.call import Call
from sipframe.testing.dialog import Dialog
from sipframe.testing.exchange import Exchange, Incoming, NoAnswer, lines_of
from sipframe.testing.flows import LIMITS, DatagramFlow, Flow, StreamFlow
from sipframe.testing.sdp import description
from sipframe.ua.answering import ProtectionSpace
from sipframe.verdicts import Address

if TYPE_CHECKING:
    from ssl import SSLContext

    from sipframe.testing.phones import Phones
    from sipframe.transaction import ServerTransaction, TransactionLayer

__all__ = ["Account", "Answering", "Phone"]

_SIP_PORT: Final = 5060

E = TypeVar("E", bound=BaseException)

Answering = Callable[[Incoming], object]
"""What a phone does with a request of the server's."""


@attrs.frozen
class Account:
    """Who a phone is, and how it reaches the server."""

    aor: str
    username: str
    password: str | None = attrs.field(repr=False)
    transport: str
    """``UDP``, ``TCP`` or ``TLS``."""
    peer: Address
    tls: tuple[SSLContext, str] | None = None
    """For TLS: whom to believe, and the name that the certificate must be for."""
    private: str | None = None
    """The phone's own address behind a NAT; its ``host`` is the NAT's then."""


class Phone:
    """A scripted user agent. :meth:`Server.phone <sipframe.testing.server.Server.phone>` makes one."""

    def __init__(self, phones: Phones, account: Account, host: str) -> None:
        uri = parse_uri(account.aor)
        if not isinstance(uri, SipURI) or not uri.user:
            raise ValueError(f"{account.aor}: an AOR is sip:USER@DOMAIN or sips:USER@DOMAIN")
        self.aor = account.aor
        self.username = account.username
        self.password = account.password
        """None answers no challenge. It may be changed."""
        self.transport = account.transport
        self.host = host
        """The phone's address; behind a NAT that of the NAT."""
        self._flow: Flow | None = None
        self.flows: list[Flow] = []
        """All flows that there ever were."""
        self.malformed: list[MessageError] = []
        """What came and was no message."""
        self.requests: list[Incoming] = []
        """What the server has asked, and nobody has taken by :meth:`next_request` yet."""
        self.answering: dict[str, Answering] = {}
        """What to do at once with a request of the server's, by method."""
        self.dialogs: list[Dialog] = []
        """All dialogs that there ever were."""
        self.acks: list[Request] = []
        """The ACKs that came and belong to no dialog."""
        self.strays: list[Response] = []
        """The responses that came and belong to no request."""
        self.spaces: dict[tuple[bool, str], ProtectionSpace] = {}
        """The credentials that are used without being asked for again; clear it to forget them."""
        self.challenged: dict[tuple[bool, str], set[str]] = {}
        """The To of those requests that each of them is for."""
        self.last: Exchange | None = None
        """The last request."""
        self._phones = phones
        self._account = account
        self._domain = str(SipURI(uri.scheme, None, None, uri.host, uri.port, (), ()))
        self._user = uri.user
        self._entropy = phones.network.entropy(f"{account.aor} at {host}")
        self._next_port = _SIP_PORT
        self._tag = self.token(4)
        self.call_id = self.token(8)
        """Of its REGISTERs (RFC 3261 10.2)."""
        self.cseq = 0
        """That of the last request."""
        self._wanted: tuple[tuple[str, ...], int | None, tuple[str, ...]] = ((), None, ())

    # Registering.

    def register(
        self,
        *contacts: str,
        expires: int | None = None,
        fields: Sequence[str] = (),
        authenticate: bool = True,
    ) -> Response:
        """Register and wait for the final answer (RFC 3261 10.2.1).

        Without ``contacts`` (URIs, or whole Contact values in ``<>``) it is where the phone can be reached by its flow.
        ``expires`` (seconds) goes into Expires; None has none. ``fields`` are more header field lines, such as
        ``Supported: path``. Without ``authenticate`` there are no credentials, and a challenge is the answer. Raises
        :class:`~.exchange.NoAnswer`.
        """
        return self.begin_register(
            *contacts, expires=expires, fields=fields, authenticate=authenticate
        ).wait()

    def begin_register(
        self,
        *contacts: str,
        expires: int | None = None,
        fields: Sequence[str] = (),
        authenticate: bool = True,
    ) -> Exchange:
        """The same without waiting: let time pass, then look at what is returned."""
        self._wanted = (contacts, expires, tuple(fields))
        self._connected()
        lines = [f"Contact: {_name_addr(one)}" for one in contacts or (self.contact,)]
        if expires is not None:
            lines.append(f"Expires: {expires}")
        return self._register([*lines, *fields], authenticate)

    def refresh(self) -> Response:
        """Register as before, and wait (RFC 3261 10.2.4). Raises NoAnswer."""
        return self.begin_refresh().wait()

    def begin_refresh(self) -> Exchange:
        """The same without waiting."""
        contacts, expires, fields = self._wanted
        return self.begin_register(*contacts, expires=expires, fields=fields)

    def unregister(self) -> Response:
        """Remove what was registered, and wait (RFC 3261 10.2.2). Raises NoAnswer."""
        self._connected()
        contacts = self._wanted[0] or (self.contact,)
        removed = [_without_expires(parse_name_addr(_name_addr(one))) for one in contacts]
        return self._register([f"Contact: {one};expires=0" for one in removed], True).wait()

    def unregister_all(self) -> Response:
        """Remove all bindings of the AOR, and wait (RFC 3261 10.2.2). Raises NoAnswer."""
        self._connected()
        return self._register(["Contact: *", "Expires: 0"], True).wait()

    def fetch(self) -> tuple[NameAddr, ...]:
        """Ask what is registered, and wait: the contacts (RFC 3261 10.2.3). Raises NoAnswer, also for a refusal."""
        self._connected()
        answer = self._register([], True).wait()
        if answer.status != 200:
            raise self.told(NoAnswer(f"{self.aor} may not know: {answer.status} {answer.reason}"))
        return answer.contacts

    @property
    def contact(self) -> str:
        """Where the phone can be reached by its flow: a URI."""
        flow = self._connected()
        scheme = self._domain.partition(":")[0]
        parameter = (
            "" if flow.transport == "UDP" or scheme == "sips" else f";transport={flow.transport.lower()}"
        )
        return f"{scheme}:{self._user}@{flow.sent_by}{parameter}"

    def _register(self, fields: Sequence[str], authenticate: bool) -> Exchange:
        return self.begin(
            "REGISTER", self._domain, fields=fields, authenticate=authenticate, call_id=self.call_id
        )

    # Any request.

    def request(
        self,
        method: str,
        uri: str | None = None,
        *,
        to: str | None = None,
        from_: str | None = None,
        fields: Sequence[str] = (),
        body: bytes = b"",
        authenticate: bool = True,
        call_id: str | None = None,
    ) -> Response:
        """Send a request and wait for the final answer. Raises :class:`~.exchange.NoAnswer`.

        ``uri`` is the Request-URI, the phone's own domain without one; ``to`` is To, the Request-URI without one;
        ``from_`` is From, the phone's AOR without one.
        """
        return self.begin(
            method,
            uri,
            to=to,
            from_=from_,
            fields=fields,
            body=body,
            authenticate=authenticate,
            call_id=call_id,
        ).wait()

    def begin(
        self,
        method: str,
        uri: str | None = None,
        *,
        to: str | None = None,
        from_: str | None = None,
        fields: Sequence[str] = (),
        body: bytes = b"",
        authenticate: bool = True,
        call_id: str | None = None,
    ) -> Exchange:
        """The same without waiting."""
        exchange = self._exchange(
            method,
            self._domain if uri is None else uri,
            to or (self.aor if method == "REGISTER" else uri or self._domain),
            from_=from_,
            fields=fields,
            body=body,
            authenticate=authenticate,
            call_id=call_id,
        )
        exchange.send()
        return exchange

    def _exchange(
        self,
        method: str,
        uri: str,
        to: str,
        *,
        from_: str | None,
        fields: Sequence[str],
        body: bytes,
        authenticate: bool,
        call_id: str | None = None,
        tag: str | None = None,
        heard: Callable[[Response], None] | None = None,
    ) -> Exchange:
        self._connected()
        call_id = self.token(8) if call_id is None else call_id
        from_ = self.aor if from_ is None else from_
        tag = self._tag if tag is None else tag
        rest = lines_of(fields)

        def make(flow: Flow, credentials: str) -> tuple[bytes, str]:
            self.cseq += 1
            branch = COOKIE + self.token(8)
            head = (
                f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{flow.transport} {flow.sent_by};branch={branch};rport\r\n"
                f"Max-Forwards: 70\r\nFrom: <{from_}>;tag={tag}\r\nTo: <{to}>\r\nCall-ID: {call_id}\r\n"
                f"CSeq: {self.cseq} {method}\r\n{rest}{credentials}Content-Length: {len(body)}\r\n\r\n"
            )
            return head.encode("utf-8", "surrogateescape") + body, branch

        self.last = exchange = Exchange(self, method, uri, make, body, authenticate, to=to, heard=heard)
        return exchange

    # Calls and subscriptions.

    def call(
        self,
        uri: str,
        *,
        to: str | None = None,
        from_: str | None = None,
        fields: Sequence[str] = (),
        body: bytes | None = None,
        authenticate: bool = True,
        call_id: str | None = None,
        method: str = "INVITE",
    ) -> Call:
        """Call somebody: an INVITE with Contact and a session description, and whatever comes of it. Does not wait.

        ``body`` is another one than that of :func:`.sdp.description`; empty for none. ``to`` and ``from_`` are URIs, if
        they are not ``uri`` and the phone's AOR. Another ``method`` begins other dialogs, such as SUBSCRIBE.
        """
        flow = self._connected()
        lines = [f"Contact: <{self.contact}>", *fields]
        if body is None:
            body = description(flow) if method == "INVITE" else b""
            lines += ["Content-Type: application/sdp"] if body else []
        call = Call(self)
        exchange = self._exchange(
            method,
            uri,
            to or uri,
            from_=from_,
            fields=lines,
            body=body,
            authenticate=authenticate,
            call_id=call_id,
            tag=self.token(4),
            heard=call.heard,
        )
        call.begin(exchange)
        return call

    def subscribe(
        self,
        uri: str,
        event: str = "presence",
        *,
        expires: int = 3600,
        fields: Sequence[str] = (),
        authenticate: bool = True,
    ) -> Call:
        """Subscribe to something of somebody (RFC 6665 4.1.2): a dialog in which NOTIFYs come. Does not wait."""
        lines = [f"Event: {event}", f"Expires: {expires}", *fields]
        return self.call(uri, fields=lines, authenticate=authenticate, method="SUBSCRIBE")

    def message(self, uri: str, text: str, *, fields: Sequence[str] = ()) -> Response:
        """Send a text (RFC 3428), and wait for the answer. Raises NoAnswer."""
        return self.request(
            "MESSAGE", uri, fields=["Content-Type: text/plain", *fields], body=text.encode("utf-8")
        )

    def send(self, data: bytes) -> None:
        """Send octets as they are, in no transaction; what comes back is in :attr:`received`."""
        self._connected().send(data)
        timeline = self._phones.network.timeline
        if not timeline.running:
            timeline.settle()

    def retransmit(self) -> None:
        """Send the last request again, octet for octet. Raises RuntimeError when there is none."""
        if self.last is None or not self.last.requests:
            raise RuntimeError("nothing was sent yet")
        self.send(self.last.requests[-1])

    # Flows.

    def connect(self) -> Flow:
        """Open another flow and use it from now on: a UDP port, or a connection. Raises ConnectionError."""
        phones, account = self._phones, self._account
        serial = next(phones.serials)
        flow: Flow
        private, port = account.private, self._next_port
        if account.transport == "UDP":
            self._next_port += 2  # an odd port is for RTCP, as phones have it
            inside = None if private is None else Address(private, port)
            flow = DatagramFlow(
                self, phones.network, self.host, 0 if private else port, account.peer, serial, inside
            )
        else:
            inside = None if private is None else Address(private, 0)
            flow = StreamFlow(self, phones.reactor, self.host, account.peer, serial, account.tls, inside)
            _ = phones.pass_time(lambda: flow.opened or not flow.alive, 60.0)
        phones.has(flow, self)
        self.flows.append(flow)
        self._flow = flow
        if not flow.alive:
            raise self.told(ConnectionError(f"{self.aor} cannot connect: {flow.why}"))
        return flow

    @property
    def flow(self) -> Flow:
        """What requests are sent on: the last one that was opened, dead or alive; the first is opened when asked for.

        Set it to use another one of :attr:`flows`. A phone whose flow is dead opens another one for its next request.
        """
        return self.connect() if self._flow is None else self._flow

    @flow.setter
    def flow(self, flow: Flow) -> None:
        self._flow = flow

    def _connected(self) -> Flow:
        flow = self._flow
        return flow if flow is not None and flow.alive else self.connect()

    def way(self, uri: str | None) -> Flow:
        """The flow to ``uri``, the next hop of a request; to the server without one. Raises ConnectionError."""
        flow = self._connected()
        if uri is None or flow.transport != "UDP":
            return flow
        hop = parse_uri(uri)
        if not isinstance(hop, SipURI) or (hop.param("transport") or "udp").lower() != "udp":
            return flow
        host = self._phones.network.hosts.get(hop.host, hop.host).strip("[]")
        if not _is_address(host) or hop.scheme != "sip":
            return flow
        return flow.toward(Address(host, hop.port or _SIP_PORT))

    # What the server asks.

    def next_request(self, method: str | None = None, *, within: float = 32.0) -> Incoming:
        """The next request of the server's (with ``method``), for which time passes, at most ``within`` seconds.

        A method that :attr:`answering` has is none of them. Raises AssertionError when there is none.
        """

        def found() -> Incoming | None:
            return next((one for one in self.requests if method in (None, one.method)), None)

        self.pass_time(lambda: found() is not None, within)
        request = found()
        if request is None:
            raise self.told(
                AssertionError(f"{self.aor} was asked no {method or 'thing'} within {within:g} s")
            )
        self.requests.remove(request)
        return request

    @property
    def received(self) -> list[Request | Response]:
        """All messages that came, retransmissions included, as far back as the wire is kept."""
        found: list[Request | Response] = []
        for one in self._phones.network.wire:
            if one.target.host == self.host and one.data.strip(b"\r\n\0") and one.fate != "lost":
                try:
                    found.append(parse_message(one.data, LIMITS))
                except MessageError:
                    continue
        return found

    # For its own parts.

    @property
    def layer(self) -> TransactionLayer:
        """The transactions of all phones."""
        return self._phones.layer

    def token(self, octets: int) -> str:
        """Something that nobody else has, from the seed."""
        return self._entropy(octets).hex()

    def pass_time(self, until: Callable[[], bool], seconds: float) -> bool:
        """Let time pass, moment by moment, until ``until`` says True; False when it has not within ``seconds``."""
        return self._phones.pass_time(until, seconds)

    def told(self, error: E) -> E:
        """``error`` with the ladder of this phone in its notes."""
        return self._phones.told(error, self)

    def arrived(self, message: Request | Response, flow: Flow) -> None:
        """From a flow: a message."""
        try:
            if isinstance(message, Request):
                self.layer.request(message, flow)
            else:
                self.layer.response(message, flow)
        except MessageError as error:
            self.malformed.append(error)

    def malformed_came(self, error: MessageError, flow: Flow) -> None:
        """From a flow: something that is no message."""
        self.malformed.append(error)

    def flow_lost(self, flow: Flow) -> None:
        """From a flow: it is dead."""
        self.layer.flow_lost(flow)

    def asked(self, transaction: ServerTransaction) -> None:
        """From the transactions: a request of the server's."""
        flow, request = transaction.flow, transaction.request
        assert isinstance(flow, Flow)
        dialog = self._dialog_of(request)
        transaction.work = incoming = Incoming(self, transaction, request, flow, dialog)
        if dialog is not None:
            dialog.came(incoming)
        answering = self.answering.get(incoming.method)
        if answering is not None:
            answering(incoming)
        elif dialog is not None and incoming.method == "BYE":
            incoming.answer(200)
        else:
            self.requests.append(incoming)

    def acknowledged(self, request: Request) -> None:
        """From the transactions: an ACK for a 2xx, or one that belongs to nothing."""
        dialog = self._dialog_of(request)
        if dialog is None:
            self.acks.append(request)
        else:
            dialog.ack_came(request)

    def cancelled(self, transaction: ServerTransaction, cancel: Request) -> None:
        """From the transactions: an INVITE is cancelled (RFC 3261 9.2)."""
        incoming = transaction.work
        assert isinstance(incoming, Incoming)
        incoming.cancel = cancel
        answering = self.answering.get("CANCEL")
        if answering is not None:
            answering(incoming)
        elif not incoming.answered:
            incoming.reject(487)

    def call_later(self, seconds: float, do: Callable[[], None]) -> None:
        """Have ``do`` called after some seconds."""
        _ = self._phones.reactor.callLater(seconds, do)

    def _dialog_of(self, request: Request) -> Dialog | None:
        return next((dialog for dialog in self.dialogs if dialog.is_of(request)), None)

    def __repr__(self) -> str:
        return f"<phone {self.aor} at {self.host} over {self.transport}>"


def _name_addr(contact: str) -> str:
    return contact if contact == "*" or "<" in contact else f"<{contact}>"


def _without_expires(contact: NameAddr) -> NameAddr:
    """RFC 5626 4.2.2: a removal has the instance ID and the reg-id of what it removes."""
    return contact._replace(params=tuple([one for one in contact.params if one[0] not in ("expires", "q")]))


def _is_address(host: str) -> bool:
    try:
        _ = ip_address(host)
    except ValueError:
        return False
    return True
