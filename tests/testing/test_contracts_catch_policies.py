"""Policies that break a rule fail their contract, and the failure says which rule and how to see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from sipframe.policy import BasePolicy
from sipframe.testing.contracts import PolicyContract
from tests.testing import policies
from tests.testing.told import rules_of, told


class Policies(PolicyContract):
    """The contract for any policy that can be made."""

    most: ClassVar[int] = 50

    def __init__(self, make: Callable[[Policies], object]) -> None:
        self.make = make

    def open_policy(self, place: Path) -> object:
        return self.make(self)

    def size(self, policy: object) -> int:
        return len(policy.sources) if isinstance(policy, policies.Fair) else 0


class Steady(Policies):
    """For those that say so."""

    deterministic: ClassVar[bool] = True


@pytest.mark.parametrize("rule", rules_of(Policies))
def test_a_fair_policy_passes(rule: str) -> None:
    getattr(Policies(lambda it: policies.Fair()), f"test_{rule}")()


@pytest.mark.parametrize("rule", rules_of(Policies))
def test_a_slow_policy_passes(rule: str) -> None:
    getattr(Steady(lambda it: policies.Slow(it.reactor)), f"test_{rule}")()


@pytest.mark.parametrize("rule", rules_of(Policies))
def test_a_policy_that_routes_passes(rule: str) -> None:
    getattr(Steady(lambda it: policies.Gateway()), f"test_{rule}")()


REQUEST = "any_request_has_a_verdict"
REGISTRATION = "any_registration_has_a_verdict"
ROUTE = "any_proxied_request_has_a_verdict"
STEADY = "the_same_question_has_the_same_answer"
SAME = "The same question has the same answer, whatever was asked before."
LEGAL = "Every answer is a verdict that can be acted on."
NOT_RAISED = "What can be answered is answered, not raised."
WIDER = "Terms are no wider than those that were given."

BROKEN: list[tuple[Callable[[], BasePolicy], str, str, str, str]] = [
    (policies.Scribbles, REQUEST, "A request is not changed.", "-> Admitted()", ""),
    (
        policies.Raises,
        REQUEST,
        NOT_RAISED,
        "no credentials, <UDP flow from 127.0.0.1 port 0>) -> raised Asser",
        "",
    ),
    (policies.Raises6, REQUEST, NOT_RAISED, "-> raised ValueError(", ""),
    (policies.SaysTrue, REQUEST, LEGAL, "-> True", "admit() returns Admitted or Rejected"),
    (policies.SaysNothing, REGISTRATION, LEGAL, "-> None", "registration() returns Terms or Rejected"),
    (
        policies.InsideOut,
        REGISTRATION,
        LEGAL,
        "'sip:alice@example.com', 'alice' owns [], Terms()) -> Terms(",
        "min_expires <= default_expires <= max_expires, which 60, 3600, 60 are not",
    ),
    (policies.Generous, REGISTRATION, WIDER, "-> Terms(", "max_contacts was 10, and became 1000"),
    (policies.Halves, REGISTRATION, LEGAL, "-> Terms(", "every number in Terms is an int"),
    (policies.Echoes, REQUEST, LEGAL, "-> Rejected(status=403", "CR or LF in a header field"),
    (policies.Declines, REGISTRATION, LEGAL, "-> Rejected(status=603", "a status from 400 to 599"),
    (policies.Elsewhere, ROUTE, LEGAL, "-> (", "route() returns Routing or Rejected"),
    (
        policies.Dials,
        ROUTE,
        LEGAL,
        "Routing(targets=(), aor='sip:alice@example.com', record_route=False, recurse=False)) -> Routing(",
        "the URI of a target is a SIP or SIPS URI, which 'tel:+12015550123' is not",
    ),
    (policies.Unframed, ROUTE, LEGAL, "-> Routing(", "path and flow of a target can be read: Malformed"),
    (policies.Weighs, ROUTE, LEGAL, "q=500.0", "the q of a target is a whole number of thousandths"),
    (policies.Lists, ROUTE, LEGAL, "-> Routing(targets=[", "the targets of a Routing are a tuple"),
    (policies.Believes, ROUTE, NOT_RAISED, "record_route=False, recurse=False)) -> raised Asser", ""),
    (policies.Wanders, STEADY, SAME, "gateway-2.example.com", ""),
    (
        policies.Moody,
        STEADY,
        SAME,
        "-> Rejected(status=403",
        "",
    ),
    (
        policies.Hoards,
        "memory_is_bounded",
        "What a policy remembers of its sources is bounded.",
        "route(MESSAGE sip:example.com, ",
        "size() is 51 after 51",
    ),
]


@pytest.mark.parametrize(
    ("make", "test", "rule", "step", "found"),
    BROKEN,
    ids=[f"{make.__name__}-{test}" for make, test, *_ in BROKEN],
)
def test_a_broken_policy_is_caught(
    make: Callable[[], BasePolicy], test: str, rule: str, step: str, found: str
) -> None:
    failure = told(Steady(lambda it: make()), test)
    assert failure.rule == rule
    assert step in failure.steps[-1]
    assert found in failure.found
    assert len(failure.steps) <= 3


def test_a_policy_that_goes_on_after_its_close_is_caught() -> None:
    failure = told(Policies(lambda it: policies.Ticks(it.reactor)), "provides_the_interface")
    assert failure.rule == "A plug-in that was closed leaves nothing on the clock."
    assert failure.found == "Ticks.tick"


def test_terms_may_be_wider_where_a_policy_says_so() -> None:
    class Wide(Policies):
        widens: ClassVar[bool] = True

    Wide(lambda it: policies.Generous()).test_any_registration_has_a_verdict()
