"""The scripted phone: registering, challenges, requests of the server's, flows that die, a network that loses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from sipframe.message import MessageError, Request, Response
from sipframe.policy import BasePolicy
from sipframe.seams import PluginLimits
from sipframe.testing import Incoming, Network, NoAnswer, Phone, Server, StreamFlow
from sipframe.transport import TransportLimits
from sipframe.verdicts import Rejected, Terms

ALICE = "sip:alice@example.com"
USERS = {"alice": "secret", "bob": "hidden"}
TRANSPORTS = ("udp", "tcp", "tls")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(users=USERS) as server:
        yield server


def alice(server: Server, transport: str = "udp", password: str | None = "secret") -> Phone:
    return server.phone(ALICE, password=password, transport=transport)


def stream(phone: Phone) -> StreamFlow:
    assert isinstance(phone.flow, StreamFlow)
    return phone.flow


def sent(phone: Phone) -> int:
    """How many requests the last exchange took."""
    assert phone.last is not None
    return len(phone.last.requests)


# Registering.


def test_a_phone_says_where_it_is(server: Server) -> None:
    contacts = {transport: alice(server, transport).contact for transport in TRANSPORTS}
    assert contacts["udp"].endswith(":5060")
    assert contacts["tcp"].endswith(";transport=tcp")
    assert contacts["tls"].endswith(";transport=tls")


def test_contacts_of_ones_own_and_fields(server: Server) -> None:
    phone = alice(server)
    answer = phone.register(
        "sip:alice@198.51.100.1", "<sip:alice@198.51.100.2>;q=0.5;expires=90", fields=["User-Agent: Test"]
    )
    assert [(one.uri_text, one.expires) for one in answer.contacts] == [
        ("sip:alice@198.51.100.1", 3600),
        ("sip:alice@198.51.100.2", 90),
    ]
    assert server.bindings(ALICE)[0].user_agent == "Test"
    (_, second) = phone.fetch()
    assert second.uri_text == "sip:alice@198.51.100.2"
    assert phone.refresh().status == 200
    assert server.bindings(ALICE)[0].user_agent == "Test"
    assert phone.unregister().contacts == ()


def test_all_may_be_removed(server: Server) -> None:
    phone = alice(server)
    phone.register("sip:a@198.51.100.1", "sip:a@198.51.100.2")
    assert phone.unregister_all().contacts == ()
    assert phone.fetch() == ()


def test_one_call_id_and_a_cseq_that_grows(server: Server) -> None:
    phone = alice(server)
    phone.register()
    phone.refresh()
    requests = [one for one in server.network.wire if b"REGISTER sip" in one.data]
    assert phone.cseq == len(requests) == 3
    assert server.bindings(ALICE)[0].call_id == phone.call_id


def test_a_refresh_is_one_round_trip_while_the_nonce_lasts(server: Server) -> None:
    phone = alice(server)
    assert (phone.register().status, sent(phone)) == (200, 2)
    for _ in range(3):
        assert (phone.refresh().status, sent(phone)) == (200, 1)
    server.advance(250)
    assert (phone.refresh().status, sent(phone)) == (200, 1)  # and gets the next nonce (RFC 7616 3.5)
    server.advance(250)
    assert (phone.refresh().status, sent(phone)) == (200, 1)
    server.advance(301)
    assert (phone.refresh().status, sent(phone)) == (200, 2)  # stale


def test_without_a_password_a_challenge_is_the_answer(server: Server) -> None:
    phone = alice(server, password=None)
    assert (phone.register().status, sent(phone)) == (401, 1)
    phone = alice(server)
    assert (phone.register(authenticate=False).status, sent(phone)) == (401, 1)
    with pytest.raises(NoAnswer, match="may not know: 401"):
        alice(server, password=None).fetch()


def test_a_wrong_password_is_tried_once(server: Server) -> None:
    phone = alice(server, password="wrong")
    assert (phone.register().status, sent(phone)) == (401, 2)
    phone.password = "secret"
    assert phone.register().status == 200
    server.users["alice"] = "changed"
    assert phone.refresh().status == 401
    assert phone.refresh().status == 401


def test_a_username_of_its_own() -> None:
    with Server(users={"ext-7": "x"}) as server:
        phone = server.phone("sip:ext-7@example.com", username="ext-7", password="x")
        assert phone.register().status == 200
        other = server.phone(ALICE, username="ext-7", password="x")
        assert other.register().status == 403


def test_a_brief_interval_is_not_lengthened_unasked(server: Server) -> None:
    answer = alice(server).register(expires=10)
    assert (answer.status, answer.min_expires) == (423, 60)


def test_sips() -> None:
    with Server(users=USERS) as server:
        phone = server.phone("sips:alice@example.com", password="secret", transport="tls")
        assert phone.contact.startswith("sips:")
        assert phone.register().status == 200
        assert len(server.bindings(ALICE)) == 1


# Other requests.


def test_any_request(server: Server) -> None:
    phone = alice(server)
    assert phone.request("OPTIONS").status == 200
    assert phone.request("OPTIONS", "sip:bob@example.com").status == 480  # nobody has registered
    assert phone.request("MESSAGE", to="sip:bob@example.com", body=b"hello").status == 405
    assert phone.request("OPTIONS", fields=["Require: nonsense"]).all("unsupported") == ["nonsense"]


def test_octets_as_they_are(server: Server) -> None:
    phone = alice(server)
    phone.send(
        b"REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1;rport\r\nCSeq: 0\r\n\r\n"
    )
    (answer,) = phone.received
    assert isinstance(answer, Response)
    assert answer.status == 400
    phone.send(b"no SIP at all\r\n\r\n")
    assert len(phone.received) == 1


def test_a_retransmission_gets_the_same_answer(server: Server) -> None:
    phone = alice(server)
    phone.register()
    before = phone.received
    phone.retransmit()
    assert [one.to_bytes() for one in phone.received[-1:]] == [one.to_bytes() for one in before[-1:]]
    assert len(phone.received) == len(before) + 1
    with pytest.raises(RuntimeError, match="nothing was sent"):
        alice(server).retransmit()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_keep_alives(server: Server, transport: str) -> None:
    phone = alice(server, transport)
    flow = phone.connect()
    flow.ping()
    server.settle()
    assert flow.pongs == 1


# Requests of the server's.


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_server_asks_and_the_phone_answers(server: Server, transport: str) -> None:
    phone = alice(server, transport)
    phone.register()
    (binding,) = server.bindings(ALICE)
    answer = server.service.send("MESSAGE", binding, body=b"hello", content_type="text/plain")
    incoming = phone.next_request("MESSAGE")
    assert incoming.request.body == b"hello"
    incoming.answer(200, "Read", fields=["X-Seen: yes"], body=b"thanks")
    assert (incoming.method, incoming.flow) == ("MESSAGE", phone.flow)
    response = server.wait(answer)
    assert (response.status, response.reason, response.body) == (200, "Read", b"thanks")
    assert response.first("x-seen") == "yes"
    assert incoming.answered
    with pytest.raises(RuntimeError, match="answered before"):
        incoming.answer()


def test_a_phone_may_answer_by_itself(server: Server) -> None:
    phone = alice(server)
    phone.register()
    phone.answering["OPTIONS"] = lambda incoming: incoming.answer(486)
    assert server.wait(server.service.send("OPTIONS", server.bindings(ALICE)[0])).status == 486
    assert phone.requests == []


def test_a_phone_that_does_not_answer_is_asked_again(server: Server) -> None:
    phone = alice(server)
    phone.register()
    answer = server.service.send("OPTIONS", server.bindings(ALICE)[0])
    incoming = phone.next_request()
    server.advance(10)
    assert len([one for one in phone.received if isinstance(one, Request)]) > 3
    incoming.answer()
    assert server.wait(answer).status == 200
    with pytest.raises(AssertionError, match="was asked no OPTIONS within 5 s"):
        phone.next_request("OPTIONS", within=5)


# Flows.


def test_several_flows_of_one_phone(server: Server) -> None:
    phone = alice(server, "tls")
    first, second = phone.connect(), phone.connect()
    phone.register()
    phone.flow = first
    phone.register()
    assert len(server.bindings(ALICE)) == 2
    assert phone.flows == [first, second]
    assert first.local != second.local


def test_several_ports_of_one_phone(server: Server) -> None:
    phone = alice(server)
    assert [phone.connect().local.port for _ in range(3)] == [5060, 5062, 5064]


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_lost_connection_is_no_lost_binding(server: Server, transport: str) -> None:
    phone = alice(server, transport)
    phone.register()
    phone.flow.reset()
    server.settle()
    assert server.service.counters.connections_accepted == 1
    assert len(server.bindings(ALICE)) == 1
    assert phone.refresh().status == 200  # by another connection
    assert [flow.alive for flow in phone.flows] == [False, True]
    assert [flow.why for flow in phone.flows] == ["reset", ""]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_request_dies_with_its_connection(transport: str) -> None:
    class Slow(BasePolicy):
        def admit(self, request: Any, flow: Any) -> Any:
            return deferLater(slow.reactor, 1, BasePolicy.admit, self, request, flow)

    with Server(users=USERS, policies=[Slow()]) as slow:
        phone = alice(slow, transport)
        exchange = phone.begin_register()
        slow.settle()
        phone.flow.close()
        with pytest.raises(NoAnswer, match="the flow was lost: closed"):
            exchange.wait()
        assert "dead" in repr(phone.flow)


def test_a_silent_connection_is_closed_by_the_server_in_the_end() -> None:
    with Server(users=USERS, limits=TransportLimits(idle=600)) as server:
        phone = alice(server, "tls")
        phone.register()
        flow = phone.flow
        flow.fall_silent()
        server.advance(700)
        assert flow.alive  # how could it know
        assert server.service.counters.idle_timeouts == 1
        with pytest.raises(NoAnswer, match="timed out"):
            phone.refresh()


def test_a_udp_port_that_falls_silent_and_one_that_is_closed(server: Server) -> None:
    phone = alice(server)
    phone.register()
    phone.flow.fall_silent()
    with pytest.raises(NoAnswer, match="timed out"):
        phone.refresh()
    phone.connect()
    assert phone.refresh().status == 200
    phone.flow.reset()
    phone.flow.reset()
    assert phone.refresh().status == 200
    assert [flow.alive for flow in phone.flows] == [True, False, True]


def test_a_phone_that_does_not_read_is_cut_off() -> None:
    with Server(users=USERS) as server:
        phone = alice(server, "tcp")
        phone.connect()
        flow = stream(phone)
        flow.stop_reading()
        for number in range(1_000):
            if not flow.alive:
                break
            branch = b"z9hG4bK%d" % number
            flow.send(
                b"OPTIONS sip:example.com SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=%s\r\nFrom: <sip:a@b>;tag=1\r\n"
                b"To: <sip:a@b>\r\nCall-ID: %s\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
                % (branch, branch)
            )
            server.settle()
        assert not flow.alive
        assert server.service.counters.queue_overflows == 1


def test_reading_again(server: Server) -> None:
    phone = alice(server, "tcp")
    phone.connect()
    stream(phone).stop_reading()
    exchange = phone.begin_register()
    server.advance(1)
    assert not exchange.responses
    stream(phone).read_on()
    assert exchange.wait().status == 200


def test_a_handshake_that_never_comes() -> None:
    with Server(users=USERS) as server:
        phone = server.phone(ALICE, transport="tcp")
        phone.connect()
        server.advance(40)
        flow = stream(phone)
        assert (flow.alive, flow.why) == (False, "closed by the server")
        assert server.service.counters.first_message_timeouts == 1


def test_an_answer_that_no_datagram_holds() -> None:
    with Server(users=USERS, terms=Terms(max_contacts=200)) as server:
        phone = alice(server)
        for number in range(60):
            answer = phone.register(f"sip:{'x' * 1200}@198.51.100.{number}")
            if answer.status == 500:
                break
        assert answer.reason == "Answer Too Large for UDP"


# A network that is not perfect.


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_time_passes_while_an_answer_is_on_its_way(transport: str) -> None:
    with Server(users=USERS, network=Network(delay=0.1)) as server:
        phone = alice(server, transport)
        phone.register()
        server.expect(phone, 200)
        assert server.network.timeline.now == pytest.approx(
            {"udp": 0.4, "tcp": 0.5, "tls": 0.7}[transport], abs=0.11
        )


def test_what_is_lost_is_sent_again(server: Server) -> None:
    phone = alice(server)
    server.network.lose_next(2, containing=b"REGISTER sip:")
    assert phone.register().status == 200
    assert server.network.timeline.now == pytest.approx(1.5)  # T1, then twice as long (RFC 3261 17.1.2.2)
    assert [one.fate for one in server.network.wire][:3] == ["lost", "lost", ""]


def test_a_lost_answer_is_given_again(server: Server) -> None:
    phone = alice(server)
    phone.register()
    server.network.lose_next(containing=b"SIP/2.0 200")
    assert phone.refresh().status == 200
    assert server.network.timeline.now == pytest.approx(0.5)
    assert len([one for one in server.decisions if one.cseq == phone.cseq]) == 1


def test_half_of_everything() -> None:
    for seed in range(5):
        with Server(users=USERS, network=Network(seed, loss=0.5, duplicate=0.2, delay=(0.0, 0.3))) as server:
            assert alice(server).register().status == 200


def test_nobody_there(server: Server) -> None:
    phone = alice(server)
    server.network.loss = 1.0
    with pytest.raises(NoAnswer, match="no answer to REGISTER of sip:alice") as caught:
        phone.register()
    assert server.network.timeline.now == pytest.approx(32, abs=0.1)
    assert "lost" in caught.value.__notes__[0]


def test_an_answer_that_takes_longer_than_one_waits(server: Server) -> None:
    phone = alice(server)
    server.network.loss = 1.0
    exchange = phone.begin_register()
    with pytest.raises(NoAnswer, match="nothing final within 3 s"):
        exchange.wait(3)
    assert "waiting" in repr(exchange)
    server.network.loss = 0.0
    assert exchange.wait().status == 200
    assert "200" in repr(exchange)


def test_retries_of_a_plug_in_that_is_late() -> None:
    class Never(BasePolicy):
        async def admit(self, request: Any, flow: Any) -> Rejected:
            await Deferred()
            return Rejected(403, "Never")

    with Server(users=USERS, policies=[Never()], plug_ins=PluginLimits(deadline=3)) as server:
        phone = alice(server)
        assert phone.register().status == 503
        assert server.network.timeline.now == pytest.approx(3, abs=0.6)


def test_what_no_phone_can_read(server: Server) -> None:
    phone = alice(server)
    phone.connect()
    server.network.send_datagram(phone.flow.peer, phone.flow.local, b"SIP/2.0 nonsense\r\n\r\n")
    server.network.send_datagram(phone.flow.peer, phone.flow.local, b"\r\n\r\n")
    server.settle()
    assert [type(error) for error in phone.malformed] == [MessageError]
    assert phone.flow.pongs == 1


def test_phones_and_requests_have_names(server: Server) -> None:
    phone = alice(server)
    assert ALICE in repr(phone)
    asked: list[Incoming] = []
    phone.answering["OPTIONS"] = asked.append
    phone.register()
    _ = server.service.send("OPTIONS", server.bindings(ALICE)[0]).addErrback(lambda _: None)
    server.settle()
    assert "OPTIONS" in repr(asked[0])
    assert "waiting" in repr(asked[0])
    asked[0].answer()
    assert "answered" in repr(asked[0])
