"""The stock location stores as they are chosen by name: ``memory`` and ``sqlite``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from twisted.logger import Logger

from sipframe.location.errors import LocationError
from sipframe.location.memory import MemoryStore
from sipframe.location.sqlite import SQLiteStore
from sipframe.surroundings import Surroundings

__all__ = ["FILE_NAME", "memory", "sqlite"]

_log = Logger()

FILE_NAME: Final = "location.sqlite"
"""In the state directory."""


def memory() -> MemoryStore:
    """Bindings in memory."""
    return MemoryStore()


def sqlite(
    *,
    path: Annotated[Path | None, "the file; location.sqlite in the server's state directory"] = None,
    durability: Annotated[
        Literal["process", "power"], "what a 200 survives: the end of the process, or a loss of power"
    ] = "process",
    lock_timeout: Annotated[
        float,
        "seconds that a lock of another program on the file is waited for; then REGISTERs are answered 500",
    ] = 5.0,
    surroundings: Surroundings,
) -> SQLiteStore:
    """Bindings in an SQLite file, opened and read. Raises ValueError."""
    file = path or surroundings.state / FILE_NAME
    if not lock_timeout >= 0:
        raise ValueError("lock-timeout: 0 seconds at least")
    store = SQLiteStore(str(file), surroundings.reactor, durability=durability, lock_timeout=lock_timeout)
    try:
        loaded = store.start(surroundings.wall_clock())
    except LocationError as error:
        raise ValueError(str(error)) from None
    _log.info("{count} bindings in {path}", count=loaded, path=str(file))
    return store
