"""Several targets, and what becomes of them, in the whole server (RFC 3261 16.5 to 16.7, RFC 5393, RFC 5630)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.names.dns import Record_SRV

from sipframe.message import Response
from sipframe.policy import BasePolicy
from sipframe.proxy import ProxySettings
from sipframe.testing import Incoming, Phone, Server
from sipframe.verdicts import Routing, Target
from tests.proxy.whole import (
    ALICE,
    BOB,
    CAROL,
    answered,
    asked,
    decision,
    registered,
    sent_to,
    serving,
)

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def both(server: Server) -> tuple[Phone, Phone, Phone]:
    """Alice and two phones of Bob's."""
    alice, one, other = registered(server, "alice", "bob", "bob")
    return alice, one, other


def ringing(*phones: Phone) -> list[Incoming]:
    found = [asked(phone) for phone in phones]
    for incoming in found:
        incoming.ring()
    phones[0].pass_time(lambda: True, 0)
    return found


# Several at once.


def test_two_ring_and_one_answers(server: Server) -> None:
    alice, desk, mobile = both(server)
    call = alice.call(BOB)
    first, second = ringing(desk, mobile)
    assert len(call.dialogs) == 2
    server.advance(5)
    theirs = second.accept()
    assert call.wait(0).status == 200
    server.settle()
    assert first.cancel is not None
    assert first.cancel.all("reason") == [ELSEWHERE]
    assert theirs.acked
    assert [one.status for one in call.responses] == [407, 180, 180, 200]
    assert call.bye().status == 200
    assert decision(server).status == 200


def test_both_answer(server: Server) -> None:
    # RFC 3261 16.7 step 5: every 2xx goes back, and the caller has two dialogs (13.2.2.4).
    alice, desk, mobile = both(server)
    mobile.answering["CANCEL"] = lambda one: None
    call = alice.call(BOB)
    first, second = ringing(desk, mobile)
    one = first.accept()
    server.advance(1)
    other = second.accept()
    server.settle()
    assert [answer.status for answer in call.responses].count(200) == 2
    assert one.acked
    assert other.acked
    mine = [dialog for dialog in call.dialogs if dialog.confirmed]
    assert len(mine) == 2
    assert mine[1].bye().status == 200
    assert other.ended
    assert not one.ended
    assert one.bye().status == 200


def test_both_answer_at_once(server: Server) -> None:
    alice, desk, mobile = both(server)
    call = alice.call(BOB)
    first, second = ringing(desk, mobile)
    one, other = first.accept(), second.accept()
    server.settle()
    assert len([dialog for dialog in call.dialogs if dialog.confirmed]) == 2
    assert one.acked
    assert other.acked


def test_one_is_busy_and_the_other_answers(server: Server) -> None:
    alice, desk, mobile = both(server)
    call = alice.call(BOB)
    asked(desk).reject(486)
    server.advance(3)
    assert not call.exchange.done
    _ = answered(call, mobile)


def test_the_best_of_two_refusals(server: Server) -> None:
    alice, desk, mobile = both(server)
    call = alice.call(BOB)
    asked(desk).reject(503)
    asked(mobile).reject(486)
    assert call.wait(0).status == 486


def test_6xx_ends_all(server: Server) -> None:
    alice, desk, mobile = both(server)
    call = alice.call(BOB)
    first, second = ringing(desk, mobile)
    second.reject(603)
    assert call.wait(0).status == 603
    server.settle()
    assert first.cancel is not None
    assert first.cancel.all("reason") == ['SIP;cause=603;text="Decline"']  # it is a call that was missed
    assert first.answered


def test_a_cancel_goes_to_all(server: Server) -> None:
    alice, desk, mobile = both(server)
    call = alice.call(BOB)
    first, second = ringing(desk, mobile)
    call.cancel()
    assert call.wait(0).status == 487
    assert [one.cancel.all("reason") for one in (first, second) if one.cancel] == [[], []]


def test_challenges_of_all_branches_go_back_together(server: Server) -> None:
    alice, desk, mobile = both(server)
    call = alice.call(BOB)
    asked(desk).reject(401, fields=['WWW-Authenticate: Digest realm="desk", nonce="1"'])
    asked(mobile).reject(407, fields=['Proxy-Authenticate: Digest realm="mobile", nonce="2"'])
    server.settle()
    answer = next(one for one in call.responses[1:] if one.status in (401, 407))
    assert len(answer.all("www-authenticate")) == 1
    assert len(answer.all("proxy-authenticate")) == 1


def test_a_dead_branch_never_fails_the_fork(server: Server) -> None:
    alice, desk, mobile = both(server)
    desk.flow.close()
    call = alice.call(BOB)
    theirs = answered(call, mobile)
    server.advance(40)
    assert [one.status for one in call.responses].count(200) == 1
    assert theirs.bye().status == 200


def test_a_lost_connection_never_fails_the_fork(server: Server) -> None:
    (alice, desk) = registered(server, "alice", "bob")
    (mobile,) = registered(server, "bob", transport="tcp")
    call = alice.call(BOB)
    first, _ = ringing(desk, mobile)
    mobile.flow.reset()
    server.advance(5)
    assert not call.exchange.done
    first.accept()
    assert call.wait(0).status == 200


def test_a_contact_that_cannot_be_reached_never_fails_the_fork(server: Server) -> None:
    alice, desk = registered(server, "alice", "bob")
    other = server.phone(BOB, password="b")
    for contact in (
        "sip:bob@nowhere.example.net",  # no such name
        "sip:bob@203.0.113.9;transport=tcp",  # nobody listens
        "sip:bob@203.0.113.9;transport=sctp",  # not spoken here
        "mailto:bob@example.com",  # never proxied
        "sips:bob@203.0.113.9",
    ):
        assert other.register(contact).status == 200
    call = alice.call(BOB)
    _ = answered(call, desk)
    assert "mailto:bob@example.com left out: it is no SIP URI" in str(decision(server).steps)


def test_a_dead_flow_is_left_out(server: Server) -> None:
    alice, desk = registered(server, "alice", "bob")
    (mobile,) = registered(server, "bob", transport="tcp", private="10.0.0.9")
    mobile.flow.close()
    server.settle()
    call = alice.call(BOB)
    asked(desk).reject(486)
    assert call.wait(0).status == 486
    assert "its connection is gone" in str(decision(server).steps)


# One after the other.


def test_serial_by_q(server: Server) -> None:
    alice, desk, mobile, *_ = registered(server, "alice", "bob", "bob")
    (mail,) = registered(server, "bob")
    assert desk.register(f"<{desk.contact}>;q=0.9").status == 200
    assert mobile.register(f"<{mobile.contact}>;q=0.5").status == 200
    assert mail.register(f"<{mail.contact}>;q=0.5").status == 200
    call = alice.call(BOB)
    incoming = asked(desk)
    incoming.ring()
    server.advance(10)
    assert not mobile.requests
    incoming.reject(486)
    server.settle()
    second, third = ringing(mobile, mail)  # a group rings together
    second.reject(480)
    third.accept()
    assert call.wait(0).status == 200
    assert call.bye().status == 200


def test_nothing_further_is_tried_after_a_cancel(server: Server) -> None:
    alice, desk, mobile = both(server)
    assert desk.register(f"<{desk.contact}>;q=0.9").status == 200
    assert mobile.register(f"<{mobile.contact}>;q=0.5").status == 200
    call = alice.call(BOB)
    ringing(desk)
    call.cancel()
    assert call.wait(0).status == 487
    server.advance(5)
    assert not mobile.requests


# Redirections.


def test_a_redirection_is_passed_back(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    call = alice.call(BOB)
    asked(bob).redirect(CAROL, "sip:carol@example.net")
    answer = call.wait(0)
    assert answer.status == 302
    assert [one.uri_text for one in answer.contacts] == [CAROL, "sip:carol@example.net"]


def test_a_redirection_is_followed() -> None:
    with serving(proxy=ProxySettings(recurse=True)) as server:
        bob, carol = registered(server, "bob", "carol")
        call = stranger(server).call(BOB)
        asked(bob).redirect(CAROL)
        # To a user of ours: the request comes to us again, and finds where she is.
        theirs = answered(call, carol)
        assert theirs.bye().status == 200
        assert [one.status for one in call.responses] == [180, 200]


def test_a_redirection_to_itself_ends() -> None:
    with serving(proxy=ProxySettings(recurse=True)) as server:
        alice, bob = registered(server, "alice", "bob")
        call = alice.call(BOB)
        asked(bob).redirect(bob.contact)
        assert call.wait(0).status == 480


# Loops, spirals, and the attack of RFC 5393.


class Forwarding(BasePolicy):
    """Sends calls for some users to others."""

    def __init__(self, **places: tuple[str, ...]) -> None:
        self.places = places

    def route(self, request: object, identity: object, routing: Routing) -> object:
        user = routing.aor.partition(":")[2].partition("@")[0]
        uris = self.places.get(user)
        return routing if uris is None else routing._replace(targets=tuple([Target(uri) for uri in uris]))


def stranger(server: Server) -> Phone:
    """Somebody from elsewhere, who may call users of ours without a proof."""
    return server.phone("sip:eve@example.net")


def test_a_spiral_is_none() -> None:
    # RFC 3261 16.3: the request is here again, with another Request-URI.
    with serving(policies=[Forwarding(carol=(BOB,))]) as server:
        (bob,) = registered(server, "bob")
        call = stranger(server).call(CAROL)
        theirs = answered(call, bob)
        assert len(sent_to(bob, "INVITE")[0].vias) == 3
        bob.answering["INFO"] = lambda one: one.answer(200)
        assert call.request("INFO").status == 200
        assert theirs.bye().status == 200


def test_a_spiral_of_a_user_of_ours_needs_no_second_proof() -> None:
    settings = ProxySettings(recurse=True)
    with serving(policies=[Forwarding(carol=(BOB,))], proxy=settings) as server:
        alice, bob = registered(server, "alice", "bob")
        call = alice.call(CAROL)
        theirs = answered(call, bob)
        assert [one.status for one in call.responses].count(407) == 1
        assert theirs.bye().status == 200
        (carol,) = registered(server, "carol")
        call = alice.call(BOB)
        asked(bob).redirect("sip:carol@example.com;moved=1")
        asked(bob).reject(486)  # Carol's calls go to Bob
        assert call.wait(0).status == 486
        assert not carol.requests


def test_who_has_got_a_copy_cannot_use_it_for_another_request() -> None:
    # What tells a spiral is the branch, and each callee knows the one of the copy that it has got.
    with serving() as server:
        alice, bob = registered(server, "alice", "bob")
        call = alice.call(BOB)
        copy = asked(bob).request.to_bytes()
        head, _, rest = copy.partition(b"\r\n")
        assert head.startswith(b"INVITE sip:bob@")
        bob.send(b"INVITE " + CAROL.encode() + b" SIP/2.0\r\n" + rest)
        answers = [one.status for one in bob.received if isinstance(one, Response)]
        assert answers[-1] == 407
        call.cancel()


def test_who_has_got_a_copy_cannot_send_it_back_and_be_taken_for_its_sender() -> None:
    # What would be recorded for it would name the callee's flow, as one that Alice's requests come by.
    with serving() as server:
        _, bob = registered(server, "alice", "bob")
        call = server.phones[0].call(BOB)
        copy = asked(bob).request.to_bytes()
        bob.send(copy)
        answers = [one.status for one in bob.received if isinstance(one, Response)]
        assert answers[-1] == 407
        assert len(sent_to(bob, "INVITE")) == 1
        call.cancel()


def test_a_loop_ends() -> None:
    with serving(policies=[Forwarding(bob=(CAROL,), carol=(BOB,))]) as server:
        call = stranger(server).call(BOB)
        assert call.wait(5).status == 482
        ours = [one for one in server.network.wire if one.source == one.target and one.data[:6] == b"INVITE"]
        assert len(ours) <= 3


def test_the_attack_of_rfc_5393_stays_linear() -> None:
    # RFC 5393 3: two AORs, each of which forks to both. Unchecked that is 2**70 requests.
    policy = Forwarding(bob=(BOB + ";x=1", CAROL + ";x=2"), carol=(BOB + ";x=3", CAROL + ";x=4"))
    with serving(policies=[policy], proxy=ProxySettings(max_breadth=60)) as server:
        call = stranger(server).call(BOB)
        assert call.wait(60).status in (440, 482, 483)
        counters = server.service.proxy_counters
        assert counters is not None
        assert counters.forwarded < 100


def test_the_attack_by_registrations() -> None:
    with serving() as server:
        bob, carol = registered(server, "bob", "carol")
        for number, phone in enumerate((bob, carol)):
            _ = phone.unregister_all()
            answer = phone.register(f"{BOB};n={number}", f"{CAROL};n={number}")
            assert answer.status in (200, 403)
        call = stranger(server).call(BOB)
        assert call.wait(60).status >= 400
        counters = server.service.proxy_counters
        assert counters is not None
        assert counters.forwarded < 100


def test_max_breadth(server: Server) -> None:
    # RFC 5393 5.3.3: with room for one, the two are tried one after the other.
    alice, desk, mobile = both(server)
    call = alice.call(BOB, fields=["Max-Breadth: 1"])
    first, second = sorted((desk, mobile), key=lambda phone: not sent_to(phone, "INVITE"))
    incoming = asked(first)
    assert incoming.request.all("max-breadth") == ["1"]
    assert not second.requests
    incoming.reject(486)
    asked(second).reject(486)
    assert call.wait(0).status == 486
    assert alice.call(BOB, fields=["Max-Breadth: 0"]).wait(0).status == 440


def test_breadth_is_shared(server: Server) -> None:
    alice, desk, mobile = both(server)
    call = alice.call(BOB, fields=["Max-Breadth: 7"])
    found = [int(asked(phone).request.all("max-breadth")[0]) for phone in (desk, mobile)]
    assert sorted(found) == [3, 4]
    call.cancel()


# sips (RFC 5630).


@pytest.fixture
def secure() -> Iterator[Server]:
    with serving("udp", "tcp", "tls") as server:
        yield server


SIPS_BOB = "sips:bob@example.com"


def test_a_sips_call_goes_to_sips_contacts_alone(secure: Server) -> None:
    (desk,) = registered(secure, "bob")
    bob = secure.phone(SIPS_BOB, password="b", transport="tls")
    alice = secure.phone("sips:alice@example.com", password="a", transport="tls")
    assert bob.register().status == alice.register().status == 200
    call = alice.call(SIPS_BOB)
    theirs = answered(call, bob)
    assert not desk.requests
    assert all(route.startswith("<sips:") for route in theirs.routes)
    assert theirs.bye().status == 200


def test_a_sips_call_to_someone_who_has_none(secure: Server) -> None:
    # RFC 5630 5.3
    _ = registered(secure, "bob")
    alice = secure.phone("sips:alice@example.com", password="a", transport="tls")
    answer = alice.call(SIPS_BOB).wait(0)
    assert answer.status == 480
    assert answer.all("warning") == ['380 192.0.2.1:5061 "SIPS Not Allowed"']


def test_a_sips_contact_is_called_by_sip_over_tls(secure: Server) -> None:
    # RFC 5630 5.3
    (alice,) = registered(secure, "alice")
    bob = secure.phone(SIPS_BOB, password="b", transport="tls")
    assert bob.register().status == 200
    call = alice.call(BOB)
    incoming = asked(bob)
    assert incoming.request.uri_text.startswith("sip:bob@")
    assert incoming.flow.secure
    incoming.accept()
    assert call.wait(0).status == 200
    assert call.bye().status == 200


def test_sips_over_udp_is_refused(secure: Server) -> None:
    (alice,) = registered(secure, "alice")
    bob = secure.phone(SIPS_BOB, password="b", transport="tls")
    assert bob.register().status == 200
    call = alice.call(SIPS_BOB)
    secure.settle()
    assert all(one.request.uri_text.startswith("sips:") for one in bob.requests)
    for one in bob.requests:
        assert one.flow.secure
        one.reject(486)
    assert call.wait(0).status in (403, 416, 480, 486)


# Places elsewhere.


def test_to_another_domain_by_srv() -> None:
    with serving() as server:
        (alice,) = registered(server, "alice")
        gateway = server.phone("sip:gw@example.net")
        _ = gateway.flow
        server.network.hosts["gw.example.net"] = gateway.host
        server.network.records["_sip._udp.example.net"] = [Record_SRV(1, 1, 5060, "gw.example.net")]
        call = alice.call("sip:1234@example.net")
        incoming = asked(gateway)
        assert incoming.request.uri_text == "sip:1234@example.net"
        incoming.accept()
        assert call.wait(0).status == 200
        assert call.bye().status == 200


def test_failover_to_the_second_server() -> None:
    with serving() as server:
        (alice,) = registered(server, "alice")
        gateway = server.phone("sip:gw@example.net")
        _ = gateway.flow
        server.network.hosts["gw1.example.net"] = "203.0.113.7"
        server.network.hosts["gw2.example.net"] = gateway.host
        server.network.records["_sip._udp.example.net"] = [
            Record_SRV(1, 1, 5060, "gw1.example.net"),
            Record_SRV(2, 1, 5060, "gw2.example.net"),
        ]
        call = alice.call("sip:1234@example.net")
        incoming = asked(gateway, within=33)
        incoming.reject(486)
        assert call.wait(0).status == 486
        # It is remembered (RFC 3263 4.3).
        call = alice.call("sip:1234@example.net")
        asked(gateway).reject(486)
        assert call.wait(0).status == 486


def test_alice_forks_to_herself_alone() -> None:
    with serving() as server:
        alice, other = registered(server, "alice", "alice")
        call = alice.call(ALICE)
        ringing(alice, other)[1].accept()
        assert call.wait(0).status == 200
        assert call.bye().status == 200
