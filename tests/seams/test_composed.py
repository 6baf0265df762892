"""A plug-in that asks another one: of the two, the one that hangs is the one that is too late."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from sipframe.interfaces import IComposed
from sipframe.seams import GuardedMethod, Inquiry, PluginLimits, Seam


class BusyClock(Clock):
    """Goes on by a millisecond whenever somebody looks at it, as where everything takes its time."""

    def seconds(self) -> float:
        self.rightNow += 0.001
        return self.rightNow


class Hanging:
    def secret(self) -> Deferred[object]:
        return Deferred()


@implementer(IComposed)
class Asking:
    def __init__(self, asked: GuardedMethod) -> None:
        self._asked = asked

    def authenticate(self) -> object:
        return self._asked.call()


def test_who_hangs_is_the_one_who_is_too_late() -> None:
    clock = BusyClock()
    seam = Seam(clock, PluginLimits(deadline=1.0, failures=100))
    hanging = seam.method(Hanging(), "secret")
    asking = seam.method(Asking(hanging), "authenticate")
    failures: list[str] = []

    def failed(inquiry: Inquiry, method: GuardedMethod, error: BaseException) -> None:
        failures.append(str(error))

    def then(inquiry: Inquiry, answer: Any) -> None:
        raise AssertionError("nobody answers")

    for _ in range(10):
        asking.ask((), Inquiry([]), then, failed)
    clock.pump([0.01] * 200)
    assert failures == ["no answer within 1.0 s"] * 10
    assert hanging.guard.breaker.row == 10
