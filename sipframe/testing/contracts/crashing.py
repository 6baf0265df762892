"""A process that is killed: what a crash is, without a word about what runs in it.

Rules: the process is forked from the one that runs the tests, so that it has everything that the test has; it says
what it does through a pipe, and ends by ``SIGKILL`` (its own or its parent's). Nothing of it is cleaned up, which is
the point.
"""

from __future__ import annotations

import json
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Report", "killed"]

Report = Callable[..., None]


def killed(live: Callable[[Report], None], enough: Callable[[list[Any]], bool]) -> Iterator[list[Any]]:
    """Run ``live(report)`` in a process that is killed; gives what it reported, each time as a list of its arguments.

    The end comes with the end of ``live``, or as soon as ``enough`` says so of one of the reports. What was reported
    until then is all given. What ``live`` raises is reported as ``["raised", traceback]``.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns that other threads are not there in the child. They are not missed: it lives for a moment.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(reading)  # or it would wait for ever for a parent that is gone
        _live(live, writing)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as reports:
        try:
            for line in reports:
                if line.endswith("\n"):
                    report = json.loads(line)
                    yield report
                    if enough(report):
                        os.kill(pid, signal.SIGKILL)
        finally:
            os.kill(pid, signal.SIGKILL)
            _ = os.waitpid(pid, 0)


def _live(live: Callable[[Report], None], writing: int) -> None:
    def report(*arguments: Any) -> None:
        _ = os.write(writing, json.dumps(arguments).encode() + b"\n")

    try:
        live(report)
    except BaseException:
        report("raised", traceback.format_exc())
    finally:
        os.kill(os.getpid(), signal.SIGKILL)
