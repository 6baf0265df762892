"""The order of SRV records: by priority, and by chance in proportion to their weights (RFC 2782, "Usage rules").

Rules: pure; chance is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate

from sipframe.transport.locating.records import SRV

__all__ = ["in_order"]


def in_order(records: Iterable[SRV], chance: Callable[[int], int]) -> list[SRV]:
    """All of ``records``, the first one to be tried first. ``chance(n)`` gives each of 0 to n-1 as likely."""
    by_priority: dict[int, list[SRV]] = {}
    for record in records:
        by_priority.setdefault(record.priority, []).append(record)
    ordered: list[SRV] = []
    for priority in sorted(by_priority):
        left = by_priority[priority]
        # Those of weight 0 stand first, in any order: in another one each time, so that they are alike as well.
        without = [record for record in left if not record.weight]
        left = [without.pop(chance(len(without))) for _ in range(len(without))] + [
            record for record in left if record.weight
        ]
        total = sum([record.weight for record in left])
        while len(left) > 1:
            limit = chance(total + 1)
            running = accumulate([record.weight for record in left])
            chosen = left.pop(next(place for place, weight in enumerate(running) if weight >= limit))
            total -= chosen.weight
            ordered.append(chosen)
        ordered += left
    return ordered
