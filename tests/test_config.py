"""Settings are checked when they are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from sipframe.config import LOOPBACK_ALIASES, Settings
from sipframe.verdicts import Terms

STATE = Path("/nowhere")


def test_nothing_is_opened() -> None:
    assert Settings(state=STATE).state == STATE
    assert not STATE.exists()


def test_they_are_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Settings(state=STATE).realm = "x"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["stop_deadline", "expire_every", "certificates_every", "most_waiting"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_durations_and_counts(name: str, value: float) -> None:
    wrong: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=name):
        Settings(state=STATE, **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_expires": 0},
        {"min_expires": 3601},
        {"max_expires": 3599},
        {"max_expires": 2**32},
        {"max_contacts": 0},
    ],
)
def test_terms(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"expir|contacts"):
        Settings(state=STATE, terms=Terms(**wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["localhost", "Example.COM", "example.com.", "192.0.2.1", "::1", "[::1]"])
def test_hosts(host: str) -> None:
    assert Settings(state=STATE, domains=(host,)).domains == (host,)
    assert Settings(state=STATE, aliases={host: "localhost"}).aliases == {host: "localhost"}


@pytest.mark.parametrize(
    "host", ["", " ", "a b", "bob@a", "a:5060", "a;b", "a?b", "b\xe4r", "a\r\nb", "sip:a"]
)
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(ValueError, match="domains"):
        Settings(state=STATE, domains=(host,))
    with pytest.raises(ValueError, match="aliases"):
        Settings(state=STATE, aliases={host: "localhost"})


def test_one_domain_at_least() -> None:
    with pytest.raises(ValueError, match="domains"):
        Settings(state=STATE, domains=())


def test_loopback_is_for_the_default_domain() -> None:
    assert Settings(state=STATE).aliases == LOOPBACK_ALIASES
    assert Settings(state=STATE, domains=("example.com",)).aliases == {}


@pytest.mark.parametrize("realm", ["", "a\nb", "a\0b", "a\udcff"])
def test_what_is_no_realm(realm: str) -> None:
    with pytest.raises(ValueError, match="realm"):
        Settings(state=STATE, realm=realm)
