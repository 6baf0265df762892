"""A policy that sends requests by way of another proxy or gateway (RFC 3261 16.6 step 6).

Rules: the first rule that fits decides. What it says becomes a Route: the Request-URI stays what it was, so the
gateway sees whom the caller wants. It never takes a call away from a phone that is registered here, unless ``always``
is said; and nobody who has proved nothing gets to the gateway, which may cost money, unless ``strangers`` is said.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

from zope.interface import implementer

from sipframe.interfaces import IPolicy
from sipframe.message import MessageError, SipURI, parse_uri
from sipframe.policy.base import BasePolicy
from sipframe.verdicts import Identity, Rejected, Routing, Target

if TYPE_CHECKING:
    from sipframe.message import Request

__all__ = ["Via"]


@implementer(IPolicy)
class Via(BasePolicy):
    """Sends requests that fit by way of ``to``, a SIP URI; ``lr`` is added when it lacks it.

    ``domain`` and ``user`` are patterns, in which ``*`` stands for anything: ``domain`` for the host of the
    Request-URI, ``user`` for what stands before the ``@``. Raises ValueError for what is no SIP URI.
    """

    def __init__(
        self,
        *,
        to: Annotated[str, "the next proxy, a SIP URI: sip:192.0.2.7;transport=tcp"],
        domain: Annotated[str, "only requests to this domain; * stands for anything"] = "*",
        user: Annotated[str, "only requests to this user; +49* is everybody in Germany"] = "*",
        always: Annotated[bool, "also for users of ours that are registered"] = False,
        strangers: Annotated[bool, "also for whoever has not proved who they are"] = False,
    ) -> None:
        try:
            uri = parse_uri(to)
        except MessageError as error:
            raise ValueError(f"to: {error.reason}") from None
        if not isinstance(uri, SipURI) or uri.headers:
            raise ValueError(f"to: {to!r} is no SIP URI")
        if uri.param("lr") is None:
            uri = uri._replace(params=(*uri.params, ("lr", None)))
        self.route_value = f"<{uri}>"
        self._domain = domain.lower()
        self._user = user
        self._always = always
        self._strangers = strangers

    def route(
        self, request: Request, identity: Identity | None, routing: Routing
    ) -> Routing | Rejected | object:
        """By way of ``to``, when the request fits (IPolicy)."""
        if any(target.path for target in routing.targets):
            return routing  # a rule before this one, or the path of a phone
        if routing.aor and routing.targets and not self._always:
            return routing
        if identity is None and not self._strangers:
            return routing
        uri = request.uri
        if not isinstance(uri, SipURI):
            return routing
        if not (fnmatchcase(uri.host.lower(), self._domain) and fnmatchcase(uri.user or "", self._user)):
            return routing
        return routing._replace(targets=(Target(request.uri_text, path=(self.route_value,)),))
