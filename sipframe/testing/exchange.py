"""One request of a phone and its answer, and one request of the server and the phone's answer.

Rules: requests go through client transactions, so that they are sent again over UDP, time out and end with their flow
(RFC 3261 17.1). A challenge is answered once with the phone's password, and once more when only the nonce was stale
(RFC 3261 22.2, RFC 7616 3.3); nothing else is done that the test has not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sipframe.message import REASONS, MessageError, Request, Response, response_bytes
from sipframe.testing.dialog import Dialog
from sipframe.testing.flows import Flow
from sipframe.testing.sdp import description
from sipframe.transaction import ClientTransaction, ClientUser, ServerTransaction
from sipframe.ua.answering import ProtectionSpace, choose

if TYPE_CHECKING:
    from sipframe.testing.phone import Phone

__all__ = ["Exchange", "Incoming", "NoAnswer", "lines_of"]

_MOST_REQUESTS: Final = 4
"""For one answer: two realms, each with a stale nonce."""


class NoAnswer(AssertionError):
    """There was no final answer; the text says why."""


def lines_of(fields: Sequence[str]) -> str:
    """Header field lines, ready for a message."""
    return "".join([f"{field}\r\n" for field in fields])


class Exchange:
    """A request under way. Made by :meth:`Phone.begin <sipframe.testing.phone.Phone.begin>`."""

    def __init__(
        self,
        phone: Phone,
        method: str,
        uri: str,
        make: Callable[[Flow, str], tuple[bytes, str]],
        body: bytes,
        authenticate: bool,
        *,
        to: str,
        toward: str | None = None,
        heard: Callable[[Response], None] | None = None,
    ) -> None:
        self.phone = phone
        self.method = method
        self.answer: Response | None = None
        """The final answer, once there is one; one to a challenge that was answered is not it."""
        self.responses: list[Response] = []
        """All that came, provisional answers and challenges included."""
        self.failure = ""
        """Why there will be no answer; empty otherwise."""
        self.requests: list[bytes] = []
        """All that was sent, retransmissions left out."""
        self._uri = uri
        self._make = make
        self._body = body
        self._to = to
        self._toward = toward
        self._heard = heard
        self._authenticate = authenticate and phone.password is not None
        self._tried: set[tuple[bool, str]] = set()
        self.transaction: ClientTransaction | None = None
        """That of the last request."""

    @property
    def done(self) -> bool:
        """Whether there is an answer, or will be none."""
        return self.answer is not None or bool(self.failure)

    def wait(self, seconds: float = 64.0) -> Response:
        """Let time pass until there is a final answer, at most ``seconds``. Raises :class:`NoAnswer`."""
        __tracebackhide__ = True
        if not self.done:
            self.phone.pass_time(lambda: self.done, seconds)
        if self.answer is None:
            why = self.failure or f"nothing final within {seconds:g} s"
            raise self.phone.told(NoAnswer(f"no answer to {self.method} of {self.phone.aor}: {why}"))
        return self.answer

    def send(self) -> None:
        """For the phone alone: send it, on the phone's flow."""
        phone = self.phone
        flow = phone.way(self._toward)
        if not flow.opened:
            self.failure = f"the flow was lost: {flow.why}"
            return
        credentials = self._credentials() if self._authenticate else ""
        data, branch = self._make(flow, credentials)
        self.requests.append(data)
        self.transaction = phone.layer.send(data, self.method, branch, flow, _Hearing(self))

    def _credentials(self) -> str:
        phone = self.phone
        lines = ""
        for key, space in phone.spaces.items():
            if not (space.proxy or self._to in phone.challenged.get(key, ())):
                continue  # RFC 3261 22.1: a UAS is known by To and realm
            self._tried.add(key)
            name = "Proxy-Authorization" if space.proxy else "Authorization"
            value = space.credentials(
                phone.username, phone.password or "", self.method, self._uri, phone.token(8), self._body
            )
            lines += f"{name}: {value}\r\n"
        return lines

    def came(self, response: Response) -> None:
        """For the transaction alone: a response to the request at hand."""
        self.responses.append(response)
        status = response.status
        if self._heard is not None and status < 300:
            self._heard(response)
        if status < 200 or self.done:
            return
        if (
            status in (401, 407)
            and self._authenticate
            and len(self.requests) < _MOST_REQUESTS
            and self._can_answer(response, status == 407)
        ):
            self.send()
            return
        self.answer = response
        self._next_nonce(response)

    def fail(self, why: str) -> None:
        """For the transaction alone: no answer will come."""
        if not self.done:
            self.failure = why

    def _can_answer(self, response: Response, proxy: bool) -> bool:
        try:
            choice = choose(response.proxy_challenges if proxy else response.challenges)
        except MessageError:
            return False
        if choice is None:
            return False
        key = (proxy, choice.realm)
        if key in self._tried and not choice.stale:
            _ = self.phone.spaces.pop(key, None)  # another request may have been quicker
            return False
        self.phone.challenged.setdefault(key, set()).add(self._to)
        space = self.phone.spaces.get(key)
        if space is None:
            self.phone.spaces[key] = ProtectionSpace(choice, proxy=proxy)
        else:
            space.renew(choice)
        return True

    def _next_nonce(self, response: Response) -> None:
        # RFC 7616 3.5: the server would like the next request to use it.
        if "authentication-info" not in response.fields:
            return
        try:
            nonce = response.authentication_info.get("nextnonce")
        except MessageError:
            return
        if nonce:
            for (proxy, _), space in self.phone.spaces.items():
                if not proxy:
                    space.renew(space.choice._replace(nonce=nonce))

    def __repr__(self) -> str:
        state = self.failure or ("waiting" if self.answer is None else str(self.answer.status))
        return f"<{self.method} of {self.phone.aor}: {state}>"


class _Hearing(ClientUser):
    """What the transactions of an exchange report to."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def response(self, transaction: ClientTransaction, response: Response) -> None:
        self._exchange.came(response)

    def timed_out(self, transaction: ClientTransaction) -> None:
        # RFC 3261 17.1.2.2, timer F; 17.1.1.2, timer B.
        self._exchange.fail("timed out")

    def transport_failed(self, transaction: ClientTransaction) -> None:
        flow = transaction.flow
        self._exchange.fail(
            f"the flow was lost: {flow.why}" if isinstance(flow, Flow) else "the flow was lost"
        )


class Incoming:
    """A request that has come to a phone."""

    def __init__(
        self,
        phone: Phone,
        transaction: ServerTransaction,
        request: Request,
        flow: Flow,
        dialog: Dialog | None = None,
    ) -> None:
        self.phone = phone
        self.request = request
        self.flow = flow
        self.dialog = dialog
        """The dialog that it belongs to, or that the answer has begun."""
        self.cancel: Request | None = None
        """The CANCEL that has come for it."""
        self._transaction = transaction
        self._tag = phone.token(4)

    @property
    def method(self) -> str:
        """The method."""
        return self.request.method

    @property
    def answered(self) -> bool:
        """Whether it has had its final answer."""
        return self._transaction.answered

    @property
    def cancelled(self) -> bool:
        """Whether a CANCEL has come for it."""
        return self.cancel is not None

    def answer(
        self, status: int = 200, reason: str | None = None, *, fields: Sequence[str] = (), body: bytes = b""
    ) -> None:
        """Answer it, with ``fields`` and nothing else: header field lines such as ``Content-Type: text/plain``.

        Raises RuntimeError when it has had its final answer.
        """
        _ = self._answer(status, reason, fields, body)

    def ring(
        self, status: int = 180, reason: str | None = None, *, fields: Sequence[str] = (), body: bytes = b""
    ) -> Dialog:
        """Give a provisional answer, with Contact and the Record-Route that came: an early dialog (RFC 3261 12.1.1)."""
        return self._answer_in_dialog(status, reason, fields, body)

    def accept(
        self, status: int = 200, reason: str | None = None, *, fields: Sequence[str] = (), body: bytes = b""
    ) -> Dialog:
        """Accept it, with Contact and the Record-Route that came: a dialog (RFC 3261 12.1.1).

        An INVITE gets a session description, unless there is a ``body``, and its 2xx is sent again until the ACK comes,
        for 32 seconds at most (13.3.1.4).
        """
        if not body and self.method == "INVITE":
            body = description(self.flow)
            fields = [*fields, "Content-Type: application/sdp"]
        return self._answer_in_dialog(status, reason, fields, body)

    def reject(self, status: int = 486, reason: str | None = None, *, fields: Sequence[str] = ()) -> None:
        """Refuse it."""
        self.answer(status, reason, fields=fields)

    def redirect(self, *contacts: str, status: int = 302) -> None:
        """Say where to ask instead: URIs, or whole Contact values in ``<>``."""
        self.answer(status, fields=[f"Contact: {one if '<' in one else f'<{one}>'}" for one in contacts])

    def _answer_in_dialog(
        self, status: int, reason: str | None, fields: Sequence[str], body: bytes
    ) -> Dialog:
        if self.dialog is None:
            self.dialog = Dialog.called(self.phone, self.request, self._tag)
        routes: list[str] = []
        if not self.dialog.confirmed:
            routes = [f"Record-Route: {value}" for value in self.request.all("record-route")]
        lines = [*routes, f"Contact: <{self.phone.contact}>", *fields]
        data = self._answer(status, reason, lines, body)
        if status >= 200:
            self.dialog.confirmed = True
            if self.method == "INVITE":
                number = self.request.cseq.number
                self.dialog.await_ack(number, lambda: self._transaction.respond(status, data))
        return self.dialog

    def _answer(self, status: int, reason: str | None, fields: Sequence[str], body: bytes) -> bytes:
        if self._transaction.answered:
            raise RuntimeError(f"{self.method} was answered before")
        request, peer = self.request, self.flow.peer
        phrase = REASONS.get(status, "Whatever") if reason is None else reason
        tag = None if status == 100 else self._tag
        data = response_bytes(request, status, phrase, tag, lines_of(fields), (peer.host, peer.port))
        if body:
            head = data.removesuffix(b"Content-Length: 0\r\n\r\n")
            data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        self._transaction.respond(status, data)
        return data

    def __repr__(self) -> str:
        return f"<{self.request!r} from the server, {'answered' if self.answered else 'waiting'}>"
