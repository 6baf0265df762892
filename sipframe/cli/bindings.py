"""``sipframe bindings``: who is registered, and where: from a running server, or from the file it served from.

Rules: nothing is changed and nobody is kept waiting. A server that answers at its admin socket is asked, whatever store
it has; else the SQLite file is read. What has expired is not listed, as SIP would not show it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sipframe.cli.asking import add_server_options, aor_argument, socket_of
from sipframe.cli.command import CommandError, Commands
from sipframe.cli.terminal import cells, duration, visible

if TYPE_CHECKING:
    from sipframe.verdicts import Binding

    Listed = Iterable[tuple[str, Binding]]

__all__ = ["register"]

_HEADINGS: Final = ("AOR", "CONTACT", "EXPIRES IN", "CALL-ID/CSEQ", "FLOW")


def register(commands: Commands) -> None:
    """Add ``bindings``."""
    parser = commands.add_parser("bindings", help="list who is registered, and where")
    parser.description = (
        "Lists the bindings of a server that runs, or those in its SQLite location store while it does not."
    )
    parser.add_argument(
        "aor",
        metavar="AOR",
        nargs="?",
        type=aor_argument,
        help="sip:NAME@DOMAIN, or NAME@DOMAIN (default: all)",
    )
    add_server_options(parser)
    parser.add_argument(
        "--location",
        metavar="FILE",
        type=Path,
        help="read this database, and ask no server (default: the one in the state directory)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with all that is stored")
    parser.set_defaults(run=_bindings)


def _bindings(arguments: argparse.Namespace) -> int:
    now = time.time()
    found = None if arguments.location is not None else _served(arguments)
    if found is None:
        found = _stored(arguments)
    listed = sorted(
        [(aor, binding) for aor, binding in found if binding.expires_at > now], key=lambda one: one[0]
    )
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


def _served(arguments: argparse.Namespace) -> Listed | None:
    """What a running server has; None when none answers."""
    from sipframe.admin.client import BrokenOff, NoServer, Refused, ask
    from sipframe.verdicts import Binding

    try:
        lines = ask(socket_of(arguments), "bindings", {"aor": arguments.aor})
        items = [value for key, value in lines if key == "item"]
        return [(item.pop("aor"), Binding(**{**item, "path": tuple(item["path"])})) for item in items]
    except NoServer as error:
        if arguments.socket is not None:
            raise CommandError(f"no server answers: {visible(str(error))}", code=2) from None
        return None
    except (Refused, BrokenOff) as error:
        raise CommandError(visible(str(error)), code=2) from None
    except (TypeError, KeyError):
        raise CommandError("the server is of another version", code=2) from None


def _stored(arguments: argparse.Namespace) -> Listed:
    from sipframe.location import LocationError, stored
    from sipframe.location.stock import FILE_NAME

    path = arguments.location or arguments.state / FILE_NAME
    try:
        found = stored(str(path))
    except LocationError as error:
        raise CommandError(str(error)) from None
    return [
        (aor, binding)
        for aor, bindings in found.items()
        if arguments.aor in (None, aor)
        for binding in bindings
    ]


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
