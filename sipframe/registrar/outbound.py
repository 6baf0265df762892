"""Outbound at the registrar: what a REGISTER with a reg-id is (RFC 5626 6).

Rules: pure functions of the request. A reg-id means something beside an instance ID only, and only when the first hop
keeps the flow: that is us, or an edge proxy that has said so with ``ob`` in its Path URI. The first hop's Path value is
the last one, since each proxy puts its own on top (RFC 3327 5.2).
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from sipframe.instances import instance_of
from sipframe.message import NameAddr, Request, SipURI

__all__ = ["LARGEST_REG_ID", "Outbound", "flow_of", "outbound_of", "supports"]

LARGEST_REG_ID: Final = 2**31 - 1
"""RFC 5626 11.1."""


class Outbound(Enum):
    """What the reg-ids of a REGISTER mean."""

    IGNORED = "nothing"
    LACKING = "the first hop lacks outbound support, and the user agent asks for it: 439"
    UNTOLD = "a flow each; but the user agent has not said that it supports outbound, so it is not told"
    EDGE = "a flow each, through an edge proxy"
    DIRECT = "a flow each, to this server itself"

    @property
    def told(self) -> bool:
        """Whether the 200 has ``Require: outbound``."""
        return self is Outbound.DIRECT or self is Outbound.EDGE


def outbound_of(request: Request) -> Outbound:
    """What the reg-ids in ``request`` mean. Raises MessageError when something that tells is malformed."""
    if not any(flow_of(contact) for contact in request.contacts):
        return Outbound.IGNORED
    asked = supports(request, "outbound")
    if len(request.vias) == 1:
        return Outbound.DIRECT if asked else Outbound.UNTOLD
    if request.path:
        first = request.path[-1].uri
        if isinstance(first, SipURI) and first.param("ob") is not None:
            return Outbound.EDGE if asked else Outbound.UNTOLD
    return Outbound.LACKING if asked else Outbound.IGNORED


def flow_of(contact: NameAddr) -> tuple[str, int] | None:
    """The instance ID and the reg-id that a Contact value has, if it has both and they are sound."""
    reg_id = contact.param("reg-id")
    if reg_id is None or not (reg_id.isascii() and reg_id.isdigit() and len(reg_id) <= 10):
        return None
    number = int(reg_id)
    instance = instance_of(contact.param("+sip.instance"))
    return None if instance is None or not 0 < number <= LARGEST_REG_ID else (instance, number)


def supports(request: Request, tag: str) -> bool:
    """Whether the user agent has named the option tag ``tag`` (lower case) in Supported."""
    return "supported" in request.fields and tag in [one.lower() for one in request.supported]
