"""One device with several flows, and GRUUs that lead to it (RFC 5626 7, RFC 5627 6.1), in the whole server."""

from __future__ import annotations

from sipframe.testing import Phone, Server
from tests.proxy.whole import BOB, asked, decision, registered, serving

UUID = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
OTHER = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf7"


def device(server: Server, reg_id: int | None, instance: str = UUID, transport: str = "tcp") -> Phone:
    """A phone of Bob's that is, or is a flow of, one device."""
    phone = server.phone(BOB, password="b", transport=transport)
    flow = "" if reg_id is None else f";reg-id={reg_id}"
    contact = f'<{phone.contact}>;+sip.instance="<{instance}>"{flow}'
    assert phone.register(contact, fields=["Supported: outbound, gruu"]).status == 200
    return phone


def silent(server: Server, *phones: Phone) -> None:
    server.settle()
    assert not [one for phone in phones for one in phone.requests if one.method == "INVITE"]


def test_of_two_flows_the_fresher_one_is_called() -> None:
    with serving() as server:
        (alice,) = registered(server, "alice")
        one = device(server, 1)
        server.advance(1)
        two = device(server, 2)
        call = alice.call(BOB)
        asked(two).accept()
        assert call.wait(0).status == 200
        silent(server, one)


def test_a_flow_that_has_failed_gives_way_to_the_next_one() -> None:
    with serving() as server:
        (alice,) = registered(server, "alice")
        one = device(server, 1)
        server.advance(1)
        two = device(server, 2)
        two.answering["INVITE"] = lambda incoming: incoming.answer(430)
        call = alice.call(BOB)
        asked(one).accept()
        assert call.wait(0).status == 200
        said = [step.reason for step in decision(server, "INVITE").steps if step.verdict == "430"]
        assert said


def test_a_connection_that_breaks_as_it_is_used_gives_way_as_well() -> None:
    with serving() as server:
        (alice,) = registered(server, "alice")
        one = device(server, 1)
        server.advance(1)
        two = device(server, 2)
        two.answering["INVITE"] = lambda incoming: two.flow.reset()
        call = alice.call(BOB)
        asked(one).accept()
        assert call.wait(0).status == 200


def test_a_busy_device_is_busy() -> None:
    with serving() as server:
        (alice,) = registered(server, "alice")
        one = device(server, 1)
        server.advance(1)
        two = device(server, 2)
        two.answering["INVITE"] = lambda incoming: incoming.answer(486)
        assert alice.call(BOB).wait().status == 486
        silent(server, one)


def test_a_gruu_leads_to_its_device_alone() -> None:
    with serving() as server:
        (alice,) = registered(server, "alice")
        desk, mobile = device(server, None), device(server, None, OTHER)
        (contact,) = [one for one in desk.refresh().contacts if UUID in (one.param("+sip.instance") or "")]
        for name in ("pub-gruu", "temp-gruu"):
            gruu = (contact.param(name) or "").strip('"')
            call = alice.call(gruu)
            incoming = asked(desk)
            assert incoming.request.uri_text == desk.contact
            incoming.accept()
            assert call.wait(0).status == 200
            silent(server, mobile)


def test_a_gruu_of_nobody() -> None:
    with serving() as server:
        (alice,) = registered(server, "alice")
        _ = device(server, None)
        assert alice.call(f"{BOB};gr={OTHER}").wait().status == 480
        assert alice.call("sip:tgruu.AAAA@example.com;gr").wait().status == 404


def test_the_newest_contact_of_a_device_that_does_no_outbound() -> None:
    with serving() as server:
        (alice,) = registered(server, "alice")
        old = device(server, None)
        server.advance(1)
        new = device(server, None)
        (gruu,) = {one.param("pub-gruu") for one in new.refresh().contacts}
        new.answering["INVITE"] = lambda incoming: incoming.answer(408)
        call = alice.call((gruu or "").strip('"'))
        asked(old).accept()
        assert call.wait(0).status == 200
