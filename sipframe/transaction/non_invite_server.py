"""The non-INVITE server transaction: RFC 3261 17.2.2, figure 8.

A transport error leaves the transaction where it is (RFC 6026 8.8 changes RFC 3261 17.2.4, though not figure 8).
Timer 100 is RFC 4320 4.1: an answer that takes as long as the client's timer E needs to come to T2 begins with a 100.
"""

from __future__ import annotations

from typing import Final

from sipframe.transaction import actions as do
from sipframe.transaction import machine as on
from sipframe.transaction.machine import Machine, Row

__all__ = ["NON_INVITE_SERVER"]

_REPORT: Final = (do.REPORT_TRANSPORT_ERROR,)
_FINAL: Final = Row((do.STOP_TIMERS, do.START_J, do.SEND_FINAL), on.COMPLETED)
_DISCARD: Final = Row((), on.COMPLETED)  # RFC 3261 17.2.2: any other final response MUST be discarded

NON_INVITE_SERVER: Final = Machine(
    "non-INVITE server",
    "RFC 3261 17.2.2, figure 8; RFC 4320 4.1; RFC 6026 8.8",
    {
        on.INITIAL: {
            on.REQUEST: Row((do.PASS_REQUEST, do.START_LATE_100), on.TRYING),
        },
        on.TRYING: {
            on.REQUEST: Row((), on.TRYING),  # RFC 3261 17.2.2: discarded
            on.TIMER_100: Row((do.SEND_TRYING,), on.PROCEEDING),
            on.PROVISIONAL: Row((do.STOP_TIMERS, do.SEND_PROVISIONAL), on.PROCEEDING),
            on.SUCCESS: _FINAL,
            on.FAILURE: _FINAL,
            on.TRANSPORT_ERROR: Row(_REPORT, on.TRYING),
        },
        on.PROCEEDING: {
            on.REQUEST: Row((do.RESEND_RESPONSE,), on.PROCEEDING),
            on.PROVISIONAL: Row((do.SEND_PROVISIONAL,), on.PROCEEDING),
            on.SUCCESS: _FINAL,
            on.FAILURE: _FINAL,
            on.TRANSPORT_ERROR: Row(_REPORT, on.PROCEEDING),
        },
        on.COMPLETED: {
            on.REQUEST: Row((do.RESEND_RESPONSE,), on.COMPLETED),
            on.SUCCESS: _DISCARD,
            on.FAILURE: _DISCARD,
            on.TIMER_J: Row((do.FORGET,), on.TERMINATED),
            on.TRANSPORT_ERROR: Row(_REPORT, on.COMPLETED),
        },
    },
)
