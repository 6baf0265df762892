"""Location stores to try the contracts on: three that keep theirs, and many that each break one rule."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from sipframe.interfaces import ILocationStore
from sipframe.verdicts import NO_BINDINGS, Binding, Snapshot

Bindings = tuple[Binding, ...]


@implementer(ILocationStore)
class PlainStore:
    """A dictionary, and a counter for versions."""

    def __init__(self) -> None:
        self.table: dict[str, Snapshot] = {}
        self.version = 0

    def lookup(self, aor: str) -> object:
        return self.table.get(aor, NO_BINDINGS)

    def replace(self, aor: str, bindings: Bindings, version: int) -> object:
        if self.table.get(aor, NO_BINDINGS).version != version:
            return False
        self.put(aor, bindings)
        return True

    def put(self, aor: str, bindings: Bindings) -> None:
        self.version += 1
        self.table[aor] = Snapshot(bindings, self.version)
        if not bindings:
            del self.table[aor]

    def aors(self) -> object:
        return list(self.table.items())

    def expire(self, now: float) -> object:
        forgotten = 0
        for aor, snapshot in list(self.table.items()):
            left = tuple(one for one in snapshot.bindings if one.expires_at > now)
            forgotten += len(snapshot.bindings) - len(left)
            if left != snapshot.bindings:
                self.put(aor, left)
        return forgotten


class FileStore(PlainStore):
    """The same, written to a file before anyone is told."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        if path.exists():
            self.table, self.version = pickle.loads(path.read_bytes())

    def put(self, aor: str, bindings: Bindings) -> None:
        super().put(aor, bindings)
        self.save()

    def save(self) -> None:
        beside = self.path.with_suffix(".new")
        _ = beside.write_bytes(pickle.dumps((self.table, self.version)))
        os.replace(beside, self.path)


class SlowStore(PlainStore):
    """The same, with answers that take their time, the later ones less than the earlier."""

    def __init__(self, reactor: IReactorTime) -> None:
        super().__init__()
        self.reactor = reactor
        self.delay = 9.0

    def later(self, function: Callable[[], object]) -> Deferred[object]:
        answer: Deferred[object] = Deferred()
        self.delay = self.delay / 2
        self.reactor.callLater(self.delay, lambda: answer.callback(function()))
        return answer

    def lookup(self, aor: str) -> object:
        return self.later(lambda: self.table.get(aor, NO_BINDINGS))

    async def replace(self, aor: str, bindings: Bindings, version: int) -> object:
        return await self.later(lambda: PlainStore.replace(self, aor, bindings, version))


# Those that break a rule.


class LosesUpdates(PlainStore):
    """The last one wins."""

    def replace(self, aor: str, bindings: Bindings, version: int) -> object:
        self.put(aor, bindings)
        return True


class LooksThenLeaps(SlowStore):
    """The version is compared at once, and the change is made later."""

    def replace(self, aor: str, bindings: Bindings, version: int) -> object:  # type: ignore[override]
        if self.table.get(aor, NO_BINDINGS).version != version:
            return False

        def put() -> bool:
            self.put(aor, bindings)
            return True

        return self.later(put)


class SaysNoButDoes(PlainStore):
    """It refuses, and changes all the same."""

    def replace(self, aor: str, bindings: Bindings, version: int) -> object:
        done = self.table.get(aor, NO_BINDINGS).version == version
        self.put(aor, bindings)
        return done


class CountsAsVersion(PlainStore):
    """The number of bindings is the version."""

    def put(self, aor: str, bindings: Bindings) -> None:
        super().put(aor, bindings)
        if bindings:
            self.table[aor] = Snapshot(bindings, len(bindings))


class ExpiresInSilence(PlainStore):
    """What expires leaves the version as it was."""

    def expire(self, now: float) -> object:
        versions = {aor: snapshot.version for aor, snapshot in self.table.items()}
        forgotten = super().expire(now)
        for aor, snapshot in self.table.items():
            self.table[aor] = snapshot._replace(version=versions[aor])
        return forgotten


class ExpiresTooEarly(PlainStore):
    """What ends within the second has ended."""

    def expire(self, now: float) -> object:
        return super().expire(now + 1)


class IgnoresCase(PlainStore):
    """AORs that differ by case are one."""

    def lookup(self, aor: str) -> object:
        return super().lookup(aor.lower())

    def replace(self, aor: str, bindings: Bindings, version: int) -> object:
        return super().replace(aor.lower(), bindings, version)


class DropsPath(PlainStore):
    """It has no column for Path."""

    def put(self, aor: str, bindings: Bindings) -> None:
        super().put(aor, tuple(one._replace(path=()) for one in bindings))


class RoundsTime(PlainStore):
    """Its column for times holds whole seconds."""

    def put(self, aor: str, bindings: Bindings) -> None:
        super().put(aor, tuple(one._replace(expires_at=float(int(one.expires_at))) for one in bindings))


class OnlyUnicode(PlainStore):
    """It encodes what is no text."""

    def put(self, aor: str, bindings: Bindings) -> None:
        _ = repr(bindings).encode(), aor.encode(), "".join(one.contact for one in bindings).encode()
        super().put(aor, bindings)


class GivesLists(PlainStore):
    """Its snapshots can be changed."""

    def lookup(self, aor: str) -> object:
        snapshot = self.table.get(aor, NO_BINDINGS)
        return snapshot._replace(bindings=list(snapshot.bindings))  # type: ignore[arg-type]


class NeverAnswers(PlainStore):
    """Its answers are lost on the way."""

    def replace(self, aor: str, bindings: Bindings, version: int) -> object:
        return Deferred()


class IteratesLive(PlainStore):
    """It falls over its own changes."""

    def aors(self) -> object:
        return iter(self.table.items())


class Forgets(FileStore):
    """It never writes."""

    def save(self) -> None:
        return None


class AcknowledgesFirst(FileStore):
    """It writes a moment after it has said that it has."""

    def __init__(self, path: Path, reactor: IReactorTime) -> None:
        super().__init__(path)
        self.reactor = reactor

    def save(self) -> None:
        self.reactor.callLater(0.01, super().save)

    def close(self) -> None:
        super().save()


class WritesPiecemeal(FileStore):
    """It writes one binding after the other, each in a turn of its own."""

    def __init__(self, path: Path, reactor: IReactorTime) -> None:
        super().__init__(path)
        self.reactor = reactor

    def replace(self, aor: str, bindings: Bindings, version: int) -> object:
        if self.table.get(aor, NO_BINDINGS).version != version:
            return False
        answer: Deferred[bool] = Deferred()

        def put(count: int) -> None:
            self.put(aor, bindings[:count])
            if count >= len(bindings):
                answer.callback(True)
            else:
                self.reactor.callLater(0.01, put, count + 1)

        put(min(1, len(bindings)))
        return answer
