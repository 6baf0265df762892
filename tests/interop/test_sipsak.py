"""sipsak 0.9.8 registers over UDP, TCP and TLS, removes what it registered, and is refused with a wrong password.

What it needs: ``-H``, or it looks its host's name up; ``-u``, or it puts an empty user name into its credentials; a
port of four digits, as it cuts longer ones. Over UDP it sends from a port that its Via does not name, and finds the
answer by ``rport``. Over TLS it compares the certificate with ``host:port``, which no certificate has, and takes the
session ticket that follows a TLS 1.3 handshake for a failure: so it is told not to mind the name, and gets TLS 1.2 from
a GnuTLS configuration of its own.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import Client, contacts
from tests.interop.accounts import import_accounts
from tests.process import PATIENCE, ServerProcess
from tests.tools import require_tool

PASSWORD = "right-1"
TRANSPORTS = ("udp", "tcp", "tls")
NO_TLS_1_3 = "[overrides]\ndisabled-version = tls1.3\n"
ATTEMPTS = 5


def free(port: int) -> bool:
    """Whether nobody has the port of loopback, over UDP and TCP."""
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def four_digit_ports(count: int) -> list[int]:
    """Ports below 10000 that are free now."""
    found: list[int] = []
    for port in random.SystemRandom().sample(range(6200, 10_000), 3_800):
        if free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise AssertionError("no port below 10000 is free")


def serve(state: Path) -> ServerProcess:
    """A server with a four-digit port for each transport; a port may be taken meanwhile, so try again."""
    for attempt in range(ATTEMPTS):
        pairs = zip(TRANSPORTS, four_digit_ports(len(TRANSPORTS)), strict=True)
        listen = [f"{transport}:{port}:interface=127.0.0.1" for transport, port in pairs]
        try:
            return ServerProcess(state, listen=listen)
        except AssertionError as error:
            if "already in use" not in str(error) or attempt == ATTEMPTS - 1:
                raise
    raise AssertionError


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    require_tool("sipsak")
    state = tmp_path_factory.mktemp("sipsak") / "state"
    import_accounts(
        state, {f"{transport}-{name}": PASSWORD for transport in TRANSPORTS for name in ("a", "b")}
    )
    with serve(state) as served:
        yield served


def sipsak(
    server: ServerProcess, folder: Path, transport: str, user: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, about ``user``, or the server itself when that is empty."""
    host, port = server.address(transport)
    (folder / "gnutls.conf").write_text(NO_TLS_1_3, encoding="ascii")
    command = [require_tool("sipsak"), "-n", "-H", host, "-E", transport, "-vvv"]
    command += [*options, "-s", f"sip:{user}@{host}:{port}" if user else f"sip:{host}:{port}"]
    if user:
        command += ["-u", user]
    if transport == "tls":
        command.append("--tls-ignore-cert-failure")
    return subprocess.run(
        command,
        env={**os.environ, "GNUTLS_SYSTEM_PRIORITY_FILE": str(folder / "gnutls.conf")},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE,
    )


def registered(server: ServerProcess, user: str) -> list[str]:
    """The contacts of ``user``."""
    with Client.of(server, "tcp") as client:
        response = client.register(PASSWORD, user=user, call_id=f"fetch-{client.port}")
        assert response.status == 200
        return contacts(response)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_right_password(server: ServerProcess, tmp_path: Path, transport: str) -> None:
    user = f"{transport}-a"
    done = sipsak(server, tmp_path, transport, user, "-U", "-a", PASSWORD, "-x", "600")
    assert done.returncode == 0, done.stdout + done.stderr
    (contact,) = registered(server, user)
    assert contact.startswith(f"sip:{user}@127.0.0.1:")

    elsewhere = ["-C", f"sip:{user}@192.0.2.9"]
    done = sipsak(server, tmp_path, transport, user, "-U", "-a", PASSWORD, "-x", "600", *elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert registered(server, user) == [contact, f"sip:{user}@192.0.2.9"]

    done = sipsak(server, tmp_path, transport, user, "-U", "-a", PASSWORD, "-x", "0", "-C", "*")
    assert done.returncode == 0, done.stdout + done.stderr
    assert registered(server, user) == []


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_wrong_password(server: ServerProcess, tmp_path: Path, transport: str) -> None:
    user = f"{transport}-b"
    done = sipsak(server, tmp_path, transport, user, "-U", "-a", "wrong", "-x", "600")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "authorization failed" in done.stdout + done.stderr
    assert registered(server, user) == []


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_options(server: ServerProcess, tmp_path: Path, transport: str) -> None:
    """Its ping: who asks about the server itself is told what it can do."""
    done = sipsak(server, tmp_path, transport, "")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIP/2.0 200 OK" in done.stdout


def test_a_flood_hurts_nobody_else(server: ServerProcess, tmp_path: Path) -> None:
    """Some thousand requests, whose answers nobody reads."""
    done = sipsak(server, tmp_path, "udp", "udp-b", "-F", "-e", "5000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert registered(server, "udp-b") == []
