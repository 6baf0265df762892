"""Whose datagram is next when more come than can be answered."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sipframe.transport.backlog import Backlog
from sipframe.transport.counters import TransportCounters
from sipframe.transport.known import Known

ENDPOINT: Any = None
ROOM = 64_000


def backlog(room: int = ROOM) -> tuple[Backlog, Known, TransportCounters]:
    known, counters = Known(100), TransportCounters()
    return Backlog(known, room, counters), known, counters


def everybody(waiting: Backlog) -> list[tuple[str, bytes]]:
    found = []
    for take in (waiting.known, waiting.other):
        while (one := take()) is not None:
            found.append((one[1][0], one[0]))
    return found


def test_who_has_registered_goes_first_and_the_others_in_turn() -> None:
    waiting, known, _ = backlog()
    known.add(("phone", 5060))
    for number in range(3):
        waiting.put(b"%d" % number, ("flood", 5060), ENDPOINT)
    waiting.put(b"a", ("somebody", 5060), ENDPOINT)
    waiting.put(b"b", ("phone", 5060), ENDPOINT)
    waiting.put(b"c", ("phone", 5061), ENDPOINT)  # another phone behind the same NAT
    assert waiting
    assert everybody(waiting) == [
        ("phone", b"b"),
        ("flood", b"0"),
        ("somebody", b"a"),
        ("phone", b"c"),
        ("flood", b"1"),
        ("flood", b"2"),
    ]
    assert not waiting


def test_one_address_takes_a_part_of_the_room_and_no_more() -> None:
    waiting, _, counters = backlog()
    for _ in range(1000):
        waiting.put(b"x" * 300, ("flood", 1), ENDPOINT)
    assert counters.dropped_overload > 900
    waiting.put(b"y", ("somebody", 1), ENDPOINT)
    found = everybody(waiting)
    assert ("somebody", b"y") in found
    assert sum(len(data) + 200 for host, data in found if host == "flood") <= ROOM // 16 + 500


def test_what_waits_is_bounded() -> None:
    waiting, known, counters = backlog()
    known.add(("phone", 1))
    for number in range(1000):
        waiting.put(b"x" * 1_000, (f"host-{number}", 1), ENDPOINT)
        waiting.put(b"x" * 1_000, ("phone", 1), ENDPOINT)
    assert counters.dropped_overload == 2 * (1000 - ROOM // 1_200)
    found = everybody(waiting)
    assert len(found) == 2 * (ROOM // 1_200)
    waiting.put(b"again", ("host-1", 1), ENDPOINT)
    assert everybody(waiting) == [("host-1", b"again")]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3_000), st.booleans())))
def test_room_is_given_back(steps: list[tuple[int, int, bool]]) -> None:
    waiting, known, _ = backlog(8_000)
    known.add(("host-0", 1))
    for host, size, take in steps:
        waiting.put(bytes(size), (f"host-{host}", 1), ENDPOINT)
        if take:
            _ = waiting.known() or waiting.other()
    everybody(waiting)
    assert not waiting
    for name, size in (("host-0", 7_000), ("host-1", 100)):
        waiting.put(bytes(size), (name, 1), ENDPOINT)
    assert len(everybody(waiting)) == 2
    waiting.put(b"x", ("host-0", 1), ENDPOINT)
    waiting.clear()
    assert (bool(waiting), everybody(waiting)) == (False, [])


def test_the_last_addresses_are_known() -> None:
    known = Known(10)
    for number in range(1_000):
        known.add(("phone", number))
        assert ("phone", number) in known
    assert all(("phone", number) in known for number in range(990, 1_000))
    assert sum(("phone", number) in known for number in range(1_000)) <= 20
