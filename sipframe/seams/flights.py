"""Single-flight: while a look-up is under way, whoever asks the same gets its answer.

Rules: a look-up that is answered at once costs one look at an empty dictionary. Whoever stops waiting does not end it
for the others; the last one does. A failure is told once and is everybody's who waited. An answer that is not what it
should be is the failure of the plug-in that gave it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from sipframe.decisions import Detail
from sipframe.seams.answers import NotAsked, report
from sipframe.seams.guard import PLAIN
from sipframe.seams.inquiry import Inquiry
from sipframe.seams.seam import Seam, failure_text

__all__ = ["Checked", "SingleFlight"]

Checked = Callable[[object], tuple[str, Detail]]
"""The kind of an answer and words about it, for a record. Raises TypeError for one that is not what it should be."""


class SingleFlight:
    """A method of a plug-in that is asked by other plug-ins; its arguments say all of the question."""

    def __init__(self, seam: Seam, plug_in: object, name: str, check: Checked) -> None:
        self.asked = seam.method(plug_in, name)
        self._call = self.asked.call
        self._check = check
        self.current = seam.current
        self.waiting = 0
        """How many wait for an answer, their own or one that they share."""
        self._seconds = seam.seconds
        self._events = seam.events
        self._flights: dict[tuple[object, ...], _Flight] = {}

    def call(self, *arguments: object) -> object:
        """The answer, or a Deferred of it. Raises what the plug-in raises."""
        current = self.current
        inquiry = current.inherited() or current.asking  # what current.get() does
        began = self._seconds()
        flight = self._flights.get(arguments) if self._flights else None
        try:
            if flight is not None:
                if self.waiting - len(self._flights) >= self.asked.guard.limits.queue:
                    raise NotAsked("too many wait for the same answer already")
                return flight.join(inquiry, began)
            answer = self._call(*arguments)
            if type(answer) in PLAIN or not isinstance(answer, Deferred):
                kind, detail = self._check(answer)
                if inquiry is not None:
                    inquiry.steps.append((self.asked.name, kind, detail, self._seconds() - began))
                return answer
        except Exception as error:
            self.tell(error)
            self.note_failure(inquiry, error, began)
            raise
        flight = self._flights[arguments] = _Flight(self, arguments, answer)
        waiter = flight.join(inquiry, began)
        _ = answer.addCallbacks(flight.came, flight.broke)
        return waiter

    def check(self, answer: object) -> tuple[str, Detail]:
        """The kind of an answer, and words. Raises TypeError for one that is not what it should be."""
        return self._check(answer)

    def tell(self, error: BaseException) -> None:
        """A look-up has failed: say so, once for all who wait."""
        if not isinstance(error, NotAsked):
            report(self._events, self.asked.name, error)

    def note(self, inquiry: Inquiry | None, kind: str, detail: Detail, began: float) -> None:
        """One asker has got an answer."""
        if inquiry is not None:
            inquiry.steps.append((self.asked.name, kind, detail, self._seconds() - began))

    def note_failure(self, inquiry: Inquiry | None, error: BaseException, began: float) -> None:
        """One asker has got none; whoever it works for need not answer for that."""
        if inquiry is not None:
            inquiry.told = error
            self.note(inquiry, type(error).__name__, failure_text(error), began)

    def ended(self, arguments: tuple[object, ...], flight: _Flight) -> None:
        """Nobody can join ``flight`` any more."""
        if self._flights.get(arguments) is flight:
            del self._flights[arguments]


class _Flight:
    """One look-up that is under way, and who waits for it."""

    def __init__(
        self, lookups: SingleFlight, arguments: tuple[object, ...], answer: Deferred[object]
    ) -> None:
        self._lookups = lookups
        self._arguments = arguments
        self._answer = answer
        self._waiters: OrderedDict[Deferred[object], tuple[Inquiry | None, float]] = OrderedDict()

    def join(self, inquiry: Inquiry | None, began: float) -> Deferred[object]:
        waiter: Deferred[object] = Deferred(self._leave)
        self._waiters[waiter] = (inquiry, began)
        self._lookups.waiting += 1
        return waiter

    def _leave(self, waiter: Deferred[object]) -> None:
        lookups = self._lookups
        inquiry, began = self._waiters.pop(waiter)
        lookups.waiting -= 1
        lookups.note(inquiry, "CancelledError", "", began)
        if not self._waiters:
            lookups.ended(self._arguments, self)
            self._answer.cancel()

    def came(self, value: object) -> None:
        lookups = self._lookups
        try:
            kind, detail = lookups.check(value)
        except Exception:
            self.broke(Failure())
            return
        for waiter, inquiry, began in self._landing():
            lookups.note(inquiry, kind, detail, began)
            self._go_on(waiter, inquiry, value)

    def broke(self, failure: Failure) -> None:
        lookups = self._lookups
        if not self._waiters:
            return  # cancelled: nobody wants to know
        error = failure.value or RuntimeError("the plug-in failed")
        lookups.tell(error)
        for waiter, inquiry, began in self._landing():
            lookups.note_failure(inquiry, error, began)
            self._go_on(waiter, inquiry, Failure(error))

    def _landing(self) -> Iterator[tuple[Deferred[object], Inquiry | None, float]]:
        """Each who still waits when it is their turn: what one of them does may make another one leave."""
        lookups = self._lookups
        lookups.ended(self._arguments, self)
        while self._waiters:
            waiter, (inquiry, began) = self._waiters.popitem(last=False)
            lookups.waiting -= 1
            yield waiter, inquiry, began

    def _go_on(self, waiter: Deferred[object], inquiry: Inquiry | None, outcome: object) -> None:
        # What follows may ask again, for the same request.
        with self._lookups.current.of(inquiry):
            waiter.callback(outcome)
