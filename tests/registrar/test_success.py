"""What is in the 200 besides the bindings (RFC 3327, 3608, 5626, 5627), and contacts that lead back (RFC 5627 5.1)."""

from __future__ import annotations

from typing import Any, Unpack

import pytest

from sipframe.gruu import Gruu
from sipframe.message import Response, SipURI, parse_uri
from sipframe.registrar import RegistrarSettings
from sipframe.verdicts import Terms
from tests.fakes import Parts
from tests.registrar.whole import AOR, BOB, Whole

UUID = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
OTHER = "urn:uuid:00000000-0000-1000-8000-aabbccddeeff"
ROUTES = ("<sip:p2.example.com;lr>", "<sip:hsp.example.com;lr>")
EDGE = "Via: SIP/2.0/TCP ep1.example.com;branch=z9hG4bK9"
GRUU = "Supported: gruu"


def contact(uri: str = BOB, instance: str = UUID, more: str = "") -> str:
    return f'Contact: {uri};+sip.instance="<{instance}>"{more}'


def flow(reg_id: int = 1, more: str = "") -> str:
    return contact(more=f";reg-id={reg_id}{more}")


class World(Whole):
    def __init__(self, **settings: Any) -> None:
        super().__init__(settings=RegistrarSettings(**settings), terms=Terms())

    def registered(self, *fields: str, **parts: Unpack[Parts]) -> Response:
        answer = self.register(*fields, **parts)
        assert answer is not None
        return answer

    def ok(self, *fields: str, **parts: Unpack[Parts]) -> Response:
        answer = self.registered(*fields, **parts)
        assert answer.status == 200, answer.reason
        return answer

    def gruus_of(self, answer: Response) -> list[tuple[str | None, str | None]]:
        return [(one.param("pub-gruu"), one.param("temp-gruu")) for one in answer.contacts]

    def resolve(self, text: str | None) -> Gruu | None:
        assert text is not None
        uri = parse_uri(text)
        assert isinstance(uri, SipURI)
        return self.gruus.resolve(uri)


class TestOutbound:
    def test_who_asks_is_told(self) -> None:
        answer = World().ok(flow(), "Supported: outbound")
        assert answer.all("require") == ["outbound"]
        assert answer.first("flow-timer") == "120"

    def test_who_does_not_ask_is_not(self) -> None:
        for fields in ((flow(),), (contact(), "Supported: outbound"), ("Supported: outbound",)):
            answer = World().ok(*fields)
            assert answer.first("require") is None
            assert answer.first("flow-timer") is None

    def test_the_flow_timer_can_be_set_and_left_out(self) -> None:
        assert World(flow_timer=30).ok(flow(), "Supported: outbound").first("flow-timer") == "30"
        assert World(flow_timer=0).ok(flow(), "Supported: outbound").first("flow-timer") is None

    def test_behind_an_edge_proxy_the_flow_timer_is_its_business(self) -> None:
        path = "Path: <sip:t@ep1.example.com;lr;ob>"
        answer = World().ok(flow(), "Supported: outbound, path", path, EDGE)
        assert answer.first("require") == "outbound"
        assert answer.first("path") == "<sip:t@ep1.example.com;lr;ob>"
        assert answer.first("flow-timer") is None

    def test_a_removal_is_told_as_well(self) -> None:
        world = World()
        _ = world.ok(flow(), "Supported: outbound")
        answer = world.ok(flow(more=";expires=0"), "Supported: outbound")
        assert answer.first("require") == "outbound"
        assert answer.contacts == ()

    def test_439_reaches_the_phone_and_the_record(self) -> None:
        world = World()
        answer = world.registered(flow(), "Supported: outbound", EDGE)
        assert (answer.status, answer.reason) == (439, "First Hop Lacks Outbound Support")
        assert world.steps()[-1] == (
            "RFC 5626 6",
            "Rejected",
            "a reg-id, and the first hop has put no URI with ob into Path",
        )
        assert world.bound() == []

    def test_it_can_be_required(self) -> None:
        assert World().ok(flow(), "Supported: outbound", "Require: outbound, path").status == 200

    def test_switched_off(self) -> None:
        world = World(outbound=False)
        assert world.ok(flow(), "Supported: outbound").first("require") is None
        answer = world.registered(flow(), "Require: outbound")
        assert (answer.status, answer.first("unsupported")) == (420, "outbound")


class TestGruu:
    def test_who_asks_gets_both(self) -> None:
        world = World()
        ((public, temporary),) = world.gruus_of(world.ok(contact(), GRUU))
        assert public == f"{AOR};gr={UUID}"
        assert world.resolve(public) == Gruu(AOR, UUID)
        found = world.resolve(temporary)
        assert found is not None
        assert found[:2] == (AOR, UUID)

    def test_who_does_not_ask_gets_none(self) -> None:
        world = World()
        assert world.gruus_of(world.ok(contact())) == [(None, None)]
        assert world.gruus_of(world.ok(contact(), "Supported: outbound, (")) == [(None, None)]

    def test_without_an_instance_there_is_none(self) -> None:
        world = World()
        assert world.gruus_of(world.ok(f"Contact: {BOB}", GRUU)) == [(None, None)]
        answer = world.ok("Contact: <sip:x@192.0.2.9>", contact(), GRUU)
        assert [public is None for public, _ in world.gruus_of(answer)] == [False, True]

    def test_a_query_gets_them_too(self) -> None:
        """5.2: for each Contact header field value placed in the response."""
        world = World()
        _ = world.ok(contact())
        assert world.gruus_of(world.ok(GRUU))[0][0] == f"{AOR};gr={UUID}"

    def test_it_does_not_say_gruu_itself(self) -> None:
        """5.2: SHOULD NOT include the "gruu" option tag in the Require or Supported header field."""
        answer = World().ok(contact(), GRUU)
        assert answer.first("require") is None
        assert answer.first("supported") is None

    def test_what_a_phone_says_of_its_gruus_is_ignored(self) -> None:
        """5.1: a UA cannot suggest or otherwise provide a public GRUU."""
        world = World()
        said = ';pub-gruu="sip:x@h;gr=1";temp-gruu="sip:y@h;gr"'
        assert world.gruus_of(world.ok(contact(more=said))) == [(None, None)]
        assert world.gruus_of(world.ok(contact(more=said), GRUU))[0][0] == f"{AOR};gr={UUID}"

    def test_each_refresh_has_another_and_the_old_ones_hold(self) -> None:
        world = World()
        made = [world.gruus_of(world.ok(contact(), GRUU))[0][1] for _ in range(3)]
        assert len(set(made)) == 3
        bindings = world.store.lookup(AOR).bindings
        for text in made:
            found = world.resolve(text)
            assert found is not None
            assert found.targets(bindings, world.registrar_now()) == bindings

    def test_another_call_id_ends_the_old_ones(self) -> None:
        world = World()
        ((_, old),) = world.gruus_of(world.ok(contact(), GRUU))
        ((_, new),) = world.gruus_of(world.ok(contact(), GRUU, call_id="another"))
        bindings = world.store.lookup(AOR).bindings
        for text, there in ((old, None), (new, bindings)):
            found = world.resolve(text)
            assert found is not None
            assert found.targets(bindings, world.registrar_now()) == there

    def test_switched_off(self) -> None:
        world = World(gruu=False)
        assert world.gruus_of(world.ok(contact(), GRUU)) == [(None, None)]
        assert world.ok(contact("<tel:+1>")).status == 200
        assert world.registered(contact(), "Require: gruu").status == 420

    def test_it_can_be_required(self) -> None:
        assert World().ok(contact(), GRUU, "Require: gruu").status == 200


class TestContactsThatLeadBack:
    def refused(self, uri: str, more: str = "") -> str:
        world = World()
        answer = world.registered(contact(uri, more=more))
        assert answer.status == 403
        assert world.steps()[-1][0] == "RFC 5627 5.1"
        assert world.bound() == []
        return answer.reason

    @pytest.mark.parametrize(
        "uri", ["<sip:bob@example.com>", "<sips:bob@EXAMPLE.com>", "<sip:b%6fb@example.com;x=y>"]
    )
    def test_the_aor(self, uri: str) -> None:
        assert self.refused(uri) == "Contact Is Your Own Address"

    def test_its_public_gruus(self) -> None:
        for instance in (UUID, OTHER):
            assert self.refused(f"<{AOR};gr={instance}>") == "Contact Is Your Own GRUU"

    def test_its_temporary_gruu(self) -> None:
        world = World()
        ((_, temporary),) = world.gruus_of(world.ok(contact(), GRUU))
        assert world.registered(contact(f"<{temporary}>")).reason == "Contact Is Your Own GRUU"

    def test_what_is_no_sip_uri(self) -> None:
        assert self.refused("<mailto:bob@example.com>") == "No SIP URI for an Instance"

    @pytest.mark.parametrize(
        "uri",
        [
            "<sip:bob@example.com:5070>",
            "<sip:bob@example.com;transport=tcp>",
            "<sip:bob@example.com;maddr=192.0.2.9>",
            "<sip:alice@example.com>",
            "<sip:bob@example.org>",
            f"<sip:alice@example.com;gr={UUID}>",
            "<sip:tgruu.AAAA@example.com;gr>",
        ],
    )
    def test_what_leads_elsewhere_is_fine(self, uri: str) -> None:
        assert World().ok(contact(uri)).status == 200

    def test_what_is_removed_is_fine(self) -> None:
        assert World().ok(contact("<sip:bob@example.com>", more=";expires=0")).status == 200
        assert World().ok(contact("<mailto:bob@example.com>"), "Expires: 0").status == 200

    def test_without_an_instance_nobody_looks(self) -> None:
        assert World().ok("Contact: <sip:bob@example.com>").status == 200

    def test_who_is_a_stranger_hears_of_his_credentials_first(self) -> None:
        world = World()
        answer = world.register(contact("<sip:bob@example.com>"), password="wrong")
        assert answer is not None
        assert answer.status == 401


class TestServiceRoute:
    """RFC 3608 6.3."""

    def test_it_is_there_in_its_order(self) -> None:
        assert World(service_route=ROUTES).ok(f"Contact: {BOB}").all("service-route") == list(ROUTES)

    def test_a_query_gets_the_same(self) -> None:
        world = World(service_route=ROUTES)
        _ = world.ok(f"Contact: {BOB}")
        assert world.ok("Supported: path").all("service-route") == list(ROUTES)

    def test_who_has_no_binding_needs_none(self) -> None:
        world = World(service_route=ROUTES)
        assert world.ok("Supported: path").all("service-route") == []
        _ = world.ok(f"Contact: {BOB}")
        assert world.ok("Contact: *", "Expires: 0").all("service-route") == []

    def test_by_default_there_is_none(self) -> None:
        assert World().ok(f"Contact: {BOB}").all("service-route") == []

    def test_a_refusal_has_none(self) -> None:
        world = World(service_route=ROUTES)
        assert world.registered(f"Contact: {BOB};expires=1").all("service-route") == []


def test_an_options_tells_what_is_on() -> None:
    answer = World().send("OPTIONS")
    assert answer is not None
    assert answer.supported == ("gruu", "outbound", "path")
    answer = World(outbound=False, gruu=False).send("OPTIONS")
    assert answer is not None
    assert answer.supported == ("path",)
