"""Timers: how long they are (RFC 3261 17, table 4), and the queues that make them cheap.

Rules: a queue holds timers of one length, so the first in is the first due: starting and cancelling one
take the same time however many there are. All queues together have **one** ``callLater``, for the earliest timer. A
timer never fires early by more than a microsecond, and late only by the queues' ``slack`` (or a busy reactor).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from math import inf
from typing import Final, Protocol

import attrs

from sipframe.transaction import machine as on

__all__ = ["Clock", "TimerOwner", "TimerQueue", "TimerQueues", "TimerSettings", "TransactionTimers"]

_EARLY: Final = 1e-6  # seconds; a sum of floats may fall short of what it stands for


class DelayedCall(Protocol):
    """What :meth:`Clock.callLater` returns."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """The part of a reactor that timers need; ``twisted.internet.task.Clock`` is one."""

    def seconds(self) -> float: ...

    def callLater(self, delay: float, callable: Callable[..., object], /, *args: object) -> DelayedCall: ...  # noqa: A002


class TimerOwner(Protocol):
    """Whoever starts timers."""

    def fired(self, event: str) -> None:
        """The timer named ``event`` has fired."""


@attrs.frozen
class TimerSettings:
    """The timer values of RFC 3261 17. Seconds."""

    t1: float = attrs.field(default=0.5, validator=attrs.validators.gt(0))
    """The round-trip time estimate (RFC 3261 17.1.1.1)."""
    t2: float = attrs.field(default=4.0, validator=attrs.validators.gt(0))
    """The longest interval between retransmissions, except of an INVITE (RFC 3261 17.1.2.2)."""
    t4: float = attrs.field(default=5.0, validator=attrs.validators.gt(0))
    """How long the network keeps a message (RFC 3261 17.1.2.2)."""
    timer_d: float = attrs.field(default=32.0, validator=attrs.validators.gt(0))
    """At least 32 s: the server's T1 is not known (RFC 3261 17.1.1.2)."""
    trying_after: float = attrs.field(default=0.2, validator=attrs.validators.gt(0))
    """When an INVITE gets its 100, unless it was answered before (RFC 3261 17.2.1)."""

    @property
    def timeout(self) -> float:
        """64 x T1: timers B, F, H, J, L and M."""
        return 64 * self.t1

    def intervals(self, longest: float) -> list[float]:
        """The lengths of a retransmission timer: T1, doubled each time, up to ``longest``."""
        found = [min(self.t1, longest)]
        while found[-1] < longest:
            found.append(min(2 * found[-1], longest))
        return found

    @property
    def late_trying_after(self) -> float:
        """When timer E of the client is set to T2 for the first time (RFC 4320 4.1): 3.5 s by default."""
        return sum(self.intervals(self.t2)[:-1]) or self.t1


class TimerQueue:
    """All running timers of one event and one length. Made by :meth:`TimerQueues.queue`.

    An owner has one timer in a queue at most. ``then`` is the queue of the next, doubled length: of the last, itself.
    """

    __slots__ = ("_queues", "_seconds_now", "entries", "event", "length", "then")

    def __init__(
        self, queues: TimerQueues, event: str, length: float, seconds_now: Callable[[], float]
    ) -> None:
        self._queues = queues
        self._seconds_now = seconds_now
        self.event = event
        self.length = length
        self.then = self
        self.entries: OrderedDict[TimerOwner, float] = OrderedDict()
        """Whose timer is due when, the earliest first."""

    def start(self, owner: TimerOwner) -> None:
        """Start the timer of ``owner``, who has none here: ``owner.fired(event)`` follows in ``length`` seconds."""
        due = self._seconds_now() + self.length
        entries = self.entries
        if entries:
            entries[owner] = due
        else:
            entries[owner] = due
            self._queues.wake_at(due)

    def cancel(self, owner: TimerOwner) -> None:
        """Stop the timer of ``owner``, if it runs; nothing is left of it."""
        self.entries.pop(owner, None)

    def first_due(self) -> float:
        """When the first timer is due; some timer runs."""
        entries = self.entries
        return entries[next(iter(entries))]

    def fire(self, until: float, most: int) -> int:
        """Fire what is due up to ``until``, at most ``most`` timers; return how many more might have been."""
        entries = self.entries
        event = self.event
        while most > 0 and entries:
            owner = next(iter(entries))
            if entries[owner] > until:
                break
            del entries[owner]
            most -= 1
            owner.fired(event)
        return most

    def fire_first(self) -> bool:
        """Fire the timer that was started first, before its time. False when no timer runs."""
        if not self.entries:
            return False
        owner, _ = self.entries.popitem(last=False)
        owner.fired(self.event)
        return True


class TimerQueues:
    """The queues of one clock.

    ``slack`` (seconds): after a wake-up the next one is at least so much later, so that many timers share one; a
    timer is late by no more. ``burst``: how many timers fire in one turn of the reactor; the rest follow in the next.
    """

    def __init__(self, clock: Clock, slack: float = 0.01, burst: int = 2000) -> None:
        self._clock = clock
        self._slack = slack
        self._burst = burst
        self._queues: list[TimerQueue] = []
        self._call: DelayedCall | None = None
        self._wakes_at = inf
        self._stopped = False

    def queue(self, event: str, length: float) -> TimerQueue:
        """Make a queue. ``length`` (seconds) is that of all its timers; make few queues and keep them."""
        queue = TimerQueue(self, event, length, self._clock.seconds)
        self._queues.append(queue)
        return queue

    def stop(self) -> None:
        """Cancel the wake-up and all timers. None fires any more."""
        self._stopped = True
        for queue in self._queues:
            queue.entries.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def wake_at(self, due: float) -> None:
        """See to it that the queues are looked at when the clock shows ``due``, or before."""
        if due >= self._wakes_at or self._stopped:
            return
        if self._call is not None:
            self._call.cancel()
        self._wakes_at = due
        self._call = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._wake)

    def _wake(self) -> None:
        self._call = None
        # Timers that are started meanwhile need no wake-up of their own: the last line sees to all.
        self._wakes_at = -inf
        now = self._clock.seconds()
        left = self._burst
        try:
            while left > 0 and not self._stopped:
                queue, until = self._earliest()
                if queue is None or queue.first_due() > now + _EARLY:
                    break
                left = queue.fire(min(until, now + _EARLY), left)
        finally:
            self._wakes_at = inf
            queue, _ = self._earliest()
            if queue is not None:
                soonest = now if left <= 0 else now + self._slack
                self.wake_at(max(queue.first_due(), soonest))

    def _earliest(self) -> tuple[TimerQueue | None, float]:
        """The queue whose first timer is due first, and when another queue's first timer is due."""
        first: TimerQueue | None = None
        due = until = inf
        for queue in self._queues:
            if queue.entries:
                head = queue.first_due()
                if head < due:
                    first, due, until = queue, head, due
                elif head < until:
                    until = head
        return first, until


class TransactionTimers:
    """The queues of the timers A to M, of the 100s, and of the failure to send. A, E and G begin with T1 and go on by
    ``then``."""

    def __init__(self, queues: TimerQueues, settings: TimerSettings) -> None:
        def single(event: str, length: float) -> TimerQueue:
            return queues.queue(event, length)

        def doubling(event: str, longest: float) -> TimerQueue:
            found = [queues.queue(event, length) for length in settings.intervals(longest)]
            for queue, following in pairwise(found):
                queue.then = following
            return found[0]

        timeout = settings.timeout
        self.invite_100 = single(on.TIMER_100, settings.trying_after)
        self.late_100 = single(on.TIMER_100, settings.late_trying_after)
        self.timer_a = doubling(
            on.TIMER_A, timeout
        )  # RFC 3261 17.1.1.2: doubles without T2's bound; B ends it
        self.timer_b = single(on.TIMER_B, timeout)
        self.timer_d = single(on.TIMER_D, settings.timer_d)
        self.timer_e = doubling(on.TIMER_E, settings.t2)
        self.timer_e_at_t2 = single(on.TIMER_E, settings.t2)
        self.timer_f = single(on.TIMER_F, timeout)
        self.timer_g = doubling(on.TIMER_G, settings.t2)
        self.timer_h = single(on.TIMER_H, timeout)
        self.timer_i = single(on.TIMER_I, settings.t4)
        self.timer_j = single(on.TIMER_J, timeout)
        self.timer_k = single(on.TIMER_K, settings.t4)
        self.timer_l = single(on.TIMER_L, timeout)
        self.timer_m = single(on.TIMER_M, timeout)
        self.unsendable = single(on.TRANSPORT_ERROR, 0.0)
        """A flow that is dead when a request is to be sent: reported in the next turn, never inside ``send``."""
