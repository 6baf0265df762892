"""SIPp's own scenarios: its ``uac`` calls its ``uas``, with a server between them.

Rules: the callee ends by itself after the last call, and both must end with 0: then no call has failed at either. What
SIPp does not expect it passes over, and waits for what it expects: it takes offence at an INVITE that comes again just
when it was read, and at a late 100 for a BYE (RFC 4320 4.1). A call that was refused would wait in vain, and fail. Each
gets ports of its own for all that it opens. SIPp stays on 127.0.0.1, so a server whose domain is not that address is
needed elsewhere on loopback: what SIPp claims to be is then nobody of ours.
"""

from __future__ import annotations

import csv
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.client import Client
from tests.interop.sipp import media_port, unused_port
from tests.process import PATIENCE, ServerProcess, add_user
from tests.tools import require_tool

__all__ = ["Calls", "call", "serving"]

HOST = "127.0.0.2"
DOMAIN = "example.com"
USER = "service"
"""Whom the built-in scenario calls."""
PASSWORD = "at your service"


_ONE_CONNECTION = "[limits]\nqueued = 4194304\n"
"""All calls share one TCP connection here, and what a SIPp that cannot keep up makes pile up is theirs together."""


class Calls(NamedTuple):
    """What SIPp counted."""

    placed: int
    failed: int
    retransmissions: int
    """Of both SIPps."""
    lasted: float
    """Seconds, by SIPp's clock."""


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[ServerProcess]:
    """A server that knows the user whom SIPp calls."""
    state = folder / "state"
    add_user(state, f"{USER}@{DOMAIN}", PASSWORD)
    listen = [f"{transport}:0:interface={HOST}" for transport in ("udp", "tcp")]
    where = [f"--domain={DOMAIN}", f"--alias={HOST}={DOMAIN}"]
    settings = folder / "settings.toml"
    settings.write_text(_ONE_CONNECTION, encoding="ascii")
    with ServerProcess(state, *where, f"--config={settings}", *options, listen=listen) as server:
        yield server


def call(server: ServerProcess, folder: Path, transport: str, calls: int, rate: int) -> Calls:
    """Place ``calls`` calls over ``transport``, ``rate`` a second; all of them must go well."""
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    port = unused_port(kind)
    with Client(transport, server.address(transport), domain=DOMAIN) as client:
        contact = f"Contact: <sip:{USER}@127.0.0.1:{port};transport={transport}>"
        response = client.register(PASSWORD, contact, user=USER, call_id=f"callee-{port}")
        assert response.status == 200, response.status
    patience = calls / rate + 2 * PATIENCE
    # No limit of SIPp's own: as many calls at once as there are.
    common = ["-t", "u1" if transport == "udp" else "t1", "-m", str(calls), "-l", str(calls)]
    common += ["-default_behaviors", "all,-abortunexp"]
    common += ["-timeout", f"{patience:.0f}s", "-timeout_error"]
    host, number = server.address(transport)
    with _sipp(folder / f"uas-{transport}", ["-sn", "uas", *common], port, kind) as callee:
        _listening(port, transport, callee)
        caller_port = unused_port(kind)
        aim = ["-sn", "uac", f"{host}:{number}", "-s", USER, "-r", str(rate), *common]
        with _sipp(folder / f"uac-{transport}", aim, caller_port, kind) as caller:
            _well(caller, folder / f"uac-{transport}", patience)
        _well(callee, folder / f"uas-{transport}", patience)
    placed, answered = _statistics(folder / f"uac-{transport}"), _statistics(folder / f"uas-{transport}")
    hours, minutes, seconds, *_ = (float(part) for part in placed["ElapsedTime(C)"].split(":"))
    again = int(placed["Retransmissions(C)"]) + int(answered["Retransmissions(C)"])
    failed = int(placed["FailedCall(C)"]) + int(answered["FailedCall(C)"])
    return Calls(int(placed["SuccessfulCall(C)"]), failed, again, 3600 * hours + 60 * minutes + seconds)


@contextmanager
def _sipp(
    folder: Path, options: Iterable[str], port: int, kind: socket.SocketKind
) -> Iterator[subprocess.Popen[str]]:
    folder.mkdir()
    command = [require_tool("sipp"), *options, "-i", "127.0.0.1", "-p", str(port)]
    command += ["-mp", str(media_port()), "-cp", str(unused_port()), "-nostdin", "-trace_err"]
    command += ["-trace_stat", "-stf", "statistics.csv"]
    with open(folder / "screen", "w") as screen:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=screen, stderr=screen, text=True
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _listening(port: int, transport: str, process: subprocess.Popen[str]) -> None:
    """Wait until ``process`` has opened its ``port``. Linux says which are open; to try one would take it away."""
    opened = f" 0100007F:{port:04X} "
    until = time.monotonic() + PATIENCE
    while process.poll() is None:
        if opened in Path(f"/proc/net/{transport}").read_text(encoding="ascii"):
            return
        assert time.monotonic() < until
    raise AssertionError("SIPp has ended")


def _well(process: subprocess.Popen[str], folder: Path, patience: float) -> None:
    status = process.wait(patience)
    said = "\n".join(path.read_text(errors="replace") for path in folder.glob("*_errors.log"))
    assert status == 0, said[:5000] + (folder / "screen").read_text(errors="replace")[-3000:]


def _statistics(folder: Path) -> dict[str, str]:
    with open(folder / "statistics.csv", encoding="ascii") as file:
        return list(csv.DictReader(file, delimiter=";"))[-1]
