"""The file that accounts are kept in: opening it, its schema, and refusing what is not it.

Rules: one SQLite file, mode 0600, write-ahead log, so that a server reads on while a command writes. Its schema has a
number. A file of a newer schema, of another program, or a damaged one is refused with one line; nothing is repaired
or replaced silently. What was deleted is overwritten (``secure_delete``).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sipframe.verdicts import Unavailable

__all__ = ["FILE_NAME", "SCHEMA", "AccountsError", "open_accounts", "transaction"]

FILE_NAME: Final = "accounts.sqlite"
SCHEMA: Final = 1
_BUSY: Final = 30.0
"""Seconds to wait for another process's transaction."""

_TABLES: Final = (
    # AUTOINCREMENT: a later account has a larger number, always. `sealed` is the password until a server has recorded
    # its realm (sealing.py), afterwards NULL.
    """CREATE TABLE account (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, domain TEXT NOT NULL, sealed BLOB,
        UNIQUE (name, domain))""",
    # HA1 of NAME and of NAME@DOMAIN in one realm.
    """CREATE TABLE ha1 (
        account INTEGER NOT NULL, realm TEXT NOT NULL,
        name_md5 BLOB NOT NULL, name_sha256 BLOB NOT NULL, name_sha512_256 BLOB NOT NULL,
        full_md5 BLOB NOT NULL, full_sha256 BLOB NOT NULL, full_sha512_256 BLOB NOT NULL,
        PRIMARY KEY (account, realm)) WITHOUT ROWID""",
    # The realms that servers recorded; '' stands for each account's own domain.
    "CREATE TABLE realm (name TEXT PRIMARY KEY) WITHOUT ROWID",
)


class AccountsError(Unavailable):
    """The accounts cannot be used or changed; its text is one line for a person, and holds no secret.

    When it happens to a running server, the request is answered 503 and the next one tries the file again.
    """


def open_accounts(path: Path) -> sqlite3.Connection:
    """Open the file, make it when there is none. Raises AccountsError."""
    try:
        # Created here, so that it never exists with a wider mode; the log files take its mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.chmod(path, 0o600)
        connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise AccountsError(f"cannot open {path}: {_line(error)}") from None
    try:
        _prepare(connection, path)
    except sqlite3.OperationalError as error:
        connection.close()
        raise AccountsError(f"cannot open {path}: {_line(error)}") from None
    except sqlite3.DatabaseError as error:
        connection.close()
        raise AccountsError(f"{path} is damaged, or is no accounts file: {_line(error)}") from None
    except AccountsError:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection, path) == 0:
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            if _version(connection, path) == 0:  # Two processes may get here at once.
                for table in _TABLES:
                    connection.execute(table)
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA cache_size = -16384")  # KiB
    connection.execute("SELECT name FROM realm").fetchall()


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA:
        raise AccountsError(
            f"{path} has schema {version}, this program knows {SCHEMA}: it is from a newer sipframe"
        )
    if version == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise AccountsError(f"{path} is no accounts file: another program made it")
    return version


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction that has the right to write from its start: all of it happens, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # SQLite has rolled back already when the disk is full.
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _line(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())
