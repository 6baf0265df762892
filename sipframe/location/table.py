"""All bindings in memory: what every stock store serves from.

Rules: plain values, no waiting, no I/O. Versions come from one counter, so that a version never comes back with other
bindings; an AOR that has none is not stored and has version 0. Each operation costs the same however many AORs are
stored.

What is kept is plain tuples of text and numbers, since the garbage collector of CPython passes those by (it never does
so with subclasses of tuple): 100,000 bindings as they came would stop the process for 50 ms and more now and then.
Making a Snapshot of them for each look-up costs less than a microsecond.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sipframe.location.expiry import ExpiryWheel, second_of
from sipframe.verdicts import NO_BINDINGS, Binding, Forgotten, Snapshot

__all__ = ["ABSENT", "BindingTable", "Entry", "bindings_of"]

Entry = tuple[Any, ...]
"""The version, then the fields of each binding as a tuple."""

ABSENT: Entry = (0,)

_ENDS = Binding._fields.index("expires_at")
_new = tuple.__new__  # what Binding._make does, without the detour


class BindingTable:
    """What each AOR has, and which of them expire when. ``version`` is the last one that was given."""

    def __init__(self, version: int = 0) -> None:
        self.version = version
        self._entries: dict[str, Entry] = {}
        self._wheel = ExpiryWheel()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, aor: str) -> Snapshot:
        """What ``aor`` has now."""
        entry = self._entries.get(aor)
        return NO_BINDINGS if entry is None else Snapshot(bindings_of(entry), entry[0])

    def entry(self, aor: str) -> Entry:
        """What ``aor`` has now, as it is kept; ABSENT when it has nothing."""
        return self._entries.get(aor, ABSENT)

    def put(self, aor: str, bindings: tuple[Binding, ...]) -> None:
        """Make ``bindings`` all that ``aor`` has, under a new version."""
        self.version = version = self.version + 1
        if len(bindings) == 1:
            self.restore(aor, (version, (*bindings[0],)))
        else:
            self.restore(aor, (version, *map(tuple, bindings)))

    def restore(self, aor: str, entry: Entry) -> None:
        """Make ``entry`` what ``aor`` has, version and all."""
        before = self._entries.get(aor)
        was = None if before is None else _first_end(before)
        if len(entry) > 1:
            self._entries[aor] = entry
            ends = _first_end(entry)
            if ends != was:
                if was is not None:
                    self._wheel.remove(aor, was)
                self._wheel.add(aor, ends)
        elif was is not None:
            del self._entries[aor]
            self._wheel.remove(aor, was)

    def expired(self, now: float, most: int) -> list[Forgotten]:
        """What has ended at ``now``, and what remains of the same AORs. Looks at ``most`` AORs at most."""
        found = []
        for aor in self._wheel.due(now, most):
            entry = self._entries[aor]
            left = [fields for fields in entry[1:] if fields[_ENDS] > now]
            if len(left) < len(entry) - 1:
                ended = [fields for fields in entry[1:] if not fields[_ENDS] > now]
                found.append(Forgotten(aor, bindings_of((0, *ended)), bindings_of((0, *left))))
        return found

    def __iter__(self) -> Iterator[tuple[str, Snapshot]]:
        """Every AOR that was there at the start and still is when its turn comes, as it is then."""
        for aor in list(self._entries):
            entry = self._entries.get(aor)
            if entry is not None:
                yield aor, Snapshot(bindings_of(entry), entry[0])


def bindings_of(entry: Entry) -> tuple[Binding, ...]:
    """The bindings of an entry."""
    if len(entry) == 2:
        return (_new(Binding, entry[1]),)
    return tuple([_new(Binding, fields) for fields in entry[1:]])


def _first_end(entry: Entry) -> int:
    """The second in which the first of the bindings of ``entry`` ends; there must be one."""
    if len(entry) == 2:
        return second_of(entry[1][_ENDS])
    return second_of(min([fields[_ENDS] for fields in entry[1:]]))
