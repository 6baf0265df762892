"""Random forks: answers, silence, errors, CANCELs, timers and redirections in any order, against the rules of 16.7.

The branches behave as client transactions do (RFC 3261 17.1, RFC 6026 7.2): that is all that is assumed. In each step
one of all the things that can happen now does. In the end nobody says anything any more, and time passes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hypothesis import event, given, settings
from hypothesis import strategies as st

from sipframe.message import Response
from sipframe.proxy import (
    Action,
    CancelBranch,
    DropBranch,
    Forking,
    Forward,
    ResponseContext,
    SetTimerC,
    StopTimerC,
)
from sipframe.verdicts import Target
from tests.proxy.messages import response, target
from tests.proxy.rules import AT_THE_END, RULES, Event, History, Moment

STEPS = (5, 15, 30, 30)
NAMES = "abcdefgh"
PROVISIONAL = (100, 100, 180, 183)
SUCCESS = (200, 202)
FAILURE = (301, 302, 302, 401, 404, 407, 408, 415, 486, 487, 500, 503, 503, 600, 603)
WAITING, CALLING, PROCEEDING, ACCEPTED, OVER = "waiting", "Calling", "Proceeding", "Accepted", "over"

one_target = st.builds(target, st.sampled_from(NAMES), st.sampled_from([None, None, "1.0", "0.5"]))
many_targets = st.lists(one_target, min_size=3, max_size=5)
targets = st.one_of(many_targets, many_targets, many_targets, st.lists(one_target, max_size=2))
contacts = st.lists(st.sampled_from(NAMES), max_size=3)


class Fork:
    """A response context, the client transactions of its branches, and all that has happened."""

    def __init__(self, data: st.DataObject) -> None:
        draw = data.draw
        self.draw = draw
        method = draw(st.sampled_from(["INVITE", "INVITE", "MESSAGE"]))
        breadth = draw(st.sampled_from([60, 60, 60, 3, 2, 1]))
        recurse = draw(st.booleans())
        forking = Forking(recurse, draw(st.sampled_from([50, 3])))
        self.history = History(method, breadth, recurse, [])
        self.context = ResponseContext(method, breadth, forking=forking)
        self.branches: dict[int, str] = {}
        self.timers: set[int] = set()
        self.challenges = 0
        self.more = True
        self.cancelled = False

    def tell(self, told: Event, actions: list[Action]) -> None:
        """Write down what the context was told and what it asks for, and do that."""
        self.history.moments.append(Moment(told, actions))
        if told.name == "timer C" and told.branch is not None:
            self.timers.discard(told.branch)
        for action in actions:
            if isinstance(action, Forward):
                assert action.branch not in self.branches
                self.branches[action.branch] = WAITING
            elif isinstance(action, SetTimerC | CancelBranch):
                self.timers.add(action.branch)
            elif isinstance(action, StopTimerC):
                self.timers.discard(action.branch)
            elif isinstance(action, DropBranch):
                self.branches[action.branch] = OVER

    # What can happen.

    def possible(self) -> list[Callable[[], None]]:
        """All that can happen now; what should happen more often stands in it more often."""
        found: list[Callable[[], None]] = []
        if self.more:
            found.append(self.targets_are_found)
        if not self.cancelled and self.history.moments:
            found.append(self.a_cancel_comes)
        for branch, state in self.branches.items():
            if state == WAITING:
                found += [partial(self.is_sent, branch)] * 9
            if state in (WAITING, CALLING, PROCEEDING):
                found.append(partial(self.cannot_be_sent, branch))
            if state in (CALLING, PROCEEDING):
                found += [partial(self.comes, branch, PROVISIONAL, PROCEEDING)] * 6
                found += [partial(self.comes, branch, FAILURE, OVER)] * 2
                found += [partial(self.comes, branch, SUCCESS, ACCEPTED)] * 2
                if not self.context.closing:
                    found.append(partial(self.is_sent, branch))  # to the next hop
            if state == CALLING or (state == PROCEEDING and not self.history.invite):
                # Timer B runs in Calling only, timer F always (RFC 3261 17.1).
                found.append(partial(self.is_silent, branch))
            if state == ACCEPTED and self.history.invite:
                found.append(partial(self.comes, branch, SUCCESS, ACCEPTED))
        found += [partial(self.timer_c_fires, branch) for branch in sorted(self.timers)]
        return found

    def targets_are_found(self, given: list[Target] | None = None) -> None:
        found = self.draw(targets) if given is None else given
        self.more = given is None and self.draw(st.booleans())
        self.tell(Event("targets"), self.context.add_targets(found, more=self.more))

    def a_cancel_comes(self) -> None:
        self.cancelled = True
        self.tell(Event("cancelled"), self.context.cancelled())

    def is_sent(self, branch: int) -> None:
        self.branches[branch] = CALLING
        self.tell(Event("started", branch), self.context.started(branch))

    def cannot_be_sent(self, branch: int) -> None:
        self.branches[branch] = OVER
        self.tell(Event("failed", branch), self.context.failed(branch))

    def is_silent(self, branch: int) -> None:
        self.branches[branch] = OVER
        self.tell(Event("timed out", branch), self.context.timed_out(branch))

    def comes(self, branch: int, statuses: tuple[int, ...], state: str) -> None:
        self.branches[branch] = state
        message = self.message(self.draw(st.sampled_from(statuses)))
        self.tell(Event("response", branch, message), self.context.response(branch, message))

    def message(self, status: int) -> Response:
        fields: list[str] = []
        if status // 100 == 3:
            names = self.draw(contacts)
            fields = [f"Contact: <sip:{name}@192.0.2.9>;q=0.{n}" for n, name in enumerate(names)]
            fields += ["Contact: <mailto:a@example.com>"] if self.draw(st.booleans()) else []
        if status in (401, 407):
            self.challenges += 1
            name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
            fields = [f'{name}: Digest realm="a", nonce="{self.challenges}"']
        return response(status, *fields)

    def timer_c_fires(self, branch: int) -> None:
        self.tell(Event("timer C", branch), self.context.timer_c(branch))

    # The end.

    def silence(self) -> None:
        """What there is to do is done, nobody says anything any more, and time passes."""
        if self.more:
            self.targets_are_found([])
        for _ in range(1000):
            waiting = self.some(WAITING)
            silent = None if self.history.invite else self.some(CALLING, PROCEEDING)
            if waiting is not None:
                self.is_sent(waiting)
            elif self.timers:
                self.timer_c_fires(min(self.timers))
            elif silent is not None:
                self.is_silent(silent)
            else:
                break

    def some(self, *states: str) -> int | None:
        return next((branch for branch, state in self.branches.items() if state in states), None)


@given(st.data())
@settings(max_examples=1000)
def test_random_forks(data: st.DataObject) -> None:
    fork = Fork(data)
    fork.targets_are_found()
    for _ in range(data.draw(st.sampled_from(STEPS))):
        possible = fork.possible()
        if not possible:
            break
        data.draw(st.sampled_from(possible))()
    fork.silence()
    event(f"{fork.history.method}, {len(fork.branches)} branches")
    for rule in (*RULES, *AT_THE_END):
        rule(fork.history)
    assert not fork.timers
    assert set(fork.branches.values()) <= {OVER, ACCEPTED}
