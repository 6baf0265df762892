"""The one thread that writes to the database.

Rules: the thread owns the connection from its start to its end. It takes one group of changes at a time, commits it
whole or not at all, and reports by ``callFromThread``, once per group. It shares no other state with the reactor's
thread. Whatever happens in it is reported: nobody waits for a thread that is gone.

A reactor without threads, as tests have it (``has_threads`` is False), gets a writer that does the same in turns of
that reactor's, so that things happen in the same order each time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Thread
from typing import Protocol

from sipframe.location.errors import LocationError, explain
from sipframe.location.rows import Rows, write
from sipframe.location.witness import Witness

__all__ = ["CallsFromThread", "Changes", "Report", "TurnWriter", "Writer", "writer_on"]

Changes = Iterable[tuple[str, Rows]]
Report = Callable[[LocationError | None], None]


class CallsFromThread(Protocol):
    """The part of a reactor that a store needs (:class:`twisted.internet.interfaces.IReactorFromThreads`)."""

    def callFromThread(self, callable: Callable[..., object], *args: object) -> object:  # noqa: A002
        """Have ``callable`` called with ``args`` in the reactor's thread, soon. Any thread may ask."""


class Writer:
    """A thread that commits groups of changes.

    ``report`` gets None or a LocationError for each group, in order; ``ended`` is called when the thread is about to
    end, for whatever reason, with the connection closed. Both are called in the reactor's thread.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: str,
        witness: Witness,
        reactor: CallsFromThread,
        report: Report,
        ended: Callable[[], None],
    ) -> None:
        self.alive = True
        """False when the thread takes nothing any more."""
        self._connection = connection
        self._path = path
        self._witness = witness
        self._reactor = reactor
        self._report = report
        self._ended = ended
        self._groups: SimpleQueue[Changes | None] = SimpleQueue()
        # A daemon: a process that ends without closing its store has promised nothing about what is not committed.
        self._thread = Thread(target=self._run, name=f"sipframe location {path}", daemon=True)
        self._thread.start()

    def commit(self, changes: Changes) -> None:
        """Have ``changes`` committed. They must not change any more."""
        self._groups.put(changes)

    def stop(self) -> None:
        """Have the thread end when what it was given before is done."""
        self._groups.put(None)

    def join(self) -> None:
        """Wait for the thread; short, once ``ended`` was called."""
        self._thread.join()

    def _run(self) -> None:
        try:
            while (changes := self._groups.get()) is not None:
                refusal = self._witness.flaw() or commit(self._connection, self._path, changes)
                self._reactor.callFromThread(self._report, refusal)
        finally:
            self.alive = False
            try:
                self._connection.close()
                self._witness.close()
            finally:
                self._reactor.callFromThread(self._ended)


class TurnWriter:
    """The same as :class:`Writer`, without a thread."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: str,
        witness: Witness,
        reactor: CallsFromThread,
        report: Report,
        ended: Callable[[], None],
    ) -> None:
        self.alive = True
        """False when it takes nothing any more."""
        self._connection = connection
        self._path = path
        self._witness = witness
        self._reactor = reactor
        self._report = report
        self._ended = ended

    def commit(self, changes: Changes) -> None:
        """Have ``changes`` committed. They must not change any more."""
        self._reactor.callFromThread(self._commit, changes)

    def stop(self) -> None:
        """End when what was given before is done."""
        self._reactor.callFromThread(self._end)

    def join(self) -> None:
        """Nothing: it has ended."""

    def _commit(self, changes: Changes) -> None:
        self._report(self._witness.flaw() or commit(self._connection, self._path, changes))

    def _end(self) -> None:
        self.alive = False
        self._connection.close()
        self._witness.close()
        self._ended()


def writer_on(
    reactor: CallsFromThread,
    connection: sqlite3.Connection,
    path: str,
    witness: Witness,
    report: Report,
    ended: Callable[[], None],
) -> Writer | TurnWriter:
    """The writer that is right for ``reactor``."""
    kind = Writer if getattr(reactor, "has_threads", True) else TurnWriter
    return kind(connection, path, witness, reactor, report, ended)


def commit(connection: sqlite3.Connection, path: str, changes: Changes) -> LocationError | None:
    """Write ``changes`` in one transaction; return what went wrong, with nothing changed."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        write(connection, changes)
        connection.execute("COMMIT")
    except Exception as error:  # the group fails, whatever it was, and the thread lives on
        return explain(path, _rolled_back(connection, error))
    return None


def _rolled_back(connection: sqlite3.Connection, error: Exception) -> Exception:
    try:
        if (
            connection.in_transaction
        ):  # SQLite has rolled back by itself after some errors, and not after others
            connection.execute("ROLLBACK")
    except sqlite3.Error as second:
        return second
    return error
