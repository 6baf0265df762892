"""All that is asked about one request: the steps so far, and the question that waits for its answer.

Rules: a step holds no credential: names, kinds, numbers and words that are meant to be read. What is costly to put into
words is put into words when somebody reads it (:data:`~sipframe.decisions.Detail`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipframe.decisions import Detail, RawStep

if TYPE_CHECKING:
    from sipframe.message import Request
    from sipframe.seams.guard import GuardedMethod, Question

__all__ = ["Inquiry"]


class Inquiry:
    """What a core knows of one request while it asks; a core's own inherits from it.

    ``asked`` is what was asked last, ``since`` when (monotonic seconds). ``aor`` is the canonical AOR, None as long as
    nobody has looked.
    """

    __slots__ = ("aor", "asked", "question", "since", "steps", "told")

    def __init__(self, steps: list[RawStep], aor: str | None = None) -> None:
        self.steps = steps
        self.aor = aor
        self.asked: GuardedMethod | None = None
        self.since = 0.0
        self.question: Question[Any] | None = None
        """What has not been answered yet."""
        self.told: BaseException | None = None
        """A failure that another plug-in than the one that was asked has answered for already."""

    def note(self, name: str, verdict: str, detail: Detail, now: float) -> None:
        """The plug-in's method ``name``, asked at ``since``, has given its verdict at ``now``."""
        self.steps.append((name, verdict, detail, now - self.since))

    def rule(self, rule: str, verdict: str, detail: Detail) -> None:
        """A rule of the server's own has been applied."""
        self.steps.append((rule, verdict, detail, 0.0))

    def cancelled(self, cancel: Request) -> bool:
        """Its request is cancelled. Whether that is seen to; else the request is answered 487 (RFC 3261 9.2)."""
        return False

    def abandon(self) -> None:
        """Nobody wants the answer any more: cancel what is asked."""
        if self.question is not None:
            self.question.abandon()
