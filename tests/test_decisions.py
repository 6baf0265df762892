"""The record of answers: what it keeps, whom it tells, and what counts as a refusal."""

from __future__ import annotations

import pytest

from sipframe.auth.challenge import Outcome
from sipframe.decisions import Decision, Decisions, Step
from sipframe.verdicts import Address

CHALLENGED = (Step("DigestAuthenticator.authenticate", "Challenge", "no credentials", 1e-4),)


def decision(
    call_id: str = "call-1",
    status: int = 401,
    steps: tuple[Step, ...] = CHALLENGED,
    aor: str = "sip:bob@localhost",
) -> Decision:
    peer = Address("192.0.2.7", 5062)
    return Decision(1.5e9, "REGISTER", "sip:localhost", aor, call_id, 1, "UDP", peer, status, "Phrase", steps)


def calls(found: list[Decision]) -> list[str]:
    return [one.call_id for one in found]


def test_the_oldest_goes_first() -> None:
    decisions = Decisions(2)
    assert (decisions.most_kept, decisions.kept, decisions.wanted) == (2, 0, True)
    for number in range(3):
        decisions.add(decision(f"call-{number}"))
    assert decisions.kept == 2
    assert calls(list(decisions)) == ["call-2", "call-1"]


def test_refusals_stay_longer() -> None:
    decisions = Decisions(2)
    for number, status in enumerate([403, 200, 401, 500, 200, 200, 404, 200, 200]):
        decisions.add(decision(f"call-{number}", status)._replace(at=float(number)))
    assert calls(list(decisions)) == ["call-8", "call-7", "call-6", "call-3"]
    assert calls(decisions.refusals()) == ["call-6", "call-3"]
    assert calls(decisions.about(call_id="call-3")) == ["call-3"]
    assert calls(decisions.search(9, call_id="call-3")[0]) == ["call-3"]
    assert (decisions.kept, decisions.older_refusals, decisions.oldest) == (2, 2, 7.0)


def test_what_is_known_of_a_call_and_of_an_aor() -> None:
    decisions = Decisions()
    for number in range(3):
        decisions.add(decision(f"call-{number}", aor=f"sip:{number % 2}@localhost"))
    assert calls(decisions.about(call_id="call-1")) == ["call-1"]
    assert calls(decisions.about(aor="sip:0@localhost")) == ["call-2", "call-0"]
    assert decisions.about(call_id="call-1", aor="sip:0@localhost") == []


@pytest.mark.parametrize(
    ("status", "reason", "refused"),
    [
        (200, "", False),
        (403, "", True),
        (500, "", True),
        (603, "", True),
        (401, Outcome.NO_CREDENTIALS, False),
        (401, Outcome.STALE, False),
        (401, Outcome.BAD_RESPONSE, True),
        (401, Outcome.UNKNOWN_USER, True),
        (407, Outcome.REPLAYED, True),
        (407, "", False),
    ],
)
def test_what_counts_as_a_refusal(status: int, reason: str, refused: bool) -> None:
    one = decision(status=status, steps=(Step("Some.authenticate", "Challenge", reason, 0.0),))
    assert one.refused is refused
    assert one._replace(steps=()).refused is (refused and status not in (401, 407))


def test_the_last_refusals() -> None:
    decisions = Decisions()
    for number, status in enumerate([403, 401, 404, 200, 500]):
        decisions.add(decision(f"call-{number}", status))
    assert calls(decisions.refusals()) == ["call-4", "call-2", "call-0"]
    assert calls(decisions.refusals(2)) == ["call-4", "call-2"]
    assert decisions.refusals(0) == []


def test_subscribers_hear_of_each_until_they_have_enough() -> None:
    decisions = Decisions(0)
    assert (decisions.wanted, decisions.kept) == (False, 0)
    heard: list[Decision] = []
    end = decisions.subscribe(heard.append)
    assert decisions.wanted
    decisions.add(decision())
    end()
    decisions.add(decision("later"))
    assert calls(heard) == ["call-1"]
    assert (decisions.wanted, decisions.kept) == (False, 0)


def test_a_search_is_about_one_or_the_other() -> None:
    decisions = Decisions()
    assert (decisions.search(5), decisions.oldest) == (([], 0), None)
    long = "x" * 2000
    for number, aor in enumerate(["sip:a@b", "sip:c@d", "sip:e@f", f"sip:{long}"]):
        decisions.add(decision(f"call-{number}", 403 if number == 1 else 401, aor=aor))
    at, method, uri, aor, _, *rest = decision("", aor="")
    decisions.record((at, method, uri, (str.lower, f"SIP:{long}"), f"call-{long}", *rest))  # type: ignore[arg-type]
    for arguments, found in (
        ({"call_id": "call-0", "aors": ["sip:c@d"]}, [1, 0]),
        ({"aors": ["sip:e@f", "sip:a@b", "sip:g@h"], "refused": True}, [2, 0]),
        ({"call_id": "call-1"}, [1]),
        ({"refused": True}, [1]),
    ):
        assert decisions.search(5, **arguments) == (
            [one for number in found for one in decisions if one.call_id == f"call-{number}"],
            len(found),
        )
    assert decisions.search(1) == ([next(iter(decisions))], 5)
    assert decisions.search(0, aors=[f"sip:{long}"]) == ([], 2)
    [one] = decisions.search(9, call_id=f"call-{long}")[0]
    assert (len(one.call_id), one.aor[:6]) == (512, "sip:xx")
    assert decisions.oldest == 1.5e9
