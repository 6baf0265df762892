"""A location store that survives the process, in an SQLite database.

Rules:

- The table in memory is what is served. It is what the database holds, plus the changes that are on their way there:
  those of the group that the writer has in hand and those of the group that is being collected. A compare-and-set
  sees them all, so that any number of REGISTERs for one AOR go into one commit.
- What was acknowledged is kept: ``replace`` says True only after the commit that holds the change. What could not be
  made durable is not acknowledged: when a commit fails, every change on its way fails with a LocationError and the
  table becomes what the database holds. A look-up may see a change some milliseconds before it is durable; what is
  built on it fails with it.
- Changes are collected while a commit runs and go together into the next: no change waits for others to come.
- Everything here runs in the reactor's thread. The thread of :mod:`sipframe.location.writer` sees finished groups only.
- One process serves from a file at a time; a lock on a file beside it, which dies with the process, sees to that.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from typing import Final, Literal

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from sipframe.interfaces import ICloseable, IExpiring, ILocationStore
from sipframe.location.errors import LocationError, LocationOverloaded
from sipframe.location.rows import Row, Rows, read, row_of
from sipframe.location.schema import open_database
from sipframe.location.table import BindingTable, Entry
from sipframe.location.witness import Witness
from sipframe.location.writer import CallsFromThread, Changes, TurnWriter, Writer, commit, writer_on
from sipframe.verdicts import Binding, Forgotten, Snapshot

__all__ = ["Durability", "SQLiteStore"]

_log = Logger()

Durability = Literal["process", "power"]


class _Group:
    """Changes that are committed together: for each AOR what it had before and its rows after, and who waits."""

    __slots__ = ("before", "rows", "waiting")

    def __init__(self) -> None:
        self.before: dict[str, Entry] = {}
        self.rows: dict[str, list[Row]] = {}
        self.waiting: list[Deferred[bool]] = []

    def changes(self) -> Changes:
        """What the writer needs of it."""
        before = self.before
        return [(aor, Rows(len(before[aor]) - 1, rows)) for aor, rows in self.rows.items()]


@implementer(ILocationStore, ICloseable, IExpiring)
class SQLiteStore:
    """Bindings in memory and, before anyone is told, in the database at ``path``.

    ``durability`` is what a True of :meth:`replace` promises: ``process`` survives the end of the process in any
    form, kill -9 included; ``power`` survives a loss of power too, for one sync of the disk per group.
    ``most_queued`` bounds the changes that are collected while a commit runs: above it :meth:`replace` raises.
    ``lock_timeout`` is how many seconds a lock that another process holds is waited for. ``expire_at_once`` bounds
    how many AORs one call of :meth:`expire` looks at.
    """

    def __init__(
        self,
        path: str,
        reactor: CallsFromThread,
        *,
        durability: Durability = "process",
        most_queued: int = 10_000,
        lock_timeout: float = 5.0,
        expire_at_once: int = 2_000,
    ) -> None:
        self.path: Final = path
        self.durability: Final[Durability] = durability
        self.commits = 0
        """How many groups were committed, since this object was made."""
        self.changes = 0
        """How many calls of :meth:`replace` those groups answered."""
        self.failures = 0
        """How many groups could not be committed."""
        self._reactor = reactor
        self._most_queued = most_queued
        self._lock_timeout = lock_timeout
        self._expire_at_once = expire_at_once
        self._table = BindingTable()
        self._open = _Group()
        self._in_hand: _Group | None = None
        self._hand_over_is_due = False
        self._writer: Writer | TurnWriter | None = None
        self._lock = -1
        self._closing: list[Deferred[None]] = []
        self._broken = False
        self._trouble = ""
        """Why the last group was not committed."""
        self._failed_since = 0

    # Start and end

    def start(self, now: float) -> int:
        """Open the database and load what is current at ``now`` (wall-clock seconds); return how many bindings.

        It takes its time (below a second for 100,000 bindings): call it before anything listens. Raises LocationError
        with a message for the operator; a file that is damaged, foreign or newer is left as it is.
        """
        if self._writer is not None:
            raise LocationError(f"{self.path}: is already being served from")
        lock = _lock(self.path)
        try:
            connection = open_database(self.path, self.durability, self._lock_timeout)
            try:
                table, count = _load(connection, self.path, now, self._table.version)
                witness = _witness(self.path)
            except LocationError:
                connection.close()
                raise
        except LocationError:
            os.close(lock)
            raise
        self._lock = lock
        self._table = table
        self._writer = writer_on(self._reactor, connection, self.path, witness, self._committed, self._ended)
        return count

    def close(self) -> Deferred[None]:
        """Commit what is on its way, and end the thread; fires when the file is closed. Nothing new is accepted.

        The store may be started again afterwards.
        """
        if self._writer is None:
            return succeed(None)
        closed: Deferred[None] = Deferred()
        self._closing.append(closed)
        if self._broken:
            self._closed()
        elif len(self._closing) == 1:
            self._hand_over()
            if self._in_hand is None:
                self._writer.stop()
        return closed

    # ILocationStore

    def lookup(self, aor: str) -> Snapshot:
        """What ``aor`` has now, expired bindings possibly included. Raises LocationError when the store is closed."""
        if self._writer is None:
            raise self._not_open()
        return self._table.get(aor)

    def replace(self, aor: str, bindings: tuple[Binding, ...], version: int) -> bool | Deferred[bool]:
        """Make ``bindings`` all that ``aor`` has, if its version is still ``version``.

        Returns False at once when it is not, and otherwise a Deferred: True after the commit, or a LocationError when
        that failed. Raises LocationError, with nothing changed, when too much is on its way already, when the store
        is not open, or when a number in a binding does not fit. Cancelling the Deferred does not undo the change.
        """
        writer = self._writer
        if writer is None or not writer.alive or self._closing:
            raise self._not_open()
        before = self._table.entry(aor)
        if before[0] != version:
            return False
        waiting = self._open.waiting
        if len(waiting) >= self._most_queued:
            raise LocationOverloaded(f"{self.path}: {self._most_queued} changes wait for the disk already")
        self._change(aor, before, bindings)
        done: Deferred[bool] = Deferred()
        waiting.append(done)
        return done

    def aors(self) -> Iterator[tuple[str, Snapshot]]:
        """Every AOR with what it has. The store may change meanwhile; what is gone when its turn comes is left out."""
        return iter(self._table)

    def expire(self, now: float) -> int:
        """Forget bindings that ended at or before ``now`` (wall-clock seconds); return how many.

        The database follows with the next commit, which is not waited for. At most ``expire_at_once`` AORs are looked
        at, so that nobody waits for long, and none while too much is on its way to the disk; what is left over goes
        with a later call. Once a second is often enough to call it.
        """
        return sum([len(one.ended) for one in self.forget(now)])

    def forget(self, now: float) -> list[Forgotten]:
        """The same, and say what was forgotten of whom (IExpiring)."""
        writer = self._writer
        if writer is None or not writer.alive or self._closing or len(self._open.rows) >= self._most_queued:
            return []
        found = self._table.expired(now, self._expire_at_once)
        for one in found:
            self._change(one.aor, self._table.entry(one.aor), one.left)
        return found

    # The road of a change

    def _change(self, aor: str, before: Entry, bindings: tuple[Binding, ...]) -> None:
        """Put the change into the table and the open group."""
        rows = [row_of(aor, position, binding) for position, binding in enumerate(bindings)]
        self._table.put(aor, bindings)
        group = self._open
        group.rows[aor] = rows
        group.before.setdefault(aor, before)
        if self._in_hand is None and not self._hand_over_is_due:
            # After this turn of the reactor: what arrived in one read of a socket goes into one commit.
            self._hand_over_is_due = True
            self._reactor.callFromThread(self._hand_over)

    def _hand_over(self) -> None:
        """Give the open group to the writer, if there is one and the writer has none."""
        self._hand_over_is_due = False
        if self._in_hand is None and self._open.rows and self._writer is not None:
            self._in_hand, self._open = self._open, _Group()
            self._writer.commit(self._in_hand.changes())

    def _committed(self, error: LocationError | None) -> None:
        """The writer is done with the group in hand."""
        group = self._in_hand
        if group is None:
            return
        if error is not None:
            self.failures += 1
            self._say_failure(str(error))
            self._fail(str(error))
        else:
            self._say_recovery()
            self.commits += 1
            self.changes += len(group.waiting)
            self._in_hand = None
            self._hand_over()
            for done in group.waiting:
                done.callback(True)
        if self._closing and self._in_hand is None and self._writer is not None:
            self._writer.stop()

    def _say_failure(self, trouble: str) -> None:
        # Once: while a disk is full nearly every REGISTER fails.
        if trouble != self._trouble:
            _log.error("bindings cannot be committed, REGISTERs are answered 500: {trouble}", trouble=trouble)
            self._failed_since = self._failed_since if self._trouble else self.failures - 1
            self._trouble = trouble

    def _say_recovery(self) -> None:
        if self._trouble:
            self._trouble = ""
            _log.info(
                "{path}: bindings are committed again, after {failures} failures",
                path=self.path,
                failures=self.failures - self._failed_since,
            )

    def _fail(self, message: str) -> None:
        """Nothing that is on its way arrives: the table becomes what the database holds, and everyone is told."""
        groups = [self._open] if self._in_hand is None else [self._open, self._in_hand]
        self._open, self._in_hand = _Group(), None
        for group in groups:  # the older one last: it knows what was before the younger
            for aor, before in group.before.items():
                self._table.restore(aor, before)
        for group in reversed(groups):
            for done in group.waiting:
                error = LocationError(message)
                error.logged = True
                done.errback(error)

    def _ended(self) -> None:
        """The thread has ended: because it was asked to, or because it could not go on."""
        if not self._closing:
            self._say_failure(self._ENDED.format(self.path))
        self._fail(self._ENDED.format(self.path))
        if self._closing:
            self._closed()
        else:
            self._broken = True

    def _closed(self) -> None:
        if self._writer is not None:
            self._writer.join()
            os.close(self._lock)
        self._writer = None
        self._broken = False
        closing, self._closing = self._closing, []
        for closed in closing:
            closed.callback(None)

    _ENDED: Final = "{}: its writer has ended unexpectedly; restart the server"

    def _not_open(self) -> LocationError:
        if self._writer is None:
            return LocationError(f"{self.path}: the store is not open")
        if self._closing:
            return LocationError(f"{self.path}: the store is being closed")
        return LocationError(self._ENDED.format(self.path))


def _lock(path: str) -> int:
    """Make sure that no other process serves from ``path``; return the descriptor that holds the lock."""
    # Not the database itself: closing any descriptor of it would drop SQLite's own locks (fcntl(2), POSIX).
    beside = f"{path}.lock"
    try:
        lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LocationError(f"{path}: cannot be served from: {beside}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise LocationError(
            f"{path}: another server serves from it; stop that one, or name another file"
        ) from error
    return lock


def _witness(path: str) -> Witness:
    try:
        return Witness(path)
    except OSError as error:
        raise LocationError(f"{path}: cannot be opened: {error.strerror}") from error


def _load(connection: sqlite3.Connection, path: str, now: float, version: int) -> tuple[BindingTable, int]:
    """A table of what is current, with versions above ``version``, and how many; the database forgets the rest."""
    table, count = BindingTable(version), 0
    stale: list[tuple[str, Rows]] = []
    for aor, (bindings, rows) in read(connection, path).items():
        current = tuple([binding for binding in bindings if binding.expires_at > now])
        if current:
            table.put(aor, current)
            count += len(current)
        if len(current) != rows:
            again = [row_of(aor, position, binding) for position, binding in enumerate(current)]
            stale.append((aor, Rows(rows, again)))
    if stale and (refusal := commit(connection, path, stale)) is not None:
        raise refusal
    return table, count
