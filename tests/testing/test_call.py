"""Phones that call: dialogs, their routes and numbers, ACK and CANCEL, subscriptions, NATs, and how it is drawn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sipframe.message import Request, Response
from sipframe.proxy import ProxySettings
from sipframe.testing import Incoming, Phone, Server
from sipframe.transport import ListenAddress

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
USERS = {"alice": "secret", "bob": "hidden"}
LISTEN = tuple([ListenAddress.parse(f"{one}:5060:interface=192.0.2.1") for one in ("udp", "tcp")])


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(users=USERS, listen=LISTEN) as server:
        yield server


@pytest.fixture
def alice(server: Server) -> Phone:
    return server.phone(ALICE, password="secret")


@pytest.fixture
def bob(server: Server) -> Phone:
    bob = server.phone(BOB, password="hidden")
    assert bob.register().status == 200
    return bob


def requests(phone: Phone, method: str) -> list[Request]:
    return [one for one in phone.received if isinstance(one, Request) and one.method == method]


def test_a_call(server: Server, alice: Phone, bob: Phone) -> None:
    call = alice.call(BOB)
    incoming = bob.next_request("INVITE")
    assert incoming.request.contacts[0].uri_text == alice.contact
    assert incoming.request.body.startswith(b"v=0\r\n")
    early = incoming.ring()
    assert call.wait_for(180).to.tag == early.local_tag
    assert [one.confirmed for one in call.dialogs] == [False]
    with pytest.raises(AssertionError, match="nobody has answered"):
        _ = call.dialog
    theirs = incoming.accept()
    assert theirs is early
    assert call.wait().status == 200
    ours = call.dialog
    assert (ours.call_id, ours.local_tag, ours.remote_tag) == (
        theirs.call_id,
        theirs.remote_tag,
        theirs.local_tag,
    )
    assert ours.routes == theirs.routes[::-1]
    assert (ours.target, theirs.target) == (bob.contact, alice.contact)
    server.settle()
    assert theirs.acked
    assert (call.bye().status, ours.ended, theirs.ended) == (200, True, True)


def test_calls_have_tags_and_call_ids_of_their_own(server: Server, alice: Phone, bob: Phone) -> None:
    bob.answering["INVITE"] = Incoming.accept
    calls = [alice.call(BOB) for _ in range(3)]
    for call in calls:
        assert call.wait().status == 200
    assert len({call.dialog.call_id for call in calls}) == 3
    assert len({call.dialog.local_tag for call in calls}) == 3
    assert calls[1].bye().status == 200
    assert [dialog.ended for dialog in bob.dialogs] == [False, True, False]


def test_numbers_within_a_dialog_follow_one_another(server: Server, alice: Phone, bob: Phone) -> None:
    bob.answering["INVITE"] = Incoming.accept
    bob.answering["INFO"] = alice.answering["INFO"] = Incoming.answer
    call = alice.call(BOB)
    assert call.wait().status == 200
    (theirs,) = bob.dialogs
    began = call.dialog.cseq
    for _ in range(2):
        assert call.request("INFO").status == 200
        assert theirs.request("INFO").status == 200
    assert (call.dialog.cseq, theirs.cseq) == (began + 2, 2)
    assert [one.method for one in theirs.requests] == ["INFO", "INFO"]


def test_without_a_record_route_they_talk_to_each_other() -> None:
    settings = ProxySettings(record_route=False)
    with Server(users=USERS, listen=LISTEN, proxy=settings) as server:
        alice = server.phone(ALICE, password="secret")
        bob = server.phone(BOB, password="hidden")
        _ = bob.register()
        bob.answering["INVITE"] = Incoming.accept
        call = alice.call(BOB)
        assert call.wait().status == 200
        (theirs,) = bob.dialogs
        assert theirs.routes == ()
        assert theirs.acked
        assert theirs.bye().status == 200
        last = list(server.network.wire)[-2:]
        assert [(one.source.host, one.target.host) for one in last] == [
            (bob.host, alice.host),
            (alice.host, bob.host),
        ]


def test_a_strict_router(server: Server, alice: Phone, bob: Phone) -> None:
    # RFC 3261 12.2.1.1
    call = alice.call(BOB)
    incoming = bob.next_request("INVITE")
    incoming.answer(
        200, fields=[f"Contact: <{bob.contact}>", "Record-Route: <sip:192.0.2.1>, <sip:r@192.0.2.1;lr>"]
    )
    assert call.wait().status == 200
    call.dialog.routes = ("<sip:192.0.2.9>", "<sip:r@192.0.2.1;lr>")
    exchange = call.dialog.begin("INFO")
    sent = exchange.requests[0].decode()
    assert sent.startswith("INFO sip:192.0.2.9 SIP/2.0\r\n")
    assert f"Route: <sip:r@192.0.2.1;lr>\r\nRoute: <{bob.contact}>\r\n" in sent


def test_a_2xx_comes_again_until_the_ack_does(server: Server, alice: Phone, bob: Phone) -> None:
    stop = server.network.lose_while(lambda one: one.data.startswith(b"ACK "))
    call = alice.call(BOB)
    theirs = bob.next_request("INVITE").accept()
    server.advance(6)
    assert not theirs.acks
    assert [one.status for one in call.responses].count(200) == 4  # at 0, 0.5, 1.5, 3.5 s
    stop()
    server.advance(2)
    assert theirs.acked
    assert len(theirs.acks) == 1


def test_it_ends_when_no_ack_comes(server: Server, alice: Phone, bob: Phone) -> None:
    _ = server.network.lose_while(lambda one: one.data.startswith(b"ACK "))
    call = alice.call(BOB)
    theirs = bob.next_request("INVITE").accept()
    server.advance(32)  # 64*T1
    before = len(server.network.wire)
    server.advance(100)
    assert len(server.network.wire) == before
    assert not theirs.acked
    assert call.dialog.confirmed


def test_the_ack_may_have_the_session_description(server: Server, alice: Phone, bob: Phone) -> None:
    call = alice.call(BOB, body=b"")
    call.ack_body = b"v=0\r\n"
    incoming = bob.next_request("INVITE")
    assert (incoming.request.body, incoming.request.all("content-type")) == (b"", [])
    theirs = incoming.accept(body=b"v=0\r\ns=offer\r\n", fields=["Content-Type: application/sdp"])
    assert call.wait().body == b"v=0\r\ns=offer\r\n"
    server.settle()
    assert [ack.body for ack in theirs.acks] == [b"v=0\r\n"]


def test_refusals_and_redirections(server: Server, alice: Phone, bob: Phone) -> None:
    bob.answering["INVITE"] = lambda incoming: incoming.reject(486, fields=["Retry-After: 5"])
    answer = alice.call(BOB).wait()
    assert (answer.status, answer.reason, answer.all("retry-after")) == (486, "Busy Here", ["5"])
    bob.answering["INVITE"] = lambda incoming: incoming.redirect("sip:b@example.net", "<sip:c@d>;q=0.2")
    answer = alice.call(BOB).wait()
    assert [str(one) for one in answer.contacts] == ["<sip:b@example.net>", "<sip:c@d>;q=0.2"]
    assert server.expect(alice, 302) is answer


def test_cancel(server: Server, alice: Phone, bob: Phone) -> None:
    call = alice.call(BOB)
    call.cancel("SIP;cause=600")
    assert call.wait().status == 487
    assert call.cancelled is not None
    (incoming,) = bob.requests
    assert incoming.cancelled
    assert incoming.answered
    with pytest.raises(RuntimeError, match="has had its final answer"):
        call.cancel()
    with pytest.raises(RuntimeError, match="was answered before"):
        incoming.accept()


def test_cancel_may_be_taken_otherwise(server: Server, alice: Phone, bob: Phone) -> None:
    bob.answering["CANCEL"] = Incoming.accept
    call = alice.call(BOB)
    bob.next_request("INVITE").ring()
    server.settle()
    call.cancel()
    assert call.wait().status == 200


def test_what_never_comes(server: Server, alice: Phone, bob: Phone) -> None:
    call = alice.call(BOB)
    with pytest.raises(AssertionError, match="heard no 180 within 3 s") as caught:
        _ = call.wait_for(180, 3)
    assert "INVITE sip:bob@example.com" in "\n".join(caught.value.__notes__)


def test_a_subscription(server: Server, alice: Phone, bob: Phone) -> None:
    subscription = alice.subscribe(BOB, "dialog", expires=60, fields=["Accept: a/b"])
    incoming = bob.next_request("SUBSCRIBE")
    assert (incoming.request.all("event"), incoming.request.expires) == (["dialog"], 60)
    theirs = incoming.accept(fields=["Expires: 60"])
    assert subscription.wait().status == 200
    notify = theirs.begin("NOTIFY", fields=["Event: dialog", "Subscription-State: active"])
    came = alice.next_request("NOTIFY")
    assert came.dialog is subscription.dialog
    came.answer(200)
    assert notify.wait().status == 200


def test_a_message(server: Server, alice: Phone, bob: Phone) -> None:
    bob.answering["MESSAGE"] = Incoming.answer
    assert alice.message(BOB, "hello", fields=["Subject: x"]).status == 200
    (request,) = requests(bob, "MESSAGE")
    assert (request.body, request.all("subject")) == (b"hello", ["x"])


def test_who_it_says_that_it_is(server: Server, alice: Phone, bob: Phone) -> None:
    bob.answering["INVITE"] = Incoming.reject
    eve = server.phone("sip:eve@example.net")
    call = eve.call(BOB, to="sip:b@example.net", from_="sip:e@example.net", call_id="mine")
    assert call.wait().status == 486
    (request,) = requests(bob, "INVITE")
    assert (request.to.uri_text, request.from_.uri_text, request.call_id) == (
        "sip:b@example.net",
        "sip:e@example.net",
        "mine",
    )


def test_credentials_for_a_registrar_are_for_it_alone(server: Server, alice: Phone, bob: Phone) -> None:
    # RFC 3261 22.1: by To and realm; only a proxy's are for whatever goes by it.
    bob.answering["MESSAGE"] = Incoming.answer
    assert alice.register().status == 200
    assert alice.message(BOB, "x").status == 200
    assert requests(bob, "MESSAGE")[0].all("authorization") == []
    assert alice.refresh().status == 200


def test_what_belongs_to_nothing(server: Server, alice: Phone, bob: Phone) -> None:
    bob.answering["INVITE"] = Incoming.accept
    call = alice.call(BOB)
    assert call.wait().status == 200
    (theirs,) = bob.dialogs
    (ack,) = theirs.acks
    late = next(one for one in alice.received if isinstance(one, Response) and one.status == 200)
    server.advance(40)
    data = late.to_bytes().replace(b"branch=z9hG4bK", b"branch=z9hG4bKother")
    server.network.send_datagram(alice.flow.peer, alice.flow.local, data)
    stray = ack.to_bytes().replace(theirs.local_tag.encode(), b"nobody")
    server.network.send_datagram(bob.flow.peer, bob.flow.local, stray.replace(b"z9hG4bK", b"z9hG4bKx"))
    server.settle()
    assert [one.status for one in alice.strays] == [200]
    assert [one.to.tag for one in bob.acks] == ["nobody"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_behind_a_nat(server: Server, bob: Phone, transport: str) -> None:
    alice = server.phone(ALICE, password="secret", transport=transport, private="10.1.2.3")
    assert alice.register().status == 200
    assert alice.contact.startswith("sip:alice@10.1.2.3:")
    bob.answering["INVITE"] = Incoming.accept
    call = alice.call(BOB)
    assert call.wait().status == 200
    (request,) = requests(bob, "INVITE")
    via = request.vias[1]
    assert (via.host, via.received) == ("10.1.2.3", alice.host)
    assert b"c=IN IP4 10.1.2.3\r\n" in request.body
    assert call.bye().status == 200


def test_a_nat_lets_in_whom_it_knows(server: Server, bob: Phone) -> None:
    alice = server.phone(ALICE, password="secret", private="10.1.2.3")
    assert alice.register().status == 200
    before = len(alice.malformed)
    server.network.send_datagram(bob.flow.local, alice.flow.local, b"nonsense")
    server.settle()
    assert len(alice.malformed) == before
    server.network.send_datagram(alice.flow.peer, alice.flow.local, b"nonsense")
    server.settle()
    assert len(alice.malformed) == before + 1


def lanes(drawn: str) -> list[str]:
    return drawn.splitlines()[2].split()


def test_the_ladder_has_the_server_in_the_middle(server: Server, alice: Phone, bob: Phone) -> None:
    assert lanes(server.ladder()) == ["bob", "server"]  # it has registered, and that is all
    bob.answering["INVITE"] = Incoming.accept
    call = alice.call(BOB)
    assert call.wait().status == 200
    assert lanes(server.ladder()) == ["alice", "server", "bob"]
    (theirs,) = bob.dialogs
    assert theirs.bye().status == 200
    drawn = server.ladder()
    assert lanes(drawn) == ["alice", "server", "bob"]
    assert "Contact" not in drawn[drawn.index("180") if "180" in drawn else drawn.index("INVITE") :]


def test_several_servers_in_a_ladder(server: Server) -> None:
    host = "192.0.2.2"
    listen = (ListenAddress.parse(f"udp:5060:interface={host}"),)
    network = server.network
    network.hosts["example.org"] = host
    with Server(
        users={"carol": "c"}, network=network, host=host, domains=("example.org",), listen=listen
    ) as other:
        carol = other.phone("sip:carol@example.org", password="c")
        assert carol.register().status == 200
        alice = server.phone(ALICE, password="secret")
        call = alice.call("sip:carol@example.org")
        incoming = carol.next_request("INVITE")
        incoming.ring()
        theirs = incoming.accept()
        assert call.wait().status == 200
        assert call.bye().status == 200
        assert theirs.ended
        assert lanes(server.ladder()) == ["alice", "server", "example.org", "carol"]
        assert lanes(other.ladder(carol)) == ["example.org", "carol"]
