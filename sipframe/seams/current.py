"""Who is asking just now: what a plug-in asks of another one is noted for the same request.

Rules: it is known while a plug-in is called, in its coroutine for as long as that runs, and where an answer that it
waited for reaches it. Where it is not known, nothing is noted. An attribute does for what answers at once; a context
variable, which coroutines inherit, is made only for what waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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

    @contextmanager
    def of(self, inquiry: Inquiry | None) -> Iterator[None]:
        """Run what waits, or has waited, for ``inquiry``."""
        token = self._inherited.set(inquiry)
        before, self.asking = self.asking, inquiry
        try:
            yield
        finally:
            self.asking = before
            self._inherited.reset(token)
