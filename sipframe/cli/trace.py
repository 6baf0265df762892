"""``sipframe trace``: the messages of a running server as they pass, drawn, saved or both.

Rules: exit code 0 when a message has passed, 1 when none has, 2 when no server answers or a file cannot be written. An
interrupt ends it like the end of its time does, and what was to be saved is.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from sipframe.cli.asking import add_server_options, answers
from sipframe.cli.command import CommandError, Commands
from sipframe.cli.terminal import visible

if TYPE_CHECKING:
    from sipframe.cli.tracing import Taker

__all__ = ["register"]


def register(commands: Commands) -> None:
    """Add ``trace``."""
    parser = commands.add_parser("trace", help="draw the messages that pass a running server")
    parser.description = (
        "Draws the SIP messages that a running server receives and sends, as they pass: those of a call, those about"
        " a user, or all. What comes over TLS is shown as it was before encryption. Secrets are taken out by the"
        " server."
    )
    parser.add_argument(
        "about",
        metavar="CALL-ID | AOR",
        nargs="?",
        help="the Call-ID of a call, or a user: sip:NAME@DOMAIN, or NAME@DOMAIN (default: everything)",
    )
    parser.add_argument("--svg", metavar="FILE", type=Path, help="save the ladder as a picture")
    parser.add_argument(
        "--pcap",
        metavar="FILE",
        type=Path,
        help="save the messages for Wireshark; TLS is written as plain TCP",
    )
    parser.add_argument("--count", metavar="N", type=_count, help="end after N messages")
    parser.add_argument("--seconds", metavar="S", type=_seconds, help="end after S seconds")
    parser.add_argument("--bodies", action="store_true", help="show bodies, not only their type and length")
    parser.add_argument("--verbose", action="store_true", help="show all header fields")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of a ladder")
    parser.add_argument("--quiet", action="store_true", help="draw nothing; for --svg and --pcap")
    add_server_options(parser)
    parser.set_defaults(run=_trace)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!a} is no number of messages")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!a} is no number of seconds")
    return seconds


def _trace(arguments: argparse.Namespace) -> int:
    from sipframe.admin.protocol import Malformed, traced_from
    from sipframe.cli.sights import Sights

    about: str | None = arguments.about
    takers = _takers(arguments)
    sights = Sights()
    seen = missed = 0
    stopped = False
    try:
        with _interrupts():
            for key, value in answers(
                arguments, "trace", lasting=arguments.seconds, call_id=about, aor=about
            ):
                if key == "live":
                    _remark(f"Tracing {_subject(about)}; an interrupt (Ctrl-C) ends it.")
                elif key == "missed":
                    missed += value
                    _remark(f"{value} messages were left out: they came faster than they could be shown.")
                    for taker in takers:
                        taker.missed(value)
                elif key == "item":
                    sight = sights.see(traced_from(value))
                    seen += 1
                    for taker in takers:
                        taker.take(sight)
                    if seen == arguments.count:
                        break
            else:
                stopped = arguments.seconds is None
    except KeyboardInterrupt:
        pass
    except Malformed as error:
        raise CommandError(f"the server is of another version: {visible(str(error))}", code=2) from None
    finally:
        _end(takers)
    _remark(_summary(seen, missed, stopped))
    return 0 if seen else 1


def _takers(arguments: argparse.Namespace) -> list[Taker]:
    from sipframe.cli.tracing import CaptureFile, Drawing, Lines, PictureFile

    takers: list[Taker] = []
    if arguments.json:
        takers.append(Lines(sys.stdout))
    elif not arguments.quiet:
        takers.append(Drawing(sys.stdout, os.environ, verbose=arguments.verbose, bodies=arguments.bodies))
    if arguments.pcap is not None:
        takers.append(CaptureFile(arguments.pcap))
    if arguments.svg is not None:
        takers.append(PictureFile(arguments.svg, f"SIP messages of {_subject(arguments.about)}"))
    return takers


def _end(takers: list[Taker]) -> None:
    """End all, even when one cannot."""
    failures: list[OSError] = []
    for taker in reversed(takers):  # files first: nobody may be reading the screen any more
        try:
            taker.end()
        except OSError as error:
            failures.append(error)
    if failures and not isinstance(failures[-1], BrokenPipeError):
        raise CommandError(visible(str(failures[-1])), code=2)


@contextmanager
def _interrupts() -> Iterator[None]:
    """SIGTERM is an interrupt as well."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _subject(about: str | None) -> str:
    return "everything" if about is None else visible(about, ascii_only=True)


def _summary(seen: int, missed: int, stopped: bool) -> str:
    said = "No message has passed." if not seen else f"{seen} message{'s' if seen > 1 else ''}."
    if missed:
        said += f" {missed} more were left out."
    return (
        f"{said} The server has broken off: it has stopped, or it was not read for too long."
        if stopped
        else said
    )


def _remark(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
