"""Tests of a credential source against the real server, without a socket, on a clock that only they move.

    python -m pytest test_custom_credentials.py

Run them in this directory, or with it on PYTHONPATH.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from custom_credentials import Staff

from sipframe.testing import Server
from sipframe.testing.contracts import CredentialSourceContract, KnownUser


@pytest.fixture
def staff(tmp_path: Path) -> Path:
    file = tmp_path / "staff.csv"
    file.write_text("alice,wonderland\nbob,builder\n")
    return file


def test_alice_registers(staff: Path) -> None:
    with Server(credentials=Staff(file=staff)) as server:
        phone = server.phone("sip:alice@example.com", password="wonderland")
        assert phone.register(expires=600).status == 200
        server.advance(599)
        assert server.bindings("sip:alice@example.com")
        server.advance(2)
        assert not server.bindings("sip:alice@example.com")


def test_by_name(staff: Path) -> None:
    with Server(credentials=f"custom_credentials.Staff:file={staff}") as server:
        assert server.phone("sip:bob@example.com", password="builder").register().status == 200
        assert server.phone("sip:bob@example.com", password="wonderland").register().status == 401
        assert server.phone("sip:eve@example.com", password="builder").register().status == 401


class TestContract(CredentialSourceContract):
    """What every credential source has to do: some dozen tests more."""

    users = (KnownUser("alice", "wonderland"), KnownUser("bob", "builder"))
    any_realm = True
    examples = 10

    def open_source(self, place: Path) -> Staff:
        file = place / "staff.csv"
        file.write_text("".join([f"{user.name},{user.password}\n" for user in self.users]))
        return Staff(file=file)
