"""What a Route of ours gives to whoever follows it, and what it does not (RFC 3261 16.3 step 6, 26.2).

Both sides of a dialog know all that was recorded for it. None of them may use it to speak as somebody else, or to get
where the server would not have taken the first request of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sipframe.message import Request
from sipframe.proxy import ProxySettings
from sipframe.testing import Dialog, Phone, Server
from tests.proxy.whole import ALICE, BOB, CAROL, answered, decision, registered, sent_to, serving

EVE = "sip:eve@example.net"
ELSEWHERE = "203.0.113.5"
PREMIUM = "sip:+1900555@gw.example.org"
BY_THE_GATEWAY = "<sip:gw.example.org;lr>"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def gateway(server: Server) -> Phone:
    """Somebody else's, which takes what comes from this server."""
    phone = server.phone("sip:gw@example.org", host=ELSEWHERE)
    _ = phone.flow
    for method in ("MESSAGE", "INFO"):
        phone.answering[method] = lambda one: one.answer(200)
    server.network.hosts["gw.example.org"] = ELSEWHERE
    return phone


def called(server: Server, caller: Phone, callee: Phone, uri: str = BOB) -> tuple[Dialog, Dialog]:
    """Both ends of a call that stands."""
    call = caller.call(uri)
    theirs = answered(call, callee)
    return call.dialog, theirs


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("by_route", [False, True])
@pytest.mark.parametrize("method", ["MESSAGE", "INVITE"])
def test_a_stranger_gets_no_further_than_to_whom_it_called(
    server: Server, transport: str, by_route: bool, method: str
) -> None:
    outside = gateway(server)
    (bob,) = registered(server, "bob", transport=transport)
    dialog, _ = called(server, server.phone(EVE, transport=transport), bob)
    bob.answering["MESSAGE"] = bob.answering["INVITE"] = lambda one: one.answer(481)
    dialog.target = PREMIUM
    if by_route:
        dialog.routes = (*dialog.routes, BY_THE_GATEWAY)
    assert dialog.request(method).status == 481
    assert not sent_to(outside, method)


def test_nor_does_its_ack(server: Server) -> None:
    outside = gateway(server)
    (bob,) = registered(server, "bob")
    eve = server.phone(EVE)
    dialog, _ = called(server, eve, bob)
    send_ack(eve, dialog, f"sip:x@{ELSEWHERE}")
    assert not sent_to(outside, "ACK")


def send_ack(phone: Phone, dialog: Dialog, uri: str, *fields: str) -> None:
    """One more ACK of ``dialog``, to ``uri``."""
    lines = [
        f"ACK {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {phone.flow.sent_by};branch=z9hG4bK{phone.token(4)}",
        *[f"Route: {route}" for route in dialog.routes],
        "Max-Forwards: 70",
        f"From: <{dialog.local}>;tag={dialog.local_tag}",
        f"To: <{dialog.remote}>" + (f";tag={dialog.remote_tag}" if dialog.remote_tag else ""),
        f"Call-ID: {dialog.call_id}",
        "CSeq: 1 ACK",
        *fields,
        "Content-Length: 0",
    ]
    phone.send(("\r\n".join(lines) + "\r\n\r\n").encode())


def test_a_route_is_for_requests_within_the_dialog(server: Server) -> None:
    # RFC 3261 12.2.1.1: those have a To tag. A gateway takes what has none for a new call.
    outside = gateway(server)
    (bob,) = registered(server, "bob")
    eve = server.phone(EVE)
    dialog, _ = called(server, eve, bob)
    fields = [f"Route: {route}" for route in dialog.routes]
    assert eve.request("MESSAGE", PREMIUM, fields=fields, call_id=dialog.call_id).status == 407
    assert not sent_to(outside, "MESSAGE")


def test_a_caller_is_who_it_was(server: Server) -> None:
    # It comes by the flow that its Route names, but that was not signed for Alice.
    alice, bob = registered(server, "alice", "bob")
    bob.answering["MESSAGE"] = lambda one: one.answer(200)
    dialog, _ = called(server, server.phone(EVE), bob)
    dialog.local = ALICE
    assert dialog.request("MESSAGE").status == 407
    assert not sent_to(bob, "MESSAGE")
    assert not alice.received[2:]


def test_a_callee_is_who_was_called(server: Server) -> None:
    outside = gateway(server)
    (alice,) = registered(server, "alice")
    call = alice.call("sip:gw@gw.example.org")
    theirs = answered(call, outside)
    theirs.local = CAROL
    assert theirs.request("INFO").status == 407
    assert not sent_to(alice, "INFO")


def test_a_callee_from_elsewhere_reaches_the_caller_and_nobody_else(server: Server) -> None:
    outside = gateway(server)
    mallory = server.phone("sip:mallory@example.net", host="203.0.113.66")
    _ = mallory.flow
    (alice,) = registered(server, "alice")
    theirs = answered(alice.call("sip:gw@gw.example.org"), outside)
    alice.answering["INFO"] = lambda one: one.answer(200)
    assert theirs.request("INFO").status == 200
    theirs.target = f"sip:x@{mallory.flow.sent_by}"
    assert theirs.request("INFO").status == 200
    assert len(sent_to(alice, "INFO")) == 2
    assert not sent_to(mallory, "INFO")


def test_maddr_is_no_way_around(server: Server) -> None:
    outside = gateway(server)
    (bob,) = registered(server, "bob")
    bob.answering["INFO"] = lambda one: one.answer(200)
    dialog, _ = called(server, server.phone(EVE), bob)
    dialog.target = f"{dialog.target};maddr={ELSEWHERE}"
    assert dialog.request("INFO").status == 200
    assert (len(sent_to(bob, "INFO")), len(sent_to(outside, "INFO"))) == (1, 0)


def test_who_has_proved_something_may_go_anywhere(server: Server) -> None:
    # The other side's Contact may be on another host than its proxy is, which need not record a route.
    outside = gateway(server)
    other = server.phone("sip:x@example.org", host="203.0.113.7")
    _ = other.flow
    other.answering["INFO"] = lambda one: one.answer(200)
    (alice,) = registered(server, "alice")
    call = alice.call("sip:gw@gw.example.org")
    _ = answered(call, outside)
    call.dialog.target = f"sip:x@{other.flow.sent_by}"
    assert call.request("INFO").status == 200
    assert len(sent_to(other, "INFO")) == 1


def test_so_may_a_user_of_ours_who_was_called(server: Server) -> None:
    (bob,) = registered(server, "bob")
    other = server.phone("sip:x@example.org", host="203.0.113.7")
    _ = other.flow
    other.answering["INFO"] = lambda one: one.answer(200)
    _, theirs = called(server, server.phone(EVE), bob)
    theirs.target = f"sip:x@{other.flow.sent_by}"
    assert theirs.request("INFO").status == 200
    assert len(sent_to(other, "INFO")) == 1


def test_a_path_leads_to_the_phone_and_nowhere_else() -> None:
    # Whoever has been told the Path of a phone, and be it the phone itself, could send anything to anybody by it.
    with serving(proxy=ProxySettings(relay_to=("inner.example.org",))) as server:
        inner = server.phone("sip:x@inner.example.org", host="203.0.113.9")
        _ = inner.flow
        server.network.hosts["inner.example.org"] = "203.0.113.9"
        outside = gateway(server)
        paths: list[str] = []

        def register(one: object) -> None:
            request: Request = one.request  # type: ignore[attr-defined]
            paths.extend(request.all("path"))
            one.answer(200)  # type: ignore[attr-defined]

        inner.answering["REGISTER"] = register
        eve = server.phone("sip:eve@inner.example.org")
        eve.answering["MESSAGE"] = lambda one: one.answer(404)
        assert eve.request("REGISTER", "sip:inner.example.org", to=eve.aor).status == 200
        fields = [f"Route: {paths[0]}"]
        assert inner.request("MESSAGE", PREMIUM, fields=fields).status == 404
        assert eve.request("MESSAGE", PREMIUM, from_=ALICE, fields=fields).status == 407
        assert not sent_to(outside, "MESSAGE")


def test_a_call_that_was_sent_elsewhere_by_its_to(server: Server) -> None:
    # To need not be who is reached: the callee's requests have it in From, and pass to the caller all the same.
    (bob,) = registered(server, "bob")
    eve = server.phone(EVE)
    call = eve.call(BOB, to=CAROL)
    theirs = answered(call, bob)
    assert theirs.local == CAROL
    assert theirs.bye().status == 200
    assert decision(server, "BYE").status == 200


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("further", [(), ("<sip:192.0.2.1;lr>",)])
def test_nor_is_a_strict_router(server: Server, side: int, further: tuple[str, ...]) -> None:
    # RFC 3261 16.4: a Request-URI of ours is replaced by the last Route.
    outside = gateway(server)
    (bob,) = registered(server, "bob")
    dialog, _ = called(server, server.phone(EVE), bob)
    dialog.target = ("<sip:192.0.2.1;lr>", *dialog.routes)[side + 1].strip("<>")
    dialog.routes = ("<sip:192.0.2.1;lr>", *further, f"<{PREMIUM};lr>")
    assert dialog.request("MESSAGE").status == 407
    assert not sent_to(outside, "MESSAGE")


def test_an_ack_without_a_dialog_goes_nowhere(server: Server) -> None:
    (bob,) = registered(server, "bob")
    eve = server.phone(EVE)
    dialog, _ = called(server, eve, bob)
    dialog.routes = ()
    dialog.remote_tag = None
    before = len(sent_to(bob, "ACK"))
    send_ack(eve, dialog, BOB)
    assert len(sent_to(bob, "ACK")) == before


def test_a_callee_that_rings_and_rings_leaves_no_more_than_a_record_is_worth(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    call = alice.call(BOB)
    incoming = bob.next_request("INVITE", within=0)
    incoming.ring()
    again = next(
        one.data for one in server.network.wire if one.source.host == bob.host and b" 180 " in one.data
    )
    for _ in range(2000):
        bob.send(again)
    incoming.reject(486)
    assert call.wait(0).status == 486
    told = decision(server)
    assert 400 < len(told.steps) < 600
    assert told.steps[-1].verdict == "486"
