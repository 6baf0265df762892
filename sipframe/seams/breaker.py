"""A circuit breaker: a plug-in that keeps failing is left alone for a while.

Rules: only what is answered 503 counts: time-outs and Unavailable. What is answered 500 neither counts nor ends a row:
it is a bug, it costs no waiting, and the request that sets it off may be anybody's; it must not shut out the others.
Nor does a question count that has failed while others were answered: what hangs for some is not to be shut to all.
Any answer closes the breaker. There is no timer: whoever asks after the time is the one that tries.
"""

from __future__ import annotations

__all__ = ["Breaker"]


class Breaker:
    """Closed, open until ``retry_at``, or open with one question let through (``probing``).

    ``failures`` in a row open it (0: never) for ``open_for`` seconds. Times are monotonic seconds.
    """

    __slots__ = ("answers", "closed", "failures", "open_for", "probing", "retry_at", "row")

    def __init__(self, failures: int, open_for: float) -> None:
        self.failures = failures
        self.open_for = open_for
        self.row = 0
        """Failures since the last answer."""
        self.answers = 0
        """How many answers there were; those that come at once, while nothing waits, are not counted."""
        self.closed = True
        self.probing = False
        self.retry_at = 0.0

    def missed(self, now: float) -> bool:
        """One more failure. True when it opens the breaker."""
        self.row += 1
        if not self.failures or self.row < self.failures:
            return False
        opens = self.closed
        self.closed = False
        if opens or self.probing:
            self.probing = False
            self.retry_at = now + self.open_for
        return opens

    def answered(self) -> bool:
        """There was an answer. True when it closes the breaker."""
        self.row = 0
        self.answers += 1
        closes = not self.closed
        self.closed = True
        self.probing = False
        return closes

    def lets_through(self, now: float) -> bool:
        """Whether a question may go through now. When the breaker is open, that question is the one that tries."""
        if self.closed:
            return True
        if self.probing or now < self.retry_at:
            return False
        self.probing = True
        return True

    def try_another(self) -> None:
        """Nobody will know what came of the question that tried: the next one may."""
        self.probing = False
