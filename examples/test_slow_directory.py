"""Tests of the slow directory: it runs on the same clock and network in memory as the server, and no test waits.

    python -m pytest test_slow_directory.py

Run them in this directory, or with it on PYTHONPATH.
"""

from __future__ import annotations

import pytest
from slow_directory import ToyDirectory

from sipframe.plugging import Choice
from sipframe.testing import MemoryReactor, Network, Phone, Server

HOST = "192.0.2.39"
USERS = {"alice": "wonderland", "bob": "builder", "carol": "singer"}
OURS = Choice("toml", {"users": {"desk": {"password": "bell"}}})
THEIRS = Choice("slow_directory.Directory", {"host": HOST})


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def directory(network: Network) -> ToyDirectory:
    """A directory that listens at ``HOST``."""
    reactor = MemoryReactor(network, [HOST])
    directory = ToyDirectory(reactor, USERS, delay=2.0)
    reactor.listenTCP(3890, directory)
    return directory


@pytest.fixture
def server(network: Network, directory: ToyDirectory) -> Server:
    return Server(credentials=[OURS, THEIRS], network=network)


def phone(server: Server, name: str, password: str | None = None) -> Phone:
    return server.phone(f"sip:{name}@example.com", password=password or USERS.get(name, "bell"))


def test_who_needs_nothing_from_it_does_not_wait(server: Server) -> None:
    with server:
        slow = [phone(server, name).begin_register() for name in USERS]
        server.settle()
        began = server.now()
        assert phone(server, "desk").register().status == 200
        assert server.now() == began
        assert [one.done for one in slow] == [False] * 3
        server.advance(2.1)
        assert [one.wait().status for one in slow] == [200] * 3


def test_one_look_up_for_all_who_ask_the_same(server: Server, directory: ToyDirectory) -> None:
    with server:
        phones = [phone(server, "alice") for _ in range(5)]
        for one in phones:
            one.begin_register()
        server.advance(3)
        for one in phones:
            server.expect(one, 200)
        assert directory.asked == ["alice"]


def test_an_answer_is_remembered_for_a_minute(server: Server, directory: ToyDirectory) -> None:
    with server:
        alice = phone(server, "alice")
        alice.register()
        began = server.now()
        alice.refresh()
        assert (server.now(), directory.asked) == (began, ["alice"])
        server.advance(60)
        alice.refresh()
        assert (server.now() >= began + 62, directory.asked) == (True, ["alice"] * 2)


def test_whom_it_does_not_know(server: Server, directory: ToyDirectory) -> None:
    with server:
        assert phone(server, "eve").register().status == 401
        assert phone(server, "alice", "wrong").register().status == 401
        assert directory.asked == ["eve", "alice"]


def test_it_hangs(server: Server, directory: ToyDirectory) -> None:
    directory.delay = 60.0
    with server:
        alice = phone(server, "alice").begin_register()
        server.advance(3.9)
        assert not alice.done
        server.advance(0.2)
        answer = alice.wait()
        assert (answer.status, answer.all("retry-after")) == (503, ["5"])
        assert directory.hung_up == 1
        assert phone(server, "desk").register().status == 200


def test_it_is_not_there(network: Network) -> None:
    network.hosts["directory.example.com"] = HOST
    nowhere = Choice("slow_directory.Directory", {"host": "directory.example.com", "port": 1})
    with Server(credentials=[OURS, nowhere], network=network) as server:
        assert phone(server, "alice").register().status == 503
        assert "Directory.secret is unavailable: the directory is not there" in "\n".join(server.log)
