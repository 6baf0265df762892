"""A store on a reactor without threads: the same promises, kept in the reactor's turns."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from sipframe.location import LocationError, SQLiteStore
from sipframe.testing import MemoryReactor, Network, Server
from sipframe.verdicts import NO_BINDINGS, Binding

AOR = "sip:alice@example.com"
BINDING = Binding("sip:alice@192.0.2.7", 1e9, "call-1", 1, 0.0)


@pytest.fixture
def reactor() -> MemoryReactor:
    return MemoryReactor(Network(), ["192.0.2.1"])


def test_it_is_true_after_the_commit_and_there_after_a_start(reactor: MemoryReactor, tmp_path: Path) -> None:
    threads = threading.active_count()
    path = str(tmp_path / "location.sqlite")
    store = SQLiteStore(path, reactor)
    store.start(0.0)
    answers: list[object] = []
    answer = store.replace(AOR, (BINDING,), 0)
    assert not isinstance(answer, bool)
    _ = answer.addBoth(answers.append)
    assert (answers, threading.active_count()) == ([], threads)
    reactor.network.timeline.settle()
    assert (answers, store.commits) == ([True], 1)
    closed: list[object] = []
    _ = store.close().addBoth(closed.append)
    with pytest.raises(LocationError):
        _ = store.replace(AOR, (), 1)
    reactor.network.timeline.settle()
    assert closed == [None]
    assert store.start(0.0) == 1
    assert store.lookup(AOR).bindings == (BINDING,)
    _ = store.close()
    reactor.network.timeline.settle()


def test_what_cannot_be_committed_is_not_acknowledged(reactor: MemoryReactor, tmp_path: Path) -> None:
    path = tmp_path / "location.sqlite"
    store = SQLiteStore(str(path), reactor, lock_timeout=0.0)
    store.start(0.0)
    failed: list[type[BaseException] | None] = []
    answer = store.replace(AOR, (BINDING,), 0)
    assert not isinstance(answer, bool)
    _ = answer.addErrback(lambda failure: failed.append(failure.type))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        reactor.network.timeline.settle()
        other.execute("ROLLBACK")
    assert failed == [LocationError]
    assert store.lookup(AOR) == NO_BINDINGS
    _ = store.close()
    reactor.network.timeline.settle()


def test_a_restart_of_the_whole_server() -> None:
    with Server(users={"alice": "secret"}, location="sqlite") as server:
        phone = server.phone(AOR, password="secret")
        phone.register()
        before = server.bindings(AOR)
        server.restart()
        assert server.bindings(AOR) == before
