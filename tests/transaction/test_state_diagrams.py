"""The diagrams in docs/ are those of the tables."""

from __future__ import annotations

from docs.make_state_diagrams import MACHINES, PAGE, diagram, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m docs.make_state_diagrams"


def test_each_row_is_on_the_page_once() -> None:
    lines = page().splitlines()
    for machine in MACHINES:
        for state, rows in machine.table.items():
            for event in rows:
                start = f"| {state} | {event} |"
                wanted = sum(event in other.table.get(state, {}) for other in MACHINES)
                assert sum(line.startswith(start) for line in lines) == wanted


def test_every_state_is_in_the_diagram() -> None:
    for machine in MACHINES:
        text = diagram(machine)
        for state in machine.table:
            assert state == "Initial" or f" {state} " in text
