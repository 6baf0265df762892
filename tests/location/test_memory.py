"""The memory store: the contract of all stores, and how much is done at once."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from sipframe.location import MemoryStore
from sipframe.testing.contracts import LocationStoreContract
from tests.location.bindings import AOR, NOW, a_binding


class TestMemoryStore(LocationStoreContract):
    def open_store(self, place: Path) -> MemoryStore:
        return MemoryStore()


def test_a_call_of_expire_looks_at_no_more_than_it_was_told() -> None:
    store = MemoryStore(expire_at_once=3)
    for n in range(10):
        store.replace(f"sip:{n}@x", (a_binding(ends=NOW),), 0)
    assert [store.expire(NOW) for _ in range(5)] == [3, 3, 3, 1, 0]


@pytest.mark.parametrize("ends", [float("inf"), NOW + 2**40])
def test_what_never_ends_stays(ends: float) -> None:
    store = MemoryStore()
    store.replace(AOR, (a_binding(ends=ends),), 0)
    assert store.expire(NOW + 2**32) == 0
    assert store.lookup(AOR).bindings == (a_binding(ends=ends),)


def test_the_garbage_collector_passes_what_is_stored_by() -> None:
    store = MemoryStore()
    store.replace(AOR, (a_binding()._replace(path=("<sip:edge;lr>",)), a_binding("sip:2@x")), 0)
    for _ in range(3):  # from the inside out: a tuple is let go when nothing in it is watched
        gc.collect()
    entry = store._table.entry(AOR)
    assert not gc.is_tracked(entry)
    assert not any(map(gc.is_tracked, entry[1:]))
