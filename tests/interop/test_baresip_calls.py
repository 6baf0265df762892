"""Two baresip agents register with Digest, and one calls the other through the proxy: answered, and hung up.

baresip 1.0.0 knows no ``sips`` URIs: it cannot send an ACK along a Record-Route that has one, and gives up the call
with "Function not implemented". That is why ``transport=tls`` is the default.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.accounts import import_accounts
from tests.interop.agents import Agent, require_baresip
from tests.process import PATIENCE, ServerProcess, run, sipframe

PASSWORD = "right-1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    require_baresip()
    state = tmp_path / "state"
    import_accounts(state, {"alice": PASSWORD, "bob": PASSWORD})
    with ServerProcess(state, "--log-level=debug") as served:
        yield served


def answers(server: ServerProcess, method: str) -> list[int]:
    """What requests of ``method`` were answered, oldest first."""
    asked = run(sipframe("why", "--json", "--state", server.state, "--all"))
    assert asked.returncode == 0, asked.stderr
    found = [json.loads(line) for line in asked.stdout.splitlines()]
    return [one["status"] for one in found if one["method"] == method]


@pytest.mark.parametrize(
    ("calling", "called", "hangs_up"),
    [
        ("tls", "tls", "caller"),
        ("tls", "tls", "callee"),
        ("udp", "tls", "callee"),
        ("tls", "udp", "caller"),
        ("tcp", "tls", "caller"),
    ],
)
def test_a_call(server: ServerProcess, tmp_path: Path, calling: str, called: str, hangs_up: str) -> None:
    with (
        Agent(server, tmp_path, "alice", PASSWORD, calling) as alice,
        Agent(server, tmp_path, "bob", PASSWORD, called) as bob,
    ):
        for user, transport in (("alice", calling), ("bob", called)):
            bound = rf"registrar\.bound \{{'aor': 'sip:{user}@localhost', 'bindings': \(Binding"
            server.wait_for(rf"{bound}.*flow='{transport.upper()} ")
        alice.does("dial", "sip:bob@localhost")
        bob.sees("CALL_INCOMING")
        alice.sees("CALL_RINGING")
        bob.does("accept")
        bob.sees("CALL_ESTABLISHED")  # the ACK is there
        alice.sees("CALL_ESTABLISHED")
        assert answers(server, "INVITE") == [407, 200]
        who, other = (alice, bob) if hangs_up == "caller" else (bob, alice)
        who.does("hangup")
        other.sees("CALL_CLOSED")
        # It has closed the call by a BYE that it was sent; what it answers is another message.
        until = time.monotonic() + PATIENCE
        while not (answered := answers(server, "BYE")):
            assert time.monotonic() < until
        assert answered == [200]
    assert transports(alice) == {calling.upper()}
    assert transports(bob) == {called.upper()}


def transports(agent: Agent) -> set[str]:
    """By what the messages went that an agent sent and received; it has ended."""
    return set(re.findall(r"^(UDP|TCP|TLS) 127\.0\.0\.1:\d+ -> ", agent.trace, re.MULTILINE))
