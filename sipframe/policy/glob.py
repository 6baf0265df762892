"""Patterns in which ``*`` stands for any text.

Rules: nothing but ``*`` is special, upper and lower case are the same, and no pattern takes more than one pass over the
text, whatever a peer sends.
"""

from __future__ import annotations

__all__ = ["Glob"]


class Glob:
    """One pattern, such as ``*friendly-scanner*``."""

    __slots__ = ("_first", "_last", "_middle", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._first, *rest = pattern.lower().split("*")
        self._last = rest.pop() if rest else None
        self._middle = [part for part in rest if part]

    def matches(self, lower: str) -> bool:
        """Whether the pattern fits the whole of ``lower``, a text in lower case."""
        if self._last is None:
            return lower == self._first
        if not lower.startswith(self._first):
            return False
        at = len(self._first)
        for part in self._middle:
            # The first place that fits leaves the most for the parts behind it: there is no way back to try.
            at = lower.find(part, at)
            if at < 0:
                return False
            at += len(part)
        return len(lower) - len(self._last) >= at and lower.endswith(self._last)
