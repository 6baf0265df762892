"""Bindings as rows, and rows as bindings: all the SQL that touches the table.

Rules: one row per binding, numbered by ``position`` within its AOR from 0 without gaps, so that a refresh is one
upsert and nothing else. Text is any ``str``: what UTF-8 cannot hold (lone surrogates, which stand for undecodable
octets) is a BLOB of UTF-8 with the surrogates passed through. The same text is always stored in the same way, so a key
stays a key. Paths are JSON arrays.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from itertools import chain
from math import inf
from sys import intern
from typing import Any, Final, NamedTuple

from sipframe.location.errors import LocationError, damaged, explain
from sipframe.verdicts import Binding

__all__ = ["Row", "Rows", "Stored", "read", "row_of", "write"]

Value = str | bytes | float | int | None
Row = tuple[Value, ...]

_COLUMNS: Final = ("aor", "position", *Binding._fields)
_PATH: Final = Binding._fields.index("path")
_USER_AGENT: Final = Binding._fields.index("user_agent")
_LARGEST: Final = 2**63 - 1

_ROW: Final = f"({', '.join('?' * len(_COLUMNS))})"


def _upsert(rows: int) -> str:
    return (
        f"INSERT INTO binding ({', '.join(_COLUMNS)}) VALUES {', '.join([_ROW] * rows)}"
        " ON CONFLICT (aor, position) DO UPDATE SET "
        + ", ".join(f"{column} = excluded.{column}" for column in Binding._fields)
    )


_UPSERTS: Final = tuple([(rows, _upsert(rows)) for rows in (64, 16, 4, 1)])
"""Statements for so many rows. Each lets go of the interpreter, and while the reactor is busy the writer waits for it:
with one row each, a few hundred REGISTERs a second would be all."""
_DELETE: Final = "DELETE FROM binding WHERE aor = ? AND position >= ?"
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM binding"


class Rows(NamedTuple):
    """All rows that an AOR shall have, and how many it has in the database before that."""

    before: int
    rows: list[Row]


class Stored(NamedTuple):
    """What the database holds of one AOR. ``rows`` is one more than the largest position."""

    bindings: tuple[Binding, ...]
    rows: int


def row_of(aor: str, position: int, binding: Binding) -> Row:
    """The row of one binding. Raises LocationError when a number does not fit; text always does."""
    (
        contact,
        expires_at,
        call_id,
        cseq,
        registered_at,
        q,
        params,
        instance_id,
        reg_id,
        path,
        user_agent,
        flow,
    ) = binding
    # One row that SQLite refused would undo a whole commit, and with it the REGISTERs of others.
    if not (
        -_LARGEST <= cseq <= _LARGEST
        and (-_LARGEST <= expires_at <= _LARGEST or expires_at in (inf, -inf))
        and -_LARGEST <= registered_at <= _LARGEST
        and (reg_id is None or -_LARGEST <= reg_id <= _LARGEST)
    ):
        raise LocationError(f"a binding of {aor!a} has a number that cannot be stored: {binding!a}")
    return (
        aor,
        position,
        contact,
        expires_at,
        call_id,
        cseq,
        registered_at,
        q,
        params,
        instance_id,
        reg_id,
        json.dumps(path) if path else None,
        user_agent,
        flow,
    )


def write(connection: sqlite3.Connection, changes: Iterable[tuple[str, Rows]]) -> None:
    """Make the database hold what ``changes`` say, within the transaction of the caller. Raises sqlite3.Error."""
    surplus: list[Row] = []
    groups: list[list[Row]] = []
    for aor, (before, rows) in changes:
        groups.append(rows)
        if before > len(rows):
            surplus.append((aor, len(rows)))
    if surplus:
        _execute(connection, _DELETE, surplus)
    rows = list(chain.from_iterable(groups))
    done = 0
    for size, statement in _UPSERTS:
        while len(rows) - done >= size:
            _execute(connection, statement, [tuple(chain.from_iterable(rows[done : done + size]))])
            done += size


def _execute(connection: sqlite3.Connection, statement: str, rows: list[Row]) -> None:
    try:
        connection.executemany(statement, rows)
    except UnicodeEncodeError:
        # Rare enough to find out by failing. Some rows went in before; both statements may be repeated.
        connection.executemany(statement, [tuple(map(_storable, row)) for row in rows])


def _storable(value: Value) -> Value:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogatepass")
    return value


def read(connection: sqlite3.Connection, path: str) -> dict[str, Stored]:
    """Everything that is stored in the database at ``path``, expired bindings included. Raises LocationError."""
    try:
        return _read(connection)
    except sqlite3.Error as error:
        raise explain(path, error) from error
    except ValueError as error:
        raise damaged(path, str(error)) from error


def _read(connection: sqlite3.Connection) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    several: dict[str, list[tuple[int, Binding]]] = {}
    for row in connection.execute(_SELECT):
        aor, position, binding = _binding_of(row)
        before = found.get(aor)
        if before is None:
            found[aor] = Stored((binding,), position + 1)
            continue
        together = several.get(aor)
        if together is None:
            together = several[aor] = [(before.rows - 1, before.bindings[0])]
        together.append((position, binding))
    for aor, together in several.items():
        together.sort()
        found[aor] = Stored(tuple([binding for _, binding in together]), together[-1][0] + 1)
    return found


def _binding_of(row: tuple[Any, ...]) -> tuple[str, int, Binding]:
    if bytes in map(type, row):
        row = tuple([v.decode("utf-8", "surrogatepass") if isinstance(v, bytes) else v for v in row])
    aor, position, *fields = row
    path = fields[_PATH]
    fields[_PATH] = () if path is None else _path_of(path)
    if fields[_USER_AGENT] is not None:
        fields[_USER_AGENT] = intern(fields[_USER_AGENT])  # a thousand phones of one make
    return aor, position, Binding(*fields)


def _path_of(text: str) -> tuple[str, ...]:
    path = json.loads(text)
    if not isinstance(path, list) or not all(isinstance(hop, str) for hop in path):
        raise ValueError(f"not a path: {text!a}")
    return tuple(path)
