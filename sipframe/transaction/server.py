"""Server transactions: they take requests from the network and answers from the transaction user (RFC 3261 17.2).

Rules: what happens is in the tables (:mod:`invite_server`, :mod:`non_invite_server`); here is only how each action is
done. After the final answer a transaction keeps the answer and the way back, and nothing else: there may be hundreds of
thousands for 32 seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

from sipframe.message import MessageError, Request, Via, parse_message
from sipframe.transaction import actions as do
from sipframe.transaction import machine as on
from sipframe.transaction.invite_server import INVITE_SERVER
from sipframe.transaction.machine import BoundMachine, bind
from sipframe.transaction.matching import Rfc2543Key, ServerKey
from sipframe.transaction.non_invite_server import NON_INVITE_SERVER
from sipframe.transaction.timers import TimerQueue, TransactionTimers
from sipframe.transaction.users import Builder, TransactionUser

if TYPE_CHECKING:
    from sipframe.interfaces import IFlow

__all__ = ["ServerSide", "ServerTransaction"]


class ServerSide:
    """What all server transactions of a layer share.

    ``request`` takes the new request of a transaction: the transaction user, for a CANCEL that matches the layer.
    """

    __slots__ = ("acks", "ignored", "request", "timers", "transactions", "trying", "tu")

    def __init__(
        self,
        tu: TransactionUser,
        request: Callable[[ServerTransaction], None],
        timers: TransactionTimers,
        trying: Builder,
        transactions: dict[ServerKey, ServerTransaction],
        acks: dict[Rfc2543Key, ServerTransaction],
        ignored: Counter[tuple[str, str, str]],
    ) -> None:
        self.tu = tu
        self.request = request
        self.timers = timers
        self.trying = trying
        self.transactions = transactions
        self.acks = acks
        self.ignored = ignored


Arrival = tuple[Request, "IFlow"]


class ServerTransaction:
    """One request and its answers. ``flow`` brought the request, ``via`` is its topmost Via.

    ``mark`` is the transaction user's: Call-ID, CSeq number and From tag, by which a request is known that came by
    another path (RFC 3261 8.2.2.2). The end of a transaction that bears one is reported
    (:meth:`TransactionUser.terminated`). ``work`` is the transaction user's as well: what it has under way.
    """

    __slots__ = (
        "_ack_key",
        "_guard",
        "_machine",
        "_repeat",
        "_request",
        "_response",
        "_side",
        "_state",
        "flow",
        "key",
        "mark",
        "via",
        "work",
    )

    def __init__(
        self,
        side: ServerSide,
        key: ServerKey,
        request: Request,
        via: Via,
        flow: IFlow,
        machine: BoundMachine[Effect],
    ) -> None:
        self._side = side
        self._machine = machine
        self._state = on.INITIAL
        self._request: Request | None = request
        self._response = b""
        self._repeat: TimerQueue | None = None
        self._guard: TimerQueue | None = None
        self._ack_key: Rfc2543Key | None = None
        self.mark: tuple[str, int, str | None] | None = None
        self.work: Any = None
        self.key = key
        self.flow = flow
        self.via = via

    def __repr__(self) -> str:
        return f"<ServerTransaction {self.method} {self._state}>"

    @property
    def request(self) -> Request:
        """The request. It is let go when the transaction is answered or dropped: RuntimeError from then on."""
        if self._request is None:
            raise RuntimeError("the request was let go with the final answer")
        return self._request

    @property
    def method(self) -> str:
        """The request's method; there to the end."""
        return self.key[-1]

    @property
    def state(self) -> str:
        """The state, by the name that the RFCs give it."""
        return self._state

    @property
    def machine(self) -> str:
        """``INVITE server`` or ``non-INVITE server``."""
        return self._machine.name

    @property
    def answered(self) -> bool:
        """True when a final answer was given, or none will be (:meth:`drop`)."""
        return self._request is None

    # What the transaction user may do.

    def respond(self, status: int, data: bytes) -> None:
        """Answer with ``data``, a whole response with ``status``, ready for the wire.

        What the rules do not allow is counted and not sent: a second final answer (but a 2xx to an INVITE may follow
        another, RFC 6026 7.1), any answer after the end, and what RFC 4320 forbids for other methods than INVITE: 408
        (the transaction then ends without an answer) and 1xx other than 100, or a 100 over UDP before its time.
        """
        if status >= 300:
            event = on.FAILURE
            if self.key[-1] == "INVITE":
                if type(self.key) is Rfc2543Key and self._request is not None:
                    self._expect_ack(data)
            elif status == 408:
                self._not_allowed()  # RFC 4320 4.2
                if self._request is not None:
                    self.drop()
                return
        elif status >= 200:
            event = on.SUCCESS
        else:
            event = on.PROVISIONAL
            if self.key[-1] != "INVITE" and not self._provisional_allowed(status):
                self._not_allowed()
                return
        if not self.flow.alive:
            self.happen(on.TRANSPORT_ERROR)
        self.happen(event, data)

    def respond_stateless(self, status: int, data: bytes) -> None:
        """Give the final answer and forget the transaction at once, as a stateless UAS does (RFC 3261 8.2.7).

        For challenges and other answers that come out the same when the request comes again: it will be a new
        request then. The ACK for such an answer to an INVITE comes to :meth:`TransactionUser.ack`, which must ignore
        it: the To tag tells, when it is made from the request alone. A transaction that has sent a provisional response
        is not stateless; it is answered by :meth:`respond`.
        """
        if self._request is None or self._response:
            self.respond(status, data)
            return
        self._state = on.TERMINATED
        self._request = None
        self.forget()
        self.flow.respond(data, self.via)

    def drop(self) -> None:
        """End the transaction without a (further) answer. Nothing is sent; the same request would be a new one."""
        self._state = on.TERMINATED
        self._request = None
        self.forget()

    # What the layer and the timers do.

    def happen(self, event: str, data: bytes = b"", arrival: Arrival | None = None) -> None:
        """Look up the row for ``event`` and do what it says; without a row the event is ignored and counted."""
        row = self._machine.rows[self._state].get(event)
        if row is None:
            self._side.ignored[self._machine.name, self._state, event] += 1
            return
        actions, self._state = row
        for action in actions:
            action(self, data, arrival)

    def fired(self, event: str) -> None:
        """A timer has fired."""
        self.happen(event)

    def stop_timers(self, data: bytes = b"", arrival: Arrival | None = None) -> None:
        """Cancel the timers that run; an action too."""
        if self._repeat is not None:
            self._repeat.cancel(self)
            self._repeat = None
        if self._guard is not None:
            self._guard.cancel(self)
            self._guard = None

    def forget(self, data: bytes = b"", arrival: Arrival | None = None) -> None:
        """Stop the timers and leave the matching; an action too."""
        if self._guard is not None or self._repeat is not None:
            self.stop_timers()
        self._side.transactions.pop(self.key, None)
        if self._ack_key is not None:
            self._side.acks.pop(self._ack_key, None)
        if self.mark is not None:
            self._side.tu.terminated(self)
            self.mark = None

    def _provisional_allowed(self, status: int) -> bool:
        # RFC 4320 4.1. Over UDP the first 100 is timer 100's, at the right moment.
        return status == 100 and (self.flow.transport != "UDP" or self._state != on.TRYING)

    def _not_allowed(self) -> None:
        self._side.ignored[self._machine.name, self._state, "not allowed by RFC 4320"] += 1

    def _expect_ack(self, data: bytes) -> None:
        # RFC 3261 17.2.3: the To tag of an RFC 2543 peer's ACK is that of the response.
        assert isinstance(self.key, Rfc2543Key)
        try:
            key = self.key._replace(to_tag=parse_message(data).to.tag)
        except MessageError:
            return  # the answer has no To that could be repeated: timer H ends it
        self._ack_key = key
        self._side.acks[key] = self

    # The actions. Each takes the response of the transaction user and the request that arrived, if any.

    def _pass_request(self, data: bytes, arrival: Arrival | None) -> None:
        self._side.request(self)

    def _pass_ack(self, data: bytes, arrival: Arrival | None) -> None:
        assert arrival is not None
        self._side.tu.ack(*arrival)

    def _send_trying(self, data: bytes, arrival: Arrival | None) -> None:
        self._response = self._side.trying(self.request, self.flow)
        self.flow.respond(self._response, self.via)

    def _send_provisional(self, data: bytes, arrival: Arrival | None) -> None:
        self._response = data
        self.flow.respond(data, self.via)

    def _send_final(self, data: bytes, arrival: Arrival | None) -> None:
        self._request = None
        self._response = data
        self.flow.respond(data, self.via)

    def _send_2xx(self, data: bytes, arrival: Arrival | None) -> None:
        self._request = None
        self._response = b""
        self.flow.respond(data, self.via)

    def _resend(self, data: bytes, arrival: Arrival | None) -> None:
        if self._response:
            self.flow.respond(self._response, self.via)

    def _report_timeout(self, data: bytes, arrival: Arrival | None) -> None:
        self._side.tu.timed_out(self)

    def _report_transport_error(self, data: bytes, arrival: Arrival | None) -> None:
        self._side.tu.transport_failed(self)

    def _guard_with(self, queue: TimerQueue) -> None:
        self._guard = queue
        queue.start(self)

    def _repeat_with(self, queue: TimerQueue) -> None:
        self._repeat = queue
        queue.start(self)

    def _start_100(self, data: bytes, arrival: Arrival | None) -> None:
        if self._request is not None and not self._response:
            self._guard_with(self._side.timers.invite_100)

    def _start_late_100(self, data: bytes, arrival: Arrival | None) -> None:
        if self._request is not None and not self._response:
            self._guard_with(self._side.timers.late_100)

    def _start_g(self, data: bytes, arrival: Arrival | None) -> None:
        self._repeat_with(self._side.timers.timer_g)

    def _repeat_g(self, data: bytes, arrival: Arrival | None) -> None:
        if self._repeat is not None:
            self._repeat_with(self._repeat.then)

    def _start_h(self, data: bytes, arrival: Arrival | None) -> None:
        self._guard_with(self._side.timers.timer_h)

    def _start_i(self, data: bytes, arrival: Arrival | None) -> None:
        self._response = b""
        self._guard_with(self._side.timers.timer_i)

    def _start_j(self, data: bytes, arrival: Arrival | None) -> None:
        self._guard = queue = self._side.timers.timer_j
        queue.start(self)

    def _start_l(self, data: bytes, arrival: Arrival | None) -> None:
        self._guard_with(self._side.timers.timer_l)

    EFFECTS: ClassVar[Mapping[str, Effect]] = MappingProxyType(
        {
            do.PASS_REQUEST: _pass_request,
            do.PASS_ACK: _pass_ack,
            do.SEND_TRYING: _send_trying,
            do.SEND_PROVISIONAL: _send_provisional,
            do.SEND_FINAL: _send_final,
            do.SEND_2XX: _send_2xx,
            do.RESEND_RESPONSE: _resend,
            do.REPORT_TIMEOUT: _report_timeout,
            do.REPORT_TRANSPORT_ERROR: _report_transport_error,
            do.STOP_TIMERS: stop_timers,
            do.FORGET: forget,
            do.START_100: _start_100,
            do.START_LATE_100: _start_late_100,
            do.START_G: _start_g,
            do.REPEAT_G: _repeat_g,
            do.START_H: _start_h,
            do.START_I: _start_i,
            do.START_J: _start_j,
            do.START_L: _start_l,
        }
    )
    """The actions by name: what the tables are bound to."""


Effect = Callable[[ServerTransaction, bytes, Arrival | None], None]


INVITE: Final = bind(INVITE_SERVER, ServerTransaction.EFFECTS)
"""The INVITE server machine over UDP and over reliable transports."""
NON_INVITE: Final = bind(NON_INVITE_SERVER, ServerTransaction.EFFECTS)
"""The same for all other methods."""
