"""Text for a terminal: what is safe to show, how wide it is, how long something lasts.

Rules: whatever came from a peer goes through :func:`visible` before it is printed, so that nothing it holds can move
the cursor, change colours or turn the direction of the line. Widths are in cells of the terminal, not in characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final, Protocol

__all__ = ["Screen", "can_show", "cells", "duration", "visible", "wants_colour", "wrapped"]

_PIECE: Final = re.compile(r"[^ ;]++ *+|;[^ ;]*+ *+| ++")


class Screen(Protocol):
    """The part of a text file that is asked what it can show."""

    @property
    def encoding(self) -> str | None: ...
    def isatty(self) -> bool: ...


def visible(text: str, *, ascii_only: bool = False) -> str:
    """``text`` with every character escaped that a terminal would act upon, or (``ascii_only``) could not show."""
    if text.isprintable() and (text.isascii() or not ascii_only):
        return text
    return "".join(
        [
            character
            if character.isprintable() and (character.isascii() or not ascii_only)
            else _escaped(ord(character))
            for character in text
        ]
    )


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # surrogateescape: an octet that was no UTF-8
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def cells(text: str) -> int:
    """How many cells of a terminal ``text`` takes; it must have gone through :func:`visible`."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0  # drawn over the one before it
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """Cut ``text`` into lines of ``width`` cells at most: at blanks, or before the parameters of a URI. At least one.

    Lines after the first are indented by ``indent`` cells. ``text`` must have gone through :func:`visible`.
    """
    lines: list[str] = []
    line = ""
    room = width
    for piece in _PIECE.findall(text):
        if cells(line) + cells(piece.rstrip(" ")) <= room:
            line += piece
            continue
        if line.strip(" "):
            lines.append(line.rstrip(" "))
            room = width - indent
        while cells(piece.rstrip(" ")) > max(room, 1):
            head = _clipped(piece, room) or piece[0]
            lines.append(head)
            room = width - indent
            piece = piece[len(head) :]
        line = piece
    if line.strip(" ") or not lines:
        lines.append(line.rstrip(" "))
    return lines[:1] + [" " * indent + line for line in lines[1:]]


def _clipped(text: str, width: int) -> str:
    """The longest beginning of ``text`` that takes ``width`` cells at most."""
    taken = 0
    for position, character in enumerate(text):
        taken += _cells_of(character)
        if taken > width:
            return text[:position]
    return text


def duration(seconds: float) -> str:
    """A time that is left, in at most two units: ``59m 58s``."""
    left = max(0, int(seconds))
    if left < 60:
        return f"{left}s"
    if left < 3600:
        return f"{left // 60}m {left % 60:02}s"
    if left < 86400:
        return f"{left // 3600}h {left // 60 % 60:02}m"
    return f"{left // 86400}d {left // 3600 % 24:02}h"


def can_show(text: str, screen: Screen) -> bool:
    """Whether the encoding of ``screen`` has all characters of ``text``."""
    try:
        text.encode(screen.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def wants_colour(screen: Screen, environ: Mapping[str, str]) -> bool:
    """Whether to use colours: on a terminal that knows them, unless the user said no (https://no-color.org)."""
    return screen.isatty() and not environ.get("NO_COLOR") and environ.get("TERM", "") not in ("", "dumb")
