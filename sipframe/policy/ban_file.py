"""The file that lists who is held up: ``ADDRESS UNTIL`` in each line, for a firewall to read.

Rules: it is replaced whole (POSIX rename), so that a reader sees one state or another and nothing between, and not more
often than its setting says. UNTIL is UTC, as in ``2026-11-22T20:45:26Z``; ADDRESS is an IPv4 address or an IPv6 /64.
What cannot be written is logged, and tried again at the next change.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.logger import Logger

__all__ = ["BanFile"]

_log = Logger()


class BanFile:
    """Writes ``lines()``, addresses and Unix times, to ``path``: at once when made, then when told of changes.

    Raises ValueError when it cannot be written at first.
    """

    def __init__(
        self, path: Path, reactor: Any, every: float, lines: Callable[[], list[tuple[str, float]]]
    ) -> None:
        self._path = path
        self._reactor = reactor
        self._every = every
        self._lines = lines
        self._due: Any = None
        try:
            self._write()
        except OSError as error:
            raise ValueError(f"{path}: cannot be written: {error.strerror}") from None

    def changed(self) -> None:
        """Write it in a while."""
        if self._due is None:
            self._due = self._reactor.callLater(self._every, self._write_late)

    def _write_late(self) -> None:
        self._due = None
        try:
            self._write()
        except OSError as error:
            _log.error("{path} cannot be written: {reason}", path=str(self._path), reason=error.strerror)

    def _write(self) -> None:
        text = "".join([f"{address} {_iso(until)}\n" for address, until in sorted(self._lines())])
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            _ = beside.write_text(text, encoding="ascii")
            os.replace(beside, self._path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Write what is not written yet, and nothing after that."""
        if self._due is not None:
            self._due.cancel()
            self._write_late()


def _iso(until: float) -> str:
    return datetime.fromtimestamp(int(until), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
