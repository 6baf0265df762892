"""Other policies, another authenticator and other terms, between two requests: what is under way ends as it began."""

from __future__ import annotations

from typing import Any

from sipframe.interfaces import IFlow
from sipframe.message import Request
from sipframe.verdicts import Accepted, Admitted, Identity, Rejected, Terms
from tests.registrar.whole import AOR, Hanging, Policy, Whole

TERMS = Terms(max_contacts=1)


class Everybody:
    """Takes everybody for bob."""

    def authenticate(self, request: Request, flow: IFlow) -> Accepted:
        return Accepted(Identity("anybody", "example.com", frozenset([AOR])))


def reconfigure(whole: Whole, policies: list[Any], authenticator: Any = None, terms: Terms = TERMS) -> None:
    whole.registrar = whole.registrar.reconfigured(
        authenticator=authenticator or Everybody(), policies=policies, terms=terms
    )
    whole.uas.reconfigure(policies, {"REGISTER": whole.registrar.register})


def test_it_holds_from_the_next_request_on() -> None:
    old, new = Policy(), Policy()
    whole = Whole(policies=[old])
    old.admission = old.answer = lambda *_: Rejected(403, "Old")
    _ = whole.send("REGISTER")
    assert whole.steps()[-1] == ("Policy.admit", "Rejected", "Old")
    reconfigure(whole, [new])
    answer = whole.send("REGISTER", "Contact: <sip:1@a>, <sip:2@a>")
    assert answer is not None
    assert (answer.status, answer.reason) == (403, "Too many contacts")
    assert ("Everybody.authenticate", "Accepted", "anybody") in whole.steps()


def test_what_waits_to_be_admitted_ends_with_what_it_began_with() -> None:
    first, second, new = Policy(), Policy(), Policy()
    hanging = Hanging()
    first.admission = hanging
    whole = Whole(policies=[first, second])
    _ = whole.send("REGISTER")
    new.admission = new.answer = lambda *_: Rejected(403, "New")
    reconfigure(whole, [new])
    hanging.asked[0].callback(Admitted())
    assert whole.steps() == [
        ("Policy.admit", "Admitted", ""),
        ("Policy.admit", "Admitted", ""),
        ("DigestAuthenticator.authenticate", "Challenge", "no credentials"),
    ]


def test_so_does_what_waits_for_its_authentication_and_its_turn() -> None:
    policy, new = Policy(), Policy()
    whole = Whole(policies=[policy])
    _ = whole.register()
    hanging, store = Hanging(), Hanging()
    whole.users.answer = hanging
    whole.store.lookup_answer = store
    _ = whole.register("Contact: <sip:1@a>, <sip:2@a>, <sip:3@a>", call_id="1")
    new.answer = lambda *_: Rejected(403, "New")
    reconfigure(whole, [new])
    hanging.asked[0].callback("zanzibar")
    assert len(store.asked) == 1
    # Old and new take turns with each other.
    reconfigure(whole, [])
    _ = whole.send("REGISTER", "Contact: <sip:4@a>", call_id="2")
    assert len(store.asked) == 1
    whole.store.lookup_answer = None
    store.asked[0].callback(whole.store.lookup(AOR))
    refused, after = list(whole.decisions)[1], whole.last()
    assert (after.call_id, after.status) == ("2", 403)
    assert refused.steps[-1].reason == "4 contacts, 1 of them there before; max_contacts 2"
    assert after.steps[-1].reason == "2 contacts, 1 of them there before; max_contacts 1"


def test_the_same_plug_in_keeps_its_guard() -> None:
    policy = Policy()
    whole = Whole(policies=[policy])
    guard = whole.seam.guard(policy, "admit")
    reconfigure(whole, [policy])
    assert whole.seam.guard(policy, "admit") is guard


def test_methods_that_are_served_stay() -> None:
    whole = Whole()
    reconfigure(whole, [])
    answer = whole.send("OPTIONS")
    assert answer is not None
    assert (answer.status, answer.allow) == (200, ("CANCEL", "OPTIONS", "REGISTER"))
