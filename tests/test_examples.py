"""Every example runs, and does what it says: started as a person would, on ports that the system chooses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.tree import ROOT

EXAMPLES = ROOT / "examples"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def copy_of(name: str, directory: Path) -> Path:
    """The example in ``directory``, with ports that the system chooses."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    text = text.replace("udp:5060", "udp:0").replace("TCPServer(8080", "TCPServer(0")
    copy = directory / name
    copy.write_text(text, encoding="utf-8")
    return copy


@contextmanager
def running(command: list[str], directory: Path) -> Iterator[list[str]]:
    """Run ``command`` in ``directory``; gives the log until the server was ready."""
    process = subprocess.Popen(
        command,
        cwd=directory,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    log: list[str] = []
    try:
        for line in process.stdout:
            log.append(line)
            if "sipframe is ready" in line:
                break
        else:
            pytest.fail("".join(log))
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate()
        log.append(rest)
    assert "Traceback" not in "".join(log)


def udp_port(log: list[str]) -> int:
    found = re.search(r"ready: .*?UDP 127\.0\.0\.1:(\d+)", "".join(log))
    assert found is not None, log
    return int(found[1])


def sipframe(*arguments: str, typed: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sipframe.cli.main", *arguments, "--password-file", "-"],
        cwd=directory,
        env=ENVIRONMENT,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )


def register(user: str, password: str, port: int, directory: Path, *more: str) -> tuple[int, str]:
    server = f"udp:127.0.0.1:{port}"
    done = sipframe(
        "register", f"{user}@example.com", "--server", server, *more, typed=password, directory=directory
    )
    return done.returncode, done.stdout + done.stderr


def test_every_example_is_here() -> None:
    found = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".tac")}
    assert found == {"custom_credentials.py", "embed.py", "registrar.tac"}


def test_custom_credentials(tmp_path: Path) -> None:
    example = copy_of("custom_credentials.py", tmp_path)
    with running([sys.executable, str(example)], tmp_path) as log:
        port = udp_port(log)
        code, output = register("alice", "wonderland", port, tmp_path)
        assert code == 0, output
        assert "200 OK" in output
        code, output = register("alice", "wrong", port, tmp_path)
        assert code == 1, output
        code, output = register("bob", "wonderland", port, tmp_path)
        assert code == 1, output
        code, output = register("maintenance", "wonderland", port, tmp_path)
        assert (code, "503" in output) == (1, True), output


def test_embed(tmp_path: Path) -> None:
    added = sipframe(
        "user", "add", "alice@example.com", "--state", "embed-state", typed="secret", directory=tmp_path
    )
    assert added.returncode == 0, added.stderr
    example = copy_of("embed.py", tmp_path)
    with running([sys.executable, str(example)], tmp_path) as log:
        port = udp_port(log)
        page = re.search(r"Site starting on (\d+)", "".join(log))
        assert page is not None, log
        address = f"http://127.0.0.1:{page[1]}/"
        with urlopen(address) as answer:
            assert answer.read() == b""
        code, output = register("alice", "secret", port, tmp_path, "--contact", "sip:alice@127.0.0.1:5070")
        assert code == 0, output
        with urlopen(address) as answer:
            assert answer.read() == b"sip:alice@example.com\n"
        code, output = register("alice", "secret", port, tmp_path, "--contact", "sip:alice@127.0.0.1:5071")
        assert (code, "403" in output) == (1, True), output
    assert "sipframe.registrar.bound" in "".join(log)


def test_tac(tmp_path: Path) -> None:
    copy = tmp_path / "registrar.tac"
    text = (EXAMPLES / "registrar.tac").read_text(encoding="utf-8")
    # It listens where the settings' defaults say, which a test must not.
    listen = "listen=(ListenAddress('udp', 0, '127.0.0.1'),), state="
    text = "from sipframe.transport import ListenAddress\n" + text.replace("state=", listen, 1)
    copy.write_text(text, encoding="utf-8")
    command = [
        sys.executable,
        "-c",
        "from twisted.scripts.twistd import run; run()",
        "-n",
        "--pidfile=",
        "-y",
    ]
    with running([*command, str(copy)], tmp_path) as log:
        port = udp_port(log)
        code, output = register("alice", "wonderland", port, tmp_path)
        assert code == 0, output
        code, output = register("alice", "wrong", port, tmp_path)
        assert code == 1, output


def test_the_readme_shows_the_tac_as_it_is() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert (EXAMPLES / "registrar.tac").read_text(encoding="utf-8").partition("\n")[2] in readme
