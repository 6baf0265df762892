"""Descriptors that are used up: connections are refused, one line says so, everybody else is served, and it passes."""

from __future__ import annotations

import resource
from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest

from sipframe.config import Settings
from sipframe.process import within_files
from sipframe.transport import TransportLimits
from tests.client import Client, Gone
from tests.counters import counters
from tests.faults.child import limit_descriptors, open_files
from tests.process import ServerProcess, add_user

REFUSED = "connections are refused"
MANY = 40


def refused(server: ServerProcess, transport: str, connections: ExitStack) -> int:
    """How many of many new connections are closed before they can say anything."""
    count = 0
    for _ in range(MANY):
        client = connections.enter_context(Client(transport, server.address("tcp")))
        try:
            client.options()
        except (Gone, ConnectionError):
            count += 1
    return count


def test_no_descriptors_are_left(tmp_path: Path) -> None:
    state = tmp_path / "state"
    add_user(state, "bob@localhost", "zanzibar")
    with (
        ServerProcess(state, with_errors=True) as server,
        Client.of(server, "udp") as phone,
        Client.of(server, "tcp") as connected,
        Client.of(server, "tls") as secure,
    ):
        for number, client in enumerate((phone, connected, secure)):
            assert (
                client.register("zanzibar", "Contact: <sip:bob@192.0.2.7>", call_id=f"{number}").status == 200
            )
        limit_descriptors(server.pid, open_files(server.pid) + 5)
        with ExitStack() as connections:
            assert 0 < refused(server, "tcp", connections) < MANY
            for number, client in enumerate((phone, connected, secure)):
                refresh = client.register(
                    "zanzibar", "Contact: <sip:bob@192.0.2.7>", call_id=f"{number}", cseq=5
                )
                assert refresh.status == 200
            server.wait_for(REFUSED)
            assert server.log.count(REFUSED) == 1
            assert "EMFILE" not in server.log
        limit_descriptors(server.pid, None)
        with ExitStack() as connections:
            assert refused(server, "tcp", connections) == 0
        assert counters(server)["transport"]["refused_over_limit"] > 0
    assert "Traceback" not in server.log


def test_a_server_that_may_open_few_files_takes_few_connections(tmp_path: Path) -> None:
    allowed = 64
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({allowed}, {allowed}))"
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(limit, encoding="ascii")
    assert hard == resource.RLIM_INFINITY or hard > allowed
    with (
        ServerProcess(tmp_path / "state", environ={"PYTHONPATH": str(site)}) as server,
        Client.of(server, "udp") as phone,
        ExitStack() as connections,
    ):
        assert "at most 32 connections, since only 64 files may be open" in server.log
        assert refused(server, "tcp", connections) == MANY - 32
        assert phone.options() == 200
        server.wait_for(REFUSED)
    assert server.log.count(REFUSED) == 1


@pytest.mark.parametrize(
    ("connections", "allowed", "left"),
    [(1000, 1100, 1000), (1000, 1099, 999), (1000, 150, 75), (1000, resource.RLIM_INFINITY, 1000)],
)
def test_connections_within_files(connections: int, allowed: int, left: int) -> None:
    settings = Settings(limits=TransportLimits(connections=connections), state=Path("state"))
    found = within_files(settings, allowed)
    assert found.limits.connections == left
    assert attrs.evolve(found, limits=settings.limits) == settings
