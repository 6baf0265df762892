"""The system's name servers: which, when they change, and that nothing is left of them. Real ones are in
``tests/transport/test_locating.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.names import dns

from sipframe.transport import ResolverSettings
from sipframe.transport.locating.hosts import HostsFile
from sipframe.transport.locating.name_servers import NameServers
from sipframe.transport.locating.names import Names
from sipframe.transport.locating.records import Answer, Question


class Port:
    """A datagram socket that keeps what is sent."""

    def __init__(self, reactor: Reactor, protocol: Any) -> None:
        self.reactor = reactor
        self.protocol = protocol
        self.sent: list[tuple[bytes, tuple[str, int]]] = []
        protocol.makeConnection(self)

    def write(self, data: bytes, address: tuple[str, int]) -> None:
        self.sent.append((data, address))

    def stopListening(self) -> None:
        self.reactor.open.remove(self)
        self.protocol.doStop()


class Reactor(MemoryReactorClock):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.open: list[Port] = []
        self.asked: list[tuple[str, int]] = []
        self.ports: list[tuple[int, str]] = []
        self.full = False

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
        if self.full:
            raise CannotListenError(interface, port, OSError(24, "Too many open files"))
        self.ports.append((port, interface))
        made = Port(self, protocol)
        self.open.append(made)
        made.protocol.doStart()
        return made

    @property
    def servers(self) -> list[str]:
        """Those that were asked by the sockets that are open."""
        return [address[0] for port in self.open for _, address in port.sent]


class World:
    def __init__(self, path: Path | None = None, **settings: Any) -> None:
        self.reactor = Reactor()
        if path is not None:
            settings["resolv_conf"] = path
        self.settings = ResolverSettings(**settings)
        self.servers = NameServers(self.reactor, self.settings)
        self.names = Names(self.reactor, self.servers, HostsFile(None), self.settings)

    def ask(self, name: str = "x.test") -> list[Answer]:
        found: list[Answer] = []
        _ = self.names.ask(Question(name, "A")).addCallback(found.append)
        return found

    def answer(self, address: str) -> None:
        """Answer what the last socket has asked."""
        port = self.reactor.open[-1]
        data, server = port.sent[-1]
        message = dns.Message()
        message.fromStr(data)
        message.answer = 1
        name = message.queries[0].name.name
        message.answers = [dns.RRHeader(name, dns.A, dns.IN, 60, dns.Record_A(address))]
        port.protocol.datagramReceived(message.toStr(), server)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "resolv.conf"
    made.write_text("# ours\nnameserver 192.0.2.53\nsearch test\nnameserver nonsense\nnameserver\n")
    return made


def test_an_answer(path: Path) -> None:
    world = World(path)
    assert world.reactor.ports == []  # nothing is made before there is a question
    found = world.ask()
    [port] = world.reactor.open
    assert port.sent[0][1] == ("192.0.2.53", 53)
    # Not a port that somebody else may want.
    assert world.reactor.ports == [(0, "")]
    world.answer("192.0.2.1")
    assert found == [Answer(("192.0.2.1",))]
    assert (world.reactor.open, world.reactor.getDelayedCalls()) == ([], [])


def test_the_file_changes(path: Path) -> None:
    world = World(path)
    world.ask("a.test")
    path.write_text("nameserver 2001:db8::53\n")
    world.ask("b.test")
    assert world.reactor.servers == ["192.0.2.53", "2001:db8::53"]
    assert world.reactor.ports[1] == (0, "::")
    path.unlink()
    world.ask("c.test")
    assert world.reactor.servers[2:] == ["127.0.0.1"]  # resolv.conf(5)


def test_those_of_the_setting(path: Path) -> None:
    world = World(path, servers=("192.0.2.1:5353", "192.0.2.2"), resend=0.5)
    world.ask()
    assert world.reactor.open[0].sent[0][1] == ("192.0.2.1", 5353)
    world.reactor.advance(0.5)
    assert world.reactor.open[0].sent[0][1] == ("192.0.2.2", 53)


def test_all_are_silent(path: Path) -> None:
    world = World(path)
    found = world.ask()
    world.reactor.pump([0.1] * 15)
    assert found == [Answer(failure="the name servers do not answer")]
    assert world.reactor.open == []
    world.reactor.advance(10)
    assert world.reactor.getDelayedCalls() == []


def test_the_end(path: Path) -> None:
    world = World(path)
    found = [world.ask(f"{number}.test") for number in range(3)]
    world.names.close()
    world.servers.close()
    assert found == [[Answer(failure="the server is stopping")]] * 3
    assert (world.reactor.open, world.reactor.getDelayedCalls()) == ([], [])


def test_no_socket_to_be_had(path: Path) -> None:
    world = World(path, failure_ttl=1.0)
    world.reactor.full = True
    assert world.ask() == [Answer(failure="the name servers cannot be asked")]
    world.reactor.full = False
    world.reactor.advance(1)
    found = world.ask()  # the same question can be put again
    world.answer("192.0.2.1")
    assert found == [Answer(("192.0.2.1",))]


@pytest.mark.parametrize(("made", "answered"), [(True, True), (True, False), (False, False)])
def test_a_large_answer_needs_a_connection(path: Path, made: bool, answered: bool) -> None:
    world = World(path)
    found = world.ask()
    [port] = world.reactor.open
    data, server = port.sent[0]
    message = dns.Message()
    message.fromStr(data)
    message.answer = message.trunc = 1
    port.protocol.datagramReceived(message.toStr(), server)
    host, number, factory, timeout, _bind = world.reactor.tcpClients[0]
    assert (host, number, timeout) == ("192.0.2.53", 53, 1.5)
    [connector] = world.reactor.connectors
    if made:
        connection: Any = factory.buildProtocol(None)
        connection.makeConnection(StringTransport())
        assert world.reactor.getDelayedCalls()  # timers of ours
    if answered:
        message.fromStr(connection.transport.value()[2:])
        message.answer = 1
        message.answers = [dns.RRHeader("x.test", dns.A, dns.IN, 60, dns.Record_A("192.0.2.1"))]
        data = message.toStr()
        connection.dataReceived(len(data).to_bytes(2, "big") + data)
        assert found == [Answer(("192.0.2.1",))]
    else:
        world.reactor.advance(1.5)
        assert found == [Answer(failure="the name servers do not answer")]
    world.servers.close()
    assert world.reactor.getDelayedCalls() == []
    assert connector.stoppedConnecting or connector._disconnected


@pytest.mark.parametrize("method", ["lookupNamingAuthorityPointer", "lookupService", "lookupIPV6Address"])
def test_every_type(path: Path, method: str) -> None:
    world = World(path)
    asked = getattr(world.servers, method)(b"x.test")
    assert isinstance(asked, Deferred)
    _ = asked.addErrback(lambda _: None)
    message = dns.Message()
    message.fromStr(world.reactor.open[0].sent[0][0])
    kinds = {
        "lookupNamingAuthorityPointer": dns.NAPTR,
        "lookupService": dns.SRV,
        "lookupIPV6Address": dns.AAAA,
    }
    assert message.queries[0].type == kinds[method]
    asked.cancel()
    assert world.reactor.open == []
