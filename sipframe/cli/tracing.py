"""What ``sipframe trace`` shows and saves of each message.

Rules: nothing that a peer wrote reaches the screen but through :class:`~sipframe.cli.ladder.Ladder`, which makes it
safe, or as ASCII. A capture file is written as messages pass, so that whatever ends the trace leaves it whole; a
picture at the end. Files are opened at the beginning: what cannot be written is said before anybody waits.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, TextIO

from sipframe.cli.command import CommandError
from sipframe.cli.ladder import ASCII, UNICODE, Arrow, Ladder
from sipframe.cli.parties import Parties
from sipframe.cli.picture import MOST_DRAWN, svg
from sipframe.cli.sights import Sight
from sipframe.cli.terminal import can_show, visible, wants_colour
from sipframe.tracing.pcap import FILE_HEADER, PacketWriter

__all__ = ["CaptureFile", "Drawing", "Lines", "PictureFile", "Taker", "time_of_day"]

_NARROWEST: Final = 40
_MARGIN: Final = 27
"""Cells that no life line can have: the times, and what stands over the last one."""
_GAP: Final = 17
"""The least cells between two life lines."""


class Taker(Protocol):
    """Does something with each message."""

    def take(self, sight: Sight) -> None:
        """The next message."""

    def missed(self, number: int) -> None:
        """So many messages were left out here."""

    def end(self) -> None:
        """There will be no more."""


def time_of_day(at: float) -> str:
    """``20:51:07.412``, in the time zone of this machine."""
    return datetime.fromtimestamp(at).time().isoformat("milliseconds")


class Drawing:
    """The ladder on ``screen``, as it grows. When its life lines change their names are written anew.

    ``verbose`` shows the head of each message, ``bodies`` its body.
    """

    def __init__(
        self,
        screen: TextIO,
        environ: Mapping[str, str],
        *,
        verbose: bool = False,
        bodies: bool = False,
        columns: Callable[[], int] = lambda: shutil.get_terminal_size((100, 24)).columns,
    ) -> None:
        self._screen = screen
        self._columns = columns
        self._glyphs = UNICODE if can_show("".join(UNICODE), screen) else ASCII
        self._colour = wants_colour(screen, environ)
        self._verbose = verbose
        self._bodies = bodies
        self._parties = Parties()
        self._ladder: Ladder | None = None

    def take(self, sight: Sight) -> None:
        """The next message."""
        width = max(_NARROWEST, self._columns())
        self._parties.most = max(1, (width - _MARGIN) // _GAP)
        changed = self._parties.take(sight.traced, sight.message)
        ladder = self._ladder
        if ladder is None or changed:
            lines = [] if ladder is None else ladder.footer()
            ladder = self._ladder = Ladder(
                self._parties.participants(),
                width=width,
                glyphs=self._glyphs,
                colour=self._colour,
                clock=time_of_day,
            )
            lines += ["", *ladder.header()]
            self._show(lines)
        server, peer = self._parties.place_of(sight.traced.peer)
        source, target = (server, peer) if sight.traced.sent else (peer, server)
        arrow = Arrow(
            sight.traced.at, source, target, sight.label, sight.aside, sight.notes, sight.kind, sight.since
        )
        lines = ladder.arrow(arrow)
        text = [*(sight.text if self._verbose else ()), *(sight.body if self._bodies else ())]
        if text:
            lines += ladder.verbatim(text)
        self._show(lines)

    def missed(self, number: int) -> None:
        """So many messages were left out here."""

    def end(self) -> None:
        """The life lines end."""
        if self._ladder is not None:
            self._show(self._ladder.footer())
            self._ladder = None

    def _show(self, lines: list[str]) -> None:
        self._screen.write("".join([f"{line}\n" for line in lines]))
        self._screen.flush()


class Lines:
    """Each message as one JSON object a line; ASCII, so that no terminal acts on it."""

    def __init__(self, screen: TextIO) -> None:
        self._screen = screen

    def take(self, sight: Sight) -> None:
        """The next message."""
        traced = sight.traced
        fields: dict[str, Any] = {
            **traced._asdict(),
            "local": traced.local._asdict(),
            "peer": traced.peer._asdict(),
            "message": traced.octets.decode("utf-8", "surrogateescape"),
        }
        del fields["octets"]
        print(json.dumps(fields), file=self._screen, flush=True)

    def missed(self, number: int) -> None:
        """So many messages were left out here."""

    def end(self) -> None:
        """There will be no more."""


class CaptureFile:
    """A pcap file. Raises CommandError when there can be none."""

    def __init__(self, path: Path) -> None:
        self._packets = PacketWriter()
        self._file = _opened(path)
        self._write(FILE_HEADER)

    def take(self, sight: Sight) -> None:
        """The next message."""
        self._write(self._packets.records(sight.traced))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()

    def missed(self, number: int) -> None:
        """So many messages were left out here."""

    def end(self) -> None:
        """There will be no more."""
        self._file.close()


class PictureFile:
    """A picture of the first :data:`~sipframe.cli.picture.MOST_DRAWN` messages, written at the end; until then there is
    what was there before. Raises CommandError when there can be none.
    """

    def __init__(self, path: Path, title: str) -> None:
        self._path = path
        self._title = title
        self._sights: list[Sight] = []
        self._left_out = 0
        self._new = path.with_name(f".{path.name}.{os.getpid()}")
        self._file = _opened(self._new, path)

    def take(self, sight: Sight) -> None:
        """The next message."""
        if len(self._sights) < MOST_DRAWN:
            self._sights.append(sight)
        else:
            self._left_out += 1

    def missed(self, number: int) -> None:
        """So many messages were left out here."""
        self._left_out += number

    def end(self) -> None:
        """Draw. Without any message there is no picture."""
        with self._file as file:
            if not self._sights:
                self._new.unlink()
                return
            first = self._sights[0].traced.at
            title = f"{self._title}, {datetime.fromtimestamp(first).date().isoformat()}"
            clock = [time_of_day(sight.traced.at) for sight in self._sights]
            file.write(svg(self._sights, title, clock, self._left_out).encode())
        self._new.replace(self._path)


def _opened(path: Path, named: Path | None = None) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:
        text = error.strerror or str(error)
        raise CommandError(f"{visible(str(named or path))}: {text[:1].lower()}{text[1:]}", code=2) from None
