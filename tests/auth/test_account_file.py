from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sipframe.auth.account_file import SCHEMA, AccountsError, open_accounts, transaction


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "accounts.sqlite"
    with closing(open_accounts(path)) as connection:
        assert {one.stat().st_mode & 0o777 for one in tmp_path.iterdir()} == {0o600}
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_with_a_wider_mode_is_narrowed(tmp_path: Path) -> None:
    path = tmp_path / "accounts.sqlite"
    open_accounts(path).close()
    path.chmod(0o644)
    open_accounts(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def refusal(path: Path) -> str:
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(AccountsError) as caught:
        open_accounts(path)
    assert not path.is_file() or path.read_bytes() == before
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "accounts.sqlite"
    with closing(open_accounts(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    assert "newer" in refusal(path)


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be looked at" * 100, b"SQLite format 3\0" * 99]
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "accounts.sqlite"
    path.write_bytes(content)
    assert "damaged" in refusal(path)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "accounts.sqlite"
    open_accounts(path).close()
    path.write_bytes(path.read_bytes()[:5000])
    assert "damaged" in refusal(path)


def test_the_file_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "accounts.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (x)")
        connection.commit()
    assert "another program" in refusal(path)


def test_a_file_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    assert "No such file or directory" in refusal(tmp_path / "missing" / "accounts.sqlite")
    (tmp_path / "folder").mkdir()
    assert "cannot open" in refusal(tmp_path / "folder")


def test_a_transaction_happens_or_does_not(tmp_path: Path) -> None:
    with closing(open_accounts(tmp_path / "accounts.sqlite")) as connection:

        def record(name: str, end: BaseException | None) -> None:
            with transaction(connection):
                connection.execute("INSERT INTO realm VALUES (?)", (name,))
                if end is not None:
                    raise end

        record("a", None)
        with pytest.raises(KeyboardInterrupt):
            record("b", KeyboardInterrupt())
        assert connection.execute("SELECT name FROM realm").fetchall() == [("a",)]
