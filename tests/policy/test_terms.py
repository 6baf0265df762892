"""terms: what is given changes, for those it is given for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from sipframe.domains import Domains
from sipframe.interfaces import IPolicy
from sipframe.policy import RegistrationTerms, TermsChange
from sipframe.verdicts import Admitted, Identity, Terms
from tests.fakes import FakeFlow, request

DOMAINS = Domains(["example.com", "example.org", "2001:db8::1"], {"sip.example.com": "example.com"})
BOB = Identity("bob", "example.com", frozenset(["sip:bob@example.com"]))


def changed(
    policy: RegistrationTerms, aor: str = "sip:bob@example.com", terms: Terms | None = None
) -> dict[str, Any]:
    """What is other than before."""
    before = Terms() if terms is None else terms
    after = policy.registration(request(), aor, BOB, before)
    assert policy.registration(request(), aor, BOB, before) == after  # the second time it is remembered
    return {name: value for name, value in after._asdict().items() if value != getattr(before, name)}


def made(change: TermsChange | None = None, **more: Any) -> RegistrationTerms:
    return RegistrationTerms(change, served=DOMAINS, **more)


def test_it_is_a_policy() -> None:
    policy = made(TermsChange(max_contacts=1))
    assert verifyObject(IPolicy, policy)
    assert policy.admit(request(), FakeFlow()) == Admitted()


def test_without_domain_and_user_it_is_for_everybody() -> None:
    policy = made(TermsChange(max_contacts=1, third_party=True))
    assert changed(policy, "sip:anybody@anywhere") == {"max_contacts": 1, "third_party": True}
    assert changed(policy, terms=Terms(max_contacts=1, min_expires=5)) == {"third_party": True}


@pytest.mark.parametrize(
    ("domain", "user", "aors"),
    [
        (("example.com",), (), ["sip:bob@example.com", "sip:alice@example.com"]),
        (
            ("SIP.example.com.", "[2001:db8::1]"),
            (),
            ["sip:bob@example.com", "sip:alice@example.com", "sip:bob@[2001:db8::1]"],
        ),
        ((), ("bob@example.com",), ["sip:bob@example.com"]),
        (
            (),
            ("sips:b%6Fb@sip.example.com", "bob@example.org"),
            ["sip:bob@example.com", "sip:bob@example.org"],
        ),
        (("example.org",), ("bob@example.com", "bob@example.org"), ["sip:bob@example.org"]),
        (("example.org",), ("bob@example.com",), []),
    ],
)
def test_domain_and_user(domain: tuple[str, ...], user: tuple[str, ...], aors: list[str]) -> None:
    policy = made(TermsChange(max_contacts=1), domain=domain, user=user)
    everybody = [
        "sip:bob@example.com",
        "sip:alice@example.com",
        "sip:bob@example.org",
        "sip:Bob@example.org",
        "sip:bob@[2001:db8::1]",
        "sip:bob@elsewhere.example",
    ]
    assert sorted(aor for aor in everybody if changed(policy, aor)) == sorted(aors)


def test_the_more_special_wins() -> None:
    policy = made(
        TermsChange(max_contacts=1, max_expires=600, when_full="replace-oldest"),
        domains={"sip.example.com": {"max-contacts": 2, "third-party": True}},
        users={"bob@example.com": {"max-contacts": 3, "drop-when-flow-lost": True, "when-full": "refuse"}},
    )
    everybody = {"max_expires": 600, "default_expires": 600, "when_full": "replace-oldest", "max_contacts": 1}
    assert changed(policy, "sip:bob@example.org") == everybody
    domain = {**everybody, "max_contacts": 2, "third_party": True}
    assert changed(policy, "sip:alice@example.com") == domain
    del domain["when_full"]
    assert changed(policy) == {**domain, "max_contacts": 3, "drop_when_flow_lost": True}


@pytest.mark.parametrize(
    ("change", "terms", "expected"),
    [
        # min, default, max before and after; the rest is as it was
        ({"max_expires": 600}, (60, 3600, 7200), (60, 600, 600)),
        ({"max_expires": 30}, (60, 3600, 7200), (30, 30, 30)),
        ({"max_expires": 9000}, (60, 3600, 7200), (60, 3600, 9000)),
        ({"min_expires": 5000}, (60, 3600, 7200), (5000, 5000, 7200)),
        ({"min_expires": 9000}, (60, 3600, 7200), (9000, 9000, 9000)),
        ({"default_expires": 30}, (60, 3600, 7200), (30, 30, 7200)),
        ({"default_expires": 9000}, (60, 3600, 7200), (60, 9000, 9000)),
        ({"max_contacts": 1}, (60, 30, 20), (60, 30, 20)),
    ],
)
def test_what_is_not_given_follows(
    change: dict[str, Any], terms: tuple[int, int, int], expected: tuple[int, int, int]
) -> None:
    low, middle, high = terms
    before = Terms(min_expires=low, default_expires=middle, max_expires=high)
    after = made(TermsChange(**change)).registration(request(), "sip:bob@example.com", BOB, before)
    assert (after.min_expires, after.default_expires, after.max_expires) == expected


SECONDS = st.integers(1, 9)


@given(
    st.lists(SECONDS, min_size=3, max_size=3).map(sorted),
    st.lists(SECONDS, min_size=3, max_size=3).map(sorted),
    st.sets(st.integers(0, 2)),
)
def test_what_is_given_holds_and_all_of_it_makes_sense(
    before: list[int], given: list[int], which: set[int]
) -> None:
    names = ("min_expires", "default_expires", "max_expires")
    change: dict[str, Any] = {
        name: value for at, (name, value) in enumerate(zip(names, given, strict=True)) if at in which
    }
    policy = made(TermsChange(**change, max_contacts=1))
    terms = Terms(min_expires=before[0], default_expires=before[1], max_expires=before[2])
    after = policy.registration(request(), "sip:bob@example.com", BOB, terms)
    assert {name: getattr(after, name) for name in change} == change
    assert after.min_expires <= after.default_expires <= after.max_expires
    # Nothing moves further than to a value that is given.
    for name in names:
        assert getattr(after, name) in {getattr(terms, name), *change.values()}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_expires": 0}, "min-expires"),
        ({"max_expires": 2**32}, "max-expires"),
        ({"max_contacts": 0}, "max-contacts"),
        ({"min_expires": 61, "max_expires": 60}, "min-expires <= default-expires <= max-expires"),
        ({"default_expires": 61, "max_expires": 60}, "min-expires <= default-expires <= max-expires"),
    ],
)
def test_wrong_terms(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _ = TermsChange(**wrong)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (3, "users.bob@example.com: must be a table"),
        ({"max_contacts": 1}, "there is no 'max_contacts'; known: default-expires, drop-when"),
        ({"colour": 1}, "there is no 'colour'"),
        ({"max-contacts": "1"}, "max-contacts must be a whole number, not '1'"),
        ({"max-contacts": True}, "max-contacts must be a whole number"),
        ({"third-party": 1}, "third-party must be true or false"),
        ({"when-full": "explode"}, "when-full must be refuse or replace-oldest"),
        ({"max-contacts": 0}, "users.bob@example.com: max-contacts: must be 1 or more"),
    ],
)
def test_wrong_tables(table: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _ = made(users={"bob@example.com": table})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"domain": ("example.net",)}, "example.net is no domain that is served"),
        ({"domains": {"example.net": {}}}, "example.net is no domain that is served"),
        ({"user": ("bob",)}, "'bob' is no user"),
        ({"user": ("tel:+1-201-555-0123",)}, "is no user"),
        ({"users": {"bob@example.net": {}}}, "'bob@example.net': example.net is no domain"),
        ({}, "no terms are given: min-expires,"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], message: str) -> None:
    change = TermsChange(max_contacts=1) if wrong else None
    with pytest.raises(ValueError, match=message):
        _ = made(change, **wrong)


def test_without_knowing_what_is_served_any_domain_will_do() -> None:
    policy = RegistrationTerms(
        TermsChange(max_contacts=1), domain=("Example.net",), user=("bob@EXAMPLE.net",)
    )
    assert changed(policy, "sip:bob@example.net") == {"max_contacts": 1}
