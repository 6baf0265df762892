"""A request that is gone: whoever is asked about it is cancelled, nothing is answered, and nobody waits behind it."""

from __future__ import annotations

import pytest

from sipframe.location import MemoryStore
from sipframe.verdicts import NO_BINDINGS
from tests.fakes import FakeFlow
from tests.registrar.whole import AOR, Hanging, Policy, Whole


class World(Whole):
    """It has its challenge already, and ``other`` is the connection that gets lost."""

    def __init__(self) -> None:
        self.policy = Policy()
        super().__init__(policies=[self.policy])
        _ = self.register()
        self.other = FakeFlow("TCP", serial=2)
        self.hanging = Hanging()

    def lose(self, flow: FakeFlow | None = None) -> None:
        flow = flow or self.other
        flow.alive = False
        self.layer.flow_lost(flow)

    def remembers(self) -> int:
        return len(self.uas._ongoing) + len(self.uas._by_flow) + len(self.registrar._turns._by_aor)


@pytest.fixture
def world() -> World:
    return World()


def hang(world: World, where: str) -> None:
    if where == "admit":
        world.policy.admission = world.hanging
    elif where == "secret":
        world.users.answer = world.hanging
    elif where == "registration":
        world.policy.answer = world.hanging
    elif where == "lookup":
        world.store.lookup_answer = world.hanging


@pytest.mark.parametrize("where", ["admit", "secret", "registration", "lookup"])
def test_whoever_is_asked_is_cancelled_and_nothing_is_answered(world: World, where: str) -> None:
    before = world.decisions.kept, len(world.happened)
    hang(world, where)
    _ = world.register(flow=world.other)
    assert len(world.hanging.asked) == 1
    world.lose()
    assert world.hanging.cancelled == world.hanging.asked
    assert (world.other.sent, world.other.dropped) == ([], 0)
    assert (world.decisions.kept, len(world.happened)) == before
    assert world.remembers() == 0
    world.clock.advance(100)
    assert world.clock.getDelayedCalls() == []
    assert all(guard.idle for guard in world.seam.guards())


@pytest.mark.parametrize("where", ["admit", "secret", "registration", "lookup"])
def test_the_same_request_may_come_again_by_another_connection(world: World, where: str) -> None:
    hang(world, where)
    _ = world.register(flow=world.other, branch="z9hG4bKsame", cseq=50)
    world.lose()
    world.policy.admission = world.policy.answer = world.users.answer = world.store.lookup_answer = None
    answer = world.register(branch="z9hG4bKsame", cseq=50)
    assert answer is not None
    assert answer.status == 200


def test_other_connections_and_udp_go_on(world: World) -> None:
    world.users.answer = world.hanging
    udp = FakeFlow("UDP", serial=3)
    third = FakeFlow("TCP", serial=4)
    for flow in (world.other, udp, third):
        _ = world.register(flow=flow, to=f"<sip:bob@example.com>;x={flow.serial}", user=f"bob{flow.serial}")
    world.lose()
    world.layer.flow_lost(udp)  # nobody says so of UDP, and it would mean nothing
    assert len(world.hanging.cancelled) == 1
    for one in world.hanging.asked[1:]:
        one.callback(None)
    assert (udp.statuses(), third.statuses()) == ([401], [401])


def test_one_of_two_who_wait_for_the_same_look_up(world: World) -> None:
    world.users.answer = world.hanging
    _ = world.register(flow=world.other)
    _ = world.register(call_id="2")
    assert len(world.hanging.asked) == 1
    world.lose()
    assert world.hanging.cancelled == []
    world.hanging.asked[0].callback("zanzibar")
    assert world.statuses()[-1] == 200


class TestTurns:
    def test_who_waits_for_its_turn_leaves(self, world: World) -> None:
        world.store.lookup_answer = world.hanging
        _ = world.register(call_id="1")
        _ = world.register(call_id="2", flow=world.other)
        _ = world.register(call_id="3")
        world.lose()
        world.store.lookup_answer = None
        world.hanging.asked[0].callback(MemoryStore.lookup(world.store, AOR))
        assert world.statuses()[-2:] == [200, 200]
        assert (world.other.sent, world.remembers()) == ([], 0)

    def test_who_has_its_turn_ends_it(self, world: World) -> None:
        world.store.lookup_answer = world.hanging
        _ = world.register(call_id="1", flow=world.other)
        _ = world.register(call_id="2")
        world.store.lookup_answer = None
        world.lose()
        assert world.statuses()[-1] == 200
        assert world.remembers() == 0

    def test_a_change_that_the_store_has_been_handed_is_carried_out(self, world: World) -> None:
        world.store.replace_answer = world.hanging
        _ = world.register("Contact: <sip:new@192.0.2.9>", call_id="1", flow=world.other)
        world.lose()
        assert world.hanging.cancelled == []
        _ = world.register(call_id="2")
        assert len(world.hanging.asked) == 1  # it waits for its turn
        world.store.replace_answer = None
        found = MemoryStore.lookup(world.store, AOR)
        bindings = (*found.bindings, found.bindings[0]._replace(contact="sip:new@192.0.2.9"))
        assert MemoryStore.replace(world.store, AOR, bindings, found.version)
        happened = len(world.happened)
        world.hanging.asked[0].callback(True)
        assert world.bound() == ["sip:bob@192.0.2.7:5062", "sip:new@192.0.2.9"]
        # It has changed something, so it is told; it has not been answered, so nothing is recorded.
        assert [one.name for one in world.happened[happened:]] == ["sipframe.registrar.bound"] * 2
        assert [one.call_id for one in world.decisions][:2] == ["2", "call-1"]
        assert (world.other.sent, world.remembers()) == ([], 0)

    def test_and_is_not_planned_again_when_another_writer_was_there_first(self, world: World) -> None:
        world.store.replace_answer = world.hanging
        _ = world.register(flow=world.other)
        world.lose()
        world.hanging.asked[0].callback(False)
        assert (len(world.hanging.asked), world.remembers()) == (1, 0)

    def test_and_has_its_deadline(self, world: World) -> None:
        world.store.replace_answer = world.hanging
        _ = world.register(flow=world.other)
        world.lose()
        _ = world.register(call_id="2")
        world.store.replace_answer = None
        world.clock.advance(5)
        assert (world.statuses()[-1], world.other.sent, world.remembers()) == (200, [], 0)


def test_an_invite_that_is_cancelled(world: World) -> None:
    world.policy.admission = world.hanging
    _ = world.send("INVITE", branch="z9hG4bKinvite", cseq="1 INVITE")
    _ = world.send("CANCEL", branch="z9hG4bKinvite", cseq="1 CANCEL")
    assert world.hanging.cancelled == world.hanging.asked
    assert [status for status in world.statuses() if status >= 200][-2:] == [200, 487]
    assert [(one.method, one.status, one.steps[-1][:3]) for one in list(world.decisions)[:2]] == [
        ("INVITE", 487, ("RFC 3261 9.2", "Rejected", "it was cancelled")),
        ("CANCEL", 200, ("RFC 3261 9.2", "Accepted", "its request is here")),
    ]


def test_an_answered_request_is_let_be(world: World) -> None:
    _ = world.register(flow=world.other)
    assert world.other.statuses() == [200]
    world.lose()
    assert world.bound() == ["sip:bob@192.0.2.7:5062"]
    assert MemoryStore.lookup(world.store, AOR) != NO_BINDINGS
