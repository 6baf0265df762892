"""``sipframe register`` and ``sipframe bindings`` against a real server, each a process of its own, over loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sipframe.message import Request, parse_message, response_bytes
from tests.tree import ROOT

READY = re.compile(r"sipframe is ready: (.*)")
ENVIRON = {**os.environ, "LC_ALL": "C.UTF-8", "COLUMNS": "100"}
TRANSPORTS = ["udp", "tcp", "tls"]


COMMAND = [sys.executable, "-m", "sipframe.cli.main"]


class Server:
    """A server with one account, and the commands that one types at it."""

    def __init__(self, state: Path, listening: str) -> None:
        self.state = state
        self.password = state / "password"
        self.at = {
            transport.lower(): f"{transport.lower()}:{address}"
            for transport, address in re.findall(r"(\w+) ([\d.]+:\d+)", listening)
        }

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, command, *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=ENVIRON,
            check=False,
        )

    def register(self, transport: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        tls = ("--ca-file", str(self.state / "certificate.pem")) if transport == "tls" else ()
        known = () if "--password-file" in arguments else ("--password-file", str(self.password))
        return self.run(
            "register", "sip:demo@localhost", "--server", self.at[transport], *tls, *known, *arguments
        )

    def bindings(self) -> list[str]:
        done = self.run("bindings", "--state", str(self.state), "--json")
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line)["contact"] for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    state = tmp_path_factory.mktemp("state")
    (state / "password").write_text("zanzibar\n")
    add = [*COMMAND, "user", "add", "demo@localhost", "--state", str(state)]
    subprocess.run(
        [*add, "--password-file", str(state / "password")], cwd=ROOT, check=True, capture_output=True
    )
    listen = [f"--listen={transport}:0:interface=127.0.0.1" for transport in TRANSPORTS]
    twistd = [
        sys.executable,
        "-m",
        "twisted",
        "-n",
        "--pidfile=",
        "sipregistrar",
        "--state",
        str(state),
        *listen,
    ]
    twistd[1:3] = ["-c", "from twisted.scripts.twistd import run; run()"]
    with subprocess.Popen(twistd, cwd=ROOT, env=ENVIRON, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seen: list[str] = []
        for line in process.stdout:
            seen.append(line)
            if found := READY.search(line):
                break
        else:
            pytest.fail("".join(seen))
        yield Server(state, found[1])
        process.terminate()
        process.communicate()


@pytest.fixture
def empty(server: Server) -> Server:
    """The server, with nothing bound."""
    assert server.register("tcp", "--remove-all").returncode == 0
    return server


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_registration(transport: str, empty: Server) -> None:
    done = empty.register(transport)
    assert (done.returncode, done.stderr) == (0, "")
    labels = re.findall(r"│ (REGISTER|TLS 1\.3|\d{3} \w+)", done.stdout)
    assert labels == [
        *(["TLS 1.3"] if transport == "tls" else []),
        "REGISTER",
        "401 Unauthorized",
        "REGISTER",
        "200 OK",
    ]
    assert "sip:demo@localhost has 1 binding:" in done.stdout
    assert "The server has proved that it knows the password." in done.stdout
    (contact,) = empty.bindings()
    assert f"  {contact}  (this one)" in done.stdout
    assert all(len(line) <= 100 for line in done.stdout.splitlines())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_wrong_password(transport: str, empty: Server, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong\n")
    done = empty.register(transport, "--password-file", str(wrong))
    assert done.returncode == 1
    refusal = "refused: the username or the password is wrong (401 Unauthorized)"
    assert done.stderr == f"sipframe: {empty.at[transport]}: {refusal}\n"
    assert done.stdout.count("REGISTER sip:localhost") == 2
    assert empty.bindings() == []


def test_contacts_come_and_go(empty: Server) -> None:
    desk, cell = "sip:desk@192.0.2.4", "sip:cell@192.0.2.5;transport=tcp"
    assert empty.register("tcp", "--contact", desk, "--contact", cell, "--expires", "600").returncode == 0
    assert sorted(empty.bindings()) == [cell, desk]
    fetched = empty.register("udp", "--fetch")
    assert fetched.returncode == 0
    assert re.search(rf"^ +(10m 00s|9m 5\ds)  {desk}$", fetched.stdout, re.MULTILINE)
    assert empty.register("tls", "--remove", "--contact", desk).returncode == 0
    assert empty.bindings() == [cell]
    emptied = empty.register("tcp", "--remove-all")
    assert "sip:demo@localhost has no binding." in emptied.stdout
    assert empty.bindings() == []


def test_an_interval_that_is_too_brief(empty: Server) -> None:
    done = empty.register("tcp", "--expires", "5")
    assert done.returncode == 0
    assert re.findall(r"│ (423 .*?) +CSeq", done.stdout) == ["423 Interval Too Brief"]
    assert re.search(r"(1m 00s|59s)  sip:demo", done.stdout)


def test_whole_messages_without_the_digest(server: Server) -> None:
    done = server.register("tcp", "--verbose")
    assert done.returncode == 0
    assert "Call-ID: " in done.stdout
    assert "zanzibar" not in done.stdout
    assert not re.search(r'response="?[0-9a-f]', done.stdout)


def test_a_certificate_that_is_not_trusted(server: Server) -> None:
    arguments = ("sip:demo@localhost", "--server", server.at["tls"], "--password-file", str(server.password))
    done = server.run("register", *arguments)
    reason = "its certificate is not signed by an authority that is trusted here"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"sipframe: {server.at['tls']}: {reason}\n")
    loud = server.run("register", *arguments, "--insecure")
    assert loud.returncode == 0
    assert "WARNING" in loud.stderr
    assert "NOT CHECKED" in loud.stdout


def test_without_a_password_the_challenge_ends_it(server: Server) -> None:
    done = server.run("register", "demo@localhost", "--server", server.at["udp"])
    assert done.returncode == 1
    assert "the server asks for a password, and none was given" in done.stderr


def test_a_sips_aor(empty: Server) -> None:
    ca_file, password = str(empty.state / "certificate.pem"), str(empty.password)
    at = empty.at["tls"].replace("127.0.0.1", "localhost")
    done = empty.run(
        "register", "sips:demo@localhost", "--server", at, "--ca-file", ca_file, "--password-file", password
    )
    assert (done.returncode, done.stderr) == (0, "")
    (contact,) = empty.bindings()
    assert contact.startswith("sips:demo@127.0.0.1:")


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A UDP socket that answers when the test does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far_end:
        far_end.bind(("127.0.0.1", 0))
        yield far_end


@contextmanager
def registering_at(silent: socket.socket) -> Iterator[subprocess.Popen[str]]:
    arguments = ["register", "demo@localhost", "--server", f"udp:127.0.0.1:{silent.getsockname()[1]}"]
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=ENVIRON,
    ) as process:
        yield process


def test_over_udp_a_request_that_is_not_answered_is_sent_again(silent: socket.socket) -> None:
    with registering_at(silent) as process:
        first, client = silent.recvfrom(65536)
        second, _ = silent.recvfrom(65536)
        assert first == second
        request = parse_message(second)
        assert isinstance(request, Request)
        silent.sendto(response_bytes(request, 200, "OK\x1b[2J", "1", "", client), client)
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert "again" in out
    assert "200 OK\\x1b[2J" in out
    assert "\x1b" not in out


def test_an_interrupt_ends_it_with_one_line(silent: socket.socket) -> None:
    with registering_at(silent) as process:
        silent.recv(65536)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (1, "sipframe: interrupted\n")


def test_nobody_listens() -> None:
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        at = f"tcp:127.0.0.1:{bound.getsockname()[1]}"
        done = subprocess.run(
            [*COMMAND, "register", "demo@localhost", "--server", at],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=ENVIRON,
            check=False,
        )
    reason = "nobody listens there (connection refused)"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"sipframe: {at}: {reason}\n")
