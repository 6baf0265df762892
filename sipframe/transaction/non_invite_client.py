"""The non-INVITE client transaction: RFC 3261 17.1.2, figure 6."""

from __future__ import annotations

from typing import Final

from sipframe.transaction import actions as do
from sipframe.transaction import machine as on
from sipframe.transaction.machine import Machine, Row

__all__ = ["NON_INVITE_CLIENT"]

_FAILED: Final = Row((do.FORGET, do.REPORT_TRANSPORT_ERROR), on.TERMINATED)
_TIMED_OUT: Final = Row((do.FORGET, do.REPORT_TIMEOUT), on.TERMINATED)
_PROVISIONAL: Final = Row((do.PASS_RESPONSE,), on.PROCEEDING)
_FINAL: Final = Row((do.STOP_TIMERS, do.START_K, do.PASS_RESPONSE), on.COMPLETED)
_ABSORB: Final = Row((), on.COMPLETED)  # RFC 3261 17.1.2.2: Completed buffers retransmissions of the response

NON_INVITE_CLIENT: Final = Machine(
    "non-INVITE client",
    "RFC 3261 17.1.2, figure 6",
    {
        on.INITIAL: {
            on.REQUEST: Row((do.START_E, do.START_F, do.SEND_REQUEST), on.TRYING),
        },
        on.TRYING: {
            on.TIMER_E: Row((do.REPEAT_E, do.SEND_REQUEST), on.TRYING),
            on.TIMER_F: _TIMED_OUT,
            on.PROVISIONAL: _PROVISIONAL,
            on.SUCCESS: _FINAL,
            on.FAILURE: _FINAL,
            on.TRANSPORT_ERROR: _FAILED,
        },
        on.PROCEEDING: {
            on.TIMER_E: Row((do.REPEAT_E_AT_T2, do.SEND_REQUEST), on.PROCEEDING),
            on.TIMER_F: _TIMED_OUT,
            on.PROVISIONAL: _PROVISIONAL,
            on.SUCCESS: _FINAL,
            on.FAILURE: _FINAL,
            on.TRANSPORT_ERROR: _FAILED,
        },
        on.COMPLETED: {
            on.PROVISIONAL: _ABSORB,
            on.SUCCESS: _ABSORB,
            on.FAILURE: _ABSORB,
            on.TIMER_K: Row((do.FORGET,), on.TERMINATED),
        },
    },
)
