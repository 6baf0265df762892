"""``sipframe unregister``: take bindings away on a running server.

Rules: exit code 0 when something was removed, 1 when there was nothing, 2 when no server answers. It is the server that
removes, in turn with registrations, whatever store it has.
"""

from __future__ import annotations

import argparse

from sipframe.cli.asking import add_server_options, answers, aor_argument
from sipframe.cli.command import Commands
from sipframe.cli.terminal import visible

__all__ = ["register"]


def register(commands: Commands) -> None:
    """Add ``unregister``."""
    parser = commands.add_parser("unregister", help="take somebody's bindings away")
    parser.description = (
        "Has a running server remove the bindings of an AOR, or one of them. The phone is not told: it comes back with"
        " its next registration, unless its account is removed as well."
    )
    parser.add_argument("aor", metavar="AOR", type=aor_argument, help="sip:NAME@DOMAIN, or NAME@DOMAIN")
    parser.add_argument(
        "contact", metavar="CONTACT", nargs="?", help="the contact's URI (default: all of them)"
    )
    add_server_options(parser)
    parser.set_defaults(run=_unregister)


def _unregister(arguments: argparse.Namespace) -> int:
    fields = {"aor": arguments.aor, "contact": arguments.contact}
    aor = visible(arguments.aor, ascii_only=True)
    removed = [value for key, value in answers(arguments, "remove", **fields) if key == "item"]
    for item in removed:
        print(f"Removed {visible(str(item['contact']), ascii_only=True)} of {aor}.")
    if not removed:
        print(f"There is no such binding of {aor}." if arguments.contact else f"No bindings of {aor}.")
    return 0 if removed else 1
