"""Requests of our own outside a dialog: what is in them, where they go, and how they end (RFC 3261 8.1)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from sipframe.events import Events
from sipframe.message import Request, Response, SipURI, parse_message
from sipframe.roads import Hop, OurEnd, Unroutable, destination_of
from sipframe.seams import Seam
from sipframe.sending import Sender, via_of
from sipframe.transaction import TransactionLayer, TransactionSettings, TransactionUser
from sipframe.uac import Exchange, OwnRequest, RequestFailed, Target, UserAgentClient
from sipframe.verdicts import Binding, Unavailable
from tests.fakes import FakeFlow
from tests.roads import FakeRoads, answer_to, entropy, sent

BOB = "sip:bob@192.0.2.7:5062"
OURS = OurEnd("TCP", "192.0.2.1", 5060)


def made(method: str = "OPTIONS", target: Target | None = None, **parts: Any) -> Request:
    target = target or Target(BOB)
    parts = {"to": BOB, "from_": "sip:example.com", "entropy": entropy(), **parts}
    data = OwnRequest(method, target, **parts).whole(via_of(OURS, "z9hG4bKours"), OURS)
    message = parse_message(data)
    assert isinstance(message, Request)
    return message


class TestRequests:
    def test_what_every_request_has(self) -> None:
        # RFC 3261 8.1.1
        request = made(to="sip:bob@example.com")
        assert (request.method, request.uri_text) == ("OPTIONS", BOB)
        assert request.max_forwards == 70
        assert request.via.branch == "z9hG4bKours"
        assert request.cseq == (1, "OPTIONS")
        assert request.to.uri_text == "sip:bob@example.com"
        assert request.to.tag is None
        assert request.from_.uri_text == "sip:example.com"
        assert request.from_.tag
        assert request.call_id
        assert request.content_length == 0
        assert request.contacts == ()

    def test_two_are_never_the_same(self) -> None:
        source = entropy()
        one, two = made(entropy=source), made(entropy=source)
        assert one.call_id != two.call_id
        assert one.from_.tag != two.from_.tag

    def test_a_message(self) -> None:
        # RFC 3428 4: no Contact.
        request = made("MESSAGE", body=b"Hi \xff", content_type="text/plain", fields=[("Subject", "No")])
        assert (request.body, request.first("content-type")) == (b"Hi \xff", "text/plain")
        assert (request.first("subject"), request.contacts) == ("No", ())

    def test_a_notify_says_where_we_are(self) -> None:
        request = made("NOTIFY", fields=[("Event", "message-summary"), ("Subscription-State", "active")])
        assert [one.uri_text for one in request.contacts] == ["sip:192.0.2.1:5060;transport=tcp"]
        secure = made("NOTIFY", Target("sips:bob@192.0.2.7"))
        assert [one.uri_text for one in secure.contacts] == ["sips:192.0.2.1:5060"]
        given = made("NOTIFY", fields=[("m", "<sip:elsewhere.example.com>")])
        assert [one.uri_text for one in given.contacts] == ["sip:elsewhere.example.com"]

    @pytest.mark.parametrize(
        "parts",
        [
            {"method": "INVITE"},
            {"method": "ACK"},
            {"method": "CANCEL"},
            {"method": "OP TIONS"},
            {"method": ""},
            {"to": "nobody"},
            {"from_": "<sip:a@x>"},
            {"body": b"x"},
            {"content_type": "text/plain"},
            {"fields": [("Via", "x")]},
            {"fields": [("l", "0")]},
            {"fields": [("Route", "<sip:x>")]},
            {"fields": [("Sub ject", "x")]},
            {"fields": [("Subject", "x\r\nTo: y")]},
            {"content_type": "text/plain\nX: y", "body": b"x"},
        ],
    )
    def test_what_cannot_be_sent_is_not_made(self, parts: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            made(parts.pop("method", "OPTIONS"), **parts)


class TestTargets:
    def test_a_path(self) -> None:
        # RFC 3327 5.2
        target = Target(BOB, ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"])
        request = made(target=target)
        assert request.uri_text == BOB
        assert [one.uri_text for one in request.routes] == ["sip:p2.example.com;lr", "sip:p1.example.com;lr"]
        assert str(target.next) == "sip:p2.example.com;lr"

    def test_a_strict_router(self) -> None:
        # RFC 3261 12.2.1.1
        target = Target(BOB, ["<sip:p2.example.com>", "<sip:p1.example.com;lr>"])
        request = made(target=target)
        assert request.uri_text == "sip:p2.example.com"
        assert [one.uri_text for one in request.routes] == ["sip:p1.example.com;lr", BOB]

    def test_what_a_request_uri_does_not_have(self) -> None:
        # RFC 3261 19.1.1, table 1
        target = Target("sip:bob@192.0.2.7;method=MESSAGE;ob?Subject=x")
        assert target.request_uri == "sip:bob@192.0.2.7;ob"

    def test_what_is_no_uri(self) -> None:
        with pytest.raises(ValueError):
            Target("bob")


class Resolver:
    """Says where a URI leads: what the test has put in ``answers``, else what its host says."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}

    def resolve(self, uri: SipURI) -> object:
        answer = self.answers.get(uri.host)
        if answer is None:
            destination = destination_of(uri)
            return [destination.hop(destination.host)]
        if isinstance(answer, Exception):
            raise answer
        return answer


class NoServer(TransactionUser):
    def request(self, transaction: object) -> None:
        raise AssertionError(transaction)


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.layer = TransactionLayer(
            self.clock, TransactionSettings(), NoServer(), lambda *_: b"", lambda *_: b""
        )
        self.roads = FakeRoads()
        self.resolver = Resolver()
        seam = Seam(self.clock, 5)
        self.client = UserAgentClient(
            Sender(self.layer, self.roads, entropy()), self.resolver, seam, Events()
        )
        self.ended: list[Any] = []
        self.provisional: list[int] = []

    def send(self, target: str | Binding = BOB, method: str = "OPTIONS") -> Exchange:
        binding = target if isinstance(target, Binding) else None
        where = binding.contact if binding is not None else str(target)
        aim = Target(where, binding.path if binding is not None else ())
        request = OwnRequest(method, aim, to=where, from_="sip:example.com", entropy=entropy())

        def provisional(response: Response) -> None:
            self.provisional.append(response.status)

        exchange = Exchange(request, aim, self.ended.append, self.ended.append, provisional)
        self.client.send(exchange, None if binding is None else self.client.flow_of(binding))
        return exchange

    def answer(self, status: int, fields: str = "") -> None:
        flow = self.roads.flows[-1]
        self.layer.response(answer_to(sent(flow), status, fields=fields), flow)

    @property
    def failure(self) -> tuple[int, str]:
        [error] = self.ended
        assert isinstance(error, RequestFailed)
        assert str(error) == f"{error.status} {error.reason}"
        return error.status, error.reason


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("status", [200, 302, 401, 407, 486, 603])
def test_a_final_response_is_the_answer(world: World, status: int) -> None:
    world.send()
    world.answer(182)
    world.answer(status, 'WWW-Authenticate: Digest realm="x"\r\n' if status == 401 else "")
    [response] = world.ended
    assert response.status == status
    assert world.provisional == [182]
    assert world.roads.tried == ["udp:192.0.2.7:5062"]


def test_silence_is_408(world: World) -> None:
    world.send()
    world.clock.pump([0.5] * 65)
    assert world.failure == (408, "Request Timeout")


def test_nobody_there_is_503(world: World) -> None:
    world.roads.down.add("192.0.2.7")
    world.send()
    assert world.failure == (503, "udp:192.0.2.7:5062: connection refused")


def test_who_waits_no_more_hears_nothing(world: World) -> None:
    exchange = world.send()
    exchange.cancel()
    world.answer(200)
    world.clock.pump([0.5] * 65)
    assert world.ended == []
    slow: Deferred[object] = Deferred()
    world.resolver.answers["slow.example.com"] = slow
    world.send("sip:slow.example.com").cancel()
    slow.callback([Hop("UDP", "192.0.2.1", 5060)])
    assert world.roads.tried == ["udp:192.0.2.7:5062"]


def test_an_answer_for_someone_else(world: World) -> None:
    # RFC 3261 8.1.3.3
    world.send()
    request = sent(world.roads.flows[-1])
    second = b"Via: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKother\r\nFrom:"
    data = answer_to(request, 200).to_bytes().replace(b"From:", second, 1)
    message = parse_message(data)
    assert isinstance(message, Response)
    world.layer.response(message, world.roads.flows[-1])
    assert world.failure == (502, "the answer was for someone else")


def test_no_sip_uri(world: World) -> None:
    world.send("tel:+12125551212")
    assert world.failure == (416, "nothing is sent to a tel URI")


class TestHops:
    def test_what_the_resolver_says(self, world: World) -> None:
        world.resolver.answers["example.com"] = [
            Hop("UDP", "192.0.2.1", 5060),
            Hop("TCP", "192.0.2.2", 5060),
        ]
        world.roads.down.add("192.0.2.1")
        world.send("sip:bob@example.com")
        world.answer(200)
        assert world.roads.tried == ["udp:192.0.2.1:5060", "tcp:192.0.2.2:5060"]

    def test_later(self, world: World) -> None:
        slow: Deferred[object] = Deferred()
        world.resolver.answers["example.com"] = slow
        world.send("sip:bob@example.com")
        slow.callback((Hop("UDP", "192.0.2.1", 5060),))
        world.answer(200)
        assert world.ended[0].status == 200

    def test_never(self, world: World) -> None:
        world.resolver.answers["example.com"] = Deferred()
        world.send("sip:bob@example.com")
        world.clock.advance(5)
        assert world.failure == (503, "no answer within 5 s")

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            (Unroutable(503, "it is not there"), (503, "it is not there")),
            (Unavailable("in a while"), (503, "in a while")),
            (ZeroDivisionError(), (503, "the look-up failed")),
            ("a host", (503, "the look-up failed")),
            (["a hop"], (503, "the look-up failed")),
            ([], (503, "there is nowhere to send it")),
        ],
    )
    def test_nowhere(self, world: World, answer: object, expected: tuple[int, str]) -> None:
        world.resolver.answers["example.com"] = answer
        world.send("sip:bob@example.com")
        assert world.failure == expected

    def test_sips_never_leaves_tls(self, world: World) -> None:
        hops = [Hop("TCP", "192.0.2.1", 5061), Hop("TLS", "192.0.2.2", 5061, "example.com")]
        world.resolver.answers["example.com"] = hops
        world.send("sips:bob@example.com")
        assert world.roads.tried == ["tls:192.0.2.2:5061"]
        world.answer(200)
        world.resolver.answers["example.com"] = hops[:1]
        world.send("sips:bob@example.com")
        assert world.ended[1].status == 503
        world.send(bound("sip:bob@192.0.2.7", path=("<sips:example.com;lr>",)))
        assert world.ended[2].status == 503


def bound(contact: str = BOB, flow: str | None = None, path: tuple[str, ...] = ()) -> Binding:
    return Binding(contact, 2.0**33, "call", 1, 0.0, flow=flow, path=path)


class TestBindings:
    def test_by_its_flow(self, world: World) -> None:
        flow = FakeFlow("TCP")
        world.roads.found["its flow"] = flow
        world.send(bound(flow="its flow"))
        assert (sent(flow).uri_text, world.roads.tried) == (BOB, [])

    def test_by_its_contact_when_the_flow_is_gone(self, world: World) -> None:
        world.send(bound(flow="its flow"))
        assert world.roads.tried == ["udp:192.0.2.7:5062"]

    def test_by_its_path(self, world: World) -> None:
        world.roads.found["its flow"] = FakeFlow("TCP")
        world.send(bound(flow="its flow", path=("<sip:192.0.2.9;transport=tcp;lr>",)))
        assert world.roads.tried == ["tcp:192.0.2.9:5060"]
        assert sent(world.roads.flows[-1]).uri_text == BOB

    def test_sips_not_by_a_flow_that_is_not_secure(self, world: World) -> None:
        plain, secure = FakeFlow("TCP"), FakeFlow("TLS")
        world.roads.found.update({"plain": plain, "secure": secure})
        world.send(bound("sips:bob@192.0.2.7", flow="plain"))
        assert (plain.sent, world.roads.tried) == ([], ["tls:192.0.2.7:5061"])
        world.send(bound("sips:bob@192.0.2.7", flow="secure"))
        assert len(secure.sent) == 1


def test_the_end(world: World) -> None:
    world.send()
    world.client.stop()
    assert world.failure == (503, "the server is stopping")
