"""A real server to be loaded: its memory, and the Python objects in it.

Rules: it is ``twistd sipregistrar`` as anybody starts it, but for one signal handler that counts objects.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

from tests.process import PATIENCE, ServerProcess

_COUNTING = """\
import collections, gc, json, os, signal
def count(*_):
    kinds = collections.Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
    with open(os.environ["COUNTED"] + ".new", "w") as file:
        json.dump(kinds, file)
    os.rename(file.name, os.environ["COUNTED"])
signal.signal(signal.SIGUSR1, count)
"""


class Counted(ServerProcess):
    """A server whose objects can be counted; a context manager."""

    def __init__(self, state: Path, *options: str | Path, listen: tuple[str, ...] | None = None) -> None:
        self._counted = state.with_name("objects.json")
        site = state.with_name("site")
        site.mkdir(exist_ok=True)
        (site / "sitecustomize.py").write_text(_COUNTING, encoding="ascii")
        environ = {"COUNTED": str(self._counted), "PYTHONPATH": f"{site}:{os.environ.get('PYTHONPATH', '')}"}
        if listen is None:
            super().__init__(state, *options, environ=environ, with_errors=True)
        else:
            super().__init__(state, *options, environ=environ, with_errors=True, listen=listen)

    def objects(self) -> Counter[str]:
        """How many objects of each type the garbage collector knows. The server stands still meanwhile."""
        self._counted.unlink(missing_ok=True)
        self.send_signal(signal.SIGUSR1)
        until = time.monotonic() + PATIENCE
        while not self._counted.exists():
            if time.monotonic() > until:
                raise TimeoutError("the server counts no objects")
            time.sleep(0.05)
        return Counter(json.loads(self._counted.read_text()))


def resident(pid: int) -> float:
    """Resident memory of a process, MiB (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def processor_time(pid: int) -> float:
    """Seconds of CPU that a process has taken (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
