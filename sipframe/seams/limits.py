"""What one method of a plug-in may cost: the limits of a guard, each with its default.

Rules: every limit has a name here and a setting. 0 switches a limit off where that makes sense.
"""

from __future__ import annotations

import attrs

__all__ = ["PluginLimits"]


@attrs.frozen(kw_only=True)
class PluginLimits:
    """For each method of a plug-in: how long it may take, how often it may be asked at once, when it is left alone."""

    deadline: float = attrs.field(default=5.0, validator=attrs.validators.gt(0))
    """Seconds from the question to the answer, waiting for a place included."""
    in_flight: int = attrs.field(default=512, validator=attrs.validators.ge(0))
    """Calls that may wait for their answer at the same time; 0: any number."""
    queue: int = attrs.field(default=4096, validator=attrs.validators.ge(0))
    """Questions that may wait for a place when all are taken; the next one has failed at once. Of those that wait for
    the answer to somebody else's look-up there may be as many again."""
    failures: int = attrs.field(default=5, validator=attrs.validators.ge(0))
    """Answers 503 in a row that open the breaker: time-outs and Unavailable; 0: it never opens. One that was asked
    before the last answer does not count."""
    open_for: float = attrs.field(default=10.0, validator=attrs.validators.gt(0))
    """Seconds that an open breaker lets nothing through; then one question is let through to try."""

    @property
    def composed(self) -> PluginLimits:
        """The same for a plug-in that asks others which are guarded themselves: their trouble is not its own.

        It has a tenth more time. Otherwise chance would say which of the two is too late, and the one that hangs would
        as often as not be cancelled before its own guard has seen that it does.
        """
        return attrs.evolve(self, deadline=1.1 * self.deadline, in_flight=0, failures=0)
