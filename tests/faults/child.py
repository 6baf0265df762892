"""What a test does to a server process from outside: its limits, and the time it believes in.

Rules: the process is the real one. Its clock is stepped by a ``sitecustomize`` in front of it, which adds to what
``time.time`` says what stands in a file: so whatever asks for the wall clock is told the same, Twisted included.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

__all__ = ["WallClock", "descriptors", "limit_descriptors", "limit_file_size", "open_files"]

_STEPPED = """\
import os, time
_real, _path = time.time, os.environ["WALL_CLOCK_STEP"]
def _stepped():
    with open(_path) as file:
        return _real() + float(file.read() or 0)
time.time = _stepped
"""


class WallClock:
    """The wall clock of servers that are started with :attr:`environ`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "step"
        self.set(0)
        site = folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(_STEPPED, encoding="ascii")
        path = f"{site}:{os.environ.get('PYTHONPATH', '')}"
        self.environ = {"WALL_CLOCK_STEP": str(self._file), "PYTHONPATH": path}

    def set(self, seconds: float) -> None:
        """It is so many ``seconds`` before the real one from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds), encoding="ascii")
        new.rename(self._file)


def limit_file_size(pid: int, octets: int | None) -> None:
    """Let the process write no file beyond so many octets; None: as long as it likes."""
    _limit(pid, resource.RLIMIT_FSIZE, octets)


def limit_descriptors(pid: int, count: int | None) -> None:
    """Let the process have so many open files at most; None: as many as it may."""
    _limit(pid, resource.RLIMIT_NOFILE, count)


def _limit(pid: int, which: int, soft: int | None) -> None:
    # The soft limit alone: only root could raise the hard one again.
    hard = resource.prlimit(pid, which)[1]
    resource.prlimit(pid, which, (hard if soft is None else soft, hard))


def open_files(pid: int) -> int:
    """How many descriptors the process has."""
    return len(descriptors(pid))


def descriptors(pid: int) -> list[str]:
    """What they are."""
    found = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(one))
        except FileNotFoundError:
            pass  # closed just now
    return found
