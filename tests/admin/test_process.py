"""The admin socket of a real process: from its start to its end, whatever that is."""

from __future__ import annotations

import json
import signal
import stat
from pathlib import Path

from sipframe.admin.client import ask
from tests.client import Client
from tests.process import ServerProcess, add_user, run, sipframe, twistd

UDP = ("udp:0:interface=127.0.0.1",)
CONTACT = "Contact: <sip:bob@192.0.2.7>"


def test_a_server_has_one_for_its_owner_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with ServerProcess(tmp_path, listen=UDP):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        [(_, counters), _] = ask(path, "counters")
        assert counters["transport"]["datagrams"] == 0
    assert not path.exists()


def test_bindings_in_memory_can_be_seen_and_removed(tmp_path: Path) -> None:
    add_user(tmp_path, "bob@localhost", "zanzibar")
    with ServerProcess(tmp_path, "--location=memory", listen=UDP) as server, Client.of(server, "udp") as bob:
        assert bob.register("zanzibar", CONTACT).status == 200
        listed = run(sipframe("bindings", "--state", tmp_path, "--json"))
        found = json.loads(listed.stdout)
        assert (found["aor"], found["contact"]) == ("sip:bob@localhost", "sip:bob@192.0.2.7")
        for code, said in (
            (0, "Removed sip:bob@192.0.2.7 of sip:bob@localhost.\n"),
            (1, "There is no such binding of sip:bob@localhost.\n"),
        ):
            removed = run(sipframe("unregister", "bob@localhost", "sip:bob@192.0.2.7", "--state", tmp_path))
            assert (removed.returncode, removed.stdout) == (code, said)
        removed = run(sipframe("unregister", "bob@localhost", "tel:+1", "--state", tmp_path))
        assert removed.returncode == 1


def test_what_a_killed_server_leaves_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with ServerProcess(tmp_path, listen=UDP) as server:
        server.end(signal.SIGKILL)
        assert path.is_socket()
        asked = run(sipframe("why", "--state", tmp_path))
        assert (asked.returncode, asked.stderr.count("nobody listens at")) == (2, 1)
    with ServerProcess(tmp_path, listen=UDP):
        assert list(ask(path, "why"))[-1][0] == "end"
    assert not path.exists()


def test_two_servers_do_not_share_one(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with ServerProcess(tmp_path, "--location=memory", listen=UDP):
        second = run(twistd("--state", tmp_path, "--location=memory", f"--listen={UDP[0]}"))
        assert second.returncode == 1
        assert f"sipregistrar: admin socket {path}: another server is running there\n" in second.stderr
        assert list(ask(path, "why"))[-1][0] == "end"


def test_none_at_all(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--admin=no", listen=UDP):
        assert not (tmp_path / "admin.sock").exists()


def test_in_another_place(tmp_path: Path) -> None:
    path = tmp_path / "here.sock"
    with ServerProcess(tmp_path / "state", f"--admin={path}", listen=UDP):
        assert run(sipframe("counters", "--socket", path, "--json")).returncode == 0
        assert not (tmp_path / "state" / "admin.sock").exists()
    assert not path.exists()


def test_a_place_where_there_can_be_none(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "admin.sock"
    done = run(twistd("--state", tmp_path, f"--admin={path}", f"--listen={UDP[0]}"))
    assert done.returncode == 1
    assert f"sipregistrar: admin socket {path}: no such file or directory\n" in done.stderr
