"""Settings of the proxy that are taken into use while calls are under way: each call ends with what it began with."""

from __future__ import annotations

from typing import Any

import attrs

from sipframe.running import RELOADED
from sipframe.testing import Server
from tests.proxy.whole import BOB, asked, registered, serving


def reload(server: Server, **proxy: Any) -> None:
    service = server.service
    settings = attrs.evolve(service.settings, proxy=attrs.evolve(service.settings.proxy, **proxy))
    assert service.reload(settings) == ()


def test_the_proxy_is_among_what_is_reloaded() -> None:
    assert "proxy" in RELOADED


def test_strangers_are_let_in_and_shut_out() -> None:
    with serving() as server:
        [bob] = registered(server, "bob")
        eve = server.phone("sip:eve@example.net")
        for strangers, status in (("refuse", 403), ("authenticate", 407), ("pass", 200)):
            reload(server, strangers=strangers)
            asking = eve.begin("MESSAGE", BOB)
            server.settle()
            if status == 200:
                bob.next_request("MESSAGE").answer(200)
            assert asking.wait().status == status


def test_a_server_that_is_no_proxy_any_more() -> None:
    with serving() as server:
        alice, bob = registered(server, "alice", "bob")
        call = alice.call(BOB)
        dialog = asked(bob, "INVITE").accept()
        assert call.wait().status == 200
        ringing = alice.call(BOB)
        incoming = asked(bob, "INVITE")
        reload(server, enabled=False)
        # What rings goes on; what comes is not forwarded, not even in a dialog.
        incoming.reject(486)
        assert ringing.wait().status == 486
        assert alice.call(BOB).wait().status == 405
        assert call.bye().status == 405
        assert not dialog.ended
        reload(server, enabled=True)
        # Its Routes are as good as before.
        hanging_up = dialog.begin_bye()
        assert hanging_up.wait().status == 200


def test_timer_c_is_that_of_when_a_call_began() -> None:
    with serving() as server:
        alice, bob = registered(server, "alice", "bob")
        before = alice.call(BOB)
        asked(bob, "INVITE").ring()
        reload(server, timer_c=300.0)
        after = alice.call(BOB)
        asked(bob, "INVITE").ring()
        server.advance(186)
        assert [call.answer is not None for call in (before, after)] == [True, False]
        server.advance(115)
        # The phone that rang for too long has answered the CANCEL.
        assert [call.wait(0.0).status for call in (before, after)] == [487, 487]


def test_record_route_and_where_it_stands_in_front_of() -> None:
    with serving() as server:
        [bob] = registered(server, "bob")
        eve = server.phone("sip:eve@example.net")
        reload(server, record_route=False)
        call = eve.call(BOB)
        incoming = asked(bob, "INVITE")
        assert incoming.request.all("record-route") == []
        incoming.reject(486)
        assert call.wait().status == 486
        server.network.hosts["corp.example.org"] = "203.0.113.9"
        corp = server.phone("sip:carol@corp.example.org", host="203.0.113.9")
        _ = corp.connect()
        assert eve.request("MESSAGE", corp.aor).status == 407
        reload(server, relay_to=("corp.example.org",))
        asking = eve.begin("MESSAGE", corp.aor)
        asked(corp, "MESSAGE").answer(200)
        assert asking.wait().status == 200
