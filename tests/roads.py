"""Roads that a test decides about, and what reads requests that were sent on them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from sipframe.interfaces import IFlow
from sipframe.message import Request, Response, parse_message, response_bytes
from sipframe.roads import FlowText, Hop, OurEnd
from tests.fakes import FakeFlow

__all__ = ["FakeRoads", "Waiter", "answer_to", "entropy", "sent"]


class Waiter:
    """A flow that is not there yet; the test says what comes of it."""

    def __init__(self, hop: Hop, opened: Callable[[IFlow], object], failed: Callable[[str], object]) -> None:
        self.hop = hop
        self.opened = opened
        self.failed = failed
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeRoads:
    """Opens flows at once, but to hosts in ``down`` never, and to those in ``slow`` when the test says so."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.slow: set[str] = set()
        self.flows: list[FakeFlow] = []
        self.waiting: list[Waiter] = []
        self.found: dict[str, IFlow] = {}
        self.tried: list[str] = []
        self._serials = count(100)

    def open(
        self, hop: Hop, opened: Callable[[IFlow], object], failed: Callable[[str], object]
    ) -> Waiter | None:
        self.tried.append(str(hop))
        if str(hop) in self.down or hop.host in self.down:
            failed(f"{hop}: connection refused")
            return None
        if hop.host in self.slow:
            waiter = Waiter(hop, opened, failed)
            self.waiting.append(waiter)
            return waiter
        opened(self.flow(hop))
        return None

    def flow(self, hop: Hop) -> FakeFlow:
        flow = FakeFlow(hop.transport, hop.host, next(self._serials))
        self.flows.append(flow)
        return flow

    def end_of(self, flow: IFlow) -> OurEnd:
        return OurEnd(flow.transport, flow.local.host, flow.local.port)

    def find(self, name: str | FlowText | None) -> IFlow | None:
        return self.found.get(name) if isinstance(name, str) else None


def entropy() -> Callable[[int], bytes]:
    """Octets that are never the same twice, and always the same in the next run."""
    numbers = count(1)
    return lambda octets: next(numbers).to_bytes(octets, "big")


def sent(flow: FakeFlow) -> Request:
    """The last request on ``flow``."""
    message = parse_message(flow.sent[-1])
    assert isinstance(message, Request)
    return message


def answer_to(request: Request, status: int, reason: str = "", fields: str = "") -> Response:
    """A response to it."""
    data = response_bytes(request, status, reason, "their-tag", fields, ("192.0.2.7", 5060))
    message = parse_message(data)
    assert isinstance(message, Response)
    return message
