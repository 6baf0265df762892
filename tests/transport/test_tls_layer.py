"""Real TLS without a network: a client of the standard library against the layer, in memory."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import cast

import pytest
import trustme

from sipframe.interfaces import IFlow
from sipframe.message import Request
from sipframe.transport import (
    StreamFactory,
    StreamProtocol,
    TLSIdentity,
    TLSLayer,
    TLSSettings,
    TransportLimits,
)
from tests.transport.recording import (
    OPTIONS,
    PEER,
    RecordingSink,
    TLSClient,
    Wire,
    answer,
    certificate_files,
    client_context,
    ground_for,
)

NAME = "registrar.example.com"


class Server:
    """A TLS listener's factory, and connections to it in memory."""

    def __init__(self, folder: Path, limits: TransportLimits | None = None) -> None:
        self.authority = trustme.CA()
        self.files = certificate_files(self.authority, folder, NAME)
        self.identity = TLSIdentity(TLSSettings(certificates=(self.files,)))
        self.sink = RecordingSink(answer)
        self.ground, self.clock = ground_for(self.sink, limits)
        self.counters = self.ground.counters
        self.factory = StreamFactory(self.ground, self.identity)

    def connect(self) -> tuple[TLSLayer, Wire]:
        layer = cast(TLSLayer, self.factory.buildProtocol(PEER))
        wire = Wire()
        layer.makeConnection(wire)
        return layer, wire

    def client(self, context: ssl.SSLContext | None = None) -> tuple[TLSClient, TLSLayer, Wire]:
        layer, wire = self.connect()
        return TLSClient(context or client_context(self.authority), layer, wire, NAME), layer, wire

    def stream(self) -> StreamProtocol:
        [found] = self.ground.streams
        return found


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path, TransportLimits(handshake=5, first_message=10, linger=3))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_request_and_its_answer(server: Server, version: ssl.TLSVersion) -> None:
    context = client_context(server.authority)
    context.minimum_version = context.maximum_version = version
    client, _, _ = server.client(context)
    client.handshake()
    assert client.tls.version() == version.name.replace("_", ".")
    client.send(OPTIONS)
    assert client.received().startswith(b"SIP/2.0 200 OK\r\n")
    [(_, _, flow)] = server.sink.calls
    assert (flow.transport, flow.secure, flow.peer_certificate) == ("TLS", True, None)


def test_nothing_older_is_spoken(server: Server) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.authority.configure_trust(context)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    client, _, wire = server.client(context)
    with pytest.raises(ssl.SSLError):
        client.handshake()
    assert server.counters.handshake_failures == 1
    assert wire.state == "closed"


def test_the_client_says_all_at_once(server: Server) -> None:
    # Its Finished and its first messages may come in one read.
    client, _, _ = server.client()
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    client.pump()
    client.tls.do_handshake()
    client.tls.write(OPTIONS * 3)
    client.pump()
    assert server.sink.names == ["request"] * 3
    assert client.received().count(b"SIP/2.0 200") == 3


def test_a_ticket_leaves_with_the_first_answer(server: Server) -> None:
    # One write, and one wake-up of the client, less for each TLS 1.3 connection.
    client, _, wire = server.client()
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    client.pump()
    client.tls.do_handshake()
    server_sent = len(wire.value())
    client.pump()
    assert (server_sent, client._in.pending) == (0, 0)
    client.send(OPTIONS)
    assert client.received().startswith(b"SIP/2.0 200 OK\r\n")
    assert client.tls.session is not None
    assert client.tls.session.has_ticket


def test_octet_by_octet(server: Server) -> None:
    layer, wire = server.connect()

    class OneByOne:
        def dataReceived(self, data: bytes) -> None:
            for octet in data:
                layer.dataReceived(bytes((octet,)))
                server.clock.advance(0)

    client = TLSClient(client_context(server.authority), cast(TLSLayer, OneByOne()), wire, NAME)
    client.handshake()
    client.send(OPTIONS)
    assert client.received().startswith(b"SIP/2.0 200 OK\r\n")


def test_more_than_a_record(server: Server) -> None:
    client, _, _ = server.client()
    client.handshake()
    client.send(OPTIONS)
    client.received()
    server.sink.calls[0][2].send(b"x" * 100_000)
    assert client.received() == b"x" * 100_000


def test_a_peer_that_says_goodbye_is_answered(server: Server) -> None:
    client, layer, wire = server.client()
    client.handshake()
    client.send(OPTIONS)
    client.received()
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.pump()
    client.tls.unwrap()
    assert wire.state == "closed"
    layer.connectionLost()
    assert server.sink.names == ["request", "flow_lost"]


def test_we_say_goodbye(server: Server) -> None:
    client, _, wire = server.client()
    client.handshake()
    server.stream().close()
    assert wire.state == "closed"
    client.pump()
    assert client.tls.read(1) == b""


def test_a_bad_message_is_answered_and_the_rest_is_not_read(server: Server) -> None:
    client, _, wire = server.client()
    client.handshake()
    client.send(b"nonsense\r\n\r\n" + OPTIONS)
    assert server.sink.names == ["malformed"]
    assert client.received().startswith(b"SIP/2.0 400 ")
    assert wire.state == "half closed"


def test_what_is_no_tls_is_closed(server: Server) -> None:
    layer, wire = server.connect()
    layer.dataReceived(OPTIONS)
    assert wire.state == "closed"
    assert server.counters.handshake_failures == 1
    layer.dataReceived(OPTIONS)
    layer.connectionLost()
    assert server.sink.calls == []


def test_garbage_after_the_handshake_ends_it(server: Server) -> None:
    client, layer, wire = server.client()
    client.handshake()
    client.send(OPTIONS)
    layer.dataReceived(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    assert wire.state == "closed"
    assert server.counters.handshake_failures == 0
    server.sink.calls[0][2].send(b"too late")
    assert server.counters.dropped_dead_flow == 1


def test_one_that_says_nothing_has_the_handshakes_deadline(server: Server) -> None:
    _, wire = server.connect()
    server.clock.pump([0.5] * 9)
    assert wire.state == "open"
    server.clock.pump([0.5] * 5)
    assert wire.state == "closed"
    assert server.counters.handshake_timeouts == 1


def test_half_a_handshake_has_it_too(server: Server) -> None:
    client, _, wire = server.client()
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    client.pump()
    server.clock.pump([0.5] * 14)
    assert wire.state == "closed"
    assert server.counters.handshake_timeouts == 1


def test_after_the_handshake_the_first_messages_deadline_begins(server: Server) -> None:
    client, _, wire = server.client()
    server.clock.pump([0.5] * 8)
    client.handshake()
    server.clock.pump([0.5] * 16)
    assert wire.state == "open"
    server.clock.pump([0.5] * 8)
    assert wire.state == "closed"
    assert server.counters.first_message_timeouts == 1


def test_closed_from_within_a_request(server: Server) -> None:
    def answer_and_close(request: Request, flow: IFlow) -> None:
        answer(request, flow)
        flow.close()  # type: ignore[attr-defined]

    server.sink.on_request = answer_and_close
    client, _, wire = server.client()
    client.handshake()
    client.send(OPTIONS * 2)
    assert server.sink.names == ["request"]
    assert client.received().count(b"SIP/2.0 200") == 1
    assert wire.state == "closed"


def test_what_is_written_before_the_handshake_waits_for_it(server: Server) -> None:
    client, _, wire = server.client()
    server.stream().flow.send(b"early")
    assert wire.value() == b""
    client.handshake()
    assert client.received() == b"early"


def test_the_limit_of_connections_holds(tmp_path: Path) -> None:
    server = Server(tmp_path, TransportLimits(connections=1))
    server.connect()
    assert server.factory.buildProtocol(PEER) is None
    assert server.counters.refused_over_limit == 1
