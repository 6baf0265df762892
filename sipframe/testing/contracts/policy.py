"""The contract of policies (:class:`sipframe.interfaces.IPolicy`).

Rules: a policy is asked about whatever a peer sends, before anybody has proved anything, so it never raises and never
grows without bound. Its terms are such that a registration can keep them (RFC 3261 10.3 step 7), and no wider than
those that it was given: a policy in a chain takes away, unless it says that it gives. What it says of a route can be
followed (RFC 3261 16.5): each target is a SIP URI, and so is each proxy on the way to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

from hypothesis import strategies as st

from sipframe.interfaces import IFlow, IPolicy
from sipframe.message import Request, SipURI
from sipframe.testing.contracts.altered import shown
from sipframe.testing.contracts.contract import Contract, close
from sipframe.testing.contracts.digest_client import register
from sipframe.testing.contracts.legal import admission_flaw, registration_flaw, route_flaw
from sipframe.testing.contracts.story import Story
from sipframe.testing.contracts.values import StillFlow, flows, identities, routings, terms
from sipframe.testing.contracts.waiting import NothingLeft, deferred_if_later
from sipframe.testing.strategies import sound_requests
from sipframe.verdicts import Address, Identity, Routing, Target, Terms

__tracebackhide__ = True  # pytest: the steps say more than where they were told

__all__ = ["PolicyContract"]


class Admit(NamedTuple):
    """May this request come in?"""

    request: Request
    flow: IFlow


class Registration(NamedTuple):
    """May this identity change the bindings of this AOR, and on which terms?"""

    request: Request
    aor: str
    identity: Identity
    terms: Terms


class Route(NamedTuple):
    """Where does this request go?"""

    request: Request
    identity: Identity | None
    routing: Routing


class Pass(NamedTuple):
    """Time passes."""

    seconds: float


Question = Admit | Registration | Route


class PolicyContract(Contract):
    """What any policy has to do. Say how it is made::

        class TestShortNumbers(PolicyContract):
            deterministic = True

            def open_policy(self, place: Path) -> ShortNumbers:
                return ShortNumbers()

            def size(self, policy: ShortNumbers) -> int:
                return len(policy.numbers)

    ``size`` is for policies that remember something: how much it is, which never gets to be more than ``most``.
    """

    deterministic: ClassVar[bool] = False
    """The same question has the same answer, whatever was asked before."""
    widens: ClassVar[bool] = False
    """It may give more than the policies before it: longer times, more contacts, third parties."""
    most: ClassVar[int] = 1000
    """What ``size`` never gets to exceed; ten times as many sources and AORs are tried."""

    def open_policy(self, place: Path) -> object:
        """Make the policy; ``place`` is an empty directory of its own. May return a Deferred or a coroutine of it."""
        raise NotImplementedError

    def close_policy(self, policy: Any) -> object:
        """Close it. The default calls ``close()``, when there is one."""
        return close(policy)

    def size(self, policy: Any) -> int | None:
        """How many things it remembers, each of them small; None when that is of no interest."""
        return None

    def test_provides_the_interface(self) -> None:
        with self.opened() as it:
            self.verify(IPolicy, it.policy)

    def test_any_request_has_a_verdict(self) -> None:
        self.for_all(self.check, st.tuples(_admissions()))

    def test_any_registration_has_a_verdict(self) -> None:
        self.for_all(self.check, st.tuples(_registrations()))

    def test_any_proxied_request_has_a_verdict(self) -> None:
        self.for_all(self.check, st.tuples(_routes()))

    def test_any_sequence_of_questions(self) -> None:
        passing = st.builds(Pass, st.sampled_from([0.001, 1.0, 30.0, 3600.0]))
        self.for_all(self.check, st.lists(st.one_of(_plain_questions(), passing), min_size=2, max_size=15))

    def test_many_at_once(self) -> None:
        with self.opened() as it:
            peers = [Address(f"192.0.2.{n}", 5060) for n in range(1, 9)]
            it.ask([Admit(register("example.com"), StillFlow(peer=peer)) for peer in peers])
            it.ask([_of(n) for n in range(8)])
            it.ask([_to(n) for n in range(8)])

    def test_the_same_question_has_the_same_answer(self) -> None:
        if not self.deterministic:
            return

        def check(question: Question, others: list[Question]) -> None:
            with self.opened() as it:
                first = it.ask([question])
                it.ask(others)
                if it.ask([question]) != first:
                    it.story.broken("The same question has the same answer, whatever was asked before.")

        self.for_all(
            check,
            st.one_of(_admissions(), _registrations(), _routes()),
            st.lists(_plain_questions(), max_size=5),
        )

    def test_memory_is_bounded(self) -> None:
        with self.opened() as it:
            if self.size(it.policy) is None:
                return
            for n in range(10 * self.most):
                flow = StillFlow(("UDP", "TCP", "TLS")[n % 3], Address(_address(n), 1024 + n % 60_000))
                with it.story.aside():
                    it.ask([Admit(register("example.com", f"u{n}"), flow), _of(n), _to(n)])
                    size = self.size(it.policy)
                    if size is None or size > self.most:
                        it.story.broken(
                            "What a policy remembers of its sources is bounded.",
                            f"size() is {size} after {n + 1}",
                        )

    # How the tests above speak

    def check(self, questions: Sequence[Question | Pass]) -> None:
        """Ask one question after the other."""
        with self.opened() as it:
            for question in questions:
                if isinstance(question, Pass):
                    _ = it.story.tell(f"{question.seconds:g} s pass")
                    self.reactor.advance(question.seconds)
                else:
                    it.ask([question])

    @contextmanager
    def opened(self) -> Iterator[_Asked]:
        """A policy that can be asked."""
        with self.a_try() as place:
            policy = self.wait(self.open_policy(place))
            it = _Asked(self, policy)
            try:
                yield it
            finally:
                self.wait(self.close_policy(policy))
            self.nothing_is_left(it.story, policy)


class _Asked:
    """A policy under a contract: every question is told, waited for, and its verdict looked at."""

    def __init__(self, contract: PolicyContract, policy: Any) -> None:
        self.contract = contract
        self.policy = policy
        self.story = Story()

    def ask(self, questions: Sequence[Question]) -> list[object]:
        """Ask all before any answer is waited for."""
        asked = []
        for question in questions:
            step = self.story.tell(_told(question))
            before = question.request.to_bytes(), dict(question.request.fields)
            try:
                answer = deferred_if_later(getattr(self.policy, _method(question))(*question))
            except Exception as error:
                self.story.raised(step, error)
            asked.append((question, before, step, answer))
        verdicts = []
        for question, before, step, answer in asked:
            try:
                verdict = self.contract.wait(answer)
            except NothingLeft as error:
                self.story.never_answered(step, error)
            except Exception as error:
                self.story.raised(step, error)
            self.story.answered(step, verdict)
            if (question.request.to_bytes(), dict(question.request.fields)) != before:
                self.story.broken("A request is not changed.")
            self.look_at(question, verdict)
            verdicts.append(verdict)
        return verdicts

    def look_at(self, question: Question, verdict: object) -> None:
        flaw = _FLAWS[type(question)](verdict, question.request)
        if flaw:
            self.story.broken("Every answer is a verdict that can be acted on.", flaw)
        if isinstance(question, Registration) and isinstance(verdict, Terms) and not self.contract.widens:
            wider = _wider(question.terms, verdict)
            if wider:
                self.story.broken("Terms are no wider than those that were given.", wider)


_FLAWS: Final[Mapping[type, Callable[[object, Request], str]]] = {
    Admit: admission_flaw,
    Registration: registration_flaw,
    Route: route_flaw,
}


def _method(question: Question) -> str:
    return type(question).__name__.lower()


def _wider(given: Terms, made: Terms) -> str:
    for name in ("max_expires", "other_scheme_expires", "max_contacts", "max_contact_octets", "third_party"):
        before, after = getattr(given, name), getattr(made, name)
        if after > before:
            return f"{name} was {before}, and became {after}"
    if made.min_expires < given.min_expires:
        return f"min_expires was {given.min_expires}, and became {made.min_expires}"
    return ""


def _told(question: Question) -> str:
    if isinstance(question, Admit):
        return f"admit({shown(*question)})"
    if isinstance(question, Route):
        sender = None if question.identity is None else question.identity.name
        return f"route({shown(question.request)}; {sender!r}, {question.routing})"
    request, aor, identity, given = question
    usual = Terms()._asdict()
    odd = ", ".join(f"{name}={value!r}" for name, value in given._asdict().items() if value != usual[name])
    return f"registration({shown(request)}; {aor!r}, {identity.name!r} owns {sorted(identity.aors)}, Terms({odd}))"


def _admissions() -> st.SearchStrategy[Admit]:
    return st.builds(Admit, sound_requests(), flows())


def _registrations() -> st.SearchStrategy[Registration]:
    aors = st.sampled_from(
        ["sip:alice@example.com", "sip:+12015550123@example.com", "sip:x@y@example.org", "sip:\0@[::1]"]
    )
    return st.builds(Registration, sound_requests(["REGISTER"]), aors, identities(), terms())


def _routes() -> st.SearchStrategy[Route]:
    # Before a policy is asked, any other Request-URI was answered 416 (RFC 3261 16.3 step 2).
    requests = sound_requests().filter(lambda request: isinstance(request.uri, SipURI))
    return st.builds(Route, requests, st.one_of(st.none(), identities()), routings())


def _plain_questions() -> st.SearchStrategy[Question]:
    few = st.integers(0, 3)
    peers = few.map(lambda n: StillFlow(("UDP", "TCP")[n % 2], Address(f"192.0.2.{n // 2}", 5060)))
    admissions = st.builds(Admit, few.map(lambda n: register("example.com", f"u{n}")), peers)
    return st.one_of(admissions, few.map(_of), few.map(_to))


def _of(number: int) -> Registration:
    """A registration of one of many users."""
    aor = f"sip:u{number}@example.com"
    identity = Identity(f"u{number}", "example.com", frozenset((aor,)))
    return Registration(register("example.com", f"u{number}"), aor, identity, Terms())


def _to(number: int) -> Route:
    """A request to one of many users."""
    target = Target(f"sip:u{number}@192.0.2.9")
    request = register("example.com", f"u{number}", method="MESSAGE")
    return Route(request, None, Routing((target,), f"sip:u{number}@example.com"))


def _address(number: int) -> str:
    """One of many addresses, IPv4 and IPv6 in turn, no two in one /64."""
    if number % 2:
        return f"2001:db8:{number >> 16 & 0xFFFF:x}:{number & 0xFFFF:x}::1"
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
