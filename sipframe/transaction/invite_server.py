"""The INVITE server transaction: RFC 3261 17.2.1 with RFC 6026 7.1 and its figure 7.

Timer H's row reports to the transaction user, as the text has it (RFC 3261 17.2.1: MUST); the figure does not show it.
"""

from __future__ import annotations

from typing import Final

from sipframe.transaction import actions as do
from sipframe.transaction import machine as on
from sipframe.transaction.machine import Machine, Row

__all__ = ["INVITE_SERVER"]

_REPORT: Final = (do.REPORT_TRANSPORT_ERROR,)

INVITE_SERVER: Final = Machine(
    "INVITE server",
    "RFC 3261 17.2.1, RFC 6026 figure 7",
    {
        on.INITIAL: {
            on.REQUEST: Row((do.PASS_REQUEST, do.START_100), on.PROCEEDING),
        },
        on.PROCEEDING: {
            on.REQUEST: Row((do.RESEND_RESPONSE,), on.PROCEEDING),
            on.TIMER_100: Row((do.SEND_TRYING,), on.PROCEEDING),
            on.PROVISIONAL: Row((do.STOP_TIMERS, do.SEND_PROVISIONAL), on.PROCEEDING),
            on.SUCCESS: Row((do.STOP_TIMERS, do.START_L, do.SEND_2XX), on.ACCEPTED),
            on.FAILURE: Row((do.STOP_TIMERS, do.START_G, do.START_H, do.SEND_FINAL), on.COMPLETED),
            on.TRANSPORT_ERROR: Row(_REPORT, on.PROCEEDING),
        },
        on.ACCEPTED: {
            on.REQUEST: Row(
                (), on.ACCEPTED
            ),  # RFC 6026 7.1: absorbed; the UAS core sends its 2xx again by itself
            on.SUCCESS: Row((do.SEND_2XX,), on.ACCEPTED),
            on.ACK: Row((do.PASS_ACK,), on.ACCEPTED),
            on.TIMER_L: Row((do.FORGET,), on.TERMINATED),
            on.TRANSPORT_ERROR: Row(_REPORT, on.ACCEPTED),
        },
        on.COMPLETED: {
            on.REQUEST: Row((do.RESEND_RESPONSE,), on.COMPLETED),
            on.TIMER_G: Row((do.REPEAT_G, do.RESEND_RESPONSE), on.COMPLETED),
            on.ACK: Row((do.STOP_TIMERS, do.START_I), on.CONFIRMED),
            on.TIMER_H: Row((do.FORGET, do.REPORT_TIMEOUT), on.TERMINATED),
            on.TRANSPORT_ERROR: Row(_REPORT, on.COMPLETED),
        },
        on.CONFIRMED: {
            on.ACK: Row((), on.CONFIRMED),
            on.TIMER_I: Row((do.FORGET,), on.TERMINATED),
        },
    },
)
