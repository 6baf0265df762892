"""RFC 3261 10.3 steps 6 to 8, sentence by sentence, and what else a plan promises."""

from __future__ import annotations

from typing import Unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import MessageError, parse_name_addrs
from sipframe.registrar.plan import Plan, Refusal, contact_lines, plan, registration_of
from sipframe.verdicts import Binding, Rejected, Terms
from tests.fakes import Parts, request

NOW = 1_700_000_000.0
BOB = "sip:bob@client.example.com"
OTHER = "sip:bob@other.example.com"


def decide(
    *fields: str,
    current: tuple[Binding, ...] = (),
    terms: Terms | None = None,
    now: float = NOW,
    **parts: Unpack[Parts],
) -> Plan | Rejected:
    asked = registration_of(request("REGISTER", *fields, **parts), "UDP 192.0.2.1:5060 192.0.2.7:5062 1")
    found = plan(asked, current, Terms() if terms is None else terms, now)
    return found.verdict if isinstance(found, Refusal) else found


def planned(
    *fields: str,
    current: tuple[Binding, ...] = (),
    terms: Terms | None = None,
    now: float = NOW,
    **parts: Unpack[Parts],
) -> Plan:
    found = decide(*fields, current=current, terms=terms, now=now, **parts)
    assert isinstance(found, Plan), found
    return found


def refused(*fields: str, **parts: Unpack[Parts]) -> tuple[int, str]:
    with pytest.raises(MessageError) as caught:
        _ = decide(*fields, **parts)
    return caught.value.status, caught.value.reason


def binding(
    contact: str = BOB, call_id: str = "call-1", cseq: int = 1, left: float = 600, q: str | None = None
) -> Binding:
    return Binding(contact, NOW + left, call_id, cseq, NOW - 10, q)


def contacts(found: Plan) -> list[str]:
    return [one.contact for one in found.bindings]


def listed(found: Plan, now: float = NOW) -> list[str]:
    return [line.removeprefix("Contact: ") for line in contact_lines(found.bindings, now).split("\r\n")[:-1]]


class TestStep6:
    def test_without_contact_it_skips_to_the_last_step(self) -> None:
        """If not, it skips to the last step."""
        current = (binding(), binding(OTHER))
        assert planned(current=current) == Plan(current, False)

    def test_a_query_pays_no_heed_to_expires_and_cseq(self) -> None:
        current = (binding(cseq=9),)
        assert planned("Expires: 0", current=current, cseq=1) == Plan(current, False)

    @pytest.mark.parametrize(
        "fields",
        [
            ("Contact: *", f"Contact: <{BOB}>", "Expires: 0"),
            (f"Contact: <{BOB}>", "Contact: *", "Expires: 0"),
            ("Contact: *", "Contact: *", "Expires: 0"),
            (f"Contact: *, <{BOB}>", "Expires: 0"),
            (f"Contact: <{BOB}>, *", "Expires: 0"),
            ("Contact: *;expires=0", "Expires: 0"),
            ("Contact: <*>", "Expires: 0"),
        ],
    )
    def test_star_with_additional_contact_fields_is_invalid(self, fields: tuple[str, ...]) -> None:
        """If the request has additional Contact fields ... the request is invalid ... 400."""
        assert refused(*fields)[0] == 400

    @pytest.mark.parametrize(
        "expires", [(), ("Expires: 1",), ("Expires: 3600",), ("Expires: never",), ("Expires:",)]
    )
    def test_star_with_an_expiration_other_than_zero_is_invalid(self, expires: tuple[str, ...]) -> None:
        """... or an expiration time other than zero, the request is invalid ... 400."""
        assert refused("Contact: *", *expires) == (400, "Contact: * needs Expires: 0")

    @pytest.mark.parametrize("zero", ["0", "00", " 0 "])
    def test_star_alone_with_expires_0_removes_all(self, zero: str) -> None:
        current = (binding(cseq=3), binding(OTHER, "call-2", 99))
        assert planned("Contact: *", f"Expires: {zero}", current=current, cseq=4) == Plan((), True)

    def test_another_call_id_removes_the_binding(self) -> None:
        """... whether the Call-ID agrees ... If not, it MUST remove the binding."""
        assert planned("Contact: *", "Expires: 0", current=(binding("sip:a@b", "x", 9),)) == Plan((), True)

    @pytest.mark.parametrize("cseq", [1, 3, 4])
    def test_the_same_call_id_needs_a_higher_cseq(self, cseq: int) -> None:
        """If it does agree, it MUST remove the binding only if the CSeq in the request is higher."""
        current = (binding(OTHER, "call-2", 1), binding(cseq=4))
        found = decide("Contact: *", "Expires: 0", current=current, cseq=cseq)
        assert isinstance(found, Rejected)
        assert found.status == 400

    def test_star_when_there_is_nothing_changes_nothing(self) -> None:
        assert planned("Contact: *", "Expires: 0") == Plan((), False)

    def test_star_looks_at_expired_bindings_no_more(self) -> None:
        gone = binding(cseq=9, left=0)
        assert planned("Contact: *", "Expires: 0", current=(gone,)) == Plan((), False)


class TestStep7Interval:
    @pytest.mark.parametrize(
        ("param", "field", "seconds"),
        [
            (";expires=100", ("Expires: 200",), 100),
            (";expires=100", (), 100),
            ("", ("Expires: 200",), 200),
            ("", (), 3600),
            (";expires=soon", ("Expires: 200",), 3600),
            (";expires", ("Expires: 200",), 3600),
            (';expires="100"', (), 100),
            (";expires=-1", (), 3600),
            ("", ("Expires: soon",), 3600),
            ("", ("Expires: 4294967296",), 3600),
            ("", ("Expires: 4294967295",), 7200),
            (";expires=7200", (), 7200),
            (";expires=7201", (), 7200),
        ],
    )
    def test_the_parameter_then_the_field_then_the_default(
        self, param: str, field: tuple[str, ...], seconds: int
    ) -> None:
        """MUST be taken as the requested expiration; the registrar MAY choose less; 20.10, 20.19: malformed is 3600."""
        assert planned(f"Contact: <{BOB}>{param}", *field).bindings[0].expires_at == NOW + seconds

    def test_the_default_is_configured_and_capped(self) -> None:
        found = planned(f"Contact: <{BOB}>", terms=Terms(default_expires=1800, max_expires=900))
        assert found.bindings[0].expires_at == NOW + 900

    @pytest.mark.parametrize(
        ("asked", "minimum", "status"),
        [
            (1, 60, 423),
            (59, 60, 423),
            (60, 60, 200),
            (0, 60, 200),
            (3599, 5000, 423),
            (3600, 5000, 200),  # not smaller than one hour
            (4999, 5000, 200),
        ],
    )
    def test_423_only_above_zero_and_below_one_hour_and_the_minimum(
        self, asked: int, minimum: int, status: int
    ) -> None:
        """If and only if the requested expiration interval is greater than zero AND ... MAY reject ... 423."""
        found = decide(f"Contact: <{BOB}>;expires={asked}", terms=Terms(min_expires=minimum))
        assert (found.status if isinstance(found, Rejected) else 200) == status

    def test_423_has_min_expires(self) -> None:
        """This response MUST contain a Min-Expires header field."""
        assert decide(f"Contact: <{BOB}>", "Expires: 5") == Rejected(
            423, "Interval Too Brief", (("Min-Expires", "60"),)
        )

    @pytest.mark.parametrize("uri", ["mailto:bob@example.com", "tel:+12125551212", "urn:service:sos"])
    def test_another_scheme_stays_for_ever_unless_it_asks(self, uri: str) -> None:
        # RFC 3665 2.2
        found = planned(f"Contact: <{uri}>", f"Contact: <{BOB}>")
        assert listed(found) == [f"<{uri}>;expires=4294967295", f"<{BOB}>;expires=3600"]
        assert listed(found, NOW + 10)[0] == f"<{uri}>;expires=4294967285"
        assert listed(planned(f"Contact: <{uri}>;expires=600")) == [f"<{uri}>;expires=600"]
        assert listed(planned(f"Contact: <{uri}>", "Expires: 600")) == [f"<{uri}>;expires=600"]

    def test_what_another_scheme_gets_can_be_set(self) -> None:
        found = planned("Contact: <mailto:b@c>", terms=Terms(other_scheme_expires=90))
        assert listed(found) == ["<mailto:b@c>;expires=90"]


class TestStep7Bindings:
    def test_what_does_not_exist_is_added(self) -> None:
        """If the binding does not exist, it is tentatively added."""
        current = (binding(),)
        found = planned(f"Contact: <{OTHER}>", current=current)
        assert contacts(found) == [BOB, OTHER]
        assert found.bindings[0] is current[0]

    @pytest.mark.parametrize("cseq", [1, 99])
    def test_another_call_id_updates_whatever_the_cseq(self, cseq: int) -> None:
        """If the Call-ID value ... differs ... the binding MUST be removed if ... zero and updated otherwise."""
        current = (binding(call_id="old", cseq=50),)
        found = planned(f"Contact: <{BOB}>", current=current, call_id="new", cseq=cseq)
        assert [(one.contact, one.call_id, one.cseq) for one in found.bindings] == [(BOB, "new", cseq)]
        assert planned(f"Contact: <{BOB}>;expires=0", current=current, call_id="new", cseq=cseq) == Plan(
            (), True
        )

    def test_the_same_call_id_and_a_higher_cseq_update_or_remove(self) -> None:
        """If the value is higher than that of the existing binding, it MUST update or remove the binding."""
        current = (binding(cseq=4),)
        assert planned(f"Contact: <{BOB}>", current=current, cseq=5).bindings[0].cseq == 5
        assert planned(f"Contact: <{BOB}>;expires=0", current=current, cseq=5) == Plan((), True)

    @pytest.mark.parametrize("cseq", [1, 4])
    @pytest.mark.parametrize("expires", ["", ";expires=0"])
    def test_the_same_call_id_and_no_higher_cseq_abort(self, cseq: int, expires: str) -> None:
        """If not, the update MUST be aborted and the request fails."""
        found = decide(f"Contact: <{BOB}>{expires}", current=(binding(cseq=4),), cseq=cseq)
        assert isinstance(found, Rejected)
        assert found.status == 400

    def test_the_record_has_the_call_id_and_cseq_of_the_request(self) -> None:
        """Each binding record records the Call-ID and CSeq values from the request."""
        found = planned(f"Contact: <{BOB}>, <{OTHER}>", call_id="x@y", cseq=77)
        assert [(one.call_id, one.cseq) for one in found.bindings] == [("x@y", 77), ("x@y", 77)]

    @pytest.mark.parametrize(
        ("last", "status"),
        [
            (f"<{OTHER}>;expires=5", 423),
            (f"<{OTHER}>", 400),  # its CSeq is not higher
            ("<sip:new@example.com>", 403),  # one too many
            (f"<sip:{'x' * 3000}@example.com>", 400),
            ('<sip:new@example.com>;x="\x07"', 400),
        ],
    )
    def test_all_or_nothing(self, last: str, status: int) -> None:
        """... if and only if all binding updates and additions succeed."""
        current = (binding(call_id="x"), binding(OTHER, cseq=4))
        found = decide(
            f"Contact: <{BOB}>, <sip:third@example.com>, {last}", current=current, terms=Terms(max_contacts=3)
        )
        assert isinstance(found, Rejected)
        assert found.status == status

    def test_removal_of_what_is_not_there_changes_nothing(self) -> None:
        current = (binding(),)
        assert planned(f"Contact: <{OTHER}>;expires=0", current=current) == Plan(current, False)

    def test_a_refresh_keeps_its_place(self) -> None:
        current = (binding(), binding(OTHER), binding("sip:third@example.com"))
        assert contacts(planned(f"Contact: <{OTHER}>", current=current, cseq=2)) == contacts(
            Plan(current, True)
        )

    def test_contacts_are_taken_in_turn(self) -> None:
        found = planned(f"Contact: <{BOB}>;expires=0, <{OTHER}>, <{BOB}>, <{OTHER}>;expires=0")
        assert contacts(found) == [BOB]

    def test_the_last_of_two_equal_contacts_counts(self) -> None:
        found = planned(f"Contact: <{BOB}>;q=0.1, <sip:bob@CLIENT.example.com>;q=0.9")
        assert listed(found) == ["<sip:bob@CLIENT.example.com>;expires=3600;q=0.9"]


class TestEquality:
    """RFC 3261 10.2.4, 19.1.4."""

    @pytest.mark.parametrize(
        "same",
        [
            "sip:bob@CLIENT.EXAMPLE.COM",
            "SIP:bob@client.example.com",
            "sip:%62ob@client.example.com",
            "sip:bob@client.example.com;unknown=1",
        ],
    )
    def test_equal_contacts_are_one_binding(self, same: str) -> None:
        assert contacts(planned(f"Contact: <{same}>", current=(binding(),), cseq=2)) == [same]

    @pytest.mark.parametrize(
        "other",
        [
            "sip:BOB@client.example.com",
            "sips:bob@client.example.com",
            "sip:bob@client.example.com:5060",
            "sip:bob@client.example.com;transport=udp",
            "sip:bob:secret@client.example.com",
            "sip:bob@client.example.com?Route=%3Csip:a%3E",
            "sip:client.example.com",
        ],
    )
    def test_others_are_two(self, other: str) -> None:
        assert contacts(planned(f"Contact: <{other}>", current=(binding(),), cseq=2)) == [BOB, other]

    def test_transports_are_two_bindings(self) -> None:
        found = planned(f"Contact: <{BOB};transport=tcp>, <{BOB};transport=udp>, <{BOB};transport=TCP>")
        assert contacts(found) == [f"{BOB};transport=TCP", f"{BOB};transport=udp"]

    def test_escaped_nulls_are_two_bindings(self) -> None:
        # RFC 4475 3.1.1.4
        found = planned("Contact: <sip:%00@host5.example.com>, <sip:%00%00@host5.example.com>")
        assert listed(found) == [
            "<sip:%00@host5.example.com>;expires=3600",
            "<sip:%00%00@host5.example.com>;expires=3600",
        ]

    def test_one_that_equals_several_replaces_them_all(self) -> None:
        """19.1.4 is not transitive: both lines equal the bare URI, but not each other."""
        two = (binding(f"{BOB};line=1", "x"), binding(OTHER, "x"), binding(f"{BOB};line=2", "x"))
        assert contacts(planned(f"Contact: <{BOB}>", current=two)) == [BOB, OTHER]
        assert contacts(planned(f"Contact: <{BOB}>;expires=0", current=two)) == [OTHER]

    def test_the_order_counts_for_each_of_several_equals(self) -> None:
        two = (binding(f"{BOB};line=1", "x"), binding(f"{BOB};line=2", cseq=9))
        assert isinstance(decide(f"Contact: <{BOB}>", current=two), Rejected)

    def test_a_stored_contact_that_nobody_can_read_harms_no_other(self) -> None:
        odd = binding("sip:[broken")
        assert contacts(planned(f"Contact: <{BOB}>", current=(odd,), cseq=2)) == ["sip:[broken", BOB]


class TestStep8:
    def test_the_200_enumerates_all_current_bindings(self) -> None:
        """The response MUST contain Contact header field values enumerating all current bindings."""
        current = (binding(q="0.7"), binding("mailto:bob@example.com", left=2**32 - 1))
        assert listed(planned(f"Contact: <{OTHER}>;q=0.3", current=current)) == [
            f"<{BOB}>;expires=600;q=0.7",
            "<mailto:bob@example.com>;expires=4294967295",
            f"<{OTHER}>;expires=3600;q=0.3",
        ]

    def test_each_has_the_time_that_is_left(self) -> None:
        """Each Contact value MUST feature an "expires" parameter indicating its expiration interval."""
        found = planned(f"Contact: <{BOB}>;expires=600")
        assert [listed(found, NOW + at) for at in (0, 1, 599, 599.9)] == [
            [f"<{BOB}>;expires={left}"] for left in (600, 599, 1, 1)
        ]

    @pytest.mark.parametrize("left", [0, -0.5, -600])
    def test_expired_bindings_are_gone(self, left: float) -> None:
        current = (binding(cseq=9, left=left), binding(OTHER))
        assert planned(current=current) == Plan((current[1],), False)
        # What is gone has no CSeq to be compared with, and takes no room.
        found = planned(f"Contact: <{BOB}>", current=current, terms=Terms(max_contacts=2))
        assert contacts(found) == [OTHER, BOB]

    @pytest.mark.parametrize("q", ["0", "0.", "0.5", "0.123", "1", "1.000"])
    def test_q_comes_back_as_it_was(self, q: str) -> None:
        assert listed(planned(f"Contact: <{BOB}>;q={q}")) == [f"<{BOB}>;expires=3600;q={q}"]

    @pytest.mark.parametrize("q", [";q=1.1", ";q=-1", ";q=.5", ";q=0.1234", ";q", ";q=high", ";q=1e0"])
    def test_a_malformed_q_is_400(self, q: str) -> None:
        assert refused(f"Contact: <{OTHER}>, <{BOB}>{q}") == (400, "Malformed q in Contact")

    def test_other_parameters_come_back(self) -> None:
        params = ';+sip.instance="<urn:uuid:0001>";reg-id=1;methods="INVITE, BYE";isfocus'
        found = planned(f'Contact: "Bob, the first" <{BOB}>;q=0.5{params};expires=60')
        assert listed(found) == [f"<{BOB}>;expires=60;q=0.5{params}"]
        assert (found.bindings[0].instance_id, found.bindings[0].reg_id) == ("<urn:uuid:0001>", 1)

    def test_a_header_parameter_is_never_shown_as_a_uri_parameter(self) -> None:
        # RFC 4475 3.3.13 (cparam01) and 3.3.14 (cparam02)
        assert listed(planned("Contact: sip:+19725552222@gw1.example.net;unknownparam")) == [
            "<sip:+19725552222@gw1.example.net>;expires=3600;unknownparam"
        ]
        assert listed(planned("Contact: <sip:+19725552222@gw1.example.net;unknownparam>")) == [
            "<sip:+19725552222@gw1.example.net;unknownparam>;expires=3600"
        ]

    def test_headers_of_a_contact_uri_are_kept(self) -> None:
        # RFC 4475 3.3.15 (regescrt)
        uri = "sip:user@example.com?Route=%3Csip:sip.example.com%3E"
        assert listed(planned(f"Contact: <{uri}>")) == [f"<{uri}>;expires=3600"]

    @pytest.mark.parametrize("reg_id", ["", "x", "-1", "99999999999", "\u0661"])
    def test_a_reg_id_that_is_no_number_is_none(self, reg_id: str) -> None:
        try:
            found = planned(f"Contact: <{BOB}>;reg-id={reg_id}")
        except MessageError:
            return  # not even a parameter
        assert found.bindings[0].reg_id is None

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["sip:a@b.c", "sips:a@b.c", "tel:+1", BOB]),
                st.text('a1=;,"\\<>?* \t%\x07\u00e9\udcff', max_size=8),
            ),
            min_size=1,
            max_size=5,
        )
    )
    def test_what_was_accepted_can_be_read_again(self, values: list[tuple[str, str]]) -> None:
        """A malformed Contact never poisons the 200s that come later."""
        line = ", ".join([f"<{uri}>;{text}" for uri, text in values])
        try:
            found = decide(f"Contact: {line}")
        except MessageError:
            return
        if isinstance(found, Plan):
            again = parse_name_addrs(listed(found))
            assert [one.uri_text for one in again] == contacts(found)
            assert all(str(one.uri) and one.expires for one in again)


class TestMalformed:
    @pytest.mark.parametrize(
        "contact",
        [
            "",
            "<>",
            "<sip:>",
            "<sip:bob@>",
            "<sip:bob@[::1>",
            "<sip:bob@example.com:99999>",
            "<bob@example.com>",
            "<sip:bob@example.com",
            "sip:bob@example.com?a=b",
            f"<{BOB}>,",
            f"<{BOB}>;q=0.5;q=0.6",
            f"<{BOB}>;=x",
            f'<{BOB}>;x="',
        ],
    )
    def test_a_malformed_contact_is_400_and_nothing_changes(self, contact: str) -> None:
        assert refused(f"Contact: <{OTHER}>", f"Contact: {contact}")[0] == 400

    @pytest.mark.parametrize("octet", ["\x00", "\x07", "\x1b", "\x7f"])
    def test_control_characters_do_not_get_in(self, octet: str) -> None:
        found = decide(f'Contact: <{BOB}>;x="a{octet}b"')
        assert isinstance(found, Rejected)
        assert found.status == 400
        assert refused(f"Contact: <{BOB}>", f'Path: "a{octet}b" <sip:p.example.com;lr>')[0] == 400

    def test_other_characters_do(self) -> None:
        found = planned(f'Contact: <{BOB}>;x="\tgr\u00fc\u00df \\" \udcff"')
        assert listed(found) == [f'<{BOB}>;expires=3600;x="\tgr\u00fc\u00df \\" \udcff"']

    @pytest.mark.parametrize("most", [1, 100])
    def test_too_many_contacts_in_one_request_are_400_before_work_is_done(self, most: int) -> None:
        message = request("REGISTER", "Contact: " + ",".join([f"<sip:{n}@a>" for n in range(most + 1)]))
        with pytest.raises(MessageError, match="Too many Contact values"):
            _ = registration_of(message, None, most)


class TestLimits:
    def test_max_contacts(self) -> None:
        terms = Terms(max_contacts=2)
        current = (binding(), binding(OTHER))
        found = decide("Contact: <sip:third@example.com>", current=current, terms=terms)
        assert found == Rejected(403, "Too many contacts")
        # What takes another's place is let in, in either order.
        for line in (f"<{BOB}>;expires=0, <sip:c@d>", f"<sip:c@d>, <{BOB}>;expires=0"):
            assert len(planned(f"Contact: {line}", current=current, terms=terms, cseq=2).bindings) == 2

    @pytest.mark.parametrize(
        ("fields", "left"),
        [
            ("<sip:new@d>", ["sip:b@d", "sip:c@d", "sip:new@d"]),
            ("<sip:new@d>, <sip:newer@d>", ["sip:b@d", "sip:new@d", "sip:newer@d"]),
            # What this REGISTER refreshes is no longer old.
            ("<sip:a@d>, <sip:new@d>", ["sip:a@d", "sip:b@d", "sip:new@d"]),
            ("<sip:new@d>, <sip:a@d>", ["sip:a@d", "sip:b@d", "sip:new@d"]),
            # What it removes makes the room.
            ("<sip:b@d>;expires=0, <sip:new@d>", ["sip:a@d", "sip:c@d", "sip:new@d"]),
            ("<sip:b@d>", ["sip:a@d", "sip:b@d", "sip:c@d"]),
            ("<sip:1@d>, <sip:2@d>, <sip:3@d>", ["sip:1@d", "sip:2@d", "sip:3@d"]),
        ],
    )
    def test_the_oldest_make_room(self, fields: str, left: list[str]) -> None:
        ages = {"sip:a@d": 30, "sip:b@d": 10, "sip:c@d": 20}
        current = tuple(
            binding(contact)._replace(registered_at=NOW - age, call_id="other", expires_at=NOW + 40 - age)
            for contact, age in ages.items()
        )
        terms = Terms(max_contacts=3, when_full="replace-oldest")
        assert contacts(planned(f"Contact: {fields}", current=current, terms=terms)) == left
        for at in range(len(current)):
            turned = (*current[at:], *current[:at])  # the order of a store is not the age
            found = planned(f"Contact: {fields}", current=turned, terms=terms)
            assert sorted(contacts(found)) == sorted(left)

    def test_of_two_that_are_equally_old_the_first_makes_room(self) -> None:
        terms = Terms(max_contacts=2, when_full="replace-oldest")
        found = planned("Contact: <sip:c@d>", current=(binding(), binding(OTHER)), terms=terms)
        assert contacts(found) == [OTHER, "sip:c@d"]

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ("<sip:1@d>, <sip:2@d>, <sip:3@d>", 403),  # they do not make room for each other
            (f"<{BOB}>, <sip:1@d>, <sip:2@d>", 403),
            ("<sip:1@d>, <sip:2@d>;expires=5", 423),
            (f"<sip:1@d>, <{OTHER}>", 400),  # its CSeq is not higher
        ],
    )
    def test_who_is_refused_pushes_nobody_out(self, fields: str, status: int) -> None:
        current = (binding(call_id="x"), binding(OTHER, cseq=4))
        terms = Terms(max_contacts=2, when_full="replace-oldest")
        found = decide(f"Contact: {fields}", current=current, terms=terms)
        assert isinstance(found, Rejected)
        assert found.status == status

    def test_a_limit_that_was_lowered_is_met_by_the_next_addition(self) -> None:
        terms = Terms(max_contacts=1, when_full="replace-oldest")
        current = (binding(), binding(OTHER), binding("sip:third@example.com"))
        assert len(planned(f"Contact: <{BOB}>", current=current, terms=terms, cseq=2).bindings) == 3
        assert contacts(planned("Contact: <sip:new@d>", current=current, terms=terms)) == ["sip:new@d"]

    def test_a_limit_that_was_lowered_lets_refreshes_through(self) -> None:
        current = (binding(), binding(OTHER))
        terms = Terms(max_contacts=1)
        assert len(planned(f"Contact: <{BOB}>", current=current, terms=terms, cseq=2).bindings) == 2
        assert contacts(planned(f"Contact: <{BOB}>;expires=0", current=current, terms=terms, cseq=2)) == [
            OTHER
        ]

    @pytest.mark.parametrize("what", ["uri", "params", "path", "call_id", "user_agent"])
    def test_a_binding_that_is_too_long_is_refused(self, what: str) -> None:
        long = "x" * 3000
        uri = f"sip:{long}@example.com" if what == "uri" else BOB
        fields = [f"Contact: <{uri}>{';' + long if what == 'params' else ''}"]
        if what == "path":
            fields.append(f"Path: <sip:{long}@example.com;lr>")
        if what == "user_agent":
            fields.append(f"User-Agent: {long}")
        call_id = long if what == "call_id" else "1"
        assert decide(*fields, call_id=call_id) == Rejected(400, "Contact too long")
        assert planned(*fields, call_id=call_id, terms=Terms(max_contact_octets=4000)).changed

    def test_what_is_too_long_can_be_removed(self) -> None:
        # It may have been stored under a wider limit.
        uri = f"sip:{'x' * 3000}@example.com"
        assert planned(f"Contact: <{uri}>;expires=0", current=(binding(uri),), cseq=2) == Plan((), True)


class TestPath:
    """RFC 3327 5.3."""

    def test_the_vector_is_kept_in_order(self) -> None:
        found = planned(
            f"Contact: <{BOB}>",
            "Path: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>;x=1",
            "Path: <sip:p3.example.com;lr>",
        )
        assert found.bindings[0].path == (
            "<sip:p1.example.com;lr>",
            "<sip:p2.example.com;lr>;x=1",
            "<sip:p3.example.com;lr>",
        )

    @pytest.mark.parametrize("path", ["", "<>", "<sip:>", "*", "<sip:p.example.com;lr>, <nonsense>"])
    def test_a_malformed_one_is_400(self, path: str) -> None:
        assert refused(f"Contact: <{BOB}>", f"Path: {path}")[0] == 400

    @pytest.mark.parametrize(
        ("supported", "wanted"),
        [((), False), (("Supported: path",), True), (("Supported: gruu", "k: outbound, Path"), True)],
    )
    def test_it_comes_back_when_the_user_agent_supports_it(
        self, supported: tuple[str, ...], wanted: bool
    ) -> None:
        message = request("REGISTER", "Path: <sip:p.example.com;lr>", *supported)
        assert registration_of(message, None).path_wanted is wanted

    def test_a_malformed_supported_beside_a_path_is_400(self) -> None:
        assert refused("Path: <sip:p.example.com;lr>", "Supported: path, (")[0] == 400


def test_a_binding_keeps_what_outbound_and_gruu_will_need() -> None:
    found = planned(
        f'Contact: <{BOB}>;+sip.instance="<urn:uuid:1>";reg-id=2;q=0.5',
        "User-Agent: Phone/1.0",
        "Path: <sip:p.example.com;lr>",
        call_id="abc",
        cseq=5,
    )
    assert found.bindings == (
        Binding(
            contact=BOB,
            expires_at=NOW + 3600,
            call_id="abc",
            cseq=5,
            registered_at=NOW,
            q="0.5",
            params=';+sip.instance="<urn:uuid:1>";reg-id=2',
            instance_id="<urn:uuid:1>",
            reg_id=2,
            path=("<sip:p.example.com;lr>",),
            user_agent="Phone/1.0",
            flow="UDP 192.0.2.1:5060 192.0.2.7:5062 1",
        ),
    )
