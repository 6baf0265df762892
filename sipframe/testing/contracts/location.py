"""The contract of location stores (:class:`sipframe.interfaces.ILocationStore`).

Rules: what is tested is what the interface promises and the registrar builds on (RFC 3261 10.3): one atomic
compare-and-set for each AOR, a version that never means two things, text and numbers that come back as they were. Each
test's name is the rule in short.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from sipframe.interfaces import IExpiring, ILocationStore
from sipframe.testing.contracts.asked_store import AskedStore, told
from sipframe.testing.contracts.contract import NOW, Contract, close
from sipframe.testing.contracts.overlapping import Look, Program, Put, Turn, programs, run
from sipframe.testing.contracts.store_machine import StoreMachine
from sipframe.testing.contracts.values import LONG_TEXT, ODD_TEXTS, a_binding, bindings
from sipframe.verdicts import NO_BINDINGS, Binding

__tracebackhide__ = True  # pytest: the steps say more than where they were told

__all__ = ["LocationStoreContract"]

AOR = "sip:alice@example.com"
OTHER = "sip:bob@example.com"
ALIKE = (
    AOR,
    "sip:Alice@example.com",
    "sips:alice@example.com",
    "sip:alice@example.com ",
    "sip:alice@example.co",
)
"""Keys that are not the same, though they look it."""


class LocationStoreContract(Contract):
    """What any location store has to do. Subclass it in a test module; pytest finds the rest::

        class TestFileStore(LocationStoreContract):
            def open_store(self, place: Path) -> FileStore:
                return FileStore(place / "bindings")

    A store whose answers wait gets ``self.reactor``, for its clock and for calls from its threads; see
    :class:`~sipframe.testing.contracts.contract.Contract` for more. Inherit from
    :class:`~sipframe.testing.contracts.DurableLocationStoreContract` when what was acknowledged survives the process.
    """

    steps: int = 15
    """How many calls a random sequence of calls has."""

    def open_store(self, place: Path) -> object:
        """Open the store that is kept in ``place``, a directory of its own that is empty at first.

        A store that lives elsewhere takes the directory's name for the name of its data. May return a Deferred or a
        coroutine of the store.
        """
        raise NotImplementedError

    def close_store(self, store: Any) -> object:
        """Close it. The default calls ``close()``, when there is one, and waits for it."""
        return close(store)

    @contextmanager
    def opened(self) -> Iterator[AskedStore]:
        """A store in an empty place."""
        with self.a_try() as place:
            it = AskedStore(self, self, place)
            try:
                yield it
            except BaseException:
                self.abandon(it.store)
                raise
            it.close()
            self.nothing_is_left(it.story, it.store)

    def abandon(self, store: object) -> None:
        """Close a store that has broken its contract; what it does then is of no interest."""
        try:
            self.wait(self.close_store(store))
        except Exception:
            return

    # What is there

    def test_provides_the_interface(self) -> None:
        with self.opened() as it:
            self.verify(ILocationStore, it.store)

    def test_nothing_is_there_at_first(self) -> None:
        with self.opened() as it:
            if it.lookup(AOR) != NO_BINDINGS or it.aors() or it.expire(NOW):
                it.broken("A new store is empty: NO_BINDINGS, version 0.")

    def test_what_was_put_in_comes_back_whole(self) -> None:
        def check(put: list[Binding]) -> None:
            with self.opened() as it:
                self.puts(it, AOR, tuple(put))

        self.for_all(check, st.lists(bindings(), min_size=1, max_size=2))

    def test_any_text_comes_back(self) -> None:
        for text in (*ODD_TEXTS, LONG_TEXT):
            with self.opened() as it:
                odd = Binding(text, NOW + 60, text, 1, NOW, text, text, text, 1, (text, text), text, text)
                self.puts(it, text, (odd,))
                if text in it.aors():
                    self.puts(it, text, (a_binding(),))
                else:
                    it.broken("aors() gives every AOR as it was put in.")

    def test_the_order_is_kept_and_equal_bindings_stay(self) -> None:
        with self.opened() as it:
            self.puts(it, AOR, tuple(a_binding(f"sip:alice@192.0.2.{n}", cseq=n) for n in (7, 1, 9, 1, 1)))

    def test_fewer_bindings_are_fewer(self) -> None:
        with self.opened() as it:
            many = tuple(a_binding(f"sip:{n}@192.0.2.1", cseq=n) for n in range(1, 6))
            for put in (many, many[3:], many[:1], many[1:4]):
                self.puts(it, AOR, put)

    def test_no_bindings_is_nothing(self) -> None:
        with self.opened() as it:
            self.puts(it, AOR, ())
            self.puts(it, AOR, (a_binding(),))
            self.puts(it, AOR, ())
            if it.aors():
                it.broken("An AOR whose bindings were all removed has none.")

    def test_keys_that_look_alike_are_not_the_same(self) -> None:
        with self.opened() as it:
            for n, aor in enumerate(ALIKE, 1):
                if it.lookup(aor) != NO_BINDINGS:
                    it.broken("AORs are opaque: what is put under one is not found under another.")
                self.puts(it, aor, (a_binding(cseq=n),))
            self.puts(it, AOR, ())
            for n, aor in enumerate(ALIKE[1:], 2):
                if it.lookup(aor).bindings != (a_binding(cseq=n),):
                    it.broken("AORs do not touch each other.")

    # Compare and set

    def test_a_version_that_has_moved_on_changes_nothing(self) -> None:
        with self.opened() as it:
            self.puts(it, AOR, (a_binding(cseq=1),))
            first = it.lookup(AOR)
            self.refuses(it, AOR, (a_binding(cseq=2),), 0)
            self.puts(it, AOR, (a_binding(cseq=3),))
            self.refuses(it, AOR, (a_binding(cseq=4),), first.version)
            self.refuses(it, AOR, (), first.version)

    def test_a_version_that_never_was_changes_nothing(self) -> None:
        with self.opened() as it:
            self.refuses(it, AOR, (a_binding(cseq=1),), 12345)
            self.puts(it, AOR, (a_binding(cseq=2),))
            self.refuses(it, AOR, (a_binding(cseq=3),), it.lookup(AOR).version + 12345)
            self.refuses(it, OTHER, (a_binding(cseq=4),), it.lookup(AOR).version)

    def test_versions_never_come_back(self) -> None:
        with self.opened() as it:
            seen: dict[int, tuple[Binding, ...]] = {}
            for n, count in enumerate((1, 2, 1, 0, 1, 1, 0, 0, 1), 1):
                put = (a_binding(cseq=n),) * count
                self.puts(it, AOR, put)
                version = it.lookup(AOR).version
                if seen.get(version, put) != put or (put and version == 0):
                    it.broken("A version never comes back with other bindings, and 0 is for none.")
                seen[version] = put

    def test_what_was_looked_up_does_not_change_afterwards(self) -> None:
        with self.opened() as it:
            self.puts(it, AOR, (a_binding(cseq=1),))
            held = it.lookup(AOR)
            self.puts(it, AOR, (a_binding(cseq=2),))
            if held.bindings != (a_binding(cseq=1),):
                it.broken("A Snapshot stays what it was.", f"it became {told(held.bindings)}")

    # Expiry

    def test_expiry_takes_what_has_ended_and_only_that(self) -> None:
        early, late = a_binding(ends=NOW + 1000, cseq=1), a_binding(ends=NOW + 1000.5, cseq=2)
        with self.opened() as it:
            self.puts(it, AOR, (late, early))
            self.puts(it, OTHER, (early,))
            before = it.lookup(AOR)
            self.expires(it, NOW + 999.75, 0)
            if it.lookup(AOR) != before:
                it.broken("expire() changes nothing before a binding's end.")
            self.expires(it, NOW + 1000, 2)
            after = it.lookup(AOR)
            if after.bindings != (late,) or it.lookup(OTHER).bindings:
                it.broken("expire() forgets every binding that ended at or before that moment, and no other.")
            if after.version in (0, before.version):
                it.broken("The version changes when bindings expire.")
            self.refuses(it, AOR, (a_binding(cseq=3),), before.version)
            self.expires(it, NOW + 1000.5, 1)
            if it.aors():
                it.broken("An AOR whose bindings have all expired has none.")

    def test_a_refreshed_binding_does_not_expire_at_its_old_time(self) -> None:
        with self.opened() as it:
            for ends, now, forgotten in ((1000, 500, 0), (3000, 2000, 0), (2500, 2500, 1)):
                if not forgotten or it.lookup(AOR).bindings:
                    self.puts(it, AOR, (a_binding(ends=NOW + ends),))
                self.expires(it, NOW + now, forgotten)

    def test_the_clock_may_step_back(self) -> None:
        with self.opened() as it:
            self.puts(it, AOR, (a_binding(ends=NOW + 1000),))
            for now, forgotten in ((500, 0), (-1_000_000, 0), (1000, 1)):
                self.expires(it, NOW + now, forgotten)

    def test_what_ends_in_a_hundred_years_stays(self) -> None:
        with self.opened() as it:
            self.puts(it, AOR, (a_binding(ends=NOW + 2**32 - 1),))
            self.expires(it, NOW + 2**31, 0)

    def test_everything_is_forgotten_sooner_or_later(self) -> None:
        with self.opened() as it:
            for n in range(30):
                self.puts(it, f"sip:{n}@x", (a_binding(ends=NOW + n / 10), a_binding(ends=NOW + 9)))
            self.expires(it, NOW + 10, 60)
            if it.aors():
                it.broken("What has expired is gone.")

    def test_what_it_forgets_it_can_tell(self) -> None:
        early, late = a_binding(ends=NOW + 1000, cseq=1), a_binding(ends=NOW + 2000, cseq=2)
        with self.opened() as it:
            if not IExpiring.providedBy(it.store):
                return
            self.verify(IExpiring, it.store)
            self.puts(it, AOR, (late, early, early))
            self.puts(it, OTHER, (early,))
            self.puts(it, ALIKE[1], (late,))
            self.reactor.advance(1000)
            for expected in ({AOR: ((early, early), (late,)), OTHER: ((early,), ())}, {}):
                if it.forget(NOW + 1000) != expected:
                    it.broken("forget() tells of each AOR which bindings have ended, and which are left.")
            if it.lookup(AOR).bindings != (late,) or it.lookup(OTHER).bindings:
                it.broken("forget() does what expire() does.")

    # Iteration

    def test_iteration_gives_all(self) -> None:
        with self.opened() as it:
            put = {f"sip:{n}@x": (a_binding(cseq=n), a_binding()) for n in range(20)}
            for aor, some in put.items():
                self.puts(it, aor, some)
            found = it.aors()
            if {aor: snapshot.bindings for aor, snapshot in found.items()} != put:
                it.broken("aors() gives every AOR that has bindings, with all of them.")
            if any(it.lookup(aor) != snapshot for aor, snapshot in found.items()):
                it.broken("aors() gives what lookup() gives, version and all.")

    def test_the_store_may_change_during_iteration(self) -> None:
        with self.opened() as it:
            for n in range(10):
                self.puts(it, f"sip:{n}@x", (a_binding(),))
            seen = set()
            for aor, snapshot in it.each_aor():
                seen.add(aor)
                if snapshot.bindings and not it.replace(aor, (), snapshot.version):
                    it.broken("What aors() gives can be replaced.")
                if len(seen) < 50:
                    _ = it.replace(f"{aor}x", (a_binding(),), 0)
            if not seen >= {f"sip:{n}@x" for n in range(10)}:
                it.broken(
                    "aors() gives every AOR that was there from the beginning, whatever changes meanwhile."
                )

    # All together

    def test_any_sequence_of_calls(self) -> None:
        self.run_machine(StoreMachine)

    def test_calls_that_overlap(self) -> None:
        def check(program: Program) -> None:
            with self.opened() as it:
                run(it, program)

        self.for_all(check, programs())

    def test_one_of_many_writers_wins(self) -> None:
        for rounds in (1, 3):
            with self.opened() as it:
                once: Program = (Look(0), *(Put(0, 1 + n % 3) for n in range(8)), Turn())
                run(it, once * rounds)

    # How the tests above speak

    def run_machine(self, machine: type[StoreMachine]) -> None:
        """Run a state machine over stores of this contract."""
        contract = self

        class Machine(machine):  # type: ignore[valid-type, misc]
            opened = staticmethod(contract.opened)

        run_state_machine_as_test(Machine, settings=self._settings(stateful_step_count=self.steps))

    def puts(self, it: AskedStore, aor: str, put: tuple[Binding, ...]) -> None:
        """Look up, replace, and find what was put."""
        with it.story.aside():
            version = it.lookup(aor).version
        if not it.replace(aor, put, version):
            it.broken("replace() with the current version is done.")
        with it.story.aside():
            self.finds(it, aor, put)

    def finds(self, it: AskedStore, aor: str, put: tuple[Binding, ...]) -> None:
        """Look up what was put."""
        found = it.lookup(aor).bindings
        if found != put or [list(map(type, one)) for one in found] != [list(map(type, one)) for one in put]:
            it.broken(
                "What replace() acknowledged is what lookup() finds, field by field.", _difference(put, found)
            )

    def refuses(self, it: AskedStore, aor: str, put: tuple[Binding, ...], version: int) -> None:
        """Replace with a version that is not current, in vain."""
        with it.story.aside():
            before = it.lookup(aor)
        if it.replace(aor, put, version):
            it.broken("replace() with a version that is not current is refused.")
        if it.lookup(aor) != before:
            it.broken("A replace() that is refused changes nothing.")

    def expires(self, it: AskedStore, now: float, expected: int) -> None:
        """Move the clock to ``now`` and expire until nothing is left to forget."""
        self.reactor.advance(max(0.0, now - self.reactor.seconds()))
        forgotten = 0
        while once := it.expire(now):
            forgotten += once
            if forgotten > expected:
                break
        if forgotten != expected:
            it.broken("expire() returns how many bindings it has forgotten.", f"{expected} had ended")


def _difference(put: tuple[Binding, ...], found: tuple[Binding, ...]) -> str:
    if len(put) != len(found):
        return f"{len(put)} bindings went in, {len(found)} came back"
    for number, (one, other) in enumerate(zip(put, found, strict=True)):
        for field, value, back in zip(Binding._fields, one, other, strict=True):
            if value != back or type(value) is not type(back):
                return f"binding {number}: {field} was {value!r:.200}, and came back as {back!r:.200}"
    return ""
