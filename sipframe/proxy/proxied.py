"""A request on its way through the steps of the proxy, and all that is known of it so far (RFC 3261 16.3 to 16.5).

Rules: values and no decisions. When its transaction is gone, whoever is asked about it is asked no longer, and its
branches are cancelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sipframe.decisions import RawStep
from sipframe.gruu import Gruu
from sipframe.message import Request
from sipframe.proxy.fork import Fork
from sipframe.proxy.here import Named
from sipframe.proxy.reaching import Found
from sipframe.proxy.routing import Preprocessed
from sipframe.proxy.validation import Valid
from sipframe.roads import FlowText
from sipframe.seams import GuardedMethod, Inquiry
from sipframe.transaction import ServerTransaction
from sipframe.verdicts import Identity, Routing

if TYPE_CHECKING:
    from sipframe.proxy.core import Proxy

__all__ = ["Come", "Proxied"]


class Come(NamedTuple):
    """A request that is to be forwarded, after RFC 3261 16.4."""

    come: Preprocessed
    names: Sequence[Named | None]
    """What the URIs of ours say which were taken out; None for one that we have not signed."""


class Proxied(Inquiry):
    """One request on its way through the steps."""

    __slots__ = (
        "bound",
        "callee",
        "claims",
        "come",
        "dialog_flow",
        "flow",
        "follows",
        "fork",
        "found",
        "gruu",
        "identity",
        "in_front",
        "loop_part",
        "policies_left",
        "proxy",
        "request",
        "routing",
        "transaction",
        "valid",
    )

    aor: str

    def __init__(
        self,
        proxy: Proxy,
        transaction: ServerTransaction,
        steps: list[RawStep],
        come: Preprocessed,
        valid: Valid,
        loop_part: str,
    ) -> None:
        super().__init__(steps, "")
        self.proxy = proxy
        self.transaction = transaction
        self.request = transaction.request
        self.flow = transaction.flow
        self.come = come
        self.valid = valid
        self.loop_part = loop_part
        self.follows = False
        self.callee = ""
        """The AOR of ours that the request goes to, if it goes to one."""
        self.claims: str | None = None
        """The AOR of ours that From claims; empty for a domain without a user."""
        self.dialog_flow: FlowText | None = None
        self.bound = False
        """Whether it may go nowhere else than ``dialog_flow`` leads to."""
        self.in_front = False
        """Whether it goes to a domain that we stand in front of."""
        self.identity: Identity | None = None
        self.policies_left: Iterator[GuardedMethod] = iter(())
        self.routing = Routing(())
        self.found: Found | None = None
        self.gruu: Gruu | None = None
        self.fork: Fork | None = None

    def cancelled(self, cancel: Request) -> bool:
        """Cancel the branches, if there are any (RFC 3261 16.10)."""
        if self.fork is None:
            return False
        self.fork.cancel(cancel)
        return True

    def abandon(self) -> None:
        """The transaction is gone: nobody can be answered any more."""
        super().abandon()
        if self.fork is not None and not self.fork.context.done:
            self.fork.cancel(None)
