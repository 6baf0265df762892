"""``sipframe user`` as other programs call it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from sipframe.auth import digest
from sipframe.auth.accounts import Account, Accounts
from sipframe.cli.command import CommandError
from sipframe.cli.user import _users
from tests.tree import ROOT

Done = subprocess.CompletedProcess[bytes]


def start(state: Path, *arguments: str | bytes) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "sipframe.cli.main", "user", *arguments, "--state", str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        # The locale is no part of the contract.
        env={**os.environ, "LC_ALL": "C.UTF-8", "COLUMNS": "100"},
    )


def run(state: Path, *arguments: str | bytes, given: bytes = b"") -> Done:
    with start(state, *arguments) as process:
        out, err = process.communicate(given)
        return Done(process.args, process.returncode, out, err)


def said(done: Done) -> tuple[int, str, str]:
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def ha1(state: Path, username: str, realm: str) -> str | None:
    with closing(Accounts(state, entropy=os.urandom, clock=Clock().seconds)) as accounts:
        secret = accounts.secret(username, realm, "MD5")
        return None if secret is None else secret.ha1


def expected(username: str, realm: str, password: str) -> str:
    return digest.ha1(digest.ALGORITHMS["MD5"], username, realm, password)


def test_an_account_from_birth_to_death(tmp_path: Path) -> None:
    state = tmp_path / "state"
    add = ("add", "bob@Example.com", "--password-file", "-")
    assert said(run(state, *add, given=b"zanzibar\n")) == (0, "Added bob@example.com.\n", "")
    assert ha1(state, "bob", "example.com") == expected("bob", "example.com", "zanzibar")
    assert said(run(state, *add, given=b"x")) == (1, "", "sipframe: bob@example.com exists already\n")

    password = tmp_path / "password"
    password.write_bytes(b"two words\r\n")
    passwd = ("passwd", "bob@example.com", "--password-file", str(password))
    assert said(run(state, *passwd)) == (0, "Changed the password of bob@example.com.\n", "")
    assert ha1(state, "bob@example.com", "example.com") == expected(
        "bob@example.com", "example.com", "two words"
    )

    assert said(run(state, "list")) == (0, "bob@example.com\n", "")
    remove = ("remove", "bob@example.com")
    assert said(run(state, *remove)) == (0, "Removed bob@example.com.\n", "")
    missing = (1, "", "sipframe: bob@example.com does not exist\n")
    assert said(run(state, *remove)) == missing
    assert said(run(state, *passwd)) == missing
    assert said(run(state, "list")) == (0, "", "")


def test_a_realm(tmp_path: Path) -> None:
    run(tmp_path, "add", "bob@example.com", "--realm", "atlanta", "--password-file", "-", given=b"x")
    assert ha1(tmp_path, "bob", "atlanta") == expected("bob", "atlanta", "x")
    assert ha1(tmp_path, "bob", "example.com") is None


def test_import(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_bytes(
        b"\xef\xbb\xbfbob@example.com zanzibar\r\n\n  \nalice@example.net\t two  words \ncarol@a.b caf\xe9"
    )
    state = tmp_path / "state"
    assert said(run(state, "import", str(users))) == (0, "Added 3 and changed 0 accounts.\n", "")
    assert ha1(state, "bob", "example.com") == expected("bob", "example.com", "zanzibar")
    assert ha1(state, "alice", "example.net") == expected("alice", "example.net", "two  words ")
    assert ha1(state, "carol", "a.b") == expected("carol", "a.b", "caf\udce9")
    again = run(state, "import", "-", given=b"bob@example.com new\ndave@example.com x\n")
    assert said(again) == (0, "Added 1 and changed 1 accounts.\n", "")
    assert ha1(state, "bob", "example.com") == expected("bob", "example.com", "new")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"secret-first bob@example.com", "not NAME@DOMAIN and a password"),
        (b"bob@example.com", "no password"),
    ],
)
def test_a_wrong_line_undoes_the_import_and_shows_no_secret(tmp_path: Path, line: bytes, reason: str) -> None:
    done = run(tmp_path, "import", "-", given=b"alice@example.com x\n" + line + b"\n")
    assert said(done) == (1, "", f"sipframe: standard input, line 2: {reason}\n")
    assert said(run(tmp_path, "list")) == (0, "", "")


def test_a_large_import_is_read_line_by_line() -> None:
    def lines() -> Iterable[bytes]:
        yield b"bob@example.com x\n"
        yield b"wrong\n"

    users = _users(lines(), "file")
    assert next(users) == (Account("bob", "example.com"), "x")
    with pytest.raises(CommandError):
        next(users)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (b"", "the password is empty"),
        (b"\n", "the password is empty"),
        (b"a\nb\n", "the password has more than one line"),
    ],
)
def test_passwords_that_cannot_be(tmp_path: Path, given: bytes, reason: str) -> None:
    done = run(tmp_path, "add", "bob@example.com", "--password-file", "-", given=given)
    assert said(done) == (1, "", f"sipframe: {reason}\n")


def test_nobody_to_ask(tmp_path: Path) -> None:
    reason = "sipframe: no terminal to ask for the password: use --password-file\n"
    assert said(run(tmp_path, "add", "bob@example.com")) == (1, "", reason)


@pytest.mark.parametrize("name", ["bob", "bob@", b"b\xe4b@example.com", "a\nb@example.com"])
def test_names_that_cannot_be(tmp_path: Path, name: str | bytes) -> None:
    code, out, err = said(run(tmp_path, "add", name, "--password-file", "-", given=b"x"))
    assert (code, out) == (1, "")
    assert err.startswith("sipframe: not NAME@DOMAIN: ")
    assert err.count("\n") == 1


def test_one_line_when_the_files_are_not_usable(tmp_path: Path) -> None:
    code, out, err = said(run(tmp_path / "missing", "list"))
    assert (code, out, err) == (1, "", f"sipframe: no accounts in {tmp_path / 'missing'}\n")
    assert not (tmp_path / "missing").exists()
    (tmp_path / "accounts.sqlite").write_bytes(b"garbage" * 1000)
    code, out, err = said(run(tmp_path, "list"))
    assert (code, out, err.count("\n")) == (1, "", 1)
    code, out, err = said(run(tmp_path, "import", str(tmp_path / "nothing")))
    assert (code, out, err.count("\n")) == (1, "", 1)
    (tmp_path / "file").write_bytes(b"")
    code, out, err = said(run(tmp_path / "file" / "state", "add", "bob@example.com"))
    assert (code, out, err.count("\n")) == (1, "", 1)


def test_several_at_once_on_a_fresh_directory(tmp_path: Path) -> None:
    # All make the directory, the file, the tables and the key, or find them made.
    state = tmp_path / "state"
    names = [f"user{number}@example.com" for number in range(6)]
    processes = [start(state, "add", name, "--password-file", "-") for name in names]
    done = [process.communicate(b"x") for process in processes]
    assert [process.returncode for process in processes] == [0] * 6, done
    assert said(run(state, "list"))[1].split() == names
    with closing(Accounts(state, entropy=os.urandom, clock=Clock().seconds)) as accounts:
        assert accounts.claim("realm") == 6
