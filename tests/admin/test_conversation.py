"""One client, on a clock that the test turns, over a transport that shows what was sent."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, capturedLogs

from sipframe.admin.commands import Answer, Happened, Unanswerable
from sipframe.admin.conversation import MOST_QUEUED, MOST_QUEUED_OCTETS, Conversation
from sipframe.admin.protocol import LONGEST_REQUEST, ErrorKind, Malformed

PATIENCE = 10.0
ITEMS = [{"number": number} for number in range(3)]
LINES = [*({"item": item} for item in ITEMS), {"end": {"sum": 3}}]


class Transport(StringTransport):
    """Its peer takes a write at a time, when it is ``slow``, and more when the test says so."""

    slow = False

    def write(self, data: bytes) -> None:
        super().write(data)  # type: ignore[no-untyped-call]
        if self.slow:
            assert self.producer is not None
            self.producer.pauseProducing()


class Line:
    """A conversation and both its ends: what was asked, what came back, and whether it is over."""

    def __init__(self, find: Callable[[], object]) -> None:
        self.asked: list[bytes] = []
        self.here: list[Conversation] = []
        self.clock = Clock()
        self.transport: Any = Transport()  # type: ignore[no-untyped-call]
        self._find = find
        self.conversation = Conversation(
            self.clock, PATIENCE, self._answer, self.here.append, self.here.remove
        )
        self.conversation.makeConnection(self.transport)  # type: ignore[no-untyped-call]

    async def _answer(self, line: bytes) -> Answer:
        self.asked.append(line)
        found: Any = self._find()
        if isinstance(found, Deferred):
            found = await found
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, Answer)
        return found

    def said(self) -> list[Any]:
        """What has come since the last time."""
        data = self.transport.value()
        self.transport.clear()
        assert data == b"" or data.endswith(b"\n")
        return [json.loads(line) for line in data.splitlines()]

    @property
    def closing(self) -> bool:
        return bool(self.transport.disconnecting)

    @property
    def aborted(self) -> bool:
        return bool(self.transport.disconnected)

    def lose(self) -> None:
        self.conversation.connectionLost()
        assert self.here == []
        assert self.clock.getDelayedCalls() == []


def answered(items: Iterable[dict[str, Any]] = tuple(ITEMS)) -> Answer:
    return Answer(items, {"sum": 3})


class Watched:
    """What a watch follows."""

    def __init__(self) -> None:
        self.happened: Happened | None = None

    def follow(self, happened: Happened) -> Callable[[], None]:
        self.happened = happened

        def end() -> None:
            self.happened = None

        return end

    def happens(self, number: int) -> None:
        assert self.happened is not None
        self.happened({"number": number})


@pytest.fixture
def logged() -> Iterator[Sequence[LogEvent]]:
    with capturedLogs() as events:
        yield events


def test_an_answer_ends_the_connection() -> None:
    line = Line(answered)
    line.conversation.dataReceived(b"question\nmore that nobody asked for\n")
    assert line.asked == [b"question"]
    assert line.said() == LINES
    assert line.closing
    line.lose()


@given(st.lists(st.integers(0, 9)))
def test_a_request_comes_in_any_pieces(cuts: list[int]) -> None:
    line = Line(answered)
    places = sorted({0, 9, *cuts})
    for begin, end in itertools.pairwise(places):
        assert line.asked == []
        line.conversation.dataReceived(b"question\n"[begin:end])
    assert line.asked == [b"question"]


def test_a_client_that_asks_nothing_is_cut_off() -> None:
    line = Line(answered)
    line.clock.advance(PATIENCE - 1)
    line.conversation.dataReceived(b"quest")  # slowness does not pay
    assert line.here == [line.conversation]
    line.clock.advance(1)
    assert line.aborted
    line.lose()


def test_a_request_that_is_too_long() -> None:
    line = Line(answered)
    for _ in range(LONGEST_REQUEST // 1024):
        assert not line.closing
        line.conversation.dataReceived(b"x" * 1024)
    assert line.said() == [{"error": {"kind": "request", "text": "a request has no more than 65536 octets"}}]
    assert line.closing
    assert line.asked == []
    line.conversation.dataReceived(b"x\nquestion\n")
    assert line.said() == []
    line.clock.advance(PATIENCE)  # it does not read what we said, either
    assert line.aborted
    line.lose()


def test_the_longest_request_there_is() -> None:
    line = Line(answered)
    line.conversation.dataReceived(b"x" * (LONGEST_REQUEST - 1) + b"\n")
    assert len(line.asked) == 1
    line.lose()


def test_who_talks_on_and_on_is_cut_off() -> None:
    line = Line(lambda: Answer([], {}, Watched().follow))
    line.conversation.dataReceived(b"watch\n")
    states = []
    for _ in range(2):
        states.append(line.aborted)
        line.conversation.dataReceived(b"\n" * LONGEST_REQUEST)
    assert [*states, line.aborted] == [False, False, True]
    line.lose()


def test_half_a_request() -> None:
    line = Line(answered)
    line.conversation.dataReceived(b"quest")
    line.conversation.readConnectionLost()
    assert line.said() == [{"error": {"kind": "request", "text": "the request does not end with LF"}}]
    assert line.closing
    line.lose()


def test_who_closes_its_side_still_gets_an_answer() -> None:
    waiting: Deferred[Answer] = Deferred()
    line = Line(lambda: waiting)
    line.conversation.dataReceived(b"question\n")
    line.conversation.readConnectionLost()
    line.conversation.writeConnectionLost()
    waiting.callback(answered())
    assert line.said() == LINES
    line.lose()


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (Malformed("not a line"), "request", "not a line"),
        (Unanswerable(ErrorKind.COMMAND, "no such thing"), "command", "no such thing"),
        (ZeroDivisionError("secret"), "failed", "the server cannot answer that; its log says why"),
    ],
)
@pytest.mark.parametrize("waits", [False, True])
def test_a_question_without_an_answer(
    error: Exception, kind: str, text: str, waits: bool, logged: Sequence[LogEvent]
) -> None:
    waiting: Deferred[Answer] = Deferred()
    line = Line(lambda: waiting if waits else error)
    line.conversation.dataReceived(b"question\n")
    if waits:
        assert line.said() == []
        waiting.errback(error)
    assert line.said() == [{"error": {"kind": kind, "text": text}}]
    assert line.closing
    assert len(logged) == (kind == "failed")
    line.lose()


def test_an_answer_that_breaks_off(logged: Sequence[LogEvent]) -> None:
    def items() -> Iterator[dict[str, Any]]:
        yield {"number": 0}
        raise ZeroDivisionError

    line = Line(lambda: answered(items()))
    line.conversation.dataReceived(b"question\n")
    first, last = line.said()
    assert first == {"item": {"number": 0}}
    assert last["error"]["kind"] == "failed"
    assert line.closing
    assert len(logged) == 1
    line.lose()


def test_items_that_no_line_can_hold(logged: Sequence[LogEvent]) -> None:
    line = Line(lambda: answered([{"number": object()}]))
    line.conversation.dataReceived(b"question\n")
    [last] = line.said()
    assert last["error"]["kind"] == "failed"
    assert len(logged) == 1
    line.lose()


def test_an_answer_that_does_not_come() -> None:
    ends: list[type] = []
    waiting: Deferred[Answer] = Deferred(lambda _: ends.append(CancelledError))
    line = Line(lambda: waiting)
    line.conversation.dataReceived(b"question\n")
    line.clock.advance(PATIENCE)
    assert line.said() == [{"error": {"kind": "failed", "text": "no answer within 10 s"}}]
    assert line.closing
    assert ends == [CancelledError]
    line.lose()


def test_a_client_that_leaves_before_its_answer(logged: Sequence[LogEvent]) -> None:
    waiting: Deferred[Answer] = Deferred()
    line = Line(lambda: waiting)
    line.conversation.dataReceived(b"question\n")
    line.lose()
    assert waiting.called
    assert (line.said(), list(logged)) == ([], [])


def test_items_are_made_when_there_is_room_for_them() -> None:
    made: list[int] = []

    def items() -> Iterator[dict[str, Any]]:
        for number in range(3):
            made.append(number)
            yield {"number": number}

    line = Line(lambda: answered(items()))
    line.transport.slow = True
    line.conversation.dataReceived(b"question\n")
    said = []
    for number in range(3):
        assert made == list(range(number + 1))
        said += line.said()
        line.clock.advance(PATIENCE - 1)
        line.conversation.resumeProducing()
    assert [*said, *line.said()] == LINES
    line.lose()


def test_a_client_that_takes_nothing_is_cut_off() -> None:
    line = Line(answered)
    line.transport.slow = True
    line.conversation.dataReceived(b"question\n")
    assert line.said() == LINES[:1]
    line.clock.advance(PATIENCE)
    assert line.aborted
    line.conversation.stopProducing()
    line.lose()


def test_a_watch_waits_for_ever() -> None:
    watched = Watched()
    line = Line(lambda: Answer(ITEMS, {"sum": 3}, watched.follow))
    line.conversation.dataReceived(b"watch\n")
    assert line.said() == [*LINES[:-1], {"live": {"sum": 3}}]
    line.clock.advance(1e6)
    watched.happens(7)
    assert line.said() == [{"item": {"number": 7}}]
    assert (line.closing, line.aborted) == (False, False)
    line.lose()
    assert watched.happened is None


def test_a_watch_ends_when_the_client_closes_its_side() -> None:
    watched = Watched()
    line = Line(lambda: Answer([], {}, watched.follow))
    line.conversation.dataReceived(b"watch\n")
    line.conversation.readConnectionLost()
    assert watched.happened is None
    assert line.closing
    line.lose()


def test_nothing_is_lost_between_what_was_known_and_what_happens() -> None:
    watched = Watched()
    line = Line(lambda: Answer(ITEMS, {}, watched.follow))
    line.transport.slow = True
    line.conversation.dataReceived(b"watch\n")
    watched.happens(7)
    line.transport.slow = False
    line.conversation.resumeProducing()
    assert line.said() == [*LINES[:-1], {"live": {}}, {"item": {"number": 7}}]
    line.lose()


def test_what_a_slow_watcher_misses_is_counted_where_it_is_missing() -> None:
    watched = Watched()
    line = Line(lambda: Answer([], {}, watched.follow))
    line.conversation.dataReceived(b"watch\n")
    line.said()
    line.conversation.pauseProducing()
    for number in range(MOST_QUEUED + 5):
        watched.happens(number)
    assert line.said() == []
    line.conversation.resumeProducing()
    watched.happens(-1)
    said = line.said()
    assert said[MOST_QUEUED - 1 :] == [
        {"item": {"number": MOST_QUEUED - 1}},
        {"missed": 5},
        {"item": {"number": -1}},
    ]
    line.lose()


def test_large_items_count_by_their_octets_and_what_is_missed_is_not_made() -> None:
    watched = Watched()
    line = Line(lambda: Answer([], {}, watched.follow))
    line.conversation.dataReceived(b"watch\n")
    line.said()
    line.conversation.pauseProducing()
    made: list[int] = []

    def make() -> dict[str, Any]:
        made.append(1)
        return {"text": "x" * (MOST_QUEUED_OCTETS // 3)}

    assert watched.happened is not None
    assert [watched.happened(make) for _ in range(5)] == [True, True, True, False, False]
    assert len(made) == 3
    line.conversation.resumeProducing()
    assert [next(iter(one)) for one in line.said()] == ["item", "item", "item", "missed"]
    line.conversation.pauseProducing()
    assert watched.happened(make)
    line.lose()


def test_what_happens_does_not_put_the_end_of_patience_off() -> None:
    watched = Watched()
    line = Line(lambda: Answer([], {}, watched.follow))
    line.conversation.dataReceived(b"watch\n")
    line.conversation.pauseProducing()
    for number in range(10):
        watched.happens(number)
        line.clock.advance(PATIENCE / 10)
    assert line.aborted
    line.lose()
