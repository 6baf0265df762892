"""One request of a phone and its answer, and one request of the server and the phone's answer.

Rules: requests go through client transactions, so that they are sent again over UDP, time out and end with their flow
(RFC 3261 17.1). A challenge is answered once with the phone's password, and once more when only the nonce was stale
(RFC 3261 22.2, RFC 7616 3.3); nothing else is done that the test has not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sipframe.message import REASONS, MessageError, Request, Response, response_bytes
from sipframe.testing.flows import Flow
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
        self._authenticate = authenticate and phone.password is not None
        self._tried: set[tuple[bool, str]] = set()

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
        flow = phone.flow
        if not flow.opened:
            self.failure = f"the flow was lost: {flow.why}"
            return
        credentials = self._credentials() if self._authenticate else ""
        data, branch = self._make(flow, credentials)
        self.requests.append(data)
        phone.layer.send(data, self.method, branch, flow, _Hearing(self))

    def _credentials(self) -> str:
        phone = self.phone
        lines = ""
        for key, space in phone.spaces.items():
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
            del self.phone.spaces[key]
            return False
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
    """A request that the server has sent to a phone."""

    def __init__(self, transaction: ServerTransaction, request: Request, flow: Flow, tag: str) -> None:
        self._transaction = transaction
        self._tag = tag
        self.request = request
        self.flow = flow

    @property
    def method(self) -> str:
        """The method."""
        return self.request.method

    @property
    def answered(self) -> bool:
        """Whether it has had its final answer."""
        return self._transaction.answered

    def answer(
        self, status: int = 200, reason: str | None = None, *, fields: Sequence[str] = (), body: bytes = b""
    ) -> None:
        """Answer it. ``fields`` are header field lines such as ``Content-Type: text/plain``.

        Raises RuntimeError when it has had its final answer.
        """
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

    def __repr__(self) -> str:
        return f"<{self.request!r} from the server, {'answered' if self.answered else 'waiting'}>"
