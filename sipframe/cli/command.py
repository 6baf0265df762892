"""What every command of ``sipframe`` has to do with: where it registers, and how it fails."""

from __future__ import annotations

import argparse
from typing import Protocol

__all__ = ["CommandError", "Commands"]


class CommandError(Exception):
    """Ends the command with exit code ``code``; its text is the one line that is printed."""

    def __init__(self, text: str, *, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


class Commands(Protocol):
    """Where a command adds its parser: what :meth:`argparse.ArgumentParser.add_subparsers` returns."""

    def add_parser(self, name: str, *, help: str) -> argparse.ArgumentParser:  # noqa: A002 - as argparse calls it
        """Make and return the parser of the command ``name``."""
