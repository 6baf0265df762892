from __future__ import annotations

import os
from pathlib import Path

from sipframe.auth.sealing import Seal


def test_what_is_sealed_can_be_opened_by_another_process(tmp_path: Path) -> None:
    sealed = Seal(tmp_path / "key", os.urandom).seal(b"zanzibar", b"bob@example.com")
    assert b"zanzibar" not in sealed
    assert Seal(tmp_path / "key", os.urandom).open(sealed, b"bob@example.com") == b"zanzibar"


def test_the_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    Seal(tmp_path / "key", os.urandom).seal(b"zanzibar", b"bob@example.com")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_it_opens_for_no_other_account_and_no_other_key(tmp_path: Path) -> None:
    seal = Seal(tmp_path / "key", os.urandom)
    sealed = seal.seal(b"zanzibar", b"bob@example.com")
    other = Seal(tmp_path / "other", os.urandom)
    other.seal(b"x", b"x")
    assert seal.open(sealed, b"eve@example.com") is None
    assert other.open(sealed, b"bob@example.com") is None
    assert seal.open(b"", b"bob@example.com") is None
    assert seal.open(sealed[:-1], b"bob@example.com") is None


def test_once_forgotten_nothing_opens(tmp_path: Path) -> None:
    seal = Seal(tmp_path / "key", os.urandom)
    sealed = seal.seal(b"zanzibar", b"bob@example.com")
    seal.forget()
    assert not (tmp_path / "key").exists()
    assert seal.open(sealed, b"bob@example.com") is None
    seal.forget()


def test_a_key_file_of_another_length_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    seal = Seal(tmp_path / "key", os.urandom)
    assert seal.open(bytes(60), b"bob@example.com") is None
    assert seal.open(seal.seal(b"zanzibar", b"a"), b"a") == b"zanzibar"
