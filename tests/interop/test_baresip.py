"""baresip 1.0.0 registers over UDP, TCP and TLS, refreshes, unregisters when it ends, and never gets in by guessing.

It answers only challenges of MD5, and reads the first. Over TLS it does not verify the server's certificate. A wrong
password it tries again at once, some times over. It runs here without audio and terminal; its own output is buffered,
so what it has done is read in the server's log. With ``sipnat=outbound`` it registers as RFC 5626 says.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.client import Client
from tests.interop.accounts import import_accounts
from tests.process import PATIENCE, ServerProcess, run, sipframe
from tests.tools import require_tool

MODULES = Path("/usr/lib/baresip/modules")
TRANSPORTS = ("udp", "tcp", "tls")
GUESSERS = [f"guessed-{transport}-{number}" for transport in TRANSPORTS for number in range(8)]
GUESSES = 3
"""How often each is tried at least until the test has seen enough."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    require_tool("baresip")
    if not MODULES.is_dir():
        pytest.skip(f"baresip's modules are not in {MODULES}")
    state = tmp_path / "state"
    import_accounts(state, dict.fromkeys(["alice", "honest", *GUESSERS], "right-1"))
    with ServerProcess(state, "--log-level=debug", "--min-expires=1") as served:
        yield served


def account(server: ServerProcess, transport: str, user: str, password: str, *parameters: str) -> str:
    """A line of baresip's file of accounts."""
    host, port = server.address(transport)
    outbound = f'outbound="sip:{host}:{port};transport={transport}"'
    return ";".join(
        [f"<sip:{user}@localhost;transport={transport}>", f"auth_pass={password}", outbound, *parameters]
    )


@contextmanager
def baresip(server: ServerProcess, folder: Path, accounts: Iterable[str]) -> Iterator[None]:
    """baresip with these accounts; at the end of the block it gets SIGTERM and ends by itself."""
    home = folder / "baresip"
    home.mkdir()
    settings = [
        "sip_listen 127.0.0.1:0",
        f"module_path {MODULES}",
        "module uuid.so",
        "module_app account.so",
    ]
    (home / "config").write_text("".join(f"{line}\n" for line in settings), encoding="ascii")
    (home / "accounts").write_text("".join(f"{line}\n" for line in accounts), encoding="ascii")
    with open(home / "output", "wb") as output:
        process = subprocess.Popen(
            [require_tool("baresip"), "-4", "-f", str(home)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
        process.terminate()
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()


def registered(server: ServerProcess) -> list[dict[str, object]]:
    """Every binding in the store."""
    listed = run(sipframe("bindings", "--json", "--state", server.state))
    assert listed.returncode == 0, listed.stderr
    return [json.loads(line) for line in listed.stdout.splitlines()]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_right_password(server: ServerProcess, tmp_path: Path, transport: str) -> None:
    line = account(server, transport, "alice", "right-1", "regint=2")
    bound = r"registrar\.bound \{'aor': 'sip:alice@localhost', 'bindings': \(Binding\("
    with baresip(server, tmp_path, [line]):
        # Twice: it comes back before the two seconds are over.
        server.wait_for(bound + rf".*expires.*flow='{transport.upper()} 127\.0\.0\.1", times=2)
    server.wait_for(r"registrar\.bound \{'aor': 'sip:alice@localhost', 'bindings': \(\)")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_outbound(server: ServerProcess, tmp_path: Path, transport: str) -> None:
    """What it says of its instance (RFC 5626 4.2) is stored, and comes back in the 200."""
    line = account(server, transport, "alice", "right-1", "regint=600", "sipnat=outbound")
    with baresip(server, tmp_path, [line]):
        server.wait_for(r"registrar\.bound \{'aor': 'sip:alice@localhost', 'bindings': \(Binding\(")
        (binding,) = registered(server)
        assert str(binding["instance_id"]).strip('"').startswith("<urn:uuid:")
        assert binding["reg_id"] == 1
        assert str(binding["user_agent"]).startswith("baresip")
    # It found its own contact in the 200, or it would not know what to remove.
    server.wait_for(r"registrar\.bound \{'aor': 'sip:alice@localhost', 'bindings': \(\)")


def test_wrong_passwords_hurt_nobody_else(server: ServerProcess, tmp_path: Path) -> None:
    lines = [account(server, name.split("-")[1], name, "wrong", "regint=60") for name in GUESSERS]
    cseq = 0
    until = time.monotonic() + PATIENCE
    with (
        Client.of(server, "udp") as by_udp,
        Client.of(server, "tcp") as by_tcp,
        Client.of(server, "tls") as by_tls,
        baresip(server, tmp_path, lines),
    ):
        left = set(GUESSERS)
        while left:
            assert time.monotonic() < until, left
            for client in (by_udp, by_tcp, by_tls):
                cseq += 2
                contact = f"Contact: <sip:honest@192.0.2.1;transport={client.transport}>"
                response = client.register("right-1", contact, user="honest", cseq=cseq)
                assert response.status == 200
            refused = [
                line for line in server.log.splitlines() if "challenged" in line and "wrong digest" in line
            ]
            left = {
                name for name in left if sum(f"'sip:{name}@localhost'" in line for line in refused) < GUESSES
            }
    assert {binding["aor"] for binding in registered(server)} == {"sip:honest@localhost"}
