"""What can be set about the proxy.

Rules: every limit has a name and a default here. With the defaults nothing is relayed for strangers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import attrs

from sipframe.domains import is_host

__all__ = ["ProxySettings"]


def _one_of(*words: str) -> Callable[[object, attrs.Attribute[Any], str], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
        if value not in words:
            raise ValueError(f"{attribute.name.replace('_', '-')} {value!r}: one of {', '.join(words)}")

    return check


def _hosts(_: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    for name in value:
        if not is_host(name):
            raise ValueError(f"{attribute.name.replace('_', '-')} {name!r}: no domain name and no address")


@attrs.frozen(kw_only=True)
class ProxySettings:
    """The proxy of one server. Times are in seconds."""

    enabled: bool = True
    """Whether requests are proxied at all; without it the server is a registrar and nothing else."""
    strangers: Literal["pass", "authenticate", "refuse"] = attrs.field(
        default="pass", validator=_one_of("pass", "authenticate", "refuse")
    )
    """What becomes of a request from another domain to a user of ours: it passes, it must prove who sent it (407), or
    it is refused (403). A request that claims to come from a domain of ours must always prove it."""
    relay_to: tuple[str, ...] = attrs.field(default=(), validator=_hosts)
    """Domains of others that anybody may send requests to by us: those that this server stands in front of."""
    record_route: bool = True
    """Whether later requests of a dialog come by here, too (RFC 3261 16.6 step 4). Phones behind NATs need it."""
    record_route_tls: Literal["sips", "transport"] = attrs.field(
        default="transport", validator=_one_of("sips", "transport")
    )
    """How a Record-Route says TLS where the request is no SIPS request: by ``transport=tls``, as phones expect it, or
    by a ``sips`` URI, as RFC 5630 5.3 and RFC 5658 6.2 have it: then the callee must put a SIPS URI into its Contact
    (RFC 3261 12.1.1), and some phones cannot send their ACK."""
    recurse: bool = False
    """Whether the contacts of a redirection are tried here (RFC 3261 16.7 step 4) or sent back."""
    max_targets: int = attrs.field(default=50, validator=attrs.validators.ge(1))
    """How many targets one request may have, those of redirections included."""
    max_forwards: int = attrs.field(default=70, validator=[attrs.validators.ge(1), attrs.validators.le(255)])
    """The Max-Forwards of a request that has none (RFC 3261 16.6 step 3)."""
    max_breadth: int = attrs.field(default=60, validator=attrs.validators.ge(1))
    """How many branches a request may have at once, here and further on (RFC 5393 5)."""
    timer_c: float = attrs.field(default=185.0, validator=attrs.validators.gt(180.0))
    """How long an INVITE may ring before it is cancelled: more than 3 minutes (RFC 3261 16.6 step 11)."""
