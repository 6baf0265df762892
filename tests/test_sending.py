"""One request, several places to send it to: on a clock, with real transactions and flows in memory."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from sipframe.interfaces import IFlow
from sipframe.message import COOKIE, Response, request_bytes
from sipframe.roads import Hop, OurEnd
from sipframe.sending import Sender, Sending
from sipframe.transaction import TransactionLayer, TransactionSettings, TransactionUser
from tests.fakes import FakeFlow
from tests.roads import FakeRoads, answer_to, entropy, sent

ONE, TWO, THREE = (Hop("UDP", f"192.0.2.{n}", 5060) for n in (1, 2, 3))


class Options:
    """A request, and how large its body is."""

    def __init__(self, method: str = "OPTIONS", body: int = 0, bad: bool = False) -> None:
        self.method = method
        self._body = body
        self._bad = bad
        self.composed: list[tuple[str, OurEnd]] = []

    branch_end = ""

    def compose(self, via: str, ours: OurEnd, flow: IFlow) -> bytes:
        if self._bad:
            raise ValueError("it cannot be made")
        self.composed.append((via, ours))
        fields = [
            ("Via", via),
            ("From", "<sip:a@x>;tag=1"),
            ("To", "<sip:b@x>"),
            ("Call-ID", "c"),
            ("CSeq", f"1 {self.method}"),
        ]
        return request_bytes(self.method, "sip:b@x", fields, b"x" * self._body)


class NoServer(TransactionUser):
    def request(self, transaction: object) -> None:
        raise AssertionError(transaction)


class World:
    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.layer = TransactionLayer(
            self.clock, TransactionSettings(), NoServer(), lambda *_: b"", lambda *_: b""
        )
        self.roads = FakeRoads()
        self.failures: list[tuple[str, int | None]] = []
        self.sender = Sender(self.layer, self.roads, entropy(), failed=self.hop_failed, **settings)
        self.told: list[object] = []

    def hop_failed(self, hop: Hop, response: Response | None) -> None:
        self.failures.append((str(hop), None if response is None else response.status))

    def sent(self, sending: Sending) -> None:
        pass

    def response(self, sending: Sending, response: Response) -> None:
        self.told.append(response.status)

    def failed(self, sending: Sending, status: int, reason: str) -> None:
        self.told.append((status, reason))

    def send(self, *ways: IFlow | Hop, request: Options | None = None) -> Sending:
        return self.sender.send(request or Options(), ways, self)

    def answer(self, status: int, flow: FakeFlow | None = None) -> None:
        flow = flow or self.roads.flows[-1]
        self.layer.response(answer_to(sent(flow), status), flow)

    @property
    def idle(self) -> bool:
        return not self.sender.underway


@pytest.fixture
def world() -> World:
    return World()


def test_a_request_and_its_answers(world: World) -> None:
    sending = world.send(ONE)
    [flow] = world.roads.flows
    via = sent(flow).via
    assert (via.transport, via.sent_by) == ("UDP", ("192.0.2.1", 5060))
    assert via.branch is not None
    assert via.branch.startswith(COOKIE)
    assert via.rport == ""
    world.answer(183)
    world.answer(200)
    world.answer(200)  # a retransmission
    assert world.told == [183, 200]
    assert (sending.over, world.idle) == (True, True)


def test_a_flow_that_is_there_is_used(world: World) -> None:
    flow = FakeFlow("TLS")
    world.send(flow)
    assert sent(flow).via.transport == "TLS"
    world.answer(404, flow)
    assert (world.told, world.roads.tried) == ([404], [])


def test_one_after_the_other_until_one_answers(world: World) -> None:
    world.roads.down.add(ONE.host)
    dead = FakeFlow("TCP")
    dead.alive = False
    world.send(dead, ONE, TWO, THREE)
    first = sent(world.roads.flows[0]).via.branch
    world.answer(503)
    assert [flow.peer.host for flow in world.roads.flows] == [TWO.host, THREE.host]
    assert sent(world.roads.flows[1]).via.branch != first  # RFC 3263 4.3
    world.answer(486)
    assert world.told == [486]


def test_the_last_503_is_the_answer(world: World) -> None:
    world.send(ONE, TWO)
    world.answer(503)
    world.answer(503)
    assert world.told == [503]


def test_nobody_can_be_reached(world: World) -> None:
    world.roads.down.update((ONE.host, TWO.host))
    world.send(ONE, TWO)
    assert world.told == [(503, "udp:192.0.2.2:5060: connection refused")]
    world.send()
    assert world.told[1:] == [(503, "there is nowhere to send it")]
    assert world.idle


def test_many_places_that_cannot_be_reached(world: World) -> None:
    hops = [Hop("UDP", f"198.51.{n // 250}.{n % 250}", 5060) for n in range(2000)]
    world.roads.down.update([hop.host for hop in hops])
    _ = world.send(*hops, ONE)
    assert world.told == []
    world.answer(200)
    assert world.told == [200]
    assert world.idle


def test_silence(world: World) -> None:
    world.send(ONE, TWO)
    world.clock.pump([0.5] * 66)
    assert world.told == []
    assert len(world.roads.flows) == 2
    world.clock.pump([0.5] * 66)
    assert world.told == [(408, "Request Timeout")]
    assert world.idle


def test_who_has_said_anything_is_not_left_for_another(world: World) -> None:
    world.send(ONE, TWO)
    world.answer(100)
    world.clock.pump([0.5] * 70)
    assert world.told == [100, (408, "Request Timeout")]
    assert len(world.roads.flows) == 1


def test_a_connection_that_is_lost(world: World) -> None:
    flow = FakeFlow("TCP")
    world.send(flow, TWO)
    flow.alive = False
    world.layer.flow_lost(flow)
    assert world.roads.tried == [str(TWO)]
    world.answer(200)
    assert world.told == [200]
    world.send(other := FakeFlow("TCP"))
    other.alive = False
    world.layer.flow_lost(other)
    assert world.told[1:] == [(503, "the connection is lost")]


def test_a_connection_that_takes_its_time(world: World) -> None:
    hop = Hop("TCP", "192.0.2.1", 5060)
    world.roads.slow.add(hop.host)
    world.send(hop)
    [waiter] = world.roads.waiting
    assert world.told == []
    waiter.opened(world.roads.flow(hop))
    world.answer(200)
    world.send(hop, TWO)
    world.roads.waiting[1].failed("no")
    world.answer(202)
    assert world.told == [200, 202]


def test_who_cancels_hears_nothing(world: World) -> None:
    world.roads.slow.add(ONE.host)
    world.send(ONE).cancel()
    [waiter] = world.roads.waiting
    assert waiter.cancelled
    sending = world.send(TWO)
    flow = world.roads.flows[-1]
    sending.cancel()
    sending.cancel()
    world.clock.pump([0.5] * 70)
    assert len(flow.sent) == 1  # nothing is sent again
    world.answer(200)
    assert (world.told, world.idle) == ([], True)
    assert world.layer.unanswered() == 0


class TestHopsThatHaveFailed:
    """RFC 3263 4.3: what counts as a failure."""

    def test_no_road_silence_a_lost_connection_and_503(self, world: World) -> None:
        world.roads.down.add(ONE.host)
        tcp = Hop("TCP", "192.0.2.3", 5060)
        world.send(ONE, TWO, tcp, THREE)
        assert world.failures == [(str(ONE), None)]
        world.clock.pump([0.5] * 66)
        assert world.failures[1:] == [(str(TWO), None)]
        flow = world.roads.flows[-1]
        flow.alive = False
        world.layer.flow_lost(flow)
        assert world.failures[2:] == [(str(tcp), None)]
        world.answer(503)
        assert world.failures[3:] == [(str(THREE), 503)]
        assert world.told == [503]

    @pytest.mark.parametrize("statuses", [(200,), (404,), (500,), (603,), (100, 200)])
    def test_every_other_answer_is_none(self, world: World, statuses: tuple[int, ...]) -> None:
        world.send(ONE, TWO)
        for status in statuses:
            world.answer(status)
        assert world.failures == []

    def test_who_has_said_anything_has_not(self, world: World) -> None:
        world.send(ONE)
        world.answer(100)
        world.clock.pump([0.5] * 70)
        assert (world.told[-1], world.failures) == ((408, "Request Timeout"), [])

    def test_a_flow_that_there_was_is_no_hop(self, world: World) -> None:
        flow = FakeFlow("TCP")
        world.send(flow)
        world.answer(503, flow)
        assert world.failures == []

    def test_who_has_let_go_hears_of_none(self, world: World) -> None:
        world.send(ONE, TWO).cancel()
        world.answer(503)
        assert world.failures == []

    def test_tcp_where_the_request_was_too_large(self, world: World) -> None:
        hop = Hop("UDP", "192.0.2.9", 5060, tcp_too=True)
        world.roads.down.add("tcp:192.0.2.9:5060")
        world.send(hop, request=Options(body=2_000))
        assert (world.roads.tried, world.failures) == (
            [str(hop), "tcp:192.0.2.9:5060", str(hop)],
            [],  # there need not be TCP
        )
        world.roads.down.clear()
        world.send(hop, request=Options(body=2_000))
        world.answer(503)
        assert world.failures == [("tcp:192.0.2.9:5060", 503)]


def test_the_end(world: World) -> None:
    world.roads.slow.add(ONE.host)
    world.send(ONE)
    world.send(TWO)
    world.sender.stop()
    assert world.told == [(503, "the server is stopping")] * 2
    assert world.roads.waiting[0].cancelled
    assert world.layer.unanswered() == 0


def test_a_request_that_cannot_be_made(world: World) -> None:
    world.send(ONE, request=Options(bad=True))
    assert world.told == [(500, "it cannot be made")]
    assert world.idle


def test_too_many() -> None:
    world = World(most=1)
    world.send(ONE)
    world.send(TWO)
    assert world.told == [(503, "too many requests of ours are on their way")]
    world.answer(200)
    world.send(TWO)
    assert len(world.told) == 2


class TestLarge:
    """RFC 3261 18.1.1."""

    FREE = ONE._replace(tcp_too=True)

    def test_by_tcp_where_nobody_asked_for_udp(self, world: World) -> None:
        request = Options(body=1_300)
        world.send(self.FREE, request=request)
        [_, flow] = [None, *world.roads.flows[1:]]
        assert flow is not None
        assert flow.transport == "TCP"
        assert sent(flow).via.transport == "TCP"
        assert world.roads.flows[0].sent == []
        world.answer(200)
        assert world.told == [200]

    def test_by_udp_where_it_is_small(self, world: World) -> None:
        world.send(self.FREE, request=Options(body=1_000))
        assert world.roads.tried == [str(ONE)]

    def test_by_udp_where_it_was_asked_for(self, world: World) -> None:
        world.send(ONE, request=Options(body=1_300))
        assert len(world.roads.flows[0].sent) == 1

    def test_the_limit_is_a_setting(self) -> None:
        world = World(large=10_000)
        world.send(self.FREE, request=Options(body=5_000))
        assert world.roads.tried == [str(ONE)]

    def test_by_udp_after_all(self, world: World) -> None:
        world.roads.down.add("tcp:192.0.2.1:5060")
        world.send(self.FREE, request=Options(body=1_300))
        assert world.roads.tried == [str(ONE), "tcp:192.0.2.1:5060", str(ONE)]
        assert sent(world.roads.flows[-1]).via.transport == "UDP"

    def test_not_by_udp_once_tcp_was_there(self, world: World) -> None:
        world.send(self.FREE, TWO, request=Options(body=1_300))
        flow = world.roads.flows[-1]
        flow.alive = False
        world.layer.flow_lost(flow)
        assert world.roads.tried == [str(ONE), "tcp:192.0.2.1:5060", str(TWO)]

    def test_what_no_datagram_can_hold(self, world: World) -> None:
        world.send(ONE, request=Options(body=65_600))
        assert world.told == [(513, "Message Too Large")]
        assert world.roads.flows[0].sent == []


def test_an_invite_may_be_answered_twice(world: World) -> None:
    # RFC 6026 7.2: another 2xx is another dialog.
    world.send(ONE, request=Options("INVITE"))
    world.answer(180)
    world.answer(200)
    world.answer(200)
    assert world.told == [180, 200, 200]
