"""Questions to name servers, asked no more than needed: remembered, shared, bounded, each with a deadline.

Rules: an answer that is known costs no Deferred and no timer. Of several who ask the same, one asks the name servers;
it goes on when they have left, since its answer is good for the next one. A question never fails: what came of it is
an :class:`Answer`, and a failure is one that is remembered for a moment as well (RFC 9520 3.2).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import CannotListenError, ConnectError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sipframe.transport.locating.cache import AnswerCache
from sipframe.transport.locating.hosts import HostsFile
from sipframe.transport.locating.name_servers import DNSClient
from sipframe.transport.locating.records import (
    LONGEST_NAME,
    Answer,
    Question,
    Reading,
    read_answer,
    ttl_of_nothing,
)
from sipframe.transport.locating.settings import ResolverSettings

__all__ = ["Names"]

_log = Logger()

_SILENT = "the name servers do not answer"


class Names:
    """Answers of ``client``; addresses in ``hosts`` come first. ``clock`` provides IReactorTime."""

    def __init__(
        self, clock: IReactorTime, client: DNSClient, hosts: HostsFile, settings: ResolverSettings
    ) -> None:
        self._clock = clock
        self._hosts = hosts
        self._settings = settings
        self._cache = AnswerCache(settings.cached, clock.seconds)
        self._methods: dict[str, Callable[[bytes], Deferred[Any]]] = {
            "NAPTR": client.lookupNamingAuthorityPointer,
            "SRV": client.lookupService,
            "A": client.lookupAddress,
            "AAAA": client.lookupIPV6Address,
        }
        self._open: dict[Question, list[Deferred[Answer]]] = {}
        self._asked: dict[Question, Deferred[Any]] = {}
        self._closed = False

    @property
    def open(self) -> int:
        """Questions that wait for name servers."""
        return len(self._open)

    @property
    def remembered(self) -> int:
        """Answers that are kept."""
        return len(self._cache)

    def known(self, question: Question) -> Answer | None:
        """The answer, if nobody need be asked."""
        if question.kind in ("A", "AAAA"):
            found = self._hosts.addresses(question.name)
            if found:
                return Answer(tuple([one for one in found if (":" in one) == (question.kind == "AAAA")]))
        if len(question.name) > LONGEST_NAME:
            return Answer()  # what a long domain and a prefix make is no name
        return self._cache.get(question)

    def ask(self, question: Question) -> Deferred[Answer]:
        """The answer, in its time."""
        known = self.known(question)
        if known is not None:
            return succeed(known)
        waiting = self._open.get(question)
        if waiting is None:
            if self._closed:
                return succeed(Answer(failure="the server is stopping"))
            if len(self._open) >= self._settings.most_questions:
                return succeed(Answer(failure="too many questions to name servers are open"))
            waiter: Deferred[Answer] = Deferred()
            self._open[question] = [waiter]
            asked = Deferred.fromCoroutine(self._reading(question))
            _ = asked.addTimeout(self._settings.question_deadline, self._clock)
            self._asked[question] = asked
            _ = asked.addCallbacks(partial(self._came, question), partial(self._broke, question))
            return waiter
        waiter = Deferred()
        waiting.append(waiter)
        return waiter

    def close(self) -> None:
        """Give up on every question; nothing is left on the clock."""
        self._closed = True
        for asked in tuple(self._asked.values()):
            asked.cancel()

    async def _reading(self, question: Question) -> Reading:
        """What the name servers say, aliases followed."""
        from twisted.names.error import AuthoritativeDomainError, DNSNameError, DomainError

        asked, passed, ttl = question, {question.name}, self._settings.most_ttl
        for _ in range(self._settings.most_aliases + 1):
            try:
                answers, authority, _additional = await self._methods[asked.kind](asked.name.encode("ascii"))
            except DNSNameError as error:
                message = error.args[0] if error.args else None
                return Reading(Answer(), ttl_of_nothing(getattr(message, "authority", ())))
            except (AuthoritativeDomainError, DomainError) as error:
                if type(error) in (AuthoritativeDomainError, DomainError):
                    return Reading(Answer(), None)
                raise
            reading = read_answer(asked, answers, authority, self._settings.most_records)
            if not reading.alias:
                return reading if reading.ttl is None else reading._replace(ttl=min(ttl, reading.ttl))
            ttl = ttl if reading.ttl is None else min(ttl, reading.ttl)
            if reading.alias in passed:
                break
            passed.add(reading.alias)
            asked = Question(reading.alias, asked.kind)
        return Reading(Answer(), None)  # a circle, or too long a way

    def _came(self, question: Question, reading: Reading) -> None:
        settings = self._settings
        most = settings.most_ttl if reading.answer.records else settings.negative_ttl
        ttl = most if reading.ttl is None else reading.ttl
        self._end(question, reading.answer, min(max(ttl, settings.least_ttl), most))

    def _broke(self, question: Question, failure: Failure) -> None:
        error = failure.value
        if self._closed:
            reason = "the server is stopping"
        elif isinstance(error, DeferredTimeout | CancelledError):
            reason = _SILENT
        elif isinstance(error, ValueError):  # DomainError: SERVFAIL, REFUSED and the like
            reason = "the name servers cannot say"
        else:
            reason = "the name servers cannot be asked"
            if not isinstance(error, OSError | ConnectError | CannotListenError):
                _log.failure("the question for {question} failed", failure, question=question)
        self._end(question, Answer(failure=reason), self._settings.failure_ttl)

    def _end(self, question: Question, answer: Answer, ttl: float) -> None:
        self._cache.put(question, answer, ttl)
        _ = self._asked.pop(question, None)
        for waiter in self._open.pop(question):
            if not waiter.called:
                waiter.callback(answer)
