"""Calls under what is not usual: bad networks, large requests, two address families, reloads, connections that come
and go (RFC 3261 16, 18.1.1; RFC 5658; RFC 5626 5.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import attrs
import pytest

from sipframe.message import Response
from sipframe.proxy import ProxySettings
from sipframe.testing import Call, Incoming, Network, Phone, Server
from sipframe.transport import ListenAddress
from tests.proxy.whole import (
    ALICE,
    BOB,
    USERS,
    answered,
    asked,
    at_rest,
    clock,
    listen,
    registered,
    sent_to,
    serving,
)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.mark.parametrize("seed", range(6))
def test_thirty_calls_on_a_bad_network(seed: int) -> None:
    network = Network(seed, loss=0.15, duplicate=0.1, reorder=0.1, delay=(0.01, 0.1))
    with Server(users=USERS, network=network, listen=listen("udp", "tcp")) as server:
        before = clock(server)
        chance = network.chance("calls")
        alice = server.phone(ALICE, password="a")
        phones = [server.phone(BOB, password="b", transport=one) for one in ("udp", "tcp")]
        assert all(phone.register().status == 200 for phone in (alice, *phones))
        calls: list[Call] = []
        for number in range(30):
            kind = chance.choice(("answer", "busy", "cancel", "silent", "decline"))
            for phone in phones:
                phone.answering["INVITE"] = _does(kind, server, chance.uniform(0, 4))
            call = alice.call(BOB, call_id=f"call-{number}")
            calls.append(call)
            if kind == "cancel":
                _ = server.later(chance.uniform(0, 3), partial(_cancel, call))
            server.advance(chance.uniform(0, 2))
        server.advance(300)
        for call in calls:
            finals = {one.status for one in call.responses if one.status >= 200 and one.status != 407}
            # One final answer; or several 2xx, of which each is a dialog.
            assert len(finals) <= 1, finals
            assert call.exchange.done
            if call.answer is not None and call.answer.status == 200:
                confirmed = [one for one in call.dialogs if one.confirmed]
                assert confirmed
                server.network.loss = 0.0
                for dialog in confirmed:
                    assert dialog.bye().status == 200
                server.network.loss = 0.15
        server.network.loss = 0.0
        assert {call.answer.status for call in calls if call.answer is not None} >= {200, 486, 487}
        at_rest(server, before)


def _cancel(call: Call) -> None:
    if not call.exchange.done:
        call.cancel()


def _does(kind: str, server: Server, after: float) -> Callable[[Incoming], None]:
    def ring_and(incoming: Incoming) -> None:
        def finish() -> None:
            if incoming.answered or kind in ("cancel", "silent"):
                return
            if kind == "answer":
                incoming.accept()
            else:
                incoming.reject(486 if kind == "busy" else 603)

        incoming.ring()
        _ = server.later(after, finish)

    return ring_and


@pytest.mark.parametrize("private", [None, "10.0.0.9"])
def test_a_large_request_gets_to_a_phone_that_has_udp_alone(server: Server, private: str | None) -> None:
    # RFC 3261 18.1.1 would have TCP; where that leads nowhere, UDP is tried.
    (alice,) = registered(server, "alice", transport="tcp")
    (bob,) = registered(server, "bob", private=private)
    body = b"x" * 3000
    call = alice.call(BOB, body=body, fields=["Content-Type: text/plain"])
    incoming = asked(bob, within=5)
    assert incoming.request.body == body
    incoming.accept()
    assert call.wait(0).status == 200
    assert call.bye().status == 200


def test_two_address_families() -> None:
    # RFC 5658: two Record-Routes, one of each.
    addresses = (
        *listen("udp", "tcp"),
        ListenAddress.parse("udp:5060:interface=2001\\:db8\\:\\:1"),
    )
    with Server(users=USERS, listen=addresses) as server:
        before = clock(server)
        (alice,) = registered(server, "alice")
        bob = server.phone(BOB, password="b", host=server.network.new_host(version=6))
        bob.flow.close()
        _six(bob)
        assert bob.register().status == 200
        call = alice.call(BOB)
        theirs = answered(call, bob)
        assert len(theirs.routes) == 2
        assert "[2001:db8::1]" in theirs.routes[0]
        assert "192.0.2.1" in theirs.routes[1]
        bob.answering["INFO"] = alice.answering["INFO"] = Incoming.answer
        assert call.request("INFO").status == 200
        assert theirs.request("INFO").status == 200
        assert theirs.bye().status == 200
        at_rest(server, before)


def _six(phone: Phone) -> None:
    """The phone speaks to the server's IPv6 address."""
    account = phone._account
    phone._account = attrs.evolve(account, peer=account.peer._replace(host="2001:db8::1"))


def test_udp_and_tls_have_two_routes() -> None:
    # RFC 5658 6.2
    with serving("udp", "tls") as server:
        (alice,) = registered(server, "alice")
        (bob,) = registered(server, "bob", transport="tls")
        call = alice.call(BOB)
        theirs = answered(call, bob)
        upper, lower = theirs.routes
        assert upper.endswith("@192.0.2.1:5061;transport=tls;lr>")
        assert lower.startswith("<sip:")
        assert lower.endswith("@192.0.2.1:5060;lr>")
        assert call.bye().status == 200


def test_a_reload_while_it_rings(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    call, other = alice.call(BOB), alice.call(BOB)
    first, second = asked(bob), asked(bob)
    first.ring()
    second.ring()
    server.settle()
    server.service.reload(attrs.evolve(server.settings, proxy=ProxySettings(strangers="refuse")))
    theirs = first.accept()
    assert call.wait(0).status == 200
    other.cancel()
    assert other.wait(0).status == 487
    assert second.cancelled
    assert theirs.bye().status == 200
    assert server.phone("sip:eve@example.net").call(BOB).wait(0).status == 403


def test_a_stop_while_it_rings() -> None:
    with serving() as server:
        alice, bob = registered(server, "alice", "bob")
        call = alice.call(BOB)
        incoming = asked(bob)
        incoming.ring()
        server.settle()
        server.stop()
        server.settle()
        assert call.exchange.done
        assert call.answer is not None
        assert call.answer.status == 503
        assert incoming.cancelled
        server.log.clear()  # it says how many were unanswered
        server.start()


def test_a_phone_that_has_come_back_by_another_connection(server: Server) -> None:
    (alice,) = registered(server, "alice")
    (bob,) = registered(server, "bob", transport="tcp")
    call = alice.call(BOB)
    theirs = answered(call, bob)
    bob.flow.reset()
    server.settle()
    assert theirs.bye().status == 200  # by a new connection: it proves who it is
    assert call.dialog.ended


def test_a_call_to_a_phone_that_has_moved(server: Server) -> None:
    (alice,) = registered(server, "alice")
    (bob,) = registered(server, "bob", transport="tcp", private="10.0.0.3")
    bob.flow.reset()
    server.settle()
    _ = bob.connect()
    assert bob.register().status == 200
    call = alice.call(BOB)
    theirs = answered(call, bob)
    assert len(sent_to(bob, "INVITE")) == 1
    assert theirs.bye().status == 200


def test_a_phone_that_is_asleep_and_wakes(server: Server) -> None:
    # The INVITE is sent again over UDP until it is heard.
    alice, bob = registered(server, "alice", "bob")
    stop = server.network.lose_while(lambda one: one.target.host == bob.host)
    call = alice.call(BOB)
    server.advance(10)
    stop()
    theirs_in = asked(bob, within=10)
    theirs_in.accept()
    assert call.wait(0).status == 200
    assert call.bye().status == 200


def test_a_response_that_is_for_nobody(server: Server) -> None:
    # The only Via is ours: there is nowhere to send it to, and the caller must not wait for ever.
    alice, bob = registered(server, "alice", "bob")
    call = alice.call(BOB)
    incoming = asked(bob)
    via = incoming.request.vias[0].text
    answer = (
        f"SIP/2.0 486 Busy Here\r\nVia: {via}\r\nFrom: {incoming.request.all('from')[0]}\r\n"
        f"To: {incoming.request.all('to')[0]};tag=1\r\nCall-ID: {incoming.request.call_id}\r\n"
        f"CSeq: {incoming.request.cseq.number} INVITE\r\nContent-Length: 0\r\n\r\n"
    )
    bob.send(answer.encode())
    assert call.wait(0).status == 502
    counters = server.service.proxy_counters
    assert counters is not None
    assert counters.unforwardable == 1
    incoming.reject(486)


def test_a_request_without_what_is_mandatory(server: Server) -> None:
    (bob,) = registered(server, "bob")
    eve = server.phone("sip:eve@example.net")
    _ = eve.flow
    lines = [
        f"Via: SIP/2.0/UDP {eve.flow.sent_by};branch=z9hG4bK1",
        "From: <sip:eve@example.net>;tag=1",
        f"To: <{BOB}>",
        "Call-ID: 1",
        "CSeq: 1 MESSAGE",
    ]
    for missing in range(1, 5):
        left = [*lines[:missing], *lines[missing + 1 :]]
        head = f"MESSAGE {BOB} SIP/2.0\r\n".encode()
        branch = f"z9hG4bKm{missing}".encode()
        data = "\r\n".join([*left, "Content-Length: 0", "", ""]).encode().replace(b"z9hG4bK1", branch)
        before = len(eve.received)
        eve.send(head + data)
        answers = [one.status for one in eve.received[before:] if isinstance(one, Response)]
        assert answers in ([400], []), lines[missing]
    assert not sent_to(bob, "MESSAGE")


def test_compact_names_and_odd_spelling(server: Server) -> None:
    (bob,) = registered(server, "bob")
    bob.answering["MESSAGE"] = Incoming.answer
    eve = server.phone("sip:eve@example.net")
    _ = eve.flow
    eve.send(
        (
            f"MESSAGE {BOB} SIP/2.0\r\nv:  SIP / 2.0/UDP {eve.flow.sent_by};rport;branch=z9hG4bKodd,"
            f" SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKolder\r\nf:eve <sip:eve@example.net> ; tag=1\r\n"
            f"t: <{BOB}>\r\ni:odd\r\nCSEQ: 0009\r\n  MESSAGE\r\nMAX-FORWARDS: 05\r\nc: text/plain\r\nl: 2\r\n\r\nhi"
        ).encode()
    )
    (request,) = sent_to(bob, "MESSAGE")
    assert (request.body, len(request.vias), request.max_forwards) == (b"hi", 3, 4)
    answers = [one for one in eve.received if isinstance(one, Response)]
    assert [(one.status, len(one.vias)) for one in answers] == [(200, 2)]
