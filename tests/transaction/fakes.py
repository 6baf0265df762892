"""A flow, a core and a sender that write down what happens to them, all in one list."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from zope.interface import implementer

from sipframe.interfaces import IFlow
from sipframe.message import Request, Response, parse_message, response_bytes
from sipframe.transaction import (
    ClientTransaction,
    ClientUser,
    ServerTransaction,
    TransactionLayer,
    TransactionSettings,
    TransactionUser,
)
from sipframe.verdicts import Address

__all__ = ["FakeFlow", "World", "request", "response"]


@implementer(IFlow)
class FakeFlow:
    """Logs what is sent; a dead one sends nothing."""

    secure = False
    local = Address("192.0.2.1", 5060)
    peer = Address("192.0.2.7", 5060)
    peer_certificate = None

    def __init__(self, log: list[str], transport: str = "UDP", serial: int = 1) -> None:
        self._log = log
        self.transport = transport
        self.serial = serial
        self.alive = True
        self.sent: list[bytes] = []
        """All that was sent, responses included."""

    def send(self, data: bytes) -> None:
        if self.alive:
            self.sent.append(data)
            self._log.append(f"send {first_word(data)}")

    def respond(self, data: bytes, via: object) -> None:
        if self.alive:
            self.sent.append(data)
            self._log.append(f"respond {first_word(data)}")


def first_word(data: bytes) -> str:
    """``200`` or ``INVITE``."""
    words = data.split(b" ", 2)
    return (words[1] if words[0] == b"SIP/2.0" else words[0]).decode()


class Core(TransactionUser):
    """Logs; keeps its transactions; answers as it is told to."""

    def __init__(self, log: list[str]) -> None:
        self._log = log
        self.transactions: list[ServerTransaction] = []
        self.answer_with: Callable[[ServerTransaction], None] | None = None

    def request(self, transaction: ServerTransaction) -> None:
        self._log.append(f"tu.request {transaction.method}")
        self.transactions.append(transaction)
        if self.answer_with is not None:
            self.answer_with(transaction)

    def ack(self, request: Request, flow: IFlow) -> None:
        self._log.append("tu.ack")

    def cancelled(self, transaction: ServerTransaction, cancel: Request) -> None:
        self._log.append(f"tu.cancelled {transaction.method}")

    def refused(self, request: Request, flow: IFlow) -> None:
        self._log.append(f"tu.refused {request.method}")

    def timed_out(self, transaction: ServerTransaction) -> None:
        self._log.append("tu.timed_out")

    def terminated(self, transaction: ServerTransaction) -> None:
        self._log.append(f"tu.terminated {transaction.mark}")

    def transport_failed(self, transaction: ServerTransaction) -> None:
        self._log.append("tu.transport_failed")

    def stray_response(self, response: Response, flow: IFlow) -> None:
        self._log.append(f"tu.stray_response {response.status}")


class Sender(ClientUser):
    """Logs what becomes of a request of ours."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def response(self, transaction: ClientTransaction, response: Response) -> None:
        self._log.append(f"user.response {response.status}")

    def timed_out(self, transaction: ClientTransaction) -> None:
        self._log.append("user.timed_out")

    def transport_failed(self, transaction: ClientTransaction) -> None:
        self._log.append("user.transport_failed")


def request(
    method: str = "OPTIONS",
    branch: str | None = "z9hG4bK1",
    *,
    sent_by: str = "client.example.com",
    to_tag: str | None = None,
    cseq: int = 1,
    via_params: str = "",
    extra: str = "",
) -> Request:
    """A request as it comes from the network."""
    branch_text = "" if branch is None else f";branch={branch}"
    tag = "" if to_tag is None else f";tag={to_tag}"
    text = (
        f"{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by}{branch_text}{via_params}\r\n"
        f"From: <sip:alice@example.com>;tag=88sja8x\r\nTo: <sip:bob@example.com>{tag}\r\nCall-ID: 987asjd97y7atg\r\n"
        f"CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n{extra}Content-Length: 0\r\n\r\n"
    )
    message = parse_message(text.encode())
    assert isinstance(message, Request)
    return message


def response(
    status: int, method: str = "INVITE", branch: str = "z9hG4bK1", to: str = ";tag=99sa0xk"
) -> Response:
    """A response to a request of ours, as it comes from the network."""
    text = (
        f"SIP/2.0 {status} Whatever\r\nVia: SIP/2.0/UDP pc33.example.com;branch={branch}\r\n"
        f"From: <sip:alice@example.com>;tag=88sja8x\r\nTo: <sip:bob@example.com>{to}\r\nCall-ID: 987asjd97y7atg\r\n"
        f"CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )
    message = parse_message(text.encode())
    assert isinstance(message, Response)
    return message


def answer(status: int, request: Request, tag: str | None = "ours") -> bytes:
    """A response of ours to ``request``."""
    return response_bytes(request, status, "Whatever", tag, "", FakeFlow.peer)


def trying(request: Request, flow: IFlow) -> bytes:
    return answer(100, request, None)


def cancel_ok(request: Request, flow: IFlow) -> bytes:
    return answer(200, request)


class World:
    """A layer with all that stands around it."""

    def __init__(self, transport: str = "UDP", settings: TransactionSettings | None = None) -> None:
        self.log: list[str] = []
        self.clock = Clock()
        self.core = Core(self.log)
        self.sender = Sender(self.log)
        self.layer = TransactionLayer(
            self.clock, settings or TransactionSettings(), self.core, trying, cancel_ok
        )
        self.flow = FakeFlow(self.log, transport)

    def happened(self) -> list[str]:
        """What was logged since the last time this was asked."""
        log = self.log[:]
        self.log.clear()
        return log

    def receive(self, message: Request | Response) -> None:
        """Let a message come in by the flow."""
        if isinstance(message, Request):
            self.layer.request(message, self.flow)
        else:
            self.layer.response(message, self.flow)

    def begin(self, message: Request) -> ServerTransaction:
        """Let a new request come in; return its transaction."""
        self.receive(message)
        return self.core.transactions[-1]

    def send(self, method: str = "INVITE", branch: str = "z9hG4bK1") -> ClientTransaction:
        """Send a request of ours."""
        data = request(method, branch, sent_by="pc33.example.com").to_bytes()
        return self.layer.send(data, method, branch, self.flow, self.sender)

    def instants(self, what: str, until: float) -> list[float]:
        """The times, in seconds from now, at which ``what`` is logged, as the clock is turned to ``until``.

        The clock jumps from one wake-up to the next, as a reactor does.
        """
        begin = self.clock.seconds()
        found: list[float] = []
        self.happened()
        while True:
            calls = self.clock.getDelayedCalls()
            due = min((call.getTime() for call in calls), default=float("inf"))
            if due > begin + until:
                break
            self.clock.advance(due - self.clock.seconds())
            found += [self.clock.seconds() - begin] * self.happened().count(what)
        self.clock.advance(begin + until - self.clock.seconds())
        return [round(one, 6) for one in found]

    def timers(self) -> int:
        """How many timers run."""
        return sum(len(queue.entries) for queue in self.layer.queues._queues)

    def left(self) -> int:
        """How many transactions there are."""
        return sum(self.layer.active().values())
