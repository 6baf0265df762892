"""A decision in lines for a person: what was asked and answered, then every step, the deciding one marked.

Rules: data in, lines out; nothing here knows a file or a socket. Reasons are in the words of whoever decided. What a
peer may have written goes through :func:`~sipframe.cli.terminal.visible`. Colours repeat what the words say.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from sipframe.cli.terminal import cells, visible, wrapped

if TYPE_CHECKING:
    from sipframe.decisions import Decision, Step

__all__ = ["ASCII", "UNICODE", "Explainer", "Glyphs", "local_time", "short_time"]


class Glyphs(NamedTuple):
    """What is drawn: before the answer, before the step that decided, and the letter of microseconds."""

    answer: str
    deciding: str
    micro: str


UNICODE: Final = Glyphs("→", "▶", "µ")
ASCII: Final = Glyphs("->", ">", "u")

_INDENT: Final = 4
# SGR parameters (ECMA-48 8.3.117).
_BOLD, _FAINT, _RED, _GREEN, _YELLOW = "1", "2", "31", "32", "33"
_OF_VERDICTS: Final = {
    "Abstained": _FAINT,
    "Accepted": _GREEN,
    "Admitted": _GREEN,
    "Challenge": _YELLOW,
    "Terms": _GREEN,
}


class Explainer:
    """``width`` is that of the terminal in cells; None wraps nothing. ``glyphs`` says what can be shown."""

    def __init__(self, *, width: int | None, glyphs: Glyphs = UNICODE, colour: bool = False) -> None:
        self._width = width
        self._glyphs = glyphs
        self._colour = colour

    def lines(self, decision: Decision) -> list[str]:
        """All that is known of ``decision``."""
        peer = decision.peer
        host = f"[{peer.host}]" if ":" in peer.host else peer.host
        colour = _colour_of(decision)
        head = (
            (local_time(decision.at), _FAINT),
            (f"  {decision.method} {decision.aor or decision.uri}  {self._glyphs.answer}  ", _BOLD),
            (f"{decision.status} {decision.reason}", f"{_BOLD};{colour}"),
        )
        where = (
            f"  from {decision.transport} {host}:{peer.port} to {decision.uri},"
            f" Call-ID {decision.call_id}, CSeq {decision.cseq}"
        )
        return [
            *self._painted(head),
            *self._painted([(where, "")]),
            *self._steps(decision.steps, colour),
        ]

    def remark(self, text: str) -> list[str]:
        """A line of ours among the answers."""
        return self._painted([(text, _FAINT)])

    def _steps(self, steps: tuple[Step, ...], colour: str) -> list[str]:
        if not steps:
            return self.remark(" " * _INDENT + "no step was recorded")
        rows = [
            (self._safe(step.asked), self._safe(step.verdict), short_time(step.seconds, self._glyphs.micro))
            for step in steps
        ]
        asked, verdict, time = (max(map(cells, column)) for column in zip(*rows, strict=True))
        lines = []
        for number, (step, row) in enumerate(zip(steps, rows, strict=True), 1):
            deciding = number == len(steps)  # the first that does not let a request pass ends it
            mark = self._glyphs.deciding if deciding else " "
            painted = _OF_VERDICTS.get(step.verdict, _RED)
            parts = [
                (f"  {mark} ", colour if deciding else ""),
                (_padded(row[0], asked), _BOLD if deciding else ""),
                ("  " + _padded(row[1], verdict), painted),
                ("  " + " " * (time - cells(row[2])) + row[2], _FAINT),
            ]
            if step.reason:
                parts.append((f"  {step.reason}", _BOLD if deciding else ""))
            lines += self._painted(parts, _INDENT + asked + 2 + verdict + 2 + time + 2)
        return lines

    def _painted(self, parts: Iterable[tuple[str, str]], indent: int = _INDENT) -> list[str]:
        """One line, in colours; in several without them when it is wider than the terminal."""
        safe = [(self._safe(text), style) for text, style in parts]
        whole = "".join([text for text, _ in safe])
        if self._width is not None and cells(whole) > self._width:
            return wrapped(whole, self._width, indent=indent if 2 * indent <= self._width else _INDENT)
        if not self._colour:
            return [whole.rstrip(" ")]
        return ["".join([f"\x1b[{style}m{text}\x1b[m" if style else text for text, style in safe])]

    def _safe(self, text: str) -> str:
        return visible(text, ascii_only=self._glyphs is ASCII)


def local_time(at: float) -> str:
    """``2026-11-22 20:51:07.412``, in the time zone of this machine."""
    return datetime.fromtimestamp(at).isoformat(" ", "milliseconds")


def short_time(seconds: float, micro: str = "µ") -> str:
    """How long something took, with the unit that suits it: ``184 µs``, ``12.3 ms``, ``4.50 s``."""
    if seconds < 0.000_001:
        return f"<1 {micro}s"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} {micro}s"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _colour_of(decision: Decision) -> str:
    if decision.refused:
        return _RED
    return _GREEN if decision.status < 300 else _YELLOW


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))
