"""Authenticators that break a rule fail their contract, and the failure says which rule and how to see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sipframe.testing.contracts import Ask, AuthenticatorContract, Proof, digest_proof
from tests.testing import authenticators
from tests.testing.told import rules_of, told


class Authenticators(AuthenticatorContract):
    """The contract for any authenticator that knows alice."""

    def __init__(self, make: Callable[[Authenticators], object]) -> None:
        self.make = make

    def open_authenticator(self, place: Path) -> object:
        return self.make(self)

    def good_request(self, ask: Ask) -> Proof:
        return digest_proof(ask, "alice", "wonderland")


@pytest.mark.parametrize("rule", rules_of(Authenticators))
def test_one_that_takes_its_time_passes(rule: str) -> None:
    getattr(Authenticators(lambda it: authenticators.Slow(it.reactor)), f"test_{rule}")()


NOBODY = "No request without the proof is accepted."
DAMAGED = "A damaged proof is none."
LEGAL = "Every answer is a verdict that can be acted on."
NOT_RAISED = "What can be answered is answered, not raised."

BROKEN: list[tuple[type[authenticators.House], str, str, str, str]] = [
    (authenticators.Trusting, "any_request_has_a_verdict", NOBODY, "OPTIONS sip:example.com, From: ", ""),
    (
        authenticators.Forgiving,
        "a_damaged_proof_is_none",
        DAMAGED,
        "-> Accepted(identity=Identity(name='alice'",
        "",
    ),
    (authenticators.Forgiving, "a_proof_that_was_cut_is_none", DAMAGED, "-> Accepted(", ""),
    (authenticators.Forgetful, "a_proof_is_good_once", "A proof is good once.", "-> Accepted(", ""),
    (
        authenticators.Raises,
        "hostile_credentials_have_a_verdict",
        NOT_RAISED,
        "-> raised KeyError('username')",
        "",
    ),
    (
        authenticators.Shrugs,
        "hostile_credentials_have_a_verdict",
        LEGAL,
        "-> None",
        "authenticate() returns Accepted, Challenge, Rejected or Abstained",
    ),
    (
        authenticators.Shouts,
        "the_right_proof_is_accepted",
        LEGAL,
        "-> Accepted(",
        "canonical, sip:user@host, which 'sip:alice@EXAMPLE.com' is not",
    ),
    (
        authenticators.AnyMethod,
        "a_proof_for_another_method",
        "A proof is good for the method that it was made for.",
        "OPTIONS sip:example.com, From: ",
        "",
    ),
    (
        authenticators.FollowsTo,
        "what_a_request_claims_is_no_proof",
        "A proof never makes anybody else of who has it.",
        "To: <sip:mallory@example.com>",
        "it proves 'alice'",
    ),
    (
        authenticators.Echoes,
        "hostile_credentials_have_a_verdict",
        LEGAL,
        "Rejected(status=403",
        "CR or LF in a header",
    ),
    (
        authenticators.Says700,
        "any_request_has_a_verdict",
        LEGAL,
        "Rejected(status=700",
        "a status from 400 to 599",
    ),
    (authenticators.Scribbles, "any_request_has_a_verdict", "A request is not changed.", "Challenge(", ""),
]


@pytest.mark.parametrize(
    ("kind", "test", "rule", "step", "found"),
    BROKEN,
    ids=[f"{kind.__name__}-{test}" for kind, test, *_ in BROKEN],
)
def test_a_broken_authenticator_is_caught(
    kind: type[authenticators.House], test: str, rule: str, step: str, found: str
) -> None:
    failure = told(Authenticators(lambda it: kind(it.reactor)), test)
    assert failure.rule == rule
    assert step in failure.steps[-1]
    assert found in failure.found


def test_hostile_credentials_are_shrunk_to_what_matters() -> None:
    failure = told(
        Authenticators(lambda it: authenticators.Raises(it.reactor)), "hostile_credentials_have_a_verdict"
    )
    assert len(failure.steps) == 1
    assert failure.steps[0].startswith("REGISTER sip:example.com, Authorization: ")
    assert "<UDP flow from 203.0.113.66 port 6666>" in failure.steps[0]
    assert len(failure.steps[0]) < 280
