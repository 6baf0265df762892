"""What a check is, and what comes of it.

Rules: a check is data: what it is called, which paragraph it holds a server to, how much that weighs, and a coroutine
that gets a :class:`~sipframe.checking.user_agent.UserAgent`. It fails by :class:`Failed` and passes by returning.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from sipframe.checking.trace import Event
    from sipframe.checking.user_agent import UserAgent

__all__ = [
    "EVERY_TRANSPORT",
    "STREAMS",
    "Check",
    "CheckError",
    "Failed",
    "Level",
    "NoAnswer",
    "Outcome",
    "Result",
    "Skipped",
    "check",
]

EVERY_TRANSPORT: Final = frozenset({"UDP", "TCP", "TLS"})
STREAMS: Final = frozenset({"TCP", "TLS"})


class Level(Enum):
    """How binding the paragraph is; the value is the weight."""

    MUST = 2
    SHOULD = 1


class Outcome(Enum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class CheckError(Exception):
    """Checking cannot begin or go on. The text is one line for a person."""


class Failed(Exception):
    """The server does not do what the paragraph says. The text is one line that says what it does instead."""


class NoAnswer(Failed):
    """The server has said nothing where it had to."""


class Skipped(Exception):
    """The check does not apply to this server. The text says why."""


@attrs.frozen
class Check:
    """One check. ``reference`` is the paragraph, ``summary`` what the server has to do."""

    id: str
    reference: str
    level: Level
    summary: str
    run: Callable[[UserAgent], Awaitable[None]] = attrs.field(repr=False)
    transports: frozenset[str] = EVERY_TRANSPORT

    @property
    def group(self) -> str:
        """What stands before the first dot of the id."""
        return self.id.partition(".")[0]


@attrs.frozen
class Result:
    """What came of a check over one transport. ``reason`` says why it failed or was skipped."""

    check: Check
    transport: str
    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0
    trace: tuple[Event, ...] = attrs.field(default=(), repr=False)


def check(
    id: str,  # noqa: A002 - it is called an id
    reference: str,
    level: Level = Level.MUST,
    transports: frozenset[str] = EVERY_TRANSPORT,
) -> Callable[[Callable[[UserAgent], Awaitable[None]]], Check]:
    """Make the check ``id`` of a coroutine function, whose docstring is its summary."""

    def made(run: Callable[[UserAgent], Awaitable[None]]) -> Check:
        return Check(id, reference, level, (run.__doc__ or "").strip(), run, transports)

    return made
