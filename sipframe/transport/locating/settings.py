"""Every limit of looking up where a request can go, each with its default.

Rules: nothing in this room is bounded by a number that is not here. Times are in seconds.
"""

from __future__ import annotations

import math
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal

import attrs

__all__ = ["ResolverSettings", "name_server"]

_DNS_PORT: Final = 53


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name}: must be more than 0, not {value}")


def _not_negative(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name}: must be 0 or more, not {value}")


def _each_once(_: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    if not value or len(set(value)) < len(value):
        raise ValueError(f"{attribute.name}: one at least, and none twice")


def _name_servers(_: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    for text in value:
        try:
            _ = name_server(text)
        except ValueError:
            raise ValueError(
                f"{attribute.name}: {text!r} is no numeric address, nor ADDRESS:PORT or [IPv6]:PORT"
            ) from None


def name_server(text: str) -> tuple[str, int]:
    """Address and port of ``192.0.2.1``, ``192.0.2.1:53``, ``2001:db8::1`` or ``[2001:db8::1]:53``; a zone may stand
    behind an IPv6 address. Raises ValueError.
    """
    host, port = text, _DNS_PORT
    if text[:1] == "[":
        host, _, rest = text[1:].partition("]")
        if rest:
            port = _port(rest)
    elif text.count(":") == 1:
        host, colon, rest = text.partition(":")
        port = _port(colon + rest)
    _ = ip_address(host)
    return host, port


def _port(text: str) -> int:
    digits = text[1:]
    if text[0] != ":" or not (digits.isascii() and digits.isdecimal() and 0 < int(digits) <= 65_535):
        raise ValueError(text)
    return int(digits)


@attrs.frozen(kw_only=True)
class ResolverSettings:
    """How names become addresses (RFC 3263). A wrong value raises ValueError that names the setting."""

    servers: tuple[str, ...] = attrs.field(default=(), validator=_name_servers)
    """Name servers, ``ADDRESS`` or ``ADDRESS:PORT``, asked in this order; empty takes those of ``resolv_conf``."""
    resolv_conf: Path = Path("/etc/resolv.conf")
    """Where the system's name servers stand; it is read again when it has changed. Nothing else in it counts: names in
    URIs are whole, so no search list is for them."""
    hosts: Path | None = Path("/etc/hosts")
    """A file of names and their addresses. No name server is asked about a name in it; None reads none."""
    transports: tuple[Literal["UDP", "TCP", "TLS"], ...] = attrs.field(
        default=("UDP", "TCP", "TLS"), validator=_each_once
    )
    """What may be spoken where a ``sip`` URI leaves it open, the first one before the others where the domain leaves
    it open as well. ``sips`` is spoken over TLS whatever stands here."""
    versions: tuple[Literal[6, 4], ...] = attrs.field(default=(6, 4), validator=_each_once)
    """The IP versions of addresses, the preferred one first; of those that we listen on."""
    deadline: float = attrs.field(default=4.0, validator=_positive)
    """For all the questions about one URI. Less than the deadline of plug-ins, which holds for it too."""
    question_deadline: float = attrs.field(default=1.5, validator=_positive)
    """For one question to the name servers, with all its repetitions."""
    resend: float = attrs.field(default=0.5, validator=_positive)
    """When a name server has not answered, the question is put to the next one after this time, and twice as much in
    each further round."""
    most_hops: int = attrs.field(default=8, validator=_positive)
    """Places that one request may try."""
    most_targets: int = attrs.field(default=12, validator=_positive)
    """Hosts that the SRV records of one look-up may lead to."""
    most_records: int = attrs.field(default=32, validator=_positive)
    """Records of one answer that are heeded; the others are not there."""
    most_aliases: int = attrs.field(default=4, validator=_not_negative)
    """How often one question may be put again because the answer was an alias (CNAME) that led elsewhere."""
    most_questions: int = attrs.field(default=256, validator=_positive)
    """Questions that may be open at the same time; one more has failed at once. Each needs a socket."""
    most_lookups: int = attrs.field(default=4_096, validator=_positive)
    """URIs that may wait for name servers at the same time; one more has failed at once."""
    cached: int = attrs.field(default=4_096, validator=_positive)
    """Answers that are remembered."""
    least_ttl: float = attrs.field(default=1.0, validator=_not_negative)
    """An answer is remembered at least so long, whatever it says itself."""
    most_ttl: float = attrs.field(default=3_600.0, validator=_not_negative)
    """An answer is remembered no longer than this."""
    negative_ttl: float = attrs.field(default=60.0, validator=_not_negative)
    """That there are no such records is remembered no longer than this (RFC 2308 5)."""
    failure_ttl: float = attrs.field(default=5.0, validator=_not_negative)
    """For so long a question that has failed is not put again (RFC 9520 3.2)."""
    back_off: float = attrs.field(default=30.0, validator=_not_negative)
    """For so long a place that has failed is tried after all others (RFC 3263 4.3); 0 does not remember it."""
    most_back_off: float = attrs.field(default=300.0, validator=_not_negative)
    """The same, when a 503 asks for a longer time in Retry-After."""
    backed_off: int = attrs.field(default=1_024, validator=_positive)
    """Places that have failed and are remembered."""
