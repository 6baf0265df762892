"""A location store under a contract: every call is told, waited for, and its answer looked at.

Rules: the wrapper knows the form of each answer (:class:`sipframe.interfaces.ILocationStore`), not what should be in
it. Bindings are told by their CSeq and end, ``#3 +60s``: a contract numbers what it writes by CSeq.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from sipframe.testing.contracts.contract import NOW, Contract
from sipframe.testing.contracts.story import Story, cut
from sipframe.testing.contracts.waiting import NothingLeft, deferred_if_later
from sipframe.verdicts import Binding, Forgotten, Snapshot

__tracebackhide__ = True  # pytest: the steps say more than where they were told

__all__ = ["AskedStore", "Attempt", "Stores", "told"]


class Stores(Protocol):
    """The part of a contract that a store under test comes from."""

    def open_store(self, place: Path) -> Any: ...
    def close_store(self, store: Any) -> object: ...


class Attempt:
    """A call that may wait: ``answer`` when ``ended`` is not None, else nothing yet."""

    __slots__ = ("answer", "begun", "ended", "error", "step")

    def __init__(self, begun: int, step: int) -> None:
        self.begun = begun
        self.step = step
        self.ended: int | None = None
        self.answer: object = None
        self.error: BaseException | None = None


class AskedStore:
    """One try: a store that was opened in an empty place."""

    def __init__(self, contract: Contract, stores: Stores, place: Path, story: Story | None = None) -> None:
        self.contract = contract
        self.story = Story() if story is None else story
        self._stores = stores
        self._place = place
        self._ticks = 0
        self.store: Any = None
        self.open()

    def open(self) -> None:
        step = self.story.tell("the store is opened")
        self.store = self._wait(step, self._stores.open_store, self._place)

    def close(self) -> None:
        step = self.story.tell("the store is closed")
        _ = self._wait(step, self._stores.close_store, self.store)

    def broken(self, rule: str, found: str = "") -> NoReturn:
        self.story.broken(rule, found)

    # Calls that are waited for.

    def lookup(self, aor: str) -> Snapshot:
        step = self.story.tell(f"lookup({cut(aor)})")
        return self._snapshot(step, self._wait(step, self.store.lookup, aor))

    def replace(self, aor: str, bindings: tuple[Binding, ...], version: int) -> bool:
        step = self.story.tell(f"replace({cut(aor)}, {told(bindings)}, version={version})")
        return self._bool(step, self._wait(step, self.store.replace, aor, bindings, version))

    def expire(self, now: float) -> int:
        step = self.story.tell(f"expire({_moment(now)})")
        answer = self._wait(step, self.store.expire, now)
        self.story.answered(step, answer)
        if type(answer) is not int or answer < 0:
            self.broken("expire() returns how many bindings it has forgotten, an int.")
        return answer

    def forget(self, now: float) -> dict[str, tuple[tuple[Binding, ...], tuple[Binding, ...]]]:
        """What ``forget()`` tells: the bindings that ended and those that are left, by AOR."""
        step = self.story.tell(f"forget({_moment(now)})")
        answer = self._wait(step, self.store.forget, now)
        try:
            found = {one.aor: (one.ended, one.left) for one in answer if type(one) is Forgotten}
            whole = len(found) == len(list(answer))
        except TypeError:
            found, whole = {}, False
        shown = ", ".join(
            f"{cut(aor)}: {told(ended)}, {told(left)} left" for aor, (ended, left) in found.items()
        )
        self.story.answered(step, f"{{{shown}}}" if whole else cut(answer))
        if not whole:
            self.broken("forget() returns a sequence of Forgotten, one for each AOR.")
        return found

    def aors(self) -> dict[str, Snapshot]:
        """What ``aors()`` gives, AORs that have nothing left out."""
        found: dict[str, Snapshot] = {}
        for aor, snapshot in self.each_aor():
            if aor in found:
                self.broken("aors() gives no AOR twice.", f"{aor!a} was given twice")
            if snapshot.bindings:
                found[aor] = snapshot
        return found

    def each_aor(self) -> Iterator[tuple[str, Snapshot]]:
        """One pair of ``aors()`` after the other."""
        step = self.story.tell("aors()")
        pairs = self._wait(step, self.store.aors)
        given = []
        try:
            pairs = iter(pairs)
            while (pair := next(pairs, None)) is not None:
                aor, snapshot = pair
                given.append(f"{aor!a}: {told(self._look_at(snapshot).bindings)}")
                yield aor, snapshot
        except (TypeError, ValueError) as error:
            self.story.answered(step, f"{{{', '.join(given)} ...")
            self.story.broken("aors() is iterated over, and gives pairs (aor, Snapshot).", str(error), error)
        except Exception as error:
            self.story.raised(step, error)
        self.story.answered(step, f"{{{', '.join(given)}}}")

    # Calls that are not waited for.

    def begin_lookup(self, aor: str) -> Attempt:
        return self._begin(f"begin lookup({cut(aor)})", self.store.lookup, aor)

    def begin_replace(
        self,
        aor: str,
        bindings: tuple[Binding, ...],
        version: int,
        then: Callable[[Attempt], None] | None = None,
    ) -> Attempt:
        call = f"begin replace({cut(aor)}, {told(bindings)}, version={version})"
        return self._begin(call, self.store.replace, aor, bindings, version, then=then)

    def finish(self, attempt: Attempt) -> None:
        """Wait for an attempt."""
        while attempt.ended is None:
            self.turn(attempt)
        if attempt.error is not None:
            self.story.raised(attempt.step, attempt.error)

    def turn(self, attempt: Attempt) -> None:
        """Let the next thing happen, while ``attempt`` waits."""
        try:
            self.contract.pump()
        except NothingLeft as error:
            self.story.never_answered(attempt.step, error)

    def looked_up(self, attempt: Attempt) -> Snapshot:
        """What came of an attempt to look up."""
        return self._snapshot(attempt.step, attempt.answer, tell=False)

    def replaced(self, attempt: Attempt) -> bool:
        """What came of an attempt to replace."""
        return self._bool(attempt.step, attempt.answer, tell=False)

    def tick(self) -> int:
        """The next moment of this try's history."""
        self._ticks += 1
        return self._ticks

    def _begin(
        self, call: str, method: Any, *arguments: object, then: Callable[[Attempt], None] | None = None
    ) -> Attempt:
        attempt = Attempt(self.tick(), self.story.tell(call))

        def ended(answer: object) -> None:
            attempt.ended = self.tick()
            if isinstance(answer, Failure):
                attempt.error = answer.value
            else:
                attempt.answer = answer
                shown = told(answer.bindings) if isinstance(answer, Snapshot) else cut(answer)
                self.story.answered(attempt.step, shown)
            if then is not None:
                then(attempt)

        try:
            answer = deferred_if_later(method(*arguments))
        except Exception as error:
            answer = Failure(error)
        if isinstance(answer, Deferred):
            _ = answer.addBoth(ended)
        else:
            ended(answer)
        return attempt

    # The form of answers.

    def _wait(self, step: int, method: Any, *arguments: object) -> Any:
        return self.contract.asked(self.story, step, method, *arguments)

    def _bool(self, step: int, answer: object, *, tell: bool = True) -> bool:
        if tell:
            self.story.answered(step, answer)
        if answer is not True and answer is not False:
            self.broken("replace() returns True or False, nothing else.")
        return answer

    def _snapshot(self, step: int, answer: object, *, tell: bool = True) -> Snapshot:
        try:
            snapshot = self._look_at(answer)
        except TypeError as error:
            if tell:
                self.story.answered(step, answer)
            self.story.broken("lookup() returns a Snapshot of a tuple of Bindings and a version.", str(error))
        if tell:
            self.story.answered(step, f"{told(snapshot.bindings)}, version {snapshot.version}")
        return snapshot

    def _look_at(self, answer: object) -> Snapshot:
        if type(answer) is not Snapshot:
            raise TypeError(f"it is of type {type(answer).__name__}")
        if type(answer.version) is not int:
            raise TypeError(f"its version is of type {type(answer.version).__name__}")
        kinds: set[type] = {type(answer.bindings), *map(type, answer.bindings)}
        if not kinds <= {tuple, Binding} or type(answer.bindings) is not tuple:
            raise TypeError("its bindings are " + " and ".join(sorted(kind.__name__ for kind in kinds)))
        return answer


def told(bindings: Iterable[Binding]) -> str:
    """Bindings in short."""
    return "[" + ", ".join(f"#{one.cseq} {_moment(one.expires_at)}" for one in bindings) + "]"


def _moment(when: float) -> str:
    return f"{when - NOW:+g}s"
