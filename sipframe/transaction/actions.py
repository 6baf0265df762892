"""The actions of the machines, by name: all that a transaction ever does to the world.

Rules: a table names actions, a transaction performs them; nothing else sends, calls the transaction user or starts a
timer. An action's name is what the diagrams print.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

# Server transactions.
PASS_REQUEST: Final = "request to TU"
PASS_ACK: Final = "ACK to TU"
SEND_TRYING: Final = "send 100"
SEND_PROVISIONAL: Final = "send response"
"""Sends a provisional response and keeps it for retransmissions of the request."""
SEND_FINAL: Final = "send final response"
"""Sends the final response, keeps it for retransmissions of the request, and lets go of the request itself."""
SEND_2XX: Final = "send 2xx"
"""Sends a 2xx to an INVITE. It is not kept: only the transaction user sends it again (RFC 6026 7.1)."""
RESEND_RESPONSE: Final = "send response again"
"""Sends the response that was kept; nothing when there is none yet."""

# Client transactions.
SEND_REQUEST: Final = "send request"
SEND_ACK: Final = "send ACK"
"""Makes the ACK for a non-2xx (RFC 3261 17.1.1.3) the first time, and sends the same one again later."""
PASS_RESPONSE: Final = "response to TU"

# Both.
REPORT_TIMEOUT: Final = "inform TU of timeout"
REPORT_TRANSPORT_ERROR: Final = "inform TU of transport error"
STOP_TIMERS: Final = "stop timers"
FORGET: Final = "destroy"
"""Takes the transaction out of the matching and stops its timers. What follows in the row still happens."""

# Timers.
START_100: Final = "start timer 100"
"""200 ms to the 100 of an INVITE (RFC 3261 17.2.1), unless the transaction user has answered already."""
START_LATE_100: Final = "start timer 100 late"
"""Until the client's timer E has come to T2 (RFC 4320 4.1), unless the transaction user has answered already."""
START_A: Final = "start timer A"
REPEAT_A: Final = "double timer A"
START_B: Final = "start timer B"
START_D: Final = "start timer D"
START_E: Final = "start timer E"
REPEAT_E: Final = "double timer E"
REPEAT_E_AT_T2: Final = "timer E at T2"
START_F: Final = "start timer F"
START_G: Final = "start timer G"
REPEAT_G: Final = "double timer G"
START_H: Final = "start timer H"
START_I: Final = "start timer I"
START_J: Final = "start timer J"
START_K: Final = "start timer K"
START_L: Final = "start timer L"
START_M: Final = "start timer M"

# RFC 3261 17, table 4.
NOT_OVER_RELIABLE: Final = frozenset(
    {START_A, REPEAT_A, START_E, REPEAT_E, REPEAT_E_AT_T2, START_G, REPEAT_G}
)
"""Retransmission timers: never started over a reliable transport."""
ZERO_OVER_RELIABLE: Final = MappingProxyType(
    {START_D: "timer D", START_I: "timer I", START_J: "timer J", START_K: "timer K"}
)
"""Timers that are zero over a reliable transport, with the event that they are."""
