"""What tests of the admin socket stand on: a server to ask about, and a client that says what the test likes."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from twisted.internet.defer import Deferred, fail, succeed

from sipframe.admin.path import reachable
from sipframe.config import Settings
from sipframe.decisions import Decision, Decisions, Step
from sipframe.location import MemoryStore
from sipframe.proxy import ProxyCounters
from sipframe.tracing import Tracer
from sipframe.transport import Traffic, TransportCounters
from sipframe.uas import UserAgentServerCounters
from sipframe.verdicts import Address, Binding, Unavailable
from tests.process import PATIENCE

__all__ = ["RawClient", "Stand", "binding", "decision"]

WRONG = (
    Step("RateLimit.admit", "Admitted", "", 0.000_012),
    Step("DigestAuthenticator.authenticate", "Challenge", "wrong digest", 0.000_184),
)


def decision(call_id: str = "call-1", **fields: Any) -> Decision:
    """A REGISTER of bob's with a wrong password, but for ``fields``."""
    usual: dict[str, Any] = {
        "at": 1.5e9,
        "method": "REGISTER",
        "uri": "sip:localhost",
        "aor": "sip:bob@localhost",
        "cseq": 2,
        "transport": "UDP",
        "peer": Address("192.0.2.7", 5062),
        "status": 401,
        "reason": "Unauthorized",
        "steps": WRONG,
    }
    return Decision(call_id=call_id, **{**usual, **fields})


def binding(contact: str, expires_at: float = 2e9) -> Binding:
    return Binding(contact, expires_at, "call-1", 1, 1.5e9)


class Stand:
    """Stands in for a service, with what the admin socket asks of one."""

    def __init__(self, state: Path, most_kept: int = 1000) -> None:
        self.settings = Settings(state=state, domains=("localhost",), aliases={"127.0.0.1": "localhost"})
        self.decisions = Decisions(most_kept)
        self.counters = TransportCounters()
        self.traffic = Traffic()
        self.tracer = Tracer(self.traffic, lambda: 1.5e9)
        self.uas_counters: UserAgentServerCounters | None = UserAgentServerCounters()
        self.proxy_counters: ProxyCounters | None = ProxyCounters()
        self.location: Any = MemoryStore()

    def remove(self, aor: str, contact: str | None = None) -> Deferred[tuple[Binding, ...]]:
        """Nobody has anything here but bob."""
        if aor != "sip:bob@localhost":
            raise ValueError("no SIP URI with a user")
        if contact == "sip:full":
            return fail(Unavailable("the disk is full"))
        return succeed((binding(contact or "sip:bob@192.0.2.7"),))

    def transactions(self) -> dict[tuple[str, str], int]:
        return {("non-invite server", "completed"): 2}


class RawClient:
    """A blocking client that knows nothing of the protocol; a context manager."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        with reachable(path) as (address, _):
            self.socket.connect(address)
        self._lines = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except BrokenPipeError:
            pass  # the server has said what it had to say, and that is still there

    def say(self, **request: object) -> None:
        """Send a request of version 1."""
        self.send(json.dumps({"version": 1, **request}).encode() + b"\n")

    def line(self) -> Any:
        """The next line, read; None at the end."""
        try:
            line = self._lines.readline()
        except ConnectionError:
            return None
        return json.loads(line) if line else None

    def lines(self) -> list[Any]:
        """All lines until the end."""
        return list(iter(self.line, None))

    def lines_until_torn(self) -> list[bytes]:
        """All octets until the end, in lines of which the last may be torn."""
        try:
            return self._lines.readlines()
        except ConnectionError:
            return []

    def close(self) -> None:
        self._lines.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
