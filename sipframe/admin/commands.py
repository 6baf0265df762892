"""The commands of the admin socket: what each finds out about a server.

Rules: a command looks, and but for ``remove`` changes nothing. It gives an :class:`Answer`, whose items are made one by
one as the client takes them. What a location store has to say may have to be waited for; nothing else has. A new
command is a line in :data:`COMMANDS` and a paragraph in :mod:`~sipframe.admin.protocol`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

import attrs
from twisted.internet.defer import Deferred

from sipframe.admin.protocol import VERSION, ErrorKind, Malformed, decision_fields, decoded, traced_fields
from sipframe.config import Settings
from sipframe.decisions import Decision, Decisions, cut
from sipframe.domains import Domains
from sipframe.proxy import ProxyCounters
from sipframe.tracing import Subject, Traced, Tracer
from sipframe.transport import TransportCounters
from sipframe.uas import UserAgentServerCounters
from sipframe.verdicts import Binding, Snapshot, Unavailable

__all__ = ["COMMANDS", "Answer", "Command", "Happened", "Served", "Unanswerable", "answer"]

MOST_UNLESS_ASKED: Final = 10

Item = dict[str, Any]
Happened = Callable[[Item | Callable[[], Item]], bool]
"""Takes a further item, or what makes it when there is room for it. False: there is none, it is left out."""
Follow = Callable[[Happened], Callable[[], None]]


class Served(Protocol):
    """What the commands ask a :class:`~sipframe.service.SIPService` for."""

    @property
    def settings(self) -> Settings: ...
    @property
    def decisions(self) -> Decisions: ...
    @property
    def tracer(self) -> Tracer: ...
    @property
    def counters(self) -> TransportCounters: ...
    @property
    def location(self) -> Any: ...
    @property
    def uas_counters(self) -> UserAgentServerCounters | None: ...
    @property
    def proxy_counters(self) -> ProxyCounters | None: ...
    def transactions(self) -> dict[tuple[str, str], int]: ...
    def remove(self, aor: str, contact: str | None = None) -> Deferred[tuple[Binding, ...]]: ...


class Unanswerable(Exception):
    """There is no answer to that; the text is one line for a person."""

    def __init__(self, kind: ErrorKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@attrs.frozen
class Answer:
    """``items`` in turn, then ``end``; with ``follow`` every further item after that."""

    items: Iterable[Item]
    end: Item
    follow: Follow | None = None
    """Calls what it is given with each further item; the result ends that."""


class Command(NamedTuple):
    """``fields`` may be in its request, each of its type; ``find`` gets those that are, and what time it is."""

    fields: Mapping[str, type]
    find: Callable[[Served, Item, float], Coroutine[Any, Any, Answer]]


async def answer(served: Served, line: bytes, now: float) -> Answer:
    """The answer to a request line at ``now`` (wall-clock seconds). Raises Malformed or Unanswerable."""
    request = decoded(line)
    version, name = request.pop("version", None), request.pop("command", None)
    if version != VERSION:
        raise Unanswerable(ErrorKind.VERSION, f"this server speaks version {VERSION} of the admin protocol")
    command = COMMANDS.get(name) if isinstance(name, str) else None
    if command is None:
        raise Unanswerable(ErrorKind.COMMAND, f"this server has the commands {', '.join(COMMANDS)}")
    asked = {field: value for field, value in request.items() if value is not None}
    for field, value in asked.items():
        if field not in command.fields:
            raise Malformed(f"{name} has no field {field[:50]!a}")
        if type(value) is not command.fields[field]:
            raise Malformed(f"the field {field} is of another type")
    return await command.find(served, asked, now)


async def _why(served: Served, asked: Item, now: float) -> Answer:
    most = asked.get("most", MOST_UNLESS_ASKED)
    if most < 0:
        raise Malformed("the field most is below 0")
    decisions = served.decisions
    aors = _aors(served, asked["aor"]) if "aor" in asked else frozenset()
    refused = not asked.get("all", False)
    found, matching = decisions.search(most, call_id=asked.get("call_id"), aors=aors, refused=refused)
    end = {
        "kept": decisions.kept,
        "most_kept": decisions.most_kept,
        "oldest": decisions.oldest,
        "older_refusals": decisions.older_refusals,
        "matching": matching,
    }
    return Answer(map(decision_fields, reversed(found)), end)


async def _watch(served: Served, asked: Item, now: float) -> Answer:
    known = await _why(served, asked, now)
    wanted = _wanted(served, asked)

    def follow(happened: Happened) -> Callable[[], None]:
        def decided(decision: Decision) -> None:
            if wanted(decision):
                happened(decision_fields(decision))

        return served.decisions.subscribe(decided)

    return attrs.evolve(known, follow=follow)


async def _trace(served: Served, asked: Item, now: float) -> Answer:
    aors = _aors(served, asked["aor"]) if "aor" in asked else frozenset()
    subject = Subject(_domains(served), call_id=asked.get("call_id"), aors=aors)

    def follow(happened: Happened) -> Callable[[], None]:
        def passed(make: Callable[[], Traced]) -> bool:
            return happened(lambda: traced_fields(make()))

        return served.tracer.follow(subject, passed)

    return Answer((), {"now": now}, follow)


def _wanted(served: Served, asked: Item) -> Callable[[Decision], bool]:
    call_id = cut(asked["call_id"]) if "call_id" in asked else None
    aors = frozenset(map(cut, _aors(served, asked["aor"]))) if "aor" in asked else frozenset()
    if call_id is not None or aors:
        return lambda one: one.call_id == call_id or one.aor in aors
    if asked.get("all", False):
        return lambda one: True
    return lambda one: one.refused


def _aors(served: Served, text: str) -> frozenset[str]:
    return _domains(served).aors_called(text)


def _domains(served: Served) -> Domains:
    return Domains(served.settings.domains, served.settings.aliases)


async def _bindings(served: Served, asked: Item, now: float) -> Answer:
    location = served.location
    if location is None:
        raise Unanswerable(ErrorKind.FAILED, "the server is not running")
    pairs: Iterable[tuple[str, Snapshot]]
    if "aor" in asked:
        pairs = [(aor, await _value(location.lookup(aor))) for aor in sorted(_aors(served, asked["aor"]))]
    else:
        pairs = await _value(location.aors())
    return Answer(_current(pairs, now), {"now": now})


def _current(pairs: Iterable[tuple[str, Snapshot]], now: float) -> Iterator[Item]:
    for aor, snapshot in pairs:
        for binding in snapshot.bindings:
            if binding.expires_at > now:
                yield {"aor": aor, **binding._asdict()}


async def _value(answer: Any) -> Any:
    # A plug-in may give its answer, a Deferred or a coroutine.
    return await answer if isinstance(answer, Awaitable) else answer


async def _remove(served: Served, asked: Item, now: float) -> Answer:
    if "aor" not in asked:
        raise Malformed("remove needs the field aor")
    try:
        removed = await served.remove(asked["aor"], asked.get("contact"))
    except ValueError as error:
        raise Malformed(str(error)) from None
    except Unavailable as error:
        raise Unanswerable(ErrorKind.FAILED, str(error)) from None
    return Answer([binding._asdict() for binding in removed], {"now": now})


async def _counters(served: Served, asked: Item, now: float) -> Answer:
    decisions, uas, proxy = served.decisions, served.uas_counters, served.proxy_counters
    transactions = {f"{machine} {state}": count for (machine, state), count in served.transactions().items()}
    found = {
        "transport": attrs.asdict(served.counters),
        "uas": {} if uas is None else {name: getattr(uas, name) for name in uas.__slots__},
        "proxy": {} if proxy is None else {name: getattr(proxy, name) for name in proxy.__slots__},
        "transactions": transactions,
        "trace": attrs.asdict(served.tracer.counters),
        "decisions": {"kept": decisions.kept, "most_kept": decisions.most_kept},
    }
    return Answer([found], {"now": now})


_ABOUT: Final[Mapping[str, type]] = MappingProxyType({"call_id": str, "aor": str, "all": bool, "most": int})

COMMANDS: Final[Mapping[str, Command]] = MappingProxyType(
    {
        "why": Command(_ABOUT, _why),
        "watch": Command(_ABOUT, _watch),
        "trace": Command(MappingProxyType({"call_id": str, "aor": str}), _trace),
        "bindings": Command(MappingProxyType({"aor": str}), _bindings),
        "remove": Command(MappingProxyType({"aor": str, "contact": str}), _remove),
        "counters": Command(MappingProxyType({}), _counters),
    }
)
