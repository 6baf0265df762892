"""What a failed test shows: the ladder, the decisions and the log, without secrets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sipframe.interfaces import IFlow
from sipframe.message import Request
from sipframe.policy import BasePolicy
from sipframe.testing import Network, Passage, Server
from sipframe.testing.report import HEADING, ladder_text
from sipframe.verdicts import Address
from tests.tree import ROOT

ALICE = "sip:alice@example.com"
USERS = {"alice": "zanzibar"}
HERE, THERE = Address("192.0.2.1", 5060), Address("198.18.0.1", 5060)


class Broken(BasePolicy):
    """Has a bug."""

    def admit(self, request: Request, flow: IFlow) -> object:
        raise ZeroDivisionError("a bug")


def notes(do: Callable[[], object], kind: type[BaseException] = AssertionError) -> str:
    """What the exception that ``do`` raises says in its notes."""
    with pytest.raises(kind) as caught:
        do()
    return "\n".join(caught.value.__notes__)


def test_a_ladder() -> None:
    with Server(users=USERS) as server:
        phone = server.phone(ALICE, password="zanzibar", transport="tls")
        phone.register(expires=600)
        drawn = server.ladder()
    lines = [line.rstrip() for line in drawn.splitlines()]
    assert lines[0] == f"{HEADING}; seconds since 0 s of the test:"
    assert "alice" in lines[2]
    assert lines[2].endswith("server")
    assert "  0.000 s   │ TLS 1.3                           │" in lines
    assert '  0.000 s   │ 401 Unauthorized           CSeq 1 │  realm "example.com"' in lines
    assert "            ├──────────────────────────────────▶│  Expires 600" in lines


def test_secrets_are_not_in_it() -> None:
    with Server(users=USERS) as server:
        phone = server.phone(ALICE, password="zanzibar")
        phone.register()
        shown = server.ladder(verbose=True) + server.report()
        assert phone.last is not None
        request = phone.last.requests[-1].decode()
    response = request.partition('response="')[2].partition('"')[0]
    assert len(response) == 32
    assert response not in shown
    assert "zanzibar" not in shown
    assert "User-Agent" not in shown
    assert "Call-ID:" in shown  # whole messages


def test_expectations_that_fail_tell_what_happened() -> None:
    with Server(users=USERS, policies=[Broken()]) as server:
        phone = server.phone(ALICE, password="zanzibar")
        nothing = notes(lambda: server.expect(phone, 200))
        assert f"{HEADING}: nothing." in nothing
        phone.register()
        told = notes(lambda: server.expect(phone, 200))
        server.network.loss = 1.0
        exchange = phone.begin_register()
        silent = notes(lambda: server.expect(phone, 200))
        assert not exchange.done
    assert "500 Server Internal Error" in told
    assert "▶ Broken.admit  ZeroDivisionError" in told
    assert "Traceback" in told
    assert "raise ZeroDivisionError" in told
    assert "lost" in silent


def test_whatever_fails_within_tells_it() -> None:
    def fail() -> None:
        with Server(users=USERS) as server:
            server.phone(ALICE).register()
            raise LookupError("of the test itself")

    assert "401 Unauthorized" in notes(fail, LookupError)


def test_it_is_told_once() -> None:
    def fail() -> None:
        with Server(users=USERS) as server:
            phone = server.phone(ALICE)
            phone.register()
            server.expect(phone, 200)

    assert notes(fail).count(HEADING) == 1


def test_it_is_about_the_phone_that_was_not_as_expected() -> None:
    with Server(users=USERS) as server:
        phones = [server.phone(ALICE) for _ in range(3)]
        for phone in phones:
            phone.register()
        told = notes(lambda: server.expect(phones[1], 200))
    assert phones[1].host in told
    assert phones[0].host not in told


def test_what_passed_on_the_network_is_beside_the_arrows() -> None:
    with Server(users=USERS, network=Network(1, loss=0.6, duplicate=0.5, delay=(0.1, 0.2))) as server:
        phone = server.phone(ALICE, password="zanzibar")
        phone.register()
        drawn = server.ladder()
    for word in ("lost", "twice", "late by 0.1", "again"):
        assert word in drawn


def test_it_is_bounded() -> None:
    with Server(users=USERS) as server:
        for _ in range(30):
            server.phone(ALICE).request("OPTIONS")
        drawn = server.ladder()
    assert "(the last " in drawn
    assert " of 60)" in drawn
    assert len(drawn.splitlines()) < 200
    assert all(len(line) <= 110 for line in drawn.splitlines())


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\r\n\r\n", "keep-alive"),
        (b"\x1b[2J\r\n\r\n", "no SIP"),
        (b"SIP/2.0 200 \x1b[2J\r\n\r\n", "200"),
        (b"REGISTER sip:\xff SIP/2.0\r\nContact: <<\r\nVia: \x07\r\n\r\n", "REGISTER"),
    ],
)
def test_nothing_that_was_sent_breaks_it(data: bytes, shown: str) -> None:
    for verbose in (False, True):
        drawn = ladder_text([Passage(0.0, "UDP", THERE, HERE, data)], {}, [HERE.host], verbose=verbose)
        assert shown in drawn
        assert "\x1b" not in drawn
        assert "\x07" not in drawn


SUITE = """
import pytest
from sipframe.testing import Server

pytest_plugins = ["sipframe.testing.pytest_ladders"]

@pytest.fixture
def registrar():
    with Server(users={"alice": "secret"}) as server:
        yield server

def test_in_a_fixture(registrar):
    assert registrar.phone("sip:alice@example.com").register().status == 200

def test_in_with():
    with Server(users={"alice": "secret"}) as server:
        assert server.phone("sip:alice@example.com").register().status == 200

def test_told(registrar):
    phone = registrar.phone("sip:alice@example.com")
    phone.register()
    registrar.expect(phone, 200)
"""


def test_pytest_shows_it(tmp_path: Path) -> None:
    suite = tmp_path / "test_suite.py"
    suite.write_text(SUITE, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(suite),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert "3 failed" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count(HEADING) == 3
    assert "SIP server 'registrar'" in done.stdout
    assert done.stdout.count("401 Unauthorized") >= 3
