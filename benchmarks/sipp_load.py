"""Load by SIPp, with the scenarios in benchmarks/side_by_side/: a closed loop of so many calls at a time.

Rules: SIPp is kept off the server's core and gets ports of its own for all that it opens. A call that ends is followed
by the next one at once, so the load is what the server or SIPp can do, and no more is under way than was asked for.
After its time SIPp is told to start nothing new, and what is under way ends; all of it counts.
"""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.contenders import DOMAIN, PASSWORD, USERS, unused_port
from benchmarks.load import Load

__all__ = ["Sipp", "callee"]

_HERE = Path(__file__).resolve().parent / "side_by_side"
_PATIENCE = 60.0
"""Seconds that SIPp may take to end what is under way."""


class Sipp(NamedTuple):
    """How SIPp is run against the server at ``port``. ``contact_port`` is what phones register."""

    folder: Path
    cores: str
    """As taskset has them."""
    port: int
    contact_port: int
    meter: Callable[[], float]
    """Seconds of CPU that the server has taken."""

    def run(
        self,
        scenario: str,
        at_once: int,
        *,
        seconds: float | None = None,
        calls: int | None = None,
        operations: int = 1,
        transport: str = "u1",
    ) -> Load:
        """Place calls for so many ``seconds``, or so many ``calls``; one is as many ``operations``."""
        figures = self.folder / "figures.csv"
        figures.unlink(missing_ok=True)
        command = self._command(scenario, transport)
        command += ["-users", str(at_once), "-inf", str(self._users()), "-trace_stat", "-stf", str(figures)]
        command += ["-key", "contact_port", str(self.contact_port), "-auth_uri", DOMAIN, "-fd", "100ms"]
        if calls is not None:
            command += ["-m", str(calls)]
        command += [f"127.0.0.1:{self.port}"]
        before = self.meter()
        with (self.folder / "sipp.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            if seconds is not None:
                time.sleep(seconds)
                os.kill(
                    process.pid, signal.SIGUSR1
                )  # not by Popen, which would look for its end, and take its figures
            used = _wait(process)
            after = self.meter()
        finally:
            if process.returncode is None:
                process.kill()
        rows = _rows(figures)
        if not rows:
            raise RuntimeError(
                "SIPp has failed:\n" + (self.folder / "sipp.log").read_text(errors="replace")[-3000:]
            )
        last = rows[-1]
        return Load(
            operations=int(last["SuccessfulCall(C)"]) * operations,
            failed=int(last["FailedCall(C)"]),
            again=int(last["Retransmissions(C)"]),
            resumed=0,
            seconds=_epoch(last["CurrentTime"]) - _epoch(last["StartTime"]),
            generator=used,
            server=after - before,
        )

    def _command(self, scenario: str, transport: str) -> list[str]:
        command = ["taskset", "-c", self.cores, "sipp", "-sf", str(_HERE / f"{scenario}.xml"), "-nostdin"]
        ports = ["-p", str(unused_port()), "-mp", str(unused_port()), "-cp", str(unused_port())]
        # A message that comes again is no failure.
        return [*command, "-i", "127.0.0.1", *ports, "-t", transport, *_SETTINGS]

    def _users(self) -> Path:
        path = self.folder / "users.csv"
        if not path.exists():
            rows = (f"user{n};[authentication username=user{n} password={PASSWORD}];\n" for n in range(USERS))
            path.write_text("".join(["SEQUENTIAL\n", *rows]), encoding="ascii")
        return path


_SETTINGS = ("-default_behaviors", "all,-abortunexp", "-buff_size", "4194304", "-max_socket", "512")


@contextmanager
def callee(sipp: Sipp) -> Iterator[None]:
    """SIPp as the phone of everybody, at ``sipp.contact_port``, while the context lasts."""
    command = ["taskset", "-c", sipp.cores, "sipp", "-sf", str(_HERE / "callee.xml"), "-nostdin"]
    command += ["-i", "127.0.0.1", "-p", str(sipp.contact_port), "-mp", str(unused_port())]
    command += ["-cp", str(unused_port()), "-t", "u1", *_SETTINGS]
    with (sipp.folder / "callee.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=sipp.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        until = time.monotonic() + _PATIENCE
        while not _listens(sipp.contact_port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("SIPp does not answer calls:\n" + (sipp.folder / "callee.log").read_text())
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        _ = process.wait()


def _listens(port: int) -> bool:
    """Whether somebody has the UDP port ``port`` (Linux)."""
    return f":{port:04X} " in Path("/proc/net/udp").read_text()


def _wait(process: subprocess.Popen[bytes]) -> float:
    """Wait for the end; seconds of CPU that the process took."""
    until = time.monotonic() + _PATIENCE
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime
        if time.monotonic() > until:
            raise RuntimeError("SIPp does not end")
        time.sleep(0.005)


def _rows(figures: Path) -> list[dict[str, str]]:
    if not figures.exists():
        return []
    with figures.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def _epoch(moment: str) -> float:
    return float(moment.split("\t")[-1])
