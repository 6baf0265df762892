"""Which AORs have something to forget, and when: a wheel of whole seconds, without a timer.

Rules: an AOR stands in exactly one second, that of its earliest binding, so nothing stale piles up however often it
is refreshed. Joining and leaving cost the same whether ten AORs are stored or a million. :meth:`ExpiryWheel.due`
looks at no more AORs than it is told to.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import islice

__all__ = ["ExpiryWheel", "second_of"]

_NEVER = 2**62


def second_of(moment: float) -> int:
    """The whole second that ``moment`` falls in; infinity and what is no number at all come at the end of time."""
    if -_NEVER < moment < _NEVER:
        return int(moment // 1)
    return -_NEVER if moment < 0 else _NEVER


class ExpiryWheel:
    """AORs by the second in which the first of their bindings ends."""

    def __init__(self) -> None:
        self._aors: dict[int, set[str]] = {}
        self._order: list[int] = []
        """A heap of all seconds in ``_aors``, and of some that have been emptied since."""

    def add(self, aor: str, second: int) -> None:
        """Put ``aor`` into ``second``; it must not stand in another."""
        aors = self._aors.get(second)
        if aors is not None:
            aors.add(aor)
            return
        self._aors[second] = {aor}
        heappush(self._order, second)
        if len(self._order) > 2 * len(self._aors) + 64:
            self._order = list(self._aors)
            heapify(self._order)

    def remove(self, aor: str, second: int) -> None:
        """Take ``aor`` out of ``second``, where it stands."""
        aors = self._aors[second]
        aors.remove(aor)
        if not aors:
            del self._aors[second]

    def due(self, now: float, most: int) -> list[str]:
        """Up to ``most`` AORs whose second has begun at ``now``, earliest first. They stay until they are removed."""
        found: list[str] = []
        seen: list[int] = []
        last = second_of(now)
        while self._order and self._order[0] <= last and len(found) < most:
            second = heappop(self._order)
            while self._order and self._order[0] == second:
                heappop(self._order)
            aors = self._aors.get(second)
            if aors is not None:
                found += islice(aors, most - len(found))
                seen.append(second)
        for second in seen:
            heappush(self._order, second)
        return found
