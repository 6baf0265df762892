"""One UDP endpoint without a network: a transport that takes datagrams, or does not."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import MessageLengthError
from twisted.internet.interfaces import IUDPTransport

from sipframe.interfaces import IFlow
from sipframe.message import Limits, Request
from sipframe.transport import UDPEndpoint
from sipframe.verdicts import Address
from tests.transport.recording import OPTIONS, RecordingSink, answer, ground_for
from tests.transport.test_stun import request as stun_request

SOURCE = ("192.0.2.7", 40_000)
DATAGRAM = OPTIONS.replace(b"SIP/2.0/TCP", b"SIP/2.0/UDP")


class Datagrams:
    """A UDP transport that keeps what it is given, or raises ``error`` while ``fails`` says so of the datagram."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, tuple[object, ...]]] = []
        self.error: Exception = OSError(errno.EMSGSIZE, "too long")
        self.fails: Callable[[bytes], bool] = lambda data: False

    def write(self, data: bytes, address: tuple[object, ...]) -> None:
        if self.fails(data):
            raise self.error
        self.sent.append((data, address))

    def getHost(self) -> IPv4Address:
        return IPv4Address("UDP", "192.0.2.1", 5060)


class Endpoint:
    def __init__(self, on_request: Callable[[Request, IFlow], object] | None = None) -> None:
        self.sink = RecordingSink(on_request)
        ground, _ = ground_for(self.sink)
        self.counters = ground.counters
        self.endpoint = UDPEndpoint(ground)
        self.transport = Datagrams()
        self.endpoint.makeConnection(cast(IUDPTransport, self.transport))

    def receive(self, data: bytes) -> None:
        self.endpoint.datagramReceived(data, SOURCE)


def test_a_request_and_its_answer() -> None:
    it = Endpoint(answer)
    it.receive(DATAGRAM)
    [(name, request, flow)] = it.sink.calls
    assert isinstance(request, Request)
    assert (name, request.method, request.body) == ("request", "OPTIONS", b"body")
    assert (flow.local, flow.peer) == (Address("192.0.2.1", 5060), Address(*SOURCE))
    [(data, address)] = it.transport.sent
    assert data.startswith(b"SIP/2.0 200 OK\r\n")
    assert address == SOURCE
    assert it.counters.datagrams == 1


def test_limits_may_change_while_the_socket_is_open() -> None:
    it = Endpoint()
    ground = it.endpoint.ground
    ground.take_limits(attrs.evolve(ground.limits, message_sizes=Limits(head=20), honour_maddr=True))
    it.receive(DATAGRAM)
    assert [name for name, *_ in it.sink.calls] == ["malformed"]
    assert it.endpoint.honour_maddr


def test_every_datagram_is_a_flow_of_its_own_number() -> None:
    it = Endpoint()
    it.receive(DATAGRAM)
    it.receive(DATAGRAM)
    first, second = [flow for _, _, flow in it.sink.calls]
    assert first.serial != second.serial


def test_a_response() -> None:
    it = Endpoint()
    it.receive(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a.example.com;branch=z9hG4bK1\r\n\r\n")
    assert it.sink.names == ["response"]


@pytest.mark.parametrize("data", [b"\r\n", b"\r\n\r\n", b"\r\n" * 700, b"", b"\0", b"\0\0\0\0", b"  \r\n"])
def test_keepalives_are_counted_and_not_answered(data: bytes) -> None:
    # RFC 5626 4.4.1: a pong is for connections.
    it = Endpoint()
    it.receive(data)
    assert (it.counters.keepalives, it.sink.calls, it.transport.sent) == (1, [], [])


def test_a_method_may_begin_with_any_character_of_a_token() -> None:
    it = Endpoint()
    it.receive(DATAGRAM.replace(b"OPTIONS", b"!1-*+"))
    assert it.sink.names == ["request"]


def test_crlfs_before_a_message() -> None:
    it = Endpoint()
    it.receive(b"\r\n\r\n" + DATAGRAM)
    assert it.sink.names == ["request"]


def test_stun_is_answered_from_the_same_socket() -> None:
    it = Endpoint()
    it.receive(stun_request())
    [(data, address)] = it.transport.sent
    assert data[:2] == b"\x01\x01"
    assert address == SOURCE
    assert (it.counters.stun, it.sink.calls) == (1, [])


def test_stun_that_is_no_request_is_counted() -> None:
    it = Endpoint()
    it.receive(stun_request(kind=0x0101))
    assert (it.counters.stun_ignored, it.transport.sent, it.sink.calls) == (1, [], [])


def test_what_is_no_message_is_told_and_counted() -> None:
    it = Endpoint()
    it.receive(b"nonsense\r\n\r\n")
    assert it.sink.names == ["malformed"]
    assert it.counters.malformed == 1


@given(st.binary(max_size=300))
def test_any_octets_are_taken_without_an_exception(data: bytes) -> None:
    it = Endpoint()
    it.receive(data)
    assert it.counters.datagrams == 1
    assert it.counters.sink_failures == 0


@pytest.mark.parametrize("error", [OSError(errno.EMSGSIZE, "too long"), MessageLengthError("too long")])
def test_what_no_datagram_can_hold_is_replaced(error: Exception) -> None:
    it = Endpoint(lambda request, flow: flow.respond(b"x" * 70_000, request.via))
    it.transport.error = error
    it.transport.fails = lambda data: len(data) > 65_507
    it.sink.instead = b"SIP/2.0 513 Message Too Large\r\n\r\n"
    it.receive(DATAGRAM)
    assert it.sink.names == ["request", "too_large"]
    assert it.sink.calls[1][1] == 70_000
    assert it.transport.sent == [(it.sink.instead, SOURCE)]
    assert (it.counters.too_large, it.counters.send_errors) == (1, 0)


def test_a_replacement_is_tried_once() -> None:
    it = Endpoint(lambda request, flow: flow.send(b"x"))
    it.transport.fails = lambda data: True
    it.sink.instead = b"as large"
    it.receive(DATAGRAM)
    assert it.sink.names == ["request", "too_large"]
    assert (it.counters.too_large, it.counters.send_errors) == (1, 1)


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.EWOULDBLOCK, errno.ECONNREFUSED, errno.EPERM])
def test_what_the_socket_does_not_take_is_counted(number: int) -> None:
    it = Endpoint(answer)
    it.transport.error = OSError(number, "no")
    it.transport.fails = lambda data: True
    it.receive(DATAGRAM)
    assert it.sink.names == ["request"]
    assert (it.counters.send_errors, it.counters.sink_failures) == (1, 0)


def test_a_closed_socket_is_a_dead_flow() -> None:
    it = Endpoint()
    it.receive(DATAGRAM)
    [(_, _, flow)] = it.sink.calls
    assert flow.alive
    it.endpoint.stopProtocol()
    assert not flow.alive
    flow.send(b"too late")
    assert it.counters.dropped_dead_flow == 1
    assert it.transport.sent == []


def test_a_sink_that_fails_is_logged_and_counted(capture_failures: list[str]) -> None:
    def fail(request: Request, flow: IFlow) -> None:
        raise RuntimeError("a bug")

    it = Endpoint(fail)
    it.receive(DATAGRAM)
    it.receive(DATAGRAM)
    assert it.counters.sink_failures == 2
    assert len(capture_failures) == 2
