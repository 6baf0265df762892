"""A reactor that only has calls from threads, made when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")
HUNG = 120.0
"""Seconds after which a call that should have come counts as lost; a test that passes never waits for it."""


class Calls:
    """What :class:`sipframe.location.writer.CallsFromThread` asks for."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[..., object], tuple[object, ...]]] = SimpleQueue()

    def callFromThread(self, callable: Callable[..., object], *args: object) -> None:  # noqa: A002
        self._calls.put((callable, args))

    def turn(self) -> None:
        """Make the next call, when it comes."""
        call, args = self._calls.get(timeout=HUNG)
        call(*args)

    def result(self, answer: Deferred[T]) -> T:
        """The value of ``answer``, or its exception raised, after as many turns as it takes."""
        results: list[T | Failure] = []
        _ = answer.addBoth(results.append)
        while not results:
            self.turn()
        if isinstance(results[0], Failure):
            results[0].raiseException()
            raise AssertionError
        return results[0]
