"""A connection on a wire in memory and a clock that only moves when told."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock

from sipframe.interfaces import IFlow
from sipframe.message import Limits, MessageError, Request
from sipframe.transport import Ground, StreamFactory, StreamProtocol, TransportLimits
from tests.transport.recording import OPTIONS, PEER, RecordingSink, Wire, answer, ground_for

LIMITS = TransportLimits(
    handshake=5,
    first_message=10,
    message=20,
    idle=100,
    linger=3,
    queued=1_000,
    message_sizes=Limits(head=2_000, lines=50, body=2_000),
)


class Connection:
    def __init__(
        self, on_request: Callable[[Request, IFlow], object] | None = None, limits: TransportLimits = LIMITS
    ) -> None:
        self.sink = RecordingSink(on_request)
        self.ground: Ground
        self.clock: Clock
        self.ground, self.clock = ground_for(self.sink, limits)
        self.counters = self.ground.counters
        self.wire = Wire()
        self.protocol = cast(StreamProtocol, StreamFactory(self.ground).buildProtocol(PEER))
        self.protocol.makeConnection(self.wire)

    def receive(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def lose(self) -> None:
        self.protocol.connectionLost()

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.5] * int(seconds * 2))


@pytest.mark.parametrize("cut", range(1, len(OPTIONS)))
def test_a_message_cut_anywhere(cut: int) -> None:
    it = Connection(answer)
    it.receive(OPTIONS[:cut])
    assert it.sink.calls == []
    it.receive(OPTIONS[cut:])
    [(name, request, flow)] = it.sink.calls
    assert isinstance(request, Request)
    assert (name, request.body) == ("request", b"body")
    assert flow.serial == it.protocol.flow.serial
    assert it.wire.value().startswith(b"SIP/2.0 200 OK\r\n")


def test_octet_by_octet_and_several_in_one() -> None:
    it = Connection()
    for octet in OPTIONS * 3:
        it.receive(bytes((octet,)))
    assert it.sink.names == ["request"] * 3
    it.receive(OPTIONS * 3 + OPTIONS[:50])
    assert it.sink.names == ["request"] * 6
    it.receive(OPTIONS[50:])
    assert it.sink.names == ["request"] * 7


def test_a_response_is_a_response() -> None:
    it = Connection()
    it.receive(
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP a.example.com;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n"
    )
    assert it.sink.names == ["response"]


@pytest.mark.parametrize(
    ("received", "pongs"),
    [(b"\r\n", 0), (b"\r\n\r\n", 1), (b"\r\n" * 7, 3), (OPTIONS + b"\r\n\r\n" + OPTIONS + b"\r\n\r\n", 2)],
)
def test_pings_are_answered_between_messages(received: bytes, pongs: int) -> None:
    # RFC 5626 3.5.1
    it = Connection()
    it.receive(received)
    assert it.wire.value() == b"\r\n" * pongs
    assert it.counters.keepalives == pongs


def test_a_ping_in_two_halves_is_answered_once() -> None:
    it = Connection()
    for octet in b"\r\n\r\n":
        it.receive(bytes((octet,)))
    assert it.wire.value() == b"\r\n"


def test_crlfs_within_a_message_are_no_keepalive() -> None:
    it = Connection()
    message = OPTIONS.replace(b"Content-Length: 4", b"Content-Length: 8").replace(b"body", b"\r\n\r\nbody")
    cut = len(message) - 8
    it.receive(message[:cut])
    it.receive(b"\r\n\r\n")
    assert it.wire.value() == b""
    it.receive(b"body")
    assert it.sink.names == ["request"]


class TestErrors:
    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (OPTIONS.replace(b"Content-Length: 4\r\n", b""), 400),
            (OPTIONS.replace(b"Content-Length: 4", b"Content-Length: -4"), 400),
            (OPTIONS.replace(b"Content-Length: 4", b"Content-Length: 9999999999999"), 400),
            (OPTIONS.replace(b"Content-Length: 4", b"Content-Length: 2001"), 513),
            (b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", 400),
            (b"A" * 5_000, 513),
        ],
    )
    def test_the_sink_may_answer_and_then_it_is_over(self, data: bytes, status: int) -> None:
        it = Connection()
        it.receive(data)
        assert it.sink.names == ["malformed"]
        error = it.sink.calls[0][1]
        assert isinstance(error, MessageError)
        assert error.status == status
        assert it.wire.value().startswith(b"SIP/2.0 400 ")
        assert it.counters.malformed == 1
        # Closed gracefully: what comes now is not looked at, but it is read, so that our answer arrives.
        assert it.wire.state == "half closed"
        it.receive(OPTIONS)
        assert it.sink.names == ["malformed"]
        it.lose()
        assert it.sink.names == ["malformed", "flow_lost"]

    def test_one_that_never_closes_is_cut(self) -> None:
        it = Connection()
        it.receive(b"nonsense\r\n\r\n")
        it.wait(5)
        assert it.wire.state == "aborted"
        assert it.counters.linger_timeouts == 1

    def test_messages_before_the_bad_one_count(self) -> None:
        it = Connection()
        it.receive(OPTIONS + b"nonsense\r\n\r\n" + OPTIONS)
        assert it.sink.names == ["request", "malformed"]

    def test_a_sink_that_fails_hurts_only_the_message(self, capture_failures: list[str]) -> None:
        def fail(request: Request, flow: IFlow) -> None:
            raise RuntimeError("a bug")

        it = Connection(fail)
        it.receive(OPTIONS * 2)
        assert it.sink.names == ["request", "request"]
        assert it.counters.sink_failures == 2
        assert len(capture_failures) == 2
        assert it.wire.state == "open"


class TestDeadlines:
    def test_a_silent_connection_is_closed(self) -> None:
        it = Connection()
        it.wait(9.5)
        assert it.wire.state == "open"
        it.wait(3)
        assert it.wire.state == "closed"
        assert it.counters.first_message_timeouts == 1

    def test_keepalives_are_no_message(self) -> None:
        it = Connection()
        for _ in range(12):
            it.receive(b"\r\n\r\n")
            it.wait(1)
        assert it.wire.state == "closed"
        assert it.counters.first_message_timeouts == 1

    def test_one_octet_per_second_is_not_enough(self) -> None:
        it = Connection()
        it.receive(OPTIONS)
        for octet in OPTIONS[:22]:
            it.receive(bytes((octet,)))
            it.wait(1)
        assert it.wire.state == "closed"
        assert it.counters.message_timeouts == 1

    def test_a_first_message_in_pieces_has_the_first_deadline(self) -> None:
        it = Connection()
        for octet in OPTIONS[:12]:
            it.receive(bytes((octet,)))
            it.wait(1)
        assert it.wire.state == "closed"

    def test_a_busy_connection_may_always_have_half_a_message(self) -> None:
        it = Connection()
        it.receive(OPTIONS)
        for _ in range(30):
            it.receive(OPTIONS[:100])
            it.wait(1)
            it.receive(OPTIONS[100:])
        assert it.wire.state == "open"
        it.receive(OPTIONS + OPTIONS[:100])
        for _ in range(30):
            it.wait(1)
            it.receive(OPTIONS[100:] + OPTIONS[:100])
        assert it.wire.state == "open"

    def test_a_message_that_ends_takes_its_deadline_with_it(self) -> None:
        it = Connection()
        it.receive(OPTIONS + OPTIONS[:100])
        it.wait(5)
        it.receive(OPTIONS[100:])
        it.wait(80)
        assert it.wire.state == "open"

    def test_idle(self) -> None:
        it = Connection()
        it.receive(OPTIONS)
        it.wait(90)
        it.receive(b"\r\n\r\n")
        it.wait(90)
        assert it.wire.state == "open"
        it.wait(13)
        assert it.wire.state == "closed"
        assert it.counters.idle_timeouts == 1

    def test_no_timer_is_left(self) -> None:
        it = Connection()
        it.receive(OPTIONS)
        it.lose()
        assert it.clock.getDelayedCalls() == []

    def test_one_timer_for_all(self) -> None:
        it = Connection()
        for _ in range(100):
            one = StreamProtocol(it.ground, secure=False)
            one.makeConnection(Wire())
            one.dataReceived(OPTIONS)
        assert len(it.clock.getDelayedCalls()) == 1


class TestTheFlow:
    def test_it_dies_once(self) -> None:
        it = Connection()
        it.receive(OPTIONS)
        flow = it.protocol.flow
        it.lose()
        it.lose()
        assert it.sink.names == ["request", "flow_lost"]
        assert it.sink.calls[-1][1:] == (False, flow)
        assert not flow.alive
        assert it.ground.connections.total == 0
        assert it.ground.streams == {}

    def test_the_sink_hears_nothing_of_a_flow_it_never_saw(self) -> None:
        it = Connection()
        it.receive(b"\r\n\r\n")
        it.lose()
        assert it.sink.calls == []

    def test_what_is_sent_on_a_dead_flow_is_counted_and_dropped(self) -> None:
        it = Connection()
        it.receive(OPTIONS)
        [(_, request, flow)] = it.sink.calls
        assert isinstance(request, Request)
        it.lose()
        flow.send(b"too late")
        flow.respond(b"too late", request.via)
        it.protocol.flow.close()
        assert it.counters.dropped_dead_flow == 2
        assert it.wire.value() == b""

    def test_closed_from_within_a_request(self) -> None:
        def answer_and_close(request: Request, flow: IFlow) -> None:
            answer(request, flow)
            flow.close()  # type: ignore[attr-defined]
            flow.send(b"too late")

        it = Connection(answer_and_close)
        it.receive(OPTIONS * 2)
        assert it.sink.names == ["request"]
        assert it.wire.value().count(b"SIP/2.0 200") == 1
        assert b"too late" not in it.wire.value()
        assert it.counters.dropped_dead_flow == 1
        assert it.wire.state == "closed"
        it.lose()
        assert it.sink.names == ["request", "flow_lost"]


class TestAPeerThatDoesNotRead:
    def test_it_is_cut_when_too_much_is_queued(self) -> None:
        it = Connection()
        it.receive(OPTIONS)
        flow: IFlow = it.protocol.flow
        it.protocol.pauseProducing()  # what Twisted's transports call when their buffer is full
        flow.send(b"x" * 600)
        assert it.wire.state == "open"
        flow.send(b"x" * 600)
        assert it.wire.state == "aborted"
        assert not flow.alive
        assert it.counters.queue_overflows == 1
        flow.send(b"x")
        assert it.counters.dropped_dead_flow == 1

    def test_what_is_read_counts_no_longer(self) -> None:
        it = Connection()
        flow = it.protocol.flow
        for _ in range(5):
            it.protocol.pauseProducing()
            flow.send(b"x" * 600)
            it.protocol.resumeProducing()
        assert it.wire.state == "open"


class TestLimits:
    def test_too_many_connections(self) -> None:
        it = Connection(limits=TransportLimits(connections=1))
        factory = StreamFactory(it.ground)
        assert factory.buildProtocol(PEER) is None
        assert it.counters.refused_over_limit == 1
        it.lose()
        assert factory.buildProtocol(PEER) is not None

    def test_too_many_of_one_address(self) -> None:
        it = Connection(limits=TransportLimits(connections_per_address=1))
        factory = StreamFactory(it.ground)
        assert factory.buildProtocol(PEER) is None
        assert factory.buildProtocol(IPv4Address("TCP", "192.0.2.8", 40_000)) is not None
