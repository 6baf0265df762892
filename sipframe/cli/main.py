"""``sipframe COMMAND``: finds the command and turns its failures into one line and an exit code.

Rules: exit code 0 when it is done, 1 when it could not be done, 2 when the command line is wrong or no server answers
that has to. A command is a module with a ``register`` function, listed in :data:`COMMANDS`; it imports what is slow
when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from sipframe import __version__
from sipframe.cli import bindings, check, counters, register, trace, unregister, user, why
from sipframe.cli.command import CommandError, Commands

__all__ = ["COMMANDS", "main"]

COMMANDS: Final[tuple[Callable[[Commands], None], ...]] = (
    user.register,
    bindings.register,
    unregister.register,
    register.register,
    check.register,
    why.register,
    trace.register,
    counters.register,
)
"""Each adds its parser, whose default ``run`` takes the parsed arguments and returns the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in ``argv`` (default: the process's). Returns the exit code."""
    parser = argparse.ArgumentParser(prog="sipframe", description="Look after a sipframe SIP registrar.")
    parser.add_argument("--version", action="version", version=f"sipframe {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    arguments = parser.parse_args(argv)
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
    except CommandError as error:
        print(f"sipframe: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("sipframe: interrupted", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read our output has gone; keep the interpreter from flushing into nothing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
