"""For pytest: what happened on the network beside each failed test whose fixtures hold a server.

A test that has its server in ``with`` needs none of this. For servers in fixtures, put into ``conftest.py``:

    pytest_plugins = ["sipframe.testing.pytest_ladders"]
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from sipframe.testing.report import HEADING
from sipframe.testing.server import Server

__all__ = ["pytest_runtest_makereport"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add a section to the report of a test that has failed, unless the failure tells it itself."""
    report = yield
    if report.when == "call" and report.failed and HEADING not in str(report.longrepr):
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Server):
                report.sections.append((f"SIP server {name!r}", value.report()))
    return report
