"""The transaction layer: RFC 3261 17 with RFC 6026 and RFC 4320, without I/O.

Rules: four machines, each a table; a clock that is an argument; flows and a core that are given. See
:class:`TransactionLayer` for the way in.
"""

from sipframe.transaction.client import ClientTransaction
from sipframe.transaction.hop_by_hop import ack_bytes, cancel_bytes
from sipframe.transaction.layer import Counts, TransactionLayer, TransactionSettings
from sipframe.transaction.server import ServerTransaction
from sipframe.transaction.timers import Clock, TimerOwner, TimerQueue, TimerQueues, TimerSettings
from sipframe.transaction.users import Builder, ClientUser, TransactionUser

__all__ = [
    "Builder",
    "ClientTransaction",
    "ClientUser",
    "Clock",
    "Counts",
    "ServerTransaction",
    "TimerOwner",
    "TimerQueue",
    "TimerQueues",
    "TimerSettings",
    "TransactionLayer",
    "TransactionSettings",
    "TransactionUser",
    "ack_bytes",
    "cancel_bytes",
]
