"""What all phones of a test share: their place on the network, their transactions, and time.

Rules: requests of the server's go to the phone that has the flow. Waiting for something moves time from one moment to
the next, and stops at the one at which it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from sipframe.message import Request, Response, response_bytes
from sipframe.testing.flows import Flow
from sipframe.testing.reactor import MemoryReactor
from sipframe.transaction import ServerTransaction, TransactionLayer, TransactionSettings, TransactionUser

if TYPE_CHECKING:
    from sipframe.interfaces import IFlow
    from sipframe.testing.network import Network
    from sipframe.testing.phone import Phone

__all__ = ["Phones"]

E = TypeVar("E", bound=BaseException)


class Phones(TransactionUser):
    """The phones of one server's test. ``told`` puts into an exception what happened, for whoever reads it."""

    def __init__(self, network: Network, told: Callable[[BaseException, Phone], None]) -> None:
        self.network = network
        self.reactor = MemoryReactor(network, (network.new_host(), network.new_host(version=6)))
        """What connects for them."""
        self.serials = count(1)
        """Gives each flow its number."""
        self.layer = TransactionLayer(self.reactor, TransactionSettings(), self, _trying, _cancel_ok)
        self._by_flow: dict[int, Phone] = {}
        self._told = told

    def has(self, flow: Flow, phone: Phone) -> None:
        """``flow`` is a flow of ``phone``."""
        self._by_flow[flow.serial] = phone

    def request(self, transaction: ServerTransaction) -> None:
        """A request of the server's."""
        self._by_flow[transaction.flow.serial].asked(transaction)

    def ack(self, request: Request, flow: IFlow) -> None:
        """An ACK in no transaction."""
        self._by_flow[flow.serial].acknowledged(request)

    def cancelled(self, transaction: ServerTransaction, cancel: Request) -> None:
        """A CANCEL of the server's for an INVITE that waits."""
        self._by_flow[transaction.flow.serial].cancelled(transaction, cancel)

    def stray_response(self, response: Response, flow: IFlow) -> None:
        """A response that nobody waits for."""
        self._by_flow[flow.serial].strays.append(response)

    def pass_time(self, until: Callable[[], bool], seconds: float) -> bool:
        """Let time pass until ``until`` says True; False when it has not within ``seconds``."""
        timeline = self.network.timeline
        limit = timeline.now + seconds
        timeline.settle()
        while not until():
            if not timeline.step(limit):
                return until()
        return True

    def told(self, error: E, phone: Phone) -> E:
        """``error``, with what happened in its notes."""
        self._told(error, phone)
        return error


def _trying(request: Request, flow: IFlow) -> bytes:
    return response_bytes(request, 100, "Trying", None, "", (flow.peer.host, flow.peer.port))


def _cancel_ok(request: Request, flow: IFlow) -> bytes:
    return response_bytes(request, 200, "OK", None, "", (flow.peer.host, flow.peer.port))
