"""The plug-ins of a server: all or nothing, renewed, closed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer

from sipframe.auth.accounts import Accounts, parse_account
from sipframe.config import Settings
from sipframe.events import Events
from sipframe.interfaces import IAuthenticator, ICloseable, ICredentialSource, ILocationStore, IPolicy
from sipframe.plugged import Given, Plugged, PlugIn
from sipframe.plugging import Choice
from sipframe.policy import BasePolicy
from sipframe.seams import Seam
from sipframe.surroundings import Surroundings
from sipframe.verdicts import Secret
from sipframe.wiring import StartError
from tests.location.calls import Calls

NOW = 1_700_000_000.0
HERE = "tests.test_plugged"


def entropy(count: int) -> bytes:
    return bytes(count)


@implementer(ICredentialSource)
class Good:
    def secret(self, username: str, realm: str, algorithm: str) -> Secret | None:
        return None


class Nobody:
    """Asks no credential source."""


@implementer(IPolicy, ICloseable)
class Noting(BasePolicy):
    """Tells when it is made and closed, in a list that a test gives it a key to."""

    notes: dict[str, list[str]] = {}  # the only way in for what is made by name

    def __init__(self, key: str, name: str = "it", part: str = "", surroundings: Any = None) -> None:
        self.name = name
        self.own = self.notes[key]
        self.own.append(f"made {name}")
        if part:
            surroundings.plug_in(IPolicy, part)
        if name == "bad":
            raise ZeroDivisionError("no luck")

    def close(self) -> None:
        self.own.append(f"closed {self.name}")


def plugged(
    settings: Settings, given: Given | None = None, before: Plugged | None = None, reactor: Any = None
) -> Plugged:
    events = Events()

    def surroundings(plug_in: PlugIn, credentials: Callable[[], Any]) -> Surroundings:
        return Surroundings(
            reactor=reactor or Clock(),
            wall_clock=lambda: NOW,
            entropy=entropy,
            state=settings.state,
            base=settings.base,
            domains=settings.domains,
            aliases=settings.aliases,
            realm=settings.realm,
            events=events,
            credentials=credentials,
            plug_in=plug_in,
        )

    return Plugged(settings, given or Given(), surroundings, Seam(Clock(), 5.0), before)


def memory(state: Path, **changes: Any) -> Settings:
    return Settings(state=state, location=Choice("memory"), **changes)


def noting(key: str, *names: str, **more: str) -> tuple[Choice, ...]:
    return tuple(Choice(f"{HERE}.Noting", {"key": key, "name": name, **more}) for name in names)


@pytest.fixture
def notes(request: pytest.FixtureRequest) -> tuple[str, list[str]]:
    key: str = request.node.name
    return key, Noting.notes.setdefault(key, [])


def test_the_location_store_in_memory(tmp_path: Path) -> None:
    made = plugged(memory(tmp_path), Given(credentials=Good()))
    assert ILocationStore.providedBy(made.location)
    assert IAuthenticator.providedBy(made.authenticator)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "choice", [Choice("sqlite"), Choice.parse("sqlite:path=elsewhere.sqlite:durability=power")]
)
def test_the_location_store_in_a_file(choice: Choice, tmp_path: Path) -> None:
    calls: Any = Calls()
    given = Given(authenticator=Nobody())
    settings = Settings(state=tmp_path, base=tmp_path, location=choice)
    made = plugged(settings, given, reactor=calls)
    assert made.location.durability == choice.arguments.get("durability", "process")
    assert Path(made.location.path).exists()
    with pytest.raises(StartError, match="--location"):
        plugged(settings, given, reactor=calls)
    calls.result(made.close())


def test_accounts_are_claimed_for_the_realm(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path, entropy=entropy, clock=Clock().seconds)
    accounts.add(parse_account("bob@example.com"), "zanzibar")
    accounts.close()
    for realm in ("Biloxi", "Biloxi", None):
        made = plugged(memory(tmp_path, realm=realm))
        assert made.source.secret("bob", realm or "example.com", "MD5") is not None
        _ = made.close()


def test_accounts_that_cannot_be_used(tmp_path: Path) -> None:
    _ = plugged(memory(tmp_path)).close()
    connection = sqlite3.connect(tmp_path / "accounts.sqlite")
    connection.execute("DROP TABLE realm")
    connection.close()
    with pytest.raises(StartError, match=r"--credentials: sqlite: .*realm"):
        plugged(memory(tmp_path))


def test_userhash_needs_a_source_that_knows_it(tmp_path: Path) -> None:
    settings = memory(tmp_path, authenticators=(Choice("digest", {"userhash": True}),))
    with pytest.raises(StartError, match=r"--auth: digest: .*userhash"):
        plugged(settings, Given(credentials=Good()))


def test_no_credential_source_is_made_for_nobody(tmp_path: Path) -> None:
    settings = memory(tmp_path, credentials=(Choice("never.heard.of"),))
    assert plugged(settings, Given(authenticator=Nobody())).source is None


def test_all_or_nothing(tmp_path: Path, notes: tuple[str, list[str]]) -> None:
    key, written = notes
    with pytest.raises(StartError, match=r"--policy .*ZeroDivisionError: no luck"):
        plugged(memory(tmp_path, policies=noting(key, "good", "bad")))
    assert written == ["made good", "made bad", "closed good"]


def test_a_renewal_keeps_what_is_as_before(tmp_path: Path, notes: tuple[str, list[str]]) -> None:
    key, written = notes
    first = plugged(memory(tmp_path, policies=noting(key, "a", "b")))
    second = plugged(memory(tmp_path, policies=noting(key, "b", "c")), before=first)
    assert second.policies[0] is first.policies[1]
    assert (second.location, second.authenticator) == (first.location, first.authenticator)
    assert written == ["made a", "made b", "made c"]
    _ = first.close(second)
    assert written[3:] == ["closed a"]
    _ = second.close()
    assert sorted(written[4:]) == ["closed b", "closed c"]


def test_a_renewal_that_fails_closes_what_it_made_and_no_more(
    tmp_path: Path, notes: tuple[str, list[str]]
) -> None:
    key, written = notes
    first = plugged(memory(tmp_path, policies=noting(key, "a")))
    with pytest.raises(StartError):
        plugged(memory(tmp_path, policies=noting(key, "a", "b", "bad")), before=first)
    assert written == ["made a", "made b", "made bad", "closed b"]


def test_authenticators_go_with_their_sources(tmp_path: Path) -> None:
    first = plugged(memory(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    second = plugged(memory(tmp_path, credentials=(Choice("sqlite", {"path": str(other)}),)), before=first)
    assert second.authenticator is not first.authenticator
    assert second.location is first.location


def test_parts_are_closed_with_the_whole(tmp_path: Path, notes: tuple[str, list[str]]) -> None:
    key, written = notes
    made = plugged(memory(tmp_path, policies=noting(key, "whole", part=f"{HERE}.Noting:key={key}:name=part")))
    _ = made.close()
    assert written == ["made whole", "made part", "closed whole", "closed part"]
