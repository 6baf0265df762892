"""Whom transactions work for: the core, and the senders of requests.

Rules: shapes only. What a core need not do has a body here that does nothing, and that is a right answer.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from sipframe.message import Request, Response

if TYPE_CHECKING:
    from sipframe.interfaces import IFlow
    from sipframe.transaction.client import ClientTransaction
    from sipframe.transaction.server import ServerTransaction

__all__ = ["Builder", "ClientUser", "TransactionUser"]


Builder = Callable[[Request, "IFlow"], bytes]
"""Makes a whole response to a request that came by a flow."""


class TransactionUser(Protocol):
    """The core above the transactions. Inherit from it to get the answers that are right for a UAS that does little."""

    @abstractmethod
    def request(self, transaction: ServerTransaction) -> None:
        """A new request; the transaction is in the matching already. Answer it now or later, or drop it.

        A CANCEL comes here only when it matches no transaction (RFC 3261 9.2: 481; a proxy: 16.10).
        """

    def ack(self, request: Request, flow: IFlow) -> None:
        """An ACK outside any transaction: for a 2xx, for an answer given statelessly, or a stray one."""
        return

    def cancelled(self, transaction: ServerTransaction, cancel: Request) -> None:
        """``transaction``, an INVITE without a final answer, is cancelled. The CANCEL is answered already.

        A UAS answers the INVITE with 487 now (RFC 3261 9.2), a proxy cancels its branches (16.10).
        """
        return

    def refused(self, request: Request, flow: IFlow) -> None:
        """There is no room for another transaction: ``request`` has none, answer 503 without one or not at all."""
        return

    def timed_out(self, transaction: ServerTransaction) -> None:
        """No ACK came for the final answer to an INVITE (RFC 3261 17.2.1, timer H)."""
        return

    def terminated(self, transaction: ServerTransaction) -> None:
        """``transaction``, which bears a :attr:`~ServerTransaction.mark`, has ended."""
        return

    def transport_failed(self, transaction: ServerTransaction) -> None:
        """An answer could not be sent: the flow is dead. The transaction stays where it is (RFC 6026 8.8)."""
        return

    def flow_lost(self, flow: IFlow) -> None:
        """``flow`` is dead: what came by it and has no answer yet needs none any more."""
        return

    def stray_response(self, response: Response, flow: IFlow) -> None:
        """A response that matches no transaction; it is counted and must not be forwarded (RFC 6026 7.3)."""
        return


class ClientUser(Protocol):
    """Whoever has sent a request through a client transaction."""

    def response(self, transaction: ClientTransaction, response: Response) -> None:
        """A response: any number of 1xx, then one final one, or to an INVITE any number of 2xx (RFC 6026 7.2).

        The ACK for a 2xx is the user's to send; for another final response it has been sent (RFC 3261 17.1.1.3).
        """
        return

    def timed_out(self, transaction: ClientTransaction) -> None:
        """Timer B or F has fired: no final response will come. The transaction has ended."""
        return

    def transport_failed(self, transaction: ClientTransaction) -> None:
        """The flow is dead (RFC 3261 17.1.4). The transaction has ended.

        For an INVITE that has had its final response this only means that the ACK cannot be sent again.
        """
        return
