"""What happened in a test, for whoever reads why it failed: the ladder, the decisions, the log.

Rules: text only; no digest, password or other credential is in it (:mod:`sipframe.cli.captions`). It is bounded: what
happened last is shown, and how much there was before. Nothing here raises because of what a message holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from sipframe.cli import captions
from sipframe.cli.explaining import Explainer
from sipframe.cli.ladder import Arrow, Kind, Ladder, Participant
from sipframe.decisions import Decision
from sipframe.message import Limits, MessageError, Request, Response, SipURI, parse_message
from sipframe.testing.wire import Passage

__all__ = ["HEADING", "decisions_text", "ladder_text"]

HEADING: Final = "What went over the network"

_MOST_PASSAGES: Final = 40
_MOST_OTHERS: Final = 3
_WIDTH: Final = 110
_LIMITS: Final = Limits(head=65_535, lines=1_000)


def ladder_text(
    passages: Sequence[Passage],
    names: Mapping[str, str],
    servers: Collection[str],
    *,
    verbose: bool = False,
    width: int = _WIDTH,
) -> str:
    """The ladder of ``passages``: of the last 40, between the servers and the 3 others that were heard of last.

    ``names`` says what hosts are called. ``servers`` stand at the right of those that ask them something, and at the
    left of those that they ask first, such as the callees of a call. ``verbose`` shows whole messages, without their
    secrets.
    """
    shown = passages[-_MOST_PASSAGES:]
    hosts = _hosts(shown, servers, passages)
    if len(hosts) < 2:
        return f"{HEADING}: nothing."
    left = [one for one in shown if {one.source.host, one.target.host} <= set(hosts)]
    lines = [
        f"{HEADING}{_how_many(len(left), len(passages))}; seconds since {left[0].at:g} s of the test:",
        "",
    ]
    ladder = Ladder(
        [Participant(names.get(host, host), host if host in names else "") for host in hosts],
        width=width,
        seconds=True,
    )
    lines += ladder.header()
    seen: set[bytes] = set()
    for passage in left:
        again = passage.data in seen
        seen.add(passage.data)
        lines += _drawn(ladder, passage, hosts, left[0].at, again=again, verbose=verbose)
    return "\n".join([*lines, *ladder.footer()])


def _hosts(shown: Iterable[Passage], servers: Collection[str], passages: Iterable[Passage]) -> list[str]:
    """The hosts to show, from left to right; among equals in the order in which they came."""
    first: dict[str, None] = {}
    latest: dict[str, None] = {}
    for one in shown:
        for host in (one.source.host, one.target.host):
            first[host] = None
            latest.pop(host, None)
            latest[host] = None
    others = set([host for host in latest if host not in servers][-_MOST_OTHERS:])
    asked, order = _asked(passages, servers)
    return [
        *[host for host in first if host in others and host not in asked],
        *sorted([host for host in first if host in servers], key=lambda host: order.get(host, len(order))),
        *[host for host in first if host in others and host in asked],
    ]


def _asked(passages: Iterable[Passage], servers: Collection[str]) -> tuple[set[str], dict[str, int]]:
    """Whom a server has asked something before they asked for anything but to be registered; and in which order the
    servers were asked."""
    sides: dict[str, bool] = {}
    order: dict[str, int] = {}
    for one in passages:
        method = one.data.partition(b" ")[0]
        if not one.data[:1].isalpha() or method in (b"SIP/2.0", b"REGISTER"):
            continue
        source, target = one.source.host, one.target.host
        if source not in servers:
            _ = sides.setdefault(source, False)
        if target in servers:
            _ = order.setdefault(target, len(order))
        else:
            _ = sides.setdefault(target, True)
    return {host for host, asked in sides.items() if asked}, order


def _how_many(shown: int, there: int) -> str:
    return "" if shown == there else f" (the last {shown} of {there})"


def _drawn(
    ladder: Ladder, passage: Passage, hosts: list[str], began: float, *, again: bool, verbose: bool
) -> list[str]:
    time = passage.at - began
    source, target = hosts.index(passage.source.host), hosts.index(passage.target.host)
    if not passage.data:
        label, _, why = passage.fate.partition(": ")
        label = f"{passage.transport} {label}" if label == "connected" else label
        return ladder.arrow(Arrow(time, source, target, label, "", (why,) if why else (), Kind.CONNECTION))
    fate = (passage.fate,) if passage.fate else ()
    if not passage.data.strip(b"\r\n\0"):
        return ladder.arrow(Arrow(time, source, target, "keep-alive", "", fate, Kind.PROVISIONAL))
    try:
        message = parse_message(passage.data, _LIMITS)
    except MessageError as error:
        notes = (*fate, error.reason)
        return ladder.arrow(Arrow(time, source, target, "no SIP", "", notes, Kind.FAILURE))
    kind = Kind.AGAIN if again else captions.kind(message)
    notes = (*fate, "again") if again else (*fate, *_notes(message, verbose))
    label = _short(message) if len(hosts) > 2 else captions.label(message)
    arrow = Arrow(time, source, target, label, captions.aside(message), notes, kind)
    lines = ladder.arrow(arrow)
    if verbose and not again:
        lines += ladder.verbatim(captions.text_lines(message))
    return lines


def _short(message: Request | Response) -> str:
    """``INVITE bob`` between life lines that are close to each other."""
    if isinstance(message, Request) and message.method != "REGISTER":
        with suppress(MessageError):
            uri = message.uri
            if isinstance(uri, SipURI) and uri.user:
                return f"{message.method} {uri.user}"
    return captions.label(message)


def _notes(message: Request | Response, verbose: bool) -> tuple[str, ...]:
    if verbose:
        return ()
    notes = captions.notes(message)
    redirects = isinstance(message, Response) and 300 <= message.status < 400
    if redirects or any("REGISTER" in value for value in message.all("cseq")):
        return notes
    # Of a call nobody looks for what stands in every message.
    return tuple([note for note in notes if not note.startswith("Contact ")])


def decisions_text(decisions: Sequence[Decision], began: float, most: int = 10) -> str:
    """The last decisions, the newest last, in the words of ``sipframe why``; times are seconds since ``began``."""
    explainer = Explainer(width=None, time=lambda at: f"{at - began:.3f} s")
    return "\n\n".join(["\n".join(explainer.lines(one)) for one in decisions[-most:]])
