"""An ACK for a 2xx on its way: no transaction, no answer, one try (RFC 3261 16.11, 13.2.2.4).

Rules: the same ACK always leaves with the same branch, so that a later element can tell that it is the same. What
cannot be sent is counted and dropped: the 2xx will come again, and so will the ACK.
"""

from __future__ import annotations

from sipframe.interfaces import IFlow
from sipframe.message import MessageError, Request
from sipframe.proxy.fork import Outgoing
from sipframe.proxy.forwarding import Copy, forwarded_request
from sipframe.proxy.reaching import Lead, lead
from sipframe.proxy.routing import Preprocessed, Way, way
from sipframe.roads import FlowText
from sipframe.seams import GuardedMethod, Inquiry
from sipframe.sending import via_of
from sipframe.verdicts import Target

__all__ = ["AckCopy"]


class AckCopy(Inquiry):
    """One ACK that is passed on. ``forwards`` is the Max-Forwards of the copy, ``branch`` its branch, ``consumed`` the
    places of the credentials that go no further."""

    __slots__ = (
        "_branch",
        "_consumed",
        "_flow",
        "_forwards",
        "_lead",
        "_out",
        "_request",
        "_way",
        "bound",
        "come",
        "dialog_flow",
    )

    def __init__(
        self,
        out: Outgoing,
        request: Request,
        flow: IFlow,
        come: Preprocessed,
        forwards: int,
        branch: str,
        consumed: frozenset[int],
    ) -> None:
        super().__init__([], "")
        self._out = out
        self._request = request
        self._flow = flow
        self.come = come
        self.dialog_flow: FlowText | None = None
        """What a Route of ours names for where it goes."""
        self.bound = False
        """Whether it may go nowhere else."""
        self._forwards = forwards
        self._branch = branch
        self._consumed = consumed
        self._way: Way | None = None
        self._lead: Lead | None = None

    def send_to(self, target: Target, name: FlowText | None) -> None:
        """Send it to ``target``; ``name`` is the flow that a Route of ours names."""
        try:
            self._way = found = way(self.come, target.uri, target.path)
            self._lead = leading = lead(found, target, name, self._out.roads.find, bound=self.bound)
        except ValueError:  # MessageError among them
            leading = None
        if leading is None:
            self.dropped()
        elif leading.flow is not None:
            self._send(leading.flow)
        else:
            self._out.resolve.ask((leading.uri,), self, AckCopy._resolved, AckCopy._unresolved)

    def dropped(self, reason: str = "") -> None:
        """It goes nowhere."""
        self._out.counters.acks_dropped += 1

    def _resolved(self, hops: object) -> None:
        assert self._lead is not None
        found = self._lead.hops(hops)
        if found:
            _ = self._out.roads.open(found[0], self._send, self.dropped)
        else:
            self.dropped()

    def _unresolved(self, asked: GuardedMethod, error: BaseException) -> None:
        self.dropped()

    def _send(self, flow: IFlow) -> None:
        assert self._way is not None
        via = via_of(self._out.roads.end_of(flow), self._branch)
        copy = Copy(self._way, via, self._forwards, 1, (), flow.transport != "UDP", self._consumed)
        try:
            data = forwarded_request(self._request, self._flow.peer, copy)
        except MessageError:
            self.dropped()
            return
        flow.send(data)
        self._out.counters.acks += 1
