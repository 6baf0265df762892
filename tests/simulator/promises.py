"""What the servers have promised about registrations, and until when they may speak of them (RFC 3261 10.3).

Rules: it knows nothing but what went over the network. A 200 to a REGISTER is a promise: each contact that the REGISTER
named is there until its time is over, or until somebody asks for something else. Where it cannot be known what became
of a request (it may be under way still, it may have come about unheard of) the promise is the least of what may be, and
the longest time the most. All times of expiry are those of the wall clock, which may be set meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import attrs

from sipframe.message import Request, Response
from sipframe.verdicts import Binding

__all__ = ["Promises", "WallClock"]

_IN_FLIGHT: Final = 90.0
"""How long after it was last sent a REGISTER may take effect: the network, plug-ins, others before it, the disk."""
_DEFAULT: Final = 3_600
_ROUNDING: Final = 2.0
"""Expires is whole seconds."""
_ROAD: Final = 5.0
"""What is read at a phone's end of a connection was written so long ago at the most."""
_FORWARDING: Final = 40.0
"""Between the look-up and the INVITE: policies, and where the URI leads."""


class WallClock:
    """What a server's wall clock shows, and has shown. ``now`` is seconds of the simulation."""

    def __init__(self, shown: Callable[[], float], now: Callable[[], float]) -> None:
        self._shown = shown
        self._now = now
        self._ahead = [(float("-inf"), shown() - now())]

    def __call__(self) -> float:
        return self._shown()

    def was_set(self) -> None:
        """It was set just now."""
        self._ahead.append((self._now(), self._shown() - self._now()))

    def set_since(self, when: float) -> bool:
        """Whether it was set after ``when``."""
        return self._ahead[-1][0] >= when

    def least(self, since: float) -> float:
        """The least that may be made of an interval that begins at ``since`` or later: what it showed at its lowest."""
        return min(ahead for _, ahead in self._of(since)) + since

    def most(self, since: float, until: float) -> float:
        """The most that it has shown between the two."""
        return max(min(end, until) + ahead for end, ahead in self._of(since))

    def _of(self, since: float) -> list[tuple[float, float]]:
        """For each time that it was not set in, since ``since``: its end, and how far ahead the clock was."""
        ends = [*[at for at, _ in self._ahead[1:]], float("inf")]
        return [(end, ahead) for (_, ahead), end in zip(self._ahead, ends, strict=True) if end > since]


@attrs.define(eq=False)
class _Asked:
    """One REGISTER. ``contacts`` are how many seconds it asks for each, 0 to remove it; ``everything`` is the ``*``."""

    call_id: str
    cseq: int
    contacts: dict[str, int]
    everything: bool
    first_at: float
    last_at: float
    answered_at: float | None = None
    most_shown: float | None = None
    void: bool = False
    """What it has bound was removed since."""

    def may_take_effect(self, now: float) -> bool:
        return now < self.last_at + _IN_FLIGHT

    def interval(self, contact: str) -> int | None:
        """Seconds; None when it says nothing about ``contact``."""
        return 0 if self.everything else self.contacts.get(contact)


@attrs.define
class _AOR:
    asked: list[_Asked] = attrs.field(factory=list)
    promised: dict[str, tuple[float, float]] = attrs.field(factory=dict)
    """When each contact expires at the earliest, and when that was promised."""


class Promises:
    """Those of one server. ``broken`` is told what they were broken by; ``most`` is the longest interval it grants."""

    def __init__(
        self,
        wall: WallClock,
        now: Callable[[], float],
        least: int,
        most: int,
        broken: Callable[[str, str], None],
    ) -> None:
        self._wall = wall
        self._now = now
        self._least = least
        self._most = most
        self._broken = broken
        self._aors: dict[str, _AOR] = {}
        self._in_turn: set[str] = set()
        """Contacts with a q: an INVITE may get to them long after it was decided where it goes."""
        self.kept = 0
        """How many promises were looked at and found kept."""

    # What happens.

    def asked(self, request: Request) -> None:
        """A REGISTER is on its way."""
        aor = self._aors.setdefault(request.to.uri_text, _AOR())
        now = self._now()
        asked = _find(aor, request.call_id, request.cseq.number)
        if asked is None:
            contacts = {
                one.uri_text: self._interval(one.expires, request.expires) for one in request.contacts
            }
            number = request.cseq.number
            asked = _Asked(request.call_id, number, contacts, request.contact_star, now, now)
            aor.asked.append(asked)
            self._in_turn.update(one.uri_text for one in request.contacts if one.param("q") is not None)
        asked.last_at, asked.most_shown = now, None
        self._lessen(aor, asked)

    def answered(self, response: Response) -> None:
        """The server has answered a REGISTER."""
        aor = self._aors.get(response.to.uri_text)
        asked = None if aor is None else _find(aor, response.call_id, response.cseq.number)
        if aor is None or asked is None or response.status != 200 or asked.answered_at is not None:
            return
        now, wall = self._now(), self._wall()
        asked.answered_at = now
        listed = {one.uri_text: one.expires or 0 for one in response.contacts}
        if not self._wall.set_since(now - _ROAD):
            self._look_at_list(response.to.uri_text, aor, set(listed))
        if asked.everything or not any(asked.contacts.values()):
            self._removed(aor, asked, now)
        for contact, interval in asked.contacts.items():
            if interval:
                if contact not in listed:
                    self._broken(
                        "registration lost", f"the 200 does not list {contact}, which it has registered"
                    )
                aor.promised[contact] = wall + listed.get(contact, 0) - _ROUNDING, now
        for other in aor.asked:
            if other is not asked and other.may_take_effect(now) and not _earlier(other, asked):
                self._lessen(aor, other)

    def clock_was_set(self) -> None:
        """What is under way counts from what the clock shows now."""
        self._wall.was_set()
        for aor in self._aors.values():
            for asked in aor.asked:
                if asked.may_take_effect(self._now()):
                    self._lessen(aor, asked)

    def forget(self) -> None:
        """The server has a store in memory, and has crashed: no promise holds."""
        for aor in self._aors.values():
            aor.promised.clear()

    # What must be so.

    def check(self, aor_text: str, found: Iterable[Binding]) -> None:
        """``found`` is all that the location store has of an AOR."""
        aor = self._aors.get(aor_text)
        if aor is None:
            return
        wall = self._wall()
        there = {one.contact: one.expires_at for one in found}
        for contact, (expires_at, at) in list(aor.promised.items()):
            if wall >= expires_at:
                del aor.promised[contact]
            elif there.get(contact, 0.0) < expires_at:
                left = expires_at - wall
                what = (
                    "is gone" if contact not in there else f"ends {expires_at - there[contact]:.0f} s early"
                )
                self._broken(
                    "registration lost",
                    f"{aor_text}: {contact}, promised at {at:.3f} s, {what}; {left:.0f} s are left",
                )
            else:
                self.kept += 1

    def aors(self) -> list[str]:
        """Those that were ever named."""
        return list(self._aors)

    def rung(self, request: Request) -> None:
        """An INVITE has left for a contact."""
        since = self._now() - _FORWARDING
        contact = request.uri_text
        if self._wall.set_since(since) or contact in self._in_turn:
            return
        for text, aor in self._aors.items():
            known = [one for one in aor.asked if one.interval(contact)]
            if known and self._latest(known, contact) < self._wall() - _FORWARDING:
                self._broken(
                    "binding outlives its expiry", f"{text}: an INVITE goes to {contact}, which has expired"
                )

    def _look_at_list(self, text: str, aor: _AOR, listed: set[str]) -> None:
        now, wall = self._now(), self._wall()
        for contact, (expires_at, at) in aor.promised.items():
            if contact not in listed and expires_at > wall and at < now - _ROAD:
                self._broken(
                    "registration lost", f"{text}: a 200 does not list {contact}, promised at {at:.3f} s"
                )
        for contact in listed:
            known = [one for one in aor.asked if one.interval(contact)]
            if not known:
                self._broken(
                    "binding out of nowhere", f"{text}: a 200 lists {contact}, which nobody has registered"
                )
            elif self._latest(known, contact) < wall - _ROAD:
                self._broken(
                    "binding outlives its expiry", f"{text}: a 200 lists {contact}, which has expired"
                )

    # Within.

    def _interval(self, own: int | None, field: int | None) -> int:
        wanted = own if own is not None else field
        return _DEFAULT if wanted is None else wanted

    def _lessen(self, aor: _AOR, asked: _Asked) -> None:
        """``asked`` may have come about, or not: promise no more than what there is in both cases."""
        for contact, (expires_at, at) in list(aor.promised.items()):
            interval = asked.interval(contact)
            if interval == 0:
                del aor.promised[contact]
            elif interval is not None:
                granted = min(interval, self._least)
                aor.promised[contact] = min(expires_at, self._wall.least(asked.first_at) + granted), at

    def _removed(self, aor: _AOR, asked: _Asked, now: float) -> None:
        """A removal was answered: unless something else is under way, what was removed is not seen any more."""
        if all(other is asked or not other.may_take_effect(now) for other in aor.asked):
            for other in aor.asked:
                other.void |= asked.everything or set(other.contacts) <= set(asked.contacts)

    def _latest(self, known: list[_Asked], contact: str) -> float:
        """When ``contact`` has expired, whatever came about, by the wall clock."""
        now = self._now()
        found = [float("-inf")]
        for one in known:
            if not one.void:
                found.append(self._took_effect(one, now) + min(one.interval(contact) or 0, self._most))
        return max(found)

    def _took_effect(self, one: _Asked, now: float) -> float:
        """What the wall clock showed at the most while ``one`` may have been carried out."""
        if one.most_shown is not None:
            return one.most_shown
        until = one.last_at + _IN_FLIGHT if one.answered_at is None else one.answered_at
        most = self._wall.most(one.first_at, min(until, now))
        if until < now - _IN_FLIGHT:
            one.most_shown = most  # nothing will change that any more
        return most


def _find(aor: _AOR, call_id: str, cseq: int) -> _Asked | None:
    return next((one for one in reversed(aor.asked) if (one.call_id, one.cseq) == (call_id, cseq)), None)


def _earlier(one: _Asked, other: _Asked) -> bool:
    """Whether the server refuses ``one`` once ``other`` was carried out (RFC 3261 10.3 step 7)."""
    return one.call_id == other.call_id and one.cseq < other.cseq
