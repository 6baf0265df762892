"""Disks that are full, files that are locked, damaged or taken away while a server serves from them.

What was answered 200 is there after the next start, what was not is answered 5xx, one line says why, and the server is
as good as before when the fault has gone.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.client import Client, contacts
from tests.faults.child import limit_file_size
from tests.process import PATIENCE, ServerProcess, add_user

UDP = ("udp:0:interface=127.0.0.1",)
REFUSED = "REGISTERs are answered 500"
AGAIN = "bindings are committed again"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    add_user(tmp_path / "state", "bob@localhost", "zanzibar")
    return tmp_path / "state"


class Bob:
    """A user whose bindings are added one after the other; what was acknowledged is remembered."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self._number = 0

    def register(self, client: Client, padding: str = "") -> int:
        """One more binding; the status."""
        self._number += 1
        uri = f"sip:bob@192.0.2.{self._number % 10}:{5060 + self._number}"
        agent = (f"User-Agent: {padding}",) if padding else ()
        response = client.register("zanzibar", f"Contact: <{uri}>", *agent, call_id=uri)
        if response.status == 200:
            self.acknowledged.append(uri)
            assert sorted(contacts(response)) == sorted(self.acknowledged)
        return response.status

    def forget(self, client: Client) -> None:
        """Remove all bindings."""
        self._number += 1
        removed = client.register(
            "zanzibar", "Contact: *", "Expires: 0", call_id=f"removing-{self._number}", cseq=9
        )
        assert removed.status == 200
        self.acknowledged.clear()

    def check(self, client: Client) -> None:
        """What the server has is what it has acknowledged."""
        self._number += 1
        fetched = client.register("zanzibar", call_id=f"checking-{self._number}")
        assert sorted(contacts(fetched)) == sorted(self.acknowledged)

    def check_after_restart(self, state: Path) -> None:
        with ServerProcess(state, listen=UDP) as server, Client.of(server, "udp") as client:
            self.check(client)


def test_writes_that_fail(state: Path) -> None:
    bob = Bob()
    with (
        ServerProcess(state, listen=UDP, with_errors=True) as server,
        Client.of(server, "udp") as client,
    ):
        assert bob.register(client) == 200
        limit_file_size(server.pid, (state / "location.sqlite-wal").stat().st_size)
        assert [bob.register(client) for _ in range(3)] == [500, 500, 500]
        bob.check(client)
        limit_file_size(server.pid, None)
        assert bob.register(client) == 200
        server.wait_for(AGAIN)
    assert server.log.count(REFUSED) == 1
    assert "Traceback" not in server.log
    bob.check_after_restart(state)


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    """A file system of its own, mounted ``at``; a program that runs Python where it is seen."""
    at.mkdir()
    mounting = f'mount -t tmpfs -o size={size} none "{at}" && echo mounted && exec cat'
    with subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounting],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        if holder.stdout.readline() != "mounted\n":
            pytest.skip("no file system can be mounted here")
        within = at.with_name("python-within")
        enter = f"exec nsenter --target {holder.pid} --user --mount --preserve-credentials"
        within.write_text(f'#!/bin/sh\n{enter} {sys.executable} "$@"\n', encoding="ascii")
        within.chmod(0o700)
        try:
            yield within
        finally:
            holder.stdin.close()
            holder.wait(PATIENCE)


@pytest.mark.skipif(not (shutil.which("unshare") and shutil.which("nsenter")), reason="no util-linux")
def test_a_disk_that_is_full(state: Path, tmp_path: Path) -> None:
    bob = Bob()
    disk = tmp_path / "disk"
    with small_disk(disk, "400k") as within:
        subprocess.run([within, "-c", _COPY, state, disk], check=True)
        with (
            ServerProcess(disk, python=within, listen=UDP, with_errors=True) as server,
            Client.of(server, "udp") as client,
        ):
            assert bob.register(client) == 200
            subprocess.run([within, "-c", _FILL, disk], check=True)
            statuses = [bob.register(client, "x" * 500) for _ in range(30)]
            while 500 not in statuses:  # there is some room in the pages that the log has already
                bob.forget(client)
                statuses += [bob.register(client, "x" * 500) for _ in range(9)]
            bob.check(client)
            assert client.options() == 200
            subprocess.run(
                [within, "-c", "import os, sys; os.remove(sys.argv[1])", disk / "full"], check=True
            )
            assert bob.register(client) == 200
            server.wait_for(AGAIN)
        assert "there is no room to write; free space on its disk" in server.log
        assert "Traceback" not in server.log
        with (
            ServerProcess(disk, python=within, listen=UDP) as server,
            Client.of(server, "udp") as client,
        ):
            bob.check(client)


_COPY = "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2], dirs_exist_ok=True)"
_FILL = """\
import sys
with open(sys.argv[1] + "/full", "wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
"""


def test_a_database_that_another_program_locks(state: Path) -> None:
    bob = Bob()
    with (
        ServerProcess(state, "--location=sqlite:lock-timeout=0.1", listen=UDP, with_errors=True) as server,
        Client.of(server, "udp") as client,
    ):
        assert bob.register(client) == 200
        with closing(sqlite3.connect(state / "location.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert [bob.register(client) for _ in range(2)] == [500, 500]
            bob.check(client)
            other.execute("ROLLBACK")
        assert bob.register(client) == 200
        server.wait_for(AGAIN)
    assert server.log.count("it is locked by another process") == 1
    bob.check_after_restart(state)


def test_a_lock_that_is_held_shortly_is_waited_for(state: Path) -> None:
    bob = Bob()
    with ServerProcess(state, listen=UDP) as server, Client.of(server, "udp") as client:
        assert bob.register(client) == 200
        with closing(sqlite3.connect(state / "location.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with Client.of(server, "udp") as waiting:
                challenge = waiting.ask(waiting.request("REGISTER", call_id="waiting"))
                assert challenge.status == 401
                assert client.options() == 200
            other.execute("ROLLBACK")
        assert bob.register(client) == 200
    assert REFUSED not in server.log


def test_accounts_that_another_program_locks_are_still_read(state: Path) -> None:
    add_user(state, "carol@localhost", "lagos")
    bob = Bob()
    with (
        ServerProcess(state, listen=UDP) as server,
        Client.of(server, "udp") as client,
        closing(sqlite3.connect(state / "accounts.sqlite", isolation_level=None)) as other,
    ):
        other.execute("BEGIN EXCLUSIVE")
        assert bob.register(client) == 200
        assert client.register("lagos", user="carol", call_id="carol").status == 200
        other.execute("ROLLBACK")


@pytest.mark.parametrize("how", ["removed", "replaced", "overwritten"])
def test_bindings_whose_file_is_spoilt_under_the_server(how: str, state: Path, tmp_path: Path) -> None:
    bob = Bob()
    file, aside = state / "location.sqlite", tmp_path / "aside"
    with (
        ServerProcess(state, listen=UDP, with_errors=True) as server,
        Client.of(server, "udp") as client,
    ):
        assert bob.register(client) == 200
        if how == "overwritten":
            shutil.copyfile(file, aside)
            with file.open("r+b") as spoiling:
                spoiling.write(b"garbage " * 100)
        else:
            file.rename(aside)
            if how == "replaced":
                file.write_bytes(b"another")
        assert [bob.register(client) for _ in range(2)] == [500, 500]
        bob.check(client)
        assert server.log.count(REFUSED) == 1
        assert str(file) in server.log
        if how == "overwritten":
            with file.open("r+b") as mending:
                mending.write(aside.read_bytes())
        else:
            aside.rename(file)
        assert bob.register(client) == 200
        server.wait_for(AGAIN)
    bob.check_after_restart(state)


@pytest.mark.parametrize("which", ["middle", "all"])
def test_accounts_that_are_damaged_under_the_server(which: str, state: Path) -> None:
    file = state / "accounts.sqlite"
    with (
        ServerProcess(state, listen=UDP, with_errors=True) as server,
        Client.of(server, "udp") as client,
    ):
        assert client.register("wrong", user="nobody").status == 401  # the file has been looked at
        for one in (file, *state.glob("accounts.sqlite-wal")):
            size = one.stat().st_size
            with one.open("r+b") as spoiling:
                spoiling.seek(4096 if which == "middle" else 0)
                spoiling.write(os.urandom(max(size - spoiling.tell(), 0)))
        assert client.register("zanzibar", call_id="bob").status in (
            200,
            503,
        )  # SQLite may have it all in memory
        assert client.options() == 200
