"""Stores that break a rule fail their contract, and the failure says which rule and, in few steps, how to see it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sipframe.testing.contracts import DurableLocationStoreContract, LocationStoreContract
from tests.testing import stores
from tests.testing.told import rules_of, told


class Plain(LocationStoreContract):
    """The contract for any store that can be made."""

    def __init__(self, make: Callable[[Plain], object]) -> None:
        self.make = make

    def open_store(self, place: Path) -> object:
        return self.make(self)


class Durable(DurableLocationStoreContract):
    """The contract for any store that can be made with a file."""

    def __init__(self, make: Callable[[Path, Durable], object]) -> None:
        self.make = make

    def open_store(self, place: Path) -> object:
        return self.make(place / "file", self)


# Those that keep it


@pytest.mark.parametrize("test", rules_of(Plain))
def test_a_plain_store_passes(test: str) -> None:
    getattr(Plain(lambda it: stores.PlainStore()), f"test_{test}")()


@pytest.mark.parametrize("test", rules_of(Plain))
def test_a_slow_store_passes(test: str) -> None:
    getattr(Plain(lambda it: stores.SlowStore(it.reactor)), f"test_{test}")()


@pytest.mark.parametrize("test", rules_of(Durable))
def test_a_file_store_passes(test: str) -> None:
    getattr(Durable(lambda path, it: stores.FileStore(path)), f"test_{test}")()


# Those that do not

ANY = "any_sequence_of_calls"
WHOLE = "What was acknowledged is there, and nothing else."
REFUSED = "replace() with a version that is not current is refused."
COMES_BACK = "A version never comes back with other bindings."
FIELDS = "What replace() acknowledged is what lookup() finds, field by field."

BROKEN = [
    (stores.LosesUpdates, ANY, REFUSED),
    (stores.LosesUpdates, "a_version_that_has_moved_on_changes_nothing", REFUSED),
    (stores.LosesUpdates, "calls_that_overlap", "Of several replace() with the same version one is done."),
    (stores.SaysNoButDoes, ANY, WHOLE),
    (
        stores.CountsAsVersion,
        "versions_never_come_back",
        "A version never comes back with other bindings, and 0 is for none.",
    ),
    (stores.ExpiresInSilence, ANY, COMES_BACK),
    (
        stores.ExpiresInSilence,
        "expiry_takes_what_has_ended_and_only_that",
        "The version changes when bindings expire.",
    ),
    (
        stores.ExpiresTooEarly,
        "expiry_takes_what_has_ended_and_only_that",
        "expire() returns how many bindings it has forgotten.",
    ),
    (stores.IgnoresCase, ANY, WHOLE),
    (
        stores.IgnoresCase,
        "keys_that_look_alike_are_not_the_same",
        "AORs are opaque: what is put under one is not found under another.",
    ),
    (stores.DropsPath, "what_was_put_in_comes_back_whole", FIELDS),
    (stores.RoundsTime, "what_was_put_in_comes_back_whole", FIELDS),
    (stores.OnlyUnicode, "any_text_comes_back", "What can be answered is answered, not raised."),
    (
        stores.GivesLists,
        "nothing_is_there_at_first",
        "lookup() returns a Snapshot of a tuple of Bindings and a version.",
    ),
    (stores.NeverAnswers, ANY, "Every call is answered in the end."),
    (
        stores.IteratesLive,
        "the_store_may_change_during_iteration",
        "What can be answered is answered, not raised.",
    ),
]


@pytest.mark.parametrize(
    ("kind", "test", "rule"), BROKEN, ids=[f"{kind.__name__}-{test}" for kind, test, _ in BROKEN]
)
def test_a_broken_store_is_caught(kind: type[stores.PlainStore], test: str, rule: str) -> None:
    said, steps, _ = told(Plain(lambda it: kind()), test)
    assert said == rule
    assert steps[0] == "the store is opened"
    if test == ANY:
        assert len(steps) <= 7


def test_a_lost_update_is_told_in_two_calls() -> None:
    _, steps, found = told(Plain(lambda it: stores.LosesUpdates()), ANY)
    assert re.fullmatch(r"replace\('(sip:[^']+)', \[#1 [^,]+\], version=0\) -> True", steps[1])
    assert re.fullmatch(r"replace\('(sip:[^']+)', \[\], version=0\) -> True", steps[2])
    assert re.fullmatch(r"'sip:[^']+' had \[\] at that version; it has \[#1 [^,]+\] now", found)


def test_a_lost_field_is_named() -> None:
    _, steps, found = told(Plain(lambda it: stores.DropsPath()), "what_was_put_in_comes_back_whole")
    assert steps[-2].startswith("replace('sip:alice@example.com', [#")
    assert found == "binding 0: path was ('<sip:edge.example.com;lr>',), and came back as ()"


def test_a_value_that_changed_is_shown() -> None:
    _, _, found = told(Plain(lambda it: stores.RoundsTime()), "what_was_put_in_comes_back_whole")
    assert re.fullmatch(r"binding \d: expires_at was \d+\.\d+, and came back as \d+\.0", found)


def test_two_winners_of_one_race_are_named() -> None:
    for test in ("calls_that_overlap", "one_of_many_writers_wins"):
        rule, steps, found = told(Plain(lambda it: stores.LooksThenLeaps(it.reactor)), test)
        assert rule == "Of several replace() with the same version one is done."
        assert sum(step.endswith("version=0) -> True") for step in steps) >= 2
        assert found == "#1 and #2 both had version 0"


def test_what_is_seen_while_a_replace_is_under_way_is_whole() -> None:
    make = Durable(lambda path, it: stores.WritesPiecemeal(path, it.reactor))
    rule, steps, found = told(make, "calls_that_overlap")
    assert rule == "A replace() is there whole or not at all."
    assert re.search(r"begin lookup\('[^']+'\) -> \[#1 [^,]+\]$", "\n".join(steps), re.MULTILINE)
    assert re.fullmatch(r"\[#1 .*\] was never put in", found)


@pytest.mark.parametrize("test", [ANY, "what_was_acknowledged_is_there_after_a_close"])
def test_a_store_that_forgets_is_caught(test: str) -> None:
    rule, steps, _ = told(Durable(lambda path, it: stores.Forgets(path)), test)
    assert (
        rule == WHOLE
        if test == ANY
        else "What was acknowledged before a close is there after it, field by field."
    )
    assert "the store is closed" in steps


CRASH = "what_was_acknowledged_is_there_after_a_crash"
LOST = "What was acknowledged before a crash is there after it."


@pytest.mark.parametrize("kind", [stores.AcknowledgesFirst, stores.Forgets])
def test_what_is_acknowledged_before_it_is_durable_is_caught(kind: type[stores.FileStore]) -> None:
    def make(path: Path, it: Durable) -> object:
        return stores.AcknowledgesFirst(path, it.reactor) if kind is stores.AcknowledgesFirst else kind(path)

    rule, steps, found = told(Durable(make), CRASH)
    assert (rule, found) == (LOST, "nothing is there for sip:alice@example.com")
    assert steps == [
        "replace('sip:alice@example.com', [#1] * 1, version=0) -> True",
        "the process is killed",
        "the store is opened",
        "lookup('sip:alice@example.com') -> [], version 0",
    ]
    assert told(Durable(make), "a_crash_in_full_flight")[0] == LOST


def test_a_partial_write_is_caught_by_a_crash() -> None:
    rule, steps, found = told(Durable(lambda path, it: stores.WritesPiecemeal(path, it.reactor)), CRASH)
    assert rule == "A replace() is there whole or not at all."
    assert re.fullmatch(r"replace\('sip:(alice|bob)@example.com', \[#1\] \* [23], version=0\)", steps[0])
    assert steps[1] == "the process is killed"
    assert re.fullmatch(r"\[#1 .*\] was never put in", found)


def test_what_a_process_raises_before_it_is_killed_is_told() -> None:
    class Fails(stores.FileStore):
        def save(self) -> None:
            raise OSError("no room")

    rule, _, found = told(Durable(lambda path, it: Fails(path)), CRASH)
    assert rule == "What can be answered is answered, not raised."
    assert "no room" in found
