"""Connections that are refused because there is no room: each is counted, and the log hears of it now and then.

Rules: who floods us with connections must not flood the log as well: one line, and another one after a minute at the
earliest, with how many there were.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from sipframe.transport.counters import TransportCounters

__all__ = ["Crowding"]

_log = Logger()
_AGAIN_AFTER: Final = 60.0
"""Seconds."""


class Crowding:
    """What is refused, on one server."""

    __slots__ = ("_clock", "_counters", "_silent_until", "_told")

    def __init__(self, clock: IReactorTime, counters: TransportCounters) -> None:
        self._clock = clock
        self._counters = counters
        self._silent_until = float("-inf")
        self._told = counters.refused_over_limit

    def refused(self, why: str) -> None:
        """One more connection is closed as soon as it has come, and ``why``."""
        counters = self._counters
        counters.refused_over_limit += 1
        now = self._clock.seconds()
        if now >= self._silent_until:
            self._silent_until = now + _AGAIN_AFTER
            before, self._told = self._told, counters.refused_over_limit
            _log.warn(
                "connections are refused, {count} of them since this was last said: {why}",
                count=self._told - before,
                why=why,
            )
