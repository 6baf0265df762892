"""The best response (RFC 3261 16.7 steps 6 and 7)."""

from __future__ import annotations

import pytest

from sipframe.proxy import Respond
from sipframe.proxy.best import Outcome, best
from tests.proxy.messages import response


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ([503, 407, 501, 404], 407),  # the example of 16.7 step 6
        ([404, 603, 486], 603),
        ([603, 600], 603),
        ([500, 302, 404], 302),
        ([404, 500], 404),
        ([486, 404], 486),  # the first of those that are as good
        ([404, 484], 484),
        ([404, 415], 415),
        ([404, 420], 420),
        ([404, 401], 401),
        ([487, 486], 486),
        ([408, 487], 487),
        ([408, 480], 480),
        ([408, 500], 408),
        ([503, 500], 500),
        ([503, 504], 504),
        ([408], 408),
    ],
)
def test_the_best_of_several(statuses: list[int], status: int) -> None:
    outcomes = [Outcome(one, response(one)) for one in statuses]
    answer = best(outcomes)
    chosen = outcomes[statuses.index(status)]
    assert answer == Respond(status, chosen.response, True, answer.challenges)


@pytest.mark.parametrize("statuses", [[503], [503, 503]])
def test_a_503_is_not_forwarded(statuses: list[int]) -> None:
    assert best([Outcome(one, response(one)) for one in statuses]) == Respond(500, None, True)


def test_a_408_that_never_came_is_our_own() -> None:
    assert best([Outcome(408)]) == Respond(408, None, True)


def test_challenges_of_all_branches_go_into_one_answer() -> None:
    first = response(401, 'WWW-Authenticate: Digest realm="a", nonce="1"')
    second = response(
        407,
        'proxy-authenticate:  Digest realm="b",\r\n nonce="2"',
        'Proxy-Authenticate: Digest realm="c", nonce="3"',
    )
    third = response(401, 'WWW-Authenticate: Digest realm="a", nonce="4"')
    other = response(404, 'WWW-Authenticate: Digest realm="no"')
    answer = best([Outcome(one.status, one) for one in (first, other, second, third)])
    assert answer.response is first
    assert answer.challenges == (
        'Proxy-Authenticate: Digest realm="b", nonce="2"',
        'Proxy-Authenticate: Digest realm="c", nonce="3"',
        'WWW-Authenticate: Digest realm="a", nonce="4"',
    )


def test_another_answer_gets_no_challenges() -> None:
    challenge = response(407, 'Proxy-Authenticate: Digest realm="b"')
    assert best([Outcome(407, challenge), Outcome(600, response(600))]).challenges == ()
