"""What every test shares: settings of hypothesis, and programs that may be missing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from tests import tools

# No deadline and no health check that measures: a slow machine must not fail a test. The same examples on every
# run: what failed for one fails for all.
_UNTIMED = [HealthCheck.too_slow]
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=_UNTIMED)
settings.register_profile("explore", deadline=None, print_blob=True, suppress_health_check=_UNTIMED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture
def require_tool() -> Callable[[str], str]:
    """``require_tool("sipp")`` gives the program's path, or skips; see :mod:`tests.tools`."""
    return tools.require_tool


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


def pytest_configure() -> None:
    """Let the programs that tests start heed SIGINT, which a shell makes those in its background ignore."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
