"""Credentials that were for us, and go no further (RFC 3261 20.28, 22.3).

Rules: no secret of our users leaves. What names a realm of ours is for us, in whatever case; what names no realm, such
as a bearer token, when somebody of ours has sent it. In Authorization they are for us when a callee has asked for them
in our name, unless we stand in front of it.
"""

from __future__ import annotations

from collections.abc import Container

from sipframe.message import MessageError, Request, parse_credentials
from sipframe.proxy.forwarding import credentials_lines

__all__ = ["for_us"]


def for_us(realms: Container[str], request: Request, ours: bool, in_front: bool = False) -> frozenset[int]:
    """Which header lines of ``request`` have credentials for us, by their places.

    ``realms`` are ours, in lower case; ``ours``: somebody of ours has sent it.
    """
    if "proxy-authorization" not in request.fields and "authorization" not in request.fields:
        return frozenset()
    places: set[int] = set()
    for place, name, value in credentials_lines(request):
        proxy = name == "proxy-authorization"
        try:
            named = [one.params.get("realm") for one in parse_credentials([value])]
        except MessageError:
            named = [None]
        if any(
            (realm is not None and realm.lower() in realms and (proxy or not in_front))
            or (realm is None and proxy and ours)
            for realm in named
        ):
            places.add(place)
    return frozenset(places)
