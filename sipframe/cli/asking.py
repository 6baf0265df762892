"""How a command asks a running server: its options, and what to say when nobody answers.

Rules: what is wrong between us and the server is one line, and exit code 2. Nothing that a server says is printed but
through :func:`~sipframe.cli.terminal.visible`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sipframe.cli.command import CommandError
from sipframe.cli.state import default_state_directory
from sipframe.cli.terminal import visible

__all__ = ["add_server_options", "answers", "aor_argument", "socket_of"]


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--state`` and ``--socket``."""
    parser.add_argument(
        "--state",
        metavar="DIRECTORY",
        type=Path,
        default=default_state_directory(),
        help="the server's state directory (default: %(default)s)",
    )
    parser.add_argument(
        "--socket",
        metavar="FILE",
        type=Path,
        help="the server's admin socket (default: the one in the state directory)",
    )


def socket_of(arguments: argparse.Namespace) -> Path:
    """Where the server listens that the options name."""
    from sipframe.admin.protocol import SOCKET_NAME

    given: Path | None = arguments.socket
    state: Path = arguments.state
    return state / SOCKET_NAME if given is None else given


def answers(
    arguments: argparse.Namespace, command: str, *, lasting: float | None = None, **fields: object
) -> Iterator[tuple[str, Any]]:
    """Ask the server that the options name (:func:`sipframe.admin.client.ask`). Raises CommandError."""
    from sipframe.admin.client import BrokenOff, NoServer, Refused, ask

    try:
        yield from ask(socket_of(arguments), command, fields, lasting=lasting)
    except NoServer as error:
        raise CommandError(
            f"no server answers: {visible(str(error))}. Is it running, is that its --state, and has it an --admin?",
            code=2,
        ) from None
    except (Refused, BrokenOff) as error:
        raise CommandError(visible(str(error)), code=2) from None


def aor_argument(text: str) -> str:
    """The AOR that ``sip:NAME@DOMAIN`` or ``NAME@DOMAIN`` names. Raises ArgumentTypeError."""
    from sipframe.message import MessageError, SipURI, aor_of, parse_uri

    try:
        uri = parse_uri(text if text.lower().startswith(("sip:", "sips:")) else f"sip:{text}")
    except MessageError as error:
        raise argparse.ArgumentTypeError(f"{text!a}: {error.reason}") from None
    if not isinstance(uri, SipURI):
        raise argparse.ArgumentTypeError(f"{text!a} is no SIP URI")
    return aor_of(uri)
