"""The messages that pass, for who wants to see them.

Rules: every SIP message that comes in, or that was handed to the network, passes here, over whatever flow: those that
cannot be read as well, keep-alives and STUN never. While nobody watches this costs a look at :attr:`Traffic.watched`. A
watcher that raises hurts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from twisted.logger import Logger

from sipframe.interfaces import IFlow
from sipframe.verdicts import Address

__all__ = ["Passed", "Traffic"]

_log = Logger()


class Passed(NamedTuple):
    """A message that has come or gone, as it was on the wire, secrets and all."""

    sent: bool
    """Whether it was we who sent it."""
    transport: str
    """``UDP``, ``TCP`` or ``TLS``."""
    local: Address
    """Our end."""
    peer: Address
    """The far end of this very message: over UDP a response need not go to where the request came from."""
    octets: bytes


class Traffic:
    """Tells watchers of messages."""

    __slots__ = ("_watchers", "watched")

    def __init__(self) -> None:
        self._watchers: tuple[tuple[Callable[[Passed], object]], ...] = ()
        self.watched = False
        """Whether anybody watches: without that nothing need be told."""

    def watch(self, watcher: Callable[[Passed], object]) -> Callable[[], None]:
        """Call ``watcher`` with every message from now on; the result ends that."""
        watch = (watcher,)  # unlike the watcher it is there once
        self._watchers = (*self._watchers, watch)
        self.watched = True

        def unwatch() -> None:
            self._watchers = tuple([one for one in self._watchers if one is not watch])
            self.watched = bool(self._watchers)

        return unwatch

    def came(self, octets: bytes, flow: IFlow) -> None:
        """A message has come by ``flow``."""
        self._tell(Passed(False, flow.transport, flow.local, flow.peer, octets))

    def left(self, octets: bytes, flow: IFlow, peer: Address) -> None:
        """A message was sent to ``peer`` by ``flow``."""
        self._tell(Passed(True, flow.transport, flow.local, peer, octets))

    def _tell(self, passed: Passed) -> None:
        for (watcher,) in self._watchers:
            try:
                watcher(passed)
            except Exception:
                _log.failure("a watcher failed on a message that passed")
