"""Changes of bindings, and who watches them.

Rules: a change is told after it has happened, with all that the AOR has then. What is told comes from the events; who
watches nothing costs nothing. Expiry is told by stores that can tell (:class:`sipframe.interfaces.IExpiring`); whether
and when a binding that has ended is forgotten is the store's business, so its end may be told a little late.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from sipframe.events import Event, Events
from sipframe.interfaces import IExpiring
from sipframe.verdicts import Binding, Forgotten

__all__ = ["Change", "Watcher", "forget_expired", "watch"]

_log = Logger()

Change = Literal["bound", "removed", "expired"]
"""``bound``: a REGISTER added or refreshed one, at least. ``removed``: a REGISTER, an application or the loss of a
connection took some away. ``expired``: the time of some was over."""

Watcher = Callable[[str, tuple[Binding, ...], Change], object]
"""Called with the AOR, all the bindings that it has now, and the kind of change."""


def watch(events: Events, aor: str | None, watcher: Watcher) -> Callable[[], None]:
    """Tell ``watcher`` of every change of ``aor``, or of all AORs; the result ends that."""

    def hear(event: Event) -> None:
        fields: dict[str, Any] = event.fields
        change: Change
        if event.name == "sipframe.registrar.bound":
            mark = (fields["call_id"], fields["cseq"])
            fresh = any((binding.call_id, binding.cseq) == mark for binding in fields["bindings"])
            change = "bound" if fresh else "removed"
        elif event.name == "sipframe.registrar.removed":
            change = "removed"
        elif event.name == "sipframe.location.expired":
            change = "expired"
        else:
            return
        if aor is None or fields["aor"] == aor:
            watcher(fields["aor"], fields["bindings"], change)

    return events.subscribe(hear)


def forget_expired(location: Any, events: Events, now: float) -> None:
    """Have the store forget what has ended at ``now``, and tell whose it was; what goes wrong is logged."""
    telling = IExpiring.providedBy(location)
    try:
        answer = location.forget(now) if telling else location.expire(now)
    except Exception:
        _log.failure("the location store cannot forget what has expired")
        return
    if isinstance(answer, CoroutineType):
        answer = Deferred.fromCoroutine(answer)

    def tell(forgotten: object) -> None:
        if telling:
            _tell(events, forgotten)

    if isinstance(answer, Deferred):
        told = answer.addCallback(tell)
        _ = told.addErrback(lambda failure: _log.failure("the location store cannot expire", failure))
        return
    try:
        tell(answer)
    except Exception:
        _log.failure("the location store cannot tell what has expired")


def _tell(events: Events, forgotten: Any) -> None:
    if not events.wanted:
        return
    for one in forgotten:
        if type(one) is not Forgotten:
            raise TypeError("forget() gave what is no Forgotten")
        events.publish("sipframe.location.expired", aor=one.aor, bindings=one.left, ended=one.ended)
