"""allow and deny: each condition, and how they go together."""

from __future__ import annotations

from typing import Any, Unpack

import pytest
from zope.interface.verify import verifyObject

from sipframe.domains import Domains
from sipframe.interfaces import IPolicy
from sipframe.policy import Allow, Conditions, Deny, Refusal
from sipframe.verdicts import Admitted, Identity, Rejected, Terms
from tests.fakes import FakeFlow, Parts, request

DOMAINS = Domains(
    ["example.com", "example.org"], {"sip.example.com": "example.com", "192.0.2.1": "example.com"}
)
FORBIDDEN = Rejected(403, "Forbidden")


def denied(
    conditions: Conditions,
    method: str = "REGISTER",
    *fields: str,
    transport: str = "UDP",
    peer: str = "192.0.2.7",
    **parts: Unpack[Parts],
) -> bool:
    """Whether deny refuses; allow always says the opposite."""
    message, flow = request(method, *fields, **parts), FakeFlow(transport, peer)
    verdicts = [policy(conditions, domains=DOMAINS).admit(message, flow) for policy in (Deny, Allow)]
    assert sorted(verdicts) == [Admitted(), FORBIDDEN]
    return verdicts[0] == FORBIDDEN


def test_they_are_policies() -> None:
    for policy in (Allow, Deny):
        made = policy(Conditions(method=("REGISTER",)))
        assert verifyObject(IPolicy, made)
        terms = Terms(max_contacts=3)
        who = Identity("bob", "example.com", frozenset(["sip:bob@example.com"]))
        assert made.registration(request(), "sip:bob@example.com", who, terms) is terms


@pytest.mark.parametrize(
    ("network", "peer", "expected"),
    [
        (("192.0.2.0/24",), "192.0.2.7", True),
        (("198.51.100.0/24",), "192.0.2.7", False),
        (("198.51.100.0/24", "2001:db8::/32"), "2001:db8::9", True),
    ],
)
def test_network(network: tuple[str, ...], peer: str, expected: bool) -> None:
    assert denied(Conditions(network=network), peer=peer) is expected


def test_method() -> None:
    conditions = Conditions(method=("OPTIONS", "INVITE"))
    assert [denied(conditions, method) for method in ("OPTIONS", "INVITE", "REGISTER", "options")] == [
        True,
        True,
        False,
        False,
    ]


def test_transport() -> None:
    conditions = Conditions(transport=("udp", "TCP"))
    assert [denied(conditions, transport=one) for one in ("UDP", "TCP", "TLS")] == [True, True, False]


@pytest.mark.parametrize(
    ("domain", "parts", "expected"),
    [
        # A REGISTER is about the AOR in To, whatever the Request-URI and From are.
        ("example.com", Parts(to="<sip:bob@example.com>", uri="sip:192.0.2.99"), True),
        ("example.com", Parts(to="<sip:bob@EXAMPLE.com.>"), True),
        ("Example.COM", Parts(to="<sips:bob@example.com:5061>"), True),
        ("example.com", Parts(to="<sip:bob@sip.example.com>"), True),
        ("sip.example.com", Parts(to="<sip:bob@example.com>"), True),
        ("example.com", Parts(to="<sip:bob@example.org>", from_="<sip:bob@example.com>;tag=1"), False),
        ("elsewhere.example", Parts(to="<sip:bob@elsewhere.example>"), True),
        ("[2001:db8::1]", Parts(to="<sip:bob@[2001:db8::1]>"), True),
        ("example.com", Parts(to="<tel:+1-201-555-0123>"), False),
        ("example.com", Parts(to="<sip:bob@exa mple.com>"), False),
    ],
)
def test_domain_of_a_register(domain: str, parts: Parts, expected: bool) -> None:
    assert denied(Conditions(domain=(domain,)), **parts) is expected


def test_domain_of_another_request() -> None:
    conditions = Conditions(domain=("example.com",))
    assert denied(conditions, "OPTIONS", uri="sip:sip.example.com", to="<sip:bob@example.org>")
    assert not denied(conditions, "OPTIONS", uri="sip:example.org", to="<sip:bob@example.com>")
    assert not denied(conditions, "OPTIONS", uri="tel:+1-201-555-0123")


def test_domain_without_knowing_what_is_served() -> None:
    assert Deny(Conditions(domain=("Example.com",))).admit(request(), FakeFlow()) == FORBIDDEN


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("User-Agent: Friendly-Scanner",), True),
        (("User-Agent: sipcli/v1.8",), True),
        (("User-Agent: Phone/1.0",), False),
        ((), False),
    ],
)
def test_user_agent(fields: tuple[str, ...], expected: bool) -> None:
    assert denied(Conditions(user_agent=("*friendly*", "sipcli*")), "REGISTER", *fields) is expected


def test_an_empty_user_agent_is_none() -> None:
    assert denied(Conditions(user_agent=("",)))
    assert not denied(Conditions(user_agent=("",)), "REGISTER", "User-Agent: Phone/1.0")


def test_conditions_of_several_kinds_must_all_hold() -> None:
    conditions = Conditions(network=("192.0.2.0/24",), method=("OPTIONS",), transport=("udp",))
    assert denied(conditions, "OPTIONS")
    assert not denied(conditions, "OPTIONS", transport="TCP")
    assert not denied(conditions, "OPTIONS", peer="198.51.100.1")
    assert not denied(conditions)


def test_status_and_reason() -> None:
    policy = Deny(Conditions(method=("REGISTER",)), Refusal(status=603, reason="Not Here"))
    assert policy.admit(request(), FakeFlow()) == Rejected(603, "Not Here")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"network": ("192.0.2.1/24",)},
        {"network": ("example.com",)},
        {"method": ("register",)},
        {"method": ("",)},
        {"transport": ("sctp",)},
    ],
)
def test_wrong_conditions(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong), "one condition at least")):
        _ = Conditions(**wrong)


@pytest.mark.parametrize("wrong", [{"status": 200}, {"status": 399}, {"status": 700}, {"reason": "a\r\nb"}])
def test_wrong_refusals(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        _ = Refusal(**wrong)
