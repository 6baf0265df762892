"""A plug-in that answers when the test says so, and somebody who asks it through a guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from sipframe.events import Event, Events
from sipframe.seams import GuardedMethod, Inquiry, PluginLimits, Seam

__all__ = ["Asked", "PlugIn", "World"]


class Asked(Inquiry):
    """One question, by its number; ``outcomes`` is what came of it."""

    __slots__ = ("number", "outcomes")

    def __init__(self, number: int) -> None:
        super().__init__([])
        self.number = number
        self.outcomes: list[object] = []


class PlugIn:
    """``answer`` makes the answers; without it each waits in ``waiting``, by its number, until the test gives it."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.cancelled: list[int] = []
        self.waiting: dict[int, Deferred[Any]] = {}
        self.answer: Callable[[int], object] = self.wait
        self.most = 0

    def ask(self, number: int) -> object:
        self.asked.append(number)
        return self.answer(number)

    def wait(self, number: int) -> Deferred[Any]:
        def cancel(_: Deferred[Any]) -> None:
            self.cancelled.append(number)
            del self.waiting[number]

        one = self.waiting[number] = Deferred(cancel)
        self.most = max(self.most, len(self.waiting))
        return one

    def give(self, number: int, value: object = "x") -> None:
        self.waiting.pop(number).callback(value)

    def fail(self, number: int, error: Exception) -> None:
        self.waiting.pop(number).errback(error)


class World:
    """A guarded plug-in on a clock."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.happened: list[Event] = []
        self.events = Events()
        _ = self.events.subscribe(self.happened.append)
        self.seam = Seam(self.clock, PluginLimits(**limits), self.events)
        self.plug_in = PlugIn()
        self.method: GuardedMethod = self.seam.method(self.plug_in, "ask")
        self.guard = self.method.guard
        self.questions: list[Asked] = []

    def ask(self, count: int = 1) -> Asked:
        """Ask so many times; the last question."""
        for _ in range(count):
            asked = Asked(len(self.questions))
            self.questions.append(asked)
            self.method.ask((asked.number,), asked, self.then, self.failed)
        return self.questions[-1]

    def then(self, asked: Asked, answer: object) -> None:
        asked.outcomes.append(answer)

    def failed(self, asked: Asked, method: GuardedMethod, error: BaseException) -> None:
        asked.outcomes.append(error)

    def kinds(self) -> list[object]:
        """What came of each question: the answer, the exception's class, or None."""
        found: list[object] = []
        for one in self.questions:
            assert len(one.outcomes) <= 1
            outcome = one.outcomes[0] if one.outcomes else None
            found.append(type(outcome) if isinstance(outcome, BaseException) else outcome)
        return found

    def names(self) -> list[str]:
        return [one.name for one in self.happened]
