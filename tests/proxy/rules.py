"""RFC 3261 16.6 to 16.10 as sentences about a history: what was told to a response context, and what it asked for.

Written from the RFC's text and knowing nothing of the context's insides. Each rule is a function that looks at the
whole history and asserts; :data:`RULES` has them all. A history is a list of moments: an event and its actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from sipframe.message import Response
from sipframe.proxy import Action, CancelBranch, Done, DropBranch, Forward, Respond, SetTimerC, StopTimerC

__all__ = ["AT_THE_END", "RULES", "Event", "History", "Moment"]


class Event(NamedTuple):
    """``targets``, ``started``, ``response``, ``timed out``, ``failed``, ``timer C``, ``cancelled``."""

    name: str
    branch: int | None = None
    response: Response | None = None


class Moment(NamedTuple):
    event: Event
    actions: list[Action]


class History(NamedTuple):
    method: str
    breadth: int
    recurse: bool
    moments: list[Moment]

    @property
    def invite(self) -> bool:
        return self.method == "INVITE"

    def actions(self) -> Iterator[Action]:
        for moment in self.moments:
            yield from moment.actions

    def finals(self) -> list[Respond]:
        return [one for one in self.actions() if isinstance(one, Respond) and one.final]

    def forwards(self) -> dict[int, Forward]:
        return {one.branch: one for one in self.actions() if isinstance(one, Forward)}

    def before(self, position: int) -> History:
        return self._replace(moments=self.moments[:position])

    def ended(self) -> set[int]:
        """The branches that wait for nothing: a final response, silence, an error, or dropped."""
        ended = set()
        for event, actions in self.moments:
            final = event.response is not None and event.response.status >= 200
            if event.branch is not None and (final or event.name in ("timed out", "failed")):
                ended.add(event.branch)
            ended |= {one.branch for one in actions if isinstance(one, DropBranch)}
        return ended

    def closed(self) -> bool:
        """Whether a 2xx, a 6xx or a CANCEL has come, or a final response has gone upstream."""
        for event, _ in self.moments:
            if event.response is not None and event.response.status // 100 in (2, 6):
                return True
            if event.name == "cancelled" and self.invite:
                return True
        return bool(self.finals())


def one_final_response_goes_upstream(history: History) -> None:
    """16.7 step 5: "exactly one final response to a non-INVITE request, and either exactly one non-2xx response or one
    or more 2xx responses to an INVITE request"."""
    statuses = [one.status for one in history.finals()]
    if history.invite and statuses and statuses[0] < 300:
        assert all(200 <= status < 300 for status in statuses)
    else:
        assert len(statuses) <= 1


def final_says_what_the_status_says(history: History) -> None:
    for one in history.actions():
        if isinstance(one, Respond):
            assert one.final is (one.status >= 200)
            assert one.response is None or one.response.status == one.status


def no_100_is_forwarded(history: History) -> None:
    """16.7 step 5: "a stateful proxy MUST NOT forward any 100 (Trying) response"."""
    assert 100 not in [one.status for one in history.actions() if isinstance(one, Respond)]


def provisional_responses_go_upstream_at_once(history: History) -> None:
    """16.7 step 5: any other provisional, until a final response has been sent. RFC 4320 4.1: to an INVITE only."""
    answered = False
    ended: set[int] = set()
    for position, (event, actions) in enumerate(history.moments):
        came = event.response
        forwarded = [one.response for one in actions if isinstance(one, Respond) and one.status < 200]
        due = (
            came is not None
            and 100 < came.status < 200
            and history.invite
            and not answered
            and event.branch not in ended
        )
        assert forwarded == ([came] if due else [])
        answered = answered or any(isinstance(one, Respond) and one.final for one in actions)
        ended = history.before(position + 1).ended()


def every_2xx_to_an_invite_goes_upstream_at_once(history: History) -> None:
    """16.7 step 5; to another request the first one, and only before a final response."""
    answered = False
    for event, actions in history.moments:
        came = event.response
        forwarded = [one.response for one in actions if isinstance(one, Respond) and 200 <= one.status < 300]
        due = came is not None and 200 <= came.status < 300 and (history.invite or not answered)
        assert forwarded == ([came] if due else [])
        answered = answered or any(isinstance(one, Respond) and one.final for one in actions)


def other_finals_wait_for_the_end_of_every_branch(history: History) -> None:
    """16.7 step 6: "and all client transactions in this response context have been terminated"."""
    for position, (_, actions) in enumerate(history.moments):
        if any(isinstance(one, Respond) and one.status >= 300 for one in actions):
            now = history.before(position + 1)
            assert now.ended() == set(now.forwards())
            assert not any(isinstance(one, Forward) for one in actions)


def the_best_response_is_chosen(history: History) -> None:
    """16.7 step 6. What timed out or failed did "as if" a 408 or 503 had come (16.6 step 7, 16.8, 16.9)."""
    answers = [one for one in history.finals() if one.status >= 300]
    if not answers:
        return
    [answer] = answers
    position = next(n for n, (_, actions) in enumerate(history.moments) if answer in actions)
    assert answer.status in _candidates(history.before(position + 1))
    if answer.response is not None:
        assert any(moment.event.response is answer.response for moment in history.moments)


def _collected(history: History) -> list[int]:
    collected = []
    cancelled: set[int] = set()
    heard: set[int] = set()
    ended: set[int] = set()
    for position, (event, actions) in enumerate(history.moments):
        status = 0 if event.response is None else event.response.status
        if event.branch is not None and event.branch not in ended:
            if event.name == "started":
                cancelled.discard(event.branch)
                heard.discard(event.branch)
            if 100 <= status < 200:
                heard.add(event.branch)
            if status >= 300:
                collected.append(status)
            if event.name == "failed":
                collected.append(503)
            if event.name == "timed out" or (
                event.name == "timer C" and (event.branch in cancelled or event.branch not in heard)
            ):
                collected.append(487 if event.branch in cancelled else 408)
        cancelled |= {one.branch for one in actions if isinstance(one, CancelBranch)}
        ended = history.before(position + 1).ended()
    return collected


def _candidates(history: History) -> set[int]:
    collected = [status for status in _collected(history) if history.invite or status != 408]
    others = [status for status in collected if status not in (300, 301, 302)]
    if history.recurse and others != collected:
        # What becomes of a redirection that is recursed on is for test_context; it may be any of these.
        return {300, 301, 302, 480} | _best(others) | _best([*others, 480])
    if collected:
        return _best(collected)
    if history.invite and any(moment.event.name == "cancelled" for moment in history.moments):
        return {487}  # 9.2: nothing was sent, so nothing could say so
    return {480}  # 16.5: the target set was empty


def _best(collected: list[int]) -> set[int]:
    six = {status for status in collected if status >= 600}
    if six or not collected:
        return six  # "It MUST choose from the 6xx class responses if any exist"
    lowest = min(status // 100 for status in collected)  # "from the lowest response class"
    among = {status for status in collected if status // 100 == lowest}
    informative = among & {401, 407, 415, 420, 484}  # "SHOULD give preference to"
    if lowest == 4 and informative:
        return informative
    if among == {503}:
        return {500}  # "the proxy SHOULD generate a 500 response"
    return among - {503}


def challenges_are_gathered(history: History) -> None:
    """16.7 step 7: those of all other 401 and 407 responses, "without modification"."""
    ended: set[int] = set()
    seen = []
    for position, (event, actions) in enumerate(history.moments):
        came = event.response
        if came is not None and came.status in (401, 407) and event.branch not in ended:
            seen += [(came, value) for value in challenges(came)]
        ended = history.before(position + 1).ended()
        for one in actions:
            if isinstance(one, Respond) and one.status in (401, 407):
                added = sorted(line.partition(": ")[2] for line in one.challenges)
                assert added == sorted(value for other, value in seen if other is not one.response)
            elif isinstance(one, Respond):
                assert one.challenges == ()


def challenges(response: Response) -> list[str]:
    return [*response.all("www-authenticate"), *response.all("proxy-authenticate")]


def only_what_rings_is_cancelled(history: History) -> None:
    """9.1: an INVITE, after a provisional response, before a final one. 16.7 step 10: once."""
    rings: set[int] = set()
    for event, actions in history.moments:
        branch = event.branch
        if branch is not None and event.response is not None and event.response.status < 200:
            rings.add(branch)
        elif branch is not None and event.name != "timer C":
            rings.discard(branch)
        for one in actions:
            if isinstance(one, CancelBranch):
                assert history.invite
                assert one.branch in rings
                rings.discard(one.branch)


def a_cancelled_branch_is_cancelled_once(history: History) -> None:
    cancelled: set[int] = set()
    for event, actions in history.moments:
        if event.name == "started" and event.branch is not None:
            cancelled.discard(event.branch)  # a new client transaction
        for one in actions:
            if isinstance(one, CancelBranch):
                assert one.branch not in cancelled
                cancelled.add(one.branch)


def what_is_pending_is_cancelled(history: History) -> None:
    """16.7 step 10 and 16.10: after a final response, a 6xx or a CANCEL, every pending INVITE transaction."""
    rings: set[int] = set()
    for position, (event, actions) in enumerate(history.moments):
        now = history.before(position + 1)
        if event.branch is not None and event.name == "started":
            rings.discard(event.branch)
        provisional = event.response is not None and event.response.status < 200
        over = history.before(position).ended() | _cancelled(now)
        if event.branch is not None and provisional and event.branch not in over:
            rings.add(event.branch)
        rings -= now.ended()
        rings -= {one.branch for one in actions if isinstance(one, CancelBranch)}
        if history.invite and now.closed():
            assert not rings


def _cancelled(history: History) -> set[int]:
    cancelled: set[int] = set()
    for event, actions in history.moments:
        if event.name == "started" and event.branch is not None:
            cancelled.discard(event.branch)
        cancelled |= {one.branch for one in actions if isinstance(one, CancelBranch)}
    return cancelled


def nothing_is_begun_after_the_end_is_near(history: History) -> None:
    """16.7 step 5: after a 6xx it "MUST NOT create any new branches in this context"; so too after 2xx and CANCEL."""
    for position, (_, actions) in enumerate(history.moments):
        if any(isinstance(one, Forward) for one in actions):
            assert not history.before(position + 1).closed()


def no_target_is_tried_twice(history: History) -> None:
    """16.5: "any given URI MUST NOT be added to the set more than once"."""
    tried = [one.target.uri for one in history.actions() if isinstance(one, Forward)]
    assert len(tried) == len(set(tried))


def groups_are_tried_one_after_the_other(history: History) -> None:
    """16.6: "from highest qvalue to lowest"."""
    if history.recurse:
        return  # a redirection's contacts stand beside those that still run
    for position, (_, actions) in enumerate(history.moments):
        now = history.before(position + 1)
        if any(isinstance(one, Forward) for one in actions):
            running = [one.target.q for branch, one in now.forwards().items() if branch not in now.ended()]
            assert len(set(running)) == 1
    if len([moment for moment in history.moments if moment.event.name == "targets"]) == 1:
        qs = [one.target.q for one in history.actions() if isinstance(one, Forward)]
        assert qs == sorted(qs, reverse=True)


def breadth_is_never_exceeded(history: History) -> None:
    """RFC 5393 5.3.3: "MUST NOT allow the Outgoing Max-Breadth to exceed the Incoming Max-Breadth"."""
    for position in range(len(history.moments)):
        now = history.before(position + 1)
        running = [one.breadth for branch, one in now.forwards().items() if branch not in now.ended()]
        assert sum(running) <= history.breadth
        assert all(breadth >= 1 for breadth in running)


def timer_c_runs_while_an_invite_is_pending(history: History) -> None:
    """16.6 step 11, 16.7 step 2; no timer is left behind, and none is stopped that does not run."""
    running: set[int] = set()
    for position, (event, actions) in enumerate(history.moments):
        now = history.before(position + 1)
        if event.name == "timer C" and event.branch is not None:
            running.discard(event.branch)  # it has fired
        for one in actions:
            if isinstance(one, SetTimerC | CancelBranch):  # a CANCEL has a timer of its own
                running.add(one.branch)
            elif isinstance(one, StopTimerC):
                assert one.branch in running
                running.discard(one.branch)
        sent = {moment.event.branch for moment in now.moments if moment.event.name == "started"} - now.ended()
        assert running == (sent if history.invite else set())
        provisional = event.response is not None and 100 < event.response.status < 200
        pending = event.branch in sent and event.branch not in _cancelled(now)
        if provisional and pending and history.invite:
            assert SetTimerC(event.branch or 0) in actions


def after_done_only_2xx_follow(history: History) -> None:
    done = False
    for event, actions in history.moments:
        if done:
            assert all(isinstance(one, Respond) and one.status < 300 for one in actions)
            assert not actions or event.response is not None
        done = done or any(isinstance(one, Done) for one in actions)
    assert len([one for one in history.actions() if isinstance(one, Done)]) <= 1


def done_means_that_nothing_is_left(history: History) -> None:
    for position, (_, actions) in enumerate(history.moments):
        for one in actions:
            if isinstance(one, Done):
                now = history.before(position + 1)
                assert actions[-1] is one
                assert now.ended() == set(now.forwards())
                assert one.answered is bool(now.finals())


RULES: list[Callable[[History], None]] = [
    one_final_response_goes_upstream,
    final_says_what_the_status_says,
    no_100_is_forwarded,
    provisional_responses_go_upstream_at_once,
    every_2xx_to_an_invite_goes_upstream_at_once,
    other_finals_wait_for_the_end_of_every_branch,
    the_best_response_is_chosen,
    challenges_are_gathered,
    only_what_rings_is_cancelled,
    a_cancelled_branch_is_cancelled_once,
    what_is_pending_is_cancelled,
    nothing_is_begun_after_the_end_is_near,
    no_target_is_tried_twice,
    groups_are_tried_one_after_the_other,
    breadth_is_never_exceeded,
    timer_c_runs_while_an_invite_is_pending,
    after_done_only_2xx_follow,
    done_means_that_nothing_is_left,
]


def there_is_an_end(history: History) -> None:
    assert len([one for one in history.actions() if isinstance(one, Done)]) == 1


def it_is_answered_unless_nobody_said_anything(history: History) -> None:
    """RFC 4320 4.2: only another request than INVITE may go without, and only when silence or 408 is all there was."""
    if not history.finals():
        assert not history.invite
        assert set(_collected(history)) <= {408, 300, 301, 302}
        assert history.forwards()


AT_THE_END: list[Callable[[History], None]] = [there_is_an_end, it_is_answered_unless_nobody_said_anything]
