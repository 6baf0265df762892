"""What a location store costs: microseconds of CPU per operation, octets per binding. Takes some 20 s.

    python benchmarks/bench_store.py [DIRECTORY]

The SQLite figures are for groups of 1, 30 and 300 changes per commit, with ``durability`` process and power, on the
disk of DIRECTORY (by default, of the folder for temporary files). CPU is that of the whole process, with the writer's
thread; ``reactor`` is the part that falls on the reactor's thread.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from queue import SimpleQueue

from sipframe.location import MemoryStore, SQLiteStore
from sipframe.location.sqlite import Durability
from sipframe.verdicts import Binding

MANY = 100_000
NOW = 1_800_000_000.0
HOUR = 3600


class Calls:
    """As much of a reactor as a store needs: calls that wait for :meth:`turn`."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[..., object], tuple[object, ...]]] = SimpleQueue()

    def callFromThread(self, callable: Callable[..., object], *args: object) -> None:  # noqa: A002
        self._calls.put((callable, args))

    def turn(self) -> None:
        call, args = self._calls.get()
        call(*args)


def aor(number: int) -> str:
    return f"sip:user{number}@biloxi.example.com"


def binding(number: int, moment: float, cseq: int) -> Binding:
    """A binding as a parser makes it: every string is its own."""
    return Binding(
        contact=f"sip:user{number}@192.0.2.{number % 250}:5060;transport=tcp",
        expires_at=moment + HOUR,
        call_id=f"{number:032x}@192.0.2.{number % 250}",
        cseq=cseq,
        registered_at=moment,
        instance_id=f'"<urn:uuid:00000000-0000-1000-8000-{number:012x}>"',
        reg_id=1,
        user_agent=f"Phone 4.{number % 7}",
        flow=f"TCP 192.0.2.1:5060 192.0.2.{number % 250}:5060 {number}",
    )


def table(title: str, rows: list[tuple[str, float, str]]) -> None:
    print(title)
    for name, figure, unit in rows:
        print(f"  {name:48} {figure:9.2f} {unit}")


def memory() -> None:
    rows = []
    for stored in (1_000, MANY):
        store = MemoryStore()
        for number in range(stored):
            store.replace(aor(number), (binding(number, NOW + number % HOUR, 1),), 0)
        names = [aor(number * 7919 % stored) for number in range(50_000)]
        fresh = [(binding(number, NOW + number % HOUR, 2),) for number in range(50_000)]
        start = time.process_time()
        for name in names:
            store.lookup(name)
        looked = time.process_time()
        for name, one in zip(names, fresh, strict=True):
            store.replace(name, one, store.lookup(name).version)
        replaced = time.process_time()
        rows.append((f"lookup, {stored:,} stored", (looked - start) / len(names) * 1e6, "us"))
        rows.append((f"lookup and replace, {stored:,} stored", (replaced - looked) / len(names) * 1e6, "us"))
    del names, fresh
    for _ in range(3):
        gc.collect()
    start = time.process_time()
    gc.collect()
    full = time.process_time() - start
    rows.append((f"a full garbage collection, {MANY:,} stored", full * 1e3, "ms"))
    worst, forgotten, began = 0.0, 0, time.process_time()
    while True:
        start = time.process_time()
        once = store.expire(NOW + 3 * HOUR)
        worst = max(worst, time.process_time() - start)
        forgotten += once
        if not once:
            break
    rows.append(("expire, per binding", (time.process_time() - began) / forgotten * 1e6, "us"))
    rows.append(("expire, the longest call (2,000 at once)", worst * 1e3, "ms"))
    table("memory", rows)


def octets() -> None:
    gc.collect()
    tracemalloc.start()
    store = MemoryStore()
    for number in range(MANY):
        store.replace(aor(number), (binding(number, NOW + number % HOUR, 1),), 0)
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    table("memory", [(f"per binding, {MANY:,} stored, its strings included", used / MANY, "octets")])


def sqlite(directory: str, durability: Durability, stored: int) -> None:
    rows = []
    calls = Calls()
    path = os.path.join(directory, f"{durability}.sqlite")
    store = SQLiteStore(path, calls, durability=durability)
    store.start(NOW)

    def change(number: int, cseq: int) -> None:
        name = aor(number)
        store.replace(name, (binding(number, NOW, cseq),), store.lookup(name).version)

    def commit() -> None:
        commits = store.commits
        while store.commits == commits:
            calls.turn()

    for first in range(0, stored, 1_000):
        for number in range(first, first + 1_000):
            change(number, 1)
        commit()
    for group, count in ((1, 500), (30, 6_000), (300, 15_000)):
        fresh = [(aor(number), (binding(number, NOW, 2),)) for number in range(count)]
        cpu, wall, own = time.process_time(), time.perf_counter(), time.thread_time()
        for first in range(0, count, group):
            for name, bindings in fresh[first : first + group]:
                store.replace(name, bindings, store.lookup(name).version)
            commit()
        rows.append((f"replace, groups of {group}: CPU", (time.process_time() - cpu) / count * 1e6, "us"))
        rows.append((f"replace, groups of {group}: reactor", (time.thread_time() - own) / count * 1e6, "us"))
        rows.append(
            (
                f"replace, groups of {group}: a commit takes",
                (time.perf_counter() - wall) / count * group * 1e3,
                "ms",
            )
        )
    close(store, calls)
    rows.append((f"the file, per binding, {stored:,} stored", os.path.getsize(path) / stored, "octets"))
    start = time.perf_counter()
    store.start(NOW)
    rows.append((f"start with {stored:,} stored", time.perf_counter() - start, "s"))
    close(store, calls)
    table(f"sqlite, durability {durability}", rows)


def close(store: SQLiteStore, calls: Calls) -> None:
    closed = store.close()
    while not closed.called:
        calls.turn()


if __name__ == "__main__":
    octets()
    memory()
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if sys.argv[1:] else None) as scratch:
        sqlite(scratch, "process", MANY)
        sqlite(scratch, "power", MANY // 5)
