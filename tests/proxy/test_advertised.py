"""A server that is known by other addresses than its own: behind a NAT, or by the name in its certificate."""

from __future__ import annotations

from sipframe.message import Request, SipURI
from sipframe.testing import Server
from sipframe.transport import ListenAddress
from tests.proxy.whole import BOB, USERS, asked, at_rest, registered

LISTEN = (
    ListenAddress.parse("udp:5060:interface=192.0.2.1:advertise=203.0.113.7:5070"),
    ListenAddress.parse("tcp:5060:interface=192.0.2.1:advertise=sip.example.com"),
)


def routes(request: Request) -> list[tuple[str, int | None]]:
    uris = [one.uri for one in request.record_routes]
    return [(uri.host, uri.port) for uri in uris if isinstance(uri, SipURI)]


def test_a_call_goes_by_what_is_advertised() -> None:
    with Server(users=USERS, listen=LISTEN) as server:
        (alice,) = registered(server, "alice")
        (bob,) = registered(server, "bob", transport="tcp")
        call = alice.call(BOB)
        incoming = asked(bob)
        via = incoming.request.via
        assert (via.host, via.port) == ("sip.example.com", 5060)
        # RFC 5658: both ends, each as its side knows it.
        assert routes(incoming.request) == [("sip.example.com", 5060), ("203.0.113.7", 5070)]
        theirs = incoming.accept()
        assert call.wait(0).status == 200
        assert call.dialog.acked
        assert theirs.bye().status == 200  # its Routes are ours, whatever they are called
        at_rest(server)


def test_a_route_to_it_is_its_own() -> None:
    with Server(users=USERS, listen=LISTEN) as server:
        alice, bob = registered(server, "alice", "bob")
        answer = alice.begin("MESSAGE", BOB, fields=["Route: <sip:203.0.113.7:5070;lr>"])
        incoming = asked(bob, "MESSAGE")
        assert not incoming.request.all("route")
        incoming.answer(200)
        assert answer.wait(0).status == 200
