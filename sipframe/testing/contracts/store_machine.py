"""Location stores beside a dictionary: a Hypothesis state machine with two writers.

Rules: each writer works with what it looked up last, as two servers or two REGISTERs do; the machine knows from the
dictionary whether a replace has to be done or refused. After every step each AOR is what the dictionary says.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sipframe.testing.contracts.asked_store import AskedStore, told
from sipframe.testing.contracts.values import a_binding
from sipframe.verdicts import Binding, Snapshot

__tracebackhide__ = True  # pytest: the steps say more than where they were told

__all__ = ["DurableStoreMachine", "StoreMachine"]

KEYS = ("sip:alice@example.com", "sip:ALICE@example.com", "sip:bob@example.com", "sip:\udc80\0'@example.com")
_keys = st.sampled_from(KEYS)
_writers = st.sampled_from(("one", "other"))
_lifetimes = st.lists(st.sampled_from((1000.0, 1000.5, 2000.0, 86400.25)), max_size=3)


class _Held(NamedTuple):
    """What a writer looked up, and which state of the dictionary that was."""

    snapshot: Snapshot
    state: int


class StoreMachine(RuleBasedStateMachine):
    """A store beside a dictionary: they never differ."""

    opened: Callable[[], AbstractContextManager[AskedStore]]

    def __init__(self) -> None:
        super().__init__()
        self.context = type(self).opened()
        self.it = self.context.__enter__()
        self.model: dict[str, tuple[Binding, ...]] = dict.fromkeys(KEYS, ())
        self.states: dict[str, int] = dict.fromkeys(KEYS, 0)
        self.versions: dict[str, dict[int, tuple[Binding, ...]]] = {key: {0: ()} for key in KEYS}
        self.held: dict[tuple[str, str], _Held] = {}
        self.writes = 0

    def teardown(self) -> None:
        error = self.it.story.error
        if error is None:
            _ = self.context.__exit__(None, None, None)
        else:
            _ = self.context.__exit__(type(error), error, error.__traceback__)

    @rule(writer=_writers, aor=_keys)
    def look(self, writer: str, aor: str) -> None:
        """A writer looks up what is there."""
        self.held[writer, aor] = _Held(self.it.lookup(aor), self.states[aor])

    @rule(writer=_writers, aor=_keys, lifetimes=_lifetimes)
    def write(self, writer: str, aor: str, lifetimes: list[float]) -> None:
        """A writer replaces what it has looked up, which may have changed since."""
        held = self.held.get((writer, aor), _Held(Snapshot((), 0), 0))
        self.writes += 1
        now = self.it.contract.reactor.seconds()
        put = tuple(
            a_binding(f"sip:{n}@192.0.2.1", now + lifetime, self.writes)
            for n, lifetime in enumerate(lifetimes)
        )
        done = self.it.replace(aor, put, held.snapshot.version)
        current = held.state == self.states[aor]
        # Where nothing was replaced by nothing the version may or may not have changed.
        same = held.snapshot.bindings == self.model[aor]
        if current and not done:
            self.broken("replace() with the current version is done.")
        if done and not current and not same:
            self.broken(
                "replace() with a version that is not current is refused.", self.what_changed(aor, held)
            )
        if done:
            self.changed(aor, put)

    @rule(seconds=st.sampled_from((0.0, 999.75, 1000.0, 1000.25, 2000.0, 100_000.0)))
    def expire(self, seconds: float) -> None:
        """Time passes, and what has ended is forgotten."""
        reactor = self.it.contract.reactor
        reactor.advance(seconds)
        now = reactor.seconds()
        left = {aor: tuple(one for one in has if one.expires_at > now) for aor, has in self.model.items()}
        ended = sum(len(has) - len(left[aor]) for aor, has in self.model.items())
        forgotten = 0
        while once := self.it.expire(now):
            forgotten += once
        if forgotten != ended:
            self.broken("expire() returns how many bindings it has forgotten.", f"{ended} had ended")
        for aor, some in left.items():
            if some != self.model[aor]:
                self.changed(aor, some)

    @invariant()
    def they_are_the_same(self) -> None:
        """What is looked up is what is in the dictionary, and a version means one state."""
        story = self.it.story
        with story.aside():
            found = self.it.aors()
            if found.keys() - self.model.keys():
                self.broken(
                    "aors() gives what was put in.", f"nobody put in {set(found) - set(self.model)!a}"
                )
        for aor, expected in self.model.items():
            with story.aside():
                snapshot = self.it.lookup(aor)
                if snapshot.bindings != expected:
                    self.broken(
                        "What was acknowledged is there, and nothing else.", f"it had {told(expected)}"
                    )
                if found.get(aor, Snapshot((), snapshot.version)) != snapshot:
                    self.broken("aors() gives what lookup() gives.", f"it gives {found.get(aor)}")
                if self.versions[aor].setdefault(snapshot.version, expected) != expected:
                    self.broken(
                        "A version never comes back with other bindings.", "it had that version before"
                    )

    def changed(self, aor: str, bindings: tuple[Binding, ...]) -> None:
        """The dictionary changes."""
        self.model[aor] = bindings
        self.states[aor] += 1

    def what_changed(self, aor: str, held: _Held) -> str:
        return (
            f"{aor!a} had {told(held.snapshot.bindings)} at that version; it has {told(self.model[aor])} now"
        )

    def broken(self, rule: str, found: str = "") -> None:
        self.it.broken(rule, found)


class DurableStoreMachine(StoreMachine):
    """The same with a store that is closed and opened again now and then."""

    @rule()
    def reopen(self) -> None:
        """The store is closed and opened again; who looked something up before is gone."""
        self.it.close()
        self.it.open()
        self.held.clear()
        self.versions = {key: {0: ()} for key in KEYS}
        self.states = {key: 1 if has else 0 for key, has in self.model.items()}
