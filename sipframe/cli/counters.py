"""``sipframe counters``: what a running server counts."""

from __future__ import annotations

import argparse
import json

from sipframe.cli.asking import add_server_options, answers
from sipframe.cli.command import Commands
from sipframe.cli.terminal import cells, visible

__all__ = ["register"]


def register(commands: Commands) -> None:
    """Add ``counters``."""
    parser = commands.add_parser("counters", help="what the server counts")
    parser.description = (
        "Asks a running server for its counters: they grow from its start and are never reset."
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_server_options(parser)
    parser.set_defaults(run=_counters)


def _counters(arguments: argparse.Namespace) -> int:
    for key, value in answers(arguments, "counters"):
        if key != "item":
            continue
        if arguments.json:
            print(json.dumps(value))
            continue
        rows = [
            (visible(f"{part} {name}".replace("_", " "), ascii_only=True), str(number))
            for part, numbers in value.items()
            for name, number in numbers.items()
        ]
        width = max([cells(name) for name, _ in rows], default=0)
        for name, number in rows:
            print(f"{name}{' ' * (width - cells(name))}  {visible(number, ascii_only=True)}")
    return 0
