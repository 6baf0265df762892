"""Progressive back-off for failed authentication.

What it knows it hears from the events of the registrar (docs/events.md). Rules:

- A failure is a REGISTER that was challenged because its credentials were wrong. A first challenge, a stale nonce and a
  nonce count that was used before are none.
- Nothing is counted against a user alone, or anybody could lock anybody out. A failure counts twice: against this
  source (an IPv4 address, an IPv6 /64) for this AOR and, with a larger allowance, against the source. So of the phones
  behind one NAT the one with a wrong password is held up; who tries many AORs, or many names for one, holds up all.
- Who is held up may still ask without credentials, and gets a challenge. Credentials are refused before anybody looks
  at them: 500 when it is for one AOR, 503 when it is for all (:mod:`sipframe.policy.rate_limit` has the reasons), with
  Retry-After. What is refused here is no failure.
- A peer (address and port) from which an AOR was proved is **proven**: it is not held up by what others at its source
  do, until it fails itself. Of one AOR at one source the last few such peers are remembered. Success forgives what was
  counted against the source for this AOR; what was counted against the source alone only time forgives.
- Over UDP an address can be forged. Who forges another's gets that address held up, but not its proven peers.

Every hold-up is an event, and the sources that are held up for all AORs are also written to a file, for a firewall.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, cast

import attrs
from zope.interface import implementer

from sipframe.domains import Domains
from sipframe.events import Event, Events
from sipframe.interfaces import ICloseable, IFlow
from sipframe.message import MessageError, SipURI
from sipframe.policy.ban_file import BanFile
from sipframe.policy.base import BasePolicy
from sipframe.policy.networks import Source, source_of, source_text
from sipframe.policy.rate_limit import retry_after
from sipframe.policy.strikes import Pace, Strikes, StrikeTable
from sipframe.verdicts import Address, Admitted, Rejected

if TYPE_CHECKING:
    from sipframe.message import Request

__all__ = ["BackOff", "BackOffSettings"]

_ADMITTED: Final = Admitted()
_MOST_PROVEN_PORTS: Final = 8

_Pair: TypeAlias = tuple[Source, str]
"""A source and an AOR; an empty AOR is all of them."""


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name}: must be more than 0, not {value}")


def _not_shorter(settings: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if value < settings.first_delay:
        raise ValueError(f"{attribute.name}: {value} is less than first_delay")


@attrs.frozen(kw_only=True)
class BackOffSettings:
    """Allowances, and times in seconds."""

    allowed: Annotated[int, "failures of one AOR at one address that cost nothing"] = attrs.field(
        default=5, validator=_positive
    )
    address_allowed: Annotated[int, "failures of all AORs at one address (IPv6: /64) that cost nothing"] = (
        attrs.field(default=50, validator=_positive)
    )
    first_delay: Annotated[float, "seconds that the next failure costs; each further one twice as many"] = (
        attrs.field(default=4.0, validator=_positive)
    )
    longest_delay: Annotated[float, "seconds that a failure costs at most"] = attrs.field(
        default=3600.0, validator=[_positive, _not_shorter]
    )
    forgive_every: Annotated[float, "seconds without a failure that make one forgiven"] = attrs.field(
        default=600.0, validator=_positive
    )
    reasons: Annotated[tuple[str, ...], "reasons of challenges that are failures"] = (
        "wrong digest",
        "unknown user",
    )
    most: Annotated[int, "addresses, pairs of address and AOR, and proven pairs to remember"] = attrs.field(
        default=100_000, validator=_positive
    )
    file: Annotated[Path | None, "where the held up addresses are listed: 'ADDRESS UNTIL' in each line"] = (
        None
    )
    file_every: Annotated[float, "seconds from one writing of the file to the next, at least"] = attrs.field(
        default=1.0, validator=_positive
    )


@implementer(ICloseable)
class BackOff(BasePolicy):
    """Holds up who fails to authenticate.

    ``reactor`` is an IReactorTime; ``wall_clock`` gives seconds since 1970; ``domains`` tell AORs. :meth:`close` ends
    its timers and subscription. Raises ValueError when the file cannot be written.
    """

    def __init__(
        self,
        settings: BackOffSettings | None = None,
        *,
        reactor: Any,
        wall_clock: Callable[[], float],
        domains: Domains,
        events: Events,
    ) -> None:
        settings = BackOffSettings() if settings is None else settings
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._domains = domains
        self._events = events
        self._reasons = frozenset(settings.reasons)
        self._most = settings.most

        def table(allowed: int) -> StrikeTable:
            pace = Pace(allowed, settings.first_delay, settings.longest_delay, settings.forgive_every)
            return StrikeTable(pace, settings.most)

        self._pairs = table(settings.allowed)
        self._pace = self._pairs.pace
        self._sources = table(settings.address_allowed)
        self._proven: OrderedDict[_Pair, tuple[int, ...]] = OrderedDict()
        self._held: dict[_Pair, Strikes] = {}
        self._ends: list[
            tuple[float, int, _Pair]
        ] = []  # a heap; the number is there because sources do not compare
        self._numbers = count()
        self._wake: Any = None
        self._file: BanFile | None = None
        if settings.file is not None:
            self._file = BanFile(settings.file, reactor, settings.file_every, self._lines)
        self._unsubscribe = events.subscribe(self._heard)

    # What the server asks.

    def admit(self, request: Request, flow: IFlow) -> Admitted | Rejected:
        """Refuse credentials from who is held up."""
        fields = request.fields
        if not self._held or not ("authorization" in fields or "proxy-authorization" in fields):
            return _ADMITTED
        host, port = flow.peer
        source = source_of(host)
        pair = (source, self._aor(request))
        if port in self._proven.get(pair, ()):
            return _ADMITTED
        for held, status in (((source, ""), 503), (pair, 500)):
            strikes = self._held.get(held)
            if strikes is not None:
                wait = self._pace.held(strikes, self._reactor.seconds())
                return Rejected(status, "Too Many Failures", retry_after(wait))
        return _ADMITTED

    def _aor(self, request: Request) -> str:
        """The AOR as the events have it."""
        try:
            if request.method != "REGISTER":
                sender = request.from_.uri
                return (self._domains.aor_of(sender) or "") if isinstance(sender, SipURI) else ""
            uri, to = request.uri, request.to.uri
        except MessageError:
            return ""
        if not (isinstance(uri, SipURI) and isinstance(to, SipURI)):
            return ""
        return self._domains.aor_asked(uri, to)

    # What it hears.

    def _heard(self, event: Event) -> None:
        name, fields = event
        if name in ("sipframe.registrar.challenged", "sipframe.proxy.challenged"):
            # A chain of authenticators has a reason from each.
            reasons = str(fields["reason"]).split("; ")
            if not self._reasons.isdisjoint(reasons):
                self._failed(cast(Address, fields["peer"]), str(fields["aor"]))
        elif name in ("sipframe.registrar.bound", "sipframe.registrar.fetched"):
            self._succeeded(cast(Address, fields["peer"]), str(fields["aor"]))

    def _failed(self, peer: Address, aor: str) -> None:
        host, port = peer
        source = source_of(host)
        now = self._reactor.seconds()
        self._count(self._sources, (source, ""), now)
        if aor:  # else it is about nobody of ours
            pair = (source, aor)
            ports = self._proven.get(pair, ())
            if port in ports:
                self._proven[pair] = tuple([one for one in ports if one != port])
            self._count(self._pairs, pair, now)

    def _succeeded(self, peer: Address, aor: str) -> None:
        host, port = peer
        pair = (source_of(host), aor)
        ports = self._proven.get(pair)
        if ports is not None:
            self._proven.move_to_end(pair)
        elif len(self._proven) >= self._most:
            _ = self._proven.popitem(last=False)
        if ports is None or port not in ports:
            self._proven[pair] = (*(ports or ()), port)[-_MOST_PROVEN_PORTS:]
        self._pairs.forget(pair)
        if pair in self._held:
            self._release(pair)

    # Who is held up.

    def _count(self, table: StrikeTable, pair: _Pair, now: float) -> None:
        strikes = table.fail(pair, now)
        if strikes.until <= now:
            return
        self._held[pair] = strikes
        if len(self._ends) > 2 * len(self._held):
            self._ends = [(one.until, next(self._numbers), held) for held, one in self._held.items()]
            heapify(self._ends)
        else:
            heappush(self._ends, (strikes.until, next(self._numbers), pair))
        self._watch()
        self._events.publish(
            "sipframe.policy.banned",
            address=source_text(pair[0]),
            aor=pair[1],
            until=self._wall_clock() + strikes.until - now,
            count=strikes.failures,
        )
        self._list(pair)

    def _release(self, pair: _Pair) -> None:
        strikes = self._held.pop(pair)
        self._events.publish(
            "sipframe.policy.unbanned",
            address=source_text(pair[0]),
            aor=pair[1],
            count=strikes.failures,
        )
        self._list(pair)

    def _watch(self) -> None:
        if self._ends:
            due = self._ends[0][0]
            if self._wake is None:
                delay = max(0.0, due - self._reactor.seconds())
                self._wake = self._reactor.callLater(delay, self._end)
            elif self._wake.getTime() > due:
                self._wake.reset(max(0.0, due - self._reactor.seconds()))

    def _end(self) -> None:
        self._wake = None
        now = self._reactor.seconds()
        while self._ends and self._ends[0][0] <= now:
            _, _, pair = heappop(self._ends)
            strikes = self._held.get(pair)
            if strikes is not None and strikes.until <= now:  # else it was forgiven, or made longer
                self._release(pair)
        self._watch()

    def _list(self, pair: _Pair) -> None:
        if self._file is not None and not pair[1]:
            self._file.changed()

    def _lines(self) -> list[tuple[str, float]]:
        ahead = self._wall_clock() - self._reactor.seconds()
        return [
            (source_text(source), strikes.until + ahead)
            for (source, aor), strikes in self._held.items()
            if not aor
        ]

    def close(self) -> None:
        """Hear and write nothing more."""
        self._unsubscribe()
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if self._file is not None:
            self._file.close()
