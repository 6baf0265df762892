from __future__ import annotations

from typing import Any, cast

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from sipframe.message import MessageError, Request, Response
from sipframe.ua.flows import ClientFlow, Connection, Datagrams
from sipframe.verdicts import Address

RESPONSE = b"SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\nContent-Length: 2\r\n\r\nhi"


class Log(list[str]):
    """A sink that writes down what it is told."""

    def sent(self, data: bytes) -> None:
        self.append(f"sent {data.decode()}")

    def arrived(self, message: Request | Response) -> None:
        self.append(message.start_line)

    def malformed(self, error: MessageError) -> None:
        self.append(f"malformed: {error.reason}")

    def pong(self) -> None:
        self.append("pong")

    def lost(self, reason: str) -> None:
        self.append(f"lost: {reason}")


def connected() -> tuple[Connection, StringTransport, ClientFlow, Log]:
    connection, log = Connection("TCP"), Log()
    flows: list[ClientFlow] = []
    _ = connection.opened.addCallback(flows.append)
    transport = StringTransport(
        hostAddress=IPv4Address("TCP", "192.0.2.4", 40312), peerAddress=IPv4Address("TCP", "192.0.2.1", 5060)
    )
    cast(Any, connection).makeConnection(transport)
    flows[0].sink = log
    return connection, transport, flows[0], log


def test_a_connection_is_a_flow() -> None:
    _, transport, flow, log = connected()
    assert (flow.transport, flow.secure, flow.alive) == ("TCP", False, True)
    assert (flow.local, flow.peer) == (Address("192.0.2.4", 40312), Address("192.0.2.1", 5060))
    flow.send(b"REGISTER")
    assert transport.value() == b"REGISTER"
    assert log == ["sent REGISTER"]


@pytest.mark.parametrize("step", range(1, len(RESPONSE) + 1))
def test_messages_are_cut_from_the_stream(step: int) -> None:
    connection, _, _, log = connected()
    stream = b"\r\n" + RESPONSE + b"\r\n\r\n" + RESPONSE
    for start in range(0, len(stream), step):
        connection.dataReceived(stream[start : start + step])
    assert log == ["pong", "SIP/2.0 200 OK", "pong", "pong", "SIP/2.0 200 OK"]


def test_a_stream_may_go_on_behind_a_malformed_message() -> None:
    connection, _, _, log = connected()
    connection.dataReceived(
        b"SIP/2.0 200 OK\r\nCSeq: 1 A\r\nCSeq: 2 A\r\nContent-Length: 0\r\n\r\n" + RESPONSE
    )
    assert log == ["malformed: Repeated header field that may stand once", "SIP/2.0 200 OK"]


def test_a_stream_that_is_no_sip_is_closed() -> None:
    connection, transport, flow, log = connected()
    connection.dataReceived(b"220 mail.example.com ESMTP\r\n\r\n")
    assert log == ["malformed: Malformed start line", "lost: it sent what is no SIP"]
    assert transport.disconnecting
    connection.dataReceived(RESPONSE)
    flow.send(b"REGISTER")
    assert len(log) == 2


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (ConnectionDone(), "lost: the server has closed the connection"),
        (
            ConnectionLost("reset"),
            "lost: Connection to the other side was lost in a non-clean fashion: reset.",
        ),
    ],
)
def test_a_connection_that_ends_says_so_once(reason: Exception, text: str) -> None:
    connection, _, flow, log = connected()
    connection.connectionLost(Failure(reason))
    flow.died("again")
    assert log == [text]
    assert not flow.alive


def test_a_connection_that_ends_before_it_can_be_used() -> None:
    connection = Connection("TLS")
    failures: list[Failure] = []
    _ = connection.opened.addErrback(failures.append)
    cast(Any, connection).makeConnection(StringTransport())
    connection.connectionLost(Failure(ConnectionLost()))
    assert failures[0].check(ConnectionLost)


def test_closing_is_silent() -> None:
    connection, transport, flow, log = connected()
    flow.close()
    assert transport.disconnecting
    connection.connectionLost(Failure(ConnectionDone()))
    assert log == []


class FakePort:
    """A UDP port that is connected to nothing."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.peer = ("", 0)

    def connect(self, host: str, port: int) -> None:
        self.peer = (host, port)

    def getHost(self) -> IPv4Address:
        return IPv4Address("UDP", "192.0.2.4", 40312)

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def stopListening(self) -> None:
        pass


def bound() -> tuple[Datagrams, FakePort, Log]:
    datagrams, port, log = Datagrams("192.0.2.1", 5060), FakePort(), Log()
    cast(Any, datagrams).makeConnection(port)
    datagrams.flow.sink = log
    return datagrams, port, log


def test_a_udp_socket_is_a_flow() -> None:
    datagrams, port, log = bound()
    assert port.peer == ("192.0.2.1", 5060)
    assert (datagrams.flow.local, datagrams.flow.peer) == (
        Address("192.0.2.4", 40312),
        Address("192.0.2.1", 5060),
    )
    datagrams.flow.send(b"REGISTER")
    datagrams.datagramReceived(RESPONSE, None)
    datagrams.datagramReceived(b"\r\n\r\n", None)
    datagrams.datagramReceived(b"\0", None)
    datagrams.datagramReceived(b"hello", None)
    assert port.written == [b"REGISTER"]
    assert log == ["sent REGISTER", "SIP/2.0 200 OK", "malformed: No empty line after the header fields"]


def test_an_unreachable_port_is_the_end_of_the_flow() -> None:
    datagrams, port, log = bound()
    datagrams.connectionRefused()
    cast(Any, datagrams).doStop()  # and some reactors close the socket
    datagrams.flow.send(b"REGISTER")
    assert log == ["lost: nobody listens there (port unreachable)"]
    assert port.written == []
