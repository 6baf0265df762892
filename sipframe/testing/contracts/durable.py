"""The contract of location stores that survive the process.

Rules: a crash is ``SIGKILL`` in the middle of a program (:mod:`.crashing`). The store runs in a process of its own,
which says what it asked for and what was acknowledged; the same place is then opened here. What was acknowledged is
there, what was not is there whole or not at all, and the store goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from sipframe.testing.contracts.asked_store import AskedStore, Attempt
from sipframe.testing.contracts.crashing import Report, killed
from sipframe.testing.contracts.histories import Read, Write, explained
from sipframe.testing.contracts.location import AOR, LocationStoreContract
from sipframe.testing.contracts.overlapping import (
    KEYS,
    ONE_ORDER,
    Program,
    Put,
    Settle,
    Turn,
    number_seen,
    numbered,
    programs,
)
from sipframe.testing.contracts.store_machine import DurableStoreMachine
from sipframe.testing.contracts.story import Story
from sipframe.testing.contracts.values import bindings
from sipframe.verdicts import Binding

__tracebackhide__ = True  # pytest: the steps say more than where they were told

__all__ = ["DurableLocationStoreContract"]

MANY_KEYS = tuple(f"sip:{n}@example.com" for n in range(10))


class DurableLocationStoreContract(LocationStoreContract):
    """What a location store has to do whose promise outlives the process: all of LocationStoreContract, and more.

    ``open_store`` is called again with the same ``place`` after a close and after a crash::

        class TestFileStore(DurableLocationStoreContract):
            def open_store(self, place: Path) -> FileStore:
                return FileStore(place / "bindings")
    """

    def test_any_sequence_of_calls(self) -> None:
        self.run_machine(DurableStoreMachine)

    def test_what_was_acknowledged_is_there_after_a_close(self) -> None:
        def check(put: list[Binding]) -> None:
            with self.opened() as it:
                self.puts(it, AOR, tuple(put))
                it.close()
                it.open()
                if it.lookup(AOR).bindings != tuple(put):
                    it.broken("What was acknowledged before a close is there after it, field by field.")

        self.for_all(check, st.lists(bindings(), min_size=1, max_size=3))

    def test_a_close_may_come_while_calls_wait(self) -> None:
        with self.opened() as it:
            attempts = [it.begin_replace(aor, numbered(n, 2), 0) for n, aor in enumerate(MANY_KEYS)]
            it.close()
            it.open()
            for n, (aor, attempt) in enumerate(zip(MANY_KEYS, attempts, strict=True)):
                found = it.lookup(aor).bindings
                if found not in ((), numbered(n, 2)):
                    it.broken("A replace() is there whole or not at all.")
                if attempt.answer is True and not found:
                    it.broken("What was acknowledged before a close is there after it.")

    def test_what_was_acknowledged_is_there_after_a_crash(self) -> None:
        def check(program: Program) -> None:
            self.crash(lambda place, report: self.live(place, report, program), lambda report: False)

        self.for_all(check, programs())

    def test_a_crash_in_full_flight(self) -> None:
        for acknowledged in (1, 20, 300):
            self.crash(self.live_on, _after(acknowledged))

    # In the process that is killed

    def live(self, place: Path, report: Report, program: Program) -> None:
        """Carry out ``program``."""
        writer = _Writer(AskedStore(self, self, place), report)
        for step in program:
            if isinstance(step, Put):
                writer.write(KEYS[step.key], step.size)
            elif isinstance(step, Turn):
                writer.turn()
            elif isinstance(step, Settle):
                while writer.turn():
                    pass

    def live_on(self, place: Path, report: Report) -> None:
        """Change one AOR after the other for ever, each again as soon as it was acknowledged."""
        writer = _Writer(AskedStore(self, self, place), report)
        while True:
            busy = {aor for aor, _ in writer.waiting.values()}
            for n, aor in enumerate(MANY_KEYS):
                if aor not in busy:
                    writer.write(aor, 1 + n % 3)
            _ = writer.turn()

    # In the process that looks afterwards

    def crash(self, live: Callable[[Path, Report], None], enough: Callable[[list[Any]], bool]) -> None:
        """Let a process live in an empty place until it is killed, and look at what it left behind."""
        with self.a_try() as place:
            dead = _Dead(list(killed(lambda report: live(place, report), enough)))
            it = AskedStore(self, self, place, dead.story)
            try:
                dead.judge(it)
                self.puts(it, AOR, numbered(1, 3))
            except BaseException:
                self.abandon(it.store)
                raise
            it.close()


def _after(acknowledged: int) -> Callable[[list[Any]], bool]:
    left = iter(range(acknowledged - 1))
    return lambda report: report[0] == "ended" and next(left, None) is None


class _Writer:
    """Numbers what it writes, and reports it."""

    def __init__(self, it: AskedStore, report: Report) -> None:
        self.it = it
        self.report = report
        self.waiting: dict[int, tuple[str, Attempt]] = {}
        self.number = 0
        self.sizes: dict[int, int] = {}

    def write(self, aor: str, count: int) -> None:
        snapshot = self.it.lookup(aor)
        expected = number_seen(self.it, snapshot.bindings, self.sizes)
        self.number = number = self.number + 1
        self.sizes[number] = count
        self.report("begun", aor, number, count, expected, snapshot.version)

        def ended(attempt: Attempt) -> None:
            raised = attempt.error is not None
            self.report("ended", number, repr(attempt.error if raised else attempt.answer), raised)
            _ = self.waiting.pop(number, None)

        attempt = self.it.begin_replace(aor, numbered(number, count), snapshot.version, ended)
        if attempt.ended is None:
            self.waiting[number] = aor, attempt

    def turn(self) -> bool:
        """Let one thing happen, if anybody waits."""
        for _, attempt in self.waiting.values():
            self.it.turn(attempt)
            return True
        return False


class _Dead:
    """What a process that was killed has reported."""

    def __init__(self, reports: list[list[Any]]) -> None:
        self.story = Story()
        self.histories: dict[str, list[Read | Write]] = {}
        self.sizes: dict[int, int] = {}
        self.moments = len(reports)
        places: dict[int, tuple[str, int, int]] = {}
        for moment, (kind, *rest) in enumerate(reports):
            if kind == "raised":
                self.story.broken("What can be answered is answered, not raised.", rest[0])
            elif kind == "begun":
                aor, number, count, expected, version = rest
                history = self.histories.setdefault(aor, [])
                step = self.story.tell(f"replace({aor!r}, [#{number}] * {count}, version={version})")
                places[number] = aor, len(history), step
                history.append(Write(expected, number, None, moment))
                self.sizes[number] = count
            else:
                number, answer, raised = rest
                aor, position, step = places[number]
                self.story.answered(step, answer)
                if raised:
                    self.story.broken("What can be answered is answered, not raised.", answer)
                if answer not in ("True", "False"):
                    self.story.broken("replace() returns True or False, nothing else.")
                before = self.histories[aor][position]
                assert isinstance(before, Write)
                self.histories[aor][position] = before._replace(done=answer == "True", ended=moment)
        _ = self.story.tell("the process is killed")

    def judge(self, it: AskedStore) -> None:
        """Whether what is there now follows from that."""
        for aor, history in self.histories.items():
            number = number_seen(it, it.lookup(aor).bindings, self.sizes)
            if not explained(history):
                it.broken(ONE_ORDER, f"there is none for {aor}")
            if not explained([*history, Read(number, self.moments, self.moments + 1)]):
                left = f"#{number}" if number else "nothing"
                it.broken(
                    "What was acknowledged before a crash is there after it.", f"{left} is there for {aor}"
                )
