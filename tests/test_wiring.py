"""Names to objects: what cannot work is one line before anything listens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import capturedLogs, formatEvent
from zope.interface import classImplements, implementer

from sipframe import wiring
from sipframe.config import Settings
from sipframe.interfaces import ICredentialSource, ILocationStore, IPolicy
from sipframe.location import MemoryStore
from sipframe.policy import BasePolicy
from sipframe.transport import CertificateFiles, self_signed
from sipframe.verdicts import Secret
from sipframe.wiring import StartError

NOW = 1_700_000_000.0


class Whole:
    """Has the methods, but does not say so."""

    def secret(self, username: str, realm: str, algorithm: str) -> Secret | None:
        return None


class Lacking:
    """Says so, but has not the method."""


class Short:
    """Has a method that cannot be called."""

    def secret(self, username: str) -> None:
        return None


# Not by @implementer: the type checker sees through that.
claim: Any = classImplements
claim(Lacking, ICredentialSource)
claim(Short, ICredentialSource)


@implementer(ICredentialSource)
class Good(Whole):
    pass


@pytest.mark.parametrize("plug_in", [object(), None, Whole(), Lacking(), Short(), Good])
def test_what_is_no_plug_in(plug_in: object) -> None:
    with pytest.raises(StartError, match=r"the credential source .* is no ICredentialSource") as caught:
        wiring.verified(ICredentialSource, plug_in, "credential source")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("plug_in", "about"),
    [
        (Whole(), r"its class does not say @implementer\(ICredentialSource\)$"),
        (Good, "an object of it is wanted$"),
    ],
)
def test_it_says_what_to_do(plug_in: object, about: str) -> None:
    with pytest.raises(StartError, match=about):
        wiring.verified(ICredentialSource, plug_in, "credential source")


def test_a_state_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StartError, match="it is a file, not a directory"):
        wiring.make_state_directory(tmp_path / "state")


def test_it_says_what_is_missing() -> None:
    with pytest.raises(StartError, match="secret"):
        wiring.verified(ICredentialSource, Lacking(), "credential source")


def test_a_method_that_hides_its_self() -> None:
    class Hiding:
        def secret(*arguments: object) -> None:
            return None

    claim(Hiding, ICredentialSource)
    with pytest.raises(StartError, match="without self"):
        wiring.verified(ICredentialSource, Hiding(), "credential source")


def test_a_plug_in_stays_what_it_is() -> None:
    good, policy, store = Good(), BasePolicy(), MemoryStore()
    assert wiring.verified(ICredentialSource, good, "credential source") is good
    assert wiring.verified(IPolicy, policy, "policy") is policy
    assert wiring.verified(ILocationStore, store, "location store") is store


class Conforming:
    """Is adapted: zope asks it for a provider."""

    def __init__(self, provider: object) -> None:
        self.provider = provider

    def __conform__(self, interface: object) -> object:
        return self.provider


def test_adapters_are_used_and_verified() -> None:
    good = Good()
    assert wiring.verified(ICredentialSource, Conforming(good), "credential source") is good
    with pytest.raises(StartError):
        wiring.verified(ICredentialSource, Conforming(Lacking()), "credential source")
    with pytest.raises(StartError):
        wiring.verified(ILocationStore, Conforming(object()), "location store")


def test_a_state_directory(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    wiring.make_state_directory(path)
    wiring.make_state_directory(path)
    assert path.stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StartError, match="--state"):
            wiring.make_state_directory(wrong)


@pytest.mark.parametrize(
    ("day", "about"), [(5, None), (11, "it was good until 2026-03-13 12:00 UTC; renew it")]
)
def test_a_certificate_that_has_expired_is_told(day: int, about: str | None, tmp_path: Path) -> None:
    made = datetime(2026, 3, 3, 12, tzinfo=UTC)
    files = CertificateFiles(tmp_path / "a.pem", tmp_path / "a.key")
    self_signed(files.certificate, files.private_key, ["example.com"], made, days=10)
    settings = Settings(state=tmp_path, certificates=(files,))
    with capturedLogs() as events:
        wiring.tls_settings(settings, (made + timedelta(days=day)).timestamp())
    told = [formatEvent(event) for event in events]
    assert len(told) == (about is not None)
    assert about is None or f"{files.certificate}: {about}" in told[0]


def test_a_certificate_is_made_once(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path)
    wiring.tls_identity(settings, NOW)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(files) == ["certificate.pem", "private-key.pem"]
    wiring.tls_identity(settings, NOW)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_no_certificate_can_be_made(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot make a self-signed certificate"):
        wiring.tls_identity(Settings(state=tmp_path / "none"), NOW)


def test_a_certificate_that_is_damaged(tmp_path: Path) -> None:
    wiring.tls_identity(Settings(state=tmp_path), NOW)
    (tmp_path / "certificate.pem").write_bytes(b"")
    with pytest.raises(StartError, match=r"certificate\.pem"):
        wiring.tls_identity(Settings(state=tmp_path), NOW)
