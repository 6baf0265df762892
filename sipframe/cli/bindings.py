"""``sipframe bindings``: what the location store holds, read beside the server that serves from it.

Rules: nothing is changed and nobody is kept waiting. What has expired is not listed, as SIP would not show it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sipframe.cli.command import CommandError, Commands
from sipframe.cli.state import default_state_directory
from sipframe.cli.terminal import cells, duration, visible

if TYPE_CHECKING:
    from sipframe.verdicts import Binding

    Listed = Iterable[tuple[str, Binding]]

__all__ = ["register"]

_FILE_NAME: Final = "location.sqlite"
_HEADINGS: Final = ("AOR", "CONTACT", "EXPIRES IN", "CALL-ID/CSEQ", "FLOW")


def register(commands: Commands) -> None:
    """Add ``bindings``."""
    parser = commands.add_parser("bindings", help="list who is registered, and where")
    parser.description = (
        "Lists the bindings in a server's SQLite location store, while it runs or while it does not."
    )
    parser.add_argument(
        "aor", metavar="AOR", nargs="?", type=_aor, help="sip:NAME@DOMAIN, or NAME@DOMAIN (default: all)"
    )
    parser.add_argument(
        "--state",
        metavar="DIRECTORY",
        type=Path,
        default=default_state_directory(),
        help="the server's state directory (default: %(default)s)",
    )
    parser.add_argument(
        "--location",
        metavar="FILE",
        type=Path,
        help=f"the database (default: {_FILE_NAME} in the state directory)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with all that is stored")
    parser.set_defaults(run=_bindings)


def _aor(text: str) -> str:
    from sipframe.message import MessageError, SipURI, aor_of, parse_uri

    try:
        uri = parse_uri(text if text.lower().startswith(("sip:", "sips:")) else f"sip:{text}")
    except MessageError as error:
        raise argparse.ArgumentTypeError(f"{text!a}: {error.reason}") from None
    if not isinstance(uri, SipURI):
        raise argparse.ArgumentTypeError(f"{text!a} is no SIP URI")
    return aor_of(uri)


def _bindings(arguments: argparse.Namespace) -> int:
    from sipframe.location import LocationError, stored

    path = arguments.location or arguments.state / _FILE_NAME
    try:
        found = stored(str(path))
    except LocationError as error:
        raise CommandError(str(error)) from None
    now = time.time()
    listed = [
        (aor, binding)
        for aor in (sorted(found) if arguments.aor is None else [arguments.aor])
        for binding in found.get(aor, ())
        if binding.expires_at > now
    ]
    if arguments.json:
        for aor, binding in listed:
            print(_json(aor, binding, now))
    elif not listed:
        print("No bindings." if arguments.aor is None else f"No bindings of {visible(arguments.aor)}.")
    else:
        ascii_only = not (sys.stdout.encoding or "ascii").lower().startswith("utf")
        for line in _table(listed, now, ascii_only):
            print(line)
    return 0


def _json(aor: str, binding: Binding, now: float) -> str:
    # ASCII, so that no terminal acts on it and octets that are no UTF-8 come out as lone surrogates.
    return json.dumps({"aor": aor, **binding._asdict(), "expires_in": round(binding.expires_at - now, 3)})


def _table(listed: Listed, now: float, ascii_only: bool) -> list[str]:
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for aor, binding in listed:
        row = (
            aor,
            binding.contact,
            duration(binding.expires_at - now),
            f"{binding.call_id}/{binding.cseq}",
            binding.flow or "-",
        )
        rows.append(tuple([visible(text, ascii_only=ascii_only) for text in row]))
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [text + " " * (width - cells(text)) for text, width in zip(row, widths, strict=True)]
        ).rstrip(" ")
        for row in rows
    ]
