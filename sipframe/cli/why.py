"""``sipframe why``: a running server says why it answered as it did.

Rules: exit code 0 when something is known, 1 when nothing is, 2 when no server answers. The newest stands last, next to
the prompt, where ``--follow`` goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from typing import Any, TextIO

from sipframe.cli.asking import add_server_options, answers
from sipframe.cli.command import CommandError, Commands
from sipframe.cli.terminal import visible, wants_colour

__all__ = ["register"]


def register(commands: Commands) -> None:
    """Add ``why``."""
    parser = commands.add_parser("why", help="why the server answered as it did")
    parser.description = (
        "Asks a running server why it answered as it did: every rule and plug-in that was asked, what it said and"
        " how long that took. Without a name: the last refusals, wrong passwords included."
    )
    parser.add_argument(
        "about",
        metavar="CALL-ID | AOR",
        nargs="?",
        help="the Call-ID of a request, or whom it is about: sip:NAME@DOMAIN, or NAME@DOMAIN",
    )
    parser.add_argument(
        "-n", metavar="COUNT", type=_count, default=10, dest="most", help="the last COUNT (10)"
    )
    parser.add_argument("--all", action="store_true", help="without a name: not only refusals")
    parser.add_argument("--follow", action="store_true", help="then every further one as it happens")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    add_server_options(parser)
    parser.set_defaults(run=_why)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!a} is no number")
    return int(text)


def _why(arguments: argparse.Namespace) -> int:
    about: str | None = arguments.about
    fields = {"call_id": about, "aor": about, "all": arguments.all, "most": arguments.most}
    show = _show_json if arguments.json else _Shown(sys.stdout).show
    following = False
    try:
        for key, value in answers(arguments, "watch" if arguments.follow else "why", **fields):
            if key == "item":
                show(value)
            elif key == "end":
                return _sum_up(value, arguments)
            elif key == "live":
                following = True
                _remark("Waiting for more; an interrupt (Ctrl-C) ends it.")
            elif key == "missed":
                _remark(f"{value} more were left out: they came faster than they could be shown.")
    except KeyboardInterrupt:
        if following:
            return 0
        raise
    raise CommandError("the server has stopped", code=2)


class _Shown:
    """Decisions on a screen, an empty line between two."""

    def __init__(self, screen: TextIO) -> None:
        from sipframe.cli.explaining import ASCII, UNICODE, Explainer

        encoding = (screen.encoding or "ascii").lower()
        self._explainer = Explainer(
            width=shutil.get_terminal_size().columns if screen.isatty() else None,
            glyphs=UNICODE if encoding.startswith("utf") else ASCII,
            colour=wants_colour(screen, os.environ),
        )
        self._screen = screen
        self._between: list[str] = []

    def show(self, item: dict[str, Any]) -> None:
        from sipframe.admin.protocol import Malformed, decision_from

        try:
            decision = decision_from(item)
        except Malformed as error:
            raise CommandError(f"the server is of another version: {visible(str(error))}", code=2) from None
        for line in [*self._between, *self._explainer.lines(decision)]:
            print(line, file=self._screen)
        self._screen.flush()  # for whoever follows through a pipe
        self._between = [""]


def _show_json(item: dict[str, Any]) -> None:
    # ASCII, so that no terminal acts on it and octets that are no UTF-8 come out as lone surrogates.
    print(json.dumps(item), flush=True)


def _sum_up(end: dict[str, Any], arguments: argparse.Namespace) -> int:
    """Say what was not shown, or why there is nothing to show; return the exit code."""
    matching, most = end["matching"], arguments.most
    if matching > most:
        _remark(f"{most} of {matching} are shown; -n {matching} shows all.")
    if matching:
        return 0
    about = arguments.about
    said = (
        "No request was refused."
        if about is None
        else f"Nothing is known of {visible(about, ascii_only=True)}."
    )
    if about is None and arguments.all:
        said = "No request was answered."
    print(f"{said} {_memory(end)}", file=sys.stderr if arguments.json else sys.stdout)
    return 1


def _memory(end: dict[str, Any]) -> str:
    from sipframe.cli.explaining import local_time

    kept, most_kept = end["kept"], end["most_kept"]
    if not most_kept:
        return "This server keeps no record of its answers."
    if not kept:
        return "The server has answered nothing since its start."
    since = local_time(end["oldest"])
    answers = "1 answer" if kept == 1 else f"{kept} answers"
    if kept < most_kept:
        return f"The server remembers everything since its start: {answers}, the first at {since}."
    older = end["older_refusals"]
    refusals = "" if not older else f", and {older} refusal{'s' if older > 1 else ''} from before"
    return f"The server remembers its last {answers}, since {since}{refusals}."


def _remark(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
