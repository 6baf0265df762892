"""The transaction layer: messages from flows find their transactions; transactions find the core (RFC 3261 17).

Rules: a server transaction is in the matching **before** the core hears of it, so that retransmissions are absorbed
while the core thinks. What matches nothing has a defined answer: a new transaction, the core's :meth:`ack`, or a count.
The layer keeps no more than its settings allow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from sipframe.message import MessageError, Request, Response
from sipframe.transaction import client, server
from sipframe.transaction import machine as on
from sipframe.transaction.client import ClientSide, ClientTransaction
from sipframe.transaction.matching import Rfc2543Key, ServerKey, client_key, original_keys, server_key
from sipframe.transaction.server import ServerSide, ServerTransaction
from sipframe.transaction.timers import Clock, TimerQueues, TimerSettings, TransactionTimers
from sipframe.transaction.users import Builder, ClientUser, TransactionUser

if TYPE_CHECKING:
    from sipframe.interfaces import IFlow

__all__ = ["Counts", "TransactionLayer", "TransactionSettings"]

_UNRELIABLE = "UDP"


@attrs.frozen
class TransactionSettings:
    """What can be set about transactions."""

    timers: TimerSettings = attrs.field(factory=TimerSettings)
    max_server_transactions: int = attrs.field(default=200_000, validator=attrs.validators.ge(1))
    """Above it, non-INVITE transactions that were answered are let go early, the oldest first: all that is lost is
    the absorbing of a retransmission that should have come long ago. When there are none of those, every transaction
    still has work to do, and new requests are refused (:meth:`TransactionUser.refused`)."""
    max_client_transactions: int = attrs.field(default=50_000, validator=attrs.validators.ge(1))
    """Requests of ours that may be on their way at once; one more fails with 503."""
    timer_slack: float = attrs.field(default=0.01, validator=attrs.validators.ge(0))
    """Seconds that a timer may be late so that one wake-up serves many."""
    timer_burst: int = attrs.field(default=2000, validator=attrs.validators.ge(1))
    """How many timers fire in one turn of the reactor."""


@attrs.define
class Counts:
    """What the layer has counted since it began."""

    requests: int = 0
    """Server transactions that were made."""
    retransmissions: int = 0
    """Requests and ACKs that belonged to a server transaction."""
    let_go: int = 0
    """Answered transactions that were let go early to make room."""
    refused: int = 0
    """Requests for which there was no room."""
    sent: int = 0
    """Client transactions that were made."""
    responses: int = 0
    """Responses that belonged to a client transaction."""
    strays: int = 0
    """Responses that belonged to none."""
    malformed_responses: int = 0
    """Responses whose Via or CSeq could not be read; dropped (RFC 3261 18.1.2)."""


class TransactionLayer:
    """All transactions of one process.

    ``trying`` makes the 100 that a slow answer begins with (RFC 3261 8.2.6, 17.2.1; RFC 4320 4.1), ``cancel_ok`` the
    200 to a CANCEL whose INVITE is here (9.2); both get the request that they answer and the flow it came by.
    ``ignored`` counts events for which a machine has no row, by machine, state and event; ``counts`` the rest.
    """

    def __init__(
        self,
        clock: Clock,
        settings: TransactionSettings,
        tu: TransactionUser,
        trying: Builder,
        cancel_ok: Builder,
    ) -> None:
        self.settings = settings
        self.counts = Counts()
        self.ignored: Counter[tuple[str, str, str]] = Counter()
        self.queues = TimerQueues(clock, settings.timer_slack, settings.timer_burst)
        """For timers of the core's own that have a constant length, such as timer C (RFC 3261 16.8)."""
        self._tu = tu
        self._cancel_ok = cancel_ok
        self._timers = TransactionTimers(self.queues, settings.timers)
        self._limit = settings.max_server_transactions
        self._servers: dict[ServerKey, ServerTransaction] = {}
        self._acks: dict[Rfc2543Key, ServerTransaction] = {}
        shared = (self._timers, trying, self._servers, self._acks, self.ignored)
        self._side = ServerSide(tu, tu.request, *shared)
        self._cancel_side = ServerSide(tu, self._answer_cancel, *shared)
        self._client_side = ClientSide(self._timers, self.ignored)

    # From the network.

    def request(self, request: Request, flow: IFlow) -> None:
        """Take a request that came by ``flow`` to its transaction, or to the core.

        Raises MessageError, with nothing done, when the fields that tell transactions apart cannot be read.
        """
        request.read_usual()
        via = request.via
        key = server_key(request, via)
        transaction = self._servers.get(key)
        method = request.method
        if transaction is not None:
            self.counts.retransmissions += 1
            transaction.happen(on.ACK if method == "ACK" else on.REQUEST, b"", (request, flow))
            return
        side = self._side
        if method == "ACK":
            self._unmatched_ack(key, request, flow)
            return
        if method == "CANCEL" and self._original(request) is not None:
            # It takes no room of its own: there is one for each transaction at most, and it brings an end nearer.
            side = self._cancel_side
        elif len(self._servers) >= self._limit and not self._has_room():
            self.counts.refused += 1
            self._tu.refused(request, flow)
            return
        self.counts.requests += 1
        machines = server.INVITE if method == "INVITE" else server.NON_INVITE
        transaction = ServerTransaction(
            side, key, request, via, flow, machines[flow.transport != _UNRELIABLE]
        )
        self._servers[key] = transaction
        try:
            transaction.happen(on.REQUEST)
        except BaseException:
            if not transaction.answered:
                transaction.drop()
            raise

    def response(self, response: Response, flow: IFlow) -> None:
        """Take a response that came by ``flow`` to its client transaction; without one it is counted (RFC 6026 7.3)."""
        try:
            key = client_key(response)
        except MessageError:
            self.counts.malformed_responses += 1
            return
        transaction = self._client_side.transactions.get(key)
        if transaction is None:
            self.counts.strays += 1
            self._tu.stray_response(response, flow)
            return
        self.counts.responses += 1
        transaction.received(response)

    def flow_lost(self, flow: IFlow) -> None:
        """End the client transactions on ``flow``. Server transactions that are answered stay, to absorb what comes
        (RFC 6026 7.1); of those that are not, the core is told (:meth:`TransactionUser.flow_lost`)."""
        for transaction in list(self._client_side.by_flow.get(flow.serial, ())):
            transaction.happen(on.TRANSPORT_ERROR)
        self._tu.flow_lost(flow)

    # From the core.

    def send(self, data: bytes, method: str, branch: str, flow: IFlow, user: ClientUser) -> ClientTransaction:
        """Send a request on ``flow`` in a new client transaction.

        ``data`` is the whole request, ``branch`` that of its topmost Via, which is ours; it begins with the cookie and
        is used for this request alone, and for its CANCEL. ``user`` hears nothing before this returns. Raises
        ValueError for an ACK, which has no transaction (RFC 3261 17.1), and for a branch that is in use.
        """
        key = (branch, method)
        if method == "ACK" or key in self._client_side.transactions:
            raise ValueError("ACK has no client transaction" if method == "ACK" else "the branch is in use")
        self.counts.sent += 1
        machines = client.INVITE if method == "INVITE" else client.NON_INVITE
        machine = machines[flow.transport != _UNRELIABLE]
        transaction = ClientTransaction(self._client_side, key, data, flow, user, machine)
        self._client_side.transactions[key] = transaction
        self._client_side.by_flow.setdefault(flow.serial, {})[transaction] = None
        transaction.happen(on.REQUEST)
        if not flow.alive:
            transaction.report_unsendable()
        return transaction

    def sent(self, branch: str | None, method: str) -> ClientTransaction | None:
        """The transaction of a request of ours, by its branch."""
        return None if branch is None else self._client_side.transactions.get((branch, method))

    # From the service.

    def __len__(self) -> int:
        """How many transactions there are."""
        return len(self._servers) + len(self._client_side.transactions)

    def active(self) -> Counter[tuple[str, str]]:
        """How many transactions there are, by machine and state. Looks at each: for stopping and for reports."""
        return Counter((one.machine, one.state) for one in self._everything())

    def unanswered(self) -> int:
        """How many transactions still wait for a final answer: what a graceful stop waits for. Looks at each."""
        return sum(not one.answered for one in self._everything())

    def stop(self) -> int:
        """Stop all timers; return how many transactions are left. Nothing more is sent unless the core answers."""
        self.queues.stop()
        return len(self._servers) + len(self._client_side.transactions)

    # Within.

    def _everything(self) -> Iterator[ServerTransaction | ClientTransaction]:
        yield from self._servers.values()
        yield from self._client_side.transactions.values()

    def _unmatched_ack(self, key: ServerKey, request: Request, flow: IFlow) -> None:
        # An RFC 2543 peer's ACK is known by the To tag of the response.
        transaction = self._acks.get(key) if isinstance(key, Rfc2543Key) else None
        if transaction is None:
            self._tu.ack(request, flow)
            return
        self.counts.retransmissions += 1
        transaction.happen(on.ACK, b"", (request, flow))

    def _original(self, cancel: Request) -> ServerTransaction | None:
        for key in original_keys(cancel):
            transaction = self._servers.get(key)
            if transaction is not None:
                return transaction
        return None

    def _answer_cancel(self, transaction: ServerTransaction) -> None:
        """Answer a CANCEL that matches a transaction (RFC 3261 9.2), and say so when that still waits."""
        cancel = transaction.request
        original = self._original(cancel)
        transaction.respond(200, self._cancel_ok(cancel, transaction.flow))
        if original is not None and original.method == "INVITE" and not original.answered:
            self._tu.cancelled(original, cancel)

    def _has_room(self) -> bool:
        """Let go of answered transactions until there is room for one more; False when there are not enough."""
        while len(self._servers) >= self._limit:
            if not self._timers.timer_j.fire_first():
                return False
            self.counts.let_go += 1
        return True
