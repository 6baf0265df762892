"""The service as an embedder has it: plug-in objects, real sockets, start and stop again and again.

The reactor is the real one; the clients block, each in a thread of its own.
"""

from __future__ import annotations

import gc
import os
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trustme
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import classImplements, implementer

from sipframe.config import Settings
from sipframe.interfaces import IAuthenticator, ICredentialSource, IFlow, ILocationStore, IPolicy
from sipframe.location import MemoryStore
from sipframe.message import Request, Response
from sipframe.plugging import Choice
from sipframe.policy import BasePolicy
from sipframe.seams import PluginLimits
from sipframe.service import SIPService
from sipframe.transport import ListenAddress
from sipframe.verdicts import Accepted, Binding, Identity, Rejected, Secret, Terms, Unavailable
from sipframe.wiring import StartError
from tests.client import Client, authorization, contacts

LISTEN = tuple(
    ListenAddress.parse(f"{transport}:0:interface=127.0.0.1") for transport in ("udp", "tcp", "tls")
)
CONTACT = "Contact: <sip:bob@192.0.2.7>"
BOB = Accepted(Identity("bob", "localhost", frozenset(("sip:bob@localhost",))))

Steps = Generator[Deferred[Any], Any, None]


@implementer(ICredentialSource)
class Everyone:
    """Everybody's password is zanzibar."""

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        return Secret(password="zanzibar")


class Waiting:
    """A plug-in's method that answers when the test says so; ``asked`` fires when it is called."""

    def __init__(self) -> None:
        self.asked: Deferred[None] = Deferred()
        self.answer: Deferred[object] = Deferred()

    def __call__(self, *arguments: object) -> Deferred[object]:
        self.asked.callback(None)
        return self.answer


@implementer(IAuthenticator)
class Asking:
    """An authenticator made of a function."""

    def __init__(self, answer: Callable[..., object]) -> None:
        self._answer = answer

    def authenticate(self, request: Request, flow: IFlow) -> object:
        return self._answer(request, flow)


def fail(*arguments: object) -> object:
    raise ZeroDivisionError


def hang(*arguments: object) -> object:
    return Deferred()


async def hang_as_coroutine(*arguments: object) -> object:
    return await Deferred()


async def accept_as_coroutine(*arguments: object) -> object:
    return BOB


class ServiceTestCase(TestCase):
    """Starts services and talks to them."""

    @pytest.fixture(autouse=True)
    def _in(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def service(self, name: str = "state", *, start: bool = True, **changes: Any) -> SIPService:
        """A service; ``changes`` are plug-ins and settings."""
        from twisted.internet import reactor

        parts = ("credentials", "authenticator", "store", "policies", "resolver", "wall_clock")
        plug_ins = {part: changes.pop(part) for part in parts if part in changes}
        if "store" in plug_ins:
            plug_ins["location"] = plug_ins.pop("store")
        settings = {"listen": LISTEN[:2], "location": Choice("memory"), **changes}
        service = SIPService(Settings(state=self.folder / name, **settings), reactor=reactor, **plug_ins)
        if start:
            service.startService()
            self.addCleanup(service.stopService)
        return service

    def client(self, service: SIPService, transport: str = "udp") -> Client:
        (address,) = [one.local for one in service.listening() if one.transport.lower() == transport]
        trust = service.settings.state / "certificate.pem"
        return Client(transport, address, trust=trust if transport == "tls" else None)

    def talk(self, service: SIPService, speech: Callable[[Client], object], transport: str = "udp") -> Any:
        """Let a client talk in a thread; a Deferred of what ``speech`` returns."""

        def talk() -> object:
            with self.client(service, transport) as client:
                return speech(client)

        return deferToThread(talk)

    def logged(self, kind: type[Exception]) -> int:
        """How many errors of a kind were logged; they no longer fail the test."""
        return len(self.flushLoggedErrors(kind))  # type: ignore[no-untyped-call]

    def register(self, service: SIPService, *fields: str, transport: str = "udp") -> Any:
        """A Deferred of the answer to a REGISTER with CONTACT, or ``fields``."""
        return self.talk(service, lambda one: one.register("zanzibar", *(fields or (CONTACT,))), transport)


@implementer(ICredentialSource)
class Unanswered:
    """Knows everybody, but says nothing before it is told to."""

    def __init__(self) -> None:
        self.asked: Deferred[object] = Deferred()

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        return self.asked


class Hanging(ServiceTestCase):
    @inlineCallbacks
    def test_who_does_not_need_it_does_not_wait(self) -> Steps:
        """What comes first is the answers to those who do not, however long that one hangs."""
        from twisted.internet import reactor

        source = Unanswered()
        service = self.service(credentials=source, plug_ins=PluginLimits(deadline=3600.0))

        def speech(client: Client) -> list[tuple[str, int, str | None]]:
            challenge = client.ask(client.request("REGISTER"))
            proof = authorization(challenge, "REGISTER", "sip:localhost", "bob", "zanzibar")
            client.send(client.request("REGISTER", CONTACT, proof, call_id="hangs", cseq=2))
            for number in range(20):
                method = "OPTIONS" if number % 2 else "REGISTER"
                client.send(client.request(method, call_id=f"other-{number}"))
            found: list[tuple[str, int, str | None]] = []
            while len(found) < 21:
                response = client.receive()
                if response.status >= 200:
                    found.append((response.call_id, response.status, response.first("retry-after")))
                if len(found) == 20:
                    gone = Unavailable("gone for an hour", 17)
                    reactor.callFromThread(source.asked.errback, gone)  # type: ignore[attr-defined]
            return found

        found = yield self.talk(service, speech, "tcp")
        assert found[:20] == [(f"other-{number}", 200 if number % 2 else 401, None) for number in range(20)]
        assert found[20] == ("hangs", 503, "17")
        (decision,) = service.decisions.about(call_id="hangs")
        assert [step[:3] for step in decision.steps] == [
            ("Unanswered.secret", "Unavailable", "gone for an hour"),
            ("DigestAuthenticator.authenticate", "Unavailable", "gone for an hour"),
        ]

    @inlineCallbacks
    def test_who_hangs_up_is_waited_for_no_longer(self) -> Steps:
        source = Unanswered()
        cancelled: Deferred[None] = Deferred()
        source.asked = Deferred(lambda _: cancelled.callback(None))
        service = self.service(credentials=source, plug_ins=PluginLimits(deadline=3600.0))

        def speech(client: Client) -> None:
            challenge = client.ask(client.request("REGISTER"))
            proof = authorization(challenge, "REGISTER", "sip:localhost", "bob", "zanzibar")
            client.send(client.request("REGISTER", CONTACT, proof, cseq=2))
            assert client.receive().status == 100  # it is worked on

        yield self.talk(service, speech, "tcp")
        yield cancelled
        assert sum(service.transactions().values()) == 0
        assert len(list(service.decisions)) == 1


class PlugIns(ServiceTestCase):
    @inlineCallbacks
    def test_a_credential_source(self) -> Steps:
        service = self.service(listen=LISTEN, credentials=Everyone())

        def register(client: Client) -> Response:
            contact = f"Contact: <sip:bob@192.0.2.7;transport={client.transport}>"
            return client.register("zanzibar", contact, call_id=client.transport)

        for number, transport in enumerate(("udp", "tcp", "tls")):
            response = yield self.talk(service, register, transport)
            assert (response.status, len(response.contacts)) == (200, number + 1)
            wrong = yield self.talk(service, lambda one: one.register("wrong"), transport)
            assert wrong.status == 401

    @inlineCallbacks
    def test_a_credential_source_that_waits(self) -> Steps:
        for answer in ("zanzibar", Secret(password="zanzibar")):
            waiting = Waiting()
            source: Any = Everyone()
            source.secret = waiting
            service = self.service(credentials=source)
            answered = self.register(service)
            yield waiting.asked
            waiting.answer.callback(answer)
            response = yield answered
            assert response.status == 200

    @inlineCallbacks
    def test_an_authenticator(self) -> Steps:
        for answer in (lambda *_: BOB, accept_as_coroutine):
            response = yield self.register(self.service(authenticator=Asking(answer)))
            assert (response.status, contacts(response)) == (200, ["sip:bob@192.0.2.7"])
        refusing = Asking(lambda *_: Rejected(403, "Go Away", (("Warning", '399 x "no"'),)))
        response = yield self.register(self.service(authenticator=refusing))
        assert (response.status, response.reason) == (403, "Go Away")
        assert response.all("warning") == ['399 x "no"']

    @inlineCallbacks
    def test_who_does_not_answer_in_time_is_503(self) -> Steps:
        class HangingPolicy(BasePolicy):
            def admit(self, *arguments: object) -> Any:
                return hang()

        class HangingRegistration(BasePolicy):
            def registration(self, *arguments: object) -> Any:
                return hang()

        class HangingStore(MemoryStore):
            def replace(self, *arguments: object) -> Any:
                return hang()

        hanging: list[dict[str, Any]] = [
            {"authenticator": Asking(hang)},
            {"authenticator": Asking(hang_as_coroutine)},
            {"policies": [HangingPolicy()]},
            {"policies": [BasePolicy(), HangingRegistration()]},
            {"store": HangingStore()},
        ]
        for number, plug_ins in enumerate(hanging):
            plug_ins = {"authenticator": Asking(lambda *_: BOB), **plug_ins}
            service = self.service(str(number), plug_ins=PluginLimits(deadline=0.05), **plug_ins)
            response = yield self.register(service)
            assert (response.status, response.all("retry-after")) == (503, ["5"]), plug_ins

    @inlineCallbacks
    def test_who_fails_is_500(self) -> Steps:
        class FailingPolicy(BasePolicy):
            def admit(self, *arguments: object) -> Any:
                return fail()

        class FailingRegistration(BasePolicy):
            def registration(self, *arguments: object) -> Any:
                return fail()

        class FailingStore(MemoryStore):
            def lookup(self, *arguments: object) -> Any:
                return fail()

        failing: list[dict[str, Any]] = [
            {"authenticator": Asking(fail)},
            {"authenticator": Asking(lambda *_: None)},
            {"policies": [FailingPolicy()]},
            {"policies": [FailingRegistration()]},
            {"store": FailingStore()},
        ]
        events: list[str] = []
        for number, plug_ins in enumerate(failing):
            plug_ins = {"authenticator": Asking(lambda *_: BOB), **plug_ins}
            service = self.service(str(number), **plug_ins)
            service.events.subscribe(lambda event: events.append(event.name))
            response = yield self.register(service)
            assert response.status == 500, plug_ins
        assert events.count("sipframe.plugin.failed") == len(failing)
        assert self.logged(ZeroDivisionError) == 4
        assert self.logged(TypeError) == 1

    @inlineCallbacks
    def test_policies_are_asked_in_order(self) -> Steps:
        asked: list[str] = []

        class Policy(BasePolicy):
            def __init__(self, name: str, max_contacts: int) -> None:
                self._name, self._max_contacts = name, max_contacts

            def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> Terms:
                asked.append(f"{self._name} {aor} {identity.name} {terms.max_contacts}")
                return terms._replace(max_contacts=self._max_contacts)

        service = self.service(
            authenticator=Asking(lambda *_: BOB), policies=[Policy("a", 7), Policy("b", 1)]
        )
        two = yield self.register(service, "Contact: <sip:a@192.0.2.1>, <sip:b@192.0.2.1>")
        assert two.status == 403
        assert asked == ["a sip:bob@localhost bob 10", "b sip:bob@localhost bob 7"]

    @inlineCallbacks
    def test_a_given_store_is_neither_started_nor_closed(self) -> Steps:
        store = MemoryStore()
        for expected in (1, 2):
            service = self.service(start=False, authenticator=Asking(lambda *_: BOB), store=store)
            service.startService()
            assert service.location is store
            response = yield self.register(service)
            assert response.status == (
                200 if expected == 1 else 400
            )  # CSeq 1 of this Call-ID was there before
            yield service.stopService()
        assert len(store.lookup("sip:bob@localhost").bindings) == 1


class Wrong:
    """Claims to be everything, and has nothing."""


# Not by @implementer: the type checker sees through that.
claim: Any = classImplements
claim(Wrong, IAuthenticator, ICredentialSource, ILocationStore, IPolicy)


class Starts(ServiceTestCase):
    WRONG: ClassVar[tuple[object, ...]] = (object(), Wrong())

    def test_what_is_no_plug_in_is_refused(self) -> None:
        for wrong in self.WRONG:
            for plug_ins in (
                {"authenticator": wrong},
                {"store": wrong},
                {"policies": [BasePolicy(), wrong]},
                {"credentials": wrong},
            ):
                with pytest.raises(StartError, match="is no I"):
                    self.service(start=False, **plug_ins)

    @inlineCallbacks
    def test_a_start_that_fails_leaves_nothing_open(self) -> Steps:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            last = ListenAddress("tcp", taken.getsockname()[1], "127.0.0.1")
            service = self.service(start=False, location=Choice("sqlite"), listen=(*LISTEN, last))
            with pytest.raises(StartError, match="address already in use"):
                service.startService()
            assert service.listening() == ()
        yield service.stopService()
        # The same object starts once the port is free.
        service.startService()
        self.addCleanup(service.stopService)
        assert len(service.listening()) == 4
        status = yield self.talk(service, lambda one: one.options())
        assert status == 200

    @inlineCallbacks
    def test_again_and_again_without_leaks(self) -> Steps:
        from twisted.internet import reactor

        def open_things() -> tuple[int, int, int]:
            gc.collect()
            clock: Any = reactor
            threads = [one for one in threading.enumerate() if "PoolThread" not in one.name]
            return len(os.listdir("/proc/self/fd")), len(threads), len(clock.getDelayedCalls())

        def again(cseq: int) -> Callable[[Client], Response]:
            return lambda one: one.register("zanzibar", CONTACT, call_id=one.transport, cseq=cseq)

        service = self.service(start=False, listen=LISTEN, location=Choice("sqlite"), credentials=Everyone())
        seen = []
        for number in range(6):
            service.startService()
            for transport in ("udp", "tcp", "tls"):
                response = yield self.talk(service, again(2 * number + 1), transport)
                assert response.status == 200
            yield service.stopService()
            assert service.listening() == ()
            seen.append(open_things())
        # What leaks once a round is five more in the end; a socket of a client may close a little later.
        assert all(last < first + 5 for first, last in zip(seen[0], seen[-1], strict=True)), seen

    @inlineCallbacks
    def test_several_in_one_process(self) -> Steps:
        services = [self.service(str(number), credentials=Everyone()) for number in range(3)]
        for number, service in enumerate(services):
            response = yield self.register(service, f"Contact: <sip:bob@192.0.2.{number}>")
            assert contacts(response) == [f"sip:bob@192.0.2.{number}"]
        yield services[0].stopService()
        status = yield self.talk(services[1], lambda one: one.options())
        assert status == 200
        assert services[0].listening() == ()

    @inlineCallbacks
    def test_a_stop_twice_is_one(self) -> Steps:
        service = self.service()
        yield service.stopService()
        yield service.stopService()
        assert service.location is None
        assert service.transactions() == {}
        assert service.reload() == ()


class Stops(ServiceTestCase):
    @inlineCallbacks
    def test_what_waits_is_answered(self) -> Steps:
        for transport in ("udp", "tcp"):
            waiting = Waiting()
            service = self.service(transport, authenticator=Asking(waiting))
            answered = self.register(service, transport=transport)
            yield waiting.asked
            stopped = service.stopService()
            waiting.answer.callback(BOB)
            response = yield answered
            assert (response.status, contacts(response)) == (200, ["sip:bob@192.0.2.7"])
            yield stopped

    @inlineCallbacks
    def test_nobody_comes_in_meanwhile(self) -> Steps:
        waiting = Waiting()
        service = self.service(listen=LISTEN[1:2], authenticator=Asking(waiting))
        address = service.listening()[0].local
        answered = self.register(service, transport="tcp")
        yield waiting.asked
        stopped = service.stopService()
        refused = False
        while not refused:  # the port closes in the reactor's next turn
            try:
                client = yield deferToThread(Client, "tcp", address)
                client.socket.close()
            except ConnectionError:
                refused = True
        waiting.answer.callback(BOB)
        yield answered
        yield stopped

    @inlineCallbacks
    def test_what_waits_too_long_is_503(self) -> Steps:
        for transport in ("udp", "tcp"):
            waiting = Waiting()
            service = self.service(
                transport,
                authenticator=Asking(waiting),
                stop_deadline=0.05,
                plug_ins=PluginLimits(deadline=3600),
            )
            answered = self.register(service, transport=transport)
            yield waiting.asked
            yield service.stopService()
            response = yield answered
            assert (response.status, response.all("retry-after")) == (503, ["5"])
            assert waiting.answer.called  # cancelled


class Answers(ServiceTestCase):
    def registering(self, *several: tuple[str, ...], **changes: Any) -> Any:
        """The answers to several REGISTERs of one client, the last of them over UDP."""
        service = self.service(authenticator=Asking(lambda *_: BOB), **changes)

        def speech(client: Client) -> list[Response]:
            return [
                client.ask(client.request("REGISTER", *fields, cseq=number))
                for number, fields in enumerate(several, 1)
            ]

        return self.talk(service, speech)

    @inlineCallbacks
    def test_contact_star(self) -> Steps:
        answers = yield self.registering(
            (CONTACT, "Contact: <sip:bob@192.0.2.8>"),
            ("Contact: *",),
            ("Contact: *", "Expires: 1"),
            ("Contact: *", CONTACT, "Expires: 0"),
            (f"{CONTACT}, *", "Expires: 0"),
            ("Contact: *;expires=0", "Expires: 0"),
            (),
            ("Contact: *", "Expires: 0"),
            (),
        )
        assert [one.status for one in answers] == [200, 400, 400, 400, 400, 400, 200, 200, 200]
        assert [len(one.contacts) for one in answers if one.status == 200] == [2, 2, 0, 0]

    @inlineCallbacks
    def test_too_brief(self) -> Steps:
        answers = yield self.registering((CONTACT, "Expires: 59"), (CONTACT, "Expires: 60"))
        assert [one.status for one in answers] == [423, 200]
        assert answers[0].all("min-expires") == ["60"]

    @inlineCallbacks
    def test_too_large_for_udp(self) -> Steps:
        long = [f"Contact: <sip:bob@192.0.2.7;n={number};x={'x' * 1900}>" for number in range(50)]
        parts = [tuple(long[start : start + 10]) for start in range(0, 50, 10)]
        answers = yield self.registering(*parts, terms=Terms(max_contacts=50))
        assert [one.status for one in answers] == [200, 200, 200, 500, 500]
        assert answers[-1].reason == "Answer Too Large for UDP"
        assert answers[-1].cseq.number == 5

    @inlineCallbacks
    def test_what_is_too_large_for_udp_is_there_over_tcp(self) -> Steps:
        store = MemoryStore()
        bindings = tuple(
            Binding(f"sip:bob@192.0.2.7;n={number};x={'x' * 1900}", 2.0**33, "before", 1, 0.0)
            for number in range(50)
        )
        assert store.replace("sip:bob@localhost", bindings, 0)
        service = self.service(authenticator=Asking(lambda *_: BOB), store=store)

        def fetch(client: Client) -> int:
            if client.transport == "udp":
                return client.ask(client.request("REGISTER")).status
            client.send(client.request("REGISTER", call_id="tcp"))
            received = b""
            while received.count(b"\r\nContact:") < 50 or not received.endswith(b"\r\n\r\n"):
                received += client.socket.recv(65_535)
            return int(received[8:11])

        status = yield self.talk(service, fetch)
        assert status == 500
        status = yield self.talk(service, fetch, "tcp")
        assert status == 200


class Certificates(ServiceTestCase):
    @inlineCallbacks
    def test_files_that_change_are_taken_into_use(self) -> Steps:
        authority = trustme.CA()
        chain, key, trust = (self.folder / name for name in ("chain.pem", "key.pem", "ca.pem"))
        authority.cert_pem.write_to_path(trust)

        def renew() -> None:
            made = authority.issue_cert("localhost")
            made.private_key_pem.write_to_path(key)
            made.cert_chain_pems[0].write_to_path(chain)

        def shown(client: Client) -> bytes | None:
            assert client.options() == 200
            assert isinstance(client.socket, ssl.SSLSocket)
            return client.socket.getpeercert(binary_form=True)

        renew()
        service = self.service(listen=LISTEN[2:], certificates=((chain, key),), certificates_every=0.01)
        address = service.listening()[0].local

        def connect() -> Client:
            return Client("tls", address, trust=trust)

        def look() -> bytes | None:
            with connect() as client:
                return shown(client)

        before = yield deferToThread(connect)
        self.addCleanup(before.socket.close)
        first = yield deferToThread(shown, before)
        renew()
        while (yield deferToThread(look)) == first:  # until trial's own time-out
            pass
        still = yield deferToThread(shown, before)
        assert still == first  # the connection went on, with what it began with
