"""Credential sources that break a rule fail their contract, and the failure says which rule and how to see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from sipframe.testing.contracts import CredentialSourceContract, KnownUser
from tests.testing import sources
from tests.testing.told import rules_of, told


class Sources(CredentialSourceContract):
    """The contract for any source that can be made."""

    users: ClassVar[Sequence[KnownUser]] = (
        KnownUser("alice", "wonderland"),
        KnownUser("bob", "builder-4711"),
        KnownUser("carol", "springs-1872", "example.org"),
    )

    def __init__(self, make: Callable[[Sources], object], down: sources.Hashes | None = None) -> None:
        self.make = make
        self.down = down

    def open_source(self, place: Path) -> object:
        return self.make(self)

    def failing_source(self, place: Path) -> object:
        return self.down


RULES = [rule for rule in rules_of(Sources) if rule != "a_source_that_cannot_tell_raises"]


@pytest.mark.parametrize("rule", RULES)
def test_hashes_pass(rule: str) -> None:
    getattr(Sources(lambda it: sources.Hashes(it.users)), f"test_{rule}")()


@pytest.mark.parametrize("rule", RULES)
def test_slow_hashes_pass(rule: str) -> None:
    getattr(Sources(lambda it: sources.Slow(it.users, it.reactor)), f"test_{rule}")()


UNKNOWN = "A name that is not known has no secret: None."
ODD = "odd_names_are_nobody"
EACH = "each_of_the_odd_names_made_of_known_ones_is_nobody"

BROKEN: list[tuple[type[sources.Hashes], str, str, str, str]] = [
    (
        sources.IgnoresCase,
        EACH,
        UNKNOWN,
        "secret('ALICE', 'example.com', 'MD5') -> Secret(",
        "the secret of 'alice'",
    ),
    (
        sources.GivesAway,
        "nobody_is_nobody",
        UNKNOWN,
        "secret('nobody', 'example.com', ",
        "the secret of 'alice'",
    ),
    (sources.GivesAway, ODD, UNKNOWN, "secret('', 'example.com', 'MD5') -> Secret(", "the secret of 'alice'"),
    (
        sources.IgnoresRealm,
        "in_another_realm_a_name_is_nobody",
        "In a realm that is not its own a name is nobody.",
        "secret('alice', '', 'MD5') -> Secret(",
        "the secret of 'alice'",
    ),
    (
        sources.OneForAll,
        "a_secret_is_right_or_there_is_none",
        "A secret is the password, or HA1 for the algorithm that was asked for.",
        "secret('alice', 'example.com', 'MD5') -> Secret(",
        "",
    ),
    (
        sources.OneForAll,
        "whom_it_knows_gets_in_by_the_password",
        "Whom the source knows gets in by the right password.",
        "'alice' registers in 'example.com' with MD5 and 'wonderland' -> Challenge",
        "",
    ),
    (
        sources.Injected,
        EACH,
        UNKNOWN,
        "secret(\"alice'--\", 'example.com', 'MD5') -> Secret(",
        "secret of 'alice'",
    ),
    (
        sources.Patterns,
        EACH,
        UNKNOWN,
        "secret('*', 'example.com', 'MD5') -> Secret(",
        "secret of 'alice'",
    ),
    (
        sources.OnlyUnicode,
        EACH,
        "A name may be anything: the answer is None, or Unavailable is raised.",
        "secret('alice\\udcff', 'example.com', 'MD5') -> raised UnicodeEncodeError(",
        "",
    ),
    (
        sources.UpperCase,
        "a_secret_is_right_or_there_is_none",
        "HA1 is 32 hex digits in lower case for MD5 (RFC 7616 3.4.2).",
        "secret('alice', 'example.com', 'MD5') -> Secret(",
        "",
    ),
    (
        sources.OneAlgorithm,
        "a_secret_is_right_or_there_is_none",
        "HA1 is 64 hex digits in lower case for SHA-256 (RFC 7616 3.4.2).",
        "secret('alice', 'example.com', 'SHA-256') -> Secret(",
        "",
    ),
    (
        sources.GivesBytes,
        "nobody_is_nobody",
        "secret() returns a Secret, a password as str, or None.",
        "secret('nobody', 'example.com', 'MD5') -> b'password'",
        "it is bytes",
    ),
    (sources.Talks, ODD, "What a source raises holds no secret.", "secret('', ", ""),
    (
        sources.Shows,
        "no_secret_is_in_its_repr",
        "A source does not show secrets in its repr.",
        "repr() -> ",
        "",
    ),
    (
        sources.Tires,
        "the_same_answer_twice",
        "The same question has the same answer, while nothing has changed.",
        "secret('alice', 'example.com', 'MD5') -> None",
        "",
    ),
]


@pytest.mark.parametrize(
    ("kind", "test", "rule", "step", "found"),
    BROKEN,
    ids=[f"{kind.__name__}-{test}" for kind, test, *_ in BROKEN],
)
def test_a_broken_source_is_caught(
    kind: type[sources.Hashes], test: str, rule: str, step: str, found: str
) -> None:
    failure = told(Sources(lambda it: kind(it.users)), test)
    assert failure.rule == rule
    assert failure.steps[-1].startswith(step)
    assert found in failure.found
    if test in (EACH, ODD):
        assert len(failure.steps) == 1


def test_answers_that_were_mixed_up_are_caught() -> None:
    failure = told(Sources(lambda it: sources.Mixes(it.users, it.reactor)), "many_at_once")
    assert failure.rule == "Each of many questions at once gets its own answer."


def test_a_source_that_is_down_must_not_say_that_nobody_is_there() -> None:
    down = sources.Shrugs(Sources.users)
    failure = told(Sources(lambda it: down, down), "a_source_that_cannot_tell_raises")
    assert failure.rule == "A source that cannot tell raises; None says that there is no such user."
    assert failure.steps == ["secret('alice', 'example.com', 'MD5') -> None"]


def test_a_source_that_is_down_must_not_tell_what_it_knows() -> None:
    class Down(sources.Hashes):
        def secret(self, username: str, realm: str, algorithm: str) -> object:
            raise OSError("cannot connect as root with wonderland")

    down = Down(Sources.users)
    failure = told(Sources(lambda it: down, down), "a_source_that_cannot_tell_raises")
    assert failure.rule == "What a source raises holds no secret."


def test_users_must_be_told_apart() -> None:
    class Alone(Sources):
        users = (KnownUser("alice", "wonderland"),)

    with pytest.raises(ValueError, match="at least two"):
        Alone(lambda it: sources.Hashes(it.users)).test_nobody_is_nobody()
