"""Questions to name servers and what their answers say: NAPTR, SRV, A and AAAA (RFC 3403 4.1, RFC 2782, RFC 3596).

Rules: pure. Only records of the name that was asked about count, or of what it is an alias of within the same answer;
whatever else an answer brings is as if it were not there. What cannot be used is left out, and so is what is too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, Literal, NamedTuple

__all__ = [
    "LONGEST_NAME",
    "NAPTR",
    "SRV",
    "Answer",
    "Question",
    "Reading",
    "canonical",
    "read_answer",
    "ttl_of_nothing",
]

Kind = Literal["NAPTR", "SRV", "A", "AAAA"]

_CNAME: Final = 5
_SOA: Final = 6
_TYPES: Final = {"A": 1, "AAAA": 28, "SRV": 33, "NAPTR": 35}
_IN: Final = 1
LONGEST_NAME: Final = 253
"""Octets of a domain name in text (RFC 1035 2.3.4)."""
_LONGEST_LABEL: Final = 63


class Question(NamedTuple):
    """``name`` is :func:`canonical`."""

    name: str
    kind: Kind


class NAPTR(NamedTuple):
    """RFC 3403 4.1. ``flags`` and ``service`` are in upper case; ``regexp`` is whether there is one."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: bool
    replacement: str


class SRV(NamedTuple):
    """RFC 2782. ``target`` is empty for ``.``: the service is not to be had there."""

    priority: int
    weight: int
    port: int
    target: str


class Answer(NamedTuple):
    """``records`` are of the kind that was asked for; addresses are text."""

    records: tuple[Any, ...] = ()
    failure: str = ""
    """Why nobody knows whether there are records."""


class Reading(NamedTuple):
    """What one message of a name server says."""

    answer: Answer
    ttl: float | None
    """Seconds; None when it is not said."""
    alias: str = ""
    """The name to ask about instead."""


def canonical(name: str | bytes) -> str | None:
    """A domain name in lower case, without the final dot; None when no name server could know it (RFC 1035 2.3.4)."""
    if isinstance(name, bytes):
        try:
            name = name.decode("ascii")
        except UnicodeDecodeError:
            return None
    name = name.lower().removesuffix(".")
    if len(name) > LONGEST_NAME or not name.isascii() or not name.isprintable():
        return None
    if name and not all(0 < len(label) <= _LONGEST_LABEL for label in name.split(".")):
        return None
    return name


def read_answer(question: Question, answers: Sequence[Any], authority: Sequence[Any], most: int) -> Reading:
    """Read the sections of an answer (``twisted.names.dns.RRHeader``); of the records no more than ``most``."""
    wanted = _TYPES[question.kind]
    aliases: dict[str, tuple[str | None, int]] = {}
    found: dict[str, list[tuple[Any, int]]] = {}
    for header in answers:
        if header.cls != _IN or header.type not in (wanted, _CNAME):
            continue
        owner = canonical(header.name.name)
        if owner is None:
            continue
        if header.type == _CNAME:
            aliases.setdefault(owner, (canonical(header.payload.name.name), header.ttl))
            continue
        record = _record(question.kind, header.payload)
        if record is not None:
            found.setdefault(owner, []).append((record, header.ttl))
    name, ttls = question.name, []
    passed = {name}
    while name not in found and name in aliases:
        target, ttl = aliases[name]
        if not target or target in passed:
            return Reading(Answer(), None)  # it leads in a circle, or nowhere
        passed.add(target)
        name = target
        ttls.append(ttl)
    records = found.get(name, [])[:most]
    if not records and ttls:
        return Reading(Answer(), min(ttls), name)
    if not records:
        return Reading(Answer(), ttl_of_nothing(authority))
    return Reading(Answer(tuple([one for one, _ in records])), min([*ttls, *[ttl for _, ttl in records]]))


def ttl_of_nothing(authority: Sequence[Any]) -> float | None:
    """How long there are no such records (RFC 2308 5)."""
    for header in authority:
        if header.type == _SOA:
            return float(min(header.ttl, header.payload.minimum))
    return None


def _record(kind: Kind, payload: Any) -> Any:
    """None when it is of no use."""
    if kind == "A":
        return _usable(IPv4Address(payload.address))
    if kind == "AAAA":
        return _usable(IPv6Address(payload.address))
    if kind == "SRV":
        target = canonical(payload.target.name)
        if target is None or (target and not payload.port):
            return None
        return SRV(payload.priority, payload.weight, payload.port, target)
    replacement = canonical(payload.replacement.name)
    if replacement is None:
        return None
    return NAPTR(
        payload.order,
        payload.preference,
        payload.flags.string.decode("latin-1").upper(),
        payload.service.string.decode("latin-1").upper(),
        bool(payload.regexp.string),
        replacement,
    )


def _usable(address: IPv4Address | IPv6Address) -> str | None:
    """Nobody can be asked at an address of everybody or nobody, and an IPv4 address in the other's clothes is none."""
    mapped = isinstance(address, IPv6Address) and address.ipv4_mapped is not None
    return None if address.is_multicast or address.is_unspecified or mapped else str(address)
