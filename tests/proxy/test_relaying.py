"""For whom requests are relayed, what goes no further, and plug-ins that do not do their work (RFC 3261 16.3, 16.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

import pytest
from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from sipframe.interfaces import IAuthenticator
from sipframe.location import MemoryStore
from sipframe.message import Response
from sipframe.policy import BasePolicy
from sipframe.proxy import ProxySettings
from sipframe.seams import PluginLimits
from sipframe.testing import Call, Phone, Server
from sipframe.verdicts import Rejected, Routing, Target, Unavailable
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

EVE = "sip:eve@example.net"
GATEWAY = "203.0.113.5"
LIMITS = PluginLimits(deadline=2.0)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def eve(server: Server) -> Phone:
    """Somebody from elsewhere."""
    return server.phone(EVE)


def status(phone: Phone, method: str = "MESSAGE", uri: str = BOB, **more: Any) -> int:
    return phone.request(method, uri, **more).status


# Who may send what to whom.


class Case(NamedTuple):
    """A request of Alice's (a user of ours, who can prove it) or of Eve's, and what is to become of it."""

    name: str
    who: str
    from_: str
    uri: str
    routes: tuple[str, ...]
    status: int


OURS: Final = "<sip:192.0.2.1;lr>"
OTHER: Final = "<sip:203.0.113.9;lr>"

CASES: Final = (
    Case("a user to a user", "alice", ALICE, BOB, (), 200),
    Case("a user to elsewhere", "alice", ALICE, "sip:x@gw.example.org", (), 200),
    Case("a user as somebody else of ours", "alice", CAROL, BOB, (), 403),
    Case("a user as nobody of ours", "alice", "sip:example.com", BOB, (), 403),
    Case("a user as somebody from elsewhere, to elsewhere", "alice", EVE, "sip:x@gw.example.org", (), 200),
    Case("a stranger to a user", "eve", EVE, BOB, (), 200),
    Case("a stranger to elsewhere", "eve", EVE, "sip:x@gw.example.org", (), 407),
    Case("a stranger as one of us", "eve", ALICE, BOB, (), 407),
    Case("a stranger as the domain itself", "eve", "sip:example.com", BOB, (), 407),
    Case("a stranger as one of us, in capitals", "eve", "sip:alice@EXAMPLE.COM", BOB, (), 407),
    Case("a stranger as one of us, with a port", "eve", "sip:alice@example.com:5060", BOB, (), 407),
    Case("a stranger as one of us, by sips", "eve", "sips:alice@example.com", BOB, (), 407),
    Case("a stranger to a user, by us", "eve", EVE, BOB, (OURS,), 200),
    Case("a stranger to elsewhere, by us", "eve", EVE, "sip:x@gw.example.org", (OURS,), 407),
    Case("a stranger to a user, by us and others", "eve", EVE, BOB, (OURS, OTHER), 407),
    Case("a stranger to a user, by others", "eve", EVE, BOB, (OTHER,), 407),
    Case(
        "a stranger by a forged token", "eve", EVE, "sip:x@gw.example.org", ("<sip:AAAA@192.0.2.1;lr>",), 407
    ),
    Case(
        "a stranger by a user part as long as a token",
        "eve",
        EVE,
        "sip:x@gw.example.org",
        (f"<sip:{'A' * 38}@192.0.2.1;lr>",),
        407,
    ),
    Case("a stranger to a user at an address of ours", "eve", EVE, "sip:bob@192.0.2.1", (), 407),
    Case("a stranger to a user, with maddr", "eve", EVE, f"{BOB};maddr={GATEWAY}", (), 404),
    Case("a stranger to a domain below ours", "eve", EVE, "sip:bob@sub.example.com", (), 407),
    Case("a stranger to a domain that ends like ours", "eve", EVE, "sip:bob@notexample.com", (), 407),
    Case("a strict router that is none of ours", "eve", EVE, "sip:x@192.0.2.1", (OTHER,), 407),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_there_is_no_open_relay(server: Server, case: Case) -> None:
    alice, bob = registered(server, "alice", "bob")
    gateway = server.phone("sip:gw@example.org", host=GATEWAY)
    _ = gateway.flow
    server.network.hosts["gw.example.org"] = GATEWAY
    bob.answering["MESSAGE"] = gateway.answering["MESSAGE"] = lambda one: one.answer(200)
    sender = alice if case.who == "alice" else eve(server)
    fields = [f"Route: {route}" for route in case.routes]
    assert status(sender, uri=case.uri, from_=case.from_, fields=fields) == case.status
    reached = len(sent_to(bob, "MESSAGE")) + len(sent_to(gateway, "MESSAGE"))
    assert reached == (case.status == 200)


class Established(NamedTuple):
    """A call from Eve to Bob, who is a user of ours."""

    eve: Phone
    bob: Phone
    call: Call


@pytest.fixture
def established(server: Server) -> Established:
    (bob,) = registered(server, "bob")
    caller = eve(server)
    call = caller.call(BOB)
    _ = answered(call, bob)
    return Established(caller, bob, call)


def test_a_route_is_good_for_its_own_call(server: Server, established: Established) -> None:
    caller, bob, call = established
    bob.answering["MESSAGE"] = lambda one: one.answer(200)
    routes = [f"Route: {route}" for route in call.dialog.routes]
    target = call.dialog.target
    assert call.request("MESSAGE").status == 200
    assert status(caller, uri=target, fields=routes, call_id=call.dialog.call_id) == 407  # it has no To tag
    assert status(caller, uri=target, fields=routes) == 407
    mallory = eve(server)
    assert status(mallory, uri=target, fields=routes) == 407


def test_who_claims_to_be_one_of_us_comes_by_the_flow_of_the_dialog(
    server: Server, established: Established
) -> None:
    # The callee's own requests need no proof; nobody else sends them for him, though he knows the Routes.
    caller, bob, _ = established
    (dialog,) = bob.dialogs
    caller.answering["INFO"] = lambda one: one.answer(200)
    assert dialog.request("INFO").status == 200
    assert [one.status for one in bob.received if isinstance(one, Response)][-1] == 200
    mallory = eve(server)
    routes = [f"Route: {route}" for route in dialog.routes]
    forged = status(mallory, "INFO", dialog.target, from_=BOB, to=EVE, fields=routes, call_id=dialog.call_id)
    assert forged == 407
    assert len(sent_to(caller, "INFO")) == 1


def test_a_route_of_the_past_needs_a_proof_from_another_port(
    server: Server, established: Established
) -> None:
    caller, bob, _ = established
    (dialog,) = bob.dialogs
    _ = bob.connect()  # the phone has moved, and proves who it is
    assert dialog.bye().status == 200
    assert [one.status for one in bob.received if isinstance(one, Response)][-2:] == [407, 200]
    assert len(sent_to(caller, "BYE")) == 1


@pytest.mark.parametrize(("strangers", "expected"), [("pass", 200), ("authenticate", 407), ("refuse", 403)])
def test_strangers(strangers: Literal["pass", "authenticate", "refuse"], expected: int) -> None:
    with serving(proxy=ProxySettings(strangers=strangers)) as server:
        alice, bob = registered(server, "alice", "bob")
        bob.answering["MESSAGE"] = lambda one: one.answer(200)
        assert status(eve(server)) == expected
        assert status(alice) == 200


def test_relay_to() -> None:
    with serving(proxy=ProxySettings(relay_to=("Inner.example.org",))) as server:
        inner = server.phone("sip:x@inner.example.org", host=GATEWAY)
        _ = inner.flow
        server.network.hosts["inner.example.org"] = GATEWAY
        inner.answering["MESSAGE"] = lambda one: one.answer(200)
        assert status(eve(server), uri="sip:x@inner.example.org") == 200
        assert status(eve(server), uri="sip:x@other.example.org") == 407
        assert status(eve(server), uri="sip:x@inner.example.org", from_=ALICE) == 407
        # RFC 3263 4: maddr is where it would go.
        assert status(eve(server), uri="sip:x@inner.example.org;maddr=203.0.113.9") == 407


def test_a_server_that_is_no_proxy() -> None:
    with serving(proxy=ProxySettings(enabled=False)) as server:
        alice, bob = registered(server, "alice", "bob")
        assert status(alice) == 405
        assert not sent_to(bob, "MESSAGE")


# What goes on, and what does not.


def test_credentials_for_us_go_no_further(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    other = 'Proxy-Authorization: Digest username="alice", realm="other.example.org", nonce="1", response="2"'
    call = alice.call(BOB, fields=[other])
    theirs = answered(call, bob)
    bob.answering["INFO"] = lambda one: one.answer(200)
    assert call.request("INFO").status == 200
    assert call.bye().status == 200
    for method, kept in (("INVITE", 1), ("ACK", 0), ("INFO", 0), ("BYE", 0)):
        (request,) = sent_to(bob, method)
        found = request.all("proxy-authorization")
        assert not [value for value in found if 'realm="example.com"' in value], method
        if method == "INVITE":
            assert len(found) == kept
    assert theirs.ended


SECRETS: Final = (
    "Proxy-Authorization: Bearer sesame",
    "proxy-AUTHORIZATION : bearer sesame",
    "Proxy-Authorization: Bearer\r\n  sesame",
    "Proxy-Authorization: Digest sesame",
    'Authorization: Digest username="alice", realm="example.com", nonce="1", uri="sip:b", response="sesame"',
    'Authorization: Digest username="alice",\r\n realm="example.com", nonce="1", response="sesame"',
)


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_of_a_user_goes_to_the_callee(server: Server, secret: str) -> None:
    # A request within a dialog, and an ACK, needs no proof here; phones send theirs all the same. And a callee may ask
    # for one in our name, by a 401 of its own.
    alice, bob = registered(server, "alice", "bob")
    call = alice.call(BOB, fields=[secret] if secret.startswith("Auth") else ())
    _ = answered(call, bob)
    bob.answering["INFO"] = lambda one: one.answer(200)
    assert call.request("INFO", fields=["Proxy-Authorization:", secret, "X-Last: 1"]).status == 200
    dialog = call.dialog
    lines = [
        f"ACK {dialog.target} SIP/2.0",
        f"Via: SIP/2.0/UDP {alice.flow.sent_by};branch=z9hG4bKonemore",
        *[f"Route: {route}" for route in dialog.routes],
        "Max-Forwards: 70",
        f"From: <{ALICE}>;tag={dialog.local_tag}",
        f"To: <{BOB}>;tag={dialog.remote_tag}",
        f"Call-ID: {dialog.call_id}",
        "CSeq: 1 ACK",
        secret,
        "Content-Length: 0",
    ]
    alice.send(("\r\n".join(lines) + "\r\n\r\n").encode())
    assert len(sent_to(bob, "ACK")) == 2
    assert sent_to(bob, "INFO")[0].all("x-last") == ["1"]
    for request in bob.received:
        assert isinstance(request, Response) or b"sesame" not in request.to_bytes()


def test_no_password_of_a_uri_is_recorded(server: Server) -> None:
    # RFC 3261 19.1.1
    (alice,) = registered(server, "alice")
    gateway = server.phone("sip:gw@example.org", host=GATEWAY)
    _ = gateway.flow
    gateway.answering["MESSAGE"] = lambda one: one.answer(200)
    assert status(alice, uri=f"sip:x:sesame@{GATEWAY}") == 200
    told = decision(server, "MESSAGE")
    assert f"sip:x@{GATEWAY}" in told.steps[-1].reason
    assert "sesame" not in repr(told)


def test_a_domain_in_capitals_is_the_realm_that_phones_are_asked_in() -> None:
    with serving(domains=("Example.COM",)) as server:
        alice, bob = registered(server, "alice", "bob")
        bob.answering["MESSAGE"] = lambda one: one.answer(200)
        assert status(alice) == 200
        assert not sent_to(bob, "MESSAGE")[0].all("proxy-authorization")


def test_a_domain_that_is_an_address_has_many_spellings() -> None:
    with serving(domains=("2001:DB8::1",)) as server:
        for host in ("2001:db8::1", "2001:0db8:0::1", "2001:db8::0.0.0.1"):
            uri = f"sip:bob@[{host}]"
            assert status(eve(server), uri=uri, from_=f"sip:alice@[{host}]") == 407
            assert status(eve(server), uri=uri) == 480


def test_a_strangers_token_for_somebody_else_goes_on(server: Server) -> None:
    _, bob = registered(server, "alice", "bob")
    bob.answering["MESSAGE"] = lambda one: one.answer(200)
    assert status(eve(server), fields=["Proxy-Authorization: Bearer theirs"]) == 200
    assert sent_to(bob, "MESSAGE")[0].all("proxy-authorization") == ["Bearer theirs"]


def test_what_is_not_understood_goes_on(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    bob.answering["MESSAGE"] = lambda one: one.answer(200, fields=["X-Back: 1", "Server: phone"])
    answer = alice.request(
        "MESSAGE", BOB, fields=["X-There: 1", "Require: nonsense", "Content-Type: a/b"], body=b"\x00\xff"
    )
    (request,) = sent_to(bob, "MESSAGE")
    assert (request.all("x-there"), request.all("require"), request.body) == (
        ["1"],
        ["nonsense"],
        b"\x00\xff",
    )
    assert (answer.all("x-back"), answer.all("server")) == (["1"], ["phone"])
    assert len(answer.vias) == 1


def test_max_forwards(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    bob.answering["OPTIONS"] = bob.answering["MESSAGE"] = lambda one: one.answer(200)
    phone = eve(server)
    assert status_of(phone, "MESSAGE", 0) == 483
    assert status_of(phone, "OPTIONS", 0) == 200
    assert not bob.received[2:]
    assert status_of(phone, "MESSAGE", 1) == 200
    assert sent_to(bob, "MESSAGE")[0].max_forwards == 0
    assert status_of(phone, "MESSAGE", None) == 200
    assert sent_to(bob, "MESSAGE")[1].max_forwards == 70
    assert status_of(alice, "INVITE", 0) == 483


def status_of(phone: Phone, method: str, forwards: int | None) -> int:
    """The answer to a request with that Max-Forwards, or without any."""
    _ = phone.flow
    before = len(phone.received)
    line = "" if forwards is None else f"Max-Forwards: {forwards}\r\n"
    phone.send(
        (
            f"{method} {BOB} SIP/2.0\r\nVia: SIP/2.0/UDP {phone.flow.sent_by};branch=z9hG4bK{phone.token(4)}\r\n"
            f"{line}From: <{phone.aor}>;tag=1\r\nTo: <{BOB}>\r\nCall-ID: {phone.token(4)}\r\nCSeq: 1 {method}\r\n"
            f"Content-Length: 0\r\n\r\n"
        ).encode()
    )
    answers = [one for one in phone.received[before:] if isinstance(one, Response)]
    return answers[-1].status


def test_proxy_require(server: Server) -> None:
    _ = registered(server, "bob")
    answer = eve(server).request("MESSAGE", BOB, fields=["Proxy-Require: one, two", "Proxy-Require: three"])
    assert (answer.status, answer.all("unsupported")) == (420, ["one, two, three"])


@pytest.mark.parametrize("uri", ["tel:+1234", "mailto:bob@example.com", "http://example.com/"])
def test_other_schemes(server: Server, uri: str) -> None:
    (alice,) = registered(server, "alice")
    assert status(alice, uri=uri) == 416


@pytest.mark.parametrize("line", ["Route: <sip:", "Route: nonsense", "Max-Forwards: many", "Max-Breadth: -1"])
def test_what_is_malformed(server: Server, line: str) -> None:
    _ = registered(server, "bob")
    assert status(eve(server), fields=[line]) == 400


# Stray messages.


def test_stray_responses_are_counted_and_dropped(server: Server) -> None:
    # RFC 6026 7.3: they are never forwarded.
    alice, bob = registered(server, "alice", "bob")
    call = alice.call(BOB)
    incoming = asked(bob)
    incoming.reject(486)
    assert call.wait(0).status == 486
    late = next(
        one.data for one in server.network.wire if one.source.host == bob.host and b" 486 " in one.data
    )
    server.advance(60)
    running = server.service._running
    assert running is not None
    before, received = running.layer.counts.strays, len(alice.received)
    bob.send(late)
    bob.send(late.replace(b" 486 Busy Here", b" 200 OK"))
    assert running.layer.counts.strays == before + 2
    assert len(alice.received) == received


def test_stray_acks_are_counted_and_dropped(server: Server) -> None:
    alice, bob = registered(server, "alice", "bob")
    ack = (
        f"ACK sip:x@203.0.113.9 SIP/2.0\r\nVia: SIP/2.0/UDP {alice.flow.sent_by};branch=z9hG4bKstray\r\n"
        f"Max-Forwards: 70\r\nFrom: <{ALICE}>;tag=1\r\nTo: <{BOB}>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 ACK\r\n"
    )
    counters = server.service.proxy_counters
    assert counters is not None
    route = f"Route: <sip:{'A' * 40}@192.0.2.1;lr>\r\n"
    for text in (ack, ack + route, ack.replace("sip:x@203.0.113.9", BOB).replace("70", "0")):
        alice.send(f"{text}Content-Length: 0\r\n\r\n".encode())
    assert (counters.acks, counters.acks_dropped) == (0, 3)
    elsewhere = [one for one in server.network.wire if one.target.host == "203.0.113.9"]
    assert not elsewhere
    assert not bob.acks


# Plug-ins.


class Odd(BasePolicy):
    """Does with route() what a test says."""

    def __init__(self, do: Any) -> None:
        self.do = do

    def route(self, request: object, identity: object, routing: Routing) -> object:
        return self.do(routing)


def _fail(routing: Routing) -> object:
    raise ZeroDivisionError("a bug")


ODD: Final = {
    "fails": (_fail, 500),
    "hangs": (lambda routing: Deferred(), 503),
    "gives nothing": (lambda routing: None, 500),
    "gives a word": (lambda routing: "sip:carol@example.com", 500),
    "gives what is no target": (lambda routing: routing._replace(targets=(Target("nonsense"),)), 500),
    "gives a target of text": (lambda routing: routing._replace(targets=("sip:a@b",)), 500),
    "gives no targets at all": (lambda routing: routing._replace(targets=None), 500),
    "refuses": (lambda routing: Rejected(403, "No"), 403),
    "refuses with nothing": (lambda routing: Rejected(0, ""), 500),
    "has no targets": (lambda routing: routing._replace(targets=()), 480),
}


@pytest.mark.parametrize(("do", "expected"), ODD.values(), ids=list(ODD))
def test_a_policy_that_does_not_do_its_work(do: Any, expected: int) -> None:
    with serving(policies=[Odd(do)], plug_ins=LIMITS) as server:
        _, bob = registered(server, "alice", "bob")
        assert status(eve(server)) == expected
        assert not sent_to(bob, "MESSAGE")
        server.log.clear()


@implementer(IAuthenticator)
class Broken:
    """An authenticator whose answers a test chooses."""

    def __init__(self, do: Any) -> None:
        self.do = do

    def authenticate(self, request: object, flow: object) -> object:
        return self.do(request)


class BrokenStore(MemoryStore):
    """A location store whose answers a test chooses, from some moment on."""

    do: Any = None

    def lookup(self, aor: str) -> Any:
        return super().lookup(aor) if self.do is None else self.do(aor)


@pytest.mark.parametrize(
    ("do", "expected"),
    [
        (_fail, 500),
        (lambda request: Deferred(), 503),
        (lambda request: None, 500),
        (lambda request: True, 500),
        (lambda request: Rejected(200, "OK"), 500),
    ],
)
def test_an_authenticator_that_does_not_do_its_work(do: Any, expected: int) -> None:
    with serving(users=None, authenticator=Broken(do), plug_ins=LIMITS) as server:
        gateway = server.phone("sip:gw@example.org", host=GATEWAY)
        _ = gateway.flow
        alice = server.phone(ALICE, password="a")
        assert status(alice, uri=f"sip:x@{GATEWAY}") == expected
        assert status(alice, uri=BOB) == expected
        assert not sent_to(gateway, "MESSAGE")
        server.log.clear()


@pytest.mark.parametrize(
    ("do", "expected"),
    [
        (_fail, 500),
        (lambda aor: Deferred(), 503),
        (lambda aor: None, 500),
        (lambda aor: fail(Unavailable("down")), 503),
    ],
)
def test_a_location_store_that_does_not_do_its_work(do: Any, expected: int) -> None:
    store = BrokenStore()
    with serving(location=store, plug_ins=LIMITS) as server:
        (bob,) = registered(server, "bob")
        store.do = do
        assert status(eve(server)) == expected
        assert not sent_to(bob, "MESSAGE")
        server.log.clear()


class Slow(BasePolicy):
    """Thinks until a test says that it is enough."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Deferred[Any], Routing]] = []

    def route(self, request: object, identity: object, routing: Routing) -> object:
        answer: Deferred[Any] = Deferred()
        self.waiting.append((answer, routing))
        return answer


def test_a_cancel_while_the_policy_still_thinks() -> None:
    slow = Slow()
    with serving(policies=[slow], plug_ins=PluginLimits(deadline=20.0)) as server:
        _, bob = registered(server, "alice", "bob")
        call = eve(server).call(BOB)
        server.advance(1)
        assert [one.status for one in call.responses] == [100]
        call.cancel()
        assert call.wait(0).status == 487
        ((answer, routing),) = slow.waiting
        answer.callback(routing)
        server.advance(5)
        assert not sent_to(bob, "INVITE")


def test_a_call_goes_on_when_the_policy_has_thought() -> None:
    slow = Slow()
    with serving(policies=[slow], plug_ins=PluginLimits(deadline=20.0)) as server:
        _, bob = registered(server, "alice", "bob")
        call = eve(server).call(BOB)
        server.advance(3)
        ((answer, routing),) = slow.waiting
        answer.callback(routing)
        _ = answered(call, bob)
        assert call.bye().status == 200


def test_a_policy_is_told_who_asks_and_may_send_it_elsewhere() -> None:
    told: list[Any] = []

    class Desk(BasePolicy):
        def route(self, request: Any, identity: Any, routing: Routing) -> object:
            told.append((request.method, identity and identity.name, routing.aor))
            return routing._replace(targets=(Target(f"sip:desk@{GATEWAY}"),), record_route=False)

    with serving(policies=[Desk()]) as server:
        (alice,) = registered(server, "alice")
        gateway = server.phone("sip:gw@example.org", host=GATEWAY)
        call = alice.call(BOB)
        _ = gateway.flow
        incoming = asked(gateway)
        assert not incoming.request.all("record-route")
        incoming.accept()
        assert call.wait(0).status == 200
        assert call.bye().status == 200  # straight from one to the other
        assert told == [("INVITE", "alice", BOB)]
        counters = server.service.proxy_counters
        assert counters is not None
        assert (counters.acks, counters.proxied) == (0, 1)


def test_refusals_are_recorded(server: Server) -> None:
    assert status(eve(server), uri="sip:x@example.org") == 407
    one = decision(server, "MESSAGE")
    assert one.steps[0].reason == "it goes from one other domain to another"
    assert one.status == 407
