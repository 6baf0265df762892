"""Events: what happened, as data with stable names, for whoever subscribes.

Rules: an event is no log line and has no credential in it. Names begin with ``sipframe.`` and never change once
released (docs/events.md lists them). Publishing costs nothing while nobody listens: ask :attr:`Events.wanted` first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from twisted.logger import Logger

__all__ = ["Event", "Events"]

_log = Logger()


class Event(NamedTuple):
    """``name`` is stable; ``fields`` hold plain values. Text from the network is in it as it came."""

    name: str
    fields: dict[str, object]


class Events:
    """A stream of events. A subscriber that raises is logged and kept."""

    __slots__ = ("_subscriptions", "wanted")

    def __init__(self) -> None:
        self._subscriptions: tuple[tuple[Callable[[Event], None]], ...] = ()
        self.wanted = False

    def subscribe(self, subscriber: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``subscriber`` with every event from now on; the result ends that."""
        subscription = (subscriber,)  # unlike the subscriber it is there once
        self._subscriptions = (*self._subscriptions, subscription)
        self.wanted = True

        def unsubscribe() -> None:
            self._subscriptions = tuple(one for one in self._subscriptions if one is not subscription)
            self.wanted = bool(self._subscriptions)

        return unsubscribe

    def publish(self, name: str, /, **fields: object) -> None:
        """Tell every subscriber."""
        event = Event(name, fields)
        for (subscriber,) in self._subscriptions:
            try:
                subscriber(event)
            except Exception:
                _log.failure("a subscriber failed on {event}", event=name)
