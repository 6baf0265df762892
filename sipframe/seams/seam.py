"""All guards of one server: each method of a plug-in has one, whoever asks it.

Rules: a plug-in is known by its identity; asking for a guard twice gives the same one. Each method has its own, since
one that hangs must not delay a request that does not need it: a policy that cannot look up its terms still admits, a
store that cannot write is still read. A plug-in that asks others
which are guarded themselves (:class:`~sipframe.interfaces.IComposed`) has neither bulkhead nor breaker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from twisted.internet.interfaces import IReactorTime

from sipframe.decisions import cut
from sipframe.events import Events
from sipframe.interfaces import IComposed
from sipframe.seams.answers import NotAsked, refusal_for, report
from sipframe.seams.current import Current
from sipframe.seams.guard import Guard, GuardedMethod
from sipframe.seams.inquiry import Inquiry
from sipframe.seams.limits import PluginLimits
from sipframe.verdicts import Rejected, Unavailable

__all__ = ["Seam"]


B = TypeVar("B")


class Seam:
    """How one server asks its plug-ins.

    ``limits`` are for each method that is not given its own; a number is a deadline in seconds and no other limit.
    ``current`` is whoever is asking just now.
    """

    def __init__(
        self, clock: IReactorTime, limits: PluginLimits | float, events: Events | None = None
    ) -> None:
        if not isinstance(limits, PluginLimits):
            limits = PluginLimits(deadline=limits, in_flight=0, failures=0)
        self.limits = limits
        self.events = Events() if events is None else events
        self.seconds: Callable[[], float] = clock.seconds
        self.current = Current()
        self._clock = clock
        # A guard lives as long as somebody may ask through it; it holds its plug-in, so the identity stays its own.
        self._guards: WeakValueDictionary[tuple[int, str], Guard] = WeakValueDictionary()
        self._asked_directly: dict[int, Guard] = {}
        self._stopped = False

    def guard(self, plug_in: object, name: str, limits: PluginLimits | None = None) -> Guard:
        """The guard of a method of ``plug_in``; it is made, with ``limits``, when there is none."""
        guard = self._guards.get((id(plug_in), name))
        if guard is None:
            if limits is None:
                limits = self.limits.composed if IComposed.providedBy(plug_in) else self.limits
            shown = f"{type(plug_in).__name__}.{name}"
            guard = Guard(plug_in, shown, limits, self._clock, self.events, self.current)
            self._guards[id(plug_in), name] = guard
            if self._stopped:
                guard.refuse_all()
        return guard

    def method(self, plug_in: object, name: str, limits: PluginLimits | None = None) -> GuardedMethod:
        """A method of ``plug_in``, guarded."""
        return GuardedMethod(self.guard(plug_in, name, limits), getattr(plug_in, name))

    def guards(self) -> tuple[Guard, ...]:
        """All that there are, for reports."""
        return tuple(self._guards.values())

    def ask(
        self,
        method: Callable[..., object],
        arguments: tuple[object, ...],
        attempt: B,
        then: Callable[[B, Any], None],
        failed: Callable[[B, Callable[..., object], BaseException], None],
    ) -> None:
        """Ask a method now and then, without a record: ``then(attempt, answer)`` or ``failed(attempt, method, error)``.

        What is asked for each request has a :class:`GuardedMethod` instead.
        """
        plug_in = getattr(method, "__self__", self)
        guard = self.guard(plug_in, getattr(method, "__name__", "asked"))
        self._asked_directly[id(guard)] = guard
        GuardedMethod(guard, method).ask(
            arguments,
            Inquiry([]),
            lambda _, answer: then(attempt, answer),
            lambda _, asked, error: failed(attempt, method, error),
        )

    def failed(self, inquiry: Inquiry, asked: GuardedMethod, error: BaseException) -> Rejected:
        """What a request is answered whose plug-in has failed. It is told here, and noted."""
        if error is not inquiry.told and not isinstance(error, NotAsked):
            report(self.events, asked.name, error)
        inquiry.note(asked.name, type(error).__name__, failure_text(error), self.seconds())
        return refusal_for(error)

    def stop(self) -> None:
        """Give up on every answer that is not there yet; nothing is asked any more and nothing left on the clock."""
        self._stopped = True
        guards = self.guards()
        for guard in guards:
            guard.refuse_all()  # what follows a failure may ask again
        for guard in guards:
            guard.stop()


def failure_text(error: BaseException) -> str:
    """The words of a failure for a record: those of Unavailable, which are meant to be read, and of nothing else."""
    if not isinstance(error, Unavailable):
        return ""
    try:
        return cut(str(error))
    except Exception:  # whatever a plug-in's exception does
        return ""
