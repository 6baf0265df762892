"""What a running server counts, and when it holds nothing any more."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.process import PATIENCE, ServerProcess, run, sipframe

__all__ = ["counters", "until_idle"]


def counters(server: ServerProcess) -> Any:
    """``sipframe counters``."""
    asked = run(sipframe("counters", "--json", "--state", server.state))
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout)


def until_idle(server: ServerProcess) -> Any:
    """Ask for the counters until there is no transaction any more, and return the last."""
    until = time.monotonic() + PATIENCE
    while True:
        found = counters(server)
        if not any(found["transactions"].values()):
            return found
        assert time.monotonic() < until, found
