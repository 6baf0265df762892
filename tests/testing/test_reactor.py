"""The reactor in memory: what plug-ins and the server ask of one."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import (
    CannotListenError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,  # noqa: A004  # Twisted's
    MessageLengthError,
    TimeoutError,  # noqa: A004  # Twisted's
)
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.web.client import Agent
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from sipframe.testing import MemoryReactor, Network


class Keeping(Protocol):
    """A protocol that keeps what happens to it."""

    def __init__(self) -> None:
        self.got = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.lost = reason


@implementer(IHalfCloseableProtocol)
class HalfClosing(Keeping):
    """One that goes on when the other end writes no more."""

    ended = False

    def readConnectionLost(self) -> None:
        self.ended = True

    def writeConnectionLost(self) -> None:
        pass


class Pair:
    """Two hosts and a connection between protocols of theirs."""

    def __init__(self, kind: type[Keeping] = Keeping) -> None:
        self.network = Network()
        self.one = MemoryReactor(self.network, ["192.0.2.1"])
        self.two = MemoryReactor(self.network, ["192.0.2.2"])
        self.server, self.client = kind(), kind()
        self.port = self.one.listenTCP(80, made(self.server))
        self.connector = self.two.connectTCP("192.0.2.1", 80, Client(self.client))
        self.settle()
        self.at_server: Any = self.server.transport
        self.at_client: Any = self.client.transport

    def settle(self) -> None:
        self.network.timeline.settle()


class Client(ClientFactory[Any]):
    """A client's factory that keeps why it failed."""

    def __init__(self, protocol: Protocol | None = None) -> None:
        self.made = protocol
        self.failed: Failure | None = None
        self.lost: Failure | None = None

    def buildProtocol(self, addr: object) -> Protocol | None:
        return self.made

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        self.failed = reason

    def clientConnectionLost(self, connector: object, reason: Failure) -> None:
        self.lost = reason


def made(protocol: Protocol) -> Factory[Any]:
    return Factory.forProtocol(lambda: protocol)


def kind_of(failure: Failure | None) -> type[BaseException]:
    assert failure is not None
    assert failure.value is not None
    return type(failure.value)


def test_octets_go_both_ways_in_order() -> None:
    pair = Pair()
    for number in range(5):
        pair.at_client.write(b"%d" % number)
        pair.at_server.writeSequence([b"a", b"%d" % number])
    assert pair.server.got == b""  # not before what is under way has ended
    pair.settle()
    assert (pair.server.got, pair.client.got) == (b"01234", b"a0a1a2a3a4")
    assert pair.at_client.getPeer() == pair.at_server.getHost()
    assert pair.at_server.getPeer() == pair.at_client.getHost()


def test_delays_keep_the_order_of_a_connection() -> None:
    pair = Pair()
    pair.network.delay = (0.0, 1.0)
    for number in range(10):
        pair.at_client.write(b"%d" % number)
    pair.network.delay = 0.0
    pair.at_client.write(b"!")
    pair.settle()
    assert pair.server.got == b""
    pair.network.timeline.advance(1)
    assert pair.server.got == b"0123456789!"


def test_an_orderly_close_arrives_behind_everything() -> None:
    pair = Pair()
    pair.at_client.write(b"bye")
    pair.at_client.loseConnection()
    pair.at_client.write(b"too late")
    pair.settle()
    assert pair.server.got == b"bye"
    assert kind_of(pair.server.lost) is kind_of(pair.client.lost) is ConnectionDone


def test_an_abort_is_a_reset_for_the_other_end() -> None:
    pair = Pair()
    pair.at_client.write(b"never")
    pair.at_client.abortConnection()
    pair.settle()
    assert pair.server.got == b""
    assert kind_of(pair.server.lost) is ConnectionLost
    assert kind_of(pair.client.lost) is ConnectionAborted


def test_half_a_close() -> None:
    pair = Pair(HalfClosing)
    pair.at_client.loseWriteConnection()
    pair.settle()
    assert (pair.server.lost, pair.client.lost) == (None, None)
    pair.at_server.write(b"still")
    pair.settle()
    assert pair.client.got == b"still"
    pair.at_server.loseConnection()
    pair.settle()
    assert kind_of(pair.server.lost) is ConnectionDone


def test_half_a_close_is_a_whole_one_for_who_does_not_know_it() -> None:
    pair = Pair()
    pair.at_client.loseWriteConnection()
    pair.settle()
    assert kind_of(pair.server.lost) is kind_of(pair.client.lost) is ConnectionDone


def test_silence_tells_nobody() -> None:
    pair = Pair()
    pair.at_client.fall_silent()
    pair.at_client.write(b"hello")
    pair.at_server.write(b"hello")
    pair.settle()
    assert (pair.server.got, pair.client.got) == (b"", b"")
    assert (pair.server.lost, pair.client.lost) == (None, None)
    pair.at_server.abortConnection()
    pair.settle()
    assert kind_of(pair.server.lost) is ConnectionAborted
    assert pair.client.lost is None


class Producer:
    """A producer that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


def test_an_end_that_does_not_read_fills_the_other_one() -> None:
    pair = Pair()
    producer = Producer()
    pair.at_server.registerProducer(producer, True)
    pair.at_client.pauseProducing()
    pair.at_server.write(b"x" * 60_000)
    pair.settle()
    assert producer.told == []
    pair.at_server.write(b"y" * 60_000)
    pair.settle()
    assert (producer.told, pair.client.got) == (["pause"], b"")
    pair.at_client.resumeProducing()
    pair.settle()
    assert producer.told == ["pause", "resume"]
    assert pair.client.got == b"x" * 60_000 + b"y" * 60_000
    pair.at_server.loseConnection()
    pair.settle()
    assert producer.told == ["pause", "resume", "stop"]


def test_a_protocol_that_fails_loses_its_connection() -> None:
    class Failing(Keeping):
        def dataReceived(self, data: bytes) -> None:
            raise ZeroDivisionError

    pair = Pair(Failing)
    pair.at_client.write(b"x")
    pair.settle()
    assert kind_of(pair.server.lost) is ZeroDivisionError
    assert kind_of(pair.client.lost) is ConnectionLost


def test_nobody_listens() -> None:
    reactor = MemoryReactor(Network(), ["192.0.2.1"])
    client = Client(Keeping())
    _ = reactor.connectTCP("192.0.2.9", 80, client)
    reactor.network.timeline.settle()
    assert kind_of(client.failed) is ConnectionRefusedError


def test_a_connection_has_a_time_limit() -> None:
    pair = Pair()
    pair.network.delay = 60.0
    client = Client(Keeping())
    _ = pair.two.connectTCP("192.0.2.1", 80, client, timeout=5)
    pair.network.timeline.advance(6)
    assert kind_of(client.failed) is TimeoutError


def test_a_port_that_is_closed_lets_connections_be() -> None:
    pair = Pair()
    _ = pair.port.stopListening()
    client = Client(Keeping())
    _ = pair.two.connectTCP("192.0.2.1", 80, client)
    pair.at_client.write(b"still there")
    pair.settle()
    assert kind_of(client.failed) is ConnectionRefusedError
    assert pair.server.got == b"still there"


def test_a_host_that_vanishes() -> None:
    pair = Pair()
    called: list[str] = []
    _ = pair.one.callLater(1, called.append, "dead")
    pair.one.vanish()
    pair.network.timeline.advance(5)
    assert kind_of(pair.client.lost) is ConnectionLost
    assert pair.server.lost is None
    assert called == []


class Echo(DatagramProtocol):
    """Sends back what comes."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, Any]] = []

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.got.append((datagram, addr))
        if datagram.isupper():
            self.write(datagram.lower(), addr)

    def write(self, datagram: bytes, addr: Any) -> None:
        transport: Any = self.transport
        transport.write(datagram, addr)


@pytest.mark.parametrize(("hosts", "interface"), [(["192.0.2.1"], ""), (["2001:db8::1"], "::")])
def test_datagrams(hosts: list[str], interface: str) -> None:
    network = Network()
    reactor = MemoryReactor(network, hosts)
    one, two = Echo(), Echo()
    _ = reactor.listenUDP(5060, one, interface=interface)
    _ = reactor.listenUDP(5062, two, interface=hosts[0])
    two.write(b"HELLO", (hosts[0], 5060))
    network.timeline.settle()
    assert one.got == [(b"HELLO", (hosts[0], 5062))]
    assert two.got == [(b"hello", (hosts[0], 5060))]
    with pytest.raises(MessageLengthError):
        two.write(b"x" * 65_508, (hosts[0], 5060))
    with pytest.raises(CannotListenError):
        _ = reactor.listenUDP(5062, Echo(), interface=interface)


def test_a_host_has_no_addresses_of_the_other_version() -> None:
    with pytest.raises(ValueError, match="IPv6"):
        _ = MemoryReactor(Network(), ["192.0.2.1"]).listenUDP(5060, Echo(), interface="::")


def test_time_is_that_of_the_network() -> None:
    network = Network()
    reactor = MemoryReactor(network, ["192.0.2.1"])
    ticks: list[float] = []
    call = LoopingCall(lambda: ticks.append(reactor.seconds()))
    call.clock = reactor
    _ = call.start(10, now=False)
    network.timeline.advance(35)
    assert ticks == [10, 20, 30]
    assert len(reactor.getDelayedCalls()) == 1
    call.stop()
    assert list(reactor.getDelayedCalls()) == []


def test_what_would_be_done_in_a_thread_is_done_at_once() -> None:
    reactor: Any = MemoryReactor(Network(), ["192.0.2.1"])
    results: list[object] = []
    threads = threading.active_count()
    done: Deferred[int] = deferToThreadPool(reactor, reactor.getThreadPool(), lambda: 6 * 7)
    _ = done.addCallback(results.append)
    failing: Deferred[float] = deferToThreadPool(reactor, reactor.getThreadPool(), lambda: 1 / 0)
    _ = failing.addErrback(lambda failure: results.append(failure.type))
    reactor.network.timeline.settle()
    assert results == [42, ZeroDivisionError]
    assert threading.active_count() == threads


def test_a_real_thread_is_heeded() -> None:
    reactor = MemoryReactor(Network(), ["192.0.2.1"])
    called: list[str] = []
    thread = threading.Thread(target=reactor.callFromThread, args=(called.append, "from a thread"))
    thread.start()
    thread.join()
    reactor.network.timeline.settle()
    assert called == ["from a thread"]


def test_http_over_the_network_in_memory() -> None:
    """What a plug-in that asks a web server needs: names, connections, and time."""

    class Page(Resource):
        isLeaf = True

        def render_GET(self, request: Any) -> bytes:
            path: bytes = request.path
            return b"hello " + path

    network = Network(delay=0.01)
    network.hosts["directory.example.com"] = "198.51.100.7"
    web: Any = MemoryReactor(network, ["198.51.100.7"])
    site = Site(Page(), reactor=web)  # type: ignore[no-untyped-call]
    _ = web.listenTCP(80, site)
    plug_in: Any = MemoryReactor(network, ["192.0.2.1"])
    body = Keeping()
    answer = Agent(plug_in).request(b"GET", b"http://directory.example.com/alice")
    _ = answer.addCallback(lambda response: response.deliverBody(body))
    network.timeline.advance(5)
    assert body.got == b"hello /alice"


def test_a_name_that_nobody_has() -> None:
    reactor: Any = MemoryReactor(Network(), ["192.0.2.1"])
    failed: list[Failure] = []
    endpoint = HostnameEndpoint(reactor, "nobody.example.com", 80)
    _ = connectProtocol(endpoint, Keeping()).addErrback(failed.append)
    reactor.network.timeline.advance(1)
    assert "nobody.example.com" in str(failed[0].value)


def test_coroutines_wait_for_its_time() -> None:
    reactor = MemoryReactor(Network(), ["192.0.2.1"])

    async def slow() -> str:
        await deferLater(reactor, 3)
        return "done"

    found: list[str] = []
    _ = Deferred.fromCoroutine(slow()).addCallback(found.append)
    reactor.network.timeline.advance(2)
    assert found == []
    reactor.network.timeline.advance(1)
    assert found == ["done"]
