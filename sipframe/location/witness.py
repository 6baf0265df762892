"""Whether the file that SQLite has open is still the one at its path.

Rules: SQLite goes on writing into a file that somebody has removed, renamed or put another in the place of, and what is
acknowledged then is lost at the next start. So a commit asks first. It is two system calls for a group of changes.
"""

from __future__ import annotations

import os
from typing import Final

from sipframe.location.errors import LocationError, damaged

__all__ = ["Witness"]

_MAGIC: Final = b"SQLite format 3\0"
"""https://www.sqlite.org/fileformat2.html#magic_header_string"""


class Witness:
    """Holds the file at ``path`` open from now on. Raises OSError."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def flaw(self) -> LocationError | None:
        """What is wrong with the file, if anything."""
        try:
            there, ours = os.stat(self._path), os.fstat(self._file)
            begins = os.pread(self._file, len(_MAGIC), 0)
        except OSError as error:
            return LocationError(f"{self._path}: cannot be looked at: {error.strerror}")
        if not os.path.samestat(there, ours):
            return LocationError(
                f"{self._path}: another file is in its place; put it back, or restart the server"
            )
        if begins != _MAGIC:
            return damaged(self._path, "it does not begin as a database any more")
        return None

    def close(self) -> None:
        """Let go of it. Only after SQLite has: closing any descriptor of a file drops SQLite's locks on it."""
        os.close(self._file)
