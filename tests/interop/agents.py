"""baresip agents that call each other, held by their control sockets.

Rules: baresip 1.0.0 takes one connection to its control socket, and commands and events are JSON in netstrings there.
Sound goes from a bridge to the same bridge; the network interface is loopback, so that is where sound goes, too. What
an agent sent and received is in its output, which is complete when it has ended.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.interop.sipp import unused_port
from tests.process import PATIENCE, ServerProcess
from tests.tools import require_tool

__all__ = ["MODULES", "Agent", "require_baresip"]

MODULES = Path("/usr/lib/baresip/modules")
_SETTINGS = (
    "sip_listen 127.0.0.1:0",
    "net_interface 127.0.0.1",
    f"module_path {MODULES}",
    "module g711.so",
    "module aubridge.so",
    "module uuid.so",
    "module_app account.so",
    "module_app menu.so",
    "module_app ctrl_tcp.so",
    "audio_source aubridge,sound",
    "audio_player aubridge,sound",
)


def require_baresip() -> str:
    """Its path; skip the test when it, or its modules, are not there."""
    program = require_tool("baresip")
    if not MODULES.is_dir():
        pytest.skip(f"baresip's modules are not in {MODULES}")
    return program


class Agent:
    """``user`` of localhost at ``server``, over ``transport``; a context manager.

    It begins by registering itself; at the end it gets SIGTERM and takes its binding back.
    """

    def __init__(self, server: ServerProcess, folder: Path, user: str, password: str, transport: str) -> None:
        program = require_baresip()
        self.user, self.transport = user, transport
        home = folder / user
        home.mkdir()
        control = ("127.0.0.1", unused_port(socket.SOCK_STREAM))
        settings = [*_SETTINGS, f"ctrl_tcp_listen {control[0]}:{control[1]}"]
        host, port = server.address(transport)
        account = [
            f"<sip:{user}@localhost;transport={transport}>",
            f"auth_pass={password}",
            f'outbound="sip:{host}:{port};transport={transport}"',
            "regint=600",
        ]
        (home / "config").write_text("".join(f"{line}\n" for line in settings), encoding="ascii")
        (home / "accounts").write_text(";".join(account) + "\n", encoding="ascii")
        self._output = home / "output"
        with open(self._output, "wb") as output:
            self._process = subprocess.Popen(
                [program, "-4", "-s", "-v", "-f", str(home)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._rest = b""
        try:
            self._control = self._connected(control)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def does(self, command: str, params: str = "") -> None:
        """One of the commands of its menu, such as ``dial``."""
        data = json.dumps({"command": command, "params": params}).encode()
        self._control.sendall(b"%d:%s," % (len(data), data))

    def sees(self, kind: str) -> Mapping[str, Any]:
        """Wait for an event, such as ``CALL_ESTABLISHED``; those before it are forgotten."""
        while True:
            event = self._next()
            if event.get("type") == kind:
                return event
            assert event.get("type") != "CALL_CLOSED", f"{self.user}: {event}, and not {kind}"

    @property
    def trace(self) -> str:
        """What it has printed: every message among it, once it has ended."""
        return self._output.read_text(errors="replace")

    def _connected(self, address: tuple[str, int]) -> socket.socket:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return socket.create_connection(address, PATIENCE)
            except ConnectionRefusedError:
                assert self._process.poll() is None, self.trace
                assert time.monotonic() < until, self.trace

    def _next(self) -> Mapping[str, Any]:
        while True:
            length, colon, rest = self._rest.partition(b":")
            if colon and len(rest) > int(length):
                found: Mapping[str, Any] = json.loads(rest[: int(length)])
                self._rest = rest[int(length) + 1 :]
                return found
            data = self._control.recv(65_536)
            assert data, f"{self.user} has ended: {self.trace}"
            self._rest += data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._process.terminate()
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
            self._control.close()
        if kind is not None:
            print(self.trace)  # noqa: T201  # pytest shows it beside the failure
