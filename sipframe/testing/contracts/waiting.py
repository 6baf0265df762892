"""A clock and a place for calls from threads, both moved by hand: what a plug-in under a contract has for a reactor.

Rules: nothing happens by itself. :meth:`HandReactor.turn` lets one more thing happen: a call that a thread has asked
for, or, when no thread has anything to say, what is next on the clock. Real time is waited for only while a thread
works; a test that passes never waits until :data:`LOST`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from inspect import iscoroutine
from queue import Empty, SimpleQueue
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.task import Clock
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

__all__ = ["HandReactor", "NothingLeft", "deferred_if_later"]

LOST: Final = 60.0
"""Seconds after which what a thread should have said counts as lost."""
UNTIL_THE_CLOCK: Final = 1.0
"""Seconds that threads have to say something before the clock is moved, where both could be what is waited for."""


class NothingLeft(Exception):
    """Nothing is on the clock and no thread is there: what is waited for can never come."""


@implementer(IReactorThreads)
class HandReactor(Clock):
    """IReactorTime and IReactorThreads, and of IReactorCore what a connection pool asks for.

    It begins at ``now``, and is a good wall clock as well.
    """

    def __init__(self, now: float) -> None:
        super().__init__()
        self.rightNow = now
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._others = set(threading.enumerate())
        self._pool: ThreadPool | None = None
        self.running = True

    def turn(self) -> None:
        """Let the next thing happen. Raises NothingLeft when there is none."""
        scheduled = self.getDelayedCalls()
        threads = any(thread.is_alive() for thread in set(threading.enumerate()) - self._others)
        patience = 0.0 if not threads else UNTIL_THE_CLOCK if scheduled else LOST
        try:
            call = self._calls.get(timeout=patience) if patience else self._calls.get_nowait()
        except Empty:
            if not scheduled:
                raise NothingLeft from None
            self.advance(max(0.0, min(one.getTime() for one in scheduled) - self.seconds()))
        else:
            call()

    def settle(self) -> None:
        """Let all happen that is there already; wait for nothing."""
        try:
            while True:
                self._calls.get_nowait()()
        except Empty:
            self.advance(0)

    def close(self) -> None:
        """End the threads of :meth:`getThreadPool`."""
        if self._pool is not None:
            self._pool.stop()
            self._pool = None

    # IReactorThreads

    def callFromThread(self, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None:  # noqa: A002
        """Have it called at one of the next turns. Any thread may ask."""
        self._calls.put(lambda: callable(*args, **kwargs))

    def callInThread(self, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None:  # noqa: A002
        """Call it in a thread."""
        self.getThreadPool().callInThread(callable, *args, **kwargs)

    def getThreadPool(self) -> ThreadPool:
        """A small pool, made when it is first asked for."""
        if self._pool is None:
            self._pool = ThreadPool(0, 4, name="contract")
            self._pool.start()
        return self._pool

    def suggestThreadPoolSize(self, size: int) -> None:
        """Not heeded."""

    # IReactorCore

    def callWhenRunning(self, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None:  # noqa: A002
        """It always runs."""
        callable(*args, **kwargs)

    def addSystemEventTrigger(self, *_: Any, **__: Any) -> object:
        """Nothing is ever triggered: the plug-in is closed instead."""
        return object()

    def removeSystemEventTrigger(self, triggerID: object) -> None:
        """As if there had been one."""


def deferred_if_later(answer: object) -> object:
    """A coroutine as a Deferred; a Deferred or a value as it is."""
    return Deferred.fromCoroutine(answer) if iscoroutine(answer) else answer
