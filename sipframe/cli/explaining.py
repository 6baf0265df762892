"""A decision in lines for a person: what was asked and answered, then every step, the deciding one marked.

Rules: data in, lines out; nothing here knows a file or a socket. Reasons are in the words of whoever decided. What a
peer may have written goes through :func:`~sipframe.cli.terminal.visible`. Colours repeat what the words say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from sipframe.cli.terminal import cells, visible, wrapped

if TYPE_CHECKING:
    from sipframe.decisions import Decision, Step

__all__ = ["ASCII", "UNICODE", "Explainer", "Glyphs", "local_time", "short_time"]


class Glyphs(NamedTuple):
    """What is drawn: before the answer, before the step that decided, of microseconds, and for what is left out."""

    answer: str
    deciding: str
    micro: str
    more: str


UNICODE: Final = Glyphs("→", "▶", "µ", "…")
ASCII: Final = Glyphs("->", ">", "u", "...")

_INDENT: Final = 4
_NARROW: Final = 30
"""With less room than this beside the columns a reason begins where its line ends."""
_MOST_SHOWN: Final = 200
"""Characters of a name that a peer chose; a message has room for tens of thousands."""
# SGR parameters (ECMA-48 8.3.117).
_BOLD, _FAINT, _RED, _GREEN, _YELLOW = "1", "2", "31", "32", "33"
_OF_VERDICTS: Final = {
    "Abstained": _FAINT,
    "Accepted": _GREEN,
    "Admitted": _GREEN,
    "Challenge": _YELLOW,
    "False": _YELLOW,
    "Secret": _GREEN,
    "Snapshot": _FAINT,
    "Terms": _GREEN,
    "True": _GREEN,
}


def local_time(at: float) -> str:
    """``2026-11-22 20:51:07.412``, in the time zone of this machine."""
    return datetime.fromtimestamp(at).isoformat(" ", "milliseconds")


class Explainer:
    """``width`` is that of the terminal in cells; None wraps nothing. ``glyphs`` says what can be shown.

    ``time`` puts into words when something happened (seconds since 1970).
    """

    def __init__(
        self,
        *,
        width: int | None,
        glyphs: Glyphs = UNICODE,
        colour: bool = False,
        time: Callable[[float], str] = local_time,
    ) -> None:
        self._time = time
        self._width = width
        self._glyphs = glyphs
        self._colour = colour

    def lines(self, decision: Decision) -> list[str]:
        """All that is known of ``decision``."""
        peer = decision.peer
        host = f"[{peer.host}]" if ":" in peer.host else peer.host
        colour = _colour_of(decision)
        head = (
            (self._time(decision.at), _FAINT),
            (f"  {self._name(decision.method)} {self._name(decision.aor or decision.uri)}", _BOLD),
            (f"  {self._glyphs.answer}  ", ""),
            (f"{decision.status} {decision.reason}", f"{_BOLD};{colour}"),
        )
        to = f" to {self._name(decision.uri)}" if decision.uri else ""
        where = (
            f"  from {decision.transport} {host}:{peer.port}{to},"
            f" Call-ID {self._name(decision.call_id)}, CSeq {decision.cseq}"
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
            (
                self._safe(step.asked),
                self._safe(step.verdict),
                short_time(step.seconds, self._glyphs.micro) if step.seconds else "",  # a rule takes none
            )
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
                ("  ", ""),
                (_padded(row[1], verdict), painted),
                (f"  {' ' * (time - cells(row[2]))}{row[2]}", _FAINT),
            ]
            reason = f"  {step.reason}" if step.reason else ""
            style = _BOLD if deciding else ""
            column = _INDENT + asked + 2 + verdict + 2 + time + 2
            if self._width is None or not reason or self._width - column < _NARROW:
                lines += self._painted([*parts, (reason, style)])
            else:
                first, *others = wrapped(self._safe(step.reason), self._width - column)
                lines += self._painted([*parts, (f"  {first}", style)])
                for other in others:
                    lines += self._painted([(" " * column, ""), (other, style)])
        return lines

    def _painted(self, parts: Iterable[tuple[str, str]]) -> list[str]:
        """One line, in colours; in several without them when it is wider than the terminal."""
        safe = [(self._safe(text), style) for text, style in parts if text]
        whole = "".join([text for text, _ in safe])
        if self._width is not None and cells(whole) > self._width:
            return wrapped(whole, self._width, indent=_INDENT)
        if not self._colour:
            return [whole.rstrip(" ")]
        return ["".join([f"\x1b[{style}m{text}\x1b[m" if style else text for text, style in safe])]

    def _name(self, text: str) -> str:
        return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + self._glyphs.more

    def _safe(self, text: str) -> str:
        return visible(text, ascii_only=self._glyphs is ASCII)


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
