"""Calls of a location store that overlap: several outstanding at once, answered in any order.

Rules: each write carries a number of its own in the CSeq of all its bindings, so that a look-up tells which write it
sees, and whether it sees all of it. What was answered has to be explained by one order (:mod:`.histories`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hypothesis import strategies as st

from sipframe.testing.contracts import histories
from sipframe.testing.contracts.asked_store import AskedStore, Attempt, told
from sipframe.testing.contracts.contract import NOW
from sipframe.testing.contracts.values import a_binding
from sipframe.verdicts import Binding, Snapshot

__tracebackhide__ = True  # pytest: the steps say more than where they were told

__all__ = ["KEYS", "Look", "Program", "Put", "Settle", "Turn", "number_seen", "numbered", "programs", "run"]

KEYS = ("sip:alice@example.com", "sip:bob@example.com")

ONE_ORDER = (
    "What overlapping calls answered, and what is there afterwards, is what one order of them would give."
)


class Look(NamedTuple):
    """Begin to look up a key."""

    key: int


class Put(NamedTuple):
    """Begin to replace what a key has by ``size`` bindings, with the version that was last looked up."""

    key: int
    size: int


class Turn(NamedTuple):
    """Let one thing happen."""


class Settle(NamedTuple):
    """Wait until all calls are answered."""


Program = tuple[Look | Put | Turn | Settle, ...]


def programs() -> st.SearchStrategy[Program]:
    """Short programs."""
    keys = st.integers(0, len(KEYS) - 1)
    step = st.one_of(
        st.builds(Put, keys, st.integers(1, 3)), st.builds(Look, keys), st.builds(Turn), st.builds(Settle)
    )
    return st.lists(step, min_size=1, max_size=14).map(tuple)


def numbered(number: int, size: int) -> tuple[Binding, ...]:
    """The bindings of one write."""
    return tuple(a_binding(f"sip:{n}@192.0.2.1", NOW + 3600 + number, number) for n in range(size))


class _Writing(NamedTuple):
    key: int
    expected: int
    version: int
    number: int
    attempt: Attempt


class _Run:
    """One program on its way."""

    def __init__(self, it: AskedStore) -> None:
        self.it = it
        self.looks: list[tuple[int, Attempt]] = []
        self.writes: list[_Writing] = []
        self.sizes: dict[int, int] = {}

    def attempts(self) -> list[Attempt]:
        return [*(look for _, look in self.looks), *(one.attempt for one in self.writes)]

    def latest(self, key: int) -> Snapshot:
        """What the look-up of ``key`` that was answered last has found."""
        done = [(one.ended, one) for of, one in self.looks if of == key and one.ended is not None]
        if not done:
            return Snapshot((), 0)
        return self.it.looked_up(max(done, key=lambda pair: pair[0])[1])

    def step(self, step: Look | Put | Turn | Settle) -> None:
        it = self.it
        if isinstance(step, Look):
            self.looks.append((step.key, it.begin_lookup(KEYS[step.key])))
        elif isinstance(step, Put):
            number = len(self.writes) + 1
            self.sizes[number] = step.size
            held = self.latest(step.key)
            expected = self.seen(held)
            attempt = it.begin_replace(KEYS[step.key], numbered(number, step.size), held.version)
            self.writes.append(_Writing(step.key, expected, held.version, number, attempt))
        else:
            waiting = [one for one in self.attempts() if one.ended is None]
            for one in waiting if isinstance(step, Settle) else ():
                it.finish(one)
            if waiting and isinstance(step, Turn):
                it.turn(waiting[0])

    def seen(self, snapshot: Snapshot) -> int:
        return number_seen(self.it, snapshot.bindings, self.sizes)

    def end(self) -> None:
        """Wait for everything, look once more, and judge."""
        it = self.it
        for one in self.attempts():
            it.finish(one)
        for key in range(len(KEYS)):
            look = it.begin_lookup(KEYS[key])
            it.finish(look)
            self.looks.append((key, look))
        for key in range(len(KEYS)):
            self.judge(key)

    def judge(self, key: int) -> None:
        it = self.it
        won: dict[int, int] = {}
        history: list[histories.Read | histories.Write] = []
        meanings: dict[int, int] = {}
        for of, look in self.looks:
            if of == key:
                snapshot = it.looked_up(look)
                number = self.seen(snapshot)
                if meanings.setdefault(snapshot.version, number) != number:
                    it.broken(
                        "A version never comes back with other bindings.", f"version {snapshot.version}"
                    )
                history.append(histories.Read(number, look.begun, look.ended or 0))
        for one in self.writes:
            if one.key == key:
                done = it.replaced(one.attempt)
                if done and won.setdefault(one.version, one.number) != one.number:
                    found = f"#{won[one.version]} and #{one.number} both had version {one.version}"
                    it.broken("Of several replace() with the same version one is done.", found)
                ended = one.attempt.ended or 0
                history.append(histories.Write(one.expected, one.number, done, one.attempt.begun, ended))
        if not histories.explained(history):
            it.broken(ONE_ORDER, f"there is none for {KEYS[key]}")


def run(it: AskedStore, program: Iterable[Look | Put | Turn | Settle]) -> None:
    """Carry out ``program`` and judge what came of it."""
    running = _Run(it)
    for step in program:
        running.step(step)
    running.end()


def number_seen(it: AskedStore, bindings: tuple[Binding, ...], sizes: dict[int, int]) -> int:
    """Which write left ``bindings``; 0 for none. ``sizes`` says how many bindings each write has."""
    if not bindings:
        return 0
    number = bindings[0].cseq
    if number not in sizes or bindings != numbered(number, sizes[number]):
        it.broken("A replace() is there whole or not at all.", f"{told(bindings)} was never put in")
    return number
