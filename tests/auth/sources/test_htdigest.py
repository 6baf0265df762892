"""Apache's htdigest files: what they mean, what is refused, and who gets in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from sipframe.auth.settings import DigestSettings
from sipframe.auth.sources.htdigest import read_htdigest
from sipframe.auth.userhash import IUserhashSource
from sipframe.interfaces import ICloseable, ICredentialSource
from sipframe.verdicts import Secret
from tests.auth import client
from tests.auth.server import Server
from tests.auth.sources.around import CANARY, REALM, by_name, ha1, logged, registers, text_of

MD5 = ha1("bob", CANARY)
SHA = ha1("bob", CANARY, "SHA-256")
# RFC 7616 3.9.1; made by "printf 'Mufasa:http-auth@example.org:Circle of Life' | sha256sum" and md5sum.
RFC_7616 = b"""\
Mufasa:http-auth@example.org:3d78807defe7de2157e2b0b6573a855f
Mufasa:http-auth@example.org:7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232
"""

octets = st.binary(max_size=12).filter(lambda part: not set(part) & set(b":\n\r"))
hashes = st.sampled_from([32, 64]).flatmap(
    lambda size: st.text("0123456789abcdef", min_size=size, max_size=size)
)
files = st.lists(
    st.tuples(octets.filter(lambda name: name and not name.startswith((b"#", b"\xef"))), octets, hashes),
    unique_by=lambda user: (user[0], user[1], len(user[2])),
)


def test_the_example_of_the_rfc() -> None:
    assert [key[2] for key in read_htdigest(RFC_7616)] == ["MD5", "SHA-256"]
    for (username, realm, algorithm), value in read_htdigest(RFC_7616).items():
        assert value == ha1(username, "Circle of Life", algorithm, realm)


@given(files, st.sampled_from([b"\n", b"\r\n", b"\n\n# a comment: with: colons\n"]), st.booleans())
def test_what_is_written_is_read(users: list[tuple[bytes, bytes, str]], end: bytes, mark: bool) -> None:
    data = b"".join([b":".join((name, realm, ha1.encode())) + end for name, realm, ha1 in users])
    expected = {}
    for name, realm, value in users:
        algorithm = "MD5" if len(value) == 32 else "SHA-256"
        text = (name.decode("utf-8", "surrogateescape"), realm.decode("utf-8", "surrogateescape"), algorithm)
        expected[text] = value
    assert read_htdigest(b"\xef\xbb\xbf" * mark + data) == expected


@given(st.binary(max_size=60))
def test_anything_else_is_refused_with_its_line_and_without_its_content(data: bytes) -> None:
    line = b"#\n\n" + b"x:y:" + data
    try:
        read_htdigest(line)
    except ValueError as error:
        words = str(error).split()
        assert words[0] == "line"
        assert 3 <= int(words[1].rstrip(":")) <= 3 + data.count(b"\n")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (CANARY, "line 2 is not USER:REALM:HA1"),
        (f"bob:{CANARY}", "line 2 is not USER:REALM:HA1"),
        (f"bob:sip:{CANARY}:{MD5}", "line 2 is not USER:REALM:HA1"),
        (f":{REALM}:{MD5}", "line 2 is not USER:REALM:HA1"),
        (f"bob:{REALM}:{CANARY}", "line 2: HA1 is 32 hex digits (MD5) or 64 (SHA-256)"),
        (f"bob:{REALM}:{MD5} ", "line 2: HA1 is 32 hex digits (MD5) or 64 (SHA-256)"),
        (f"bob:{REALM}:{'g' * 32}", "line 2: HA1 is 32 hex digits (MD5) or 64 (SHA-256)"),
        (f"bob:{REALM}:" + "\u0660" * 32, "line 2: HA1 is 32 hex digits (MD5) or 64 (SHA-256)"),
        (f"alice:{REALM}:{MD5}", "line 2 has the user, realm and algorithm of an earlier one"),
    ],
)
def test_a_malformed_line_is_refused_with_its_number(tmp_path: Path, bad: str, reason: str) -> None:
    path = tmp_path / "users"
    path.write_text(f"alice:{REALM}:{MD5}\n{bad}\n")
    with pytest.raises(ValueError) as error:
        by_name("htdigest", tmp_path, path="users")
    assert text_of(error) == f"htdigest: {path}: {reason}"


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_user_registers(tmp_path: Path, algorithm: str) -> None:
    (tmp_path / "users").write_text(f"bob:{REALM}:{MD5}\nbob:{REALM}:{SHA.upper()}\nbob:other:{MD5}\n")
    source = by_name("htdigest", tmp_path, path="users")
    server = Server(DigestSettings(algorithms=(algorithm,)), source)
    accepted = server.accepts(client.answer(server.challenged(), password=CANARY))
    assert accepted.identity.aors == {"sip:bob@example.com"}
    assert server.challenges(client.answer(server.challenged(), password="guess")) == (False, "wrong digest")
    answer = client.answer(server.challenged(), username="carol", password=CANARY)
    assert server.challenges(answer) == (False, "unknown user")
    assert CANARY not in repr(source)
    assert MD5 not in repr(source)


def test_a_user_registers_by_the_hash_of_the_name(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"alice:{REALM}:{SHA}\nbob:{REALM}:{SHA}\n")
    source = by_name("htdigest", tmp_path, path="users")
    server = Server(DigestSettings(algorithms=("SHA-256",), userhash=True), source)
    accepted = server.accepts(client.answer(server.challenged(), password=CANARY, userhash=True))
    assert accepted.identity.name == "bob"
    server.challenges(client.answer(server.challenged(), username="carol", userhash=True))


def test_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    name = b"b\xfcb".decode("utf-8", "surrogateescape")
    value = client.HASHES["MD5"](b"b\xfcb:" + f"{REALM}:{CANARY}".encode())
    (tmp_path / "users").write_bytes(b"b\xfcb:" + f"{REALM}:{value}\n".encode())
    assert registers(by_name("htdigest", tmp_path, path="users"), name)


def test_the_algorithm_that_a_user_has_no_line_for(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"bob:{REALM}:{SHA}\n")
    source = by_name("htdigest", tmp_path, path="users")
    assert source.secret("bob", REALM, "SHA-256") == Secret(ha1=SHA)
    assert source.secret("bob", REALM, "MD5") is None
    assert source.secret("bob", REALM, "SHA-512-256") is None
    assert source.secret("bob", "other", "SHA-256") is None


def test_a_new_file_is_used_and_a_malformed_one_is_not(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "users"
    path.write_text(f"alice:{REALM}:{MD5}\n")
    source = by_name("htdigest", tmp_path, clock, path="users", look_every="0.5")
    assert not registers(source)
    new = tmp_path / "users.new"
    new.write_text(f"bob:{REALM}:{MD5}\n")
    new.replace(path)
    clock.advance(0.5)
    assert registers(source)
    with logged() as text:
        path.write_text(f"bob:{REALM}:{MD5}\nalice:{REALM}:{CANARY}\n")
        clock.advance(0.5)
        assert "line 2: HA1 is" in text()
    assert registers(source)
    source.close()
    assert clock.getDelayedCalls() == []


def test_it_is_a_credential_source(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("")
    source = by_name("htdigest", tmp_path, path="users")
    for interface in (ICredentialSource, IUserhashSource, ICloseable):
        assert verifyObject(interface, source)
