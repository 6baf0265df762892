"""RFC 5626 4.1: which values of +sip.instance name one instance; RFC 5627 6.1, RFC 5626 7: who is asked first."""

from __future__ import annotations

import pytest

from sipframe.instances import by_instance, instance_of, newest_first
from sipframe.verdicts import Binding

UUID = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
OTHER = "urn:uuid:00000000-0000-1000-8000-aabbccddeeff"


def binding(
    contact: str, instance: str | None = None, at: float = 0.0, *, reg_id: int | None = None
) -> Binding:
    return Binding(f"sip:{contact}", 1000.0, "call", 1, at, instance_id=instance, reg_id=reg_id)


def names(bindings: tuple[Binding, ...]) -> str:
    return "".join([one.contact.removeprefix("sip:") for one in bindings])


class TestInstanceOf:
    @pytest.mark.parametrize(
        "value", [f"<{UUID}>", UUID, f" <{UUID}>", f"<{UUID.upper()}>", "<URN:UUID:" + UUID[9:] + ">"]
    )
    def test_a_uuid_has_no_case(self, value: str) -> None:
        assert instance_of(value) == UUID

    @pytest.mark.parametrize(
        ("value", "form"),
        [
            ("<URN:GSMA:imei:90420156-025763-0>", "urn:gsma:imei:90420156-025763-0"),
            ("<urn:foo:a%2CB>", "urn:foo:a%2cB"),  # RFC 2141 5
            ("<urn:foo:a%2cB>", "urn:foo:a%2cB"),
            ("<urn:foo:a%2cb>", "urn:foo:a%2cb"),
            ("<a-Phone>", "a-Phone"),
            ("<urn>", "urn"),
            ("<urn:x>", "urn:x"),
        ],
    )
    def test_other_urns_by_rfc_2141(self, value: str, form: str) -> None:
        assert instance_of(value) == form

    @pytest.mark.parametrize("value", [None, "", "<>", " ", "< >"])
    def test_nothing_is_no_instance(self, value: str | None) -> None:
        assert instance_of(value) is None

    @pytest.mark.parametrize("value", [f"<{UUID}>", "<urn:foo:A%2C>", "x" * 500, "<urn:foo:" + "A%2C" * 200])
    def test_its_form_is_its_own_form(self, value: str) -> None:
        form = instance_of(value)
        assert form is not None
        assert instance_of(form) == form

    def test_it_is_the_same_whether_it_is_remembered_or_not(self) -> None:
        long = "<urn:foo:" + "x" * 200 + "%2C>"
        assert instance_of(long) == "urn:foo:" + "x" * 200 + "%2c"


class TestNewestFirst:
    def test_the_one_that_was_refreshed_last_is_first(self) -> None:
        ages = [binding("a", at=2.0), binding("b", at=3.0), binding("c", at=1.0)]
        assert names(newest_first(ages)) == "bac"

    def test_of_two_as_old_the_later_in_the_list_is_first(self) -> None:
        assert names(newest_first([binding("a"), binding("b"), binding("c", at=-1.0)])) == "bac"

    def test_of_none_there_is_none(self) -> None:
        assert newest_first([]) == ()


class TestByInstance:
    def test_those_of_one_device_stand_together_the_newest_first(self) -> None:
        bindings = [
            binding("a", f"<{UUID}>", 1.0, reg_id=1),
            binding("x"),
            binding("b", f"<{OTHER}>", 9.0),
            binding("c", f"<{UUID.upper()}>", 2.0, reg_id=2),
        ]
        assert [names(group) for group in by_instance(bindings)] == ["ca", "x", "b"]

    def test_without_an_instance_each_stands_alone(self) -> None:
        assert [names(group) for group in by_instance([binding("a"), binding("b"), binding("c", "")])] == [
            "a",
            "b",
            "c",
        ]
