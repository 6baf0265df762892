"""The admin socket in a running reactor: real clients, hostile ones among them, each in a thread of its own."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from sipframe.admin.client import ask
from sipframe.admin.protocol import LONGEST_REQUEST
from sipframe.admin.server import AdminServer
from sipframe.wiring import StartError
from tests.admin.served import RawClient, Stand, binding, decision
from tests.process import PATIENCE

R = TypeVar("R")
Steps = Generator[Deferred[Any], Any, None]
ENDED = {"kept": 1, "most_kept": 1000, "oldest": 1.5e9, "older_refusals": 0, "matching": 1}


class AdminServerTests(TestCase):
    """One server, whose clients may take all the time that the test has."""

    timeout: ClassVar[float] = PATIENCE

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor = reactor
        state = Path(self.mktemp())  # type: ignore[no-untyped-call]
        state.mkdir()
        self.path = state / "admin.sock"
        self.stand = Stand(state)
        self.stand.decisions.add(decision())
        self.server = self.make()
        self.server.start()
        self.addCleanup(self.server.stop)

    def make(self, **arguments: Any) -> AdminServer:
        arguments = {"patience": PATIENCE, "wall_clock": lambda: 1.6e9, **arguments}
        return AdminServer(self.stand, self.path, self.reactor, **arguments)

    def client(self, talk: Callable[[RawClient], R]) -> Deferred[R]:
        """What ``talk`` gives, in a thread."""

        def talks() -> R:
            with RawClient(self.path) as client:
                return talk(client)

        return deferToThread(talks)

    def ask(self, command: str, **fields: object) -> Deferred[list[tuple[str, Any]]]:
        return deferToThread(lambda: list(ask(self.path, command, fields)))

    @inlineCallbacks
    def test_questions_and_answers(self) -> Steps:
        assert stat.S_IMODE(self.path.stat().st_mode) == 0o600
        [(_, item), end] = yield self.ask("why")
        assert item["steps"][-1]["reason"] == "wrong digest"
        assert end == ("end", ENDED)
        [(_, counters), _] = yield self.ask("counters")
        assert counters["decisions"] == {"kept": 1, "most_kept": 1000}

    @inlineCallbacks
    def test_more_than_any_buffer_holds(self) -> Steps:
        for number in range(3000):
            contacts = (binding(f"sip:bob@192.0.2.7;number={number}"),)
            self.stand.location.replace(f"sip:bob{number}@localhost", contacts, 0)
        found = yield self.ask("bindings")
        assert len(found) == 3001
        aors = {item["aor"] for _, item in found[:-1]}
        assert aors == {f"sip:bob{number}@localhost" for number in range(3000)}

    @inlineCallbacks
    def test_who_closes_its_side_gets_its_answer(self) -> Steps:
        def talk(client: RawClient) -> list[Any]:
            client.say(command="why")
            client.socket.shutdown(socket.SHUT_WR)
            return client.lines()

        lines = yield self.client(talk)
        assert [*lines[-1]] == ["end"]

    @inlineCallbacks
    def test_a_watch(self) -> Steps:
        def talk(client: RawClient) -> list[Any]:
            client.say(command="watch", most=0)
            lines = [client.line()]
            # The live line has come, so this is heard of.
            self.reactor.callFromThread(self.stand.decisions.add, decision("call-2"))  # type: ignore[attr-defined]
            lines.append(client.line())
            client.socket.shutdown(socket.SHUT_WR)
            return [*lines, *client.lines()]

        live, item = yield self.client(talk)
        assert live == {"live": ENDED}
        assert item["item"]["call_id"] == "call-2"

    @inlineCallbacks
    def test_garbage(self) -> Steps:
        def talk(data: bytes) -> Callable[[RawClient], list[Any]]:
            def talks(client: RawClient) -> list[Any]:
                try:
                    client.send(data)
                    client.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # it has closed already
                return client.lines()

            return talks

        for data in (
            b"\n",
            b"GET / HTTP/1.1\r\n\r\n",
            os.urandom(1000) + b"\n",
            b"[" * 60_000 + b"\n",
            b'{"version":1,"command":"why","most":' + b"9" * 10_000 + b"}\n",
            b"x" * LONGEST_REQUEST,
            b"x" * 10 * LONGEST_REQUEST,
            b'{"version":1',
            b"",
        ):
            [error] = yield self.client(talk(data))
            assert error["error"]["kind"] == "request"
        _, end = yield self.ask("why")
        assert end == ("end", ENDED)

    @inlineCallbacks
    def test_one_too_many_is_told_so(self) -> Steps:
        yield self.server.stop()
        self.server = self.make(most_clients=2)
        self.server.start()
        self.addCleanup(self.server.stop)
        with RawClient(self.path), RawClient(self.path):
            # In the order in which they came: by now the first two are in.
            [error] = yield self.client(RawClient.lines)
        assert error["error"]["kind"] == "busy"

        def again(client: RawClient) -> list[Any]:
            client.say(command="why")
            return client.lines()

        lines = [error]
        while "error" in lines[0]:  # until it has noticed that they are gone
            lines = yield self.client(again)
        assert lines[-1] == {"end": ENDED}

    @inlineCallbacks
    def test_a_crowd(self) -> Steps:
        def talk(client: RawClient) -> list[Any]:
            client.say(command="why")
            return client.lines()

        answers = yield gatherResults([self.client(talk) for _ in range(60)])
        kinds = {next(iter(lines[-1])) for lines in answers}
        assert kinds <= {"end", "error"}
        assert "end" in kinds

    @inlineCallbacks
    def test_who_does_not_read_keeps_nobody_and_nothing_waiting(self) -> Steps:
        for number in range(3000):
            contacts = (binding(f"sip:bob@192.0.2.7;number={number};{'x' * 500}"),)
            self.stand.location.replace(f"sip:bob{number}@localhost", contacts, 0)
        with RawClient(self.path) as listing, RawClient(self.path) as watching:
            listing.say(command="bindings")
            watching.say(command="watch", most=0)
            yield deferToThread(watching.line)
            for number in range(3000):
                self.stand.decisions.add(decision(f"{number} {'x' * 500}"))
            found = yield self.ask("why", call_id="call-1")
            assert [key for key, _ in found] == ["end"]  # 3000 others came after it
            yield self.server.stop()
            lines = yield deferToThread(listing.lines_until_torn)
            assert len(lines) < 3000

    @inlineCallbacks
    def test_a_stop_cuts_everyone_off_and_leaves_nothing(self) -> Steps:
        with RawClient(self.path) as silent, RawClient(self.path) as watching:
            watching.say(command="watch", most=0)
            yield deferToThread(watching.line)
            yield self.server.stop()
            assert (silent.lines(), watching.lines()) == ([], [])
        assert list(self.path.parent.iterdir()) == []
        yield self.server.stop()
        self.server.start()
        found = yield self.ask("why")
        assert found[-1] == ("end", ENDED)

    @inlineCallbacks
    def test_a_second_server_is_refused_and_the_first_goes_on(self) -> Steps:
        with self.assertRaisesRegex(StartError, "another server is running there"):
            self.make().start()
        found = yield self.ask("why")
        assert found[-1] == ("end", ENDED)

    @inlineCallbacks
    def test_no_descriptor_is_left_for_a_client(self) -> Steps:
        yield self.server.stop()
        self.server = self.make()
        clock = Clock()
        readers: set[object] = set()

        class Reactor:
            """The real one, but for who is read and when."""

            callLater = staticmethod(clock.callLater)
            addReader = staticmethod(readers.add)
            removeReader = staticmethod(readers.discard)

        self.server._reactor = Reactor()
        self.server._door = type("Door", (), {"socket": Exhausted(), "close": lambda self: None})()
        readers.add(self.server)
        self.server.doRead()
        assert readers == set()
        clock.advance(1)
        assert readers == {self.server}
        self.server.doRead()
        yield self.server.stop()
        assert clock.getDelayedCalls() == []


class Exhausted:
    """A listening socket of a process that has no descriptor left."""

    def accept(self) -> object:
        raise OSError(24, "Too many open files")


class NoSockets(TestCase):
    """A reactor that cannot do this."""

    def test_it_is_told_at_the_start(self) -> None:
        server = AdminServer(Stand(Path("x")), Path("x") / "s", Clock())
        with self.assertRaisesRegex(StartError, "this reactor has no UNIX sockets"):
            server.start()
