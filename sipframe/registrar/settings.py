"""What can be set about the registrar, besides the terms of a registration.

Rules: a wrong value raises ValueError with one line that names it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from sipframe.message import MessageError, SipURI, parse_name_addr

__all__ = ["RegistrarSettings"]


def _tuple(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def _route(_: object, attribute: attrs.Attribute[Any], values: tuple[str, ...]) -> None:
    for text in values:
        try:
            uri = parse_name_addr(text).uri if text.isprintable() else None
        except MessageError:
            uri = None
        if not isinstance(uri, SipURI) or text.lstrip()[:1] not in ('"', "<") or uri.headers:
            raise ValueError(f"{attribute.name}: {text!r} is no SIP URI in angle brackets, <sip:host;lr>")
        if uri.param("lr") is None:
            raise ValueError(f"{attribute.name}: {text!r} has no lr in its URI")  # RFC 3608 6.3


@attrs.frozen(kw_only=True)
class RegistrarSettings:
    """The registrar of one server. Times are in seconds."""

    outbound: bool = True
    """Whether a phone may hold several flows at once, told apart by reg-id (RFC 5626). Without it reg-ids mean
    nothing."""
    flow_timer: int = attrs.field(default=120, validator=[attrs.validators.ge(0), attrs.validators.lt(2**31)])
    """How often a phone that uses outbound shall send keep-alives over its flow to us, at the least (RFC 5626 4.4);
    0 leaves it to the phone."""
    gruu: bool = True
    """Whether phones that ask for it get URIs that lead to them alone, public and temporary ones (RFC 5627)."""
    service_route: tuple[str, ...] = attrs.field(default=(), converter=_tuple, validator=_route)
    """The proxies that a phone's requests shall pass first, in this order: name-addrs with ``lr``,
    ``<sip:proxy.example.com;lr>`` (RFC 3608). Empty: the answer says nothing about it."""

    @property
    def option_tags(self) -> tuple[str, ...]:
        """The extensions of the registrar that Require may name."""
        return tuple(
            [tag for tag, on in (("gruu", self.gruu), ("outbound", self.outbound), ("path", True)) if on]
        )
