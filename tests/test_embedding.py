"""Embedded in each kind of process there is: the asyncio reactor, twist, a .tac; and nothing is left after a stop.

The clients are those of a test, in this process; the server is another one.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sipframe.message import Response
from tests.client import Client
from tests.process import PATIENCE
from tests.test_application import Phone
from tests.tree import ROOT

PROGRAM = """
import sys
from pathlib import Path

from twisted.internet import asyncioreactor

asyncioreactor.install()

from twisted.internet import reactor
from twisted.logger import globalLogBeginner, textFileLogObserver
from zope.interface import implementer

from sipframe.config import Settings
from sipframe.interfaces import ICredentialSource
from sipframe.service import SIPService
from sipframe.transport import ListenAddress


@implementer(ICredentialSource)
class Everyone:
    def secret(self, username, realm, algorithm):
        return "zanzibar"


def greet(aor, bindings, change):
    if change == "bound":
        greeting = sip.send("MESSAGE", bindings[-1], to=aor, body=b"Welcome", content_type="text/plain")
        greeting.addCallbacks(lambda response: print(f"greeted: {response.status}", flush=True), print)


globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
settings = Settings(
    state=Path("state"),
    listen=tuple(ListenAddress(transport, 0, "127.0.0.1") for transport in ("udp", "tcp", "tls")),
)
sip = SIPService(settings, reactor=reactor, credentials=Everyone())
sip.watch(None, greet)
sip.startService()
reactor.addSystemEventTrigger("before", "shutdown", sip.stopService)
reactor.run()
"""

TAC = """
from pathlib import Path

from twisted.application.service import Application
from twisted.internet import reactor

from sipframe.config import Settings
from sipframe.process import ServedProcess
from sipframe.transport import ListenAddress

application = Application("sip")
settings = Settings(state=Path("state"), listen=(ListenAddress.parse({listen!r}),))
ServedProcess(settings, reactor=reactor{plug_ins}).setServiceParent(application)
"""

TWISTD = ["-c", "from twisted.scripts.twistd import run; run()", "--pidfile=twistd.pid"]
TWIST = ["-c", "import sys; from twisted.application.twist._twist import Twist; sys.exit(Twist.main())"]


def python(*arguments: str, directory: Path, stderr: int = subprocess.STDOUT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "default::ResourceWarning", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


class Server:
    """A process with a server in it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.addresses: dict[str, tuple[str, int]] = {}
        for transport, host, port in re.findall(r"(\w+) ([0-9.]+):(\d+)", self.line("sipframe is ready")):
            self.addresses[transport.lower()] = (host, int(port))

    def line(self, text: str) -> str:
        """The next line with ``text`` in it."""
        assert self._process.stdout is not None
        seen = []
        for line in self._process.stdout:
            if text in line:
                return line
            seen.append(line)
        raise AssertionError("".join(seen))


@contextmanager
def serving(*arguments: str, directory: Path) -> Iterator[Server]:
    process = python(*arguments, directory=directory)
    try:
        yield Server(process)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert re.search("Traceback|Unhandled|ResourceWarning", rest) is None, rest
    assert "sipframe has stopped" in rest


def ended(*arguments: str, directory: Path) -> tuple[int, str]:
    """The status of a process that ends by itself, and what it had to say besides the log."""
    process = python(*arguments, directory=directory, stderr=subprocess.PIPE)
    log, errors = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in log + errors
    assert "sipframe is ready" not in log
    return process.returncode, errors


def registered(phone: Client, contact: str) -> Response:
    """REGISTER, the challenge and the answer to it."""
    return phone.register("zanzibar", f"Contact: <{contact}>", call_id=phone.transport)


def test_the_asyncio_reactor(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    with serving(str(program), directory=tmp_path) as server:
        for number, transport in enumerate(("udp", "tcp", "tls"), 1):
            trust = tmp_path / "state" / "certificate.pem" if transport == "tls" else None
            with Phone(transport, server.addresses[transport], trust=trust) as phone:
                response = registered(phone, phone.contact)
                assert (response.status, len(response.contacts)) == (200, number)
                greeting = phone.answer(200)
                assert (greeting.method, greeting.body) == ("MESSAGE", b"Welcome")
                server.line("greeted: 200")
                assert phone.options() == 200


def test_twist(tmp_path: Path) -> None:
    arguments = [*TWIST, "sipregistrar", "--state=state", "--listen=udp:0:interface=127.0.0.1"]
    with serving(*arguments, directory=tmp_path) as server, Client("udp", server.addresses["udp"]) as client:
        assert client.options() == 200


def test_twist_that_cannot_start(tmp_path: Path) -> None:
    arguments = [*TWIST, "sipregistrar", "--state=state", "--listen=tcp:0:interface=192.0.2.1"]
    status, errors = ended(*arguments, directory=tmp_path)
    line = "sipregistrar: --listen tcp:0:interface=192.0.2.1: cannot assign requested address\n"
    assert (status, errors) == (1, line)


def tac(directory: Path, listen: str, plug_ins: str = "") -> str:
    (directory / "sip.tac").write_text(TAC.format(listen=listen, plug_ins=plug_ins), encoding="utf-8")
    return "sip.tac"


def test_a_tac(tmp_path: Path) -> None:
    name = tac(tmp_path, "udp:0:interface=127.0.0.1")
    arguments = [*TWISTD, "-n", "-y", name]
    with serving(*arguments, directory=tmp_path) as server, Client("udp", server.addresses["udp"]) as client:
        assert client.options() == 200


@pytest.mark.parametrize(
    ("listen", "plug_ins", "expected"),
    [
        ("tcp:0:interface=192.0.2.1", "", "--listen tcp:0:interface=192.0.2.1: cannot assign requested address"),
        ("udp:0:interface=127.0.0.1", ", policies=[3]", "the policy 3 is no IPolicy"),
    ],
)  # fmt: skip
def test_a_tac_that_cannot_start_ends_with_one_line(
    listen: str, plug_ins: str, expected: str, tmp_path: Path
) -> None:
    status, errors = ended(*TWISTD, "-n", "-y", tac(tmp_path, listen, plug_ins), directory=tmp_path)
    assert status == 1
    assert errors.startswith(f"sipregistrar: {expected}")
    assert errors.count("\n") == 1, errors


def test_a_daemon_of_a_tac_that_cannot_start_says_why(tmp_path: Path) -> None:
    name = tac(tmp_path, "tcp:0:interface=192.0.2.1")
    status, errors = ended(*TWISTD, "--logfile=log", "-y", name, directory=tmp_path)
    assert status == 1
    assert "--listen tcp:0:interface=192.0.2.1" in errors
    assert "cannot start: --listen" in (tmp_path / "log").read_text(encoding="utf-8")
