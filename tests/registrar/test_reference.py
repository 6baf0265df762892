"""Random REGISTERs: the plan and the reference never differ."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from sipframe.message import MessageError, parse_name_addrs
from sipframe.registrar.plan import Plan, contact_lines, plan, registration_of
from sipframe.verdicts import Binding, Terms
from tests.fakes import request
from tests.registrar.reference import (
    DEFAULT,
    MAXIMUM,
    MINIMUM,
    Contact,
    ReferenceRegistrar,
    Register,
    equal,
)

TERMS = Terms(default_expires=DEFAULT, min_expires=MINIMUM, max_expires=MAXIMUM, max_contacts=1000)

URIS = [
    "sip:bob@client.example.com",
    "sip:bob@CLIENT.Example.com",  # equal to the first
    "SIP:%62ob@client.example.com",  # and so is this
    "sip:Bob@client.example.com",  # a user has case
    "sips:bob@client.example.com",
    "sip:bob@client.example.com:5060",
    "sip:bob@client.example.com;transport=tcp",
    "sip:bob@client.example.com;transport=TCP",
    "sip:bob@client.example.com;line=1",  # equal to the first
    "sip:bob@client.example.com;line=2",  # and this, but not to the one before
    "sip:bob@192.0.2.7",
]
EXPIRES = [
    None,
    "0",
    "1",
    "59",
    "60",
    "61",
    "600",
    "3600",
    "7200",
    "7201",
    "4294967295",
    "4294967296",
    "soon",
]


class Registrations(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.reference = ReferenceRegistrar()
        self.bindings: tuple[Binding, ...] = ()
        self.now = 1_700_000_000.0
        self.terms = TERMS

    @initialize(most=st.sampled_from([1000, 1, 2, 3]), replaces_oldest=st.booleans())
    def agree(self, most: int, replaces_oldest: bool) -> None:
        self.reference = ReferenceRegistrar(most, replaces_oldest=replaces_oldest)
        when_full: Literal["refuse", "replace-oldest"] = "replace-oldest" if replaces_oldest else "refuse"
        self.terms = TERMS._replace(max_contacts=most, when_full=when_full)

    @rule(
        call_id=st.sampled_from(["a", "b", "c"]),
        cseq=st.integers(1, 6),
        contacts=st.lists(
            st.builds(
                Contact,
                st.sampled_from(URIS),
                st.sampled_from(EXPIRES),
                st.sampled_from([None, None, "0.5", "1"]),
            ),
            max_size=4,
        ),
        expires=st.sampled_from(EXPIRES),
    )
    def register(self, call_id: str, cseq: int, contacts: list[Contact], expires: str | None) -> None:
        self.compare(Register(call_id, cseq, contacts, False, expires))

    @rule(uri=st.sampled_from(URIS), expires=st.sampled_from(EXPIRES))
    def register_in_order(self, uri: str, expires: str | None) -> None:
        highest = max([record.cseq for record in self.reference.records], default=0)
        self.compare(Register("a", highest + 1, [Contact(uri, expires)]))

    @precondition(lambda self: self.reference.records)
    @rule(cseq=st.integers(1, 6), expires=st.sampled_from(["0", "0", "0", None, "60", "soon"]))
    def remove_all(self, cseq: int, expires: str | None) -> None:
        self.compare(Register("a", cseq, [], True, expires))

    @rule(uri=st.sampled_from(URIS))
    def remove_all_and_more(self, uri: str) -> None:
        self.compare(Register("d", 1, [Contact(uri)], True, "0"))

    @rule(cseq=st.integers(1, 6))
    def fetch(self, cseq: int) -> None:
        self.compare(Register("a", cseq))

    @rule(seconds=st.sampled_from([0.25, 30.0, 59.5, 600.0, 3600.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    def compare(self, register: Register) -> None:
        status = self.reference.register(register, self.now)
        assert (self.carried_out(register), self.listed()) == (status, self.expected())

    def carried_out(self, register: Register) -> int:
        fields = ["Contact: *"] if register.star else []
        for contact in register.contacts:
            q = "" if contact.q is None else f";q={contact.q}"
            expires = "" if contact.expires is None else f";expires={contact.expires}"
            fields.append(f"Contact: <{contact.uri}>{q}{expires}")
        if register.expires is not None:
            fields.append(f"Expires: {register.expires}")
        message = request("REGISTER", *fields, call_id=register.call_id, cseq=register.cseq)
        try:
            planned = plan(registration_of(message, None), self.bindings, self.terms, self.now)
        except MessageError as error:
            return error.status
        if not isinstance(planned, Plan):
            return planned.verdict.status
        if planned.changed:
            self.bindings = planned.bindings
        return 200

    def listed(self) -> list[tuple[str, str | None, str | None]]:
        """What a 200 would enumerate now."""
        planned = plan(registration_of(request(), None), self.bindings, self.terms, self.now)
        assert isinstance(planned, Plan)
        lines = contact_lines(planned.bindings, self.now).split("\r\n")[:-1]
        found = parse_name_addrs([line.removeprefix("Contact: ") for line in lines])
        return [(contact.uri_text, contact.param("expires"), contact.q) for contact in found]

    def expected(self) -> list[tuple[str, str | None, str | None]]:
        return [
            (record.uri, str(max(1, round(record.end - self.now))), record.q)
            for record in self.reference.records
        ]


Registrations.TestCase.settings = settings(max_examples=150, stateful_step_count=25)
TestRegistrations = Registrations.TestCase


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (0, 1, True),
        (0, 2, True),
        (0, 3, False),
        (0, 4, False),
        (0, 5, False),
        (0, 6, False),
        (6, 7, True),
        (0, 8, True),
        (0, 9, True),
        (8, 9, False),
    ],
)
def test_the_reference_compares_as_the_rfc_does(a: int, b: int, same: bool) -> None:
    assert equal(URIS[a], URIS[b]) is same
