"""Users in TOML: what a user may be, what is refused, and who gets in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from sipframe.auth.settings import DigestSettings
from sipframe.auth.sources.toml import read_users
from sipframe.auth.userhash import IUserhashSource
from sipframe.interfaces import ICloseable, ICredentialSource
from sipframe.verdicts import Secret
from tests.auth import client
from tests.auth.server import EVERYTHING, Server
from tests.auth.sources.around import CANARY, REALM, by_name, ha1, logged, registers, text_of

HA1 = {name: ha1("bob", CANARY, name) for name in ("MD5", "SHA-256", "SHA-512-256")}
BOB = f"""
[bob]
ha1 = "{HA1["MD5"]}"
ha1-sha256 = "{HA1["SHA-256"]}"
ha1-sha512-256 = "{HA1["SHA-512-256"]}"
realm = "{REALM}"
owner = "sip:robert@example.com"
"""


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256"])
def test_a_user_with_ha1_registers(tmp_path: Path, algorithm: str) -> None:
    (tmp_path / "users.toml").write_text(BOB)
    source = by_name("toml", tmp_path, path="users.toml")
    server = Server(DigestSettings(algorithms=(algorithm,)), source)
    accepted = server.accepts(client.answer(server.challenged(), password=CANARY))
    assert accepted.identity.aors == {"sip:robert@example.com"}
    server.challenges(client.answer(server.challenged(), password="guess"))
    assert source.secret("bob", "elsewhere", algorithm) is None


def test_users_with_passwords_register_in_any_realm(tmp_path: Path) -> None:
    (tmp_path / "users.toml").write_text(f'bob = "{CANARY}"\n"łu@example.com" = {{password = "{CANARY}"}}\n')
    source = by_name("toml", tmp_path, path="users.toml")
    assert registers(source)
    assert registers(source, "łu@example.com")
    assert not registers(source, password="guess")
    assert not registers(source, "carol")
    assert source.secret("bob", "elsewhere", "MD5") == Secret(password=CANARY)
    assert CANARY not in repr(source)


def test_a_table_in_the_configuration(tmp_path: Path) -> None:
    source = by_name("toml", tmp_path, users={"bob": CANARY})
    assert registers(source)
    assert CANARY not in repr(source)
    for interface in (ICredentialSource, IUserhashSource):
        assert verifyObject(interface, source)


def test_a_user_registers_by_the_hash_of_the_name(tmp_path: Path) -> None:
    server = Server(EVERYTHING, by_name("toml", tmp_path, users={"alice": "x", "bob": CANARY}))
    assert server.accepts(client.answer(server.challenged(), password=CANARY, userhash=True))


@pytest.mark.parametrize(
    "user",
    [
        1234,
        ["x"],
        "",
        {},
        {"owner": "sip:bob@example.com"},
        {"password": 1234},
        {"passwd": CANARY},
        {"ha1": CANARY},
        {"ha1": HA1["SHA-256"]},
        {"ha1-sha256": HA1["MD5"]},
        {"ha1_sha256": HA1["SHA-256"]},
        {"password": "x", "owner": CANARY},
        {"password": "x", "realm": 7},
    ],
)
def test_a_user_that_is_wrong(tmp_path: Path, user: Any) -> None:
    with pytest.raises(ValueError, match="toml: user 'bob': ") as error:
        by_name("toml", tmp_path, users={"alice": CANARY, "bob": user})
    text_of(error)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"alice = {CANARY}", "it is no TOML (at line 1, column 9)"),
        (f'\nalice = "{CANARY}', "it is no TOML (at "),
        (f'alice = "{CANARY}"\nalice = "{CANARY}"', "it is no TOML (at end of document)"),
        (f"{CANARY} 7", "it is no TOML (at "),
        (f'alice.smith = "{CANARY}"', "user 'alice': a key that is none of "),
        ("a = " + "[" * 5000, "it is "),
    ],
)
def test_a_file_that_is_wrong(content: str, reason: str) -> None:
    with pytest.raises(ValueError) as error:
        read_users(content.encode())
    assert text_of(error).startswith(reason)


def test_a_file_that_is_no_utf_8() -> None:
    with pytest.raises(ValueError, match="octet 22 is no UTF-8") as error:
        read_users(f'alice = "{CANARY}'.encode() + b'\xff"')
    text_of(error)


def test_a_file_or_a_table(tmp_path: Path) -> None:
    for arguments in ({}, {"path": "users", "users": {"bob": "x"}}):
        with pytest.raises(ValueError, match="either path or users"):
            by_name("toml", tmp_path, **arguments)


def test_a_new_file_is_used_and_a_malformed_one_is_not(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "users"
    path.write_text(f'alice = "{CANARY}"')
    source = by_name("toml", tmp_path, clock, path="users")
    path.write_text(f'bob = "{CANARY}"')
    clock.advance(2)
    assert registers(source)
    assert not registers(source, "alice")
    with logged() as text:
        path.write_text(f"bob = {CANARY}")
        clock.advance(2)
        assert "it is no TOML" in text()
    assert registers(source)
    source.close()
    assert clock.getDelayedCalls() == []
    for interface in (ICredentialSource, IUserhashSource, ICloseable):
        assert verifyObject(interface, source)
