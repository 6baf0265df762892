"""Bindings that end with the connection they were registered by, where the terms say so (Terms.drop_when_flow_lost).

Rules: losing a connection is not losing a binding, unless a policy says so. What is remembered is in memory and
bounded: over the limit, and after a restart, a binding stays until it expires. A binding that was registered anew by
another flow names that flow, and stays.
"""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from sipframe.interfaces import IFlow
from sipframe.registrar.removal import Removals
from sipframe.roads import flow_text
from sipframe.verdicts import Binding

__all__ = ["FlowBindings"]

_log = Logger()

MOST_REMEMBERED: Final = 200_000


class FlowBindings:
    """Which AORs have bindings that hang on a connection. ``most`` bounds how many are remembered."""

    def __init__(self, removals: Removals, most: int = MOST_REMEMBERED) -> None:
        self._removals = removals
        self._most = most
        self._aors: dict[int, set[str]] = {}
        self.remembered = 0
        self.passed_over = 0
        """Registrations that were not remembered: there were too many."""

    def bound(self, aor: str, flow: IFlow) -> None:
        """``aor`` has a binding that ends with ``flow``."""
        if flow.transport == "UDP":
            return  # it has no end
        if not flow.alive:
            self._drop(aor, flow)  # it was lost while the store was at work
            return
        aors = self._aors.get(flow.serial)
        if aors is not None and aor in aors:
            return
        if self.remembered >= self._most:
            if not self.passed_over:
                _log.warn(
                    "more than {most} bindings hang on connections; the rest stay until they expire",
                    most=self._most,
                )
            self.passed_over += 1
            return
        self.remembered += 1
        if aors is None:
            self._aors[flow.serial] = {aor}
        else:
            aors.add(aor)

    def flow_lost(self, flow: IFlow) -> None:
        """A connection is gone, and with it what hangs on it."""
        aors = self._aors.pop(flow.serial, None)
        if aors:
            self.remembered -= len(aors)
            for aor in aors:
                self._drop(aor, flow)

    def _drop(self, aor: str, flow: IFlow) -> None:
        text = flow_text(flow)

        def by_it(binding: Binding) -> bool:
            return binding.flow == text

        self._removals.remove(aor, by_it, "flow lost", _dropped, _stays)


def _dropped(bindings: tuple[Binding, ...]) -> None:
    """Nobody waits for it; the event has told."""


def _stays(error: BaseException) -> None:
    _log.warn("a binding whose connection is lost stays until it expires: {error}", error=error)
