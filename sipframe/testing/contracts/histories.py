"""Histories of compare-and-set, and whether one order of what happened explains all that was answered.

Rules: pure. A history is about one key. What is at the key is a number, its state: 0 at first, and each write brings
one of its own. A write says which state it takes the place of. Linearisability (Herlihy and Wing, "Linearizability: A
Correctness Condition for Concurrent Objects", 1990): every call takes effect at one moment between its beginning and
its end; a call without an answer may take effect at any moment after its beginning, or never.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

__all__ = ["Read", "Write", "explained"]


class Write(NamedTuple):
    """A replace. ``done`` is what it answered, None when it has not."""

    expected: int
    state: int
    done: bool | None
    begun: float
    ended: float = inf


class Read(NamedTuple):
    """A look-up that found ``state``."""

    state: int
    begun: float
    ended: float = inf


def explained(history: Sequence[Read | Write], state: int = 0) -> bool:
    """Whether some order of ``history`` is one that could have happened, from ``state`` on."""
    seen: set[tuple[int, frozenset[int]]] = set()

    def possible(state: int, left: frozenset[int]) -> bool:
        if (state, left) in seen:
            return False
        seen.add((state, left))
        answered = [history[number].ended for number in left if _answered(history[number])]
        if not answered:
            return True  # what is left may never have happened
        # The first of them to take effect began before any of them had ended.
        first = min(answered)
        for number in left:
            one = history[number]
            if one.begun > first:
                continue
            rest = left - {number}
            if isinstance(one, Read):
                if one.state == state and possible(state, rest):
                    return True
            elif one.expected == state:
                if one.done is not False and possible(one.state, rest):
                    return True
            elif one.done is False and possible(state, rest):
                return True
        return False

    return possible(state, frozenset(range(len(history))))


def _answered(one: Read | Write) -> bool:
    return isinstance(one, Read) or one.done is not None
