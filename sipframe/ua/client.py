"""A registration over a real flow: connecting, transactions, the end (RFC 3261 8.1, 10.2, 17.1.2, 18.1).

Rules: the reactor and entropy are arguments. Requests go through client transactions, so that UDP is retransmitted and
time-outs are those of RFC 3261 17. Whoever watches is told of all that leaves and arrives, in order. What goes wrong is
a :class:`ClientError` with one line for a person.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IHostResolution, IOpenSSLClientConnectionCreator, IResolutionReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from sipframe.interfaces import IFlow
from sipframe.message import MessageError, Request, Response
from sipframe.transaction import (
    ClientTransaction,
    ServerTransaction,
    TransactionLayer,
    TransactionSettings,
    TransactionUser,
)
from sipframe.ua.errors import ClientError
from sipframe.ua.flows import ClientFlow, Connection, Datagrams
from sipframe.ua.registration import Attempt, Finished, Registration
from sipframe.ua.server import Server
from sipframe.ua.trust import tls_failure

__all__ = ["Observer", "connect", "open_datagrams", "register", "resolve"]


class Observer(Protocol):
    """Whoever watches."""

    def sent(self, message: bytes, again: bool) -> None:
        """A whole message has left; ``again`` when it is a retransmission."""

    def arrived(self, message: Request | Response) -> None:
        """A message has come."""

    def malformed(self, error: MessageError) -> None:
        """Something has come that is no message."""


class _NoServer(TransactionUser):
    """A client that serves nobody."""

    def request(self, transaction: ServerTransaction) -> None:
        raise AssertionError("no request is handed to the transactions")


def _no_response(request: Request, flow: IFlow) -> bytes:
    raise AssertionError("no request is handed to the transactions")


class _Exchange:
    """One registration on one flow: its transactions' user and its flow's sink."""

    def __init__(
        self,
        clock: Any,
        flow: ClientFlow,
        registration: Registration,
        observer: Observer,
        settings: TransactionSettings,
    ) -> None:
        self.done: Deferred[Finished] = Deferred()
        self._flow = flow
        self._registration = registration
        self._observer = observer
        self._layer = TransactionLayer(clock, settings, _NoServer(), _no_response, _no_response)
        self._last = b""
        self._heard = False
        flow.sink = self

    def start(self) -> None:
        self._send(self._registration.first())

    def stop(self) -> None:
        self._layer.stop()
        self._flow.close()

    def _send(self, attempt: Attempt) -> None:
        self._layer.send(attempt.data, Registration.METHOD, attempt.branch, self._flow, self)

    def _fail(self, text: str) -> None:
        if not self.done.called:
            self.done.errback(ClientError(text, unreachable=not self._heard))

    # From the flow.

    def sent(self, data: bytes) -> None:
        again = data == self._last
        self._last = data
        self._observer.sent(data, again)

    def arrived(self, message: Request | Response) -> None:
        self._heard = True
        self._observer.arrived(message)
        if isinstance(message, Response):
            try:
                one_via = len(message.vias) == 1
            except MessageError:
                one_via = False
            if one_via:  # RFC 3261 8.1.3.3: a response with more is not for us
                self._layer.response(message, self._flow)

    def malformed(self, error: MessageError) -> None:
        self._heard = True
        self._observer.malformed(error)

    def pong(self) -> None:
        pass

    def lost(self, reason: str) -> None:
        self._fail(reason)

    # From the transactions.

    def response(self, transaction: ClientTransaction, response: Response) -> None:
        if response.status < 200 or self.done.called:
            return
        step = self._registration.received(response)
        if isinstance(step, Finished):
            self.done.callback(step)
        else:
            self._send(step)

    def timed_out(self, transaction: ClientTransaction) -> None:
        self._fail("no answer")  # RFC 3261 17.1.2.2, timer F

    def transport_failed(self, transaction: ClientTransaction) -> None:
        self._fail("the request could not be sent")


async def register(
    clock: Any,
    flow: ClientFlow,
    registration: Registration,
    observer: Observer,
    settings: TransactionSettings | None = None,
) -> Finished:
    """Run ``registration`` on ``flow`` and close it. Raises ClientError."""
    exchange = _Exchange(clock, flow, registration, observer, settings or TransactionSettings())
    try:
        exchange.start()
        return await exchange.done
    finally:
        exchange.stop()


async def connect(
    reactor: Any, server: Server, creator: IOpenSSLClientConnectionCreator | None, timeout: float
) -> ClientFlow:
    """Connect by TCP, or by TLS with ``creator``; ``timeout`` in seconds. Raises ClientError."""
    endpoint: Any = HostnameEndpoint(reactor, server.host, server.port, timeout=timeout)
    if creator is not None:
        endpoint = wrapClientTLS(creator, endpoint)
    connection = Connection(server.transport)
    try:
        await connectProtocol(endpoint, connection)
        return await connection.opened
    except CancelledError:
        raise
    except Exception as failed:
        raise ClientError(_reason(Failure(failed), server.host), unreachable=True) from failed


def open_datagrams(reactor: Any, host: str, port: int) -> ClientFlow:
    """A UDP flow to ``host``, a numeric address. Raises ClientError."""
    datagrams = Datagrams(host, port)
    try:
        reactor.listenUDP(0, datagrams, interface="::" if ":" in host else "", maxPacketSize=65536)
    except (OSError, error.CannotListenError) as failed:
        raise ClientError(str(failed), unreachable=True) from failed
    return datagrams.flow


def resolve(reactor: Any, host: str) -> Deferred[list[str]]:
    """The numeric addresses of ``host``, the preferred one first; empty when there is none."""
    receiver = _Addresses()
    reactor.nameResolver.resolveHostName(receiver, host)
    return receiver.complete


@implementer(IResolutionReceiver)
class _Addresses:
    def __init__(self) -> None:
        self.complete: Deferred[list[str]] = Deferred(lambda _: None)
        self._found: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        pass

    def addressResolved(self, address: object) -> None:
        if isinstance(address, IPv4Address | IPv6Address) and address.host not in self._found:
            self._found.append(address.host)

    def resolutionComplete(self) -> None:
        if not self.complete.called:
            self.complete.callback(self._found)


def _reason(failure: Failure, host: str) -> str:
    for kind, text in _REASONS:
        if failure.check(kind):
            return text
    return tls_failure(failure, host) or failure.getErrorMessage().rstrip(".")


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (error.ConnectionRefusedError, "nobody listens there (connection refused)"),
    (error.DNSLookupError, "there is no address for that name"),
    (error.TimeoutError, "no connection in time"),
    (error.ConnectionDone, "it has closed the connection before anything was said"),
    (error.ConnectionLost, "it has closed the connection before anything was said"),
)
