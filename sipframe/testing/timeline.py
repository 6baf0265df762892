"""Time that stands still until it is told to move, and what happens at each moment of it.

Rules: nothing here looks at a real clock. What is due at one moment happens in the order in which it was asked for;
time moves from one moment at which something is due to the next, so that nothing ever happens late. What raises is
logged, as a reactor does it, and the rest goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

__all__ = ["Owner", "Restless", "ScheduledCall", "Timeline"]

_log = Logger()

MOST_AT_ONCE: Final = 1_000_000


class Restless(Exception):
    """So much happens without time passing that it will not end."""


class Owner:
    """Whoever has calls on a timeline; once it is ``dead`` none of them happens."""

    dead = False


@implementer(IDelayedCall)
class ScheduledCall:
    """A call that is to happen at some moment."""

    __slots__ = ("_arguments", "_function", "_keywords", "_state", "_timeline", "entry", "owner", "time")

    def __init__(
        self,
        timeline: Timeline,
        time: float,
        owner: Owner,
        function: Callable[..., object],
        arguments: tuple[Any, ...],
        keywords: dict[str, Any],
    ) -> None:
        self._timeline = timeline
        self._function = function
        self._arguments = arguments
        self._keywords = keywords
        self._state = ""
        self.time = time
        self.owner = owner
        self.entry = 0
        """Which entry of the timeline is this call's; those that were moved away have others."""

    def active(self) -> bool:
        """Whether it is still to come."""
        return not self._state

    def getTime(self) -> float:
        """The moment, in seconds."""
        return self.time

    def cancel(self) -> None:
        """Let it not happen. Raises AlreadyCalled or AlreadyCancelled."""
        self._must_be_active()
        self._state = "cancelled"
        self.entry = 0
        del self._function, self._arguments, self._keywords

    def reset(self, secondsFromNow: float) -> None:
        """Have it happen so many seconds from now. Raises AlreadyCalled or AlreadyCancelled."""
        self._must_be_active()
        self.time = self._timeline.now + secondsFromNow
        self._timeline.file(self)

    def delay(self, secondsLater: float) -> None:
        """Have it happen so many seconds later than it would. Raises AlreadyCalled or AlreadyCancelled."""
        self._must_be_active()
        self.time += secondsLater
        self._timeline.file(self)

    def happen(self) -> None:
        """For the timeline alone."""
        self._state = "called"
        self._function(*self._arguments, **self._keywords)

    def __repr__(self) -> str:
        function = getattr(self, "_function", None)
        name = getattr(function, "__qualname__", function)
        return f"<{self._state or 'waiting'} call of {name} at {self.time:g} s>"

    def _must_be_active(self) -> None:
        if self._state == "called":
            raise AlreadyCalled
        if self._state:
            raise AlreadyCancelled


class Timeline:
    """One time for all that takes part in a test. It begins at 0."""

    def __init__(self) -> None:
        self.now = 0.0
        """Seconds since it began."""
        self._due: list[tuple[float, int, ScheduledCall]] = []
        self._soon: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._entries = count(1)
        self.running = False
        """Whether something is happening right now, which cannot move time."""

    # To have something happen.

    def call_later(
        self, owner: Owner, delay: float, function: Callable[..., object], *arguments: Any, **keywords: Any
    ) -> ScheduledCall:
        """Call ``function`` ``delay`` seconds from now, unless ``owner`` is dead by then."""
        call = ScheduledCall(self, self.now + delay, owner, function, arguments, keywords)
        self.file(call)
        return call

    def file(self, call: ScheduledCall) -> None:
        """For calls alone: put one where its time is."""
        call.entry = entry = next(self._entries)
        heappush(self._due, (call.time, entry, call))

    def soon(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call ``function`` at this moment, after what is under way."""
        self._soon.append((function, arguments))

    # To have time pass.

    def settle(self) -> None:
        """Let all happen that is due now, and what follows from it, until nothing is. Raises :class:`Restless`."""
        if self.running:
            raise RuntimeError("time cannot be moved by what happens in it")
        self.running = True
        soon = self._soon
        left = MOST_AT_ONCE
        try:
            while left:
                while soon and left:
                    left -= 1
                    function, arguments = soon.popleft()
                    try:
                        function(*arguments)
                    except Exception:
                        _log.failure("a call on the test's reactor failed")
                call = self._take(self.now)
                if call is None:
                    if not soon:
                        return
                    continue
                left -= 1
                try:
                    call.happen()
                except Exception:
                    _log.failure("a call on the test's reactor failed")
        finally:
            self.running = False
        raise Restless(f"{MOST_AT_ONCE} calls at {self.now:g} s, and no end of them")

    def advance(self, seconds: float) -> None:
        """Let time pass, moment by moment. Raises ValueError when it would go back."""
        if not seconds >= 0:
            raise ValueError(f"time goes forward, not by {seconds}")
        until = self.now + seconds
        self.settle()
        while (moment := self.next_moment()) is not None and moment <= until:
            self.now = moment
            self.settle()
        self.now = max(self.now, until)

    def step(self, until: float) -> bool:
        """Settle, then go to the next moment at which something is due and let that happen.

        Says False when there is none up to ``until``, which it is then.
        """
        self.settle()
        moment = self.next_moment()
        if moment is None or moment > until:
            self.now = max(self.now, until)
            return False
        self.now = moment
        self.settle()
        return True

    def next_moment(self) -> float | None:
        """When something is due next; None when nothing is."""
        due = self._due
        while due:
            time, entry, call = due[0]
            if call.entry == entry and not call.owner.dead:
                return max(time, self.now)
            heappop(due)
        return None

    def waiting(self, owner: Owner) -> list[ScheduledCall]:
        """The calls of ``owner`` that are still to come, the soonest first."""
        found = [entry for entry in self._due if entry[2].owner is owner and entry[2].entry == entry[1]]
        return [call for _, _, call in sorted(found)]

    def _take(self, until: float) -> ScheduledCall | None:
        due = self._due
        while due:
            time, entry, call = due[0]
            if call.entry != entry or call.owner.dead:
                heappop(due)
            elif time <= until:
                heappop(due)
                return call
            else:
                return None
        return None
