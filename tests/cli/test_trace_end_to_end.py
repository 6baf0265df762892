"""``sipframe trace`` beside a real server, with ``sipframe register`` as the phone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self
from xml.etree import ElementTree

import pytest

from sipframe.tracing.pcap import FILE_HEADER
from tests.process import PATIENCE, ServerProcess, add_user, run, sipframe
from tests.tracing.test_pcap import read

LISTEN = tuple(f"{transport}:0:interface=127.0.0.1" for transport in ("udp", "tls"))


class Trace:
    """``sipframe trace`` in a process of its own, from its first remark on; a context manager."""

    def __init__(self, state: Path, *arguments: str | Path) -> None:
        self._process = subprocess.Popen(
            sipframe("trace", "--state", state, *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "100"},
        )

    def __enter__(self) -> Self:
        assert self._process.stderr is not None
        self.first = self._process.stderr.readline()
        return self

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """Interrupt it: exit code, what it drew and what else it said."""
        self._process.send_signal(number)
        return self.ended()

    def ended(self) -> tuple[int, str, str]:
        out, err = self._process.communicate(timeout=PATIENCE)
        return self._process.returncode, out, err

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def register(server: ServerProcess, state: Path, transport: str) -> None:
    host, port = server.address(transport)
    arguments = [
        "register",
        "bob@localhost",
        "--server",
        f"{transport}:{host}:{port}",
        "--password-file",
        "-",
    ]
    if transport == "tls":
        arguments += ["--ca-file", str(server.certificate)]
    done = run(sipframe(*arguments), "zanzibar")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_a_registration_is_drawn_and_saved(tmp_path: Path, transport: str) -> None:
    state, picture, capture = tmp_path / "state", tmp_path / "bob.svg", tmp_path / "bob.pcap"
    add_user(state, "bob@localhost", "zanzibar")
    add_user(state, "amy@localhost", "zanzibar")
    with (
        ServerProcess(state, listen=LISTEN) as server,
        Trace(state, "bob@127.0.0.1", "--svg", picture, "--pcap", capture, "--count", "4") as trace,
    ):
        assert trace.first == "Tracing bob@127.0.0.1; an interrupt (Ctrl-C) ends it.\n"
        register(server, state, transport)
        code, out, err = trace.ended()
        port = server.address(transport)[1]

    assert (code, err) == (0, "4 messages.\n")
    lines = out.splitlines()
    assert lines[1].split() == ["bob", "server"]
    assert lines[2].split()[-1] == f"127.0.0.1:{port}"
    for step in ("REGISTER sip:localhost", "401 Unauthorized", "Digest MD5 as bob, nc 1", "200 OK"):
        assert step in out

    root = ElementTree.fromstring(picture.read_text("utf-8"))
    assert len([one for one in root.iter() if one.get("class") == "label"]) == 4
    packets = read(capture.read_bytes().removeprefix(FILE_HEADER))
    assert [one.data.split(b"\r\n")[0].decode() for one in packets] == [
        "REGISTER sip:localhost SIP/2.0",
        "SIP/2.0 401 Unauthorized",
        "REGISTER sip:localhost SIP/2.0",
        "SIP/2.0 200 OK",
    ]
    assert {one.protocol for one in packets} == {"UDP" if transport == "udp" else "TCP"}
    assert packets[0].target == f"127.0.0.1 {port}"
    assert b'response="redacted"' in packets[2].data
    for text in (out, picture.read_text("utf-8"), capture.read_bytes().decode("latin-1")):
        assert text.count("response=") == text.count('response="redacted"')


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_and_saves(tmp_path: Path, number: signal.Signals) -> None:
    state, picture = tmp_path / "state", tmp_path / "all.svg"
    add_user(state, "bob@localhost", "zanzibar")
    with ServerProcess(state, listen=LISTEN) as server, Trace(state, "--json", "--svg", picture) as trace:
        register(server, state, "udp")
        # The server has written what passed to both before the phone had its answer; the fourth line says so here.
        assert trace._process.stdout is not None
        lines = [trace._process.stdout.readline() for _ in range(4)]
        code, rest, err = trace.end(number)
    found = [json.loads(line) for line in lines]
    assert [one["sent"] for one in found] == [False, True, False, True]
    assert (code, rest, err) == (0, "", "4 messages.\n")
    assert "REGISTER sip:localhost" in picture.read_text("utf-8")


def test_its_time_is_over(tmp_path: Path) -> None:
    picture = tmp_path / "all.svg"
    with ServerProcess(tmp_path / "state", listen=LISTEN[:1]):
        done = run(sipframe("trace", "--state", tmp_path / "state", "--seconds", "0.1", "--svg", picture))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[1:] == ["No message has passed."]
    assert not picture.exists()


def test_the_server_stops(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, listen=LISTEN[:1]) as server, Trace(tmp_path, "--quiet") as trace:
        server.end()
        said = "The server has broken off: it has stopped, or it was not read for too long."
        assert trace.ended() == (1, "", f"No message has passed. {said}\n")


def test_no_server(tmp_path: Path) -> None:
    done = run(sipframe("trace", "--state", tmp_path, "--pcap", tmp_path / "x.pcap"))
    assert done.returncode == 2
    assert done.stderr.startswith("sipframe: no server answers: ")


@pytest.mark.parametrize(
    "arguments",
    [("--count", "0"), ("--count", "x"), ("--seconds", "0"), ("--seconds", "nan"), ("--seconds", "x")],
)
def test_mistakes(tmp_path: Path, arguments: tuple[str, str]) -> None:
    done = run(sipframe("trace", "--state", tmp_path, *arguments))
    assert done.returncode == 2
    assert "is no number of" in done.stderr


def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, listen=LISTEN[:1]):
        done = run(sipframe("trace", "--state", tmp_path, "--svg", tmp_path / "gone" / "x.svg"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"sipframe: {tmp_path}/gone/x.svg: no such file or directory\n"
