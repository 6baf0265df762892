"""A location store that forgets everything when the process ends.

Rules: every answer is a plain value, at once. Its promise of durability is the life of the process.
"""

from __future__ import annotations

from collections.abc import Iterator

from zope.interface import implementer

from sipframe.interfaces import IExpiring, ILocationStore
from sipframe.location.table import BindingTable
from sipframe.verdicts import Binding, Forgotten, Snapshot

__all__ = ["MemoryStore"]


@implementer(ILocationStore, IExpiring)
class MemoryStore:
    """Bindings in memory only.

    ``expire_at_once`` bounds how many AORs one call of :meth:`expire` looks at.
    """

    def __init__(self, *, expire_at_once: int = 2_000) -> None:
        self._table = BindingTable()
        self._expire_at_once = expire_at_once

    def lookup(self, aor: str) -> Snapshot:
        """What ``aor`` has now, expired bindings possibly included."""
        return self._table.get(aor)

    def replace(self, aor: str, bindings: tuple[Binding, ...], version: int) -> bool:
        """Make ``bindings`` all that ``aor`` has, if its version is still ``version``; say whether that was so."""
        table = self._table
        if table.entry(aor)[0] != version:
            return False
        table.put(aor, bindings)
        return True

    def aors(self) -> Iterator[tuple[str, Snapshot]]:
        """Every AOR with what it has. The store may change meanwhile; what is gone when its turn comes is left out."""
        return iter(self._table)

    def expire(self, now: float) -> int:
        """Forget bindings that ended at or before ``now`` (wall-clock seconds); return how many.

        At most ``expire_at_once`` AORs are looked at, so that nobody waits for long; what is left over goes with the
        next call. Once a second is often enough to call it.
        """
        return sum([len(one.ended) for one in self.forget(now)])

    def forget(self, now: float) -> list[Forgotten]:
        """The same, and say what was forgotten of whom (IExpiring)."""
        found = self._table.expired(now, self._expire_at_once)
        for one in found:
            self._table.put(one.aor, one.left)
        return found
