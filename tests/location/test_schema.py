"""Opening, refusing and migrating database files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sipframe.location.errors import LocationError
from sipframe.location.rows import Rows, row_of, write
from sipframe.location.schema import APPLICATION_ID, STEPS, migrate, open_database, open_to_read
from tests.location.bindings import FULL


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with 2,000 bindings in it."""
    path = tmp_path / "location.sqlite"
    with closing(open_database(str(path), "process", 0)) as connection:
        connection.execute("BEGIN")
        write(connection, [(f"sip:{n}@x", Rows(0, [row_of(f"sip:{n}@x", 0, FULL)])) for n in range(2_000)])
        connection.execute("COMMIT")
    return path


def refusal(path: Path) -> str:
    """What is said of the file, which must stay as it is."""
    before = path.read_bytes()
    with pytest.raises(LocationError) as refused:
        open_database(str(path), "process", 0)
    with pytest.raises(LocationError):
        open_to_read(str(path), 0)
    assert path.read_bytes() == before
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def pragma(path: Path, name: str, value: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA {name} = {value}")


def versions(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path)) as connection:
        application, schema = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
    return application, schema


def test_a_new_file_is_marked(path: Path) -> None:
    assert versions(path) == (APPLICATION_ID, len(STEPS))
    assert APPLICATION_ID.to_bytes(4, "big") == b"SIPF"


def test_a_newer_file_is_refused(path: Path) -> None:
    pragma(path, "user_version", 99)
    assert "was written by a newer sipframe (schema 99" in refusal(path)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE binding (aor TEXT)")
    assert "is a database of another program" in refusal(path)
    pragma(path, "application_id", 17)
    assert "is a database of another program" in refusal(path)


@pytest.mark.parametrize("content", [b"#" * 5_000, b"\0" * 100_000])
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(content)
    assert "not an SQLite database" in refusal(path)


def test_a_file_that_was_cut_short_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100_000])
    assert "is damaged; move it away" in refusal(path)


def test_a_file_with_a_bad_page_is_refused(path: Path) -> None:
    content = bytearray(path.read_bytes())
    pages = len(content) // 4096
    for page in range(pages // 2, pages // 2 + 4):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(content)
    assert "is damaged; move it away" in refusal(path)


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.touch()
    open_database(str(path), "process", 0).close()
    assert versions(path) == (APPLICATION_ID, len(STEPS))


def test_an_older_file_is_brought_up_to_date(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(
            connection, str(path), (*STEPS, "ALTER TABLE binding ADD COLUMN colour TEXT; CREATE TABLE t (x)")
        )
        assert connection.execute("SELECT count(colour), count(*) FROM binding").fetchone() == (0, 2_000)
    assert versions(path) == (APPLICATION_ID, len(STEPS) + 1)


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    steps = (*STEPS, "ALTER TABLE binding ADD COLUMN colour TEXT", "ALTER TABLE nonsense RENAME TO x")
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
        pytest.raises(LocationError, match="no such table: nonsense"),
    ):
        migrate(connection, str(path), steps)
    assert path.read_bytes() == before


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "location.sqlite"
    with pytest.raises(LocationError, match="there is no such file"):
        open_to_read(str(path))
    path.touch()
    with pytest.raises(LocationError, match="start the server once"):
        open_to_read(str(path))
    assert path.read_bytes() == b""


def test_a_reader_cannot_write(path: Path) -> None:
    with (
        closing(open_to_read(str(path))) as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("DELETE FROM binding")


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
def test_what_durability_means_to_sqlite(path: Path, durability: str, synchronous: int) -> None:
    with closing(open_database(str(path), durability, 0)) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
