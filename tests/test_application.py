"""What an application asks of a running server, over real sockets: bindings, their removal, requests to phones.

The phones block, each in a thread of its own.
"""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Generator
from typing import Any

import attrs
import pytest
import trustme
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.threads import deferToThread

from sipframe.changes import Change
from sipframe.events import Event
from sipframe.location import MemoryStore
from sipframe.message import (
    Keepalive,
    Request,
    Response,
    SipURI,
    name_addr,
    parse_message,
    response_bytes,
    uri,
)
from sipframe.policy import BasePolicy
from sipframe.roads import Hop
from sipframe.service import SIPService
from sipframe.transaction import TimerSettings, TransactionSettings
from sipframe.transport import TransportLimits
from sipframe.uac import RequestFailed
from sipframe.verdicts import Accepted, Binding, Identity, Rejected, Snapshot, Terms, Unavailable
from sipframe.wiring import StartError
from tests.client import Client
from tests.test_service import LISTEN, Asking, ServiceTestCase, Steps

AOR = "sip:bob@localhost"
BOB = Accepted(Identity("bob", "localhost", frozenset((AOR,))))
FAST = TransactionSettings(timers=TimerSettings(t1=0.001, t2=0.004, t4=0.005))


class Phone(Client):
    """A client that answers requests as well."""

    def next_request(self) -> Request:
        if self.transport == "udp":
            message = parse_message(self.socket.recv(65_535))
            assert isinstance(message, Request)
            return message
        while True:
            found = self._framer.next()
            if isinstance(found, Request):
                return found
            assert found is None or isinstance(found, Keepalive), found
            if found is None:
                self._framer.feed(self._read())

    def answer(self, *statuses: int) -> Request:
        """Answer the next request; what it was."""
        request = self.next_request()
        for status in statuses:
            self.send(response_bytes(request, status, "As It Is", "phone", "", ("127.0.0.1", 1)))
        return request

    @property
    def contact(self) -> str:
        transport = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:bob@127.0.0.1:{self.port}{transport}"

    def bind(self, cseq: int = 1, expires: int = 3600) -> Response:
        contact = f"Contact: <{self.contact}>;expires={expires}"
        return self.ask(self.request("REGISTER", contact, cseq=cseq, call_id=str(self.port)))


class ApplicationTestCase(ServiceTestCase):
    timeout = 60

    def serving(self, **changes: Any) -> SIPService:
        parts: dict[str, Any] = {"authenticator": Asking(lambda *_: BOB), "listen": LISTEN, **changes}
        return self.service(**parts)

    @inlineCallbacks
    def phone(self, service: SIPService, transport: str) -> Generator[Deferred[Any], Any, Phone]:
        """A phone that has registered."""
        (address,) = [one.local for one in service.listening() if one.transport.lower() == transport]
        trust = service.settings.state / "certificate.pem" if transport == "tls" else None
        phone: Phone = yield deferToThread(Phone, transport, address, trust=trust)
        self.addCleanup(phone.socket.close)
        response = yield deferToThread(phone.bind)
        assert response.status == 200
        return phone

    @inlineCallbacks
    def fails(self, asked: Deferred[Any]) -> Generator[Deferred[Any], Any, tuple[int, str]]:
        try:
            answer = yield asked
        except RequestFailed as error:
            return error.status, error.reason
        raise AssertionError(answer)

    def happens(self, service: SIPService, name: str) -> Deferred[Event]:
        """The next event with this name."""
        event: Deferred[Event] = Deferred()

        def hear(one: Event) -> None:
            if one.name == name and not event.called:
                event.callback(one)

        service.events.subscribe(hear)
        return event


class Bindings(ApplicationTestCase):
    @inlineCallbacks
    def test_what_an_aor_has(self) -> Steps:
        now = [1_000.0]
        store = MemoryStore()
        kept, ended = (
            Binding("sip:bob@192.0.2.1", 2_000.0, "a", 1, 0.0),
            Binding("sip:bob@192.0.2.2", 1_001.0, "b", 1, 0.0),
        )
        store.replace(AOR, (kept, ended), 0)
        service = self.serving(store=store, wall_clock=lambda: now[0], expire_every=3600)
        for name in (AOR, "sip:bob@LOCALHOST", "sip:%62ob@127.0.0.1;transport=udp"):
            found = yield service.bindings(name)
            assert found == (kept, ended), name
        now[0] = 1_001.0  # ended, whether the store has forgotten it or not
        found = yield service.bindings(AOR)
        assert found == (kept,)
        assert (yield service.bindings("sip:nobody@elsewhere.example.com")) == ()
        for wrong in ("bob", "sip:localhost", "tel:+12125551212"):
            with pytest.raises(ValueError):
                _ = service.bindings(wrong)

    @inlineCallbacks
    def test_a_store_that_fails(self) -> Steps:
        class Failing(MemoryStore):
            def lookup(self, aor: str) -> Snapshot:
                raise ZeroDivisionError

        service = self.serving(store=Failing())
        for asked in (service.bindings(AOR), service.remove(AOR)):
            with pytest.raises(ZeroDivisionError):
                yield asked
        assert self.logged(ZeroDivisionError) == 1

    @inlineCallbacks
    def test_a_server_that_does_not_run(self) -> Steps:
        service = self.serving(start=False)
        for asked in (service.bindings(AOR), service.remove(AOR)):
            with pytest.raises(Unavailable, match="not running"):
                yield asked
        assert (yield self.fails(service.send("OPTIONS", AOR))) == (503, "the server is not running")

    @inlineCallbacks
    def test_watching_and_removing(self) -> Steps:
        service = self.serving(
            start=False, store=MemoryStore(), expire_every=0.01, terms=Terms(min_expires=1)
        )
        heard: list[tuple[str, list[str], Change]] = []

        def hear(aor: str, bindings: tuple[Binding, ...], change: Change) -> None:
            heard.append((aor, [one.contact for one in bindings], change))

        forget = service.watch("sip:bob@127.0.0.1", hear)
        service.startService()
        self.addCleanup(service.stopService)
        one = yield self.phone(service, "udp")
        two = yield self.phone(service, "tcp")
        assert heard == [(AOR, [one.contact], "bound"), (AOR, [one.contact, two.contact], "bound")]
        heard.clear()
        gone = yield service.remove(AOR, one.contact.replace("bob", "%62ob"))
        assert [binding.contact for binding in gone] == [one.contact]
        assert (yield service.remove(AOR, one.contact)) == ()
        gone = yield service.remove(AOR)
        assert [binding.contact for binding in gone] == [two.contact]
        assert heard == [(AOR, [two.contact], "removed"), (AOR, [], "removed")]
        assert (yield service.bindings(AOR)) == ()
        # A phone may come again, and what it registers may end by itself.
        expired = self.happens(service, "sipframe.location.expired")
        yield deferToThread(one.bind, 2, 1)
        event = yield expired
        assert event.fields["bindings"] == ()
        assert heard[2:] == [(AOR, [one.contact], "bound"), (AOR, [], "expired")]
        forget()
        yield deferToThread(one.bind, 3)
        assert len(heard) == 4
        with pytest.raises(ValueError):
            service.watch("bob", hear)
        with pytest.raises(ValueError):
            _ = service.remove(AOR, "no URI")


class Sending(ApplicationTestCase):
    @inlineCallbacks
    def test_a_registered_phone_is_reached_by_its_own_flow(self) -> Steps:
        service = self.serving()
        for transport in ("udp", "tcp", "tls"):
            phone = yield self.phone(service, transport)
            (binding,) = yield service.bindings(AOR)
            provisional: list[Response] = []
            answered = service.send(
                "MESSAGE",
                binding,
                to=AOR,
                body=b"Your train is late",
                content_type="text/plain",
                provisional=provisional.append,
            )
            request = yield deferToThread(phone.answer, 100, 202)
            response = yield answered
            assert (response.status, [one.status for one in provisional]) == (202, [100])
            assert (request.method, request.uri_text, request.body) == (
                "MESSAGE",
                phone.contact,
                b"Your train is late",
            )
            assert request.to.uri_text == AOR
            assert request.from_.uri_text == "sip:localhost"
            (address,) = [one.local for one in service.listening() if one.transport == transport.upper()]
            assert request.via.transport == transport.upper()
            assert request.via.sent_by == (address.host, address.port)  # RFC 3261 18.1.1
            yield service.remove(AOR)
        # Nothing was connected to: the phones listen to nobody.
        assert service.counters.connections_made == 0

    @inlineCallbacks
    def test_by_the_contact_when_the_connection_is_lost(self) -> Steps:
        service = self.serving()
        phone = yield self.phone(service, "tcp")
        (binding,) = yield service.bindings(AOR)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            elsewhere = binding._replace(
                contact=f"sip:bob@127.0.0.1:{listening.getsockname()[1]};transport=tcp"
            )
            lost = self.lost(service)
            phone.socket.close()
            yield lost
            answered = service.send("OPTIONS", elsewhere)
            accepted, _ = yield deferToThread(listening.accept)
            with accepted:
                data = yield deferToThread(accepted.recv, 65_535)
                request = parse_message(data)
                assert isinstance(request, Request)
                accepted.sendall(response_bytes(request, 200, "OK", "x", "", ("127.0.0.1", 1)))
                response = yield answered
        assert response.status == 200
        assert service.counters.connections_made == 1

    def lost(self, service: SIPService) -> Deferred[None]:
        """Fires when a connection is gone."""
        running = service._running
        assert running is not None
        assert running.ground is not None
        gone: Deferred[None] = Deferred()
        running.ground.when_empty.append(lambda: gone.callback(None))
        return gone

    @inlineCallbacks
    def test_another_server(self) -> Steps:
        # Ours as a UAC, ours as a UAS: over each transport, TLS with the name that the certificate is for.
        authority = trustme.CA()
        chain, key, trust = (self.folder / name for name in ("chain.pem", "key.pem", "ca.pem"))
        authority.cert_pem.write_to_path(trust)
        made = authority.issue_cert("localhost")
        made.private_key_pem.write_to_path(key)
        made.cert_chain_pems[0].write_to_path(chain)
        peer = self.serving(name="peer", certificates=((chain, key),), client_ca=trust)

        class Resolver:
            def resolve(self, uri: SipURI) -> list[Hop]:
                (address,) = [one.local for one in peer.listening() if one.transport.lower() == uri.user]
                return [Hop((uri.user or "").upper(), address.host, address.port, uri.host)]

        service = self.serving(
            name="ours", resolver=Resolver(), peer_ca=trust, certificates=((chain, key),), listen=LISTEN
        )
        for transport in ("udp", "tcp", "tls"):
            response = yield service.send("OPTIONS", f"sip:{transport}@localhost")
            # From names the domain, which is nobody's to name; it was understood.
            assert response.status == 403
        # sips, and a name that is not proved.
        assert (yield service.send("OPTIONS", "sips:tls@localhost")).status == 403
        status, reason = yield self.fails(service.send("OPTIONS", "sip:tls@elsewhere.example.com"))
        assert (status, "its certificate is not for elsewhere.example.com" in reason) == (503, True)
        status, _ = yield self.fails(service.send("OPTIONS", "sips:tcp@localhost"))
        assert status == 503

    @inlineCallbacks
    def test_authorities_are_reloaded(self) -> Steps:
        authority = trustme.CA()
        chain, key, trust = (self.folder / name for name in ("chain.pem", "key.pem", "ca.pem"))
        authority.cert_pem.write_to_path(trust)
        made = authority.issue_cert("127.0.0.1")
        made.private_key_pem.write_to_path(key)
        made.cert_chain_pems[0].write_to_path(chain)
        peer = self.serving(name="peer", certificates=((chain, key),))
        (address,) = [one.local for one in peer.listening() if one.transport == "TLS"]
        service = self.serving(name="ours")
        there = f"sips:127.0.0.1:{address.port}"
        status, reason = yield self.fails(service.send("OPTIONS", there))
        assert (status, "certificate is not accepted" in reason) == (503, True)
        with pytest.raises(StartError, match=r"none\.pem: No such file"):
            service.reload(attrs.evolve(service.settings, peer_ca=self.folder / "none.pem"))
        assert service.reload(attrs.evolve(service.settings, peer_ca=trust)) == ()
        response = yield service.send("OPTIONS", there)
        assert response.status == 200

    @inlineCallbacks
    def test_the_name_of_a_host(self) -> Steps:
        service = self.serving()
        phone = yield self.phone(service, "udp")
        answered = service.send("OPTIONS", f"sip:bob@localhost:{phone.port};transport=udp")
        request = yield deferToThread(phone.answer, 200)
        assert (yield answered).status == 200
        assert request.uri_text == f"sip:bob@localhost:{phone.port};transport=udp"

    @inlineCallbacks
    def test_silence_and_nobody_there(self) -> Steps:
        service = self.serving(transactions=FAST)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            status = yield self.fails(service.send("OPTIONS", f"sip:127.0.0.1:{silent.getsockname()[1]}"))
            assert status == (408, "Request Timeout")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            status, reason = yield self.fails(service.send("OPTIONS", f"sip:127.0.0.1:{port};transport=tcp"))
        assert (status, reason) == (503, f"tcp:127.0.0.1:{port}: connection refused")
        status, reason = yield self.fails(service.send("OPTIONS", "sip:192.0.2.1;transport=sctp"))
        assert (status, reason) == (503, "the transport sctp is not spoken here")
        assert service.transactions() == {}

    @inlineCallbacks
    def test_a_large_message_goes_by_tcp(self) -> Steps:
        service = self.serving()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            answered = service.send(
                "MESSAGE", f"sip:127.0.0.1:{port}", body=b"x" * 1_300, content_type="text/plain"
            )
            accepted, _ = yield deferToThread(listening.accept)
            accepted.close()
            status = yield self.fails(answered)
        assert status == (503, "the connection is lost")

    @inlineCallbacks
    def test_a_message_that_no_datagram_can_hold(self) -> Steps:
        service = self.serving()
        phone = yield self.phone(service, "udp")
        (binding,) = yield service.bindings(AOR)
        status = yield self.fails(
            service.send("MESSAGE", binding, body=b"x" * 65_507, content_type="text/plain")
        )
        assert status == (513, "Message Too Large")
        assert phone.port

    @inlineCallbacks
    def test_who_cancels_waits_no_longer(self) -> Steps:
        service = self.serving()
        phone = yield self.phone(service, "udp")
        (binding,) = yield service.bindings(AOR)
        answered = service.send("OPTIONS", binding)
        answered.cancel()
        with pytest.raises(CancelledError):
            yield answered
        request = yield deferToThread(phone.answer, 200)
        assert request.method == "OPTIONS"
        assert service.transactions() == {("non-INVITE server", "Completed"): 1}  # its REGISTER

    @inlineCallbacks
    def test_a_stop_ends_what_waits(self) -> Steps:
        service = self.serving(start=False, stop_deadline=0.05)
        service.startService()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            answered = self.fails(service.send("OPTIONS", f"sip:127.0.0.1:{silent.getsockname()[1]}"))
            yield service.stopService()
            assert (yield answered) == (503, "the server is stopping")

    def test_what_cannot_be_sent(self) -> None:
        service = self.serving()
        for method, target in (("INVITE", AOR), ("OPTIONS", "bob"), ("OP TIONS", AOR)):
            with pytest.raises(ValueError):
                _ = service.send(method, target)


class LostConnections(ApplicationTestCase):
    @inlineCallbacks
    def test_a_binding_may_end_with_its_connection(self) -> Steps:
        service = self.serving(terms=Terms(drop_when_flow_lost=True))
        staying = yield self.phone(service, "udp")
        for transport in ("tcp", "tls"):
            phone = yield self.phone(service, transport)
            removed = self.happens(service, "sipframe.registrar.removed")
            phone.socket.close()
            event = yield removed
            assert event.fields["reason"] == "flow lost"
            assert [one.contact for one in event.fields["removed"]] == [phone.contact]
            assert [one.contact for one in event.fields["bindings"]] == [staying.contact]

    @inlineCallbacks
    def test_one_that_was_registered_by_another_since_stays(self) -> Steps:
        service = self.serving(terms=Terms(drop_when_flow_lost=True))
        phone = yield self.phone(service, "tcp")
        again = yield self.phone(service, "tcp")
        contact = f"Contact: <{phone.contact}>"
        yield deferToThread(again.ask, again.request("REGISTER", contact, call_id=str(phone.port), cseq=2))
        lost = self.happens(service, "sipframe.registrar.removed")
        phone.socket.close()
        # The other one goes later, and its loss is the first that anybody hears of.
        yield deferToThread(again.options)
        again.socket.close()
        event = yield lost
        assert {one.contact for one in event.fields["removed"]} == {phone.contact, again.contact}

    @inlineCallbacks
    def test_losing_a_connection_is_not_losing_a_binding(self) -> Steps:
        class OnlyThese(BasePolicy):
            def registration(
                self, request: Request, aor: str, identity: Identity, terms: Terms
            ) -> Terms | Rejected:
                return terms._replace(drop_when_flow_lost=request.first("x-drop") is not None)

        service = self.serving(policies=[OnlyThese()])
        phone = yield self.phone(service, "tcp")
        running = service._running
        assert running is not None
        assert running.registrar is not None
        assert running.registrar.flow_bindings.remembered == 0
        phone.socket.close()
        witness = yield self.phone(service, "udp")
        found = yield service.bindings(AOR)
        assert [one.contact for one in found] == [phone.contact, witness.contact]


class Restarts(ApplicationTestCase):
    @inlineCallbacks
    def test_a_binding_from_before_a_restart_finds_no_flow_of_another_process(self) -> Steps:
        store = MemoryStore()
        service = self.serving(start=False, store=store)
        texts: list[str | None] = []
        for _ in range(2):
            service.startService()
            yield self.phone(service, "tcp")
            (binding,) = yield service.bindings(AOR)
            texts.append(binding.flow)
            yield service.remove(AOR)
            running = service._running
            assert running is not None
            assert running.connections is not None
            assert [running.connections.find(text) is not None for text in texts] == [False, True][
                -len(texts) :
            ]
            yield service.stopService()
        serials = [int((text or "").split(" ")[-1]) for text in texts]
        assert abs(serials[0] - serials[1]) > 1_000


class Leaks(ApplicationTestCase):
    @inlineCallbacks
    def test_starting_using_and_stopping_leaves_nothing(self) -> Steps:
        """Requests sent, answered, timed out, refused and cancelled; connections made and taken; bindings watched."""
        from twisted.internet import reactor

        clock: Any = reactor
        service = self.serving(start=False, transactions=FAST, terms=Terms(drop_when_flow_lost=True))

        def of_ours() -> tuple[int, int, int]:
            # What is kept on purpose, and bounded: why the last answers were given, and the last values that were read.
            service.decisions._kept.clear()
            uri._remembered.cache_clear()
            name_addr._remembered.cache_clear()
            gc.collect()
            # Values are remembered by what reads them, all within bounds; what holds something is no tuple.
            ours = sum(
                str(type(one).__module__).startswith("sipframe.") and not isinstance(one, tuple)
                for one in gc.get_objects()
            )
            return ours, len(os.listdir("/proc/self/fd")), len(clock.getDelayedCalls())

        @inlineCallbacks
        def use() -> Steps:
            service.startService()
            forget = service.watch(None, lambda *_: None)
            for transport in ("udp", "tcp", "tls"):
                phone = yield self.phone(service, transport)
                found = yield service.bindings(AOR)
                answered = service.send("OPTIONS", found[-1])
                yield deferToThread(phone.answer, 200)
                response = yield answered
                assert response.status == 200
                phone.socket.close()
            yield service.remove(AOR)
            (tcp,) = [one.local for one in service.listening() if one.transport == "TCP"]
            response = yield service.send("OPTIONS", f"sip:127.0.0.1:{tcp.port};transport=tcp")  # to itself
            assert response.status == 200
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                nobody = f"sip:127.0.0.1:{taken.getsockname()[1]}"
                yield self.fails(service.send("OPTIONS", nobody))
                yield self.fails(service.send("OPTIONS", f"{nobody};transport=tcp"))
                waiting = service.send("OPTIONS", nobody)
                waiting.cancel()
                with pytest.raises(CancelledError):
                    yield waiting
            forget()
            yield service.stopService()

        seen = []
        for _ in range(6):
            yield use()
            seen.append(of_ours())
        # What leaks once a round is four more in the end; a socket of a phone may close a little later.
        assert all(last < second + 4 for second, last in zip(seen[1], seen[-1], strict=True)), seen

    @inlineCallbacks
    def test_several_in_one_process(self) -> Steps:
        one, two = self.serving(name="one"), self.serving(name="two")
        phone = yield self.phone(one, "tcp")
        assert len((yield one.bindings(AOR))) == 1
        assert (yield two.bindings(AOR)) == ()
        (binding,) = yield one.bindings(AOR)
        # The connection belongs to the other server: this one has to make its own, and nobody listens there.
        status, _ = yield self.fails(two.send("OPTIONS", binding))
        assert status == 503
        yield two.stopService()
        answered = one.send("OPTIONS", binding)
        yield deferToThread(phone.answer, 200)
        assert (yield answered).status == 200


class Limits(ApplicationTestCase):
    @inlineCallbacks
    def test_settings(self) -> Steps:
        service = self.serving(
            limits=TransportLimits(outgoing=1), transactions=TransactionSettings(max_client_transactions=1)
        )
        with socket.create_server(("127.0.0.1", 0)) as listening:
            there = f"sip:127.0.0.1:{listening.getsockname()[1]};transport=tcp"
            first = service.send("OPTIONS", there)
            status = yield self.fails(service.send("OPTIONS", there))
            assert status == (503, "too many requests of ours are on their way")
            first.cancel()
            with pytest.raises(CancelledError):
                yield first
