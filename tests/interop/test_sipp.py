"""SIPp 3.6 registers with Digest: many users at once, lost datagrams, several contacts, refreshes and removals.

Debian's SIPp has no TLS. It answers the first challenge it is sent, with MD5.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import Client, contacts
from tests.interop.accounts import import_accounts
from tests.interop.sipp import CREDENTIALS, run_sipp, step
from tests.process import ServerProcess, run, sipframe

PASSWORDS = {f"user{number:04}": f"secret-{number}" for number in range(1000)}
CONTACT = "Contact: <sip:[field0]@[local_ip]:[local_port];transport=[transport]>"
ONE = {"user0007": PASSWORDS["user0007"]}
FEW = dict(list(PASSWORDS.items())[:200])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    state = tmp_path / "state"
    import_accounts(state, PASSWORDS)
    with ServerProcess(state, "--log-level=debug") as served:
        yield served


def registering(*fields: str, cseq: int = 1, lost: int = 0) -> list[str]:
    """A REGISTER that is challenged, and the one that answers."""
    return [
        step(cseq, *fields, expect=401, lost=lost),
        step(cseq + 1, *fields, CREDENTIALS, expect=200, lost=lost),
    ]


def registered(server: ServerProcess) -> list[str]:
    """The AOR of every binding in the store."""
    listed = run(sipframe("bindings", "--json", "--state", server.state))
    assert listed.returncode == 0, listed.stderr
    return [json.loads(line)["aor"] for line in listed.stdout.splitlines()]


def fetched(server: ServerProcess, user: str) -> list[str]:
    """The contacts that a REGISTER without any is answered."""
    with Client.of(server, "udp") as client:
        response = client.register(PASSWORDS[user], user=user, call_id=f"fetch-{client.port}")
        assert response.status == 200
        return contacts(response)


@pytest.mark.parametrize("mode", ["u1", "t1", "tn"], ids=["udp", "tcp", "tcp-connection-each"])
def test_a_thousand_users(server: ServerProcess, tmp_path: Path, mode: str) -> None:
    address = server.address("udp" if mode == "u1" else "tcp")
    # No more sockets at once than any system allows a process.
    many = ["-r", "500", "-l", "200", "-max_socket", "400"]
    run_sipp(tmp_path, address, PASSWORDS, registering(CONTACT, "Expires: 600"), mode=mode, options=many)
    assert sorted(registered(server)) == [f"sip:{name}@localhost" for name in PASSWORDS]


def test_datagrams_that_get_lost(server: ServerProcess, tmp_path: Path) -> None:
    """Retransmissions are answered as the first time (RFC 3261 17.2.2): nothing is done twice, no nonce refused."""
    steps = registering(CONTACT, "Expires: 600", lost=10)
    run_sipp(tmp_path, server.address("udp"), FEW, steps, options=["-r", "200"])
    assert sorted(registered(server)) == [f"sip:{name}@localhost" for name in FEW]
    server.end()  # what was answered is in the log by then
    assert server.log.count("sipframe.registrar.bound") == len(FEW)


@pytest.mark.parametrize("mode", ["u1", "t1"], ids=["udp", "tcp"])
def test_refresh_and_removal(server: ServerProcess, tmp_path: Path, mode: str) -> None:
    address = server.address("udp" if mode == "u1" else "tcp")
    steps = [
        *registering(CONTACT, "Expires: 600"),
        *registering(CONTACT, "Expires: 600", cseq=3),
        *registering(CONTACT, "Expires: 0", cseq=5),
    ]
    run_sipp(tmp_path, address, FEW, steps, mode=mode, options=["-r", "200"])
    assert registered(server) == []
    server.end()  # what was answered is in the log by then
    assert server.log.count("sipframe.registrar.bound") == 3 * len(FEW)


def test_several_contacts(server: ServerProcess, tmp_path: Path) -> None:
    address = server.address("udp")
    three = [
        'Contact: "Desk, left" <sip:desk@192.0.2.1>;q=0.7, <sip:lab@192.0.2.2:5070>;expires=300',
        "m: <sips:mobile@192.0.2.3>",
        "Expires: 600",
    ]
    run_sipp(tmp_path, address, ONE, registering(*three))
    desk, lab, mobile = "sip:desk@192.0.2.1", "sip:lab@192.0.2.2:5070", "sips:mobile@192.0.2.3"
    assert sorted(fetched(server, "user0007")) == [desk, lab, mobile]

    run_sipp(tmp_path, address, ONE, registering(f"Contact: <{lab}>;expires=0, <{desk}>"))
    assert sorted(fetched(server, "user0007")) == [desk, mobile]

    run_sipp(tmp_path, address, ONE, registering("Contact: *", "Expires: 0"))
    assert fetched(server, "user0007") == []


def test_a_wrong_password_never_registers(server: ServerProcess, tmp_path: Path) -> None:
    wrong = dict.fromkeys(FEW, "not-it")
    steps = [
        step(1, CONTACT, expect=401),
        step(2, CONTACT, CREDENTIALS, expect=401),
        step(3, CONTACT, CREDENTIALS, expect=401),
    ]
    run_sipp(tmp_path, server.address("udp"), wrong, steps, options=["-r", "200"])
    assert registered(server) == []
