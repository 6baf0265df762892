from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer


@pytest.fixture
def capture_failures() -> Iterator[list[str]]:
    """The failures and errors that are logged meanwhile, as text."""
    found: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event["log_level"].name in ("error", "critical"):
            found.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)
