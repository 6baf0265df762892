"""A whole registrar without a socket: transactions, UAS core, registrar, Digest and a store, all of them real.

Each plug-in does what it is told to; the record of what was decided is read as anybody reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Unpack

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from sipframe.auth.authenticator import DigestAuthenticator
from sipframe.auth.guarded import guarded
from sipframe.auth.settings import DigestSettings
from sipframe.decisions import Decision, Decisions
from sipframe.domains import Domains
from sipframe.events import Event, Events
from sipframe.gruu import Gruus
from sipframe.interfaces import ICredentialSource, IFlow
from sipframe.location import MemoryStore
from sipframe.message import MessageError, Request, Response, parse_auth_params, parse_message
from sipframe.policy import BasePolicy
from sipframe.registrar import Registrar, RegistrarSettings
from sipframe.seams import PluginLimits, Seam, chained
from sipframe.transaction import TransactionLayer, TransactionSettings
from sipframe.uas import UserAgentServer
from sipframe.verdicts import Binding, Terms
from tests.auth import client
from tests.fakes import FakeFlow, Parts, request_bytes, response

__all__ = ["AOR", "BOB", "Hanging", "Policy", "Users", "Whole"]

AOR = "sip:bob@example.com"
BOB = "<sip:bob@192.0.2.7:5062>"
NOW = 1_700_000_000.0
PASSWORD = "zanzibar"


class Hanging:
    """Stands for answers that do not come: one Deferred each, and which of them were cancelled."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Any]] = []
        self.cancelled: list[Deferred[Any]] = []

    def __call__(self, *arguments: object) -> Deferred[Any]:
        one: Deferred[Any] = Deferred(self.cancelled.append)
        self.asked.append(one)
        return one


@implementer(ICredentialSource)
class Users:
    """bob and alice, with one password; ``answer`` stands in for it."""

    def __init__(self) -> None:
        self.answer: Callable[..., object] | None = None

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        if self.answer is not None:
            return self.answer(username)
        return PASSWORD if username in ("bob", "alice") else None


class Store(MemoryStore):
    """A memory store; ``lookup_answer`` and ``replace_answer`` stand in for it."""

    def __init__(self) -> None:
        super().__init__()
        self.lookup_answer: Callable[..., object] | None = None
        self.replace_answer: Callable[..., object] | None = None

    def lookup(self, aor: str) -> Any:
        return super().lookup(aor) if self.lookup_answer is None else self.lookup_answer(aor)

    def replace(self, aor: str, bindings: tuple[Binding, ...], version: int) -> Any:
        if self.replace_answer is not None:
            return self.replace_answer(aor, bindings, version)
        return super().replace(aor, bindings, version)


class Policy(BasePolicy):
    """Has nothing against anything, unless it is told to."""

    def __init__(self) -> None:
        self.admission: Callable[..., object] | None = None
        self.answer: Callable[..., object] | None = None

    def admit(self, request: Request, flow: IFlow) -> object:
        return super().admit(request, flow) if self.admission is None else self.admission(request, flow)

    def registration(self, request: Request, aor: str, identity: Any, terms: Terms) -> object:
        return terms if self.answer is None else self.answer(terms)


class Whole:
    """One server, and what came of each request that it was sent."""

    def __init__(
        self,
        *,
        policies: Sequence[Any] = (),
        authenticator: Any = None,
        kept: int = 1000,
        settings: RegistrarSettings | None = None,
        terms: Terms | None = None,
        **limits: Any,
    ) -> None:
        self.clock = Clock()
        self.happened: list[Event] = []
        self.events = Events()
        _ = self.events.subscribe(self.happened.append)
        self.decisions = Decisions(kept)
        self.seam = Seam(self.clock, PluginLimits(**limits), self.events)
        self.users = Users()
        self.store = Store()
        domains = Domains(["example.com", "example.org"])
        settings = RegistrarSettings() if settings is None else settings
        random = Random(1)
        self.gruus = Gruus(domains, b"k" * 32, random.randbytes)
        self.uas = UserAgentServer(
            serves=domains.serves,
            policies=policies,
            seam=self.seam,
            events=self.events,
            tag_key=b"key",
            decisions=self.decisions,
            wall_clock=lambda: NOW + self.clock.seconds(),
            aor_of=domains.aor_of,
            option_tags=settings.option_tags,
        )
        self.registrar = Registrar(
            domains=domains,
            authenticator=self.digest() if authenticator is None else authenticator,
            store=self.store,
            policies=policies,
            terms=Terms(max_contacts=2) if terms is None else terms,
            seam=self.seam,
            events=self.events,
            wall_clock=lambda: NOW + self.clock.seconds(),
            answering=self.uas,
            most_waiting=2,
            settings=settings,
            gruus=self.gruus,
        )
        self.uas.add_core("REGISTER", self.registrar.register)
        self.layer = TransactionLayer(
            self.clock, TransactionSettings(), self.uas, self.uas.trying, self.uas.cancel_ok
        )
        self.flow = FakeFlow("TCP")
        self.numbers = 0
        self.challenge: dict[str, str] = {}

    def digest(self, settings: DigestSettings | None = None) -> DigestAuthenticator:
        return DigestAuthenticator(
            guarded(self.users, self.seam),
            domains=["example.com", "example.org"],
            realm="example.com",
            secret=b"s" * 32,
            clock=self.clock.seconds,
            settings=settings,
            chain=chained,
        )

    def receive(self, data: bytes, flow: FakeFlow | None = None) -> None:
        """What a service does with what comes."""
        flow = flow or self.flow
        try:
            message = parse_message(data)
        except MessageError as error:
            self.uas.malformed(error, flow)
            return
        assert isinstance(message, Request)
        try:
            self.layer.request(message, flow)
        except MessageError as error:
            self.uas.malformed(MessageError(error.reason, error.status, message), flow)

    def send(
        self, method: str, *fields: str, flow: FakeFlow | None = None, **parts: Unpack[Parts]
    ) -> Response | None:
        """A request by itself; its answer, if it came at once."""
        self.numbers += 1
        parts.setdefault("branch", f"z9hG4bK{self.numbers}")
        parts.setdefault("cseq", self.numbers)
        flow = flow or self.flow
        before = len(flow.sent)
        self.receive(request_bytes(method, *fields, **parts), flow)
        sent = flow.sent[before:]
        return response(sent[0]) if sent else None

    def register(
        self,
        *fields: str,
        user: str = "bob",
        password: str = PASSWORD,
        flow: FakeFlow | None = None,
        **parts: Unpack[Parts],
    ) -> Response | None:
        """A REGISTER with credentials."""
        if not self.challenge:
            challenged = self.send("REGISTER", call_id="for-a-challenge")
            assert challenged is not None
            value = challenged.first("www-authenticate")
            assert value is not None
            self.challenge = parse_auth_params(value.removeprefix("Digest "))
        self.numbers += 1
        answer = client.answer(
            self.challenge, username=user, password=password, uri="sip:example.com", nc=f"{self.numbers:08x}"
        )
        return self.send(
            "REGISTER",
            f"Authorization: {client.written(answer)}",
            *(fields or (f"Contact: {BOB}",)),
            flow=flow,
            **parts,
        )

    def registrar_now(self) -> float:
        """The time of its wall clock."""
        return NOW + self.clock.seconds()

    def last(self) -> Decision:
        return next(iter(self.decisions))

    def steps(self) -> list[tuple[str, str, str]]:
        """The steps of the last decision, without their times."""
        return [step[:3] for step in self.last().steps]

    def statuses(self) -> list[int]:
        return self.flow.statuses()

    def bound(self, aor: str = AOR) -> list[str]:
        return [one.contact for one in MemoryStore.lookup(self.store, aor).bindings]
