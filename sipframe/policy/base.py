"""A policy that has nothing against anything: inherit from it and write only what you care about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import implementer

from sipframe.interfaces import IFlow, IPolicy
from sipframe.verdicts import Admitted, Identity, Rejected, Routing, Terms

if TYPE_CHECKING:
    from sipframe.message import Request

__all__ = ["BasePolicy"]


@implementer(IPolicy)
class BasePolicy:
    """Every method's harmless default."""

    def admit(self, request: Request, flow: IFlow) -> object:
        """Let the request come in."""
        return Admitted()

    def registration(
        self, request: Request, aor: str, identity: Identity, terms: Terms
    ) -> Terms | Rejected | object:
        """Leave the terms as they are."""
        return terms

    def route(
        self, request: Request, identity: Identity | None, routing: Routing
    ) -> Routing | Rejected | object:
        """Leave the routing as it is."""
        return routing
