"""The policy that has nothing against anything."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from sipframe.interfaces import IFlow, IPolicy
from sipframe.message import Request
from sipframe.policy import BasePolicy
from sipframe.verdicts import Admitted, Identity, Rejected, Terms
from tests.fakes import FakeFlow, request

BOB = Identity("bob", "example.com", frozenset(["sip:bob@example.com"]))


def test_it_is_a_policy() -> None:
    assert verifyObject(IPolicy, BasePolicy())


def test_it_lets_everything_in_as_it_is() -> None:
    terms = Terms(max_contacts=3)
    policy = BasePolicy()
    assert policy.admit(request(), FakeFlow()) == Admitted()
    assert policy.registration(request(), "sip:bob@example.com", BOB, terms) is terms


def test_one_may_write_only_what_one_cares_about() -> None:
    class Closed(BasePolicy):
        def admit(self, request: Request, flow: IFlow) -> Rejected:
            return Rejected(403, "Closed")

    policy = Closed()
    assert verifyObject(IPolicy, policy)
    assert policy.admit(request(), FakeFlow()) == Rejected(403, "Closed")
    assert policy.registration(request(), "sip:bob@example.com", BOB, Terms()) == Terms()
