"""Where requests of ours go: RFC 3263, by name servers or by what is known without them.

Rules: what is known costs no Deferred. A look-up has a deadline, and so has each of its questions; how many wait is
bounded. A name server that is dead, and a domain that is broken, are the trouble of those requests that need them: they
fail with Unroutable, which shuts out nobody else. Chance is an argument.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.python.failure import Failure
from zope.interface import implementer

from sipframe.interfaces import IComposed
from sipframe.message import Response, SipURI, Via
from sipframe.roads import Hop, Unroutable, destination_of
from sipframe.transport.locating.back_off import BackOff
from sipframe.transport.locating.hosts import HostsFile
from sipframe.transport.locating.name_servers import DNSClient, NameServers
from sipframe.transport.locating.names import Names
from sipframe.transport.locating.procedure import Ours, Steps, locate, locate_response
from sipframe.transport.locating.records import Question
from sipframe.transport.locating.settings import ResolverSettings

__all__ = ["SIPResolver"]


# The guard of a plug-in would count the silence of one domain's name servers against all others.
@implementer(IComposed)
class SIPResolver:
    """Finds hops (:class:`sipframe.uac.Resolver`).

    ``reactor`` provides IReactorTime, and without ``client`` IReactorUDP and IReactorTCP. ``client`` is asked in the
    place of the system's name servers. ``versions(transport)`` says which IP versions a transport can leave by; without
    it that is both. ``entropy(n)`` gives n octets that nobody can guess.
    """

    def __init__(
        self,
        reactor: object,
        settings: ResolverSettings | None = None,
        *,
        client: DNSClient | None = None,
        versions: Callable[[str], Collection[int]] | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        settings = ResolverSettings() if settings is None else settings
        clock: Any = reactor
        self.settings = settings
        self._clock = clock
        self._versions = versions
        self._entropy = entropy
        self._hosts = HostsFile(settings.hosts)
        self._name_servers = NameServers(reactor, settings)
        self.names = Names(clock, self._name_servers if client is None else client, self._hosts, settings)
        self.back_off = BackOff(clock.seconds, settings.back_off, settings.most_back_off, settings.backed_off)
        """The places that have failed."""
        self._ours = Ours(
            settings.transports,
            self._versions_of,
            lambda name: bool(self._hosts.addresses(name)),
            self._chance,
            settings.most_targets,
        )
        self.waiting = 0
        """Look-ups that wait for name servers."""

    def resolve(self, uri: SipURI) -> list[Hop] | Deferred[list[Hop]]:
        """The hops to where ``uri`` points, the first one to be tried first; at once when nobody need be asked.

        Raises Unroutable, or the Deferred fails with it.
        """
        hop = _numeric(uri)
        return self._run(locate(uri, self._ours)) if hop is None else [hop]

    def resolve_response(self, via: Via) -> list[Hop] | Deferred[list[Hop]]:
        """The hops for a response whose flow is gone, by its top Via (RFC 3263 5). Raises as :meth:`resolve` does."""
        return self._run(locate_response(via, self._ours))

    def failed(self, hop: Hop, response: Response | None = None) -> None:
        """``hop`` could not be reached or was silent, or ``response``, a 503, has come from there (RFC 3263 4.3)."""
        self.back_off.failed(hop, response)

    def close(self) -> None:
        """Give up on every look-up; no socket is left and nothing on the clock."""
        self.names.close()
        self._name_servers.close()

    def _run(self, steps: Steps) -> list[Hop] | Deferred[list[Hop]]:
        names = self.names
        try:
            questions = next(steps)
            while True:
                answers = [known for known in map(names.known, questions) if known is not None]
                if len(answers) < len(questions):
                    break
                questions = steps.send(answers)
        except StopIteration as end:
            return self._ordered(end.value)
        if self.waiting >= self.settings.most_lookups:
            raise Unroutable(503, "too many look-ups wait for name servers")
        self.waiting += 1
        found = Deferred.fromCoroutine(self._ask(steps, questions))
        _ = found.addTimeout(self.settings.deadline, self._clock)
        return found.addCallbacks(self._found, self._not_found)

    async def _ask(self, steps: Steps, questions: tuple[Question, ...]) -> list[Hop]:
        try:
            while True:
                asked = [self.names.ask(one) for one in questions]
                questions = steps.send([await one for one in asked])
        except StopIteration as end:
            hops: list[Hop] = end.value
            return hops

    def _found(self, hops: list[Hop]) -> list[Hop]:
        self.waiting -= 1
        return self._ordered(hops)

    def _not_found(self, failure: Failure) -> Failure:
        self.waiting -= 1
        if failure.check(DeferredTimeout):
            raise Unroutable(503, "the name servers do not answer in time")
        return failure

    def _ordered(self, hops: list[Hop]) -> list[Hop]:
        return self.back_off.order(hops)[: self.settings.most_hops]

    def _versions_of(self, transport: str) -> list[int]:
        wanted = self.settings.versions
        if self._versions is None:
            return list(wanted)
        there = self._versions(transport)
        return [one for one in wanted if one in there]

    def _chance(self, below: int) -> int:
        # 64 bits for what is below 2**22: nobody could measure how unequal that is.
        return int.from_bytes(self._entropy(8), "big") % below


@lru_cache(maxsize=4096)
def _numeric(uri: SipURI) -> Hop | None:
    """The hop of a URI with an address for a host, which needs no look-up; None when it has a name."""
    destination = destination_of(uri)
    return destination.hop(destination.host) if destination.numeric else None
