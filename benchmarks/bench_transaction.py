"""What a transaction costs: microseconds of CPU per transaction, and octets held per answered one.

Constant work: each figure is the best of ROUNDS rounds of COUNT transactions. The clock is turned by hand, the flow and
the core do nothing, and the requests are parsed before: what is measured is the transaction layer alone. The Via of
each request is parsed before as well, because whoever answers needs it anyway.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable

from twisted.internet.task import Clock
from zope.interface import implementer

from sipframe.interfaces import IFlow
from sipframe.message import Request, Response, parse_message
from sipframe.transaction import (
    ClientTransaction,
    ClientUser,
    ServerTransaction,
    TransactionLayer,
    TransactionSettings,
    TransactionUser,
)
from sipframe.verdicts import Address

COUNT = 20_000
ROUNDS = 5
ANSWER = b"SIP/2.0 200 OK\r\n\r\n"


@implementer(IFlow)
class NullFlow:
    """A flow that sends nothing."""

    transport = "UDP"
    secure = False
    local = Address("192.0.2.1", 5060)
    peer = Address("192.0.2.7", 5062)
    serial = 1
    alive = True
    peer_certificate = None

    def send(self, data: bytes) -> None: ...

    def respond(self, data: bytes, via: object) -> None: ...


class Core(TransactionUser):
    """A core that answers at once."""

    def request(self, transaction: ServerTransaction) -> None:
        transaction.respond(200, ANSWER)


class StatelessCore(TransactionUser):
    """A core that challenges."""

    def request(self, transaction: ServerTransaction) -> None:
        transaction.respond_stateless(401, ANSWER)


class User(ClientUser):
    """A sender that does not care."""

    def response(self, transaction: ClientTransaction, response: Response) -> None: ...

    def timed_out(self, transaction: ClientTransaction) -> None: ...

    def transport_failed(self, transaction: ClientTransaction) -> None: ...


def trying(request: Request, flow: IFlow) -> bytes:
    return ANSWER


def message(start: str, branch: str, method: str) -> Request | Response:
    text = (
        f"{start}\r\nVia: SIP/2.0/UDP 192.0.2.7:5062;branch={branch};rport\r\nMax-Forwards: 70\r\n"
        f"From: <sip:a@example.com>;tag=1\r\nTo: <sip:a@example.com>;tag=2\r\nCall-ID: {branch}\r\nCSeq: 1 {method}\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    found = parse_message(text.encode())
    _ = found.via, found.cseq
    return found


def layer(core: TransactionUser) -> tuple[Clock, TransactionLayer]:
    clock = Clock()
    return clock, TransactionLayer(clock, TransactionSettings(), core, trying, trying)


def requests(method: str) -> list[Request]:
    found = [message(f"{method} sip:example.com SIP/2.0", f"z9hG4bK{n:08d}", method) for n in range(COUNT)]
    return [one for one in found if isinstance(one, Request)]


def best(name: str, prepare: Callable[[], Callable[[], None]]) -> None:
    times = []
    for _ in range(ROUNDS):
        work = prepare()
        gc.collect()
        begin = time.process_time()
        work()
        times.append((time.process_time() - begin) / COUNT * 1e6)
    print(f"{name:58} {min(times):6.2f} us")


def server(
    method: str, core: TransactionUser, transport: str, end: float
) -> Callable[[], Callable[[], None]]:
    incoming = requests(method)
    flow = NullFlow()
    flow.transport = transport

    def prepare() -> Callable[[], None]:
        clock, one = layer(core)

        def work() -> None:
            take = one.request
            for request in incoming:
                take(request, flow)
            clock.advance(end)
            assert one.unanswered() == 0

        return work

    return prepare


def retransmission() -> Callable[[], None]:
    _, one = layer(Core())
    request = requests("REGISTER")[0]
    flow = NullFlow()
    one.request(request, flow)

    def work() -> None:
        for _ in range(COUNT):
            one.request(request, flow)

    return work


def client() -> Callable[[], None]:
    clock, one = layer(Core())
    flow = NullFlow()
    user = User()
    branches = [f"z9hG4bK{n:08d}" for n in range(COUNT)]
    responses = [message("SIP/2.0 200 OK", branch, "OPTIONS") for branch in branches]

    def work() -> None:
        for branch, response in zip(branches, responses, strict=True):
            one.send(ANSWER, "OPTIONS", branch, flow, user)
            assert isinstance(response, Response)
            one.response(response, flow)
        clock.advance(64)

    return work


def memory() -> None:
    _, one = layer(Core())
    flow = NullFlow()
    tracemalloc.start()
    for n in range(COUNT):
        request = message("OPTIONS sip:example.com SIP/2.0", f"z9hG4bK{n:08d}", "OPTIONS")
        assert isinstance(request, Request)
        one.request(request, flow)
    del request
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{'held by an answered non-INVITE, without its answer':58} {held / COUNT:6.0f} octets")


def main() -> None:
    best("non-INVITE server, UDP: made, answered, timer J", server("REGISTER", Core(), "UDP", 64))
    best("non-INVITE server, TLS: made, answered", server("REGISTER", Core(), "TLS", 0))
    best("non-INVITE server, stateless answer", server("REGISTER", StatelessCore(), "UDP", 0))
    best("INVITE server, UDP: made, 200, timer L", server("INVITE", Core(), "UDP", 64))
    best("retransmission of an answered request", retransmission)
    best("non-INVITE client, UDP: sent, 200, timer K", client)
    memory()


if __name__ == "__main__":
    main()
