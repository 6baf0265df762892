"""The response context, event by event (RFC 3261 16.5 to 16.10)."""

from __future__ import annotations

import pytest

from sipframe.proxy import Forking, Forward, Respond, ResponseContext
from sipframe.verdicts import Target
from tests.proxy.messages import response, target, words

ONE = (target("a"),)
TWO = (target("a"), target("b"))
SERIAL = (target("a", "1.0"), target("b", "0.5"))


def begun(
    targets: tuple[Target, ...] = ONE,
    method: str = "INVITE",
    breadth: int = 60,
    *,
    sips: bool = False,
    forking: Forking | None = None,
) -> ResponseContext:
    """A context whose first group has been sent."""
    context = ResponseContext(method, breadth, sips=sips, forking=forking or Forking())
    for action in context.add_targets(targets):
        if isinstance(action, Forward):
            context.started(action.branch)
    return context


# One branch.


def test_a_call_from_its_invite_to_its_200() -> None:
    context = ResponseContext("INVITE")
    assert words(context.add_targets(ONE)) == ["forward 0 a"]
    assert words(context.started(0)) == ["set C 0"]  # 16.6 step 11
    assert words(context.response(0, response(100))) == []  # 16.7 step 5
    assert words(context.response(0, response(180))) == ["set C 0", "respond 180"]  # 16.7 steps 2 and 5
    assert words(context.response(0, response(200))) == ["respond 200", "stop C 0", "done"]
    assert context.done


def test_every_2xx_to_an_invite_is_forwarded() -> None:
    context = begun()
    context.response(0, response(200))
    # 16.7 step 5, RFC 6026 7.2: a 2xx that is sent again, or comes from another device behind the same target.
    assert words(context.response(0, response(200))) == ["respond 200"]
    assert words(context.response(0, response(202))) == ["respond 202"]
    assert words(context.response(0, response(180))) == []
    assert words(context.response(0, response(486))) == []


def test_another_request_gets_one_2xx() -> None:
    context = begun(method="MESSAGE")
    assert words(context.response(0, response(202))) == ["respond 202", "done"]
    assert words(context.response(0, response(200))) == []


def test_a_refusal_is_forwarded_as_it_came() -> None:
    busy = response(486)
    assert begun().response(0, busy)[-2] == Respond(486, busy, True)


def test_no_timer_c_but_for_an_invite() -> None:
    context = ResponseContext("BYE")
    context.add_targets(ONE)
    assert words(context.started(0)) == []


@pytest.mark.parametrize("status", [100, 180, 183, 199])
def test_no_provisional_response_to_another_request(status: int) -> None:
    assert begun(method="MESSAGE").response(0, response(status)) == []  # RFC 4320 4.1


def test_an_invite_that_nobody_answers_is_answered_408() -> None:
    assert words(begun().timed_out(0)) == ["stop C 0", "answer 408", "done"]  # 16.6 step 7


def test_another_request_that_nobody_answers_is_not_answered() -> None:
    assert words(begun(method="MESSAGE").timed_out(0)) == ["done without an answer"]  # RFC 4320 4.2


def test_a_408_of_somebody_else_is_no_answer_to_another_request_either() -> None:
    assert words(begun(method="MESSAGE").response(0, response(408))) == ["done without an answer"]
    context = begun(TWO, "MESSAGE")
    context.response(0, response(408))
    assert words(context.response(1, response(503))) == ["answer 500", "done"]


def test_a_request_that_cannot_be_sent_is_answered_500() -> None:
    # 16.9: as if a 503 had come; 16.7 step 6: which is not forwarded.
    assert words(begun().failed(0)) == ["stop C 0", "answer 500", "done"]
    context = ResponseContext("INVITE")
    context.add_targets(ONE)
    assert words(context.failed(0)) == ["answer 500", "done"]


def test_a_flow_that_is_gone_is_told() -> None:
    assert words(begun().failed(0, 430)) == ["stop C 0", "answer 430", "done"]  # RFC 5626 5.3.1


def test_no_target_at_all() -> None:
    assert words(ResponseContext("INVITE").add_targets(())) == ["answer 480", "done"]  # 16.5
    assert words(ResponseContext("BYE").add_targets(())) == ["answer 480", "done"]


def test_events_of_a_branch_that_has_ended_are_ignored() -> None:
    context = begun(TWO)
    context.response(0, response(486))
    for late in (response(100), response(180), response(200), response(603)):
        assert context.response(0, late) == []
    assert context.timed_out(0) == context.failed(0) == context.timer_c(0) == []
    assert words(context.started(0)) == ["drop 0"]


def test_a_breadth_of_nothing_is_no_breadth() -> None:
    with pytest.raises(ValueError, match="Max-Breadth"):
        ResponseContext("INVITE", 0)


# Further hops for one target (16.6 step 7).


def test_the_next_hop_begins_anew() -> None:
    context = begun()
    context.response(0, response(100))
    assert words(context.started(0)) == ["set C 0"]
    assert words(context.cancelled()) == []  # this hop has said nothing yet
    assert words(context.response(0, response(100))) == ["cancel 0"]


def test_a_cancel_for_the_hop_before_is_none_for_the_next() -> None:
    context = begun()
    context.response(0, response(100))
    assert words(context.timer_c(0)) == ["cancel 0"]
    context.started(0)
    assert words(context.response(0, response(180))) == ["cancel 0", "respond 180"]


# Groups.


def test_targets_with_one_q_are_tried_at_once() -> None:
    assert words(ResponseContext("INVITE").add_targets(TWO)) == ["forward 0 a", "forward 1 b"]


def test_the_next_group_waits_for_the_end_of_the_one_before() -> None:
    context = begun((target("a", "1"), target("b", "1"), target("c", "0.5"), target("d")))
    assert words(context.response(1, response(486))) == ["stop C 1"]
    assert words(context.response(2, response(486))) == ["stop C 2"]
    assert words(context.timed_out(0)) == ["stop C 0", "forward 3 c"]
    assert words(context.response(3, response(404))) == ["respond 486", "done"]


def test_a_dead_branch_does_not_fail_the_fork() -> None:
    context = ResponseContext("INVITE")
    context.add_targets(TWO)
    assert words(context.failed(0)) == []
    context.started(1)
    assert words(context.response(1, response(200))) == ["respond 200", "stop C 1", "done"]


def test_targets_may_come_later() -> None:
    context = ResponseContext("INVITE")
    assert words(context.add_targets((), more=True)) == []
    assert words(context.add_targets(ONE, more=True)) == ["forward 0 a"]
    context.started(0)
    assert words(context.response(0, response(486))) == ["stop C 0"]
    assert words(context.add_targets((target("a"), target("b")))) == ["forward 1 b"]  # 16.5: never twice


def test_targets_that_come_too_late_are_left() -> None:
    context = begun()
    context.response(0, response(200))
    assert context.add_targets((target("b"),)) == []


def test_so_many_targets_and_no_more() -> None:
    targets = tuple(target(name) for name in "abc")
    context = ResponseContext("INVITE", forking=Forking(max_targets=2))
    assert words(context.add_targets(targets)) == ["forward 0 a", "forward 1 b"]


# Best response: see test_best for the choice itself.


def test_a_2xx_cancels_the_other_branches() -> None:
    context = begun((*TWO, target("c")))
    context.response(1, response(180))
    # 16.7 step 10: 1 is pending; 2 has said nothing, so its CANCEL waits (9.1).
    assert words(context.response(0, response(200))) == ["respond 200", "stop C 0", "cancel 1"]
    assert words(context.response(2, response(100))) == ["cancel 2"]
    assert words(context.response(2, response(180))) == []
    assert words(context.response(2, response(487))) == ["stop C 2"]
    assert words(context.response(1, response(200))) == ["respond 200", "stop C 1", "done"]  # they crossed


def test_a_2xx_drops_what_is_not_yet_sent() -> None:
    context = ResponseContext("INVITE")
    context.add_targets(TWO)
    context.started(0)
    assert words(context.response(0, response(200))) == ["respond 200", "stop C 0", "drop 1", "done"]


def test_a_6xx_waits_for_the_branches_that_it_cancels() -> None:
    context = begun((*TWO, target("c", "0.1")))
    context.response(1, response(180))
    assert words(context.response(0, response(603))) == ["stop C 0", "cancel 1"]
    assert words(context.response(1, response(487))) == [
        "stop C 1",
        "respond 603",
        "done",
    ]  # and c is not tried


def test_a_2xx_may_come_after_a_6xx() -> None:
    context = begun(TWO)
    context.response(1, response(180))
    context.response(0, response(603))
    assert words(context.response(1, response(200))) == ["respond 200", "stop C 1", "done"]


def test_other_requests_are_not_cancelled() -> None:
    context = begun((*TWO, target("c", "0.1")), "MESSAGE")
    context.response(1, response(100))
    assert words(context.response(0, response(603))) == []  # 9.1
    assert words(context.response(1, response(404))) == ["respond 603", "done"]


# CANCEL (16.10).


def test_a_cancel_from_upstream_cancels_every_branch() -> None:
    context = begun(TWO)
    context.response(0, response(180))
    assert words(context.cancelled()) == ["cancel 0"]
    assert context.cancelled() == []
    assert words(context.response(0, response(487))) == ["stop C 0"]
    assert words(context.response(1, response(180))) == ["cancel 1", "respond 180"]
    assert words(context.response(1, response(487))) == ["stop C 1", "respond 487", "done"]


def test_after_a_cancel_nothing_is_begun() -> None:
    context = begun(SERIAL)
    context.response(0, response(180))
    context.cancelled()
    assert words(context.response(0, response(487))) == ["stop C 0", "respond 487", "done"]


def test_a_cancel_while_nothing_has_been_sent() -> None:
    context = ResponseContext("INVITE")
    context.add_targets(ONE)
    assert words(context.cancelled()) == ["drop 0", "answer 487", "done"]


def test_a_cancel_while_the_targets_are_looked_for() -> None:
    context = ResponseContext("INVITE")
    context.add_targets((), more=True)
    assert words(context.cancelled()) == ["answer 487", "done"]
    assert context.add_targets(ONE) == []


def test_an_invite_that_is_cancelled_may_be_answered_all_the_same() -> None:
    context = begun()
    context.response(0, response(180))
    context.cancelled()
    assert words(context.response(0, response(200))) == ["respond 200", "stop C 0", "done"]


def test_a_cancel_that_is_not_heeded() -> None:
    context = begun()
    context.response(0, response(180))
    context.cancelled()
    # 9.1: 64*T1 after the CANCEL the INVITE counts as cancelled.
    assert words(context.timer_c(0)) == ["drop 0", "answer 487", "done"]


@pytest.mark.parametrize("method", ["MESSAGE", "BYE", "OPTIONS"])
def test_a_cancel_does_nothing_to_another_request(method: str) -> None:
    context = begun(method=method)
    context.response(0, response(100))
    assert context.cancelled() == []  # 9.2


def test_a_cancel_comes_too_late() -> None:
    context = begun(TWO)
    context.response(1, response(180))
    context.response(0, response(200))
    assert context.cancelled() == []


# Timer C (16.8).


def test_timer_c_cancels_a_branch_that_has_said_something() -> None:
    context = begun(SERIAL)
    context.response(0, response(180))
    assert words(context.timer_c(0)) == ["cancel 0"]
    assert words(context.response(0, response(180))) == ["respond 180"]  # its time is not set again
    assert words(context.response(0, response(487))) == ["stop C 0", "forward 1 b"]


def test_timer_c_ends_a_branch_that_has_said_nothing() -> None:
    assert words(begun().timer_c(0)) == ["drop 0", "answer 408", "done"]


# Recursion (16.7 step 4).

RECURSE = Forking(recurse=True)


def moved(*contacts: str, status: int = 302) -> list[str]:
    return [f"Contact: {contact}" for contact in contacts]


def test_without_recursion_a_redirection_is_an_answer() -> None:
    redirection = response(302, "Contact: <sip:c@192.0.2.9>")
    assert begun().response(0, redirection)[-2] == Respond(302, redirection, True)


def test_recursion_tries_the_contacts() -> None:
    context = begun(forking=RECURSE)
    contacts = [
        "Contact: <sip:c@192.0.2.9>;q=0.3, <sip:d@192.0.2.9>;q=0.8",
        "Contact: <sip:e@192.0.2.9>;q=0.8",
    ]
    actions = context.response(0, response(302, *contacts))
    assert words(actions) == ["stop C 0", "forward 1 d", "forward 2 e"]
    context.timed_out(1)
    assert words(context.timed_out(2)) == ["forward 3 c"]
    # 16.7 step 4: the redirection itself is no candidate.
    assert words(context.response(3, response(500))) == ["answer 408", "done"]


def test_recursion_does_not_wait_for_other_branches() -> None:
    context = begun((*TWO, target("z", "0.1")), forking=RECURSE)
    actions = context.response(0, response(302, "Contact: <sip:c@192.0.2.9>"))
    assert words(actions) == ["stop C 0", "forward 2 c"]


def test_no_target_is_tried_twice() -> None:
    context = begun(TWO, forking=RECURSE)
    again = response(302, "Contact: <sip:%61@192.0.2.9>, <sip:b@192.0.2.9;x=y>")
    assert words(context.response(0, again)) == ["stop C 0"]
    # Whoever asks upstream would only go round in it too.
    assert words(context.response(1, again)) == ["stop C 1", "answer 480", "done"]


def test_contacts_that_are_not_tried_go_back() -> None:
    context = begun(forking=RECURSE)
    redirection = response(
        300, 'Contact: "C" <sip:c@192.0.2.9>, <mailto:a@example.com>', "m: <tel:+123>;q=0.2"
    )
    context.response(0, redirection)
    context.started(1)
    [answer] = [one for one in context.timed_out(1) if isinstance(one, Respond)]
    assert answer == Respond(300, redirection, True, (), ("<mailto:a@example.com>", "<tel:+123>;q=0.2"))


def test_a_redirection_to_nothing_that_we_try_stays_as_it_was() -> None:
    redirection = response(302, "Contact: <mailto:a@example.com>")
    assert begun(forking=RECURSE).response(0, redirection)[-2] == Respond(302, redirection, True)
    redirection = response(302)
    assert begun(forking=RECURSE).response(0, redirection)[-2] == Respond(302, redirection, True)
    redirection = response(302, "Contact: <<")
    assert begun(forking=RECURSE).response(0, redirection)[-2] == Respond(302, redirection, True)


@pytest.mark.parametrize("status", [305, 380, 399])
def test_other_3xx_are_not_recursed_on(status: int) -> None:
    assert words(begun(forking=RECURSE).response(0, response(status, "Contact: <sip:c@192.0.2.9>"))) == [
        "stop C 0",
        f"respond {status}",
        "done",
    ]


def test_sips_is_not_downgraded_by_recursion() -> None:
    context = begun((target("sips:a@192.0.2.9"),), sips=True, forking=RECURSE)
    redirection = response(302, "Contact: <sip:c@192.0.2.9>, <sips:d@192.0.2.9>")
    assert words(context.response(0, redirection)) == ["stop C 0", "forward 1 d"]
    assert context.timed_out(1)[-2] == Respond(302, redirection, True, (), ("<sip:c@192.0.2.9>",))


def test_a_redirection_after_a_cancel_is_not_followed() -> None:
    context = begun(forking=RECURSE)
    context.response(0, response(180))
    context.cancelled()
    redirection = response(302, "Contact: <sip:c@192.0.2.9>")
    assert words(context.response(0, redirection)) == ["stop C 0", "respond 302", "done"]


def test_recursion_has_an_end() -> None:
    context = begun(forking=Forking(recurse=True, max_targets=2))
    redirection = response(302, "Contact: <sip:c@192.0.2.9>, <sip:d@192.0.2.9>")
    assert words(context.response(0, redirection)) == ["stop C 0", "forward 1 c"]
    assert context.timed_out(1)[-2] == Respond(302, redirection, True, (), ("<sip:d@192.0.2.9>",))


# Max-Breadth (RFC 5393 5.3.3).


def shares(context: ResponseContext, names: str) -> list[int]:
    actions = context.add_targets([target(name) for name in names])
    return [action.breadth for action in actions if isinstance(action, Forward)]


def test_breadth_is_shared_out_whole() -> None:
    assert shares(ResponseContext("INVITE", 60), "a") == [60]
    assert shares(ResponseContext("INVITE", 60), "ab") == [30, 30]
    assert shares(ResponseContext("INVITE", 8), "abc") == [3, 3, 2]


def test_what_finds_no_breadth_waits_for_some() -> None:
    # The example of RFC 5393 5.5: 8 targets and a Max-Breadth of 4.
    context = ResponseContext("INVITE", 4)
    assert shares(context, "abcdefgh") == [1, 1, 1, 1]
    assert words(context.response(2, response(486))) == ["forward 4 e"]


def test_the_breadth_of_a_branch_comes_back_with_its_end() -> None:
    context = begun(SERIAL, breadth=7)
    [_, forward] = context.response(0, response(486))
    assert isinstance(forward, Forward)
    assert forward.breadth == 7


def test_a_group_that_finds_no_breadth_may_be_refused() -> None:
    context = ResponseContext("INVITE", 1, forking=Forking(serial_when_narrow=False))
    assert words(context.add_targets(TWO)) == ["answer 440", "done"]
    context = ResponseContext("INVITE", 1, forking=Forking(serial_when_narrow=False))
    context.add_targets((*TWO, target("c", "0.2")))
    assert words(context.response(0, response(500))) == ["answer 440", "done"]
