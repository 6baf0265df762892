"""Name servers that a test decides about: a zone in a few lines of text, and who is silent, slow or broken."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSServerError

__all__ = ["FakeNameServers", "records_of", "zone_of"]


def records_of(text: str, default_ttl: int = 300) -> list[tuple[str, int, Any]]:
    """``NAME [TTL] TYPE DATA`` per line, as RFC 1035 5.1 has it, names without their final dot allowed."""
    made: list[tuple[str, int, Any]] = []
    for line in text.splitlines():
        name, *words = line.partition(";")[0].split() or [""]
        if not name:
            continue
        ttl = int(words.pop(0)) if words[0].isdecimal() else default_ttl
        kind, *data = words
        if kind == "NAPTR":
            order, preference, flags, service, regexp, replacement = [one.strip('"') for one in data]
            target = b"" if replacement == "." else replacement.encode()
            record: Any = dns.Record_NAPTR(
                order, preference, flags.encode(), service.encode(), regexp.encode(), target, ttl
            )
        elif kind == "SOA":
            record = dns.Record_SOA(b"ns", b"root", 1, 1, 1, 1, int(data[0]), ttl)
        else:
            fields: list[Any] = [*map(int, data[:-1]), b"" if data[-1] == "." else data[-1]]
            record = getattr(dns, f"Record_{kind}")(*fields, ttl=ttl)
        made.append((name.rstrip(".").lower(), ttl, record))
    return made


def zone_of(text: str) -> dict[str, list[tuple[int, Any]]]:
    zone: dict[str, list[tuple[int, Any]]] = {}
    for name, ttl, record in records_of(text):
        zone.setdefault(name, []).append((ttl, record))
    return zone


class FakeNameServers:
    """A :class:`sipframe.transport.DNSClient`. ``asked`` is every question, as ``TYPE NAME``.

    What is in ``silent`` is never answered, what is in ``broken`` with SERVFAIL: questions, or names of any type. Every
    answer takes ``delay`` seconds of ``clock``. Whoever asks about an alias gets all that it leads to, unless
    ``aliases`` is False: then only the alias. ``soa`` goes with what is not there.
    """

    def __init__(self, clock: Clock, zone: str = "") -> None:
        self.clock = clock
        self.zone = zone_of(zone)
        self.asked: list[str] = []
        self.silent: set[str] = set()
        self.broken: set[str] = set()
        self.delay = 0.0
        self.aliases = True
        self.soa = ""
        self.open = 0
        self.raising: Exception | None = None

    def lookupNamingAuthorityPointer(self, name: bytes) -> Deferred[Any]:
        return self._ask(name, dns.NAPTR)

    def lookupService(self, name: bytes) -> Deferred[Any]:
        return self._ask(name, dns.SRV)

    def lookupAddress(self, name: bytes) -> Deferred[Any]:
        return self._ask(name, dns.A)

    def lookupIPV6Address(self, name: bytes) -> Deferred[Any]:
        return self._ask(name, dns.AAAA)

    def _ask(self, octets: bytes, kind: int) -> Deferred[Any]:
        name = octets.decode()
        question = f"{dns.QUERY_TYPES[kind]} {name}"
        self.asked.append(question)
        if self.raising is not None:
            raise self.raising
        if {question, name} & self.silent:
            self.open += 1
            waiting: Deferred[Any] = Deferred(self._give_up)
            return waiting
        if {question, name} & self.broken:
            return fail(DNSServerError(dns.Message()))
        if not self.delay:
            return self._answer(name, kind)
        later: Deferred[Any] = Deferred()
        self.clock.callLater(self.delay, later.callback, None)
        return later.addCallback(lambda _: self._answer(name, kind))

    def _give_up(self, _: object) -> None:
        self.open -= 1

    def _answer(self, name: str, kind: int) -> Deferred[Any]:
        authority = [
            dns.RRHeader(owner, dns.SOA, dns.IN, ttl, record) for owner, ttl, record in records_of(self.soa)
        ]
        if name not in self.zone:
            message = dns.Message(rCode=dns.ENAME)
            message.authority = authority
            return fail(DNSNameError(message))
        answers: list[Any] = []
        owner, left = name, 10
        while owner in self.zone and left:
            left -= 1
            for ttl, record in self.zone[owner]:
                if record.TYPE in (kind, dns.CNAME):
                    answers.append(dns.RRHeader(owner, record.TYPE, dns.IN, ttl, record))
            if not answers or answers[-1].type != dns.CNAME or not self.aliases:
                break
            owner = answers[-1].payload.name.name.decode().rstrip(".").lower()
        return succeed((answers, [] if answers else authority, []))
