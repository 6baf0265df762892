"""Where a password comes from: a file, standard input, or the terminal. Never the command line, which all can read."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from sipframe.cli.command import CommandError

__all__ = ["ask_password", "read_password"]


def read_password(file: str) -> str:
    """The one line in ``file``; ``-`` is standard input. Raises OSError and CommandError."""
    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    password = data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
    if not password:
        raise CommandError("the password is empty")
    if "\n" in password:
        raise CommandError("the password has more than one line")
    return password


def ask_password(prompt: str) -> str | None:
    """Ask at the terminal; None when there is none, or when nothing was typed."""
    if not sys.stdin.isatty():
        return None
    try:
        return getpass.getpass(prompt) or None
    except EOFError:
        return None
