"""What a watcher of the traffic sees: every message, over every kind of flow, and nothing else."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from twisted.logger import capturedLogs

from sipframe.message import parse_vias
from sipframe.transport import Passed, StreamProtocol, Traffic, UDPEndpoint
from sipframe.verdicts import Address
from tests.transport.recording import OPTIONS, RecordingSink, Wire, answer, ground_for

SOURCE = ("192.0.2.7", 40_000)
HERE, THERE = Address("192.0.2.1", 5060), Address(*SOURCE)
STUN = bytes.fromhex("000100002112a442") + bytes(12)
NONSENSE = b"No SIP at all\r\n\r\n"


class Datagrams:
    """A socket that takes nothing that ``refuses`` names."""

    def __init__(self, refuses: bytes = b"nothing", error: int = errno.EMSGSIZE) -> None:
        self._refuses = refuses
        self._error = error
        self.written: list[bytes] = []

    def write(self, data: bytes, address: object) -> None:
        if self._refuses in data:
            raise OSError(self._error, "refused")
        self.written.append(data)


class Watched:
    """UDP or TCP, with a watcher."""

    def __init__(self, sink: RecordingSink | None = None) -> None:
        self.sink = sink or RecordingSink(answer)
        self.ground, _ = ground_for(self.sink)
        self.seen: list[Passed] = []
        self.unwatch = self.ground.traffic.watch(self.seen.append)

    def datagrams(self, transport: Datagrams) -> UDPEndpoint:
        endpoint = UDPEndpoint(self.ground)
        endpoint.open(transport.write, HERE)
        return endpoint

    def connection(self) -> StreamProtocol:
        stream = StreamProtocol(self.ground, secure=False)
        stream.makeConnection(Wire())
        return stream


def test_a_request_and_its_answer_over_udp() -> None:
    it, transport = Watched(), Datagrams()
    it.datagrams(transport).datagramReceived(OPTIONS, SOURCE)
    [sent] = transport.written
    assert it.seen == [Passed(False, "UDP", HERE, THERE, OPTIONS), Passed(True, "UDP", HERE, THERE, sent)]


def test_a_response_that_goes_elsewhere() -> None:
    it, transport = Watched(RecordingSink()), Datagrams()
    it.datagrams(transport).datagramReceived(OPTIONS, SOURCE)
    [(_, _, flow)] = it.sink.calls
    flow.respond(b"SIP/2.0 200 OK\r\n\r\n", parse_vias(["SIP/2.0/UDP phone.example.com:5070"])[0])
    assert it.seen[1].peer == Address("192.0.2.7", 5070)


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"\0\0", STUN])
def test_what_is_no_message_over_udp(data: bytes) -> None:
    it, transport = Watched(), Datagrams()
    it.datagrams(transport).datagramReceived(data, SOURCE)
    assert it.seen == []
    assert it.ground.counters.keepalives + it.ground.counters.stun == 1


def test_what_cannot_be_read_is_seen() -> None:
    it, transport = Watched(), Datagrams()
    it.datagrams(transport).datagramReceived(NONSENSE, SOURCE)
    assert [passed.octets for passed in it.seen] == [NONSENSE, b"SIP/2.0 400 Malformed\r\n\r\n"]


@pytest.mark.parametrize("error", [errno.EMSGSIZE, errno.ENETUNREACH])
def test_what_the_socket_does_not_take_has_not_left(error: int) -> None:
    it, transport = Watched(), Datagrams(b"SIP/2.0 200", error)
    it.sink.instead = b"SIP/2.0 513 Message Too Large\r\n\r\n"
    it.datagrams(transport).datagramReceived(OPTIONS, SOURCE)
    instead = [it.sink.instead] if error == errno.EMSGSIZE else []
    assert [passed.octets for passed in it.seen] == [OPTIONS, *instead]


def test_messages_and_keepalives_over_tcp() -> None:
    it = Watched()
    stream = it.connection()
    wire: Any = stream._transport
    stream.dataReceived(OPTIONS[:30])
    assert it.seen == []
    stream.dataReceived(OPTIONS[30:] + b"\r\n\r\n")
    sent = wire.value().removesuffix(b"\r\n")
    assert wire.value() == sent + b"\r\n"  # the pong
    assert it.seen == [Passed(False, "TCP", HERE, THERE, OPTIONS), Passed(True, "TCP", HERE, THERE, sent)]


def test_a_malformed_message_that_can_be_framed_over_tcp() -> None:
    it = Watched()
    malformed = OPTIONS.replace(b"CSeq: 1", b"CSeq: 1\r\nCSeq: 2")
    it.connection().dataReceived(malformed + OPTIONS)
    assert [passed.octets for passed in it.seen if not passed.sent] == [malformed, OPTIONS]


@pytest.mark.parametrize("octets", [NONSENSE, OPTIONS.replace(b"Content-Length: 4\r\n", b"")])
def test_what_ends_a_connection(octets: bytes) -> None:
    it = Watched()
    it.connection().dataReceived(octets)
    assert [passed.octets for passed in it.seen if not passed.sent] == [octets]


def test_a_dead_connection_sends_nothing() -> None:
    it = Watched(RecordingSink())
    stream = it.connection()
    stream.dataReceived(OPTIONS)
    stream.connectionLost()
    stream.flow.send(OPTIONS)
    assert len(it.seen) == 1


def test_a_connection_that_is_cut_because_nobody_reads() -> None:
    it = Watched(RecordingSink())
    stream = it.connection()
    stream.pauseProducing()
    stream.flow.send(OPTIONS)
    stream.flow.send(bytes(it.ground.limits.queued))
    assert [passed.octets for passed in it.seen] == [OPTIONS]


def test_watchers_come_and_go_and_may_fail() -> None:
    traffic = Traffic()
    first: list[Passed] = []
    second: list[Passed] = []
    assert not traffic.watched
    ends = [traffic.watch(first.append), traffic.watch(first.append), traffic.watch(lambda passed: 1 / 0)]
    ends.append(traffic.watch(second.append))
    flow: Any = Watched().connection().flow
    with capturedLogs() as events:
        traffic.came(OPTIONS, flow)
    assert [event["log_failure"].type for event in events] == [ZeroDivisionError]
    assert (len(first), len(second)) == (2, 1)
    ends[2]()
    ends[0]()
    ends[0]()
    traffic.left(OPTIONS, flow, THERE)
    assert len(first) == 3
    for end in ends:
        end()
    assert not traffic.watched
