"""A phone that a test holds in its hand: it registers, refreshes, answers, loses its connection and comes back.

Rules: a phone does what the test says and nothing by itself, but for what the transport and the transactions of any
phone do: it sends again, it answers a challenge, it connects when it has something to say. Its messages are those of
RFC 3261 8.1.1 and 10.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from sipframe.testing.exchange import Exchange, Incoming, NoAnswer, lines_of
from sipframe.testing.flows import LIMITS, DatagramFlow, Flow, StreamFlow
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
        """The phone's address."""
        self._flow: Flow | None = None
        self.flows: list[Flow] = []
        """All flows that there ever were."""
        self.malformed: list[MessageError] = []
        """What came and was no message."""
        self.requests: list[Incoming] = []
        """What the server has asked, and nobody has taken by :meth:`next_request` yet."""
        self.answering: dict[str, Answering] = {}
        """What to do at once with a request of the server's, by method."""
        self.spaces: dict[tuple[bool, str], ProtectionSpace] = {}
        """The credentials that are used without being asked for again; clear it to forget them."""
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
        uris = [parse_name_addr(_name_addr(one)).uri_text for one in contacts]
        return self._register([f"Contact: <{uri}>;expires=0" for uri in uris], True).wait()

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
        fields: Sequence[str] = (),
        body: bytes = b"",
        authenticate: bool = True,
    ) -> Response:
        """Send a request and wait for the final answer. Raises :class:`~.exchange.NoAnswer`.

        ``uri`` is the Request-URI, the phone's own domain without one; ``to`` is To, the Request-URI without one.
        """
        return self.begin(method, uri, to=to, fields=fields, body=body, authenticate=authenticate).wait()

    def begin(
        self,
        method: str,
        uri: str | None = None,
        *,
        to: str | None = None,
        fields: Sequence[str] = (),
        body: bytes = b"",
        authenticate: bool = True,
        call_id: str | None = None,
    ) -> Exchange:
        """The same without waiting."""
        self._connected()
        uri = self._domain if uri is None else uri
        to = to or (self.aor if method == "REGISTER" else uri)
        call_id = self.token(8) if call_id is None else call_id
        rest = lines_of(fields)

        def make(flow: Flow, credentials: str) -> tuple[bytes, str]:
            self.cseq += 1
            branch = COOKIE + self.token(8)
            head = (
                f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{flow.transport} {flow.sent_by};branch={branch};rport\r\n"
                f"Max-Forwards: 70\r\nFrom: <{self.aor}>;tag={self._tag}\r\nTo: <{to}>\r\nCall-ID: {call_id}\r\n"
                f"CSeq: {self.cseq} {method}\r\n{rest}{credentials}Content-Length: {len(body)}\r\n\r\n"
            )
            return head.encode("utf-8", "surrogateescape") + body, branch

        self.last = exchange = Exchange(self, method, uri, make, body, authenticate)
        exchange.send()
        return exchange

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
        if account.transport == "UDP":
            flow = DatagramFlow(self, phones.network, self.host, self._next_port, account.peer, serial)
            self._next_port += 2  # an odd port is for RTCP, as phones have it
        else:
            flow = StreamFlow(self, phones.reactor, self.host, account.peer, serial, account.tls)
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
        flow = transaction.flow
        assert isinstance(flow, Flow)
        incoming = Incoming(transaction, transaction.request, flow, self.token(4))
        answering = self.answering.get(incoming.method)
        if answering is None:
            self.requests.append(incoming)
        else:
            answering(incoming)

    def __repr__(self) -> str:
        return f"<phone {self.aor} at {self.host} over {self.transport}>"


def _name_addr(contact: str) -> str:
    return contact if contact == "*" or "<" in contact else f"<{contact}>"
