"""What a transaction's state machine is made of: states, events, rows, tables.

Rules: a machine is data. A table gives, for a state and an event, the actions to perform and the next state. A row that
is missing has one meaning everywhere: the event is ignored and counted. A row's next state is entered **before** its
actions are performed, because an action may call the transaction user, who may bring the next event at once.
The tables say what happens over an unreliable transport; :func:`over_reliable` makes the other form of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Generic, NamedTuple, TypeVar

from sipframe.transaction.actions import NOT_OVER_RELIABLE, ZERO_OVER_RELIABLE

__all__ = ["BoundMachine", "Machine", "Row", "Table", "bind", "over_reliable"]

T = TypeVar("T")

# States (RFC 3261 17, RFC 6026 7).
INITIAL: Final = "Initial"
CALLING: Final = "Calling"
TRYING: Final = "Trying"
PROCEEDING: Final = "Proceeding"
ACCEPTED: Final = "Accepted"
COMPLETED: Final = "Completed"
CONFIRMED: Final = "Confirmed"
TERMINATED: Final = "Terminated"

# Events. On the server side the request comes from the network and the response from the transaction user, on the
# client side it is the other way round: the events have the same names.
REQUEST: Final = "request"
ACK: Final = "ACK"
PROVISIONAL: Final = "1xx"
SUCCESS: Final = "2xx"
FAILURE: Final = "300-699"
TRANSPORT_ERROR: Final = "transport error"
TIMER_100: Final = "timer 100"
TIMER_A: Final = "timer A"
TIMER_B: Final = "timer B"
TIMER_D: Final = "timer D"
TIMER_E: Final = "timer E"
TIMER_F: Final = "timer F"
TIMER_G: Final = "timer G"
TIMER_H: Final = "timer H"
TIMER_I: Final = "timer I"
TIMER_J: Final = "timer J"
TIMER_K: Final = "timer K"
TIMER_L: Final = "timer L"
TIMER_M: Final = "timer M"


class Row(NamedTuple):
    """What one event does in one state: the actions' names (:mod:`sipframe.transaction.actions`), in order."""

    actions: tuple[str, ...]
    next: str


Table = Mapping[str, Mapping[str, Row]]
"""State to event to row. Terminated is no key: a transaction that has ended has no rows."""


class Machine(NamedTuple):
    """One of the four machines. ``source`` says which figure it is."""

    name: str
    source: str
    table: Table


def over_reliable(machine: Machine) -> Machine:
    """The same machine as it runs over a reliable transport.

    Retransmission timers are left out. A timer that is zero there (D, I, J, K) fires at once: the row that would start
    it performs the actions of the timer's own row in its place and goes on to that row's next state.
    """
    table = {
        state: {event: _at_once(machine.table, row) for event, row in rows.items()}
        for state, rows in machine.table.items()
    }
    return Machine(machine.name, machine.source, table)


def _at_once(table: Table, row: Row) -> Row:
    actions: list[str] = []
    following = row.next
    for action in row.actions:
        if action in ZERO_OVER_RELIABLE:
            fired = table[row.next][ZERO_OVER_RELIABLE[action]]
            actions.extend(fired.actions)
            following = fired.next
        elif action not in NOT_OVER_RELIABLE:
            actions.append(action)
    return Row(tuple(actions), following)


class BoundMachine(Generic[T]):
    """A machine whose actions' names are replaced by what performs them."""

    __slots__ = ("name", "rows")

    def __init__(self, name: str, rows: dict[str, dict[str, tuple[tuple[T, ...], str]]]) -> None:
        self.name = name
        self.rows = rows


def bind(machine: Machine, effects: Mapping[str, T]) -> tuple[BoundMachine[T], BoundMachine[T]]:
    """Bind ``machine`` to ``effects``, by action name: over an unreliable and over a reliable transport, in this order.

    Raises KeyError when an action has no effect.
    """

    def bound(one: Machine) -> BoundMachine[T]:
        rows = {
            state: {
                event: (tuple(effects[action] for action in row.actions), row.next)
                for event, row in row_of.items()
            }
            for state, row_of in one.table.items()
        }
        return BoundMachine(one.name, {**rows, TERMINATED: {}})

    return bound(machine), bound(over_reliable(machine))
