"""Ladder diagrams for a terminal: life lines, an arrow for each message, and beside it what matters about it.

Rules: data in, lines out; nothing here knows SIP, a clock or a file. A line is drawn on a row of cells, so that none
is ever wider than the ladder, and every text is made safe for a terminal on its way there (:mod:`terminal`). Lines
come as soon as their message is known, so that a ladder can be drawn while things happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Final, NamedTuple

from sipframe.cli.terminal import cells, visible, wrapped

__all__ = ["ASCII", "UNICODE", "Arrow", "Glyphs", "Kind", "Ladder", "Participant"]

_TIMES: Final = 10
"""Cells at the left for the time, blank included."""
_MARGIN: Final = 12
"""The cell of the first life line."""
_CLOCK: Final = 14
"""Cells at the left for a time of day, blank included."""
_NARROW: Final = 20
"""Between two life lines: with less room than this the notes go under the arrows instead of beside them."""
_WIDE: Final = 36
_NOTES: Final = 30
"""The least room for notes beside the arrows."""
_OVERHANG: Final = 10
_BROAD: Final = 60


class Participant(NamedTuple):
    """A life line: its name, and a second line under it, such as an address."""

    name: str
    detail: str = ""


class Kind(Enum):
    """What an arrow stands for: its colour and its line."""

    REQUEST = "request"
    PROVISIONAL = "provisional"
    SUCCESS = "success"
    CHALLENGE = "challenge"
    FAILURE = "failure"
    AGAIN = "again"
    """The same message once more."""
    CONNECTION = "connection"
    """No message: something that both ends did, such as a handshake."""


class Arrow(NamedTuple):
    """A message. ``time`` in seconds since the ladder began; ``source`` and ``target`` count the participants from 0.

    ``label`` stands on the arrow at its left, ``aside`` at its right; ``notes`` stand beside it. ``since`` is how many
    seconds after the one before, and stands under the time.
    """

    time: float
    source: int
    target: int
    label: str
    aside: str = ""
    notes: tuple[str, ...] = ()
    kind: Kind = Kind.REQUEST
    since: float | None = None


class Glyphs(NamedTuple):
    """The characters of a ladder, one cell each."""

    lane: str
    line: str
    again: str
    connection: str
    right: str
    left: str
    from_left: str
    from_right: str
    cross: str
    end: str

    @property
    def is_ascii(self) -> bool:
        """Whether texts must be ASCII as well."""
        return all(glyph.isascii() for glyph in self)


UNICODE: Final = Glyphs("│", "─", "╌", "═", "▶", "◀", "├", "┤", "┼", "┴")
ASCII: Final = Glyphs("|", "-", ".", "=", ">", "<", "|", "|", "+", "+")

# SGR parameters (ECMA-48 8.3.117).
_PLAIN: Final = ""
_BOLD: Final = "1"
_FAINT: Final = "2"
_COLOURS: Final = {
    Kind.REQUEST: "36",
    Kind.PROVISIONAL: "2",
    Kind.SUCCESS: "32",
    Kind.CHALLENGE: "33",
    Kind.FAILURE: "31",
    Kind.AGAIN: "2",
    Kind.CONNECTION: "35",
}


class _Row:
    """One line of the terminal: a cell holds a character (and what is drawn over it), or "" behind a wide one."""

    def __init__(self, width: int) -> None:
        self._cells = [" "] * width
        self._styles = [_PLAIN] * width

    def put(self, position: int, text: str, style: str = _PLAIN) -> None:
        """Write ``text`` from the cell ``position``; what does not fit is left out."""
        for character in text:
            size = cells(character)
            if size == 0:
                if 0 < position <= len(self._cells):
                    self._cells[position - 1] += character
                continue
            if position < 0 or position + size > len(self._cells):
                return
            self._cells[position] = character
            self._styles[position] = style
            if size == 2:
                self._cells[position + 1] = ""
                self._styles[position + 1] = style
            position += size

    def render(self, colour: bool) -> str:
        """The line, without blanks at its end."""
        last = len(self._cells)
        while last > 0 and self._cells[last - 1] == " ":
            last -= 1
        if not colour:
            return "".join(self._cells[:last])
        parts: list[str] = []
        style = _PLAIN
        for cell, wanted in zip(self._cells[:last], self._styles[:last], strict=True):
            if wanted != style:
                if style:
                    parts.append("\x1b[0m")
                if wanted:
                    parts.append(f"\x1b[{wanted}m")
                style = wanted
            parts.append(cell)
        if style:
            parts.append("\x1b[0m")
        return "".join(parts)


class Ladder:
    """Draws one ladder, piece by piece, in ``width`` cells. There are at least two participants.

    Times are written in milliseconds, or with ``seconds`` in those: for what takes hours on a clock of a test. With
    ``clock`` it is what that makes of them, in 12 cells.

    Raises ValueError when there are not, or when ``width`` has no room for a life line each.
    """

    def __init__(
        self,
        participants: Sequence[Participant],
        *,
        width: int,
        glyphs: Glyphs = UNICODE,
        colour: bool = False,
        seconds: bool = False,
        clock: Callable[[float], str] | None = None,
    ) -> None:
        gaps = len(participants) - 1
        if gaps < 1:
            raise ValueError("a ladder has two participants at least")
        self._participants = participants
        self._width = width
        self._glyphs = glyphs
        self._colour = colour
        self._written = clock or (_seconds if seconds else _milliseconds)
        self._times = _TIMES if clock is None else _CLOCK
        margin = self._times - _TIMES + _MARGIN
        self._broad = clock is not None and width >= _BROAD
        self._margin = margin if width >= 3 * margin else 0
        # What stands over the last life line may need more than its half of the gap.
        room = width - self._margin - 1 - (_OVERHANG if self._broad else 0)
        gap = min(_WIDE, (room - max(_NOTES, room * 12 // 25) - 3) // gaps)
        self._beside = gap >= _NARROW
        if not self._beside:
            gap = min(_WIDE * 2, room // gaps)
        if gap < 3:
            raise ValueError(f"no room for {gaps + 1} life lines in {width} cells")
        self._lanes = [self._margin + gap * number for number in range(gaps + 1)]
        self._gap = gap

    def header(self) -> list[str]:
        """The names of the participants, and the beginning of their life lines."""
        names = _Row(self._width)
        details = _Row(self._width)
        for lane, participant in zip(self._lanes, self._participants, strict=True):
            for row, text, style in ((names, participant.name, _BOLD), (details, participant.detail, _FAINT)):
                line = wrapped(self._safe(text), self._gap - 1)[0]
                size = cells(line)
                row.put(max(0, min(lane - size // 2, self._width - size)), line, style)
        rows = [names, details] if any(one.detail for one in self._participants) else [names]
        return self._rendered([*rows, self._life_lines()])

    def arrow(self, arrow: Arrow) -> list[str]:
        """The lines of one message."""
        style = _COLOURS[arrow.kind]
        first, last = sorted((self._lanes[arrow.source], self._lanes[arrow.target]))
        if first == last:  # a message to oneself
            return self.remark(arrow.time, arrow.label, *arrow.notes, kind=arrow.kind)
        above = self._life_lines(arrow.time)
        below = self._life_lines()
        if arrow.since is not None and self._margin:
            below.put(0, f"+{_milliseconds(arrow.since)}".rjust(self._times - 1), _FAINT)
        self._write_label(above, first, last, arrow, style)
        self._draw(below, first, last, arrow, style)
        rows = [above, below]
        self._write_notes(rows, first, last, arrow.notes)
        return self._rendered([*rows, self._life_lines()])

    def remark(self, time: float, text: str, *notes: str, kind: Kind = Kind.CONNECTION) -> list[str]:
        """A line without an arrow: something that happened, or did not."""
        row = self._life_lines(time)
        rows = [row]
        inner = self._lanes[1] - self._lanes[0] - 3
        lines = wrapped(self._safe(text), inner)
        for number, line in enumerate(lines):
            if number:
                rows.append(self._life_lines())
            rows[number].put(self._lanes[0] + 2, line, _COLOURS[kind])
        self._write_notes(rows, self._lanes[0], self._lanes[1], notes)
        return self._rendered([*rows, self._life_lines()])

    def verbatim(self, lines: Iterable[str]) -> list[str]:
        """Text as it is, such as a whole message, behind the first life line."""
        left = self._lanes[0] + 2
        rows: list[_Row] = []
        for line in lines:
            for piece in wrapped(self._safe(line), self._width - left, indent=2):
                row = _Row(self._width)
                row.put(self._lanes[0], self._glyphs.lane, _FAINT)
                row.put(left, piece, _FAINT)
                rows.append(row)
        return self._rendered([*rows, self._life_lines()])

    def footer(self) -> list[str]:
        """The end of the life lines."""
        row = _Row(self._width)
        for lane in self._lanes:
            row.put(lane, self._glyphs.end, _FAINT)
        return self._rendered([row])

    def _safe(self, text: str) -> str:
        return visible(text, ascii_only=self._glyphs.is_ascii)

    def _rendered(self, rows: Iterable[_Row]) -> list[str]:
        return [row.render(self._colour) for row in rows]

    def _life_lines(self, time: float | None = None) -> _Row:
        row = _Row(self._width)
        if time is not None and self._margin:
            row.put(0, self._written(time).rjust(self._times - 1), _FAINT)
        for lane in self._lanes:
            row.put(lane, self._glyphs.lane, _FAINT)
        return row

    def _write_label(self, row: _Row, first: int, last: int, arrow: Arrow, style: str) -> None:
        room = last - first - 3
        label, aside = self._safe(arrow.label), self._safe(arrow.aside)
        if cells(label) + cells(aside) + 1 > room:
            aside = ""
        row.put(first + 2, wrapped(label, room)[0] if room > 0 else "", style)
        row.put(last - 1 - cells(aside), aside, _FAINT)

    def _draw(self, row: _Row, first: int, last: int, arrow: Arrow, style: str) -> None:
        glyphs = self._glyphs
        line = {Kind.AGAIN: glyphs.again, Kind.CONNECTION: glyphs.connection}.get(arrow.kind, glyphs.line)
        row.put(first, glyphs.lane + line * (last - first - 1) + glyphs.lane, style)
        for lane in self._lanes:
            if first < lane < last:
                row.put(lane, glyphs.cross, style)
        to_the_right = self._lanes[arrow.target] == last
        both = arrow.kind is Kind.CONNECTION
        if to_the_right or both:
            row.put(last - 1, glyphs.right, style)
        if not to_the_right or both:
            row.put(first + 1, glyphs.left, style)
        if not to_the_right:
            row.put(last, glyphs.from_right, _FAINT)
            row.put(first, glyphs.lane, _FAINT)
        else:
            row.put(first, glyphs.lane if both else glyphs.from_left, _FAINT)
            row.put(last, glyphs.lane, _FAINT)

    def _write_notes(self, rows: list[_Row], first: int, last: int, notes: Iterable[str]) -> None:
        """Put the notes beside ``rows``, or under them between two life lines; rows are added as needed."""
        left = self._lanes[-1] + 3 if self._beside else first + 2
        room = self._width - left if self._beside else last - first - 3
        if not self._beside and room < _NOTES and self._broad:
            # Between two life lines that are close together they would be in shreds: they go over the next ones.
            left = max(self._margin + 2, min(left, self._width - _NOTES))
            room = min(_NOTES, self._width - left)
        at = 0 if self._beside else len(rows)
        for note in notes:
            for line in wrapped(self._safe(note), room, indent=2):
                if at == len(rows):
                    rows.append(self._life_lines())
                rows[at].put(left, line)
                at += 1


def _milliseconds(seconds: float) -> str:
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 1000 else f"{milliseconds:.0f} ms"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f} s" if seconds < 1000 else f"{seconds:.1f} s"
