"""The one exception that a location store raises.

Rules: the message is one line for an operator. It names the file, says what is wrong and, where there is something to
do, what to do. It never goes on the wire.
"""

from __future__ import annotations

import sqlite3

from sipframe.verdicts import Unavailable

__all__ = ["LocationError", "LocationOverloaded", "damaged", "explain"]

_SET_ASIDE = (
    "move it away (with its -wal and -shm files) and start again with an empty one, or restore a copy"
)

_DAMAGED = f"it is damaged; {_SET_ASIDE}"

# https://www.sqlite.org/rescode.html. Extended codes begin with the name of their primary code.
_MEANINGS = (
    ("SQLITE_BUSY", "it is locked by another process; find the program that holds it open for writing"),
    ("SQLITE_LOCKED", "it is locked by another process; find the program that holds it open for writing"),
    ("SQLITE_FULL", "there is no room to write; free space on its disk"),
    ("SQLITE_READONLY", "it cannot be written; check the permissions of the file and its directory"),
    ("SQLITE_PERM", "access is denied; check the permissions of the file and its directory"),
    ("SQLITE_CANTOPEN", "it cannot be opened; check that its directory exists and may be written"),
    ("SQLITE_NOTADB", f"it is not an SQLite database, or its beginning is damaged; {_SET_ASIDE}"),
    ("SQLITE_CORRUPT", _DAMAGED),
    ("SQLITE_IOERR", "its disk does not work properly; check the system's log"),
)


class LocationError(Exception):
    """A location store could not do what it was asked, and has not done it: 500 (RFC 3261 10.3 step 7)."""

    logged = False
    """Whether the store has told the log why, once for all changes that failed for one reason."""


class LocationOverloaded(LocationError, Unavailable):
    """A location store has as much to do as it may take on: 503, and later it will do better."""


def explain(path: str, error: BaseException) -> LocationError:
    """Say in one line what ``error``, raised by :mod:`sqlite3`, means for the database at ``path``."""
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if isinstance(error, sqlite3.OperationalError) and "Could not decode" in str(error):
        return damaged(path, str(error))  # text that is not UTF-8; the sqlite3 module gives no code for it
    for code, meaning in _MEANINGS:
        if name.startswith(code):
            return LocationError(f"{path}: {meaning} ({name}: {error})")
    return LocationError(f"{path}: {name}: {error}")


def damaged(path: str, finding: str) -> LocationError:
    """Say in one line that the database at ``path`` is damaged, as ``finding`` shows."""
    return LocationError(f"{path}: {_DAMAGED} ({' '.join(finding.split())})")
