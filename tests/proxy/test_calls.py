"""Calls through the whole server: two phones, from the INVITE to the BYE (RFC 3261 16)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from sipframe.message import parse_message
from sipframe.testing import Passage, Phone, Server
from tests.proxy.whole import (
    ALICE,
    BOB,
    answered,
    asked,
    decision,
    registered,
    sent_to,
    serving,
)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


# From the INVITE to the BYE.


@pytest.mark.parametrize(("caller", "callee"), list(product(("udp", "tcp", "tls"), repeat=2)))
def test_a_call_over_each_pair_of_transports(caller: str, callee: str) -> None:
    with serving("udp", "tcp", "tls") as server:
        (alice,) = registered(server, "alice", transport=caller)
        (bob,) = registered(server, "bob", transport=callee)
        call = alice.call(BOB)
        incoming = asked(bob)
        assert incoming.request.body == call.exchange.requests[-1].partition(b"\r\n\r\n")[2]
        assert len(incoming.request.vias) == 2
        assert incoming.request.max_forwards == 69
        incoming.ring()
        assert call.wait_for(180, 0).status == 180
        server.advance(20)
        theirs = incoming.accept()
        assert call.wait(0).status == 200
        server.settle()
        assert theirs.acked
        # Both directions, by what was recorded: two values, since each end is on a flow of its own.
        assert len(theirs.routes) == len(call.dialog.routes) == 2
        bob.answering["INFO"] = alice.answering["INFO"] = lambda one: one.answer(200)
        assert call.request("INFO").status == 200
        assert theirs.request("INFO").status == 200
        assert call.bye().status == 200
        assert theirs.ended
        assert [len(sent_to(phone, "INFO")) for phone in (alice, bob)] == [1, 1]
        assert [alice.strays, bob.strays, alice.acks, bob.acks] == [[], [], [], []]


def test_the_callee_hangs_up(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    call = alice.call(BOB)
    theirs = answered(call, bob)
    assert theirs.bye().status == 200
    assert call.dialog.ended


def test_what_a_call_leaves_in_the_records(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    call = alice.call(BOB)
    _ = answered(call, bob)
    one = decision(server)
    assert (one.status, one.aor, one.uri) == (200, BOB, BOB)
    steps = [(step.asked, step.verdict) for step in one.steps]
    assert steps == [
        ("RFC 3261 16.3 step 6", "Proof"),
        ("Users.secret", "Secret"),
        ("DigestAuthenticator.authenticate", "Accepted"),
        ("MemoryStore.lookup", "Snapshot"),
        ("RFC 3261 16.6", "Forwarded"),
        ("RFC 3261 16.7", "180"),
        ("RFC 3261 16.7", "200"),
    ]
    assert call.bye().status == 200
    bye = decision(server, "BYE")
    assert (bye.status, bye.steps[0].reason) == (
        200,
        "it follows our Route, by the flow that the Route names",
    )


def test_a_busy_callee(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    call = alice.call(BOB)
    asked(bob).reject(486, fields=["Retry-After: 60"])
    answer = call.wait(0)
    assert (answer.status, answer.all("retry-after")) == (486, ["60"])
    assert decision(server).status == 486
    # Hop by hop: one ACK for each side.
    assert len(sent_to(bob, "ACK")) == 1


def test_the_ack_for_a_challenge_is_absorbed(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    call = alice.call(BOB)
    server.settle()
    counters = server.service.proxy_counters
    assert counters is not None
    assert [one.status for one in call.responses][:1] == [407]
    assert (counters.acks, counters.acks_dropped) == (0, 0)
    assert not sent_to(bob, "ACK")
    asked(bob).reject(603)
    assert call.wait(0).status == 603


def test_nobody_is_registered(server: Server) -> None:
    (alice,) = registered(server, "alice")
    assert alice.call(BOB).wait(0).status == 480
    assert alice.call("sip:nobody@example.com").wait(0).status == 480


def test_a_name_without_a_user_part_is_the_server_itself(server: Server) -> None:
    (alice,) = registered(server, "alice")
    assert alice.call("sip:example.com").wait(0).status == 405


# No answer.


def test_a_callee_that_is_gone_408(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    bob.flow.close()
    call = alice.call(BOB)
    began = server.now()
    assert call.wait(40).status == 408
    assert 32 <= server.now() - began < 33
    assert [one.status for one in call.responses] == [407, 100, 408]


def test_timer_c(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    call = alice.call(BOB)
    incoming = asked(bob)
    incoming.ring()
    bob.answering["CANCEL"] = lambda one: None  # it never gives an answer to the INVITE
    server.advance(184)
    assert not sent_to(bob, "CANCEL")
    server.advance(2)
    assert sent_to(bob, "CANCEL")
    assert not call.exchange.done
    assert call.wait(33).status == 487  # RFC 3261 9.1: 64*T1 later it counts as cancelled
    incoming.reject(487)


def test_timer_c_and_a_callee_that_obeys(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    call = alice.call(BOB)
    incoming = asked(bob)
    incoming.ring()
    server.advance(100)
    incoming.ring(183)  # RFC 3261 16.7 step 2: it starts again
    server.advance(184)
    assert not sent_to(bob, "CANCEL")
    assert call.wait(5).status == 487
    assert incoming.cancel is not None
    assert not incoming.cancel.all("reason")


def test_a_request_that_is_no_invite_gets_no_408(server: Server) -> None:
    # RFC 4320 4.2
    alice, bob = registered(server, "alice", "bob", transport="udp")
    bob.flow.close()
    exchange = alice.begin("MESSAGE", BOB, body=b"hello")
    server.advance(64)
    assert exchange.failure == "timed out"
    assert {one.status for one in exchange.responses} <= {100, 407}


# Hanging up before there is an answer.


def test_cancel(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    call = alice.call(BOB)
    incoming = asked(bob)
    incoming.ring()
    server.settle()
    call.cancel('SIP;cause=200;text="Changed my mind"')
    assert call.wait(0).status == 487
    assert call.cancelled is not None
    assert call.cancelled.status == 200
    assert incoming.cancelled
    assert incoming.cancel is not None
    assert incoming.cancel.all("reason") == ['SIP;cause=200;text="Changed my mind"']
    assert ("RFC 3261 16.10", "Cancelled") in [(step.asked, step.verdict) for step in decision(server).steps]


def test_cancel_before_the_callee_has_said_anything(server: Server) -> None:
    # RFC 3261 9.1: the CANCEL waits for a provisional response.
    alice, bob = registered(server, "alice", "bob")
    server.network.lose_next(containing=b"INVITE sip:bob@198")
    call = alice.call(BOB)
    call.cancel()
    server.advance(0.3)
    assert [one.status for one in call.responses] == [407, 100]
    assert call.cancelled is not None
    assert not call.exchange.done
    incoming = asked(bob, within=1)
    assert not sent_to(bob, "CANCEL")
    incoming.ring()
    server.settle()
    assert incoming.cancelled
    assert call.wait(0).status == 487


def test_cancel_and_200_cross(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    bob.answering["CANCEL"] = lambda one: one.accept()
    call = alice.call(BOB)
    asked(bob).ring()
    server.settle()
    call.cancel()
    assert call.wait(0).status == 200  # RFC 3261 9.1: the call stands, and the caller may hang up
    assert call.bye().status == 200


def test_a_cancel_for_nothing(server: Server) -> None:
    alice, _ = registered(server, "alice", "bob")
    assert alice.request("CANCEL", BOB).status == 481


def test_the_caller_is_gone_while_it_rings(server: Server) -> None:
    (alice,) = registered(server, "alice", transport="tcp")
    (bob,) = registered(server, "bob")
    _ = alice.call(BOB)
    incoming = asked(bob)
    incoming.ring()
    server.settle()
    alice.flow.reset()
    server.settle()
    assert incoming.cancelled
    assert incoming.answered


def test_the_callee_is_gone_while_it_rings(server: Server) -> None:
    (alice,) = registered(server, "alice")
    (bob,) = registered(server, "bob", transport="tcp")
    call = alice.call(BOB)
    asked(bob).ring()
    server.settle()
    bob.flow.reset()
    assert call.wait(0).status == 500  # RFC 3261 16.9: as if by 503, which goes no further (16.7 step 6)


# Losses.


def test_every_message_may_be_lost_once(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    seen: set[object] = set()

    def first_time(passage: Passage) -> bool:
        message = parse_message(passage.data)
        line = message.start_line
        what = (passage.source, line, message.cseq)
        known = what in seen
        seen.add(what)
        return not known

    stop = server.network.lose_while(first_time)
    call = alice.call(BOB)
    theirs = asked(bob, within=10).accept()
    assert call.wait(20).status == 200
    bob.pass_time(lambda: theirs.acked, 20)
    assert theirs.acked
    assert theirs.bye().status == 200
    stop()
    assert len(bob.dialogs) == len(alice.dialogs) == 1
    assert [one.method for one in theirs.requests] == []


def test_a_2xx_that_comes_again_goes_the_same_way(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    stop = server.network.lose_while(lambda one: one.target.host == bob.host and one.data.startswith(b"ACK "))
    call = alice.call(BOB)
    theirs = asked(bob).accept()
    assert call.wait(0).status == 200
    server.advance(1)
    assert not theirs.acks
    stop()
    server.advance(1)
    assert theirs.acked
    assert [one.status for one in call.responses].count(200) == 3
    # RFC 3261 16.11: the same ACK has the same branch each time.
    acks = [one for one in server.network.wire if one.data.startswith(b"ACK sip:bob@198")]
    ours = [
        one.data.partition(b"branch=")[2].partition(b"\r")[0] for one in acks if one.target.host == bob.host
    ]
    assert len(ours) == 3
    assert len(set(ours)) == 1


# Restart.


def test_a_server_that_starts_again_in_the_middle_of_a_call(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    call = alice.call(BOB)
    theirs = answered(call, bob)
    server.crash()
    server.start()
    assert theirs.bye().status == 200  # the secret that signs Routes is kept
    assert call.dialog.ended


def test_a_server_with_another_secret_knows_no_such_route() -> None:
    with serving() as server:
        alice, bob = registered(server, "alice", "bob")
        call = alice.call(BOB)
        theirs = answered(call, bob)
        server.stop()
        for path in server.settings.state.iterdir():
            if "secret" in path.name or "key" in path.name:
                path.unlink()
        server.start()
        bob.password = None
        assert theirs.bye().status == 407  # From is of ours: that is to be proved, a Route proves nothing


# From behind a NAT.


@pytest.mark.parametrize(
    ("caller", "callee"), [("udp", "udp"), ("udp", "tcp"), ("tcp", "udp"), ("tcp", "tcp")]
)
def test_both_behind_nats(server: Server, caller: str, callee: str) -> None:
    (alice,) = registered(server, "alice", transport=caller, private="10.0.0.7")
    (bob,) = registered(server, "bob", transport=callee, private="10.0.0.7")
    assert "@10.0.0.7:" in alice.contact
    call = alice.call(BOB)
    theirs = answered(call, bob)
    assert theirs.target.startswith("sip:alice@10.0.0.7:")
    bob.answering["INFO"] = alice.answering["INFO"] = lambda one: one.answer(200)
    assert call.request("INFO").status == 200
    assert theirs.request("INFO").status == 200
    assert theirs.bye().status == 200
    private = [one for one in server.network.wire if one.target.host.startswith("10.")]
    assert not private


def test_two_behind_one_nat(server: Server) -> None:
    nat = server.network.new_host()
    (alice,) = registered(server, "alice", private="10.0.0.7", host=nat)
    (bob,) = registered(server, "bob", private="10.0.0.8", host=nat)
    call = alice.call(BOB)
    theirs = answered(call, bob)
    assert theirs.bye().status == 200
    assert call.dialog.ended


def test_the_nat_is_where_the_contact_is_not(server: Server) -> None:
    (alice,) = registered(server, "alice")
    (bob,) = registered(server, "bob", transport="tcp", private="10.0.0.7")
    bob.flow.reset()
    server.settle()
    call = alice.call(BOB)
    assert call.wait(0).status == 480  # nobody but its connection could lead there
    assert "its connection is gone" in str(decision(server).steps)


# Phones that know no Contact of their own.


def phones(server: Server) -> tuple[Phone, Phone]:
    alice, bob = registered(server, "alice", "bob")
    return alice, bob


def test_re_invite_both_ways(server: Server) -> None:
    alice, bob = phones(server)
    call = alice.call(BOB)
    theirs = answered(call, bob)
    for ours, phone, other in ((call.dialog, bob, theirs), (theirs, alice, call.dialog)):
        exchange = ours.begin("INVITE")
        incoming = asked(phone)
        assert incoming.dialog is other
        assert incoming.accept() is other
        assert exchange.wait(0).status == 200
        server.settle()
        assert other.acked
    refused = theirs.begin("INVITE")
    asked(alice).reject(488)
    assert refused.wait(0).status == 488
    assert call.bye().status == 200


def test_a_re_invite_moves_the_target(server: Server) -> None:
    # RFC 3665 3.7: the address changes in the middle of the call.
    alice, bob = phones(server)
    call = alice.call(BOB)
    theirs = answered(call, bob)
    old, new = bob.flow, bob.connect()
    exchange = theirs.begin("INVITE")
    asked(alice).accept()
    assert exchange.wait(0).status == 200
    server.settle()
    old.close()
    assert call.dialog.target == bob.contact
    assert new.sent_by in bob.contact
    assert call.bye().status == 200


def test_prack_and_update_pass(server: Server) -> None:
    # RFC 3262, RFC 3311: an early dialog has a route set, too.
    alice, bob = phones(server)
    bob.answering["PRACK"] = bob.answering["UPDATE"] = alice.answering["UPDATE"] = lambda one: one.answer(
        200, fields=[f"Contact: <{one.phone.contact}>"]
    )
    call = alice.call(BOB, fields=["Supported: 100rel"])
    incoming = asked(bob)
    theirs = incoming.ring(183, fields=["Require: 100rel", "RSeq: 1"])
    assert call.wait_for(183, 0).all("rseq") == ["1"]
    (early,) = call.dialogs
    assert early.request("PRACK", fields=[f"RAck: 1 {alice.cseq} INVITE"]).status == 200
    assert early.request("UPDATE").status == 200
    assert theirs.request("UPDATE").status == 200
    incoming.accept()
    assert call.wait(0).status == 200
    assert call.bye().status == 200


# Other methods.


def test_message(server: Server) -> None:
    alice, bob = phones(server)
    bob.answering["MESSAGE"] = lambda one: one.answer(202)
    assert alice.message(BOB, "Grüße").status == 202
    (request,) = sent_to(bob, "MESSAGE")
    assert request.body == "Grüße".encode()
    assert not request.all("record-route")
    assert not request.all("proxy-authorization")


def test_subscribe_and_notify(server: Server) -> None:
    alice, bob = phones(server)
    alice.answering["NOTIFY"] = lambda one: one.answer(200)
    subscription = alice.subscribe(BOB)
    theirs = asked(bob, "SUBSCRIBE").accept(fields=["Expires: 600"])
    assert subscription.wait(0).expires == 600
    assert theirs.request("NOTIFY", fields=["Event: presence", "Subscription-State: active"]).status == 200
    assert theirs.request("NOTIFY", fields=["Event: presence", "Subscription-State: active"]).status == 200
    bob.answering["SUBSCRIBE"] = lambda one: one.accept(fields=["Expires: 0"])
    assert subscription.request("SUBSCRIBE", fields=["Event: presence", "Expires: 0"]).status == 200


def test_a_method_that_nobody_knows(server: Server) -> None:
    alice, bob = phones(server)
    bob.answering["DANCE"] = lambda one: one.answer(501)
    assert alice.request("DANCE", BOB).status == 501


def test_options_for_a_user_and_for_the_server(server: Server) -> None:
    alice, bob = phones(server)
    bob.answering["OPTIONS"] = lambda one: one.answer(200, fields=["Accept: text/plain"])
    assert alice.request("OPTIONS", BOB).all("accept") == ["text/plain"]
    assert alice.request("OPTIONS", "sip:example.com").status == 200
    assert len(sent_to(bob, "OPTIONS")) == 1


def test_a_call_to_oneself(server: Server) -> None:
    (alice,) = registered(server, "alice")
    call = alice.call(ALICE)
    asked(alice).reject(486)
    assert call.wait(0).status == 486
