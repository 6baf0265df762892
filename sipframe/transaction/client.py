"""Client transactions: they send requests and pass the responses up (RFC 3261 17.1).

Rules: what happens is in the tables (:mod:`invite_client`, :mod:`non_invite_client`); here is only how each action is
done. The request is bytes that were ready for the wire; an INVITE's are kept until its final response, for the ACK.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final

from sipframe.message import MessageError, Response
from sipframe.transaction import actions as do
from sipframe.transaction import machine as on
from sipframe.transaction.hop_by_hop import ack_bytes
from sipframe.transaction.invite_client import INVITE_CLIENT
from sipframe.transaction.machine import BoundMachine, bind
from sipframe.transaction.non_invite_client import NON_INVITE_CLIENT
from sipframe.transaction.timers import TimerQueue, TransactionTimers
from sipframe.transaction.users import ClientUser

if TYPE_CHECKING:
    from sipframe.interfaces import IFlow

__all__ = ["ClientSide", "ClientTransaction"]

ClientKey = tuple[str, str]


class ClientSide:
    """What all client transactions of a layer share. ``by_flow`` has them by the serial of their flow."""

    __slots__ = ("by_flow", "ignored", "timers", "transactions")

    def __init__(self, timers: TransactionTimers, ignored: Counter[tuple[str, str, str]]) -> None:
        self.timers = timers
        self.ignored = ignored
        self.transactions: dict[ClientKey, ClientTransaction] = {}
        self.by_flow: dict[int, dict[ClientTransaction, None]] = {}


class ClientTransaction:
    """One request of ours on one flow, and its responses. Made by :meth:`TransactionLayer.send`."""

    __slots__ = (
        "_ack",
        "_guard",
        "_machine",
        "_repeat",
        "_side",
        "_state",
        "data",
        "flow",
        "key",
        "user",
    )

    def __init__(
        self,
        side: ClientSide,
        key: ClientKey,
        data: bytes,
        flow: IFlow,
        user: ClientUser,
        machine: BoundMachine[Effect],
    ) -> None:
        self._side = side
        self._machine = machine
        self._state = on.INITIAL
        self._ack = b""
        self._repeat: TimerQueue | None = None
        self._guard: TimerQueue | None = None
        self.key = key
        self.data = data
        """The request; empty when it is needed no more."""
        self.flow = flow
        self.user = user

    def __repr__(self) -> str:
        return f"<ClientTransaction {self.method} {self._state}>"

    @property
    def method(self) -> str:
        """The request's method."""
        return self.key[1]

    @property
    def branch(self) -> str:
        """The request's branch."""
        return self.key[0]

    @property
    def state(self) -> str:
        """The state, by the name that the RFCs give it."""
        return self._state

    @property
    def machine(self) -> str:
        """``INVITE client`` or ``non-INVITE client``."""
        return self._machine.name

    @property
    def answered(self) -> bool:
        """True when a final response has come, or none will."""
        return self._state in _ANSWERED

    def drop(self) -> None:
        """End the transaction; its responses will be strays (RFC 3261 9.1: an INVITE 64*T1 after its CANCEL)."""
        self._state = on.TERMINATED
        self.forget()
        self.user = _NOBODY

    # What the layer and the timers do.

    def happen(self, event: str, response: Response | None = None) -> None:
        """Look up the row for ``event`` and do what it says; without a row the event is ignored and counted."""
        row = self._machine.rows[self._state].get(event)
        if row is None:
            self._side.ignored[self._machine.name, self._state, event] += 1
            return
        actions, self._state = row
        for action in actions:
            action(self, response)
        if self._state == on.TERMINATED:
            self.user = _NOBODY  # who knows the transaction, too: together they would wait for the collector of cycles

    def received(self, response: Response) -> None:
        """A response that matches this transaction."""
        status = response.status
        self.happen(on.PROVISIONAL if status < 200 else on.SUCCESS if status < 300 else on.FAILURE, response)

    def fired(self, event: str) -> None:
        """A timer has fired."""
        self.happen(event)

    def report_unsendable(self) -> None:
        """The flow was dead from the start: say so in the next turn of the reactor."""
        self._stop_timers()
        self._guard_with(self._side.timers.unsendable)

    def forget(self, response: Response | None = None) -> None:
        """Stop the timers, leave the matching and let go of the request; an action too."""
        self._stop_timers()
        self._side.transactions.pop(self.key, None)
        others = self._side.by_flow.get(self.flow.serial)
        if others is not None:
            others.pop(self, None)
            if not others:
                del self._side.by_flow[self.flow.serial]
        self.data = b""

    # The actions. Each takes the response that has come, if any.

    def _send_request(self, response: Response | None) -> None:
        self.flow.send(self.data)

    def _send_ack(self, response: Response | None) -> None:
        if not self._ack and response is not None:
            try:
                self._ack = ack_bytes(self.data, response)
            except MessageError:
                return  # there is no To that an ACK could repeat
            self.data = b""
        if self._ack:
            self.flow.send(self._ack)

    def _pass_response(self, response: Response | None) -> None:
        if response is not None:
            self.user.response(self, response)

    def _report_timeout(self, response: Response | None) -> None:
        self.user.timed_out(self)

    def _report_transport_error(self, response: Response | None) -> None:
        self.user.transport_failed(self)

    def _stop_timers(self, response: Response | None = None) -> None:
        if self._repeat is not None:
            self._repeat.cancel(self)
            self._repeat = None
        if self._guard is not None:
            self._guard.cancel(self)
            self._guard = None

    def _guard_with(self, queue: TimerQueue) -> None:
        self._guard = queue
        queue.start(self)

    def _repeat_with(self, queue: TimerQueue) -> None:
        self._repeat = queue
        queue.start(self)

    def _start_a(self, response: Response | None) -> None:
        self._repeat_with(self._side.timers.timer_a)

    def _start_e(self, response: Response | None) -> None:
        self._repeat_with(self._side.timers.timer_e)

    def _repeat_doubled(self, response: Response | None) -> None:
        if self._repeat is not None:
            self._repeat_with(self._repeat.then)

    def _repeat_e_at_t2(self, response: Response | None) -> None:
        self._repeat_with(self._side.timers.timer_e_at_t2)

    def _start_b(self, response: Response | None) -> None:
        self._guard_with(self._side.timers.timer_b)

    def _start_d(self, response: Response | None) -> None:
        self._guard_with(self._side.timers.timer_d)

    def _start_f(self, response: Response | None) -> None:
        self._guard_with(self._side.timers.timer_f)

    def _start_k(self, response: Response | None) -> None:
        self.data = b""
        self._guard_with(self._side.timers.timer_k)

    def _start_m(self, response: Response | None) -> None:
        self.data = b""
        self._guard_with(self._side.timers.timer_m)

    EFFECTS: ClassVar[Mapping[str, Effect]] = MappingProxyType(
        {
            do.SEND_REQUEST: _send_request,
            do.SEND_ACK: _send_ack,
            do.PASS_RESPONSE: _pass_response,
            do.REPORT_TIMEOUT: _report_timeout,
            do.REPORT_TRANSPORT_ERROR: _report_transport_error,
            do.STOP_TIMERS: _stop_timers,
            do.FORGET: forget,
            do.START_A: _start_a,
            do.REPEAT_A: _repeat_doubled,
            do.START_B: _start_b,
            do.START_D: _start_d,
            do.START_E: _start_e,
            do.REPEAT_E: _repeat_doubled,
            do.REPEAT_E_AT_T2: _repeat_e_at_t2,
            do.START_F: _start_f,
            do.START_K: _start_k,
            do.START_M: _start_m,
        }
    )
    """The actions by name: what the tables are bound to."""


class _Nobody(ClientUser):
    """Hears nothing."""

    __slots__ = ()


_NOBODY: Final = _Nobody()

Effect = Callable[[ClientTransaction, Response | None], None]

_ANSWERED: Final = frozenset({on.ACCEPTED, on.COMPLETED, on.TERMINATED})


INVITE: Final = bind(INVITE_CLIENT, ClientTransaction.EFFECTS)
"""The INVITE client machine over UDP and over reliable transports."""
NON_INVITE: Final = bind(NON_INVITE_CLIENT, ClientTransaction.EFFECTS)
"""The same for all other methods."""
