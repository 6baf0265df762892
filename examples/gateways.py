"""Calls to telephone numbers by the cheapest gateway, and by the next one when that does not take them.

    PYTHONPATH=. twistd -n --pidfile= sipregistrar --config gateways.toml

with this in gateways.toml, the best gateway of each first; an empty list is a place that nobody calls:

    [[policies]]
    use = "gateways.Gateways"
    [policies.prefixes]
    "+" = ["dear.example.net"]
    "+49" = ["cheap.example.net", "dear.example.net"]
    "+49900" = []

Users are called where they are registered; only numbers that nobody here has go by a gateway. A gateway costs money, so
only those who have proved who they are get there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from sipframe.message import Request, SipURI
from sipframe.policy import BasePolicy
from sipframe.verdicts import Identity, Rejected, Routing, Target


class Gateways(BasePolicy):
    """The longest prefix of a number decides by which gateways it goes. Raises ValueError."""

    def __init__(
        self,
        *,
        prefixes: Annotated[Mapping[str, Any], "prefix to a list of gateways, HOST or HOST:PORT"],
    ) -> None:
        for prefix, gateways in prefixes.items():
            if not isinstance(gateways, list) or not all(isinstance(one, str) for one in gateways):
                raise ValueError(f"prefixes: {prefix}: not a list of gateways")
        longest_first = sorted(prefixes, key=len, reverse=True)
        self._prefixes = [(prefix, tuple(prefixes[prefix])) for prefix in longest_first]

    def route(self, request: Request, identity: Identity | None, routing: Routing) -> Routing | Rejected:
        """Where a request for a number goes (IPolicy)."""
        uri = request.uri
        if (routing.aor and routing.targets) or not isinstance(uri, SipURI) or uri.user is None:
            return routing
        for prefix, gateways in self._prefixes:
            if uri.user.startswith(prefix):
                if identity is None or not gateways:
                    return Rejected(403, "Not by This Gateway")
                # Each has a lower q than the one before it: they are tried one after the other.
                targets = [
                    Target(f"sip:{uri.user}@{gateway}", q=1000 - place)
                    for place, gateway in enumerate(gateways)
                ]
                return routing._replace(targets=tuple(targets))
        return routing
