"""The database file: how it is opened, checked and brought up to date.

Rules: a file is ours when its application_id says so, or when it is empty. Its user_version is the number of steps of
:data:`STEPS` that it has been through; a released step is never changed, only followed by another. A file that is
damaged, foreign or from a newer sipframe is left exactly as it is and refused with a
:class:`~sipframe.location.errors.LocationError`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sipframe.location.errors import LocationError, damaged, explain

__all__ = ["APPLICATION_ID", "STEPS", "check", "migrate", "open_database", "open_to_read"]

APPLICATION_ID: Final = 0x53495046
"""``SIPF``, at offset 68 of the file."""

# Columns are TEXT, or BLOB where the text is no Unicode that UTF-8 can hold; see sipframe.location.rows. The table has
# its rowid for locality: phones that registered together refresh together, and stand on the same pages.
STEPS: Final = (
    """
    CREATE TABLE binding (
        aor TEXT NOT NULL,
        position INTEGER NOT NULL,
        contact TEXT NOT NULL,
        expires_at REAL NOT NULL,
        call_id TEXT NOT NULL,
        cseq INTEGER NOT NULL,
        registered_at REAL NOT NULL,
        q TEXT,
        params TEXT NOT NULL,
        instance_id TEXT,
        reg_id INTEGER,
        path TEXT,
        user_agent TEXT,
        flow TEXT,
        UNIQUE (aor, position)
    );
    """,
)


def open_database(path: str, durability: str, lock_timeout: float) -> sqlite3.Connection:
    """Open the database at ``path`` to serve from it; make it, for its owner's eyes only, when there is none.

    ``durability`` is ``process`` or ``power``, ``lock_timeout`` in seconds. Raises LocationError.
    """
    try:
        # SQLite gives its -wal and -shm files the permissions of the database.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise LocationError(f"{path}: cannot be opened for writing: {error.strerror}") from error
    connection = sqlite3.connect(path, timeout=lock_timeout, isolation_level=None, check_same_thread=False)
    try:
        version = check(connection, path)
        # A NORMAL commit in WAL mode is in the hands of the operating system: it survives the process but perhaps not
        # the power. FULL syncs the log at each commit. https://www.sqlite.org/pragma.html#pragma_synchronous
        connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
        connection.execute("PRAGMA cache_size = -8000")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise LocationError(f"{path}: its file system has no write-ahead log; put it on a local disk")
        if version < len(STEPS):
            migrate(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise explain(path, error) from error
    except LocationError:
        connection.close()
        raise
    return connection


def open_to_read(path: str, lock_timeout: float = 5.0) -> sqlite3.Connection:
    """Open the database at ``path`` beside the process that serves from it. Raises LocationError."""
    if not Path(path).exists():
        raise LocationError(f"{path}: there is no such file")
    uri = f"{Path(path).absolute().as_uri()}?mode=rw"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=lock_timeout, isolation_level=None)
    except sqlite3.Error as error:
        raise explain(path, error) from error
    try:
        connection.execute("PRAGMA query_only = ON")
        version = check(connection, path)
        if version < len(STEPS):
            raise LocationError(
                f"{path}: has not been served from by this sipframe yet; start the server once"
            )
    except sqlite3.Error as error:
        connection.close()
        raise explain(path, error) from error
    except LocationError:
        connection.close()
        raise
    return connection


def check(connection: sqlite3.Connection, path: str) -> int:
    """Refuse what is not ours, too new or damaged; return the schema version, 0 for an empty file.

    Raises LocationError or :class:`sqlite3.Error`.
    """
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (application or version or tables):
        raise LocationError(f"{path}: is a database of another program; name another file")
    if version > len(STEPS):
        raise LocationError(
            f"{path}: was written by a newer sipframe (schema {version}, this one knows {len(STEPS)});"
            " install that version, or name another file"
        )
    # Reads every page once: about 0.1 s for 100,000 bindings.
    verdict: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise damaged(path, verdict)
    return version


def migrate(connection: sqlite3.Connection, path: str, steps: Sequence[str] = STEPS) -> None:
    """Take the database through the ``steps`` that it has not been through: all of them, or none.

    Raises LocationError, with the database as it was.
    """
    try:
        connection.execute("BEGIN EXCLUSIVE")
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        for step in steps[version:]:
            for statement in step.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {max(version, len(steps))}")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise explain(path, error) from error
