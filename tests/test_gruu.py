"""RFC 5627: what a GRUU promises, and what nobody can do with one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.domains import Domains
from sipframe.gruu import MOST_TEXT, Gruu, Gruus
from sipframe.instances import instance_of
from sipframe.message import SipURI, equivalent, parse_uri
from sipframe.message.grammar import param, parse_params
from sipframe.verdicts import Binding

AOR = "sip:callee@example.com"
UUID = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
OTHER = "urn:uuid:00000000-0000-1000-8000-aabbccddeeff"
KEY = b"k" * 32
DOMAINS = Domains(["example.com", "example.org", "2001:db8::1"], {"alias.example": "example.com"})


def counter() -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        yield number.to_bytes(8, "big")


def gruus(key: bytes = KEY, domains: Domains = DOMAINS) -> Gruus:
    numbers = counter()
    return Gruus(domains, key, lambda count: next(numbers)[:count])


def binding(
    contact: str = "sip:callee@192.0.2.1",
    call_id: str = "call-1",
    at: float = 10.0,
    *,
    instance: str | None = f"<{UUID}>",
    reg_id: int | None = None,
    until: float = 1000.0,
) -> Binding:
    return Binding(contact, until, call_id, 1, at, instance_id=instance, reg_id=reg_id)


def sip(text: str) -> SipURI:
    uri = parse_uri(text)
    assert isinstance(uri, SipURI)
    return uri


def resolved(text: str, by: Gruus | None = None) -> Gruu:
    found = (by or gruus()).resolve(sip(text))
    assert found is not None
    return found


class TestPublic:
    def test_the_one_of_section_9(self) -> None:
        assert gruus().public(AOR, UUID) == f"{AOR};gr={UUID}"

    def test_it_leads_to_its_aor_and_instance(self) -> None:
        assert resolved(f"{AOR};gr={UUID}") == Gruu(AOR, UUID)
        assert not resolved(f"{AOR};gr={UUID}").temporary

    def test_it_equals_its_aor(self) -> None:
        """5.4: a public GRUU will always be equivalent to the AOR based on URI equality rules."""
        assert equivalent(sip(gruus().public(AOR, UUID)), sip(AOR))

    @pytest.mark.parametrize(
        "text",
        [
            f"sips:callee@example.com;gr={UUID}",
            f"sip:callee@alias.example;gr={UUID}",
            f"sip:c%61llee@EXAMPLE.com.;GR={UUID.upper()}",
            f"sip:callee@example.com;method=INVITE;gr={UUID}",
        ],
    )
    def test_it_may_be_spelled_otherwise(self, text: str) -> None:
        assert resolved(text) == Gruu(AOR, UUID)

    @pytest.mark.parametrize(
        "text",
        [
            f"sip:callee@example.net;gr={UUID}",
            f"sip:example.com;gr={UUID}",
            "sip:callee@example.com",
            "sip:callee@example.com;gr",
            "sip:callee@example.com;gr=%20",
        ],
    )
    def test_what_is_none_of_ours(self, text: str) -> None:
        assert gruus().resolve(sip(text)) is None

    @given(
        st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=20),
        st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=20),
    )
    def test_any_user_and_any_instance_come_back(self, user: str, rest: str) -> None:
        by = gruus()
        text = by.public(f"sip:{user}@example.com", f"urn:x:{rest}")
        # RFC 2141 5: the form of an instance ID has its escapes in lower case.
        assert resolved(text, by).aor == f"sip:{user}@example.com"
        assert resolved(text, by).instance.lower() == f"urn:x:{rest}".lower()

    def test_who_is_gone_is_not_there_which_is_no_reason_to_forget_it(self) -> None:
        """5.3: requests targeted to the GRUU, prior to re-registration, SHOULD return a 480."""
        assert resolved(f"{AOR};gr={UUID}").targets((), 0.0) == ()
        assert resolved(f"{AOR};gr={UUID}").targets((binding(until=5.0),), 5.0) == ()

    def test_it_leads_to_its_instance_alone_the_newest_contact_first(self) -> None:
        """6.1: the proxy MUST select the most recently refreshed contact."""
        old, new = binding("sip:old@h", "a", 1.0), binding("sip:new@h", "b", 2.0)
        others = (binding("sip:x@h", instance=f"<{OTHER}>"), binding("sip:y@h", instance=None))
        assert resolved(f"{AOR};gr={UUID}").targets((old, *others, new), 5.0) == (new, old)


class TestTemporary:
    def made(self, *bindings: Binding, by: Gruus | None = None, aor: str = AOR) -> str:
        return (by or gruus()).temporary(aor, UUID, bindings or (binding(),), 20.0)

    def test_it_leads_to_its_aor_and_instance(self) -> None:
        found = resolved(self.made())
        assert found[:2] == (AOR, UUID)
        assert found.temporary
        assert found.targets((binding(),), 20.0) == (binding(),)

    def test_it_says_nothing(self) -> None:
        """3.1.2: it hides the AOR."""
        uri = sip(self.made())
        assert uri.params == (("gr", None),)
        assert uri.host == "example.com"
        assert uri.user is not None
        assert "callee" not in uri.user

    def test_each_is_another(self) -> None:
        """5.1: the likelihood that it is equal to another one is vanishingly small."""
        by = gruus()
        made = [self.made(by=by) for _ in range(20)]
        assert len(set(made)) == 20
        # 5.1, property 2: no two have a part in common that would tell that they are of one user.
        tokens = [sip(one).user or "" for one in made]
        assert len({token[6:14] for token in tokens}) == 20
        assert len({token[-8:] for token in tokens}) == 20

    @given(
        st.text(max_size=40).filter(lambda text: "@" not in text),
        st.one_of(
            st.uuids().map(lambda one: one.urn), st.text(max_size=40).map(lambda text: f"urn:x:{text}")
        ),
        st.lists(st.one_of(st.none(), st.integers(1, 2**31 - 1)), unique=True, min_size=1, max_size=5),
    )
    def test_any_user_instance_and_flows_come_back(
        self, user: str, instance: str, reg_ids: list[int | None]
    ) -> None:
        by, aor = gruus(), f"sip:{user}@example.com"
        bindings = [binding(instance=instance, reg_id=one, call_id=f"call-{one}") for one in reg_ids]
        found = resolved(by.temporary(aor, instance_of_(instance), bindings, 20.0), by)
        assert found[:2] == (aor, instance_of_(instance))
        assert {reg_id for reg_id, _ in found.marks or ()} == set(reg_ids)
        assert len(found.targets(bindings, 20.0) or ()) == len(reg_ids)

    def test_one_octet_that_differs_is_none_of_ours(self) -> None:
        text = self.made()
        user = sip(text).user or ""
        for position in range(len(user)):
            other = "A" if user[position] != "A" else "B"
            changed = text.replace(user, user[:position] + other + user[position + 1 :])
            assert gruus().resolve(sip(changed)) is None

    @pytest.mark.parametrize("user", ["tgruu.", "tgruu.AAAA", "tgruu.!", "tgruu." + "A" * 3000, "bob", "%FF"])
    def test_what_is_none_of_ours(self, user: str) -> None:
        assert gruus().resolve(sip(f"sip:{user}@example.com;gr")) is None

    def test_another_spelling_of_it_is_none_of_ours(self) -> None:
        user = sip(self.made()).user
        assert gruus().resolve(sip(f"sip:{user}!@example.com;gr")) is None
        assert gruus().resolve(sip(f"sip:{user}==@example.com;gr")) is None

    def test_it_is_worth_nothing_with_another_key(self) -> None:
        assert gruus(b"other key, other").resolve(sip(self.made())) is None

    def test_it_is_bound_to_its_domain(self) -> None:
        assert gruus().resolve(sip(self.made().replace("example.com", "example.org"))) is None
        assert gruus().resolve(sip(self.made().replace("example.com", "example.net"))) is None
        assert resolved(self.made().replace("example.com", "alias.example")).aor == AOR

    def test_a_domain_that_is_an_address(self) -> None:
        aor = "sip:callee@[2001:db8::1]"
        assert resolved(self.made(aor=aor)).aor == aor

    def test_a_refresh_with_the_same_call_id_leaves_it_valid(self) -> None:
        found = resolved(self.made())
        refreshed = binding("sip:elsewhere@h", at=50.0)
        assert found.targets((refreshed,), 60.0) == (refreshed,)

    def test_another_call_id_ends_it(self) -> None:
        """5.1: if it differs, the registrar MUST invalidate all previously generated temporary GRUUs: 404."""
        assert resolved(self.made()).targets((binding(call_id="call-2"),), 20.0) is None

    def test_after_a_crash_the_contact_that_is_still_there_does_not_hold_it(self) -> None:
        """5.1: the one that was most recently registered is looked at."""
        after = (binding(), binding("sip:callee@192.0.2.2", "call-2", 30.0))
        assert resolved(self.made()).targets(after, 40.0) is None
        assert resolved(self.made(*after)).targets(after, 40.0) == (after[1], after[0])

    def test_it_ends_with_the_registration(self) -> None:
        """5.3: if it no longer has any registered contacts bound to it, it MUST be invalidated."""
        found = resolved(self.made())
        assert found.targets((), 20.0) is None
        assert found.targets((binding(until=20.0),), 20.0) is None
        assert found.targets((binding(instance=f"<{OTHER}>"),), 20.0) is None

    def test_it_holds_while_one_of_its_flows_is_there(self) -> None:
        """4.2: temporary GRUUs remain valid as long as at least one flow is registered."""
        one, two = binding(reg_id=1), binding(call_id="call-2", reg_id=2)
        found = resolved(self.made(one, two))
        assert found.targets((two,), 20.0) == (two,)
        assert found.targets((one,), 20.0) == (one,)
        assert found.targets((), 20.0) is None

    def test_another_call_id_for_one_of_its_flows_ends_it(self) -> None:
        """4.1: the server will invalidate all temporary GRUUs associated with that UA instance as a whole."""
        one, two = binding(reg_id=1), binding(call_id="call-2", reg_id=2)
        found = resolved(self.made(one, two))
        assert found.targets((one, two._replace(call_id="call-3")), 20.0) is None

    def test_a_flow_that_is_new_does_not_end_it(self) -> None:
        one = binding(reg_id=1)
        new = binding(call_id="call-2", reg_id=2, at=30.0)
        assert resolved(self.made(one)).targets((one, new), 40.0) == (new, one)

    def test_of_many_flows_the_newest_are_marked(self) -> None:
        flows = [binding(call_id=f"call-{one}", reg_id=one, at=float(one)) for one in range(1, 13)]
        found = resolved(self.made(*flows))
        assert [reg_id for reg_id, _ in found.marks or ()] == [12, 11, 10, 9, 8, 7, 6, 5]


class TestContactParams:
    def params(self, text: str) -> tuple[str, str]:
        found = parse_params(text)
        public, temporary = param(found, "pub-gruu"), param(found, "temp-gruu")
        assert public is not None
        assert temporary is not None
        return public, temporary

    def test_all_contacts_of_an_instance_have_the_same(self) -> None:
        """9, message 18: the temporary GRUU for each is the same."""
        bindings = (binding(), binding("sip:callee@192.0.2.2", "call-2", 30.0))
        params = gruus().contact_params(AOR, bindings, 40.0)
        assert params(bindings[0]) == params(bindings[1])
        public, temporary = self.params(params(bindings[0]))
        assert public == f"{AOR};gr={UUID}"
        assert resolved(temporary).targets(bindings, 40.0) == bindings[::-1]

    def test_each_instance_has_its_own(self) -> None:
        bindings = (binding(), binding("sip:x@h", instance=f"<{OTHER}>"))
        params = gruus().contact_params(AOR, bindings, 20.0)
        assert [resolved(self.params(params(one))[1]).instance for one in bindings] == [UUID, OTHER]

    @pytest.mark.parametrize("instance", [None, "", "<urn:x:" + "y" * MOST_TEXT + ">"])
    def test_without_an_instance_or_with_one_that_is_too_long_there_is_none(
        self, instance: str | None
    ) -> None:
        one = binding(instance=instance)
        assert gruus().contact_params(AOR, (one,), 20.0)(one) == ""

    def test_the_scheme_is_the_one_of_the_contact(self) -> None:
        """RFC 5630 5.2.1."""
        bindings = (binding("SIPS:callee@h"), binding("sip:callee@h"))
        params = gruus().contact_params(AOR, bindings, 20.0)
        assert [one.partition(":")[0] for one in self.params(params(bindings[0]))] == ["sips", "sips"]
        assert [one.partition(":")[0] for one in self.params(params(bindings[1]))] == ["sip", "sip"]
        assert resolved(self.params(params(bindings[0]))[1]).aor == AOR

    def test_a_user_that_could_end_a_quoted_string(self) -> None:
        one = binding()
        text = gruus().contact_params('sip:a"b\\c d@example.com', (one,), 20.0)(one)
        public, temporary = self.params(text)
        assert resolved(public).aor == resolved(temporary).aor == 'sip:a"b\\c d@example.com'


def test_a_short_key_is_an_error() -> None:
    with pytest.raises(ValueError, match="16 octets"):
        _ = gruus(b"short")


def instance_of_(text: str) -> str:
    found = instance_of(text)
    assert found is not None
    return found
