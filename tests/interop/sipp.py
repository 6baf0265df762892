"""SIPp: scenarios from a few words, and a run of one.

Rules: SIPp gets ports of its own for all that it opens, as its defaults (5060, 6000, 8888) may be somebody's. It ends
with 0 only when every call went as its scenario says.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.process import PATIENCE
from tests.tools import require_tool

__all__ = ["CREDENTIALS", "run_sipp", "scenario", "step", "unused_port", "user_file"]

CREDENTIALS = "[field1]"
"""A header line: the Authorization of the call's user, by the last challenge."""


def unused_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """A port of loopback that nobody has now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def media_port() -> int:
    """A port for sound, which SIPp binds with the one two above it: both below those that the system gives away."""
    start = 10_000 + os.getpid() * 16 % 20_000
    for port in range(start, start + 2_000, 4):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sound:
                sound.bind(("127.0.0.1", port))
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as picture:
                    picture.bind(("127.0.0.1", port + 2))
                    return port
        except OSError:
            continue
    raise RuntimeError("no two ports for SIPp's media")


def step(cseq: int, *fields: str, expect: int, lost: int = 0) -> str:
    """Send a REGISTER with the header lines ``fields`` and await a response; ``lost`` percent of both get lost."""
    lines = [
        "REGISTER sip:localhost SIP/2.0",
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport",
        "Max-Forwards: 70",
        "From: <sip:[field0]@localhost>;tag=[pid]-[call_number]",
        "To: <sip:[field0]@localhost>",
        "Call-ID: [call_id]",
        f"CSeq: {cseq} REGISTER",
        *fields,
        "Content-Length: 0",
    ]
    chance = f' lost="{lost}"' if lost else ""
    challenge = ' auth="true"' if expect == 401 else ""
    return "\n".join(
        [
            f'<send retrans="500"{chance}><![CDATA[',
            *lines,
            "",
            "]]></send>",
            f'<recv response="{expect}"{challenge}{chance}/>',
        ]
    )


def scenario(*steps: str) -> str:
    """The XML of a scenario."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n'
    return "\n".join([head + '<scenario name="registration">', *steps, "</scenario>", ""])


def user_file(passwords: dict[str, str]) -> str:
    """What ``-inf`` reads: field 0 is the name, field 1 the credentials."""
    rows = [
        f"{name};[authentication username={name} password={password}]\n"
        for name, password in passwords.items()
    ]
    return "".join(["SEQUENTIAL\n", *rows])


def run_sipp(
    folder: Path,
    address: tuple[str, int],
    passwords: dict[str, str],
    steps: Iterable[str],
    *,
    mode: str = "u1",
    options: Iterable[str] = (),
) -> None:
    """One call of ``steps`` for each user, over ``mode`` (SIPp's -t), which must all go well."""
    program = require_tool("sipp")
    (folder / "scenario.xml").write_text(scenario(*steps), encoding="ascii")
    (folder / "users.csv").write_text(user_file(passwords), encoding="ascii")
    kind = socket.SOCK_STREAM if mode.startswith("t") else socket.SOCK_DGRAM
    host, port = address
    command = [program, f"{host}:{port}", "-t", mode, "-sf", "scenario.xml", "-inf", "users.csv"]
    command += ["-m", str(len(passwords)), "-i", "127.0.0.1", "-p", str(unused_port(kind))]
    command += ["-mp", str(media_port()), "-cp", str(unused_port()), "-nostdin", "-trace_err"]
    command += ["-timeout", f"{PATIENCE:.0f}s", "-timeout_error", *options]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=2 * PATIENCE
    )
    said = "\n".join(path.read_text(errors="replace") for path in folder.glob("scenario_*_errors.log"))
    assert done.returncode == 0, said + done.stdout[-3000:] + done.stderr
