"""What a response context asks its driver to do: values, and nothing else (RFC 3261 16.6, 16.7).

Rules: the actions of one event are performed in order, all of them before the events that they bring are told to the
context. A branch is a number: 0 for the first target that is tried, then 1, and so on.
"""

from __future__ import annotations

from typing import NamedTuple

from sipframe.message import Response
from sipframe.verdicts import Target

__all__ = ["Action", "CancelBranch", "Done", "DropBranch", "Forward", "Respond", "SetTimerC", "StopTimerC"]


class Forward(NamedTuple):
    """Forward the request to ``target`` (RFC 3261 16.6), with ``breadth`` as its Max-Breadth (RFC 5393 5.3.3)."""

    branch: int
    target: Target
    breadth: int


class Respond(NamedTuple):
    """Answer upstream: with ``response`` that a branch brought, or, without one, with ``status`` as a UAS does.

    ``final`` says what a status of 200 or more says, too. ``challenges`` are header lines to be added, without CRLF
    (RFC 3261 16.7 step 7); ``contacts``, unless None, are the Contact values that are left of those that the response
    had (step 4).
    """

    status: int
    response: Response | None
    final: bool
    challenges: tuple[str, ...] = ()
    contacts: tuple[str, ...] | None = None


class CancelBranch(NamedTuple):
    """Send a CANCEL for the branch's INVITE (RFC 3261 9.1): it has had a provisional response.

    In the place of timer C the branch now has 64*T1 for its final response; when they are over, call ``timer_c``.
    """

    branch: int


class DropBranch(NamedTuple):
    """Give the branch up without a word: its look-up or connection attempt, or its client transaction."""

    branch: int


class SetTimerC(NamedTuple):
    """Start timer C of the branch, or start it again (RFC 3261 16.6 step 11, 16.7 step 2): more than 3 minutes."""

    branch: int


class StopTimerC(NamedTuple):
    """The branch has ended: stop its timer, be it timer C or that of its CANCEL."""

    branch: int


class Done(NamedTuple):
    """Every branch has ended and no target is left. No timer runs, and nothing is waited for.

    ``answered`` is False when there must be no answer at all (RFC 4320 4.2): the server transaction is dropped. After
    2xx to an INVITE, further 2xx of the same branches may still come, and give :class:`Respond` (RFC 6026 7.2).
    """

    answered: bool


Action = Forward | Respond | CancelBranch | DropBranch | SetTimerC | StopTimerC | Done
