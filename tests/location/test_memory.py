"""The memory store against the contract of all stores."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from sipframe.location import MemoryStore
from sipframe.verdicts import Binding, Snapshot
from tests.location.contract import AOR, NOW, Opened, StoreContract, a_binding


class Plain:
    """The results of a memory store are plain already."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    def lookup(self, aor: str) -> Snapshot:
        return self.store.lookup(aor)

    def replace(self, aor: str, bindings: tuple[Binding, ...], version: int) -> bool:
        return self.store.replace(aor, bindings, version)

    def aors(self) -> Iterator[tuple[str, Snapshot]]:
        return self.store.aors()

    def expire(self, now: float) -> int:
        return self.store.expire(now)


class TestMemoryStore(StoreContract):
    @contextmanager
    def opened(self) -> Iterator[Opened]:
        yield Plain()


def test_a_call_of_expire_looks_at_no_more_than_it_was_told() -> None:
    store = MemoryStore(expire_at_once=3)
    for n in range(10):
        store.replace(f"sip:{n}@x", (a_binding(ends=NOW),), 0)
    assert [store.expire(NOW) for _ in range(5)] == [3, 3, 3, 1, 0]


def test_the_garbage_collector_passes_what_is_stored_by() -> None:
    store = MemoryStore()
    store.replace(AOR, (a_binding()._replace(path=("<sip:edge;lr>",)), a_binding("sip:2@x")), 0)
    for _ in range(3):  # from the inside out: a tuple is let go when nothing in it is watched
        gc.collect()
    entry = store._table.entry(AOR)
    assert not gc.is_tracked(entry)
    assert not any(map(gc.is_tracked, entry[1:]))
