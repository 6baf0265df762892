"""Requests of ours on their way: one place after the other until one answers (RFC 3261 8.1.2, 16.6, RFC 3263 4.3).

Rules: whoever composes a request leaves its top Via to this room, since only the flow decides what it says; each try
has a branch of its own, which nobody can guess. The next place is tried when there is no road to this one, when it
answers 503, and when it says nothing at all; never after it has said anything else; and somebody may hear of each place
that has failed so. A request with more octets than the
limit goes by TCP where nobody asked for UDP, and by UDP after all when TCP does not come about (18.1.1). No socket, no
clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from sipframe.interfaces import IFlow
from sipframe.message import COOKIE, REASONS, Response
from sipframe.roads import Hop, Opening, OurEnd, Roads
from sipframe.transaction import ClientTransaction, ClientUser, TransactionLayer

__all__ = ["Composer", "HopFailed", "Sender", "Sending", "SendingUser", "via_of"]

_BRANCH_OCTETS: Final = 12
_LARGEST_DATAGRAM: Final = 65_507
"""What fits between the IPv4 and UDP headers and 65,535 (RFC 3261 18.1.1)."""


class Composer(Protocol):
    """A request that is whole but for its top Via."""

    @property
    def method(self) -> str:
        """The request's method."""

    @property
    def branch_end(self) -> str:
        """What each branch ends with, behind the part that is never the same twice (RFC 5393 4.2.3)."""

    def compose(self, via: str, ours: OurEnd, flow: IFlow) -> bytes:
        """The whole request with this Via value on top, to leave by ``flow``; ``ours`` is our end of it."""


class SendingUser(Protocol):
    """Whoever sends a request. It may hear of the end before :meth:`Sender.send` returns."""

    def sent(self, sending: Sending) -> None:
        """The request is on its way, to one place or, later, to the next one: ``sending.transaction`` is the try."""
        return

    def response(self, sending: Sending, response: Response) -> None:
        """A response: any number of 1xx, then one final one (to an INVITE any number of 2xx, RFC 6026 7.2)."""

    def failed(self, sending: Sending, status: int, reason: str) -> None:
        """No final response will come: ``status`` is what to take for one (RFC 3261 8.1.3.1, 16.9): 408 when all is
        silent, 503 when nobody can be reached, 513 when the request is too large for the roads there are.
        """


def via_of(ours: OurEnd, branch: str) -> str:
    """A Via value of ours; ``rport`` brings the answer back through NATs (RFC 3581 3)."""
    return f"SIP/2.0/{ours.transport} {ours.sent_by};branch={branch};rport"


HopFailed = Callable[[Hop, Response | None], object]
"""Told of a hop that has failed, and of its 503 if there was one."""


class Sender:
    """Sends requests for all of one server.

    ``entropy(n)`` gives n octets that nobody can guess. ``large`` is how many octets a request may have to go by UDP
    where TCP would do. ``most`` bounds how many requests are on their way; one more fails with 503. ``failed`` hears of
    each hop that could not be reached or was silent, and of each 503 (RFC 3263 4.3).
    """

    def __init__(
        self,
        layer: TransactionLayer,
        roads: Roads,
        entropy: Callable[[int], bytes],
        *,
        large: int = 1_300,
        most: int = 50_000,
        failed: HopFailed | None = None,
    ) -> None:
        self.layer = layer
        self.roads = roads
        self.large = large
        self.entropy = entropy
        self._most = most
        self.failed = failed
        self.underway: dict[Sending, None] = {}
        """The requests that have no final response yet."""

    def send(self, request: Composer, ways: Iterable[IFlow | Hop], user: SendingUser) -> Sending:
        """Send ``request`` to the first of ``ways`` that takes it."""
        sending = Sending(self, request, ways, user)
        if len(self.underway) >= self._most:
            user.failed(sending, 503, "too many requests of ours are on their way")
        else:
            self.underway[sending] = None
            sending.go_on()
        return sending

    def stop(self) -> None:
        """Every request that is on its way has failed."""
        while self.underway:
            self.underway.popitem()[0].give_up(503, "the server is stopping")


class Sending(ClientUser):
    """One request on its way. ``transaction`` is the try at hand, None while there is none."""

    __slots__ = (
        "_failure",
        "_heard",
        "_hop",
        "_opening",
        "_request",
        "_sender",
        "_trying",
        "_ways",
        "over",
        "transaction",
        "user",
    )

    def __init__(
        self, sender: Sender, request: Composer, ways: Iterable[IFlow | Hop], user: SendingUser
    ) -> None:
        self._sender = sender
        self._request = request
        self._ways: deque[IFlow | Hop] = deque(ways)
        self.user = user
        self._opening: Opening | None = None
        self._failure = (503, "there is nowhere to send it")
        self._heard = False
        self._trying = False
        self._hop: Hop | None = None  # of the try at hand; None when it goes by a flow that there was
        self.transaction: ClientTransaction | None = None
        self.over = False
        """Whether a final response has come, or none will."""

    def cancel(self) -> None:
        """Let go of it: nothing more is sent, and the user hears nothing more. No CANCEL is sent (RFC 4320 4)."""
        if not self.over:
            self._end()
            self._let_go()

    def stay(self) -> None:
        """Try no other place than the one at hand."""
        self._ways.clear()

    def give_up(self, status: int, reason: str) -> None:
        """It has failed."""
        if not self.over:
            self._end()
            self._let_go()
            self.user.failed(self, status, reason)

    def go_on(self) -> None:
        """Try the next way, and those after it as long as each one fails at once."""
        if self._trying:
            return  # from within the loop below
        self._trying = True
        try:
            while not (self.over or self.transaction or self._opening):
                self._try_next()
        finally:
            self._trying = False

    def _try_next(self) -> None:
        if not self._ways:
            self._end()
            self.user.failed(self, *self._failure)
            return
        way = self._ways.popleft()
        if isinstance(way, Hop):
            self._open(way)
        elif way.alive:
            self._send_on(way)
        else:
            self._failure = (503, "the connection is lost")

    def _open(self, hop: Hop) -> None:
        def opened(flow: IFlow) -> None:
            self._opening = None
            if not self.over:
                self._send_on(flow, hop)

        def failed(reason: str) -> None:
            self._opening = None
            if not self.over:
                self._failure = (503, reason)
                self._hop = hop
                self._failed()
                self.go_on()

        opening = self._sender.roads.open(hop, opened, failed)
        if opening is not None:
            self._opening = opening

    def _send_on(self, flow: IFlow, hop: Hop | None = None) -> None:
        sender = self._sender
        request = self._request
        branch = f"{COOKIE}{sender.entropy(_BRANCH_OCTETS).hex()}{request.branch_end}"
        ours = sender.roads.end_of(flow)
        try:
            data = request.compose(via_of(ours, branch), ours, flow)
        except ValueError as error:
            self.give_up(500, str(error))
            return
        if flow.transport == "UDP":
            if hop is not None and hop.tcp_too and len(data) > sender.large:
                # RFC 3261 18.1.1: a congestion-controlled transport, and the Via that goes with it.
                self._open_instead(hop)
                return
            if len(data) > _LARGEST_DATAGRAM:
                self._failure = (513, REASONS[513])
                self.go_on()
                return
        self._heard = False
        self._hop = hop
        self.transaction = sender.layer.send(data, request.method, branch, flow, self)
        self.user.sent(self)

    def _open_instead(self, hop: Hop) -> None:
        self._ways.appendleft(hop._replace(tcp_too=False))
        instead = hop._replace(transport="TCP")

        def opened(flow: IFlow) -> None:
            self._opening = None
            if not self.over:
                self._ways.popleft()  # the same over UDP: only for when there is no TCP
                self._send_on(flow, instead)

        def failed(reason: str) -> None:
            self._opening = None
            self.go_on()

        opening = self._sender.roads.open(instead, opened, failed)
        if opening is not None:
            self._opening = opening

    # From the transaction.

    def response(self, transaction: ClientTransaction, response: Response) -> None:
        """A response to the try at hand."""
        if transaction is not self.transaction:
            return
        if response.status < 200:
            self._heard = True
            if not self.over:
                self.user.response(self, response)
            return
        if response.status == 503 and not self.over:
            self._failed(response)
            if self._ways:
                self.transaction = None
                self.go_on()  # RFC 3263 4.3
                return
        if not self.over or response.status < 300:
            self._end()
            self.user.response(self, response)

    def timed_out(self, transaction: ClientTransaction) -> None:
        """Timer B or F: silence (RFC 3261 8.1.3.1: as if 408 had come)."""
        if transaction is self.transaction and not self.over:
            self.transaction = None
            self._failure = (408, REASONS[408])
            if self._heard:
                self._ways.clear()  # RFC 3263 4.3: the next one is for those that never said anything
            else:
                self._failed()
            self.go_on()

    def transport_failed(self, transaction: ClientTransaction) -> None:
        """The flow is dead (RFC 3261 8.1.3.1: as if 503 had come)."""
        if transaction is self.transaction and not self.over:
            self.transaction = None
            self._failure = (503, "the connection is lost")
            self._failed()
            self.go_on()

    # Within.

    def _failed(self, response: Response | None = None) -> None:
        if self._hop is not None and self._sender.failed is not None:
            self._sender.failed(self._hop, response)

    def _end(self) -> None:
        self.over = True
        self._sender.underway.pop(self, None)
        self._ways.clear()

    def _let_go(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
        transaction, self.transaction = self.transaction, None
        if transaction is not None and not transaction.answered:
            transaction.drop()
