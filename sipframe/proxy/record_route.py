"""Record-Route values of ours: one, or two where the road changes (RFC 3261 16.6 step 4, RFC 5658 5 and 6.2).

Rules: a value always has ``lr``. A proxy that receives by one transport, address family or address and sends by
another writes both ends, the outgoing one on top, and then need not rewrite anything in responses. A transport is
named when it is not the default: both neighbours have just used it. TLS is said by ``sips``, as RFC 5658 6.2 has it;
for clients that take offence at a ``sips`` route in a ``sip`` dialog there is ``transport=tls``.
"""

from __future__ import annotations

from sipframe.roads import OurEnd, host_port

__all__ = ["record_routes", "route_uri"]


def route_uri(end: OurEnd, token: str = "", *, sips: bool = False, transport_tls: bool = False) -> str:
    """The URI that leads back to ``end``, with ``token`` as its user part.

    ``sips``: it must be a SIPS URI whatever ``end`` is (RFC 3261 16.6 step 4); then an end that is not TLS is named
    without its port. ``transport_tls``: TLS is written as a ``sip`` URI with ``transport=tls``.
    """
    user = f"{token}@" if token else ""
    if end.transport == "TLS":
        if transport_tls and not sips:
            return f"sip:{user}{host_port(end.host, end.port)};transport=tls;lr"
        return f"sips:{user}{host_port(end.host, end.port)};lr"
    if sips:
        host = f"[{end.host}]" if ":" in end.host else end.host
        return f"sips:{user}{host};lr"
    transport = "" if end.transport == "UDP" else f";transport={end.transport.lower()}"
    return f"sip:{user}{host_port(end.host, end.port)}{transport};lr"


def record_routes(
    incoming: OurEnd,
    outgoing: OurEnd,
    incoming_token: str = "",
    outgoing_token: str = "",
    *,
    sips: bool = False,
    transport_tls: bool = False,
) -> tuple[str, ...]:
    """The Record-Route values to put on top, topmost first: two when the ends differ, else one.

    A token says by which flow the far side of that end is reached. With two flows to tell apart there are two values
    even where both ends are the same, so that requests from either side find the other.
    """
    below = f"<{route_uri(incoming, incoming_token, sips=sips, transport_tls=transport_tls)}>"
    if incoming == outgoing and (not outgoing_token or outgoing_token == incoming_token):
        return (below,)
    # RFC 5658 5: the value for the outgoing end is the upper one.
    return f"<{route_uri(outgoing, outgoing_token, sips=sips, transport_tls=transport_tls)}>", below
