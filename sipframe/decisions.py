"""Decisions: why each answer was what it was, kept for a while.

Rules: one record for each final answer that the server makes. A record holds no request and no credential: what names
the request, and what each rule and plug-in that was asked had to say. The number of records is bounded; the oldest goes
first, refusals last; so is each text. What takes time to put into words is put into words when somebody reads it. A
subscriber that raises is logged and kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

from twisted.logger import Logger

from sipframe.verdicts import Address

__all__ = ["Decision", "Decisions", "Detail", "RawStep", "Step", "cut", "without_password"]

_log = Logger()

MOST_KEPT: Final = 1000

MOST_TEXT: Final = 512
"""Characters of one text in a record; of what is longer, the beginning is kept."""

Detail = str | tuple[Any, ...]
"""A text, or a function that makes it and what from: called when somebody reads it. It holds no credential."""

RawStep = tuple[str, str, Detail, float]
"""A :class:`Step` whose reason may not be text yet."""

ONLY_ASK: Final = frozenset({"", "no credentials", "right digest, stale nonce"})
"""Reasons of a Challenge that refuse nobody: whoever sent the request is asked who that is, or asked once more."""


class Step(NamedTuple):
    """One rule or plug-in that was asked."""

    asked: str
    """A plug-in's method (``RateLimit.admit``), or a rule of the server (``RFC 3261 10.3 step 4``)."""
    verdict: str
    """The kind of verdict in one word: ``Accepted``, ``Challenge``, ``Rejected``, ``Terms``, ``TimeoutError``..."""
    reason: str
    """In the words of whoever decided; empty when there is nothing to say."""
    seconds: float
    """How long the answer took."""


class Decision(NamedTuple):
    """One final answer and what led to it."""

    at: float
    """Wall-clock seconds since 1970, of the answer."""
    method: str
    uri: str
    """The Request-URI as it was sent."""
    aor: str
    """The canonical AOR that the request is about (To); empty when it has none."""
    call_id: str
    cseq: int
    transport: str
    peer: Address
    status: int
    reason: str
    """The reason phrase on the wire."""
    steps: tuple[Step, ...]

    @property
    def refused(self) -> bool:
        """Whether the answer is no: 4xx to 6xx, but not a 401 or 407 that only asks for credentials."""
        return _refused(self)


RawDecision = tuple[float, str, str, Detail, str, int, str, Address, int, str, Sequence[RawStep]]
"""A :class:`Decision` that nobody has read yet."""

_AT: Final = 0
_AOR: Final = 3
_CALL_ID: Final = 4
_STATUS: Final = 8
_STEPS: Final = 10
_REASON: Final = 2


class Decisions:
    """The last ``most_kept`` decisions (0 keeps none), and who wants to hear of the next ones.

    As many refusals from before them are kept as well: a busy server makes a thousand answers in a few seconds.
    """

    __slots__ = ("_kept", "_refusals", "_subscribers", "wanted")

    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        self._kept: deque[Decision | RawDecision] = deque(maxlen=most_kept)
        self._refusals: deque[Decision | RawDecision] = deque(maxlen=most_kept)
        self._subscribers: tuple[tuple[Callable[[Decision], None]], ...] = ()
        self.wanted = most_kept > 0
        """Whether anybody will ever see a decision: without that none need be made."""

    def record(self, raw: RawDecision) -> None:
        """Keep what makes a decision, and tell every subscriber. Its steps are not changed any more."""
        _, method, uri, aor, call_id, _, _, _, _, reason, _ = raw
        about = aor if type(aor) is str else ""
        if len(uri) + len(call_id) + len(method) + len(reason) + len(about) > MOST_TEXT:
            raw = _cut(raw)
        self._keep(raw)
        if self._subscribers:
            self._tell(_made(raw))

    def add(self, decision: Decision) -> None:
        """Keep one, and tell every subscriber."""
        self._keep(decision)
        self._tell(decision)

    def _keep(self, one: Decision | RawDecision) -> None:
        kept = self._kept
        if len(kept) == kept.maxlen and kept and _refused(kept[0]):
            self._refusals.append(kept[0])
        kept.append(one)

    def _tell(self, decision: Decision) -> None:
        for (subscriber,) in self._subscribers:
            try:
                subscriber(decision)
            except Exception:
                _log.failure("a subscriber failed on a decision")

    def subscribe(self, subscriber: Callable[[Decision], None]) -> Callable[[], None]:
        """Call ``subscriber`` with every decision from now on; the result ends that."""
        subscription = (subscriber,)  # unlike the subscriber it is there once
        self._subscribers = (*self._subscribers, subscription)
        self.wanted = True

        def unsubscribe() -> None:
            self._subscribers = tuple(one for one in self._subscribers if one is not subscription)
            self.wanted = bool(self._subscribers or self._kept.maxlen)

        return unsubscribe

    @property
    def most_kept(self) -> int:
        """How many are kept, without older refusals; the oldest goes when there is one more."""
        return self._kept.maxlen or 0

    @property
    def kept(self) -> int:
        """How many are kept now, without older refusals."""
        return len(self._kept)

    @property
    def older_refusals(self) -> int:
        """How many refusals are kept that are older than all the others."""
        return len(self._refusals)

    @property
    def oldest(self) -> float | None:
        """Since when every decision is kept, in wall-clock seconds since 1970; None when there is none."""
        return self._kept[0][_AT] if self._kept else None

    def __iter__(self) -> Iterator[Decision]:
        """Those that are kept, the newest first."""
        return map(_made, reversed((*self._refusals, *self._kept)))

    def about(self, *, call_id: str | None = None, aor: str | None = None) -> list[Decision]:
        """Those that are kept about a Call-ID, an AOR or both, the newest first."""
        call_id = None if call_id is None else cut(call_id)
        aor = None if aor is None else cut(aor)
        return [
            _made(one)
            for one in (*reversed(self._kept), *reversed(self._refusals))
            if (call_id is None or one[_CALL_ID] == call_id) and (aor is None or _text(one[_AOR]) == aor)
        ]

    def refusals(self, most: int = 10) -> list[Decision]:
        """The last ones that refused (:attr:`Decision.refused`), the newest first."""
        return self.search(most, refused=True)[0]

    def search(
        self,
        most: int,
        *,
        call_id: str | None = None,
        aors: Collection[str] = (),
        refused: bool = False,
    ) -> tuple[list[Decision], int]:
        """The newest ``most`` about this Call-ID **or** one of these AORs, the newest first; and how many there are.

        With neither it is all of them, or with ``refused`` all that refused. Only what is returned is put into words.
        """
        call_id = None if call_id is None else cut(call_id)
        wanted = frozenset(map(cut, aors))
        known = (*reversed(self._kept), *reversed(self._refusals))
        if call_id is not None or wanted:
            found = [one for one in known if one[_CALL_ID] == call_id or _text(one[_AOR]) in wanted]
        else:
            found = [one for one in known if not refused or _refused(one)]
        return list(map(_made, found[:most])), len(found)


def cut(text: str) -> str:
    """``text``, or its beginning when it is longer than :data:`MOST_TEXT`."""
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}\N{HORIZONTAL ELLIPSIS}"


def without_password(uri: str) -> str:
    """A URI's text without the password that it may have (RFC 3261 19.1.1)."""
    user, at, rest = uri.rpartition("@")
    scheme, colon, name = user.partition(":")
    return f"{scheme}{colon}{name.partition(':')[0]}{at}{rest}"


def _cut(raw: RawDecision) -> RawDecision:
    at, method, uri, aor, call_id, cseq, transport, peer, status, reason, steps = raw
    about = cut(aor) if type(aor) is str else aor
    return at, cut(method), cut(uri), about, cut(call_id), cseq, transport, peer, status, cut(reason), steps


def _refused(one: Decision | RawDecision) -> bool:
    if one[_STATUS] in (401, 407):
        steps = one[_STEPS]
        return bool(steps) and _text(steps[-1][_REASON]) not in ONLY_ASK
    return one[_STATUS] >= 400


def _made(one: Decision | RawDecision) -> Decision:
    if isinstance(one, Decision):
        return one
    at, method, uri, aor, call_id, cseq, transport, peer, status, reason, raw = one
    # The clock may have been set back meanwhile.
    steps = tuple(
        [Step(asked, verdict, _text(detail), max(0.0, seconds)) for asked, verdict, detail, seconds in raw]
    )
    return Decision(at, method, uri, _text(aor), call_id, cseq, transport, peer, status, reason, steps)


def _text(detail: Detail) -> str:
    if isinstance(detail, tuple):
        make, *arguments = detail
        try:
            detail = make(*arguments)
        except Exception:
            _log.failure("a decision cannot be put into words")
            return ""
    return cut(str(detail))
