"""Who is asking just now: what a plug-in asks of another one is noted for the same request.

Rules: it is known while a plug-in is called, in its coroutine for as long as that runs, and where an answer that it
waited for reaches it. Where it is not known, nothing is noted. An attribute does for what answers at once; a context
variable, which coroutines inherit, is made only for what waits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token

from sipframe.seams.inquiry import Inquiry

__all__ = ["Current"]


class Current:
    """The inquiry that the code which runs works for. ``asking`` is that of the call that has not returned yet."""

    __slots__ = ("_inherited", "asking", "inherited")

    def __init__(self) -> None:
        self.asking: Inquiry | None = None
        self._inherited: ContextVar[Inquiry | None] = ContextVar("inquiry", default=None)
        self.inherited: Callable[[], Inquiry | None] = self._inherited.get
        """Whose coroutine the code that runs belongs to, or was called by."""

    def get(self) -> Inquiry | None:
        """What a coroutine inherited is its own, whatever has resumed it."""
        return self.inherited() or self.asking

    def of(self, inquiry: Inquiry | None) -> _Working:
        """Run what waits, or has waited, for ``inquiry``: a context manager, to be used once."""
        return _Working(self, self._inherited, inquiry)


class _Working:
    """While it lasts, the code that runs works for one inquiry. A generator would cost each answer that waits."""

    __slots__ = ("_before", "_current", "_inherited", "_inquiry", "_token")

    def __init__(
        self, current: Current, inherited: ContextVar[Inquiry | None], inquiry: Inquiry | None
    ) -> None:
        self._current = current
        self._inherited = inherited
        self._inquiry = inquiry

    def __enter__(self) -> None:
        current = self._current
        self._token: Token[Inquiry | None] = self._inherited.set(self._inquiry)
        self._before, current.asking = current.asking, self._inquiry

    def __exit__(self, *failure: object) -> None:
        self._current.asking = self._before
        self._inherited.reset(self._token)
