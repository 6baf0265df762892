"""The client's side of the admin socket, for a program that may wait.

Rules: standard library only. What comes from the server is one line a time and bounded; a person sees one line when it
cannot be had.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sipframe.admin.path import reachable
from sipframe.admin.protocol import VERSION, decoded, encoded

__all__ = ["BrokenOff", "NoServer", "Refused", "ask"]

_LONGEST_LINE: Final = 16_777_216
"""Octets of a line of an answer."""


class NoServer(Exception):
    """No server answers at the socket; the text says why."""


class Refused(Exception):
    """The server says why it does not answer; ``kind`` is an :class:`~sipframe.admin.protocol.ErrorKind`."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class BrokenOff(Exception):
    """The answer has no end: the server has stopped, or it takes too long."""


def ask(
    path: Path,
    command: str,
    fields: Mapping[str, object] | None = None,
    *,
    patience: float = 30.0,
    lasting: float | None = None,
) -> Iterator[tuple[str, Any]]:
    """Ask the server at ``path``; yield key and value of each line, ``end`` included.

    It waits ``patience`` seconds for the next line. After ``live`` it waits for ever, or ``lasting`` seconds in all,
    and ends when the server stops.
    The connection ends with the iterator. Raises NoServer, Refused, BrokenOff.
    """
    watching = False
    until: float | None = None
    with _connected(path, patience) as connection:
        try:
            connection.sendall(encoded({"version": VERSION, "command": command, **(fields or {})}))
        except ConnectionError:
            pass  # it does not want to read; what it said is still there
        with connection.makefile("rb") as lines:
            while True:
                if until is not None:
                    left = until - time.monotonic()
                    if left <= 0:
                        return
                    connection.settimeout(left)
                try:
                    line = _line(lines)
                except BrokenOff:
                    if watching:
                        return  # its time is over
                    raise
                if watching and not line:
                    return
                key, value = _entry(line)
                if key == "error":
                    raise Refused(str(value.get("kind")), str(value.get("text")))
                if key == "live":
                    watching = True
                    connection.settimeout(None)
                    until = None if lasting is None else time.monotonic() + lasting
                yield key, value
                if key == "end":
                    return


def _connected(path: Path, patience: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(patience)
        with reachable(path) as (address, _):
            connection.connect(address)
    except FileNotFoundError:
        connection.close()
        raise NoServer(f"there is no socket {path}") from None
    except ConnectionRefusedError:
        connection.close()
        raise NoServer(
            f"nobody listens at {path} any more" if path.is_socket() else f"{path} is no socket"
        ) from None
    except OSError as error:
        connection.close()
        text = error.strerror or str(error)
        raise NoServer(f"{path}: {text[:1].lower()}{text[1:]}") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _line(lines: Any) -> bytes:
    try:
        line: bytes = lines.readline(_LONGEST_LINE)
    except TimeoutError:
        raise BrokenOff("the server takes too long to answer") from None
    except ConnectionError:
        line = b""
    return line


def _entry(line: bytes) -> tuple[str, Any]:
    if not line.endswith(b"\n"):
        raise BrokenOff("the server broke off before the end of its answer")
    try:
        [(key, value)] = decoded(line).items()
    except ValueError:
        raise BrokenOff("what listens there does not speak the admin protocol") from None
    if key == "error" and not isinstance(value, dict):
        raise BrokenOff("what listens there does not speak the admin protocol")
    return key, value
