"""Traces: the messages of a subject as they pass, without their secrets.

Rules: nothing leaves :class:`Tracer` that has not been through :func:`~sipframe.tracing.redaction.redacted`. A message
is put into shape when somebody takes it, so that one that is left out costs little.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import attrs

from sipframe.tracing.redaction import redacted
from sipframe.tracing.subject import Subject
from sipframe.verdicts import Address

if TYPE_CHECKING:
    from sipframe.transport import Passed, Traffic

__all__ = ["TraceCounters", "Traced", "Tracer"]


class Traced(NamedTuple):
    """A message that has come or gone, without its secrets."""

    at: float
    """When, in seconds since 1970."""
    sent: bool
    """Whether the server sent it."""
    transport: str
    """``UDP``, ``TCP`` or ``TLS``."""
    local: Address
    """The server's end."""
    peer: Address
    """The far end."""
    octets: bytes
    """As they were on the wire, but for the secrets; over TLS as they were before encryption."""


@attrs.define
class TraceCounters:
    """Since the service was made."""

    readers: int = 0
    """Who follows now."""
    messages: int = 0
    """Messages that were taken."""
    missed: int = 0
    """Messages that a reader was too slow for."""


class Tracer:
    """Lets whoever wants follow ``traffic``. ``wall_clock`` gives seconds since 1970."""

    def __init__(self, traffic: Traffic, wall_clock: Callable[[], float]) -> None:
        self.counters = TraceCounters()
        self._traffic = traffic
        self._wall_clock = wall_clock

    def follow(self, subject: Subject, take: Callable[[Callable[[], Traced]], object]) -> Callable[[], None]:
        """Offer ``take`` each message of ``subject`` from now on: it calls what it is given to have the message, and
        returns False to be said to have missed it. The result ends that.
        """
        counters = self.counters

        def passed(one: Passed) -> None:
            if not subject.wants(one.octets):
                return
            at = self._wall_clock()
            if take(lambda: Traced(at, *one[:-1], redacted(one.octets))) is False:
                counters.missed += 1
            else:
                counters.messages += 1

        unwatch = self._traffic.watch(passed)
        counters.readers += 1
        following = [True]

        def end() -> None:
            if following:
                following.clear()
                counters.readers -= 1
                unwatch()

        return end
