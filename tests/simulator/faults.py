"""What may be wrong with plug-ins and disks: they stall, fail and recover.

Rules: whatever goes wrong on purpose raises :class:`SimulatedFault`, so that the log can be told from a log of real
trouble. A plug-in in trouble is never wrong about who somebody is: it is late, or it gives nothing. What follows from
chance follows from the seed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater
from zope.interface import implementer

from sipframe.interfaces import ICredentialSource, IExpiring, IFlow, ILocationStore, IPolicy
from sipframe.location import MemoryStore, SQLiteStore
from sipframe.message import Request
from sipframe.policy import BasePolicy
from sipframe.testing import Timeline, Users
from sipframe.testing.timeline import Owner
from sipframe.verdicts import Admitted, Binding, Forgotten, Identity, Routing, Snapshot, Terms, Unavailable

__all__ = ["MOODS", "Disk", "FicklePolicy", "FickleSource", "FickleStore", "Moody", "SimulatedFault"]

MOODS: Final = ("slow", "hangs", "raises", "fails later", "is away")
_FOREVER: Final = 3_600.0


class SimulatedFault(Exception):
    """Something that was made to fail."""


class Moody:
    """Works, or is in one of the :data:`MOODS`."""

    def __init__(self, chance: Random) -> None:
        self.mood = "works"
        self.clock: Any = None
        """The reactor of the server at hand, whose crash ends what waits."""
        self._chance = chance

    def answered(self, right: Callable[[], object]) -> Any:
        """What the answer ``right`` becomes."""
        match self.mood:
            case "slow":
                return deferLater(self.clock, self._chance.uniform(0.05, 8.0), right)
            case "hangs":
                return deferLater(self.clock, _FOREVER, right)
            case "raises":
                raise SimulatedFault("it raises")
            case "fails later":
                return deferLater(self.clock, self._chance.uniform(0.05, 2.0), _raise)
            case "is away":
                raise Unavailable("it is away", retry_after=3)
            case _:
                return right()


def _raise() -> None:
    raise SimulatedFault("it fails")


@implementer(ICredentialSource)
class FickleSource(Moody):
    """Names and passwords."""

    def __init__(self, chance: Random, users: Users) -> None:
        super().__init__(chance)
        self._users = users

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        return self.answered(lambda: self._users.secret(username, realm, algorithm))


@implementer(IPolicy)
class FicklePolicy(BasePolicy, Moody):
    """Has nothing against anybody."""

    def __init__(self, chance: Random) -> None:
        Moody.__init__(self, chance)
        self.method = "admit"
        """The one that suffers."""

    def _of(self, method: str, right: object) -> Any:
        return self.answered(lambda: right) if method == self.method else right

    def admit(self, request: Request, flow: IFlow) -> Any:
        return self._of("admit", Admitted())

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> Any:
        return self._of("registration", terms)

    def route(self, request: Request, identity: Identity | None, routing: Routing) -> Any:
        return self._of("route", routing)


@implementer(ILocationStore, IExpiring)
class FickleStore(Moody):
    """A location store around a real one, ``inner``, which each start of the server has anew.

    A change that is in trouble may have come about or not, as with a database whose connection breaks.
    """

    inner: MemoryStore | SQLiteStore

    def lookup(self, aor: str) -> Any:
        if self.mood == "works":
            return self.inner.lookup(aor)
        if self._chance.random() < 0.5:
            return self.answered(lambda: self.inner.lookup(aor))
        found = self.inner.lookup(aor)
        return self.answered(lambda: found)  # as it was some time ago

    def replace(self, aor: str, bindings: tuple[Binding, ...], version: int) -> Any:
        inner = self.inner
        if self.mood == "works":
            return inner.replace(aor, bindings, version)
        if self._chance.random() < 0.5:
            return self.answered(lambda: inner.replace(aor, bindings, version))
        done: Deferred[Any] = maybeDeferred(inner.replace, aor, bindings, version)
        try:
            late = self.answered(lambda: done)
        except Exception:
            _ = done.addErrback(lambda _: None)
            raise
        if not isinstance(late, Deferred) or late is done:
            return late
        if self.mood != "slow":
            _ = done.addErrback(lambda _: None)
        return late

    def aors(self) -> Iterator[tuple[str, Snapshot]]:
        return self.inner.aors()

    def expire(self, now: float) -> int:
        return self.inner.expire(now)

    def forget(self, now: float) -> list[Forgotten]:
        return self.inner.forget(now)


class Disk:
    """The file of an SQLite store and the disk that it lies on, on the simulation's clock.

    It stands in the place of the store's reactor: each step of a commit is a turn of the disk, which takes ``latency``
    seconds. While it :meth:`fails`, somebody else holds the database's lock, and every commit fails.
    """

    has_threads = False

    def __init__(self, timeline: Timeline, path: Path) -> None:
        self.path = path
        self.latency = 0.0
        self._timeline = timeline
        self._owner = Owner()
        self._free_at = 0.0
        self._lock: sqlite3.Connection | None = None
        self._store: SQLiteStore | None = None

    def callFromThread(self, callable: Callable[..., object], *args: object) -> None:  # noqa: A002
        """Do it when the disk has come so far (:class:`sipframe.location.writer.CallsFromThread`)."""
        timeline = self._timeline
        # In the order in which it was asked, whatever the latency was then.
        self._free_at = max(self._free_at, timeline.now + self.latency)
        timeline.call_later(self._owner, self._free_at - timeline.now, callable, *args)

    def open(self, now: float) -> SQLiteStore:
        """A store on it, as a server that starts has one."""
        self.recover()
        self._owner, self._free_at = Owner(), 0.0
        # A lock of somebody else is not waited for: that would take real time.
        self._store = SQLiteStore(str(self.path), self, durability="process", lock_timeout=0.0)
        self._store.start(now)
        return self._store

    def fails(self) -> None:
        """From now on nothing can be written."""
        if self._lock is None:
            self._lock = sqlite3.connect(self.path, timeout=0.0, isolation_level=None)
            try:
                self._lock.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                self.recover()

    def recover(self) -> None:
        """It works, and is as fast as disks are."""
        self.latency = 0.0
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def close(self) -> Deferred[None] | None:
        """Close the store as a server does that stops."""
        store, self._store = self._store, None
        return None if store is None else store.close()

    def lose_power(self) -> None:
        """What was not written by now never will be; the system takes back what the process had open."""
        self._owner.dead = True
        store, self._store = self._store, None
        if store is not None and store._writer is not None:
            store._writer._connection.close()
            os.close(store._lock)


Suffering = Literal["source", "store", "policy"]
