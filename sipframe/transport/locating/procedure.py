"""The way from a URI, or from a Via, to hops (RFC 3263 4 and 5, RFC 7984).

Rules: pure. A procedure is a generator: it yields questions that may be asked all at once, is sent their answers in the
same order, and returns hops, the first one to be tried first; it raises Unroutable. It asks four times at most: for
NAPTR, for SRV, for addresses, and for addresses of the domain itself. A ``sips`` URI has hops over TLS only, and what a
hop's certificate must prove is the URI's domain, whatever the look-up made of it (RFC 5922 7.3).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple, TypeVar

from sipframe.message import SipURI, Via
from sipframe.roads import DEFAULT_PORTS, Destination, Hop, Unroutable, destination_of
from sipframe.transport.locating.records import NAPTR, SRV, Answer, Kind, Question, canonical
from sipframe.transport.locating.weights import in_order

__all__ = ["Ours", "Steps", "locate", "locate_response"]

T = TypeVar("T")
Asking = Generator[tuple[Question, ...], Sequence[Answer], T]
Steps = Asking[list[Hop]]

_SERVICES: Final = {"SIP+D2U": "UDP", "SIP+D2T": "TCP", "SIPS+D2T": "TLS"}  # RFC 3263 9
_PREFIXES: Final = {"UDP": "_sip._udp.", "TCP": "_sip._tcp.", "TLS": "_sips._tcp."}
_KINDS: Final[dict[int, Kind]] = {4: "A", 6: "AAAA"}


class Ours(NamedTuple):
    """What this end can do, and prefers."""

    transports: Sequence[str]
    """What a ``sip`` URI may be sent over, the preferred one first."""
    versions: Callable[[str], Sequence[int]]
    """The IP versions that a transport can leave by, the preferred one first."""
    local: Callable[[str], bool]
    """Whether the addresses of a name are known without any name server."""
    chance: Callable[[int], int]
    most_targets: int


class _Place(NamedTuple):
    """A host that the destination may be found at."""

    destination: Destination
    name: str


def locate(uri: SipURI, ours: Ours) -> Steps:
    """The hops to where ``uri`` points (RFC 3263 4)."""
    destination = destination_of(uri)
    if destination.numeric:
        return [destination.hop(destination.host)]
    name = _name(destination.host)
    sips = uri.scheme == "sips"
    chosen = sips or uri.param("transport") is not None
    if not chosen and not ours.versions(destination.transport):
        # The default is UDP, but no socket of ours speaks it.
        others = [one for one in ours.transports if ours.versions(one)]
        if others:
            destination = _over(destination, others[0], uri)
    if uri.port or ours.local(name):
        return (yield from _addresses_of(destination, name, ours))
    possible = [destination.transport] if chosen else [one for one in ours.transports if ours.versions(one)]
    if uri.param("transport") is None:
        # RFC 3263 4.1: NAPTR, where neither transport nor port is given.
        pointers = yield from _pointers(name, possible, ours.most_targets)
        if pointers:
            hops = yield from _follow(pointers, destination, uri, ours)
            if hops:
                return hops
            # RFC 3263 4.2: no SRV records; the domain's own addresses, over the transport that NAPTR has chosen.
            destination = _over(destination, _SERVICES[pointers[0].service], uri)
            return (yield from _addresses_of(destination, name, ours))
    return (
        yield from _services_of(name, destination, [_over(destination, one, uri) for one in possible], ours)
    )


def locate_response(via: Via, ours: Ours) -> Steps:
    """The hops to where a response goes whose flow is gone: to the sent-by of its top Via (RFC 3263 5)."""
    transport = via.transport
    if transport not in DEFAULT_PORTS:
        raise Unroutable(503, f"the transport {transport} is not spoken here")
    host, port = via.sent_by
    host = host.strip("[]")
    identity = host.rstrip(".") if transport == "TLS" else ""
    numeric = _is_numeric(host)
    destination = Destination(
        transport, host, port or DEFAULT_PORTS[transport], identity, tcp_too=False, numeric=numeric
    )
    if numeric:
        return [destination.hop(host)]
    name = _name(host)
    if port or ours.local(name):
        return (yield from _addresses_of(destination, name, ours))
    return (yield from _services_of(name, destination, [destination], ours))


def _pointers(name: str, possible: Sequence[str], most: int) -> Asking[list[NAPTR]]:
    """The NAPTR records to follow, in their order."""
    (answer,) = yield (Question(name, "NAPTR"),)
    # Without an answer it goes on as without records: a domain must have SRV records under its own name as well.
    usable: list[NAPTR] = [
        one
        for one in answer.records
        if one.flags in ("S", "A")
        and not one.regexp  # RFC 3263 4.1: it is empty
        and one.replacement
        and _SERVICES.get(one.service) in possible
    ]
    if not usable:
        return []
    # RFC 2915 2: once one matches, those of a higher order MUST NOT be considered; the same order, by preference.
    order = min([one.order for one in usable])
    return sorted([one for one in usable if one.order == order], key=lambda one: one.preference)[:most]


def _follow(pointers: Iterable[NAPTR], destination: Destination, uri: SipURI, ours: Ours) -> Steps:
    """The hops that NAPTR records lead to; none when they lead nowhere."""
    ways = [(one, _over(destination, _SERVICES[one.service], uri)) for one in pointers]
    asked = dict.fromkeys([Question(one.replacement, "SRV") for one, _ in ways if one.flags == "S"])
    answers = dict(zip(asked, (yield tuple(asked)), strict=True)) if asked else {}
    places: list[_Place] = []
    for one, way in ways:
        if one.flags == "A":
            places.append(_Place(way, one.replacement))
        else:
            places += _places(answers[Question(one.replacement, "SRV")], way, ours)
    hops, _ = yield from _hops(places, ours)
    return hops


def _services_of(name: str, default: Destination, possible: Sequence[Destination], ours: Ours) -> Steps:
    """The hops by SRV: over the first of the transports that there are records for (RFC 3263 4.1, 4.2)."""
    asked = tuple([Question(_PREFIXES[one.transport] + name, "SRV") for one in possible])
    answers = (yield asked) if asked else ()
    for answer, way in zip(answers, possible, strict=True):
        places = _places(answer, way, ours)
        if places:
            hops, failure = yield from _hops(places, ours)
            if not hops:
                raise Unroutable(503, failure or f"the servers of {name} have no address")
            return hops
    for answer, way in zip(answers, possible, strict=True):
        if way.transport == default.transport and answer.failure:
            # Whether there are records nobody knows; what the domain itself is may be quite another host.
            raise Unroutable(503, f"{name}: {answer.failure}")
        if way.transport == default.transport and answer.records:
            raise Unroutable(503, f"{name} offers no SIP over {way.transport}")  # RFC 2782: the target is "."
    return (yield from _addresses_of(default, name, ours))


def _places(answer: Answer, way: Destination, ours: Ours) -> list[_Place]:
    records: list[SRV] = [one for one in answer.records if one.target]
    return [_Place(way._replace(port=one.port), one.target) for one in in_order(records, ours.chance)]


def _addresses_of(destination: Destination, name: str, ours: Ours) -> Steps:
    """The hops by addresses alone."""
    if not ours.versions(destination.transport):
        raise Unroutable(503, f"no {destination.transport} socket of ours leads anywhere")
    hops, failure = yield from _hops([_Place(destination, name)], ours)
    if not hops:
        raise Unroutable(503, f"{name}: {failure}" if failure else f"{name} has no address")
    return hops


def _hops(places: Sequence[_Place], ours: Ours) -> Asking[tuple[list[Hop], str]]:
    """The hops to ``places`` in their order, each only once; and why some are missing, if nobody knows them.

    RFC 7984 4: the addresses of two places are never mixed.
    """
    places = places[: ours.most_targets]
    asked = dict.fromkeys(
        [
            Question(name, _KINDS[version])
            for destination, name in places
            for version in ours.versions(destination.transport)
        ]
    )
    answers = dict(zip(asked, (yield tuple(asked)), strict=True)) if asked else {}
    hops: dict[Hop, None] = {}
    failure = ""
    for destination, name in places:
        for version in ours.versions(destination.transport):
            answer = answers[Question(name, _KINDS[version])]
            failure = failure or answer.failure
            for address in answer.records:
                hops[destination.hop(address)] = None
    return list(hops), failure


def _over(destination: Destination, transport: str, uri: SipURI) -> Destination:
    """The same over another transport, at the port of the URI or the default one."""
    return Destination(
        transport,
        destination.host,
        uri.port or DEFAULT_PORTS[transport],
        uri.host.strip("[]").rstrip(".").lower() if transport == "TLS" else "",
        tcp_too=transport == "UDP" and uri.param("transport") is None,
        numeric=destination.numeric,
    )


def _name(host: str) -> str:
    name = canonical(host)
    if not name:
        raise Unroutable(503, "the host is no domain name")
    return name


def _is_numeric(host: str) -> bool:
    try:
        _ = ip_address(host)
    except ValueError:
        return False
    return True
