"""Answers that are remembered until their time is over.

Rules: no clock of its own and no timer: what is over is found out when someone asks. When it is full, what nobody has
asked for longest is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from sipframe.transport.locating.records import Answer, Question

__all__ = ["AnswerCache"]


class AnswerCache:
    """``most`` answers at most; ``seconds()`` is a clock that never goes back."""

    def __init__(self, most: int, seconds: Callable[[], float]) -> None:
        self._most = most
        self._seconds = seconds
        self._answers: OrderedDict[Question, tuple[float, Answer]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, question: Question) -> Answer | None:
        """What is remembered, if it still holds."""
        found = self._answers.get(question)
        if found is None:
            return None
        if found[0] <= self._seconds():
            del self._answers[question]
            return None
        self._answers.move_to_end(question)
        return found[1]

    def put(self, question: Question, answer: Answer, ttl: float) -> None:
        """Remember an answer for ``ttl`` seconds."""
        self._answers.pop(question, None)
        if ttl <= 0:
            return
        while len(self._answers) >= self._most:
            _ = self._answers.popitem(last=False)
        self._answers[question] = (self._seconds() + ttl, answer)
