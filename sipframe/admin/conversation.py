"""One client of the admin socket: a request, its answer, the end.

Rules: a client costs a bounded amount of memory and, unless it watches, a bounded time. Its request is no longer than
:data:`~sipframe.admin.protocol.LONGEST_REQUEST`. Items are made when there is room to send them. Who takes nothing for
``patience`` seconds is cut off; what happens meanwhile in a watch is queued up to a limit, then only counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from enum import Enum, auto
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sipframe.admin.commands import Answer, Unanswerable
from sipframe.admin.protocol import LONGEST_REQUEST, ErrorKind, Malformed, encoded

__all__ = ["MOST_QUEUED", "MOST_QUEUED_OCTETS", "Conversation"]

_log = Logger()

MOST_QUEUED: Final = 1000
"""Items of a watch that wait for a client that does not read."""
MOST_QUEUED_OCTETS: Final = 4_194_304
"""Octets that these take, but for the last one's."""

Line = dict[str, Any]


class _Phase(Enum):
    ASKING = auto()
    """The request has not come yet."""
    FINDING = auto()
    """The answer has not been found yet."""
    SENDING = auto()
    ENDING = auto()
    """The last line has been written."""
    GONE = auto()


@implementer(IHalfCloseableProtocol, IPushProducer)
class Conversation(Protocol):
    """``answer`` finds the answer to a request line, ``came`` and ``left`` are told when it begins and is gone."""

    def __init__(
        self,
        clock: Any,
        patience: float,
        answer: Callable[[bytes], Coroutine[Any, Any, Answer]],
        came: Callable[[Conversation], None],
        left: Callable[[Conversation], None],
    ) -> None:
        self._clock = clock
        self._patience = patience
        self._answer = answer
        self._came = came
        self._left = left
        self._phase = _Phase.ASKING
        self._request = bytearray()
        self._octets = 0
        self._finding: Deferred[None] | None = None
        self._lines: Iterator[bytes | None] = iter(())
        self._unfollow: Callable[[], None] | None = None
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._missed = 0
        self._paused = False
        self._deadline: IDelayedCall | None = None

    # What Twisted calls.

    def connectionMade(self) -> None:
        """Wait for the request, but not for ever."""
        self._came(self)
        self._arm()

    def dataReceived(self, data: bytes) -> None:
        """Collect the request. What comes after its line is passed over, as long as it is not much."""
        self._octets += len(data)
        if self._phase is _Phase.ASKING:
            line, end, _ = data.partition(b"\n")
            self._request += line
            if len(self._request) >= LONGEST_REQUEST:
                self._fail(ErrorKind.REQUEST, f"a request has no more than {LONGEST_REQUEST} octets")
            elif end:
                self._find()
        elif self._octets > 2 * LONGEST_REQUEST:
            self.abort()

    def readConnectionLost(self) -> None:
        """The client has nothing more to say: that ends a watch; any other answer it still gets."""
        if self._phase is _Phase.ASKING:
            self._fail(ErrorKind.REQUEST, "the request does not end with LF")
        elif self._unfollow is not None:
            self._end()

    def writeConnectionLost(self) -> None:
        """Nothing: we never close one side only."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let go of everything."""
        self._let_go(_Phase.GONE)
        self._disarm()
        self._left(self)

    def pauseProducing(self) -> None:
        """The client does not take what we write."""
        self._paused = True
        self._arm()

    def resumeProducing(self) -> None:
        """It has taken all of it."""
        self._paused = False
        self._pump()

    def stopProducing(self) -> None:
        """The connection is lost; :meth:`connectionLost` follows."""

    # What the server calls.

    def abort(self) -> None:
        """End at once; what is not sent is lost."""
        self._out().abortConnection()

    # Steps.

    def _find(self) -> None:
        self._phase = _Phase.FINDING
        self._arm()
        finding = Deferred.fromCoroutine(self._answer(bytes(self._request)))
        self._finding = finding.addCallback(self._found).addErrback(self._not_found)

    def _found(self, answer: Answer) -> None:
        if self._phase is not _Phase.FINDING:
            return
        self._phase = _Phase.SENDING
        self._lines = self._lines_of(answer)
        if answer.follow is not None:
            self._unfollow = answer.follow(self._happened)
        self._out().registerProducer(self, True)
        self._pump()

    def _not_found(self, failure: Failure) -> None:
        error = failure.value
        if self._phase in (_Phase.ENDING, _Phase.GONE):
            return
        if isinstance(error, Malformed):
            self._fail(ErrorKind.REQUEST, str(error))
        elif isinstance(error, Unanswerable):
            self._fail(error.kind, str(error))
        else:
            self._broken(failure)

    def _lines_of(self, answer: Answer) -> Iterator[bytes | None]:
        """All lines of an answer in turn; None when there is nothing to send now."""
        for item in answer.items:
            yield encoded({"item": item})
        if answer.follow is None:
            yield encoded({"end": answer.end})
            return
        yield encoded({"live": answer.end})
        while True:
            while self._queue:
                line = self._queue.popleft()
                self._queued -= len(line)
                yield line
            missed, self._missed = self._missed, 0
            yield encoded({"missed": missed}) if missed else None

    def _happened(self, item: Line | Callable[[], Line]) -> bool:
        room = len(self._queue) < MOST_QUEUED and self._queued < MOST_QUEUED_OCTETS and not self._missed
        if room:
            line = encoded({"item": item() if callable(item) else item})
            self._queue.append(line)
            self._queued += len(line)
        else:
            self._missed += 1
        self._pump()
        return room

    def _pump(self) -> None:
        """Send what there is, until the client has enough for now."""
        if self._paused or self._phase is not _Phase.SENDING:
            return
        self._disarm()  # what waits for something to happen waits for ever
        try:
            while not self._paused:
                line = next(self._lines)
                if line is None:
                    return
                self._out().write(line)
        except StopIteration:
            self._end()
        except Exception:
            self._broken(Failure())

    def _broken(self, failure: Failure) -> None:
        _log.failure("a question on the admin socket cannot be answered", failure)
        self._fail(ErrorKind.FAILED, "the server cannot answer that; its log says why")

    def _fail(self, kind: ErrorKind, text: str) -> None:
        self._out().write(encoded({"error": {"kind": kind, "text": text}}))
        self._end()

    def _end(self) -> None:
        if self._phase is _Phase.SENDING:
            self._out().unregisterProducer()
        self._let_go(_Phase.ENDING)
        self._out().loseConnection()
        self._arm()

    def _let_go(self, phase: _Phase) -> None:
        """Nothing more is found, followed or sent."""
        self._phase = phase
        self._lines = iter(())
        self._queue.clear()
        self._queued = 0
        if self._unfollow is not None:
            self._unfollow()
            self._unfollow = None
        if self._finding is not None:
            self._finding.cancel()
            self._finding = None

    def _out(self) -> Any:
        return self.transport

    def _arm(self) -> None:
        self._disarm()
        self._deadline = self._clock.callLater(self._patience, self._expire)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        if self._phase is _Phase.FINDING:
            self._fail(ErrorKind.FAILED, f"no answer within {self._patience:g} s")
        else:
            self.abort()
