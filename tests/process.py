"""A real ``twistd sipregistrar``: a process of its own, on ports that the system chooses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.tree import ROOT

__all__ = ["EVERY_TRANSPORT", "PATIENCE", "ServerProcess", "add_user", "run", "sipframe", "twistd"]

EVERY_TRANSPORT = tuple(f"{transport}:0:interface=127.0.0.1" for transport in ("udp", "tcp", "tls"))
PATIENCE = 60.0
"""Seconds until a test that waits for something gives up: a bound against hanging, measured by no test."""

_TWISTD = "from twisted.scripts.twistd import run; run()"
_READY = re.compile(r"sipframe is ready: (.*)")
_DEFECTS = re.compile(r"Traceback|Unhandled|ResourceWarning|#error|#critical")


def twistd(*options: str | Path, leaks: str = "default", python: str | Path = sys.executable) -> list[str]:
    """The command that serves with ``options``; what it leaks is in the log, unless ``leaks`` is ``ignore``."""
    command = [str(python), "-W", f"{leaks}::ResourceWarning", "-c", _TWISTD, "-n", "--pidfile="]
    return [*command, "sipregistrar", *(str(option) for option in options)]


def sipframe(*arguments: str | Path) -> list[str]:
    """The command ``sipframe`` with ``arguments``."""
    return [sys.executable, "-m", "sipframe.cli.main", *(str(argument) for argument in arguments)]


def run(
    command: list[str], text: str = "", *, cwd: Path = ROOT, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with ``text`` as its standard input."""
    return subprocess.run(
        command,
        input=text,
        env={**os.environ, **environ},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def add_user(state: Path, account: str, password: str) -> None:
    """``sipframe user add``."""
    done = run(sipframe("user", "add", account, "--state", state, "--password-file", "-"), password)
    assert done.returncode == 0, done.stderr


class ServerProcess:
    """A server from its ready line to its end; a context manager.

    It ends with SIGTERM unless it is gone by then. Then its log must be free of tracebacks, errors and leaks, unless
    ``with_errors`` says that the test provokes some. ``python`` and ``cwd`` are for what is installed elsewhere.
    """

    def __init__(
        self,
        state: Path,
        *options: str | Path,
        listen: Iterable[str] = EVERY_TRANSPORT,
        environ: Mapping[str, str] | None = None,
        with_errors: bool = False,
        python: str | Path = sys.executable,
        cwd: Path = ROOT,
    ) -> None:
        self.state = state
        self._with_errors = with_errors
        self._lines: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        listening = [f"--listen={one}" for one in listen]
        self._process = subprocess.Popen(
            twistd("--state", state, *listening, *options, python=python),
            cwd=cwd,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            ready = self.wait_for(_READY)[1]
        except BaseException:
            self.end(signal.SIGKILL)
            raise
        self.addresses: list[tuple[str, tuple[str, int]]] = [
            (transport.lower(), (host.strip("[]"), int(port)))
            for transport, host, port in re.findall(r"(\w+) (\S+):(\d+)", ready)
        ]

    def address(self, transport: str) -> tuple[str, int]:
        """Host and port of the first socket for ``transport`` (udp, tcp, tls)."""
        return next(address for name, address in self.addresses if name == transport)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def certificate(self) -> Path:
        """The self-signed one."""
        return self.state / "certificate.pem"

    @property
    def log(self) -> str:
        with self._news:
            return "".join(self._lines)

    def wait_for(self, pattern: re.Pattern[str] | str, times: int = 1) -> re.Match[str]:
        """Wait until ``pattern`` has been logged so many ``times``; the last match."""
        found: list[re.Match[str]] = []

        def enough() -> bool:
            found[:] = re.finditer(pattern, "".join(self._lines))
            return len(found) >= times or self._ended

        with self._news:
            in_time = self._news.wait_for(enough, PATIENCE)
            assert in_time, f"{pattern!r} does not come:\n{''.join(self._lines)}"
            assert len(found) >= times, f"the server has ended:\n{''.join(self._lines)}"
        return found[times - 1]

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal that ends the process, wait for that, and return its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end of the process."""
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"the server does not end:\n{self.log}") from None
        self._reader.join()
        return status

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as out:
            for line in out:
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.end()
        finally:
            if kind is not None:
                print(self.log)  # noqa: T201  # pytest shows it beside the failure
        if kind is None and not self._with_errors:
            assert _DEFECTS.search(self.log) is None, self.log
