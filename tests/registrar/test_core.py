"""The registrar's driver: what it asks, in which order, and what happens when those it asks do anything at all."""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple, Unpack, cast

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from sipframe.events import Event, Events
from sipframe.interfaces import IFlow
from sipframe.message import MessageError, Request
from sipframe.registrar import Domains, Registrar
from sipframe.seams import Seam
from sipframe.transaction import ServerTransaction, TransactionLayer, TransactionSettings, TransactionUser
from sipframe.verdicts import (
    NO_BINDINGS,
    Abstained,
    Accepted,
    Binding,
    Challenge,
    Identity,
    Rejected,
    Snapshot,
    Terms,
    Unavailable,
)
from tests.fakes import FakeFlow, Parts, request

NOW = 1_700_000_000.0
DEADLINE = 5.0
AOR = "sip:bob@example.com"
BOB = "sip:bob@client.example.com"
IDENTITY = Identity("bob", "example.com", frozenset([AOR]))


class Answer(NamedTuple):
    call_id: str
    status: int
    reason: str
    fields: str
    kept: bool


def given(answer: object) -> object:
    """A script's answer; a function is called for it."""
    return answer() if callable(answer) and not isinstance(answer, type) else answer


class Authenticator:
    def __init__(self, log: list[tuple[object, ...]]) -> None:
        self.log = log
        self.answer: object = Accepted(IDENTITY)

    def authenticate(self, request: Request, flow: IFlow) -> object:
        self.log.append(("authenticate", request.cseq.number))
        return given(self.answer)


class Policy:
    def __init__(self, log: list[tuple[object, ...]], name: str = "policy") -> None:
        self.log = log
        self.name = name
        self.answer: object | None = None
        self.plain = True

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> object:
        self.log.append((self.name, aor, identity.name, terms.max_expires))
        return terms if self.plain else given(self.answer)


class Store:
    """A dictionary; ``lookups`` and ``replaces`` are answers to give before its own."""

    def __init__(self, log: list[tuple[object, ...]]) -> None:
        self.log = log
        self.snapshots: dict[str, Snapshot] = {}
        self.lookups: list[object] = []
        self.replaces: list[object] = []

    def lookup(self, aor: str) -> object:
        self.log.append(("lookup", aor))
        return given(self.lookups.pop(0)) if self.lookups else self.snapshots.get(aor, NO_BINDINGS)

    def replace(self, aor: str, bindings: tuple[Binding, ...], version: int) -> object:
        self.log.append(("replace", aor, [one.contact for one in bindings], version))
        return given(self.replaces.pop(0)) if self.replaces else self.put(aor, bindings, version)

    def put(self, aor: str, bindings: tuple[Binding, ...], version: int) -> bool:
        if self.snapshots.get(aor, NO_BINDINGS).version != version:
            return False
        self.snapshots[aor] = Snapshot(bindings, version + 1)
        return True


class World(TransactionUser):
    """A registrar, all that it asks, and the transactions that it answers."""

    def __init__(self, *, terms: Terms | None = None, policies: int = 1, most_waiting: int = 3) -> None:
        self.log: list[tuple[object, ...]] = []
        self.answers: list[Answer] = []
        self.happened: list[Event] = []
        self.clock = Clock()
        self.flow = FakeFlow()
        self.authenticator = Authenticator(self.log)
        self.policies = [Policy(self.log, f"policy {n}") for n in range(policies)]
        self.store = Store(self.log)
        events = Events()
        _ = events.subscribe(self.happened.append)
        self.registrar = Registrar(
            domains=Domains(["example.com", "example.org"], {"alias.example.com": "example.com"}),
            authenticator=self.authenticator,
            store=self.store,
            policies=self.policies,
            terms=Terms() if terms is None else terms,
            seam=Seam(self.clock, DEADLINE, events),
            events=events,
            wall_clock=lambda: NOW + self.clock.seconds(),
            answering=self,
            most_waiting=most_waiting,
            most_asked=5,
        )
        self.layer = TransactionLayer(
            self.clock, TransactionSettings(), self, lambda *_: b"trying", lambda *_: b"ok"
        )
        self.branches = 0

    def request(self, transaction: ServerTransaction) -> None:
        self.registrar.register(transaction)

    def answer(
        self, transaction: ServerTransaction, status: int, reason: str, fields: str = "", *, kept: bool
    ) -> None:
        # transaction.request raises when there was an answer before: nothing is ever answered twice.
        self.log.append(("answer", status))
        self.answers.append(Answer(transaction.request.call_id, status, reason, fields, kept))
        (transaction.respond if kept else transaction.respond_stateless)(status, b"answer")

    def register(self, *fields: str, **parts: Unpack[Parts]) -> None:
        self.branches += 1
        parts.setdefault("branch", f"z9hG4bK{self.branches}")
        self.layer.request(request("REGISTER", *fields, **parts), self.flow)

    def bind(self, number: int = 1, call: str = "call-1", **parts: Unpack[Parts]) -> None:
        parts.setdefault("cseq", number)
        parts.setdefault("call_id", call)
        self.register(f"Contact: <{BOB}>", **parts)

    def statuses(self) -> list[int]:
        return [one.status for one in self.answers]

    def contacts(self, aor: str = AOR) -> list[str]:
        return [one.contact for one in self.store.snapshots.get(aor, NO_BINDINGS).bindings]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[LogEvent]]:
    """What was logged; a Deferred that nobody looked at fails the test."""
    found: list[LogEvent] = []
    observer = cast(ILogObserver, found.append)
    globalLogPublisher.addObserver(observer)
    yield found
    _ = gc.collect(1)
    globalLogPublisher.removeObserver(observer)
    assert [one for one in found if "Unhandled" in str(one.get("log_format"))] == []


class Slow:
    """Something that answers when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[Any]] = []

    def __call__(self) -> Deferred[Any]:
        one: Deferred[Any] = Deferred()
        self.waiting.append(one)
        return one

    def answer(self, value: object) -> None:
        self.waiting.pop(0).callback(value)


# The ways of giving a value.


def later(clock: Clock, value: object) -> Deferred[object]:
    one: Deferred[object] = Deferred()
    _ = clock.callLater(1, one.callback, value)
    return one


async def at_once(value: object) -> object:
    return value


async def after_a_while(clock: Clock, value: object) -> object:
    return await later(clock, value)


WAYS: dict[str, Callable[[Clock, object], object]] = {
    "value": lambda clock, value: value,
    "fired Deferred": lambda clock, value: succeed(value),
    "Deferred": later,
    "chained Deferred": lambda clock, value: succeed(None).addCallback(lambda _: later(clock, value)),
    "coroutine": lambda clock, value: at_once(value),
    "waiting coroutine": after_a_while,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
class TestEveryWayToAnswer:
    def finish(self, world: World) -> None:
        world.bind()
        world.clock.advance(1)
        assert (world.statuses(), world.contacts()) == ([200], [BOB])
        world.clock.advance(100)
        assert world.statuses() == [200]

    def test_authenticator(self, world: World, way: Callable[[Clock, object], object]) -> None:
        world.authenticator.answer = lambda: way(world.clock, Accepted(IDENTITY))
        self.finish(world)

    def test_policy(self, world: World, way: Callable[[Clock, object], object]) -> None:
        world.policies[0].plain = False
        world.policies[0].answer = lambda: way(world.clock, Terms())
        self.finish(world)

    def test_lookup(self, world: World, way: Callable[[Clock, object], object]) -> None:
        world.store.lookups = [lambda: way(world.clock, NO_BINDINGS)]
        self.finish(world)

    def test_replace(self, world: World, way: Callable[[Clock, object], object]) -> None:
        def replace() -> object:
            _ = world.store.put(AOR, (Binding(BOB, NOW + 3600, "call-1", 1, NOW),), 0)
            return way(world.clock, True)

        world.store.replaces = [replace]
        self.finish(world)


# The ways of failing.


class Broken(Exception):
    pass


def raises() -> object:
    raise Broken


def raises_unavailable() -> object:
    raise Unavailable("come back", 17)


async def broken_coroutine() -> object:
    raise Broken


def never() -> Deferred[object]:
    return Deferred()


async def obstinate() -> object:
    """A loop that takes its cancellation for one more failure."""
    while True:
        try:
            return await never()
        except Exception:
            continue


def broken_canceller(_: Deferred[object]) -> None:
    raise Broken


def stubborn_canceller(one: Deferred[object]) -> None:
    one.callback(Accepted(IDENTITY))


class AcceptedChild(Accepted):
    pass


FAILURES: dict[str, tuple[object, int]] = {
    "raises": (raises, 500),
    "raises Unavailable": (raises_unavailable, 503),
    "failed Deferred": (lambda: fail(Broken()), 500),
    "Deferred failed by Unavailable": (lambda: fail(Unavailable("x")), 503),
    "coroutine raises": (broken_coroutine, 500),
    "no answer": (never, 503),
    "no answer behind a fired Deferred": (lambda: succeed(None).addCallback(lambda _: never()), 503),
    "a coroutine that cannot be cancelled": (obstinate, 503),
    "a canceller that raises": (lambda: Deferred(broken_canceller), 503),
    "a canceller that answers": (lambda: Deferred(stubborn_canceller), 503),
    "None": (None, 500),
    "a Deferred of None": (lambda: succeed(None), 500),
    "a coroutine of None": (lambda: at_once(None), 500),
    "a str": ("yes", 500),
    "a type": (Accepted, 500),
    "1": (1, 500),
}


@pytest.mark.parametrize(("answer", "status"), FAILURES.values(), ids=FAILURES.keys())
class TestNothingWrongLetsAnyoneIn:
    def finish(self, world: World, status: int, plug_in: str, kept: bool) -> None:
        before = world.store.snapshots.copy()
        world.bind()
        world.clock.advance(DEADLINE)
        assert [(one.status, one.kept) for one in world.answers] == [(status, kept)]
        assert ("Retry-After: " in world.answers[0].fields) is (status == 503)
        assert world.store.snapshots == before
        failures = [one for one in world.happened if one.name == "sipframe.plugin.failed"]
        assert [one.fields["plugin"] for one in failures] == [plug_in]
        # Nobody else is hurt: neither now, nor what comes later for the same AOR.
        world.authenticator.answer = Accepted(IDENTITY)
        world.policies[0].plain = True
        world.bind(cseq=2)
        world.clock.advance(100)
        assert world.statuses() == [status, 200]
        assert world.contacts() == [BOB]

    def test_authenticator(self, world: World, answer: object, status: int) -> None:
        world.authenticator.answer = answer
        self.finish(world, status, "Authenticator.authenticate", kept=False)

    def test_policy(self, world: World, answer: object, status: int) -> None:
        world.policies[0].plain = False
        world.policies[0].answer = answer
        self.finish(world, status, "Policy.registration", kept=True)

    def test_lookup(self, world: World, answer: object, status: int) -> None:
        world.store.lookups = [answer]
        self.finish(world, status, "Store.lookup", kept=True)

    def test_replace(self, world: World, answer: object, status: int) -> None:
        world.store.replaces = [answer]
        self.finish(world, status, "Store.replace", kept=True)


@pytest.mark.parametrize(
    "verdict",
    [
        AcceptedChild(IDENTITY),
        Accepted(None),  # type: ignore[arg-type]
        Accepted("bob"),  # type: ignore[arg-type]
        Accepted(IDENTITY._replace(aors=f"{AOR}.au")),  # type: ignore[arg-type]
        Accepted(IDENTITY._replace(aors=None)),  # type: ignore[arg-type]
        Accepted(IDENTITY, (("Authentication-Info", "a\r\nContact: <sip:evil@example.com>"),)),
        Accepted(IDENTITY, "Authentication-Info"),  # type: ignore[arg-type]
        Challenge((), "no value"),
        Challenge(("Digest realm=a\r\nX: y",), "two lines"),
        Rejected(200, "OK"),
        Rejected(100, "Trying"),
        Rejected(302, "Moved"),
        Rejected(603, "Decline"),  # RFC 3261 10.3: a registrar MUST not generate 6xx responses
        Rejected("403", "Forbidden"),  # type: ignore[arg-type]
        Rejected(403, "Forbidden\r\nX: y"),
        Rejected(403, None),  # type: ignore[arg-type]
        Rejected(403, "Forbidden", (("X", "y\nZ: z"),)),
        Rejected(403, "Forbidden", None),  # type: ignore[arg-type]
        Terms(third_party=True),
        True,
    ],
    ids=repr,
)
def test_a_verdict_that_cannot_be_carried_out_is_500(world: World, verdict: object) -> None:
    world.authenticator.answer = verdict
    world.bind()
    assert [(one.status, one.fields, one.kept) for one in world.answers] == [(500, "", False)]
    assert world.contacts() == []


@pytest.mark.parametrize(
    "verdict",
    [
        Rejected(200, "OK"),
        Rejected(600, "Busy"),
        Rejected(403, "\n"),
        Terms(max_expires="7200"),  # type: ignore[arg-type]
        Terms(max_contacts=None),  # type: ignore[arg-type]
        Terms(max_expires=-1),
        Terms(max_expires=float("nan")),  # type: ignore[arg-type]
        Terms(min_expires=7201),
        Terms(max_contacts=0),
        Terms(when_full="drop"),  # type: ignore[arg-type]
        Accepted(IDENTITY),
    ],
    ids=repr,
)
def test_so_are_terms_that_cannot(world: World, verdict: object) -> None:
    world.policies[0].plain = False
    world.policies[0].answer = verdict
    world.bind()
    assert world.statuses() == [500]
    world.policies[0].plain = True
    world.bind(cseq=2)
    assert world.statuses() == [500, 200]


@pytest.mark.parametrize(
    "snapshot",
    [
        Snapshot(None, 0),  # type: ignore[arg-type]
        Snapshot(("sip:bob@client.example.com",), 0),  # type: ignore[arg-type]
        Snapshot((Binding(BOB, "soon", "x", 1, NOW),), 0),  # type: ignore[arg-type]
        ((), 0),
    ],
    ids=repr,
)
def test_and_so_is_a_store_with_nonsense_in_it(world: World, snapshot: object) -> None:
    world.store.lookups = [snapshot]
    world.bind()
    world.bind(cseq=2)
    assert (world.statuses(), world.contacts()) == ([500, 200], [BOB])


class TestOrder:
    def test_each_is_asked_once_and_in_order(self) -> None:
        world = World(policies=2)
        world.bind()
        assert world.log == [
            ("authenticate", 1),
            ("policy 0", AOR, "bob", 7200),
            ("policy 1", AOR, "bob", 7200),
            ("lookup", AOR),
            ("replace", AOR, [BOB], 0),
            ("answer", 200),
        ]

    def test_a_query_does_not_write(self, world: World) -> None:
        world.register()
        assert world.log[-2:] == [("lookup", AOR), ("answer", 200)]

    def test_the_first_policy_that_refuses_ends_it(self) -> None:
        world = World(policies=2)
        world.policies[0].plain = False
        world.policies[0].answer = Rejected(403, "Not today", (("X-Why", "Sunday"),))
        world.bind()
        assert world.log[1:] == [("policy 0", AOR, "bob", 7200), ("answer", 403)]
        assert world.answers == [Answer("call-1", 403, "Not today", "X-Why: Sunday\r\n", True)]

    def test_each_policy_gets_the_terms_of_the_one_before(self) -> None:
        world = World(policies=2)
        world.policies[0].plain = False
        world.policies[0].answer = Terms(max_expires=100)
        world.bind()
        assert world.log[2] == ("policy 1", AOR, "bob", 100)
        assert f"Contact: <{BOB}>;expires=100\r\n" in world.answers[0].fields


class TestSteps:
    """RFC 3261 10.3."""

    @pytest.mark.parametrize("uri", ["sip:elsewhere.example", "sip:192.0.2.9", "sip:sub.example.com"])
    def test_1_another_domain(self, world: World, uri: str) -> None:
        world.bind(uri=uri)
        assert world.log == [("answer", 404)]
        assert not world.answers[0].kept

    @pytest.mark.parametrize(
        "uri", ["sip:example.com", "sips:EXAMPLE.com.", "sip:alias.example.com", "sip:192.0.2.1:5060"]
    )
    def test_1_the_domain_and_its_other_names(self, world: World, uri: str) -> None:
        world.bind(uri=uri)
        assert world.statuses() == [200]

    def test_3_a_challenge_leaves_nothing_behind(self, world: World) -> None:
        world.authenticator.answer = Challenge(("Digest a", "Digest b"), "no credentials")
        world.bind()
        fields = "WWW-Authenticate: Digest a\r\nWWW-Authenticate: Digest b\r\n"
        assert world.answers == [Answer("call-1", 401, "Unauthorized", fields, False)]
        assert world.log == [("authenticate", 1), ("answer", 401)]
        assert sum(world.layer.active().values()) == 0
        assert world.clock.getDelayedCalls() == []

    def test_3_the_authenticator_may_refuse(self, world: World) -> None:
        world.authenticator.answer = Rejected(403, "Banned")
        world.bind()
        assert world.answers == [Answer("call-1", 403, "Banned", "", False)]

    def test_3_whom_no_authenticator_has_anything_to_say_about_is_refused(self, world: World) -> None:
        world.authenticator.answer = Abstained("no client certificate")
        world.bind()
        assert world.answers == [Answer("call-1", 403, "Forbidden", "", False)]
        assert world.contacts() == []

    def test_3_its_fields_are_in_the_200(self, world: World) -> None:
        world.authenticator.answer = Accepted(IDENTITY, (("Authentication-Info", 'nextnonce="n"'),))
        world.bind()
        assert 'Authentication-Info: nextnonce="n"\r\n' in world.answers[0].fields

    def test_4_whoever_does_not_own_the_aor_is_refused(self, world: World) -> None:
        world.bind(to="<sip:alice@example.com>")
        assert [(one.status, one.kept) for one in world.answers] == [(403, True)]
        assert [one[0] for one in world.log] == ["authenticate", "policy 0", "answer"]

    def test_4_a_policy_may_allow_third_party_registration(self, world: World) -> None:
        world.policies[0].plain = False
        world.policies[0].answer = Terms(third_party=True)
        world.bind(to="<sip:alice@example.com>")
        assert world.contacts("sip:alice@example.com") == [BOB]

    @pytest.mark.parametrize("yes", [1, "no"])
    def test_4_but_only_by_saying_true(self, world: World, yes: object) -> None:
        world.policies[0].plain = False
        world.policies[0].answer = Terms(third_party=yes)  # type: ignore[arg-type]
        world.bind(to="<sip:alice@example.com>")
        assert world.statuses() == [403]

    @pytest.mark.parametrize(
        ("uri", "to"),
        [
            ("sip:example.com", "<sip:bob@elsewhere.example>"),
            ("sip:example.com", "<sip:example.com>"),
            ("sip:example.com", "<sip:bob@example.org>"),  # ours, but not valid for this domain
            ("sip:example.org", "<sip:bob@example.com>"),
            ("sip:192.0.2.1", "<sip:bob@192.0.2.9>"),
        ],
    )
    def test_5_an_aor_that_is_not_valid_for_the_domain_is_404(self, world: World, uri: str, to: str) -> None:
        world.bind(uri=uri, to=to)
        assert world.log == [("authenticate", 1), ("answer", 404)]

    @pytest.mark.parametrize(
        "to",
        [
            "<sip:bob@example.com>",
            "<sip:bob@EXAMPLE.COM:5061;transport=tcp;user=phone>",
            "sip:%62%6Fb@example.com",
            "<sips:bob@example.com>",
            "<sip:bob:secret@alias.example.com>;tag=old",  # a To tag means nothing here
        ],
    )
    def test_5_the_canonical_form_is_the_index(self, world: World, to: str) -> None:
        world.bind(to=to)
        assert world.contacts() == [BOB]

    @pytest.mark.parametrize("to", ["<tel:+12125551212>", "<mailto:bob@example.com>", "<sip:>"])
    def test_an_aor_must_be_a_sip_uri(self, world: World, to: str) -> None:
        # RFC 3261 10.2; RFC 4475 3.3.4
        with pytest.raises(MessageError):
            world.bind(to=to)
        assert world.log == []

    def test_6_what_makes_no_sense_is_said_before_anyone_is_asked(self, world: World) -> None:
        with pytest.raises(MessageError, match="alone"):
            world.register("Contact: *", "Contact: <sip:a@b>", "Expires: 0")
        with pytest.raises(MessageError, match="Too many"):
            world.register("Contact: " + ", ".join(["<sip:a@b>"] * 6), call_id="2")
        assert world.log == []

    def test_7_a_failed_commit_is_500(self, world: World) -> None:
        """... for example, because the back-end database commit failed ... MUST fail with a 500."""
        world.store.replaces = [raises]
        world.bind()
        assert (world.statuses(), world.contacts()) == ([500], [])

    def test_8_the_200(self, world: World) -> None:
        """Contact, each with expires; the response SHOULD include a Date header field."""
        world.register(f"Contact: <{BOB}>;q=0.5, <mailto:bob@example.com>", "Expires: 600")
        assert world.answers == [
            Answer(
                "call-1",
                200,
                "OK",
                f"Contact: <{BOB}>;expires=600;q=0.5\r\nContact: <mailto:bob@example.com>;expires=600\r\n"
                "Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n",
                True,
            )
        ]
        world.clock.advance(61)
        world.register(call_id="2")
        assert "expires=539" in world.answers[1].fields
        assert "Date: Tue, 14 Nov 2023 22:14:21 GMT\r\n" in world.answers[1].fields

    def test_8_path_comes_back_to_who_supports_it(self, world: World) -> None:
        # RFC 3327 5.3
        path = "Path: <sip:p1.example.com;lr>,<sip:p2.example.com;lr>"
        world.register(f"Contact: <{BOB}>", path)
        assert "Path:" not in world.answers[0].fields
        world.register(f"Contact: <{BOB}>", path, "Supported: Path", cseq=2)
        assert "Path: <sip:p1.example.com;lr>\r\nPath: <sip:p2.example.com;lr>\r\n" in world.answers[1].fields

    def test_8_a_malformed_supported_is_said_before_anything_is_changed(self, world: World) -> None:
        with pytest.raises(MessageError):
            world.register(f"Contact: <{BOB}>", "Path: <sip:p.example.com;lr>", "Supported: (")
        assert world.log == []
        world.bind(cseq=2)
        assert world.statuses() == [200]

    def test_423_has_its_field(self, world: World) -> None:
        world.register(f"Contact: <{BOB}>;expires=5")
        assert world.answers == [Answer("call-1", 423, "Interval Too Brief", "Min-Expires: 60\r\n", True)]


class TestTurns:
    """REGISTER requests MUST be processed by a registrar in the order that they are received (RFC 3261 10.3)."""

    def test_one_aor_waits_for_its_store_and_no_other_does(self, world: World) -> None:
        world.authenticator.answer = Accepted(IDENTITY._replace(aors=frozenset([AOR, "sip:al@example.com"])))
        slow = Slow()
        world.store.lookups = [slow]
        world.bind(1)
        world.bind(2)
        world.bind(3)
        world.bind(1, "other", to="<sip:al@example.com>")
        assert [(one.call_id, one.status) for one in world.answers] == [("other", 200)]
        slow.answer(NO_BINDINGS)
        assert world.statuses() == [200, 200, 200, 200]
        assert world.store.snapshots[AOR].bindings[0].cseq == 3
        replaced = [one for one in world.log if one[:2] == ("replace", AOR)]
        assert [one[3] for one in replaced] == [0, 1, 2]

    def test_it_waits_for_each_replace(self, world: World) -> None:
        slow = Slow()
        world.store.replaces = [slow, slow]
        world.bind(1)
        world.bind(2, "other")
        assert [one[0] for one in world.log].count("lookup") == 1
        slow.answer(True)
        assert world.statuses() == [200]
        assert [one[0] for one in world.log].count("lookup") == 2
        slow.answer(True)
        assert world.statuses() == [200, 200]

    def test_a_slow_authenticator_holds_nobody_up(self, world: World) -> None:
        world.authenticator.answer = Slow()
        world.bind(1)
        world.authenticator.answer = Accepted(IDENTITY)
        world.bind(2, "other")
        assert [one.call_id for one in world.answers] == ["other"]

    @pytest.mark.parametrize("outcome", [raises, None, lambda: never(), lambda: fail(Broken())])
    def test_a_failure_lets_the_next_ones_through(self, world: World, outcome: object) -> None:
        slow = Slow()
        world.store.lookups = [slow, outcome]
        world.bind(1)
        world.bind(2)
        world.bind(3)
        slow.answer(NO_BINDINGS)
        world.clock.advance(DEADLINE)
        assert [status // 100 for status in world.statuses()] == [2, 5, 2]

    def test_a_refusal_by_the_plan_lets_the_next_ones_through(self, world: World) -> None:
        slow = Slow()
        world.store.lookups = [slow]
        world.bind(2)
        world.bind(1)
        world.bind(3)
        slow.answer(NO_BINDINGS)
        assert world.statuses() == [200, 400, 200]

    def test_no_more_than_most_waiting(self, world: World) -> None:
        slow = Slow()
        world.store.lookups = [slow]
        for cseq in range(1, 7):
            world.bind(cseq)
        assert [(one.status, one.fields) for one in world.answers] == [(503, "Retry-After: 5\r\n")] * 2
        slow.answer(NO_BINDINGS)
        assert world.statuses() == [503, 503, 200, 200, 200, 200]

    def test_very_many_may_wait(self) -> None:
        world = World(most_waiting=1500)
        slow = Slow()
        world.store.lookups = [slow]
        for cseq in range(1, 1502):
            world.bind(cseq)
        slow.answer(NO_BINDINGS)
        assert world.statuses() == [200] * 1501

    def test_nothing_is_left_of_a_turn(self, world: World) -> None:
        slow = Slow()
        world.store.replaces = [slow, False]
        world.bind(1)
        world.bind(2)
        slow.answer(True)
        assert world.registrar._turns._by_aor == {}


class TestRaces:
    """Compare-and-set: another writer was there between look-up and replace."""

    def test_a_race_is_planned_again(self, world: World) -> None:
        elsewhere = Binding("sip:bob@elsewhere.example.com", NOW + 99, "x", 1, NOW)

        def overtaken() -> bool:
            assert world.store.put(AOR, (elsewhere,), 0)
            return False

        world.store.replaces = [overtaken]
        world.bind()
        assert world.contacts() == [elsewhere.contact, BOB]
        assert world.statuses() == [200]
        assert elsewhere.contact in world.answers[0].fields

    def test_the_new_plan_may_be_a_refusal(self, world: World) -> None:
        def overtaken() -> bool:
            return not world.store.put(AOR, (Binding(BOB, NOW + 99, "call-1", 7, NOW),), 0)

        world.store.replaces = [overtaken]
        world.bind()
        assert world.statuses() == [400]
        world.bind(8)
        assert world.statuses() == [400, 200]

    def test_a_store_that_never_agrees_is_500(self, world: World) -> None:
        world.store.replaces = [False] * 100
        world.bind()
        assert world.statuses() == [500]
        assert [one[0] for one in world.log].count("replace") == 8
        world.store.replaces = []
        world.bind(2)
        assert world.statuses() == [500, 200]


class TestLateness:
    def test_a_late_verdict_changes_nothing(self, world: World) -> None:
        slow = Deferred[object](lambda one: None)
        late: list[Deferred[object]] = []

        async def verdict() -> object:
            try:
                return await slow
            except Exception:
                late.append(Deferred())
                return await late[0]

        world.authenticator.answer = verdict
        world.bind()
        world.clock.advance(DEADLINE)
        assert world.statuses() == [503]
        late[0].callback(Accepted(IDENTITY))
        assert (world.statuses(), world.contacts()) == ([503], [])

    def test_a_late_snapshot_changes_nothing(self, world: World) -> None:
        one: Deferred[object] = Deferred()
        world.store.lookups = [one]
        world.bind()
        world.clock.advance(DEADLINE)
        one.callback(NO_BINDINGS)
        assert (world.statuses(), world.contacts()) == ([503], [])

    def test_a_late_commit_stands_and_the_next_register_builds_on_it(self, world: World) -> None:
        """The client was told 503 and will ask again; what it asked for first is no harm. RFC 3261 10.3 step 7 wants
        a failed update undone, but a store that cannot say in time what it did cannot be told to undo it either."""
        first = Binding(BOB, NOW + 3600, "call-1", 1, NOW)
        world.store.replaces = [never]
        world.bind(1)
        world.clock.advance(DEADLINE)
        assert (world.statuses(), world.contacts()) == ([503], [])
        # It comes about between the look-up and the replace of the next one: that is a race like any other.
        world.store.replaces = [lambda: not world.store.put(AOR, (first,), 0)]
        world.bind(2)
        assert (world.statuses(), world.contacts()) == ([503, 200], [BOB])
        assert world.store.snapshots[AOR].bindings[0].cseq == 2

    def test_a_store_that_takes_its_time_takes_it_from_what_is_left(self, world: World) -> None:
        slow = Slow()
        world.store.replaces = [slow]
        world.bind(1)
        world.clock.advance(3.0)
        slow.answer(True)
        assert world.answers[0].fields.startswith(f"Contact: <{BOB}>;expires=3597\r\n")

    def test_an_answer_at_the_last_moment_counts(self, world: World) -> None:
        slow = Slow()
        world.authenticator.answer = slow
        world.bind()
        world.clock.advance(DEADLINE - 0.01)
        slow.answer(Accepted(IDENTITY))
        assert world.statuses() == [200]

    def test_a_flow_that_died_meanwhile_gets_no_answer_and_keeps_its_binding(self, world: World) -> None:
        """Losing a connection is not losing a binding; what would be sent on it is dropped, not raised."""
        slow = Slow()
        world.store.lookups = [slow]
        world.bind()
        world.flow.alive = False
        world.layer.flow_lost(world.flow)
        slow.answer(NO_BINDINGS)
        assert (world.statuses(), world.contacts(), world.flow.sent) == ([200], [BOB], [])
        world.flow.alive = True
        world.bind(2)
        assert world.statuses() == [200, 200]

    def test_a_binding_that_hangs_on_its_flow(self) -> None:
        world = World(terms=Terms(drop_when_flow_lost=True))
        world.flow = FakeFlow("TCP")
        world.register()  # a query hangs on nothing
        assert world.registrar.flow_bindings.remembered == 0
        world.bind(2)
        world.flow.alive = False
        world.registrar.flow_bindings.flow_lost(world.flow)
        assert world.contacts() == []
        assert world.happened[-1].name == "sipframe.registrar.removed"

    def test_a_retransmission_during_a_slow_answer_asks_nobody_again(self, world: World) -> None:
        slow = Slow()
        world.authenticator.answer = slow
        for _ in range(3):
            world.bind(branch="z9hG4bKsame")
        assert world.log == [("authenticate", 1)]
        slow.answer(Accepted(IDENTITY))
        world.bind(branch="z9hG4bKsame")
        assert world.statuses() == [200]


class TestEvents:
    def names(self, world: World) -> list[str]:
        return [one.name.removeprefix("sipframe.") for one in world.happened]

    def test_what_happened_is_told(self, world: World) -> None:
        world.authenticator.answer = Challenge(("Digest a",), "no credentials")
        world.bind(1)
        world.authenticator.answer = Accepted(IDENTITY)
        world.bind(2)
        world.register(cseq=3)
        world.bind(2)
        world.authenticator.answer = raises
        world.bind(4)
        assert self.names(world) == [
            "registrar.challenged",
            "registrar.bound",
            "registrar.fetched",
            "registrar.refused",
            "plugin.failed",
            "registrar.refused",
        ]
        bound = world.happened[1].fields
        assert (bound["aor"], bound["peer"], bound["call_id"]) == (AOR, world.flow.peer, "call-1")
        assert world.happened[4].fields == {"plugin": "Authenticator.authenticate", "error": "Broken"}

    def test_no_event_has_a_credential(self, world: World) -> None:
        world.authenticator.answer = Accepted(IDENTITY, (("Authentication-Info", 'rspauth="secret"'),))
        world.register(f"Contact: <{BOB}>", 'Authorization: Digest response="secret"')
        assert "secret" not in repr(world.happened)

    def test_the_log_has_the_traceback_of_what_a_plug_in_raised(
        self, world: World, logged: list[LogEvent]
    ) -> None:
        world.authenticator.answer = raises
        world.bind()
        assert [one["log_failure"].type for one in logged if "log_failure" in one] == [Broken]


def test_a_coroutine_function_will_do() -> None:
    """What a plug-in's author writes first."""

    class Mine:
        async def authenticate(self, request: Request, flow: IFlow) -> Accepted:
            return Accepted(IDENTITY)

    world = World()
    plug_in = Mine()
    kind: Coroutine[Any, Any, Accepted] = plug_in.authenticate(request(), world.flow)
    kind.close()
    world.registrar = world.registrar.reconfigured(authenticator=plug_in, policies=(), terms=Terms())
    world.bind()
    assert world.statuses() == [200]
