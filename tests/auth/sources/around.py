"""What tests of the credential sources share: secrets that must not be seen, a server around a source, HA1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, eventAsText
from twisted.python.failure import Failure

from sipframe.events import Events
from sipframe.interfaces import ICredentialSource
from sipframe.plugging import Choice, make
from sipframe.seams import chained
from sipframe.surroundings import Surroundings
from sipframe.verdicts import Accepted, Challenge
from tests.auth import client
from tests.auth.server import Server

CANARY = "c4n4ry-S3cret"
"""A password; in no message, log line or representation."""
REALM = "atlanta.example.com"
"""The realm of :class:`tests.auth.server.Server`."""


def ha1(username: str, password: str, algorithm: str = "MD5", realm: str = REALM) -> str:
    return client.HASHES[algorithm](f"{username}:{realm}:{password}".encode())


def surroundings(base: Path, reactor: Any = None) -> Surroundings:
    clock = Clock() if reactor is None else reactor

    def nothing(*_: object) -> Any:
        raise AssertionError("a credential source needs no other plug-in")

    return Surroundings(
        reactor=clock,
        wall_clock=clock.seconds,
        entropy=bytes,
        state=base,
        base=base,
        domains=("example.com",),
        aliases={},
        realm=REALM,
        events=Events(),
        credentials=nothing,
        plug_in=nothing,
    )


def by_name(name: str, base: Path, reactor: Any = None, **arguments: object) -> Any:
    """The source that ``name`` and ``arguments`` choose, as a server makes it."""
    given = {key.replace("_", "-"): value for key, value in arguments.items()}
    return make(ICredentialSource, Choice(name, given), surroundings(base, reactor))


def registers(source: Any, username: str = "bob", password: str = CANARY, **answer: Any) -> object:
    """Whether the real authenticator takes ``username`` for who it is; a Deferred when the source waits."""
    server = Server(source=source, chain=chained)
    verdict = server.ask(
        client.written(client.answer(server.challenged(), username=username, password=password, **answer))
    )
    if isinstance(verdict, Deferred):
        return verdict.addCallback(_proved)
    return _proved(verdict)


def _proved(verdict: object) -> bool:
    assert isinstance(verdict, Accepted | Challenge)
    return isinstance(verdict, Accepted)


def result(answer: object) -> Any:
    """What a Deferred that has fired holds; what it failed with is raised."""
    assert isinstance(answer, Deferred)
    results: list[object] = []
    _ = answer.addBoth(results.append)
    assert results, "nothing yet"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


@contextmanager
def logged() -> Iterator[Callable[[], str]]:
    """Everything that is logged meanwhile, as text; the canary must not be in it."""
    with capturedLogs() as events:
        yield lambda: "\n".join(eventAsText(event, includeTimestamp=False) for event in events)
        assert CANARY not in "\n".join(eventAsText(event) for event in events)


def text_of(error: pytest.ExceptionInfo[BaseException]) -> str:
    """What an exception says; the canary must not be in it."""
    text = str(error.value)
    assert CANARY not in text
    assert CANARY not in repr(error.value)
    return text
