"""Outbound, GRUU and Service-Route in the whole server, with phones that come by real flows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sipframe.message import Response
from sipframe.registrar import RegistrarSettings
from sipframe.testing import Phone, Server
from sipframe.verdicts import Terms

ALICE = "sip:alice@example.com"
USERS = {"alice": "secret"}
UUID = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
OUTBOUND = ("Supported: outbound, gruu, path",)


def alice(server: Server, transport: str = "tcp") -> Phone:
    return server.phone(ALICE, password="secret", transport=transport)


def flow(phone: Phone, reg_id: int = 1, **more: Any) -> Response:
    contact = f'<{phone.contact}>;+sip.instance="<{UUID}>";reg-id={reg_id}'
    return phone.register(contact, fields=OUTBOUND, **more)


def temporary(answer: Response) -> str:
    (text,) = {one.param("temp-gruu") for one in answer.contacts}
    assert text is not None
    return text


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_phone_that_comes_back_takes_the_place_of_its_old_self(transport: str) -> None:
    with Server(users=USERS) as server:
        before, after = alice(server, transport), alice(server, transport)
        answer = flow(before)
        assert (answer.status, answer.first("require"), answer.first("flow-timer")) == (
            200,
            "outbound",
            "120",
        )
        assert flow(after).status == 200
        (binding,) = server.bindings(ALICE)
        assert binding.contact == after.contact
        assert binding.call_id == after.call_id != before.call_id


def test_two_flows_of_one_phone() -> None:
    with Server(users=USERS) as server:
        one, two = alice(server), alice(server, "tls")
        assert flow(one, 1).status == 200
        answer = flow(two, 2)
        assert [found.param("reg-id") for found in answer.contacts] == ["1", "2"]
        first, second = server.bindings(ALICE)
        assert (first.reg_id, second.reg_id) == (1, 2)
        assert first.flow != second.flow
        # The flow that is lost is the other one's no more.
        assert flow(two, 1).status == 200
        assert [binding.flow for binding in server.bindings(ALICE)] == [second.flow, second.flow]


def test_a_flow_that_dies_takes_its_binding_with_it_where_the_terms_say_so() -> None:
    with Server(users=USERS, terms=Terms(drop_when_flow_lost=True)) as server:
        one, two = alice(server), alice(server)
        assert flow(one, 1).status == 200
        assert flow(two, 2).status == 200
        one.flow.close()
        server.advance(1)
        assert [binding.reg_id for binding in server.bindings(ALICE)] == [2]


def test_otherwise_losing_a_flow_is_not_losing_a_binding() -> None:
    with Server(users=USERS) as server:
        one = alice(server)
        assert flow(one, 1).status == 200
        one.flow.close()
        server.advance(1)
        assert [binding.reg_id for binding in server.bindings(ALICE)] == [1]


def test_a_phone_takes_its_flow_away() -> None:
    with Server(users=USERS) as server:
        one, two = alice(server), alice(server)
        assert flow(one, 1).status == 200
        assert flow(two, 2).status == 200
        assert one.unregister().status == 200
        assert [binding.reg_id for binding in server.bindings(ALICE)] == [2]


def test_gruus_are_good_after_a_restart(tmp_path: Path) -> None:
    """The key is kept in the state directory."""
    with Server(users=USERS, state=tmp_path) as server:
        answer = flow(alice(server))
        text = temporary(answer)
        assert (tmp_path / "secret").exists()
    with Server(users=USERS, state=tmp_path) as server:
        contact = f'<{text}>;+sip.instance="<{UUID}>"'
        refused = alice(server).register(contact)  # nobody but us can tell that it is one
        assert (refused.status, refused.reason) == (403, "Contact Is Your Own GRUU")


def test_switched_off() -> None:
    with Server(users=USERS, registrar=RegistrarSettings(outbound=False, gruu=False)) as server:
        phone = alice(server)
        answer = flow(phone)
        assert answer.status == 200
        assert answer.first("require") is None
        (contact,) = answer.contacts
        assert contact.param("pub-gruu") is None
        (binding,) = server.bindings(ALICE)
        assert binding.reg_id is None
        assert phone.request("OPTIONS", "sip:example.com").supported == ("path",)


def test_a_service_route() -> None:
    settings = RegistrarSettings(service_route=["<sip:edge.example.com;lr>"])
    with Server(users=USERS, registrar=settings) as server:
        phone = alice(server)
        assert phone.register().all("service-route") == ["<sip:edge.example.com;lr>"]
        assert phone.unregister().all("service-route") == []
