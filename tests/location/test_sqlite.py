"""The SQLite store: the contract of all stores, groups, failures, and what is left after the end."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred

from sipframe.location import LocationError, LocationOverloaded, SQLiteStore, stored
from sipframe.location.rows import Rows
from sipframe.location.sqlite import Durability
from sipframe.testing.contracts import DurableLocationStoreContract
from sipframe.verdicts import NO_BINDINGS, Binding, Snapshot, Unavailable
from tests.location.bindings import AOR, FULL, NOW, OTHER, a_binding
from tests.location.calls import Calls

ONE = (a_binding("sip:1@x"),)
TWO = (a_binding("sip:2@x"),)


class Waiting:
    """A store whose results are waited for."""

    def __init__(self, path: Path, durability: Durability = "process") -> None:
        self.calls = Calls()
        self.store = SQLiteStore(str(path), self.calls, durability=durability, lock_timeout=0)

    def lookup(self, aor: str) -> Snapshot:
        return self.store.lookup(aor)

    def replace(self, aor: str, bindings: tuple[Binding, ...], version: int) -> bool:
        answer = self.store.replace(aor, bindings, version)
        return self.calls.result(answer) if isinstance(answer, Deferred) else answer

    def put(self, aor: str, bindings: tuple[Binding, ...]) -> Deferred[bool]:
        """A change of what is there, on its way."""
        answer = self.store.replace(aor, bindings, self.store.lookup(aor).version)
        assert isinstance(answer, Deferred)
        return answer

    def aors(self) -> Iterator[tuple[str, Snapshot]]:
        return self.store.aors()

    def expire(self, now: float) -> int:
        return self.store.expire(now)

    def commit(self) -> None:
        """Turn until everything that is on its way has arrived or failed."""
        while self.store._open.rows or self.store._in_hand is not None:
            self.calls.turn()

    def close(self) -> None:
        self.calls.result(self.store.close())

    def reopen(self, now: float = NOW) -> int:
        self.close()
        return self.store.start(now)

    def contents(self) -> dict[str, tuple[Binding, ...]]:
        return {aor: snapshot.bindings for aor, snapshot in self.store.aors()}


@contextmanager
def opened(path: Path, durability: Durability = "process") -> Iterator[Waiting]:
    it = Waiting(path, durability)
    it.store.start(NOW)
    try:
        yield it
        it.commit()
        assert stored(str(path)) == it.contents()
    finally:
        it.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the database for writing."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.close()


class TestProcess(DurableLocationStoreContract):
    durability: Durability = "process"

    def open_store(self, place: Path) -> SQLiteStore:
        path = str(place / "location.sqlite")
        store = SQLiteStore(path, self.reactor, durability=self.durability, lock_timeout=0)
        store.start(self.reactor.seconds())
        assert stored(path) == {aor: snapshot.bindings for aor, snapshot in store.aors()}
        return store


class TestPower(TestProcess):
    durability: Durability = "power"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "location.sqlite"


@pytest.fixture
def it(path: Path) -> Iterator[Waiting]:
    with opened(path) as it:
        yield it


# What is still there


def test_everything_is_there_again(it: Waiting) -> None:
    hard = Binding("\udcff\0", NOW + 1, "\ud800", 1, NOW, path=("\udc80",), user_agent="☎")
    assert it.replace(AOR, (FULL, a_binding()), 0)
    assert it.replace("\udc80\0", (hard, a_binding()), 0)
    before = it.contents()
    assert it.reopen() == 4
    assert it.contents() == before
    assert it.replace("\udc80\0", (a_binding(),), it.lookup("\udc80\0").version)
    assert it.reopen() == 3
    assert it.contents() == {AOR: (FULL, a_binding()), "\udc80\0": (a_binding(),)}


def test_fewer_bindings_are_fewer_after_a_restart(it: Waiting) -> None:
    many = tuple(a_binding(f"sip:{n}@x") for n in range(5))
    assert it.replace(AOR, many, 0)
    assert it.replace(AOR, many[3:], it.lookup(AOR).version)
    assert it.reopen() == 2
    assert it.contents() == {AOR: many[3:]}


def test_what_ended_meanwhile_is_forgotten_by_the_file_too(it: Waiting, path: Path) -> None:
    ended, current = a_binding("sip:1@x", NOW + 1), a_binding("sip:2@x", NOW + 100)
    assert it.replace(AOR, (ended, current), 0)
    assert it.replace(OTHER, (ended,), 0)
    assert it.reopen(NOW + 1) == 1
    assert it.contents() == stored(str(path)) == {AOR: (current,)}
    # The row that is left has moved up: removing the binding removes it for good.
    assert it.replace(AOR, (), it.lookup(AOR).version)
    assert it.reopen() == 0


def test_rows_that_somebody_deleted_leave_no_ghosts(it: Waiting, path: Path) -> None:
    many = tuple(a_binding(f"sip:{n}@x") for n in range(3))
    assert it.replace(AOR, many, 0)
    it.close()
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM binding WHERE position = 1")
    other.close()
    assert it.store.start(NOW) == 2
    assert it.replace(AOR, ONE, it.lookup(AOR).version)
    assert it.reopen() == 1
    assert it.contents() == {AOR: ONE}


def test_positions_are_the_order_wherever_the_rows_are(it: Waiting, path: Path) -> None:
    many = tuple(a_binding(f"sip:{n}@x") for n in range(4))
    assert it.replace(AOR, many, 0)
    it.close()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE binding SET rowid = -rowid")
    other.close()
    assert it.store.start(NOW) == 4
    assert it.contents() == {AOR: many}


def test_versions_do_not_come_back_with_the_store(it: Waiting) -> None:
    assert it.replace(AOR, ONE, 0)
    version = it.lookup(AOR).version
    it.reopen()
    assert it.lookup(AOR).version > version
    assert it.store.replace(AOR, TWO, version) is False


def test_expiry_reaches_the_file_without_being_waited_for(it: Waiting, path: Path) -> None:
    assert it.replace(AOR, (a_binding("sip:1@x", NOW + 1), a_binding("sip:2@x", NOW + 9)), 0)
    assert it.expire(NOW + 1) == 1
    assert it.lookup(AOR).bindings == (a_binding("sip:2@x", NOW + 9),)
    it.commit()
    assert stored(str(path)) == {AOR: (a_binding("sip:2@x", NOW + 9),)}


def test_a_call_of_expire_looks_at_no_more_than_it_was_told(path: Path) -> None:
    it = Waiting(path)
    it.store = SQLiteStore(str(path), it.calls, expire_at_once=3)
    it.store.start(NOW)
    for n in range(10):
        _ = it.put(f"sip:{n}@x", ONE)
    assert [it.expire(NOW + 3600) for _ in range(5)] == [3, 3, 3, 1, 0]
    it.close()
    assert stored(str(path)) == {}


def test_the_files_are_for_their_owner_only(it: Waiting, path: Path) -> None:
    assert it.replace(AOR, ONE, 0)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert set(modes) == {f"location.sqlite{end}" for end in ("", "-wal", "-shm", ".lock")}


# Groups


def test_what_comes_in_one_turn_goes_into_one_commit(it: Waiting) -> None:
    answers = [it.put(f"sip:{n}@x", ONE) for n in range(100)]
    it.commit()
    assert [it.calls.result(answer) for answer in answers] == [True] * 100
    assert (it.store.commits, it.store.changes) == (1, 100)


def test_what_comes_during_a_commit_goes_into_the_next(it: Waiting) -> None:
    first = it.put(AOR, ONE)
    it.calls.turn()
    assert it.store._in_hand is not None
    later = [it.put(f"sip:{n}@x", ONE) for n in range(50)]
    assert it.calls.result(first)
    assert not any(answer.called for answer in later)
    assert all(it.calls.result(answer) for answer in later)
    assert (it.store.commits, it.store.changes) == (2, 51)


def test_nothing_is_acknowledged_before_its_commit(it: Waiting, path: Path) -> None:
    answer = it.put(AOR, ONE)
    assert (answer.called, stored(str(path))) == (False, {})
    seen: list[dict[str, tuple[Binding, ...]]] = []
    _ = answer.addCallback(lambda _: seen.append(stored(str(path))))
    it.commit()
    assert seen == [{AOR: ONE}]


def test_changes_of_one_aor_go_into_one_commit_in_order(it: Waiting) -> None:
    answers = [it.put(AOR, bindings) for bindings in (ONE + TWO, (), TWO, ONE)]
    assert it.store.replace(AOR, TWO, 0) is False
    assert it.lookup(AOR).bindings == ONE
    assert [it.calls.result(answer) for answer in answers] == [True] * 4
    assert it.store.commits == 1
    assert it.reopen() == 1
    assert it.contents() == {AOR: ONE}


def test_rows_that_are_gone_in_between_are_gone_afterwards(it: Waiting, path: Path) -> None:
    assert it.replace(AOR, ONE + TWO + ONE, 0)
    before = it.lookup(AOR)
    with locked(path):
        for answer in [it.put(AOR, bindings) for bindings in ((), TWO)]:
            with pytest.raises(LocationError):
                it.calls.result(answer)
    assert it.lookup(AOR) == before
    assert all(it.calls.result(answer) for answer in [it.put(AOR, bindings) for bindings in ((), TWO)])
    assert it.reopen() == 1
    assert it.contents() == {AOR: TWO}


def test_one_aor_in_two_groups(it: Waiting) -> None:
    assert it.replace(AOR, ONE + TWO + ONE, 0)
    first = it.put(AOR, TWO)
    it.calls.turn()
    second = it.put(AOR, ())
    assert it.calls.result(first)
    assert it.calls.result(second)
    assert it.reopen() == 0


def test_who_is_told_may_go_on_at_once(it: Waiting) -> None:
    answers: list[Deferred[bool]] = []
    _ = it.put(AOR, ONE).addCallback(lambda _: answers.append(it.put(AOR, TWO)))
    it.commit()
    assert it.calls.result(answers[0])
    assert it.contents() == {AOR: TWO}


def test_who_stops_waiting_changes_nothing(it: Waiting) -> None:
    answer = it.put(AOR, ONE)
    answer.cancel()
    with pytest.raises(CancelledError):
        it.calls.result(answer)
    it.commit()
    assert it.contents() == {AOR: ONE}


# Failures


def test_only_overload_says_that_it_may_work_later() -> None:
    # RFC 3261 10.3 step 7: a commit that failed is 500, which Unavailable is not.
    assert issubclass(LocationOverloaded, Unavailable)
    assert not issubclass(LocationError, Unavailable)


def test_a_locked_database_fails_all_that_was_on_its_way(it: Waiting, path: Path) -> None:
    assert it.replace(AOR, ONE, 0)
    before = it.lookup(AOR)
    with locked(path):
        in_hand = [it.put(AOR, TWO), it.put(OTHER, ONE)]
        it.calls.turn()
        collected = [it.put(AOR, ()), it.put(OTHER, TWO), it.put("sip:new@x", ONE)]
        assert it.lookup(AOR) == NO_BINDINGS
        for answer in (*in_hand, *collected):
            with pytest.raises(LocationError, match="is locked by another process"):
                it.calls.result(answer)
    assert it.lookup(AOR) == before
    assert it.contents() == {AOR: ONE} == stored(str(path))
    assert it.store.failures == 1
    # And it goes on, from where it was.
    assert it.replace(AOR, TWO, before.version)
    assert it.reopen() == 1
    assert it.contents() == {AOR: TWO}


def test_expiry_that_fails_is_done_again(it: Waiting, path: Path) -> None:
    assert it.replace(AOR, (a_binding("sip:1@x", NOW + 1), a_binding("sip:2@x", NOW + 9)), 0)
    with locked(path):
        assert it.expire(NOW + 1) == 1
        it.commit()
    assert len(it.lookup(AOR).bindings) == 2
    assert it.expire(NOW + 1) == 1
    it.commit()
    assert len(stored(str(path))[AOR]) == 1


def test_a_full_disk(it: Waiting, path: Path) -> None:
    assert it.replace(AOR, ONE, 0)
    assert it.store._writer is not None
    connection = it.store._writer._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    answers = [it.put(f"sip:{n}@x", (FULL,)) for n in range(200)]
    for answer in answers:
        with pytest.raises(LocationError, match="no room to write"):
            it.calls.result(answer)
    assert it.contents() == stored(str(path)) == {AOR: ONE}
    connection.execute("PRAGMA max_page_count = 1000000").fetchall()
    assert it.replace(OTHER, ONE, 0)


def test_a_database_that_becomes_read_only(it: Waiting, path: Path) -> None:
    assert it.replace(AOR, ONE, 0)
    assert it.store._writer is not None
    it.store._writer._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(LocationError, match="cannot be written"):
        it.replace(AOR, TWO, it.lookup(AOR).version)
    assert it.contents() == {AOR: ONE}


@pytest.mark.parametrize(
    "binding",
    [
        a_binding(cseq=2**63),
        a_binding(ends=float("nan")),
        a_binding(ends=10**30),
        a_binding()._replace(reg_id=2**64),
        a_binding()._replace(registered_at=float("inf")),
    ],
)
def test_a_number_that_does_not_fit_hurts_nobody_else(it: Waiting, binding: Binding) -> None:
    good = it.put(OTHER, ONE)
    with pytest.raises(LocationError, match="cannot be stored"):
        it.store.replace(AOR, (a_binding(), binding), 0)
    assert it.lookup(AOR) == NO_BINDINGS
    assert it.calls.result(good)


def test_the_queue_is_bounded(path: Path) -> None:
    it = Waiting(path)
    it.store = SQLiteStore(str(path), it.calls, most_queued=3)
    it.store.start(NOW)
    answers = [it.put(f"sip:{n}@x", ONE) for n in range(3)]
    with pytest.raises(LocationError, match="wait for the disk"):
        it.store.replace(AOR, ONE, 0)
    assert it.lookup(AOR) == NO_BINDINGS
    assert it.store.expire(NOW + 9999) == 0
    assert all(it.calls.result(answer) for answer in answers)
    assert it.replace(AOR, ONE, 0)
    it.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_that_dies_fails_loudly(path: Path) -> None:
    class Deadly:
        def __iter__(self) -> Iterator[tuple[str, Rows]]:
            raise SystemExit

    it = Waiting(path)
    it.store.start(NOW)
    assert it.replace(AOR, ONE, 0)
    assert it.store._writer is not None
    it.store._writer.commit(Deadly())
    answer = it.put(AOR, TWO)
    with pytest.raises(LocationError, match="ended unexpectedly"):
        it.calls.result(answer)
    assert it.contents() == {AOR: ONE}
    for _ in range(2):
        with pytest.raises(LocationError, match="ended unexpectedly"):
            it.store.replace(AOR, TWO, it.lookup(AOR).version)
    assert it.store.expire(NOW + 9999) == 0
    it.close()
    assert it.store.start(NOW) == 1
    assert it.replace(AOR, TWO, it.lookup(AOR).version)
    it.close()


# Start and end


def writers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sipframe location")]


def test_started_and_closed_again_and_again(path: Path) -> None:
    it = Waiting(path)
    descriptors = len(os.listdir("/dev/fd"))
    for n in range(5):
        assert it.store.start(NOW) == n
        assert len(writers()) == 1
        assert it.replace(f"sip:{n}@x", ONE, 0)
        it.close()
        assert writers() == []
    it.close()
    assert len(os.listdir("/dev/fd")) == descriptors
    assert sorted(each.name for each in path.parent.iterdir()) == ["location.sqlite", "location.sqlite.lock"]


def test_close_keeps_what_is_on_its_way(path: Path) -> None:
    it = Waiting(path)
    it.store.start(NOW)
    answers = [it.put("sip:first@x", ONE)]
    it.calls.turn()
    answers += [it.put(f"sip:{n}@x", ONE) for n in range(100)]
    closed, again = it.store.close(), it.store.close()
    with pytest.raises(LocationError, match="being closed"):
        it.store.replace(AOR, ONE, 0)
    assert it.store.expire(NOW + 9999) == 0
    it.calls.result(closed)
    it.calls.result(again)
    assert [it.calls.result(answer) for answer in answers] == [True] * 101
    assert len(stored(str(path))) == 101


def test_close_ends_though_nothing_can_be_committed(path: Path) -> None:
    it = Waiting(path)
    it.store.start(NOW)
    with locked(path):
        answers = [it.put(AOR, ONE)]
        it.calls.turn()
        answers.append(it.put(OTHER, ONE))
        it.close()
        for answer in answers:
            with pytest.raises(LocationError, match="locked"):
                it.calls.result(answer)
    assert stored(str(path)) == {}
    assert writers() == []


def test_close_in_a_callback(path: Path) -> None:
    it = Waiting(path)
    it.store.start(NOW)
    closing: list[Deferred[None]] = []
    _ = it.put(AOR, ONE).addCallback(lambda _: closing.append(it.store.close()))
    it.commit()
    it.calls.result(closing[0])
    assert writers() == []
    assert it.store.start(NOW) == 1
    it.close()


@pytest.mark.parametrize(
    "use",
    [lambda store: store.lookup(AOR), lambda store: store.replace(AOR, ONE, 0)],
    ids=["lookup", "replace"],
)
def test_a_store_that_is_not_open(path: Path, use: Callable[[SQLiteStore], object]) -> None:
    it = Waiting(path)
    for _ in range(2):
        with pytest.raises(LocationError, match="is not open"):
            use(it.store)
        it.store.start(NOW)
        with pytest.raises(LocationError, match="already"):
            it.store.start(NOW)
        it.close()


def test_one_server_at_a_time(it: Waiting, path: Path) -> None:
    second = Waiting(path)
    with pytest.raises(LocationError, match="another server serves from it"):
        second.store.start(NOW)
    assert it.replace(AOR, ONE, 0)
    it.close()
    assert second.store.start(NOW) == 1
    second.close()
    it.store.start(NOW)


@pytest.mark.parametrize("place", ["missing/location.sqlite", "."])
def test_a_place_where_no_file_can_be(tmp_path: Path, place: str) -> None:
    it = Waiting(tmp_path / place)
    with pytest.raises(LocationError, match=r"^/.*: .*cannot be"):
        it.store.start(NOW)
    assert writers() == []


def test_a_refused_file_is_not_held(path: Path) -> None:
    path.write_bytes(b"precious" * 1000)
    it = Waiting(path)
    descriptors = len(os.listdir("/dev/fd"))
    for _ in range(2):
        with pytest.raises(LocationError, match="not an SQLite database"):
            it.store.start(NOW)
    assert len(os.listdir("/dev/fd")) == descriptors
    assert path.read_bytes() == b"precious" * 1000


def test_rows_that_are_none_of_ours_are_refused(it: Waiting, path: Path) -> None:
    assert it.replace(AOR, ONE, 0)
    it.close()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE binding SET path = 'sip:not-json'")
    other.close()
    with pytest.raises(LocationError, match="is damaged; move it away"):
        it.store.start(NOW)
    path.unlink()
    it.store.start(NOW)
