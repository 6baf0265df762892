"""The tables: every row is performed as it stands, every missing row is ignored and counted."""

from __future__ import annotations

import pytest

from sipframe.transaction import actions as do
from sipframe.transaction import machine as on
from sipframe.transaction.client import ClientTransaction
from sipframe.transaction.invite_client import INVITE_CLIENT
from sipframe.transaction.invite_server import INVITE_SERVER
from sipframe.transaction.machine import Machine, Row, bind, over_reliable
from sipframe.transaction.non_invite_client import NON_INVITE_CLIENT
from sipframe.transaction.non_invite_server import NON_INVITE_SERVER
from sipframe.transaction.server import ServerTransaction
from tests.transaction.fakes import World, answer, request, response

MACHINES = (INVITE_SERVER, NON_INVITE_SERVER, INVITE_CLIENT, NON_INVITE_CLIENT)
ALL_ACTIONS = {value for name, value in vars(do).items() if name.isupper() and isinstance(value, str)}
ALL_EVENTS = sorted(
    {
        *(on.REQUEST, on.ACK, on.PROVISIONAL, on.SUCCESS, on.FAILURE, on.TRANSPORT_ERROR, on.TIMER_100),
        *(f"timer {letter}" for letter in "ABDEFGHIJKLM"),
    }
)
ALL_STATES = sorted(
    {state for machine in MACHINES for state in machine.table} | {on.TERMINATED, on.INITIAL, on.CALLING}
)

CASES = [
    (machine, reliable, state, event)
    for machine in MACHINES
    for reliable in (False, True)
    for state in (*machine.table, on.TERMINATED)
    for event in ALL_EVENTS
]


def as_it_runs(machine: Machine, reliable: bool) -> Machine:
    return over_reliable(machine) if reliable else machine


def name(value: object) -> str:
    return value.name if isinstance(value, Machine) else str(value)


@pytest.mark.parametrize(("machine", "reliable", "state", "event"), CASES, ids=name)
def test_each_row_and_each_missing_row(machine: Machine, reliable: bool, state: str, event: str) -> None:
    """A transaction in ``state`` performs the row's actions in order and no others, and is then in the next state."""
    world = World("TLS" if reliable else "UDP")
    performed: list[str] = []
    states: list[str] = []
    subject = transaction_of(machine, world)

    def effect(action: str) -> object:
        def perform(transaction: ServerTransaction | ClientTransaction, *_: object) -> None:
            performed.append(action)
            states.append(transaction.state)

        return perform

    effects = {action: effect(action) for action in ALL_ACTIONS}
    subject._machine = bind(machine, effects)[reliable]  # type: ignore[assignment]
    subject._state = state
    subject.happen(event)

    row = as_it_runs(machine, reliable).table.get(state, {}).get(event)
    if row is None:
        assert (performed, subject.state) == ([], state)
        assert world.layer.ignored == {(machine.name, state, event): 1}
    else:
        assert (tuple(performed), subject.state) == (row.actions, row.next)
        assert set(states) <= {row.next}  # the next state is entered before the actions
        assert not world.layer.ignored


def transaction_of(machine: Machine, world: World) -> ServerTransaction | ClientTransaction:
    method = "OPTIONS" if machine.name.startswith("non-") else "INVITE"
    if machine.name.endswith("server"):
        return world.begin(request(method))
    return world.send(method)


@pytest.mark.parametrize("machine", MACHINES, ids=name)
def test_every_name_in_a_table_is_known(machine: Machine) -> None:
    for table in (machine.table, over_reliable(machine).table):
        for state, rows in table.items():
            assert state in ALL_STATES
            for event, row in rows.items():
                assert event in ALL_EVENTS
                assert set(row.actions) <= ALL_ACTIONS
                assert row.next == on.TERMINATED or row.next in machine.table


@pytest.mark.parametrize("machine", MACHINES, ids=name)
@pytest.mark.parametrize("reliable", [False, True], ids=["unreliable", "reliable"])
def test_every_state_that_can_be_reached_can_be_left(machine: Machine, reliable: bool) -> None:
    table = as_it_runs(machine, reliable).table
    reached = [on.INITIAL]
    for state in reached:
        reached += {row.next for row in table.get(state, {}).values()} - set(reached)
    assert on.TERMINATED in reached
    for state in reached:
        if state != on.TERMINATED:
            assert any(row.next != state for row in table[state].values())


@pytest.mark.parametrize("machine", MACHINES, ids=name)
@pytest.mark.parametrize("reliable", [False, True], ids=["unreliable", "reliable"])
def test_the_end_and_only_the_end_takes_a_transaction_out_of_the_matching(
    machine: Machine, reliable: bool
) -> None:
    for rows in as_it_runs(machine, reliable).table.values():
        for row in rows.values():
            assert (do.FORGET in row.actions) == (row.next == on.TERMINATED)


def test_retransmission_timers_are_left_out_over_a_reliable_transport() -> None:
    for machine in MACHINES:
        for rows in over_reliable(machine).table.values():
            for row in rows.values():
                assert not {*row.actions} & do.NOT_OVER_RELIABLE


def test_a_timer_that_is_zero_is_its_own_row_at_once() -> None:
    """RFC 3261 17.2.2: timer J is zero over a reliable transport, so the answer is the end."""
    row = over_reliable(NON_INVITE_SERVER).table[on.TRYING][on.SUCCESS]
    assert row == Row((do.STOP_TIMERS, do.FORGET, do.SEND_FINAL), on.TERMINATED)


def test_an_action_without_an_effect_is_an_error() -> None:
    with pytest.raises(KeyError):
        bind(INVITE_SERVER, {do.PASS_REQUEST: None})


@pytest.mark.parametrize("transport", ["UDP", "TLS"])
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_the_rows_as_they_are_really_performed_leave_nothing(method: str, transport: str) -> None:
    """One road through each machine with its true effects, from the first message to the end."""
    world = World(transport)
    incoming = request(method)
    server = world.begin(incoming)
    server.respond(100, answer(100, incoming))
    server.respond(404, answer(404, incoming))
    if method == "INVITE":
        world.receive(request("ACK", to_tag="ours"))
    world.send(method)
    world.receive(response(100, method))
    world.receive(response(404, method))
    world.clock.advance(64)
    assert world.left() == 0
    assert world.clock.getDelayedCalls() == []
