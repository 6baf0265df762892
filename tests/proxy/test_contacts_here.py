"""Phones on the machine of the server: their Contacts have a host that names a domain of ours, and are no AORs.

A request within a dialog goes to the Contact, by the flow that its Route names (RFC 3261 12.2.1.1, RFC 5626 5.3).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sipframe.testing import Server
from tests.proxy.whole import BOB, answered, registered, sent_to, serving

HERE = {f"198.18.0.{number}": "example.com" for number in range(1, 10)}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(aliases=HERE) as server:
        yield server


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_call_between_them(server: Server, transport: str) -> None:
    (alice,) = registered(server, "alice", transport=transport)
    desk, mobile = registered(server, "bob", "bob", transport=transport)
    assert all(phone.contact.partition("@")[2].partition(":")[0] in HERE for phone in (alice, desk, mobile))
    call = alice.call(BOB)
    theirs = answered(call, mobile)  # the ACK has come
    desk.answering["INFO"] = mobile.answering["INFO"] = alice.answering["INFO"] = lambda one: one.answer(200)
    assert call.request("INFO").status == 200
    assert theirs.request("INFO").status == 200
    assert call.bye().status == 200
    assert theirs.ended
    # Bob's other phone has been let alone.
    assert (sent_to(desk, "INFO"), sent_to(desk, "BYE"), sent_to(desk, "ACK")) == ([], [], [])


def test_a_contact_without_a_port(server: Server) -> None:
    """It looks like an AOR, but nobody has that one."""
    (alice,), (bob,) = registered(server, "alice"), registered(server, "bob")
    call = alice.call(BOB)
    theirs = answered(call, bob)
    call.dialog.target = f"sip:the-phone-itself@{bob.contact.partition('@')[2].partition(':')[0]}"
    assert call.bye().status == 200
    assert theirs.ended
