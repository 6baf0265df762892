"""A file that is read again when it has changed.

Rules: what was read is taken into use whole or not at all. A file that cannot be read, or is malformed, leaves what was
there before in use, and that is logged once for each state of the file. Whoever writes the file should write another
one and rename it: then no look sees the half of it. A look is a ``stat``; time and inode tell, and one more reading
after a change, for what was written within the file system's grain of time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

__all__ = ["LARGEST", "WatchedFile"]

_log = Logger()

LARGEST = 64 * 1024 * 1024
"""Octets that a watched file may have unless its owner says otherwise."""

T = TypeVar("T")

_State = tuple[int, int, int, int, int] | str
"""Size, times of change (of the content, and of mode and name too), device and inode; or why there are none."""


class WatchedFile(Generic[T]):
    """``path``, read by ``read``, looked at every ``every`` seconds of ``clock``; 0 never looks again.

    ``read`` gets the octets and raises ValueError for what is malformed, with a reason that holds no secret. At the
    start that is a ValueError here, as is a file that cannot be opened or has more than ``largest`` octets.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[bytes], T],
        clock: IReactorTime,
        every: float,
        *,
        largest: int = LARGEST,
    ) -> None:
        if not 0 <= every < float("inf"):
            raise ValueError("the time between two looks is a number of seconds, or 0")
        self.path = path
        self._read = read
        self._clock = clock
        self._every = every
        self._largest = largest
        self._state = _state_of(path)
        self._settled = False
        octets = self._octets()
        self._digest = _digest_of(octets)
        self.content = self._parsed(octets)
        """What ``read`` made of it last."""
        self._call: IDelayedCall | None = None
        self._wait()

    def look(self) -> None:
        """Read the file again if it may have changed. Raises ValueError, with ``content`` as it was."""
        state = _state_of(self.path)
        if state == self._state and self._settled:
            return
        self._settled = state == self._state
        self._state = state
        octets = self._octets()
        digest = _digest_of(octets)
        if digest != self._digest:
            self._digest = digest
            self.content = self._parsed(octets)
            _log.info("{path} has changed and is in use", path=str(self.path))

    def close(self) -> None:
        """Look no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _wait(self) -> None:
        self._call = self._clock.callLater(self._every, self._turn) if self._every else None

    def _turn(self) -> None:
        try:
            self.look()
        except ValueError as error:
            if not self._settled:
                _log.error("{error}; what was read before stays in use", error=str(error))
        finally:
            self._wait()

    def _octets(self) -> bytes:
        if isinstance(self._state, str):
            raise ValueError(f"{self.path}: {self._state}")
        try:
            with open(self.path, "rb") as file:
                octets = file.read(self._largest + 1)
        except OSError as error:
            raise ValueError(f"{self.path}: {error.strerror}") from None
        if len(octets) > self._largest:
            raise ValueError(f"{self.path}: it has more than {self._largest} octets")
        return octets

    def _parsed(self, octets: bytes) -> T:
        try:
            return self._read(octets)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None


def _state_of(path: Path) -> _State:
    try:
        found = os.stat(path)
    except OSError as error:
        return error.strerror or "it cannot be looked at"
    if not stat.S_ISREG(found.st_mode):
        return "it is no file"
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino


def _digest_of(octets: bytes) -> bytes:
    return blake2b(octets, digest_size=32).digest()
