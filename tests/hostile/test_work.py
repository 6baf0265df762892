"""No reader does more for an octet because there are more octets: lines of Python are counted, not time.

What one line does in C is not seen here: ``benchmarks/complexity.py`` measures that, with the same inputs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from fuzz.work import READERS, SHAPES, filled

SIZES = (1 << 10, 1 << 12, 1 << 14)
"""Octets; each is four times the one before."""
STREAM = 1 << 20
"""Octets of a long stream: 1 MiB."""


def lines(read: Callable[[bytes], object], data: bytes, of: str = "") -> int:
    """How many lines of Python are carried out, and how many calls are made, in files that have ``of`` in their paths.

    What is in ``testing`` counts for nothing then.
    """
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        name = frame.f_code.co_filename
        if of and (of not in name or "testing" in name):
            return None
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        read(data)
    finally:
        sys.settrace(before)
    return count


def test_lines_are_counted() -> None:
    def read(data: bytes) -> None:
        for _ in data:
            pass

    assert lines(read, bytes(100)) < lines(read, bytes(200)) < 3 * lines(read, bytes(100))


def test_what_is_quadratic_is_found() -> None:
    def read(data: bytes) -> None:
        for at in range(len(data)):
            for _ in range(at):
                pass

    assert not linear([lines(read, bytes(size)) for size in (16, 64, 256)])


def linear(counts: list[int]) -> bool:
    """Whether four times the octets are at most five times the lines, from the second step on."""
    return counts[-1] <= 5 * counts[-2] + 200


@pytest.mark.parametrize("reader", READERS)
def test_lines_grow_no_faster_than_octets(reader: str) -> None:
    read, kinds = READERS[reader]
    worse = []
    for kind in kinds:
        for unit in SHAPES[kind]:
            counts = [lines(read, filled(kind, unit, size)) for size in SIZES]
            if not linear(counts):
                worse.append((unit, counts))
    assert worse == []


@pytest.mark.parametrize("reader", [name for name in READERS if name.startswith("stream")])
def test_a_stream_of_a_mebibyte(reader: str) -> None:
    read, _ = READERS[reader]
    for kind, unit in (("body", b"b"), ("stream", b"a"), ("field", b"\r\n ")):
        small, large = (lines(read, filled(kind, unit, size)) for size in (STREAM // 16, STREAM))
        assert large <= 20 * small + 200
