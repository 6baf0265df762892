"""RFC 5626 6, sentence by sentence: whose reg-ids count, and what a binding is then."""

from __future__ import annotations

from typing import Unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import MessageError
from sipframe.registrar.outbound import Outbound, outbound_of, supports
from sipframe.registrar.plan import Plan, Refusal, plan, registration_of
from sipframe.verdicts import Binding, Terms
from tests.fakes import Parts, request

NOW = 1_700_000_000.0
UUID = "<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"
OTHER = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"
HERE = "sip:bob@192.0.2.2;transport=tcp"
EDGE = "Via: SIP/2.0/TCP ep1.example.com;branch=z9hG4bK9"
ASKS = "Supported: path, outbound"


def contact(reg_id: object = 1, instance: str = UUID, uri: str = HERE, more: str = "") -> str:
    return f'Contact: <{uri}>;reg-id={reg_id};+sip.instance="{instance}"{more}'


def decide(
    *fields: str,
    current: tuple[Binding, ...] = (),
    outbound: bool = True,
    terms: Terms | None = None,
    **parts: Unpack[Parts],
) -> Plan | Refusal:
    asked = registration_of(request("REGISTER", *fields, **parts), "TCP flow", outbound=outbound)
    return plan(asked, current, Terms() if terms is None else terms, NOW)


def planned(
    *fields: str, current: tuple[Binding, ...] = (), outbound: bool = True, **parts: Unpack[Parts]
) -> tuple[Binding, ...]:
    found = decide(*fields, current=current, outbound=outbound, **parts)
    assert isinstance(found, Plan), found
    return found.bindings


def refused(*fields: str, **parts: Unpack[Parts]) -> tuple[int, str, str]:
    found = decide(*fields, **parts)
    assert isinstance(found, Refusal), found
    return found.verdict.status, found.verdict.reason, found.rule


def means(*fields: str) -> Outbound:
    return outbound_of(request("REGISTER", *fields))


def pairs(bindings: tuple[Binding, ...]) -> list[tuple[str, int | None]]:
    return [(one.contact, one.reg_id) for one in bindings]


class TestTheFirstHop:
    """The registrar MUST check from its Via header field if the registrar is the first hop or not."""

    def test_it_is_us(self) -> None:
        assert means(contact(), ASKS) is Outbound.DIRECT

    def test_it_is_us_whatever_stands_in_path(self) -> None:
        assert means(contact(), ASKS, "Path: <sip:p.example.com;lr>") is Outbound.DIRECT

    def test_an_edge_proxy_that_keeps_the_flow(self) -> None:
        assert means(contact(), ASKS, EDGE, "Path: <sip:t@ep1.example.com;lr;ob>") is Outbound.EDGE

    def test_of_several_it_is_the_last_path_value(self) -> None:
        """RFC 3327 5.2: each proxy puts its own on top."""
        last = "Path: <sip:p.example.com;lr>, <sip:t@ep1.example.com;lr;OB>"
        first = "Path: <sip:t@ep1.example.com;lr;ob>, <sip:p.example.com;lr>"
        assert means(contact(), ASKS, EDGE, last) is Outbound.EDGE
        assert means(contact(), ASKS, EDGE, first) is Outbound.LACKING

    @pytest.mark.parametrize(
        "path",
        [
            (),
            ("Path: <sip:t@ep1.example.com;lr>",),
            ("Path: <sip:t@ep1.example.com;lr>;ob",),  # not in the URI
            ("Path: <tel:1;ob>",),
        ],
    )
    def test_without_ob_it_is_lacking(self, path: tuple[str, ...]) -> None:
        """If missing or the first URI does not have "ob", outbound processing MUST NOT be applied."""
        assert means(contact(), ASKS, EDGE, *path) is Outbound.LACKING
        # ... otherwise, the registrar MUST ignore the "reg-id" parameter.
        assert means(contact(), EDGE, *path) is Outbound.IGNORED

    def test_439(self) -> None:
        assert refused(contact(), ASKS, EDGE) == (439, "First Hop Lacks Outbound Support", "RFC 5626 6")

    def test_439_for_a_removal_as_well(self) -> None:
        assert refused(contact(more=";expires=0"), ASKS, EDGE)[0] == 439

    def test_who_does_not_ask_is_bound_by_the_contact(self) -> None:
        (one,) = planned(contact(), EDGE)
        assert one.reg_id is None
        assert one.instance_id == UUID
        assert ";reg-id=1" in one.params

    def test_a_star_and_a_query_have_no_reg_id(self) -> None:
        one = planned(contact(), ASKS)
        assert planned("Contact: *", "Expires: 0", ASKS, EDGE, current=one, cseq=2) == ()
        assert planned(ASKS, EDGE, current=one, cseq=2) == one

    def test_who_has_not_named_outbound_is_bound_by_its_flow_and_not_told(self) -> None:
        assert means(contact()) is Outbound.UNTOLD
        assert not Outbound.UNTOLD.told
        assert planned(contact())[0].reg_id == 1

    @pytest.mark.parametrize(("supported", "asks"), [("Outbound", True), ("path", False), ("", False)])
    def test_the_option_tag(self, supported: str, asks: bool) -> None:
        assert supports(request("REGISTER", f"k: {supported}"), "outbound") is asks

    def test_a_malformed_supported_beside_a_reg_id_is_400(self) -> None:
        with pytest.raises(MessageError):
            _ = decide(contact(), "Supported: (")

    def test_without_outbound_reg_ids_mean_nothing(self) -> None:
        assert planned(contact(), ASKS, EDGE, outbound=False)[0].reg_id is None


class TestWhatCounts:
    def test_a_reg_id_without_an_instance_is_ignored(self) -> None:
        """If ... with a reg-id but no instance-id, it simply ignores the reg-id parameter."""
        for field in (f"Contact: <{HERE}>;reg-id=1", contact(instance=""), contact(instance="<>")):
            assert planned(field, ASKS, EDGE)[0].reg_id is None
            assert planned(field, ASKS)[0].reg_id is None
            assert means(field, ASKS) is Outbound.IGNORED

    def test_an_instance_without_a_reg_id_is_valid(self) -> None:
        (one,) = planned(f'Contact: <{HERE}>;+sip.instance="{UUID}"', ASKS, EDGE)
        assert one.instance_id == UUID
        assert one.reg_id is None

    @pytest.mark.parametrize("reg_id", ["0", "2147483648", "99999999999", "-1", "x", '""', "²"])
    def test_what_is_no_reg_id_is_ignored(self, reg_id: str) -> None:
        """10: MUST NOT be 0 and MUST be less than 2^31."""
        assert means(contact(reg_id) if reg_id != "²" else contact('"²"'), ASKS) is Outbound.IGNORED

    @pytest.mark.parametrize("reg_id", ["1", "0002", "2147483647"])
    def test_what_is_one(self, reg_id: str) -> None:
        assert planned(contact(reg_id), ASKS)[0].reg_id == int(reg_id)


class TestTheBinding:
    """The corresponding binding is between an AOR and the combination of the instance-id and the reg-id."""

    def test_the_same_pair_takes_its_place_whatever_else_is_new(self) -> None:
        current = planned(contact(), ASKS, call_id="a", cseq=7)
        elsewhere = contact(uri="sip:bob@198.51.100.9:1234;transport=tls")
        (one,) = planned(elsewhere, ASKS, current=current, call_id="b", cseq=1)
        assert one.contact == "sip:bob@198.51.100.9:1234;transport=tls"
        assert one.call_id == "b"

    def test_the_instance_is_the_same_in_any_spelling(self) -> None:
        current = planned(contact(), ASKS)
        assert len(planned(contact(instance=UUID.lower()), ASKS, current=current, cseq=2)) == 1

    def test_several_flows_of_one_instance_stand_together(self) -> None:
        current = planned(contact(1), ASKS)
        assert pairs(planned(contact(2), ASKS, current=current, call_id="b")) == [(HERE, 1), (HERE, 2)]

    def test_two_instances_may_have_the_same_reg_id(self) -> None:
        current = planned(contact(1), ASKS)
        assert len(planned(contact(1, OTHER), ASKS, current=current, call_id="b")) == 2

    def test_flow_and_path_are_those_of_the_last_registration(self) -> None:
        """MUST update any information that uniquely identifies the network flow."""
        path = "Path: <sip:{}@ep1.example.com;lr;ob>".format
        current = planned(contact(), ASKS, EDGE, path("one"))
        (one,) = planned(contact(), ASKS, EDGE, path("two"), current=current, cseq=2)
        assert one.path == ("<sip:two@ep1.example.com;lr;ob>",)
        assert one.flow == "TCP flow"

    def test_the_order_of_a_call_id_is_kept_for_each_flow(self) -> None:
        """RFC 3261 10.3 step 7."""
        current = planned(contact(1), ASKS, cseq=5)
        assert refused_again(current, contact(1), cseq=5) == 400
        assert refused_again(current, contact(1, uri="sip:elsewhere@h"), cseq=4) == 400
        assert len(planned(contact(2), ASKS, current=current, cseq=4)) == 2  # another binding
        assert len(planned(contact(1), ASKS, current=current, cseq=1, call_id="new")) == 1

    def test_a_removal_names_the_pair(self) -> None:
        current = planned(contact(2), ASKS, current=planned(contact(1), ASKS), call_id="b")
        gone = contact(1, uri="sip:anything@h", more=";expires=0")
        assert pairs(planned(gone, ASKS, current=current, cseq=2)) == [(HERE, 2)]
        # 4.2.2: a removal without it is about another binding.
        assert planned(f"Contact: <{HERE}>;expires=0", current=current, cseq=2) == current

    def test_those_by_contact_and_those_by_flow_do_not_touch_each_other(self) -> None:
        """MUST be prepared to receive, for the same AOR, some that use them and some that do not."""
        plain = f"Contact: <{HERE}>"
        current = planned(plain, call_id="a")
        both = planned(contact(), ASKS, current=current, call_id="b")
        assert pairs(both) == [(HERE, None), (HERE, 1)]
        again = planned(plain, current=both, call_id="c")
        assert [one.call_id for one in again] == ["c", "b"]
        assert pairs(planned(f"{plain};expires=0", current=both, call_id="c")) == [(HERE, 1)]

    def test_one_flow_at_a_time(self) -> None:
        """More than one value with a non-zero expiration, and any with a reg-id: SHOULD be rejected with a 400."""
        two = (contact(1), f"Contact: <{HERE}>")
        assert refused(*two, ASKS) == (400, "One contact at a time with reg-id", "RFC 5626 6")
        assert refused(contact(1), contact(2), ASKS)[0] == 400
        assert refused(contact(1), f"Contact: <{HERE}>;expires=0", contact(2), ASKS)[0] == 400

    def test_that_rule_is_about_reg_ids_that_count(self) -> None:
        assert len(planned(contact(1), f"Contact: <{HERE}>;x=1", ASKS, outbound=False)) == 1
        assert len(planned(contact(1), "Contact: <sip:x@h>", EDGE)) == 2
        assert len(planned(f"Contact: <{HERE}>;reg-id=1", "Contact: <sip:x@h>", ASKS)) == 2
        gone = contact(1, more=";expires=0")
        assert len(planned(gone, "Contact: <sip:x@h>", "Contact: <sip:y@h>", ASKS)) == 2

    def test_a_flow_comes_and_others_go_in_one(self) -> None:
        """... and can also de-register any Contact header fields with zero expiration."""
        current = (
            *planned("Contact: <sip:old@h>", call_id="x"),
            *planned(contact(1), ASKS),
        )
        found = planned(
            "Contact: <sip:old@h>;expires=0",
            contact(1, more=";expires=0"),
            contact(2),
            ASKS,
            current=current,
            cseq=2,
        )
        assert pairs(found) == [(HERE, 2)]

    def test_a_flow_may_move_within_one_request(self) -> None:
        away, back = contact(1, more=";expires=0"), contact(1, uri="sip:new@h")
        for current in ((), planned(contact(1), ASKS)):
            found = planned(away, back, ASKS, current=current, cseq=2)
            assert pairs(found) == [("sip:new@h", 1)]
            assert planned(back, away, ASKS, current=current, cseq=2) == ()

    def test_removing_all(self) -> None:
        current = planned(contact(2), ASKS, current=planned(contact(1), ASKS), call_id="b")
        assert planned("Contact: *", "Expires: 0", current=current, cseq=2) == ()

    def test_max_contacts_counts_flows(self) -> None:
        current = planned(contact(1), ASKS)
        found = decide(contact(2), ASKS, current=current, terms=Terms(max_contacts=1), cseq=2)
        assert isinstance(found, Refusal)
        assert found.verdict.status == 403
        again = decide(contact(1, uri="sip:x@h"), ASKS, current=current, terms=Terms(max_contacts=1), cseq=2)
        assert isinstance(again, Plan)


def refused_again(current: tuple[Binding, ...], field: str, cseq: int) -> int:
    found = decide(field, ASKS, current=current, cseq=cseq)
    assert isinstance(found, Refusal)
    return found.verdict.status


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, UUID, OTHER]),
            st.sampled_from([None, 1, 2]),
            st.sampled_from(["sip:a@h", "sip:b@h", "sip:A@H", "sip:a@H"]),
            st.sampled_from(["call-1", "call-2"]),
            st.sampled_from(["", ";expires=0"]),
        ),
        max_size=12,
    )
)
def test_a_binding_is_the_only_one_of_its_kind(
    registers: list[tuple[str | None, int | None, str, str, str]],
) -> None:
    """By instance and reg-id where both are there, by contact else; and a REGISTER touches that one alone."""
    current: tuple[Binding, ...] = ()
    for number, (instance, reg_id, uri, call_id, expires) in enumerate(registers, 1):
        field = f"Contact: <{uri}>{expires}"
        field += "" if instance is None else f';+sip.instance="{instance}"'
        field += "" if reg_id is None else f";reg-id={reg_id}"
        before = current
        current = planned(field, ASKS, current=current, cseq=number, call_id=call_id)

        def key(one: Binding) -> object:
            return one.contact.lower()[4:] if one.reg_id is None else (one.instance_id, one.reg_id)

        keys = [key(one) for one in current if one.contact != "sip:A@H"]
        assert len(set(keys)) == len(keys)
        mine: object = (instance, reg_id) if instance and reg_id else None
        kept = [one for one in before if (one.instance_id, one.reg_id) != mine and one.reg_id is not None]
        assert [one for one in current if one in kept] == kept
        if not expires:
            assert current
