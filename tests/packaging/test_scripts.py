"""``script/server`` and ``script/test`` by themselves: what they make, once, and what they pass on.

The programs in the virtual environment are stand-ins that write down how they were called.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tree import ROOT

WRITES_ITSELF_DOWN = """#!/bin/sh
printf '%s' "$(basename "$0")" >>{log}
printf ' %s' "$@" >>{log}
printf '\\n' >>{log}
"""
PYTHON = 'case $1 in -m) exit $(cat {pip_status});; esac\nexec {python} "$@"\n'
SIPFRAME = "case $2 in add) cat >>{passwords}; exit $(cat {add_status});; remove) exit 1;; esac\n"


class Tree:
    """A tree with the scripts, and with a virtual environment of stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a tree"
        self.log = folder / "log"
        self.passwords = folder / "passwords"
        self.pip_status = folder / "pip-status"
        self.add_status = folder / "add-status"
        self.pip_status.write_text("0")
        self.add_status.write_text("0")
        self.state = self.root / ".state"
        self.root.mkdir()
        shutil.copytree(ROOT / "script", self.root / "script")
        for name in ("setup.cfg", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root)
        programs = self.root / ".venv" / "bin"
        programs.mkdir(parents=True)
        quoted = {name: shlex.quote(str(value)) for name, value in vars(self).items()}
        for name, rest in {"python": PYTHON, "sipframe": SIPFRAME, "twistd": ""}.items():
            text = (WRITES_ITSELF_DOWN + rest).format(python=shlex.quote(sys.executable), **quoted)
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)

    def run(
        self, name: str, *arguments: str, cwd: Path | None = None, **variables: str
    ) -> tuple[int, str, str]:
        """Run a script; return its exit status, its standard output and its errors."""
        done = subprocess.run(
            [self.root / "script" / name, *arguments],
            cwd=cwd or self.root,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def calls(self, program: str) -> list[str]:
        """How the stand-in ``program`` was called so far; each call is reported once."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.write_text("".join(f"{line}\n" for line in lines if not line.startswith(program)))
        return [line for line in lines if line.startswith(program)]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def pip_installs(tree: Tree) -> list[str]:
    return [call.rpartition(" --editable ")[2] for call in tree.calls("python") if " pip install " in call]


def test_first_run_makes_an_account_and_serves(tree: Tree) -> None:
    status, shown, _ = tree.run("server")
    assert status == 0
    assert (
        tree.calls("sipframe")[-1]
        == f"sipframe user add demo@localhost --state {tree.state} --password-file -"
    )
    assert tree.calls("twistd") == [f"twistd -n --pidfile= sipregistrar --state {tree.state}"]
    password = (tree.state / "demo-password").read_text()
    assert len(password.strip()) == 16
    assert tree.passwords.read_text() == password
    assert tree.state.stat().st_mode & 0o777 == 0o700
    assert (tree.state / "demo-password").stat().st_mode & 0o777 == 0o600
    assert password.strip() in shown
    assert (
        ".venv/bin/sipframe register sip:demo@localhost --server tls:127.0.0.1:5061"
        " --ca-file .state/certificate.pem --password-file .state/demo-password\n"
    ) in shown


def test_second_run_keeps_the_account(tree: Tree) -> None:
    tree.run("server")
    password = (tree.state / "demo-password").read_text()
    tree.calls("sipframe")
    status, shown, _ = tree.run("server")
    assert (status, tree.calls("sipframe")) == (0, [])
    assert password.strip() in shown


def test_an_account_that_cannot_be_made_ends_it(tree: Tree) -> None:
    tree.add_status.write_text("1")
    status, _, _ = tree.run("server")
    assert status != 0
    assert tree.calls("twistd") == []
    tree.add_status.write_text("0")
    assert tree.run("server")[0] == 0
    assert (tree.state / "demo-password").read_text() == tree.passwords.read_text().splitlines(keepends=True)[
        -1
    ]


@pytest.mark.parametrize("arguments", [("--state", "my state"), ("--state=my state",)])
def test_a_new_state_directory_gets_an_account(tree: Tree, arguments: tuple[str, ...]) -> None:
    status, shown, _ = tree.run("server", *arguments)
    assert status == 0
    assert tree.calls("twistd") == [f"twistd -n --pidfile= sipregistrar {' '.join(arguments)}"]
    assert (tree.root / "my state" / "demo-password").read_text().strip() in shown
    assert not tree.state.exists()


def test_an_existing_state_directory_is_left_as_it_is(tree: Tree, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    status, shown, _ = tree.run("server", "--state", str(mine))
    assert (status, tree.calls("sipframe"), list(mine.iterdir())) == (0, [], [])
    assert f".venv/bin/sipframe user add NAME@DOMAIN --state {mine}" in shown


def test_further_arguments_are_passed_on(tree: Tree) -> None:
    tree.run("server", "--domain", "example.com", "--realm", "two words")
    (call,) = tree.calls("twistd")
    assert call.endswith(f"sipregistrar --state {tree.state} --domain example.com --realm two words")
    assert tree.calls("sipframe") == []


@pytest.mark.parametrize(
    ("arguments", "server"),
    [
        (["--listen", "tls:15061"], "tls:127.0.0.1:15061"),
        (["--listen=udp:15060", "--listen", "tls:15061:interface=0.0.0.0"], "tls:127.0.0.1:15061"),
        (["--listen=tcp:15060", "--listen", "udp:15060"], "tcp:127.0.0.1:15060"),
        (["--listen", r"udp:15060:interface=\:\:1"], "udp:[::1]:15060"),
        (["--listen", "tls:0:interface=192.0.2.1"], "tls:192.0.2.1:0"),
    ],
)
def test_the_example_dials_where_the_server_listens(tree: Tree, arguments: list[str], server: str) -> None:
    assert f" --server {server} " in tree.run("server", *arguments)[1]


def test_help_makes_nothing(tree: Tree) -> None:
    assert tree.run("server", "--help")[0] == 0
    assert tree.calls("twistd") == ["twistd -n --pidfile= sipregistrar --help"]
    assert not tree.state.exists()


def test_paths_are_whole_when_started_elsewhere(tree: Tree, tmp_path: Path) -> None:
    shown = tree.run("server", cwd=tmp_path)[1]
    assert f"{tree.root.name}/.venv/bin/sipframe register" in shown


def test_installs_once_and_again_after_a_change(tree: Tree) -> None:
    tree.run("server")
    assert pip_installs(tree) == [str(tree.root)]
    tree.run("server")
    assert pip_installs(tree) == []
    (tree.root / "setup.cfg").write_text("[metadata]\nname = other\n")
    tree.run("server")
    assert pip_installs(tree) == [str(tree.root)]


def test_tests_need_more_than_the_server(tree: Tree) -> None:
    tree.run("server")
    tree.calls("python")
    tree.run("test")
    assert pip_installs(tree) == [f"{tree.root}[dev]"]


def test_an_install_that_fails_is_tried_again(tree: Tree) -> None:
    tree.pip_status.write_text("1")
    status, _, errors = tree.run("server")
    assert status == 1
    assert "pip could not install" in errors
    assert tree.calls("twistd") == []
    tree.pip_status.write_text("0")
    assert tree.run("server")[0] == 0


def test_a_lock_whose_owner_is_gone_is_no_lock(tree: Tree) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    lock = tree.root / ".venv.lock"
    lock.symlink_to(str(gone.pid))
    assert tree.run("server")[0] == 0
    assert not lock.is_symlink()


def test_an_environment_of_another_tree_is_made_anew(tree: Tree) -> None:
    tree.run("server")
    (tree.root / ".venv" / ".sipframe-tree").write_text("/where/it/was\n")
    (tree.root / ".venv" / ".sipframe-server").unlink()
    status, _, errors = tree.run("server", PYTHON="/nowhere/python")
    assert status == 1
    assert errors.startswith("No Python 3.11 or later")


@pytest.mark.parametrize("name", ["server", "test"])
def test_no_python_is_one_clear_line(tree: Tree, name: str) -> None:
    shutil.rmtree(tree.root / ".venv")
    status, shown, errors = tree.run(name, PYTHON="/nowhere/python")
    assert (status, shown) == (1, "")
    assert errors.startswith("No Python 3.11 or later")
    assert errors.count("\n") == 1
    assert not (tree.root / ".venv").exists()


def test_a_failing_tool_ends_the_tests(tree: Tree) -> None:
    programs = tree.root / ".venv" / "bin"
    (programs / "ruff").write_text("#!/bin/sh\nexit 3\n")
    (programs / "ruff").chmod(0o755)
    status, _, errors = tree.run("test")
    assert status == 3
    assert "== pytest" not in errors
