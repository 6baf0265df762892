"""A dialog of a phone: what both ends remember of it, and the requests within it (RFC 3261 12, 13, 14, 15).

Rules: the route set, the remote target, the tags and the CSeq numbers are those of RFC 3261 12.1 and 12.2. The ACK for
a 2xx is sent at once, and again for each 2xx that comes again (13.2.2.4); the 2xx of this end is sent again until its
ACK comes (13.3.1.4). Everything else is done when the test says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sipframe.message import COOKIE, MessageError, Request, Response, parse_name_addr
from sipframe.message.grammar import split_list
from sipframe.testing.sdp import description

if TYPE_CHECKING:
    from sipframe.testing.exchange import Exchange, Incoming
    from sipframe.testing.flows import Flow
    from sipframe.testing.phone import Phone

__all__ = ["Dialog"]

_T1: Final = 0.5
_T2: Final = 4.0
_REFRESHES_TARGET: Final = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
"""RFC 3261 12.2.1.2, RFC 3311 5.1, RFC 6665 4.4.1."""


class Dialog:
    """One end of a dialog. :meth:`Phone.call <sipframe.testing.phone.Phone.call>` and
    :meth:`Incoming.accept <sipframe.testing.exchange.Incoming.accept>` begin one."""

    def __init__(
        self,
        phone: Phone,
        *,
        call_id: str,
        local: str,
        local_tag: str,
        remote: str,
        remote_tag: str | None,
        routes: Sequence[str],
        target: str,
        cseq: int,
    ) -> None:
        self.phone = phone
        self.call_id = call_id
        self.local = local
        """The URI of this end, which is From in its requests."""
        self.local_tag = local_tag
        self.remote = remote
        self.remote_tag = remote_tag
        self.routes = tuple(routes)
        """The route set."""
        self.target = target
        """The remote target: a URI."""
        self.cseq = cseq
        """The number of the last request of this end."""
        self.confirmed = False
        """Whether there was a 2xx; else it is an early dialog."""
        self.ended = False
        """Whether there was a BYE."""
        self.acks: list[Request] = []
        """The ACKs that have come."""
        self.requests: list[Incoming] = []
        """All requests that have come within it, those that were answered at once included."""
        self._awaited: dict[int, Callable[[], None]] = {}
        self._acknowledged: dict[int, tuple[bytes, Flow]] = {}
        phone.dialogs.append(self)

    @classmethod
    def called(cls, phone: Phone, request: Request, tag: str) -> Dialog:
        """The callee's end, begun by its answer to ``request`` with ``tag`` (RFC 3261 12.1.1)."""
        return cls(
            phone,
            call_id=request.call_id,
            local=request.to.uri_text,
            local_tag=tag,
            remote=request.from_.uri_text,
            remote_tag=request.from_.tag,
            routes=_values(request.all("record-route")),
            target=_contact(request) or request.from_.uri_text,
            cseq=0,
        )

    @classmethod
    def calling(cls, phone: Phone, request: Request, response: Response) -> Dialog:
        """The caller's end, begun by ``response`` to its ``request`` (RFC 3261 12.1.2)."""
        return cls(
            phone,
            call_id=request.call_id,
            local=request.from_.uri_text,
            local_tag=request.from_.tag or "",
            remote=request.to.uri_text,
            remote_tag=response.to.tag,
            routes=_values(response.all("record-route"))[::-1],
            target=_contact(response) or request.uri_text,
            cseq=request.cseq.number,
        )

    @property
    def acked(self) -> bool:
        """Whether every 2xx of this end to an INVITE has had its ACK."""
        return not self._awaited

    # Requests of this end.

    def request(
        self,
        method: str,
        *,
        fields: Sequence[str] = (),
        body: bytes = b"",
        authenticate: bool = True,
    ) -> Response:
        """Send a request within the dialog and wait for the final answer. Raises :class:`~.exchange.NoAnswer`."""
        return self.begin(method, fields=fields, body=body, authenticate=authenticate).wait()

    def begin(
        self,
        method: str,
        *,
        fields: Sequence[str] = (),
        body: bytes = b"",
        authenticate: bool = True,
    ) -> Exchange:
        """The same without waiting. An INVITE has a session description, unless there is a ``body``."""
        from sipframe.testing.exchange import Exchange, lines_of

        phone = self.phone
        way, uri, routes = self._road()
        if method in _REFRESHES_TARGET:
            fields = [f"Contact: <{phone.contact}>", *fields]
        if method == "INVITE" and not body:
            body = description(phone.flow)
            fields = [*fields, "Content-Type: application/sdp"]
        if method == "BYE":
            self.ended = True
        rest = lines_of([*routes, *fields])

        def make(flow: Flow, credentials: str) -> tuple[bytes, str]:
            self.cseq += 1
            return self._message(flow, uri, f"{self.cseq} {method}", rest + credentials, body)

        def heard(response: Response) -> None:
            if response.status >= 200:
                self.succeeded(response, exchange.requests[-1])

        phone.last = exchange = Exchange(
            phone,
            method,
            uri,
            make,
            body,
            authenticate,
            to=self.remote,
            toward=way,
            heard=heard if method == "INVITE" else None,
        )
        exchange.send()
        return exchange

    def bye(self) -> Response:
        """Hang up, and wait for the answer (RFC 3261 15.1.1). Raises NoAnswer."""
        return self.begin_bye().wait()

    def begin_bye(self) -> Exchange:
        """The same without waiting."""
        return self.begin("BYE")

    # For the phone and the call.

    def is_of(self, request: Request) -> bool:
        """Whether a request that has come is within this dialog (RFC 3261 12.2.2)."""
        return (request.call_id, request.to.tag, request.from_.tag) == (
            self.call_id,
            self.local_tag,
            self.remote_tag,
        )

    def came(self, incoming: Incoming) -> None:
        """A request has come within it."""
        request = incoming.request
        self.requests.append(incoming)
        if request.method in _REFRESHES_TARGET:
            self.target = _contact(request) or self.target
        if request.method == "BYE":
            self.ended = True

    def confirm(self, response: Response) -> None:
        """The first 2xx to the INVITE: the route set is that of the 2xx (RFC 3261 13.2.2.4)."""
        self.confirmed = True
        self.routes = tuple(_values(response.all("record-route"))[::-1])

    def succeeded(self, response: Response, invite: bytes, body: bytes = b"") -> None:
        """A 2xx to ``invite``, which this end has sent: acknowledge it (RFC 3261 13.2.2.4)."""
        self.target = _contact(response) or self.target
        number = response.cseq.number
        if number not in self._acknowledged:
            from sipframe.testing.exchange import lines_of

            way, uri, routes = self._road()
            # RFC 3261 13.2.2.4: the same credentials as the INVITE.
            proofs = [
                line
                for line in invite.partition(b"\r\n\r\n")[0].decode("utf-8", "surrogateescape").split("\r\n")
                if line.startswith(("Authorization:", "Proxy-Authorization:"))
            ]
            flow = self.phone.way(way)
            kind = ["Content-Type: application/sdp"] if body else []
            data, _ = self._message(flow, uri, f"{number} ACK", lines_of([*routes, *proofs, *kind]), body)
            self._acknowledged[number] = data, flow
        data, flow = self._acknowledged[number]
        flow.send(data)

    def await_ack(self, number: int, again: Callable[[], None]) -> None:
        """Call ``again`` until the ACK for the INVITE ``number`` comes, for 64*T1 at most (RFC 3261 13.3.1.4)."""
        self._awaited[number] = again
        self._later(_T1, number, 0.0, _T1)

    def ack_came(self, request: Request) -> None:
        """An ACK has come."""
        self.acks.append(request)
        self._awaited.pop(request.cseq.number, None)

    def _later(self, delay: float, number: int, passed: float, interval: float) -> None:
        def do() -> None:
            again = self._awaited.get(number)
            if again is not None and passed + delay < 64 * _T1:
                again()
                self._later(min(2 * interval, _T2), number, passed + delay, min(2 * interval, _T2))

        self.phone.call_later(delay, do)

    def _road(self) -> tuple[str, str, list[str]]:
        """The URI of the next hop, the Request-URI and the Route lines (RFC 3261 12.2.1.1)."""
        routes = list(self.routes)
        if not routes:
            return self.target, self.target, []
        first = parse_name_addr(routes[0])
        uri = self.target
        if ";lr" not in first.uri_text.lower():
            # A strict router finds itself in the Request-URI.
            routes = [*routes[1:], f"<{self.target}>"]
            uri = first.uri_text
        return first.uri_text, uri, [f"Route: {route}" for route in routes]

    def _message(self, flow: Flow, uri: str, cseq: str, rest: str, body: bytes) -> tuple[bytes, str]:
        branch = COOKIE + self.phone.token(8)
        method = cseq.partition(" ")[2]
        tag = f";tag={self.remote_tag}" if self.remote_tag else ""
        head = (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{flow.transport} {flow.sent_by};branch={branch};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <{self.local}>;tag={self.local_tag}\r\nTo: <{self.remote}>{tag}\r\n"
            f"Call-ID: {self.call_id}\r\nCSeq: {cseq}\r\n{rest}Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode("utf-8", "surrogateescape") + body, branch

    def __repr__(self) -> str:
        state = "ended" if self.ended else "confirmed" if self.confirmed else "early"
        return f"<{state} dialog of {self.phone.aor} with {self.remote}>"


def _values(fields: Sequence[str]) -> list[str]:
    return [value for field in fields for value in split_list(field)]


def _contact(message: Request | Response) -> str:
    try:
        contacts = message.contacts
    except MessageError:
        return ""
    return contacts[0].uri_text if contacts else ""
