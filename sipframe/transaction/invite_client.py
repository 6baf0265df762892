"""The INVITE client transaction: RFC 3261 17.1.1 with RFC 6026 7.2 and its figure 5.

A flow that is lost while the transaction is Proceeding ends it too: the response could not come back by it. In
Accepted nothing more is sent, so nothing can fail; timer M ends it.
"""

from __future__ import annotations

from typing import Final

from sipframe.transaction import actions as do
from sipframe.transaction import machine as on
from sipframe.transaction.machine import Machine, Row

__all__ = ["INVITE_CLIENT"]

_FAILED: Final = Row((do.FORGET, do.REPORT_TRANSPORT_ERROR), on.TERMINATED)
_SUCCESS: Final = Row((do.STOP_TIMERS, do.START_M, do.PASS_RESPONSE), on.ACCEPTED)
_FAILURE: Final = Row((do.STOP_TIMERS, do.SEND_ACK, do.START_D, do.PASS_RESPONSE), on.COMPLETED)

INVITE_CLIENT: Final = Machine(
    "INVITE client",
    "RFC 3261 17.1.1, RFC 6026 figure 5",
    {
        on.INITIAL: {
            on.REQUEST: Row((do.START_A, do.START_B, do.SEND_REQUEST), on.CALLING),
        },
        on.CALLING: {
            on.TIMER_A: Row((do.REPEAT_A, do.SEND_REQUEST), on.CALLING),
            on.TIMER_B: Row((do.FORGET, do.REPORT_TIMEOUT), on.TERMINATED),
            on.PROVISIONAL: Row((do.STOP_TIMERS, do.PASS_RESPONSE), on.PROCEEDING),
            on.SUCCESS: _SUCCESS,
            on.FAILURE: _FAILURE,
            on.TRANSPORT_ERROR: _FAILED,
        },
        on.PROCEEDING: {
            on.PROVISIONAL: Row((do.PASS_RESPONSE,), on.PROCEEDING),
            on.SUCCESS: _SUCCESS,
            on.FAILURE: _FAILURE,
            on.TRANSPORT_ERROR: _FAILED,
        },
        on.ACCEPTED: {
            on.SUCCESS: Row((do.PASS_RESPONSE,), on.ACCEPTED),
            on.TIMER_M: Row((do.FORGET,), on.TERMINATED),
        },
        on.COMPLETED: {
            on.FAILURE: Row((do.SEND_ACK,), on.COMPLETED),
            on.TIMER_D: Row((do.FORGET,), on.TERMINATED),
            on.TRANSPORT_ERROR: _FAILED,
        },
    },
)
