"""Look into a database from another process, while a server serves from it or while none does.

Rules: nothing is written and nobody is kept waiting: WAL lets readers and the writer pass each other.
"""

from __future__ import annotations

from sipframe.location.rows import read
from sipframe.location.schema import open_to_read
from sipframe.verdicts import Binding

__all__ = ["stored"]


def stored(path: str) -> dict[str, tuple[Binding, ...]]:
    """All bindings in the database at ``path`` by AOR, expired ones included. Raises LocationError."""
    connection = open_to_read(path)
    try:
        return {aor: stored.bindings for aor, stored in read(connection, path).items()}
    finally:
        connection.close()
