"""What ``sipframe check`` does once its command line is understood, and what a person sees of it.

Rules: the reactor and entropy are arguments. Whatever the server has sent goes through the ladder, or
:func:`~sipframe.cli.terminal.visible`, before it is printed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

from sipframe.checking import Check, CheckError, Level, Outcome, Report, Result, Target, Timing, run_checks
from sipframe.checking.junit import junit
from sipframe.checking.sockets import ServerSockets
from sipframe.checking.trace import Direction, Event
from sipframe.cli import captions
from sipframe.cli.command import CommandError
from sipframe.cli.ladder import ASCII, UNICODE, Arrow, Glyphs, Kind, Ladder, Participant
from sipframe.cli.terminal import can_show, visible, wants_colour, wrapped
from sipframe.message import Request, Response
from sipframe.ua import Server

if TYPE_CHECKING:
    from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

__all__ = ["Reporter", "Run", "run"]

_MOST_ARROWS: Final = 14
"""In one ladder: of a long check the last messages say what went wrong."""
_NARROWEST: Final = 60
_MARKS: Final = {Outcome.PASSED: "✔", Outcome.FAILED: "✘", Outcome.SKIPPED: "·"}
_ASCII_MARKS: Final = {Outcome.PASSED: "+", Outcome.FAILED: "X", Outcome.SKIPPED: "-"}
_COLOURS: Final = {Outcome.PASSED: "32", Outcome.FAILED: "31", Outcome.SKIPPED: "2"}


class Run(NamedTuple):
    """One transport of the server."""

    server: Server
    target: Target
    creator: IOpenSSLClientConnectionCreator | None


async def run(
    reactor: Any,
    runs: Sequence[Run],
    checks: Sequence[Check],
    timeout: float,
    entropy: Callable[[int], bytes],
    reporter: Reporter,
) -> list[Report]:
    """Check over one transport after the other. Raises CommandError when it cannot begin."""
    timing = Timing.within(timeout)
    reports = []
    for server, target, creator in runs:
        sockets = ServerSockets(reactor, server, creator, timing.answer)
        reporter.begin(target.transport, sum(target.transport in one.transports for one in checks))
        try:
            report = await run_checks(reactor, target, sockets, checks, entropy, timing, reporter.progress)
        except CheckError as error:
            reporter.wipe()
            raise CommandError(f"{server}: {visible(str(error))}") from None
        reporter.wipe()
        reporter.warn([f"{server}: {one}" for one in report.warnings])
        if report.ended:
            reporter.warn([f"{server}: it does not answer any more, {report.ended}"])
        reports.append(report)
    return reports


class Reporter:
    """Writes to ``out``, ``width`` cells wide; warnings and progress go to ``err``."""

    def __init__(
        self, out: TextIO, err: TextIO, width: int, environ: Mapping[str, str], *, verbose: bool = False
    ) -> None:
        self._out = out
        self._err = err
        self._width = max(_NARROWEST, width)
        self._glyphs = UNICODE if can_show("".join(UNICODE) + "".join(_MARKS.values()), out) else ASCII
        self._colour = wants_colour(out, environ)
        self._lively = err.isatty()
        self._verbose = verbose
        self._transport = ""
        self._done = self._all = 0

    # While it runs.

    def begin(self, transport: str, number: int) -> None:
        """So many checks will run over ``transport``."""
        self._transport, self._done, self._all = transport, 0, number

    def progress(self, result: Result) -> None:
        """A check has ended."""
        self._done += 1
        if self._lively:
            line = f"{self._transport} {self._done}/{self._all} {result.check.id}"
            self._err.write(f"\r\x1b[K{line[: self._width - 1]}")
            self._err.flush()

    def wipe(self) -> None:
        """No more progress."""
        if self._lively:
            self._err.write("\r\x1b[K")
            self._err.flush()

    def warn(self, lines: Sequence[str]) -> None:
        """Tell what a person should know."""
        for line in lines:
            self._err.write(f"sipframe: {visible(line)}\n")
        self._err.flush()

    # At the end.

    def table(self, title: str, reports: Sequence[Report]) -> None:
        """A row for each check, the score, and the ladder of each failure."""
        self._print("", self._safe(title), "")
        for line in _rows(reports, self._mark, self._width):
            self._print(line)
        self._print("", *_scores(reports), "")
        for report in reports:
            for result in report.results:
                if result.outcome is Outcome.FAILED:
                    self._print(*self._failure(result))

    def json(self, server: str, reports: Sequence[Report]) -> None:
        """One JSON object."""
        found = {"server": server, "transports": [_plain(report) for report in reports]}
        self._print(json.dumps(found, indent=1))

    def junit(self, server: str, reports: Sequence[Report]) -> str:
        """The text of a JUnit file."""
        return junit(
            server,
            reports,
            lambda result: "\n".join(_ladder(result, self._width, UNICODE, False, self._verbose)),
        )

    def _failure(self, result: Result) -> list[str]:
        check = result.check
        heading = f"{check.id} over {result.transport} ({check.level.name}, {check.reference})"
        lines = [self._painted(Outcome.FAILED, self._safe(heading))]
        for text in (check.summary, f"But {result.reason}."):
            lines += [f"  {line}" for line in wrapped(self._safe(text), self._width - 2)]
        ladder = _ladder(result, self._width, self._glyphs, self._colour, self._verbose)
        return [*lines, "", *ladder, ""]

    def _mark(self, outcome: Outcome | None) -> str:
        if outcome is None:
            return "   "
        marks = _ASCII_MARKS if self._glyphs is ASCII else _MARKS
        return f" {self._painted(outcome, marks[outcome])} "

    def _painted(self, outcome: Outcome, text: str) -> str:
        return f"\x1b[{_COLOURS[outcome]}m{text}\x1b[0m" if self._colour else text

    def _safe(self, text: str) -> str:
        return visible(text, ascii_only=self._glyphs is ASCII)

    def _print(self, *lines: str) -> None:
        for line in lines:
            self._out.write(f"{line.rstrip()}\n")


def _rows(reports: Sequence[Report], mark: Callable[[Outcome | None], str], width: int) -> list[str]:
    outcomes = {report.transport: {one.check.id: one for one in report.results} for report in reports}
    checks: dict[str, Check] = {}
    for report in reports:
        checks |= {one.check.id: one.check for one in report.results}
    longest = max([len(name) for name in checks], default=0)
    head = f"{'check':{longest}}  {'level':6} {''.join([f'{name:^3}' + ' ' for name in outcomes])} what"
    lines = [head]
    room = max(20, width - longest - 10 - 4 * len(outcomes))
    for name, check in checks.items():
        found = [outcomes[transport].get(name) for transport in outcomes]
        marks = "".join([mark(None if one is None else one.outcome) + " " for one in found])
        reasons = {one.reason for one in found if one is not None and one.reason}
        text = visible("; ".join(sorted(reasons)) or f"{check.summary}", ascii_only=True)
        lines.append(f"{name:{longest}}  {check.level.name:6} {marks} {_shortened(text, room)}")
    return lines


def _shortened(text: str, room: int) -> str:
    first, *rest = wrapped(text, room)
    return f"{wrapped(text, room - 4)[0]} ..." if rest else first


def _scores(reports: Sequence[Report]) -> list[str]:
    lines = []
    for report in reports:
        points, possible = report.points
        words = []
        for level in Level:
            counted = [one for one in report.of(level) if one.outcome is not Outcome.SKIPPED]
            passed = [one for one in counted if one.outcome is Outcome.PASSED]
            words.append(f"{level.name} {len(passed)} of {len(counted)}")
        skipped = sum(one.outcome is Outcome.SKIPPED for one in report.results)
        verdict = "conforms" if report.conforms else "does not conform"
        ended = "; it has stopped answering" * bool(report.ended)
        counts = ", ".join([*words, f"{skipped} skipped"])
        lines.append(f"{report.transport}: {points} of {possible} points ({counts}): {verdict}{ended}")
    return lines


def _plain(report: Report) -> dict[str, object]:
    points, possible = report.points
    return {
        "transport": report.transport,
        "points": points,
        "possible": possible,
        "conforms": report.conforms,
        "ended": report.ended,
        "warnings": list(report.warnings),
        "checks": [
            {
                "id": one.check.id,
                "level": one.check.level.name,
                "reference": one.check.reference,
                "summary": one.check.summary,
                "outcome": one.outcome.value,
                "reason": visible(one.reason),
                "seconds": round(one.seconds, 4),
            }
            for one in report.results
        ],
    }


def _ladder(result: Result, width: int, glyphs: Glyphs, colour: bool, verbose: bool) -> list[str]:
    participants = (Participant("UA"), Participant("server", result.transport))
    ladder = Ladder(participants, width=width, glyphs=glyphs, colour=colour)
    lines = ladder.header()
    events = list(result.trace)
    if len(events) > _MOST_ARROWS and not verbose:
        left_out = len(events) - _MOST_ARROWS
        events = events[left_out:]
        lines += ladder.remark(events[0].time, f"{left_out} before these")
    for event in events:
        lines += _drawn(ladder, event)
        if verbose and event.message is not None and not event.again:
            lines += ladder.verbatim(captions.text_lines(event.message))
    last = result.trace[-1].time if result.trace else 0.0
    lines += ladder.remark(max(last, result.seconds), "failed", result.reason, kind=Kind.FAILURE)
    return [*lines, *ladder.footer()]


def _drawn(ladder: Ladder, event: Event) -> list[str]:
    if event.direction is Direction.REMARK:
        return ladder.remark(event.time, event.text)
    source, target = (0, 1) if event.direction is Direction.SENT else (1, 0)
    message: Request | Response | None = event.message
    if event.again:
        return ladder.arrow(Arrow(event.time, source, target, event.text, "", ("again",), Kind.AGAIN))
    if message is None:
        return ladder.arrow(
            Arrow(event.time, source, target, event.text, "", ("cannot be read",), Kind.REQUEST)
        )
    label = event.text if isinstance(message, Request) else captions.label(message)
    arrow = Arrow(
        event.time,
        source,
        target,
        label.removesuffix(" SIP/2.0"),
        captions.aside(message),
        captions.notes(message),
        captions.kind(message),
    )
    return ladder.arrow(arrow)
