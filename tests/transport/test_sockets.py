"""Over real sockets of loopback: every transport, IPv4 and IPv6, and the transport that writes at once."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
import trustme
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, TestCase

from sipframe.interfaces import IFlow
from sipframe.message import Request
from sipframe.transport import (
    Ground,
    ListenAddress,
    Listeners,
    Listening,
    TLSIdentity,
    TLSSettings,
    TransportLimits,
)
from sipframe.transport.sockets import DirectPort
from sipframe.verdicts import Address
from tests.transport.recording import (
    OPTIONS,
    RecordingSink,
    answer,
    certificate_files,
    client_context,
    write_certificate,
)
from tests.tree import ROOT

T = TypeVar("T")
DATAGRAM = OPTIONS.replace(b"SIP/2.0/TCP", b"SIP/2.0/UDP")
PATIENCE = 30.0
"""Seconds after which a client gives up: only ever reached when something is broken."""


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def read_to_the_end(connection: socket.socket) -> bytes:
    found = b""
    while data := connection.recv(65_536):
        found += data
    return found


def read_response(connection: socket.socket) -> bytes:
    found = b""
    while b"\r\n\r\n" not in found:
        data = connection.recv(65_536)
        if not data:
            break
        found += data
    return found


class Case(TestCase):
    """A server on ephemeral ports of loopback. Clients block, in a thread."""

    limits = TransportLimits()

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.sink = RecordingSink(answer)
        self.ground = Ground(reactor, self.sink, self.limits)
        self.counters = self.ground.counters
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.authority = trustme.CA()
        self.files = certificate_files(self.authority, Path(folder.name), "localhost", "127.0.0.1", "::1")
        self.identity = TLSIdentity(TLSSettings(certificates=[self.files]))
        self.listeners = Listeners(reactor, self.ground, self.identity)
        self.blocked, self.unblocked = threading.Event(), threading.Event()
        self.addCleanup(lambda: self.listeners.close(0.1))

    def listen(self, transport: Any, interface: str = "127.0.0.1") -> Listening:
        if ":" in interface and not has_ipv6():
            raise SkipTest("this machine has no ::1")
        return self.listeners.listen(ListenAddress(transport, 0, interface))

    def client(self, work: Callable[[], T]) -> Deferred[T]:
        return deferToThread(work)

    @contextmanager
    def connected(self, listening: Listening) -> Iterator[socket.socket]:
        with socket.create_connection(listening.local, PATIENCE) as connection:
            yield connection

    @contextmanager
    def secured(
        self, listening: Listening, context: ssl.SSLContext | None = None, session: Any = None
    ) -> Iterator[ssl.SSLSocket]:
        context = context or client_context(self.authority)
        with (
            self.connected(listening) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
        ):
            yield connection


class UDPTests(Case):
    def exchange(self, listening: Listening, *datagrams: bytes) -> list[bytes]:
        family = socket.AF_INET6 if ":" in listening.local.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            client.connect(listening.local)
            replies = []
            for datagram in datagrams:
                client.send(datagram)
                replies.append(client.recv(65_535))
            return replies

    async def test_ipv4(self) -> None:
        listening = self.listen("udp")
        [reply] = await self.client(lambda: self.exchange(listening, DATAGRAM))
        assert reply.startswith(b"SIP/2.0 200 OK\r\n")
        assert self.sink.calls[0][2].local == listening.local

    async def test_ipv6(self) -> None:
        listening = self.listen("udp", "::1")
        [reply] = await self.client(lambda: self.exchange(listening, DATAGRAM))
        assert reply.startswith(b"SIP/2.0 200 OK\r\n")
        assert self.sink.calls[0][2].peer.host == "::1"

    async def test_the_largest_datagram(self) -> None:
        listening = self.listen("udp")
        body = b"x" * 64_000
        large = DATAGRAM.replace(b"Content-Length: 4", b"Content-Length: 64000").replace(b"body", body)
        [reply] = await self.client(lambda: self.exchange(listening, large))
        assert reply.startswith(b"SIP/2.0 200 OK\r\n")
        request = self.sink.calls[0][1]
        assert isinstance(request, Request)
        assert request.body == body

    async def test_an_answer_that_no_datagram_can_hold(self) -> None:
        self.sink.on_request = lambda request, flow: flow.respond(b"x" * 65_508, request.via)
        self.sink.instead = b"SIP/2.0 513 Message Too Large\r\n\r\n"
        listening = self.listen("udp")
        [reply] = await self.client(lambda: self.exchange(listening, DATAGRAM))
        assert reply == self.sink.instead
        assert self.counters.too_large == 1

    async def test_a_client_that_is_gone_hurts_nobody(self) -> None:
        listening = self.listen("udp")

        def send_and_go() -> None:
            for _ in range(5):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.sendto(DATAGRAM, listening.local)

        await self.client(send_and_go)
        [reply] = await self.client(lambda: self.exchange(listening, DATAGRAM))
        assert reply.startswith(b"SIP/2.0 200 OK\r\n")

    async def test_an_error_of_the_socket_does_not_end_it(self) -> None:
        listening = self.listen("udp")
        port: Any = listening.port
        errors = [OSError(errno.EHOSTUNREACH, "said by ICMP"), OSError(errno.EINTR, "a signal")]
        real = port.socket

        class Failing:
            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

            def recvfrom(self, size: int) -> Any:
                if errors:
                    raise errors.pop()
                return real.recvfrom(size)

        port.socket = Failing()
        [reply] = await self.client(lambda: self.exchange(listening, DATAGRAM))
        assert reply.startswith(b"SIP/2.0 200 OK\r\n")
        assert self.counters.receive_errors == 1

    async def test_a_flood_does_not_keep_phones_from_being_answered(self) -> None:
        listening = self.listen("udp", "")
        self.sink.on_request = self._register
        where = ("127.0.0.1", listening.local.port)
        phone = DATAGRAM.replace(b"OPTIONS", b"REGISTER")

        def flood() -> bytes:
            with ExitStack() as sockets:
                floods = [self.client_socket(sockets, f"127.0.0.{2 + number}") for number in range(4)]
                registered = self.client_socket(sockets, "127.0.0.1")
                registered.sendto(phone, where)
                registered.recv(65_535)
                self.blocked.set()
                for _ in range(100):
                    for one in floods:
                        one.sendto(DATAGRAM, where)
                registered.sendto(phone, where)
                self.unblocked.set()
                return registered.recv(65_535)

        reply = await self.client(flood)
        assert reply.startswith(b"SIP/2.0 200 OK\r\n")
        hosts = [flow.peer.host for _, _, flow in self.sink.calls]
        assert hosts.count("127.0.0.1") == 2
        # Those that were read at first went before it, and one turn's worth of strangers.
        assert hosts.index("127.0.0.1", 1) < 200

    def _register(self, request: Request, flow: Any) -> None:
        if request.method == "REGISTER":
            flow.prove()
            answer(request, flow)
        elif self.blocked.is_set():
            self.unblocked.wait(PATIENCE)  # the flood is there, whole, before the second of it is looked at

    @staticmethod
    def client_socket(sockets: ExitStack, host: str) -> socket.socket:
        one = sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        one.settimeout(PATIENCE)
        one.bind((host, 0))
        return one

    async def test_sent_by_without_rport(self) -> None:
        # RFC 3261 18.2.2: to the address it came from and the port of sent-by.
        listening = self.listen("udp")

        def exchange() -> bytes:
            with (
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answered,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
            ):
                answered.settimeout(PATIENCE)
                answered.bind(("127.0.0.1", 0))
                port = answered.getsockname()[1]
                request = DATAGRAM.replace(b":5061;", b":%d;" % port).replace(b";rport", b"")
                sender.sendto(request, listening.local)
                return answered.recv(65_535)

        assert (await self.client(exchange)).startswith(b"SIP/2.0 200 OK\r\n")

    async def test_on_all_addresses_the_answer_leaves_from_the_one_that_was_asked(self) -> None:
        # RFC 3581 4
        if sys.platform != "linux":
            raise SkipTest("only Linux has all of 127.0.0.0/8, and says where a datagram was for")
        listening = self.listen("udp", "0.0.0.0")
        for host in ("127.0.0.1", "127.0.0.2", "127.9.9.9", "127.0.0.2"):
            local = Address(host, listening.local.port)
            asked = Listening("UDP", local, listening.port)
            # The client is connected: it takes nothing from elsewhere.
            [reply] = await self.client(lambda asked=asked: self.exchange(asked, DATAGRAM))  # type: ignore[misc]
            assert reply.startswith(b"SIP/2.0 200 OK\r\n")
            assert self.sink.calls[-1][2].local == local
        flows = [flow for _, _, flow in self.sink.calls]
        assert len({flow.serial for flow in flows}) == 4
        await self.listeners.close(0)
        assert not any(flow.alive for flow in flows)

    async def test_so_it_does_over_ipv6(self) -> None:
        listening = self.listen("udp", "::")
        asked = Listening("UDP", Address("::1", listening.local.port), listening.port)
        [reply] = await self.client(lambda: self.exchange(asked, DATAGRAM))
        assert reply.startswith(b"SIP/2.0 200 OK\r\n")
        assert self.sink.calls[-1][2].peer.host == "::1"

    async def test_more_addresses_than_are_kept(self) -> None:
        if sys.platform != "linux":
            raise SkipTest("only Linux has all of 127.0.0.0/8")
        listening = self.listen("udp", "0.0.0.0")

        def work() -> None:
            for number in range(1, 301):
                host = Address(f"127.0.{number // 200}.{number % 200 + 1}", listening.local.port)
                self.exchange(Listening("UDP", host, listening.port), DATAGRAM)

        await self.client(work)
        assert self.sink.names == ["request"] * 300
        port: Any = listening.port
        assert len(port._by_address) <= 256

    async def test_ipv4_and_ipv6_share_a_port(self) -> None:
        first = self.listen("udp", "::")
        second = self.listeners.listen(ListenAddress("udp", first.local.port, "0.0.0.0"))
        assert second.local.port == first.local.port


class StreamTests(Case):
    def ask(self, connection: socket.socket) -> bytes:
        connection.sendall(OPTIONS)
        return read_response(connection)

    async def test_tcp(self) -> None:
        for interface in ("127.0.0.1", "::1"):
            listening = self.listen("tcp", interface)

            def work(listening: Listening = listening) -> bytes:
                with self.connected(listening) as connection:
                    return self.ask(connection)

            assert (await self.client(work)).startswith(b"SIP/2.0 200 OK\r\n")
            flow = self.sink.calls[-1][2] if self.sink.names[-1] == "request" else self.sink.calls[-2][2]
            assert (flow.transport, flow.local) == ("TCP", listening.local)

    async def test_tls(self) -> None:
        for interface in ("127.0.0.1", "::1"):
            listening = self.listen("tls", interface)
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = client_context(self.authority)
                context.minimum_version = context.maximum_version = version

                def work(
                    listening: Listening = listening, context: ssl.SSLContext = context
                ) -> tuple[bytes, str | None]:
                    with self.secured(listening, context) as connection:
                        return self.ask(connection), connection.version()

                reply, spoken = await self.client(work)
                assert reply.startswith(b"SIP/2.0 200 OK\r\n")
                assert spoken == version.name.replace("_", ".")

    async def test_tls_sessions_are_resumed(self) -> None:
        listening = self.listen("tls")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = client_context(self.authority)
            context.minimum_version = context.maximum_version = version

            def work(context: ssl.SSLContext = context) -> bool | None:
                with self.secured(listening, context) as connection:
                    self.ask(connection)
                    session = connection.session
                with self.secured(listening, context, session) as connection:
                    self.ask(connection)
                    return connection.session_reused

            assert await self.client(work)

    async def test_tls_reloads_under_a_connection(self) -> None:
        listening = self.listen("tls")

        def serial(connection: ssl.SSLSocket) -> object:
            certificate = connection.getpeercert()
            assert certificate is not None
            return certificate["serialNumber"]

        def work() -> tuple[object, object, object, bytes]:
            with self.secured(listening) as old:
                self.ask(old)
                write_certificate(self.authority.issue_cert("localhost"), self.files)
                reloaded = self.identity.reload()
                with self.secured(listening) as new:
                    return serial(old), reloaded, serial(new), self.ask(old)

        before, reloaded, after, reply = await self.client(work)
        assert reloaded is True
        assert before != after
        assert reply.startswith(b"SIP/2.0 200 OK\r\n")

    async def test_every_octet_apart(self) -> None:
        listening = self.listen("tcp")

        def work() -> bytes:
            with self.connected(listening) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for octet in OPTIONS:
                    connection.sendall(bytes((octet,)))
                return read_response(connection)

        assert (await self.client(work)).startswith(b"SIP/2.0 200 OK\r\n")

    async def test_pings(self) -> None:
        for transport, connect in (("tcp", self.connected), ("tls", self.secured)):
            listening = self.listen(transport)

            def work(connect: Any = connect, listening: Listening = listening) -> bytes:
                with connect(listening) as connection:
                    connection.sendall(b"\r\n\r\n")
                    return bytes(connection.recv(100))

            assert await self.client(work) == b"\r\n"

    async def test_a_bad_message_is_answered_though_more_was_sent(self) -> None:
        # A close with octets unread resets the connection, and the answer would be lost.
        listening = self.listen("tcp")

        def work() -> bytes:
            with self.connected(listening) as connection:
                connection.sendall(b"nonsense\r\n\r\n" + b"x" * 300_000)
                return read_to_the_end(connection)

        assert await self.client(work) == b"SIP/2.0 400 Malformed\r\n\r\n"

    async def test_options_of_accepted_sockets(self) -> None:
        listening = self.listen("tcp")

        def work() -> bytes:
            with self.connected(listening) as connection:
                return self.ask(connection)

        found: list[tuple[int, int]] = []

        def look(request: Request, flow: IFlow) -> None:
            [stream] = self.ground.streams
            handle: Any = stream._transport
            found.append(
                (
                    handle.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
                    handle.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                )
            )
            answer(request, flow)

        self.sink.on_request = look
        await self.client(work)
        assert found == [(1, 1)]

    async def test_a_port_in_use(self) -> None:
        for transport in ("udp", "tcp"):
            listening = self.listen(transport)
            address = ListenAddress(transport, listening.local.port, "127.0.0.1")
            with pytest.raises(CannotListenError):
                self.listeners.listen(address)


class DeadlineTests(Case):
    limits = TransportLimits(handshake=0.5, first_message=0.5)

    async def test_one_that_says_nothing_is_closed(self) -> None:
        for transport in ("tcp", "tls"):
            listening = self.listen(transport)

            def work(listening: Listening = listening) -> bytes:
                with self.connected(listening) as connection:
                    return read_to_the_end(connection)

            assert await self.client(work) == b""
        assert (self.counters.first_message_timeouts, self.counters.handshake_timeouts) == (1, 1)


class OverLimitTests(Case):
    limits = TransportLimits(connections_per_address=1)

    async def test_one_too_many_is_closed_at_once(self) -> None:
        for transport, connect in (("tcp", self.connected), ("tls", self.secured)):
            listening = self.listen(transport)

            def work(connect: Any = connect, listening: Listening = listening) -> tuple[bytes, bytes]:
                with connect(listening) as first:
                    first.sendall(OPTIONS)
                    read_response(first)
                    with self.connected(listening) as second:
                        refused = read_to_the_end(second)
                    first.sendall(OPTIONS)
                    return refused, read_response(first)

            refused, reply = await self.client(work)
            assert refused == b""
            assert reply.startswith(b"SIP/2.0 200 OK\r\n")
            while self.ground.streams:
                await self.turn()
        assert self.counters.refused_over_limit == 2

    def turn(self) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        self.ground.clock.callLater(0.01, done.callback, None)
        return done


class SlowReaderTests(Case):
    limits = TransportLimits(queued=100_000, linger=PATIENCE)

    async def test_a_peer_that_does_not_read_is_cut(self) -> None:
        chunk = b"x" * 50_000
        for transport, connect in (("tcp", self.connected), ("tls", self.secured)):
            listening = self.listen(transport)
            cut: Deferred[int] = Deferred()

            def flood(request: Request, flow: IFlow, cut: Deferred[int] = cut) -> None:
                sent = 0
                while flow.alive:
                    flow.send(chunk)
                    sent += len(chunk)
                cut.callback(sent)

            self.sink.on_request = flood

            def work(connect: Any = connect, listening: Listening = listening) -> None:
                with connect(listening) as connection:
                    connection.sendall(OPTIONS)
                    try:
                        while connection.recv(65_536):
                            pass
                    except OSError:
                        pass  # a reset

            client = self.client(work)
            await cut
            await client
        assert self.counters.queue_overflows == 2

    async def test_what_a_slow_peer_reads_in_the_end_is_whole(self) -> None:
        # More than the socket takes, less than the limit: what the reactor sends later is in order and complete.
        payload = os.urandom(16_000_000)
        for transport, connect in (("tcp", self.connected), ("tls", self.secured)):
            listening = self.listen(transport)

            def send_it(request: Request, flow: IFlow) -> None:
                [stream] = self.ground.streams
                view = memoryview(payload)
                for start in range(0, len(payload), 100_000):
                    # Past the flow, whose limit this would overstep.
                    stream._transport.write(bytes(view[start : start + 100_000]))
                stream.close()

            self.sink.on_request = send_it

            def work(connect: Any = connect, listening: Listening = listening) -> bytes:
                with connect(listening) as connection:
                    connection.sendall(OPTIONS)
                    return read_to_the_end(connection)

            assert await self.client(work) == payload


class StopTests(Case):
    async def test_first_nothing_new_then_nothing_at_all(self) -> None:
        tcp, udp = self.listen("tcp"), self.listen("udp")
        ready: Deferred[None] = Deferred()

        def first(request: Request, flow: IFlow) -> None:
            answer(request, flow)
            if not ready.called:
                self.ground.clock.callLater(0, ready.callback, None)

        self.sink.on_request = first

        with socket.create_connection(tcp.local, PATIENCE) as connection:
            connection.sendall(OPTIONS)
            await ready
            await self.listeners.stop_accepting()
            assert [one.transport for one in self.listeners.open] == ["UDP"]

            def refused() -> bool:
                try:
                    socket.create_connection(tcp.local, PATIENCE).close()
                except ConnectionRefusedError:
                    return True
                return False

            assert await self.client(refused)

            def still_served() -> bytes:
                read_response(connection)
                connection.sendall(OPTIONS)
                return read_response(connection)

            assert (await self.client(still_served)).startswith(b"SIP/2.0 200 OK\r\n")
            await self.listeners.close(PATIENCE)
            assert await self.client(lambda: read_to_the_end(connection)) == b""
        assert self.sink.names[-1] == "flow_lost"
        assert self.ground.streams == {}
        assert udp not in self.listeners.open

    async def test_a_peer_that_reads_nothing_is_cut_at_the_deadline(self) -> None:
        listening = self.listen("tcp")
        ready: Deferred[None] = Deferred()

        def fill(request: Request, flow: IFlow) -> None:
            [stream] = self.ground.streams
            stream._transport.write(b"x" * 30_000_000)
            self.ground.clock.callLater(0, ready.callback, None)

        self.sink.on_request = fill
        with socket.create_connection(listening.local, PATIENCE) as connection:
            connection.sendall(OPTIONS)
            await ready
            await self.listeners.close(0.05)
        assert self.ground.streams == {}


class Scripted(Protocol):
    """Does as its factory's script says when something comes."""

    def dataReceived(self, data: bytes) -> None:
        self.factory.script(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.lost.callback(reason.type)


class DirectServerTests(TestCase):
    """What Twisted promises of a transport holds for the one that writes at once."""

    def serve(self, script: Callable[[Any], object]) -> tuple[Any, Deferred[type[BaseException]]]:
        from twisted.internet import reactor

        factory: Any = Factory.forProtocol(Scripted)
        factory.noisy = False
        factory.script = script
        factory.lost = Deferred()
        port: Any = DirectPort(0, factory, 5, "127.0.0.1", reactor)
        port.startListening()
        self.addCleanup(port.stopListening)
        return port.getHost(), factory.lost

    def talk(self, host: IPv4Address, first: bytes = b"go") -> Deferred[bytes]:
        def work() -> bytes:
            with socket.create_connection((host.host, host.port), PATIENCE) as connection:
                connection.sendall(first)
                return read_to_the_end(connection)

        return deferToThread(work)

    async def test_a_write_within_data_received_and_then_a_close(self) -> None:
        def script(protocol: Any) -> None:
            protocol.transport.write(b"one")
            protocol.transport.writeSequence([b"two", b"three"])
            protocol.transport.write(b"four")
            protocol.transport.loseConnection()
            protocol.transport.write(b"five")

        host, lost = self.serve(script)
        found = await self.talk(host)
        assert found.startswith(b"onetwothreefour")  # what comes after a close may or may not leave
        await lost

    async def test_order_is_kept_when_the_socket_is_full(self) -> None:
        parts = [os.urandom(300_000) for _ in range(60)]

        def script(protocol: Any) -> None:
            for part in parts:
                protocol.transport.write(part)
            protocol.transport.loseConnection()

        host, lost = self.serve(script)
        assert await self.talk(host) == b"".join(parts)
        await lost

    async def test_nothing_leaves_after_an_abort(self) -> None:
        def script(protocol: Any) -> None:
            protocol.transport.abortConnection()
            protocol.transport.write(b"never")

        host, lost = self.serve(script)

        def work() -> bytes:
            with socket.create_connection((host.host, host.port), PATIENCE) as connection:
                connection.sendall(b"go")
                try:
                    return read_to_the_end(connection)
                except ConnectionResetError:
                    return b""

        assert await deferToThread(work) == b""
        await lost

    async def test_a_write_to_a_peer_that_is_gone_raises_nothing(self) -> None:
        reads: list[Any] = []

        def script(protocol: Any) -> None:
            reads.append(protocol)
            # The peer has reset: the first write finds out, the others must not mind.
            for _ in range(3):
                protocol.transport.write(b"x" * 100_000)

        host, lost = self.serve(script)

        def work() -> None:
            connection = socket.create_connection((host.host, host.port), PATIENCE)
            linger = b"\1\0\0\0\0\0\0\0"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.sendall(b"go")
            connection.close()

        await deferToThread(work)
        await lost
        for protocol in reads:
            if protocol.transport is not None:
                protocol.transport.write(b"after the end")

    async def test_a_producer_is_paused_and_resumed(self) -> None:
        calls: list[str] = []
        full = threading.Event()

        class Producer:
            left = 200

            def __init__(self, transport: Any) -> None:
                self.transport = transport
                self.paused = False

            def pauseProducing(self) -> None:
                calls.append("pause")
                self.paused = True
                full.set()

            def resumeProducing(self) -> None:
                calls.append("resume")
                self.paused = False
                self.produce()

            def stopProducing(self) -> None:
                calls.append("stop")

            def produce(self) -> None:
                while self.left and not self.paused:
                    self.left -= 1
                    self.transport.write(b"x" * 100_000)
                if not self.left:
                    self.transport.unregisterProducer()
                    self.transport.loseConnection()

        def script(protocol: Any) -> None:
            producer = Producer(protocol.transport)
            protocol.transport.registerProducer(producer, True)
            producer.produce()

        host, lost = self.serve(script)

        def work() -> int:
            with socket.create_connection((host.host, host.port), PATIENCE) as connection:
                connection.sendall(b"go")
                # Who reads at once may keep the socket from ever being full.
                assert full.wait(PATIENCE)
                return len(read_to_the_end(connection))

        assert await deferToThread(work) == 20_000_000
        await lost
        assert calls[:2] == ["pause", "resume"]

    async def test_half_closed(self) -> None:
        def script(protocol: Any) -> None:
            protocol.transport.write(b"the last")
            protocol.transport.loseWriteConnection()

        host, lost = self.serve(script)
        assert await self.talk(host) == b"the last"
        await lost


def test_another_reactor_is_asked_for_its_own_ports() -> None:
    reactor = MemoryReactorClock()
    sink = RecordingSink()
    listeners = Listeners(reactor, Ground(reactor, sink))
    listeners.listen(ListenAddress("tcp", 5060, "127.0.0.1"))
    [(port, factory, backlog, interface)] = reactor.tcpServers
    assert (port, interface) == (5060, "127.0.0.1")
    assert backlog >= 1_024
    assert not isinstance(factory, DatagramProtocol)


def test_asyncio() -> None:
    program = """
        import asyncio, socket, warnings
        from twisted.internet import asyncioreactor
        loop = asyncio.new_event_loop()
        asyncioreactor.install(loop)
        from twisted.internet import reactor
        from twisted.internet.threads import deferToThread
        from sipframe.transport import Ground, ListenAddress, Listeners
        from tests.transport.recording import OPTIONS, RecordingSink, answer

        def ask():
            with socket.create_connection(tcp.local, 30) as connection:
                connection.sendall(OPTIONS * 2)
                found = b""
                while found.count(b"\\r\\n\\r\\n") < 2:
                    found += connection.recv(65536)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(30)
                client.sendto(OPTIONS.replace(b"/TCP", b"/UDP"), udp.local)
                return found + client.recv(65535)

        def done(found):
            print(found.count(b"SIP/2.0 200 OK"))
            return listeners.close(1).addBoth(lambda _: reactor.stop())

        listeners = Listeners(reactor, Ground(reactor, RecordingSink(answer)))
        tcp = listeners.listen(ListenAddress("tcp", 0, "127.0.0.1"))
        udp = listeners.listen(ListenAddress("udp", 0, "127.0.0.1"))
        reactor.callWhenRunning(lambda: deferToThread(ask).addCallback(done))
        reactor.run()
        loop.close()
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (found.stdout, found.returncode) == ("3\n", 0), found.stderr
