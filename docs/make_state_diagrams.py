"""Write docs/transactions/state-machines.md from the tables of sipframe.transaction.

    python -m docs.make_state_diagrams

The page is text (Mermaid and tables), so that no other program is needed; a test compares it with the tables.
"""

from __future__ import annotations

from pathlib import Path

from sipframe.transaction.invite_client import INVITE_CLIENT
from sipframe.transaction.invite_server import INVITE_SERVER
from sipframe.transaction.machine import INITIAL, TERMINATED, Machine, Row, over_reliable
from sipframe.transaction.non_invite_client import NON_INVITE_CLIENT
from sipframe.transaction.non_invite_server import NON_INVITE_SERVER

PAGE = Path(__file__).parent / "transactions" / "state-machines.md"
MACHINES = (INVITE_CLIENT, NON_INVITE_CLIENT, INVITE_SERVER, NON_INVITE_SERVER)

INTRODUCTION = """\
# The four transaction state machines

<!-- Made from the tables in sipframe/transaction by docs/make_state_diagrams.py. Do not edit: run
     `python -m docs.make_state_diagrams`. -->

Each machine is a table: in a state, an event performs some actions, in order, and leads to the next state. An event
that has no row in a state is ignored and counted. `TU` is the transaction user: a core, or whoever sent a request.

The diagrams show an unreliable transport (UDP); an arrow's label is the event over the actions. The tables show both:
over a reliable transport retransmission timers are not started, and a timer that is zero there (D, I, J, K) fires at
once, so that its own row is performed in the same step.
"""


def page() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(section(machine) for machine in MACHINES)


def section(machine: Machine) -> str:
    """One machine: its source, its diagram, its rows."""
    return f"\n## {machine.name}\n\n{machine.source}.\n\n{diagram(machine)}\n{rows(machine)}"


def diagram(machine: Machine) -> str:
    """A Mermaid state diagram. Events that do the same thing share an arrow."""
    lines = ["```mermaid", "stateDiagram-v2"]
    for state, row_of in machine.table.items():
        events_of: dict[Row, list[str]] = {}
        for event, row in row_of.items():
            events_of.setdefault(row, []).append(event)
        for row, events in events_of.items():
            label = f"{', '.join(events)}<br/>{written(row.actions)}"
            lines.append(f"    {ends(state)} --> {ends(row.next)} : {label}")
    lines.append("```\n")
    return "\n".join(lines)


def rows(machine: Machine) -> str:
    """All rows, over both kinds of transport."""
    lines = [
        "| state | event | actions, unreliable transport | next | actions, reliable transport | next |",
        "|---|---|---|---|---|---|",
    ]
    reliable = over_reliable(machine).table
    for state, row_of in machine.table.items():
        for event, row in row_of.items():
            other = reliable[state][event]
            same = "the same" if other == row else written(other.actions)
            following = "" if other == row else other.next
            lines.append(
                f"| {state} | {event} | {written(row.actions)} | {row.next} | {same} | {following} |"
            )
    return "\n".join(lines) + "\n"


def written(actions: tuple[str, ...]) -> str:
    """The actions as they stand in a diagram."""
    return ", ".join(actions) or "-"


def ends(state: str) -> str:
    """The name of a state in Mermaid."""
    return "[*]" if state in (INITIAL, TERMINATED) else state


def main() -> None:
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
