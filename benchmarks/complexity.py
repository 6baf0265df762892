"""Time for one octet, as inputs grow from 1 KiB to 1 MiB: whatever is quadratic shows as a row that grows.

    python benchmarks/complexity.py [WORDS]       only the rows whose names have all WORDS in them

Each row is one shape of input for one reader; columns are sizes, in nanoseconds an octet, the best of two runs, CPU
time. The last one is how much dearer an octet is at the largest size than at 16 KiB: 1 is linear, 64 is quadratic.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time_ns
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.work import READERS, SHAPES, filled

SIZES = (1 << 10, 1 << 14, 1 << 16, 1 << 18, 1 << 20)
_RUNS = 2
_ENOUGH = 3_000_000_000
"""Nanoseconds after which no larger size of a row is tried."""


class Row(NamedTuple):
    """Nanoseconds an octet, by size; what took too long is left out."""

    name: str
    found: list[float]

    @property
    def growth(self) -> float:
        """The last column over the second."""
        return self.found[-1] / self.found[1]


def measured(read: Callable[[bytes], object], data: bytes) -> int:
    """Nanoseconds of the best run."""
    best = sys.maxsize
    for _ in range(_RUNS):
        before = process_time_ns()
        read(data)
        best = min(best, process_time_ns() - before)
        if best > _ENOUGH:
            break
    return best


def rows(words: list[str]) -> Iterator[Row]:
    """Measure each reader with each shape."""
    for reader, (read, kinds) in READERS.items():
        for kind in kinds:
            for unit in SHAPES[kind]:
                name = f"{reader}: {unit.decode('latin-1')!r}"
                if not all(word in name for word in words):
                    continue
                found: list[float] = []
                for size in SIZES:
                    spent = measured(read, filled(kind, unit, size))
                    found.append(spent / size)
                    if spent > _ENOUGH:
                        break
                yield Row(name, found)


def main(words: list[str]) -> None:
    """Print the table, and the rows that grow most."""
    gc.disable()
    heads = "".join([f"{size // 1024:>9} KiB" for size in SIZES])
    print(f"{'ns an octet':52}{heads}   growth")
    worst: list[Row] = []
    for row in rows(words):
        cells = "".join([f"{one:13.2f}" for one in row.found]).ljust(13 * len(SIZES))
        print(f"{row.name[:51]:52}{cells}{row.growth:9.2f}", flush=True)
        worst.append(row)
    worst.sort(key=lambda row: row.growth, reverse=True)
    print("\nThe most growth from 16 KiB on:")
    for row in worst[:8]:
        print(f"{row.growth:8.2f}  {row.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
