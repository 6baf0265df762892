"""The response context: one request, its branches, and the answers that go upstream (RFC 3261 16.6 to 16.10).

Rules: events come in, actions go out (:mod:`sipframe.proxy.actions`); nothing is sent here and no clock is read. The
targets of a group are tried at once, groups one after the other (16.6). Exactly one final response goes upstream, or
one or more 2xx to an INVITE (16.7 step 5); to a request other than INVITE perhaps none (RFC 4320 4.2). Every branch
ends: by a final response, by its client transaction's timer, by an error, or by timer C. A CANCEL goes only to an
INVITE that has had a provisional response (9.1); one that has had none yet is noted, and cancelled when it has. What
was only about to be sent is dropped. After a 2xx, a 6xx or a CANCEL from upstream nothing new is begun.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from sipframe.message import MessageError, Response
from sipframe.proxy.actions import (
    Action,
    CancelBranch,
    Done,
    DropBranch,
    Forward,
    Respond,
    SetTimerC,
    StopTimerC,
)
from sipframe.proxy.best import Outcome, best
from sipframe.proxy.targets import TargetSet, target_of
from sipframe.verdicts import Target

__all__ = ["Forking", "ResponseContext"]

_REDIRECTIONS: Final = frozenset((300, 301, 302))
"""The 3xx whose contacts are other places for the same request; 305 and 380 mean something else (RFC 3261 21.3)."""

# What a branch is doing.
_WAITING: Final = 0
"""The driver has been asked to forward; nothing has been sent yet."""
_SENT: Final = 1
_ENDED: Final = 2
_SUCCEEDED: Final = 3

# What is being done about cancelling it.
_NO_CANCEL: Final = 0
_CANCEL_WANTED: Final = 1
_CANCELLED: Final = 2


@attrs.frozen
class Forking:
    """What can be set about trying targets."""

    recurse: bool = False
    """Whether the contacts of a 300, 301 or 302 are tried here (RFC 3261 16.7 step 4) or sent back."""
    max_targets: int = attrs.field(default=50, validator=attrs.validators.ge(1))
    """How many targets one request may have, those of redirections included; more are left out."""
    serial_when_narrow: bool = True
    """Whether targets for which Max-Breadth leaves no room wait their turn; else 440 (RFC 5393 5.3.3)."""


_DEFAULT: Final = Forking()


class _Branch:
    __slots__ = ("breadth", "cancel", "heard", "state", "timed")

    def __init__(self, breadth: int) -> None:
        self.breadth = breadth
        self.state = _WAITING
        self.heard = False
        """Whether a provisional response has come, 100 included (RFC 3261 9.1)."""
        self.cancel = _NO_CANCEL
        self.timed = False


class ResponseContext:
    """The response context of one request.

    ``breadth`` is its Incoming Max-Breadth, at least 1 (RFC 5393 5.3.2); ``sips`` says that its Request-URI, as it was
    received, was a SIPS URI: then no contact that is not is recursed on (RFC 3261 16.7 step 4). Each method that tells
    an event returns the actions that follow from it. Events for a branch that has ended are ignored.
    """

    __slots__ = (
        "_begun",
        "_branches",
        "_forking",
        "_free",
        "_invite",
        "_more",
        "_outcomes",
        "_pending",
        "_sips",
        "_targets",
        "answered",
        "cancelled_upstream",
        "closing",
        "done",
    )

    def __init__(
        self, method: str, breadth: int = 60, *, sips: bool = False, forking: Forking = _DEFAULT
    ) -> None:
        if breadth < 1:
            raise ValueError("a request with a Max-Breadth of 0 goes nowhere")
        self._invite = method == "INVITE"
        self._forking = forking
        self._free = breadth
        self._sips = sips
        self._targets = TargetSet(forking.max_targets)
        self._begun: list[Target] = []
        """Targets of the group whose turn it is that wait for breadth."""
        self._branches: list[_Branch] = []
        self._pending = 0
        self._outcomes: list[Outcome] = []
        self._more = True
        self.answered = False
        """Whether a final response has gone upstream."""
        self.cancelled_upstream = False
        self.closing = False
        """Whether nothing new may be begun: no branch, and no further attempt at the next hop of one."""
        self.done = False

    # The target set.

    def add_targets(self, targets: Iterable[Target], *, more: bool = False) -> list[Action]:
        """Add ``targets`` to the set and begin with them (RFC 3261 16.6). ``more`` says that others will follow: while
        they may, the context waits. Called once at least; with nothing in the set the answer is 480 (16.5)."""
        actions: list[Action] = []
        self._more = more
        if not self.closing:
            self._targets.add_last(targets)
        self._go_on(actions)
        return actions

    # Events of branches.

    def started(self, branch: int) -> list[Action]:
        """The request of ``branch`` has been sent, in a client transaction; called again for each further hop that is
        tried for the same target (RFC 3261 16.6 step 7), which must not be when :attr:`closing`."""
        one = self._branches[branch]
        if one.state >= _ENDED:
            return [DropBranch(branch)]
        one.state = _SENT
        one.heard = False
        if one.cancel == _CANCELLED:
            one.cancel = _CANCEL_WANTED  # that was for the hop before
        if not self._invite:
            return []
        one.timed = True
        return [SetTimerC(branch)]  # RFC 3261 16.6 step 11

    def response(self, branch: int, response: Response) -> list[Action]:
        """A response has come on ``branch`` (RFC 3261 16.7)."""
        one = self._branches[branch]
        status = response.status
        actions: list[Action] = []
        if status < 200:
            if one.state < _ENDED:
                self._provisional(branch, one, response, actions)
            return actions
        if one.state >= _ENDED:
            if one.state == _SUCCEEDED and status < 300 and self._invite:
                # RFC 3261 16.7 step 5, RFC 6026 7.2: every 2xx to an INVITE, and at once.
                actions.append(Respond(status, response, True))
            return actions
        if status < 300:
            if self._invite or not self.answered:
                actions.append(Respond(status, response, True))  # RFC 3261 16.7 step 5
                self.answered = True
            self._end(branch, one, actions)
            one.state = _SUCCEEDED
            self._close(actions)  # RFC 3261 16.7 step 10
        else:
            self._end(branch, one, actions)
            if status >= 600:
                self._outcomes.append(Outcome(status, response))
                self._close(actions)  # RFC 3261 16.7 step 5
            elif status in _REDIRECTIONS and self._forking.recurse and not self.closing:
                self._redirected(response)
            else:
                self._note(status, response)
        self._go_on(actions)
        return actions

    def timed_out(self, branch: int) -> list[Action]:
        """The client transaction of ``branch`` has timed out, and no further hop is tried (RFC 3261 16.6 step 7)."""
        one = self._branches[branch]
        actions: list[Action] = []
        if one.state < _ENDED:
            self._end(branch, one, actions)
            # RFC 3261 9.1: an INVITE that was cancelled and is not answered counts as cancelled.
            self._note(487 if one.cancel == _CANCELLED else 408)
            self._go_on(actions)
        return actions

    def failed(self, branch: int, status: int = 503) -> list[Action]:
        """The request of ``branch`` could not be sent, and no further hop is tried: as if a 503 had come (RFC 3261
        16.9), or another ``status`` (430 for a flow that is gone: RFC 5626 5.3.1)."""
        one = self._branches[branch]
        actions: list[Action] = []
        if one.state < _ENDED:
            self._end(branch, one, actions)
            self._note(status)
            self._go_on(actions)
        return actions

    def timer_c(self, branch: int) -> list[Action]:
        """The timer of ``branch`` has fired: timer C (RFC 3261 16.8), or the 64*T1 after its CANCEL (9.1)."""
        one = self._branches[branch]
        actions: list[Action] = []
        if one.state >= _ENDED:
            return actions
        if one.heard and one.cancel != _CANCELLED:
            one.cancel = _CANCELLED
            actions.append(CancelBranch(branch))  # RFC 3261 16.8
            return actions
        one.timed = False
        actions.append(DropBranch(branch))
        actions.extend(self.timed_out(branch))  # RFC 3261 16.8: as if a 408 had come
        return actions

    # Events from upstream.

    def cancelled(self) -> list[Action]:
        """A CANCEL for the request has come, and has been answered (RFC 3261 16.10). It does nothing to a request that
        is answered or is no INVITE (9.2)."""
        actions: list[Action] = []
        if self._invite and not self.answered:
            self.cancelled_upstream = True
            self._close(actions)
            self._go_on(actions)
        return actions

    # Within.

    def _provisional(self, branch: int, one: _Branch, response: Response, actions: list[Action]) -> None:
        one.heard = True
        if not self._invite:
            return  # RFC 4320 4.1: nothing but 100, and that is the server transaction's
        if one.cancel == _CANCEL_WANTED:
            self._cancel(branch, one, actions)
        if response.status > 100:  # RFC 3261 16.7 step 5: never a 100
            if one.cancel == _NO_CANCEL:
                one.timed = True
                actions.append(SetTimerC(branch))  # RFC 3261 16.7 step 2
            if not self.answered:
                actions.append(Respond(response.status, response, False))  # RFC 3261 16.7 step 5

    def _note(self, status: int, response: Response | None = None) -> None:
        if status == 408 and not self._invite:
            return  # RFC 4320 4.2: it must not be the answer
        self._outcomes.append(Outcome(status, response))

    def _end(self, branch: int, one: _Branch, actions: list[Action]) -> None:
        one.state = _ENDED
        self._pending -= 1
        self._free += one.breadth  # RFC 5393 5.3.3.1
        if one.timed:
            one.timed = False
            actions.append(StopTimerC(branch))

    def _cancel(self, branch: int, one: _Branch, actions: list[Action]) -> None:
        one.cancel = _CANCELLED
        one.timed = True
        actions.append(CancelBranch(branch))

    def _close(self, actions: list[Action]) -> None:
        """Begin nothing new, and cancel what is pending (RFC 3261 16.7 step 10)."""
        self.closing = True
        for branch, one in enumerate(self._branches):
            if one.state == _WAITING:
                self._end(branch, one, actions)
                actions.append(DropBranch(branch))
            elif one.state == _SENT and self._invite and one.cancel == _NO_CANCEL:
                # RFC 3261 9.1: only an INVITE is cancelled, and not before a provisional response.
                if one.heard:
                    self._cancel(branch, one, actions)
                else:
                    one.cancel = _CANCEL_WANTED

    def _redirected(self, response: Response) -> None:
        """Take the contacts of a redirection for targets (RFC 3261 16.7 step 4)."""
        try:
            contacts = response.contacts
        except MessageError:
            contacts = ()
        new: list[Target] = []
        left: list[str] = []
        room = self._targets.room
        for contact in contacts:
            target = target_of(contact.uri_text, contact.param("q"))
            if target is None or (self._sips and target.uri[:5].lower() != "sips:"):
                left.append(str(contact))
            elif not self._targets.knows(target):
                if len(new) < room:
                    new.append(target)
                else:
                    left.append(str(contact))
        groups = self._targets.remember(new)
        if groups:
            # They stand for the branch that has ended: the first of them go beside those that still run.
            self._begun.extend(groups[0])
            self._targets.add_first(groups[1:])
        if left or not contacts:
            shortened = len(left) < len(contacts)
            self._outcomes.append(Outcome(response.status, response, tuple(left) if shortened else None))
        elif not groups:
            self._outcomes.append(Outcome(480))  # wherever it points to has been tried

    def _go_on(self, actions: list[Action]) -> None:
        """Begin what may be begun; answer when there is nothing left to wait for (RFC 3261 16.7 step 6)."""
        if self.done:
            return
        if not self.closing:
            self._begin(actions)
        if self._pending or (self._more and not self.closing):
            return
        self.done = True
        self.closing = True
        if not self.answered:
            answer = self._answer()
            if answer is not None:
                self.answered = True
                actions.append(answer)
        actions.append(Done(self.answered))

    def _begin(self, actions: list[Action]) -> None:
        while True:
            if not self._begun:
                if self._pending or not self._targets:
                    return  # RFC 3261 16.6: one group after the other
                self._begun = self._targets.next_group()
                if len(self._begun) > self._free and not self._forking.serial_when_narrow:
                    self._begun = []
                    self._note(440)  # RFC 5393 5.3.3
                    continue
            count = min(self._free, len(self._begun))
            if not count:
                return  # RFC 5393 5.3.3: the outgoing breadth is never more than the incoming
            each, rest = divmod(self._free, count)
            for target in self._begun[:count]:
                share = each + 1 if rest > 0 else each
                rest -= 1
                actions.append(Forward(len(self._branches), target, share))
                self._branches.append(_Branch(share))
                self._pending += 1
                self._free -= share
            self._begun = self._begun[count:]

    def _answer(self) -> Respond | None:
        if self._outcomes:
            return best(self._outcomes)
        if self.cancelled_upstream:
            return Respond(487, None, True)  # RFC 3261 9.2: nothing was sent that could give one
        if not self._branches:
            return Respond(480, None, True)  # RFC 3261 16.5
        if self._invite:
            return Respond(408, None, True)  # RFC 3261 16.7 step 6
        return None  # RFC 4320 4.2
