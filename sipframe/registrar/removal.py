"""Removing bindings that nobody asked a REGISTER for: an administrator, an application, a connection that is lost.

Rules: a removal takes its turn among the REGISTERs for the same AOR, and changes the store by the same compare-and-set.
It is made for what is there when its turn comes: a binding that was registered anew meanwhile is looked at as it is
then. Whoever asked is told once: what was removed, or why nothing was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from sipframe.events import Events
from sipframe.message import MessageError, equivalent, parse_uri
from sipframe.registrar.turns import IDLE, Turns
from sipframe.seams import Seam, report
from sipframe.verdicts import Binding, Snapshot, Unavailable

__all__ = ["MOST_RACES", "Removals", "Store", "at_contact"]

_log = Logger()

MOST_RACES: Final = 8


class Store(Protocol):
    """ILocationStore for the type checker."""

    def lookup(self, aor: str) -> object: ...
    def replace(self, aor: str, bindings: tuple[Binding, ...], version: int) -> object: ...


class _Removal:
    """One removal on its way."""

    __slots__ = ("aor", "done", "failed", "gone", "left", "races", "reason", "removals", "turn", "which")

    def __init__(
        self,
        removals: Removals,
        aor: str,
        which: Callable[[Binding], bool],
        reason: str,
        done: Callable[[tuple[Binding, ...]], object],
        failed: Callable[[BaseException], object],
    ) -> None:
        self.removals = removals
        self.aor = aor
        self.which = which
        self.reason = reason
        self.done = done
        self.failed = failed
        self.gone: tuple[Binding, ...] = ()
        self.left: tuple[Binding, ...] = ()
        self.races = 0
        self.turn = IDLE

    def take(self) -> None:
        """It is its turn."""
        self.removals.look_up(self)


class Removals:
    """Removes bindings. ``turns`` are those of the registrar."""

    def __init__(
        self, turns: Turns, store: Store, seam: Seam, events: Events, wall_clock: Callable[[], float]
    ) -> None:
        self._turns = turns
        self._store = store
        self._seam = seam
        self._events = events
        self._wall_clock = wall_clock

    def remove(
        self,
        aor: str,
        which: Callable[[Binding], bool],
        reason: str,
        done: Callable[[tuple[Binding, ...]], object],
        failed: Callable[[BaseException], object],
    ) -> None:
        """Remove the bindings of ``aor`` that ``which`` is true of; ``reason`` is for the event.

        Then ``done(those)`` or ``failed(error)``, now or later.
        """
        removal = _Removal(self, aor, which, reason, done, failed)
        if not self._turns.wait(removal):
            failed(Unavailable("too many changes of one AOR at once"))

    def look_up(self, removal: _Removal) -> None:
        """See what is there."""
        self._seam.ask(self._store.lookup, (removal.aor,), removal, self._looked_up, self._failed)

    def _looked_up(self, removal: _Removal, snapshot: object) -> None:
        if type(snapshot) is not Snapshot:
            raise TypeError("lookup() gave no Snapshot")
        now = self._wall_clock()
        live = [binding for binding in snapshot.bindings if binding.expires_at > now]
        removal.gone = tuple([binding for binding in live if removal.which(binding)])
        if not removal.gone:
            self._turns.end(removal)
            removal.done(())
            return
        removal.left = tuple([binding for binding in live if binding not in removal.gone])
        arguments = (removal.aor, removal.left, snapshot.version)
        self._seam.ask(self._store.replace, arguments, removal, self._replaced, self._failed)

    def _replaced(self, removal: _Removal, done: object) -> None:
        if done is False:
            removal.races += 1
            if removal.races >= MOST_RACES:
                raise RuntimeError("the version moved on each time")
            self.look_up(removal)
            return
        if done is not True:
            raise TypeError("replace() gave neither True nor False")
        self._turns.end(removal)
        if self._events.wanted:
            self._events.publish(
                "sipframe.registrar.removed",
                aor=removal.aor,
                bindings=removal.left,
                removed=removal.gone,
                reason=removal.reason,
            )
        removal.done(removal.gone)

    def _failed(self, removal: _Removal, method: object, error: BaseException) -> None:
        if removal.turn == IDLE:
            _log.error("who asked for a removal failed: {error!r}", error=error, log_failure=Failure(error))
            return
        report(self._events, method, error)
        self._turns.end(removal)
        removal.failed(error)


def at_contact(contact: str) -> Callable[[Binding], bool]:
    """Whether a binding's contact equals ``contact`` (RFC 3261 10.2.4, 19.1.4). Raises ValueError for no URI."""
    try:
        wanted = parse_uri(contact)
    except MessageError:
        raise ValueError(f"the contact {contact!a} is no URI") from None

    def same(binding: Binding) -> bool:
        if binding.contact == contact:
            return True
        try:
            return equivalent(parse_uri(binding.contact), wanted)
        except MessageError:
            return False  # what a store holds and nobody can read equals nothing but itself

    return same
