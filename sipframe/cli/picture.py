"""A ladder as a picture: one SVG file that needs nothing else, light or dark as whoever looks at it has it.

Rules: data in, text out. It is drawn when all is known, so that everybody's life line is there from the beginning. What
peers wrote goes through :func:`~sipframe.cli.terminal.visible` and is escaped. No script, no link, no font to fetch. A
pointer that rests on an arrow shows the message's head.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final
from xml.sax.saxutils import escape

from sipframe.cli.ladder import Kind
from sipframe.cli.parties import Parties
from sipframe.cli.sights import Sight
from sipframe.cli.terminal import cells, visible, wrapped

__all__ = ["MOST_DRAWN", "svg"]

MOST_DRAWN: Final = 2_000
"""Messages in one picture."""

_LEFT: Final = 190
"""The first life line; before it stand the times."""
_GAP: Final = 270
"""Between two life lines."""
_NOTES: Final = 380
_TOP: Final = 118
_LINE: Final = 15
_CELL: Final = 6.7
"""The width of a character at 11 px."""
_LABEL_CELL: Final = 7.6
_BOX: Final = 220
_BOX_HEIGHT: Final = 44
_EDGE: Final = 24
_HEAD: Final = 4_000
"""Characters of a head that a pointer shows."""

# Without variables, which not every program that shows SVG knows; what knows no media queries shows it light.
_LIGHT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "paper": "#ffffff",
        "ink": "#1f2328",
        "faint": "#59636e",
        "line": "#c8d1da",
        "box": "#f6f8fa",
        "request": "#0969da",
        "provisional": "#59636e",
        "success": "#1a7f37",
        "challenge": "#9a6700",
        "failure": "#cf222e",
        "again": "#818b98",
    }
)
_DARK: Final[Mapping[str, str]] = MappingProxyType(
    {
        "paper": "#0d1117",
        "ink": "#e6edf3",
        "faint": "#9198a1",
        "line": "#3d444d",
        "box": "#151b23",
        "request": "#58a6ff",
        "provisional": "#9198a1",
        "success": "#3fb950",
        "challenge": "#d29922",
        "failure": "#f85149",
        "again": "#6e7681",
    }
)
_FONT: Final = 'ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace'
_FORMS: Final = f"""
text{{font-family:{_FONT};font-size:11px}}
.title{{font-size:15px;font-weight:600}}.name{{font-size:13px;font-weight:600;text-anchor:middle}}
.detail{{text-anchor:middle}}.life{{stroke-dasharray:3 4}}.time,.aside{{text-anchor:end}}
.label{{font-size:12.5px;font-weight:600;paint-order:stroke;stroke-width:4px}}.shaft{{stroke-width:1.6}}.hit{{fill:transparent}}
"""
_ARROWS: Final = tuple([kind.value for kind in Kind if kind is not Kind.CONNECTION])


def _colours(of: Mapping[str, str]) -> str:
    rules = [
        f"text{{fill:{of['ink']}}}.paper{{fill:{of['paper']}}}.label{{stroke:{of['paper']}}}",
        f".faint,.detail,.aside{{fill:{of['faint']}}}",
        f".box{{fill:{of['box']};stroke:{of['line']}}}.life{{stroke:{of['line']}}}",
        *[f".{one} .shaft{{stroke:{of[one]}}}.{one} .tip,.{one} .label{{fill:{of[one]}}}" for one in _ARROWS],
    ]
    return "\n".join(rules)


def svg(sights: Sequence[Sight], title: str, clock: Iterable[str], left_out: int = 0) -> str:
    """The picture of ``sights``. ``clock`` has the time of day of each; ``left_out`` messages more are not in it."""
    parties = Parties()
    for sight in sights:
        parties.take(sight.traced, sight.message)
    participants = parties.participants() if sights else []
    last = _LEFT + _GAP * max(0, len(participants) - 1)
    width = last + _EDGE + _NOTES
    parts: list[str] = []
    y = _TOP
    for number, (sight, time) in enumerate(zip(sights, clock, strict=True)):
        server, peer = parties.place_of(sight.traced.peer)
        source, target = (server, peer) if sight.traced.sent else (peer, server)
        lines, height = _row(sight, _LEFT + _GAP * source, _LEFT + _GAP * target, last, y, time, bool(number))
        parts += lines
        y += height
    bottom = y + 8
    if left_out:
        parts.append(_text(_EDGE, bottom + 18, f"{left_out} more messages are not drawn.", "faint"))
    height = bottom + 34
    size = f'width="{width}" height="{height}" role="img"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size} color-scheme="light dark">',
        f"<title>{_safe(title)}</title>",
        f"<style>{_FORMS}{_colours(_LIGHT)}\n@media (prefers-color-scheme:dark){{{_colours(_DARK)}}}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
        _text(_EDGE, 32, _clipped(title, (width - 2 * _EDGE) / 9), "title"),
    ]
    for number, participant in enumerate(participants):
        x = _LEFT + _GAP * number
        head += [
            f'<line class="life" x1="{x}" y1="{_TOP - 24}" x2="{x}" y2="{bottom}"/>',
            f'<rect class="box" x="{x - _BOX // 2}" y="50" width="{_BOX}" height="{_BOX_HEIGHT}" rx="6"/>',
            _text(x, 69, _clipped(participant.name or "?", (_BOX - 10) / 8), "name"),
            _text(x, 85, _clipped(participant.detail, (_BOX - 10) / _CELL), "detail"),
        ]
    return "\n".join([*head, *parts, "</svg>", ""])


def _row(
    sight: Sight, start: int, end: int, last: int, top: int, time: str, since: bool
) -> tuple[list[str], int]:
    """The elements of one message, and how high they are."""
    first, second = sorted((start, end))
    y = top + 22
    room = (second - first - 24) / _LABEL_CELL
    aside = "" if cells(visible(sight.label)) + len(sight.aside) + 2 > room else sight.aside
    tip = -8 if end > start else 8
    dashed = ' stroke-dasharray="5 4"' if sight.kind is Kind.AGAIN else ""
    notes = [
        piece for note in sight.notes for piece in wrapped(visible(note), int(_NOTES / _CELL) - 4, indent=2)
    ]
    height = max(40, 14 + _LINE * len(notes))
    head = "\n".join(sight.text)[:_HEAD]
    label = _safe(_clipped(sight.label, room))
    lines = [
        f'<g class="{sight.kind.value}">',
        f"<title>{_safe_lines(head)}</title>",
        f'<rect class="hit" x="{first}" y="{top}" width="{second - first}" height="34"/>',
        f'<line class="shaft" x1="{start}" y1="{y}" x2="{end + tip / 2:g}" y2="{y}"{dashed}/>',
        f'<path class="tip" d="M{end} {y}l{tip} -4.5v9z"/>',
        f'<text class="label" x="{first + 12}" y="{y - 6}">{label}</text>',
    ]
    if aside:
        lines.append(_text(second - 12, y - 6, aside, "aside"))
    lines.append("</g>")
    # The first party's box begins where the times end.
    lines.append(_text(_LEFT - 90, y - 5, time, "time"))
    if since:
        lines.append(_text(_LEFT - 90, y + 9, f"+{_duration(sight.since)}", "time faint"))
    lines += [_text(last + _EDGE, top + 16 + _LINE * number, note, "") for number, note in enumerate(notes)]
    return lines, height


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.3f} s"


def _text(x: float, y: float, text: str, kind: str) -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:g}" y="{y:g}" xml:space="preserve">{_safe(text)}</text>'


def _clipped(text: str, room: float) -> str:
    shown = visible(text)
    return shown if cells(shown) <= room else shown[: max(1, int(room) - 1)] + "\N{HORIZONTAL ELLIPSIS}"


def _safe(text: str) -> str:
    return escape(visible(text))


def _safe_lines(text: str) -> str:
    return "\n".join([_safe(line) for line in text.split("\n")])
