"""The contract of authenticators (:class:`sipframe.interfaces.IAuthenticator`).

Rules: nobody is accepted without the proof, nor with a part of it, nor with somebody else's. What a peer sends never
raises. Every answer is a verdict that the server can act on, and an identity is whom the proof names, whatever the
request says besides (RFC 3261 22, 26.3.2.1). ACK and CANCEL are not asked about: they cannot be challenged (22.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

from hypothesis import strategies as st

from sipframe.interfaces import IAuthenticator, IFlow
from sipframe.message import Request
from sipframe.testing.contracts.altered import CREDENTIALS, changed, name_of, read, shown, with_field, without
from sipframe.testing.contracts.contract import Contract, close
from sipframe.testing.contracts.digest_client import answered, register
from sipframe.testing.contracts.hostile import authorizations, mangled_text
from sipframe.testing.contracts.legal import authentication_flaw
from sipframe.testing.contracts.story import Story
from sipframe.testing.contracts.values import StillFlow
from sipframe.testing.contracts.waiting import NothingLeft, deferred_if_later
from sipframe.testing.strategies import sound_requests
from sipframe.verdicts import Accepted, Address, Challenge

__tracebackhide__ = True  # pytest: the steps say more than where they were told

__all__ = ["Ask", "AuthenticatorContract", "Proof", "digest_proof"]

STRANGER: Final = Address("203.0.113.66", 6666)
SAFE: Final = "No request without the proof is accepted."

Ask = Callable[[Request, IFlow], object]
"""Asks the authenticator, and waits for its verdict."""


class Proof(NamedTuple):
    """A request that must be accepted."""

    request: Request
    flow: IFlow
    name: str
    """Whom it proves: :attr:`sipframe.verdicts.Identity.name`."""
    aors: frozenset[str]
    """What they own."""
    text: str = ""
    """The part of the request that nobody else can write: a digest, a signature. Empty when the flow is the proof."""


def digest_proof(
    ask: Ask, username: str, password: str, domain: str = "example.com", *, flow: IFlow | None = None
) -> Proof:
    """A REGISTER of ``username`` that answers the authenticator's own challenge; it owns ``sip:username@domain``."""
    flow = StillFlow() if flow is None else flow
    request = register(domain, username)
    challenge = ask(request, flow)
    field = answered(challenge, username, password, request) if isinstance(challenge, Challenge) else None
    if field is None:
        raise ValueError(f"a digest challenge is needed, not {challenge!r}")
    request = register(domain, username, fields=[field])
    response = request.credentials[0].params["response"]
    return Proof(request, flow, username, frozenset((f"sip:{username}@{domain}",)), response)


class AuthenticatorContract(Contract):
    """What any authenticator has to do. Say how it is made, and what it must accept::

        class TestHouse(AuthenticatorContract):
            def open_authenticator(self, place: Path) -> HouseAuthenticator:
                return HouseAuthenticator({"alice": "wonderland"}, clock=self.reactor.seconds)

            def good_request(self, ask: Ask) -> Proof:
                return digest_proof(ask, "alice", "wonderland")

    ``good_request`` is called whenever a fresh one is needed. The four promises are those of digest with qop; an
    authenticator that makes fewer says so. Nobody must be accepted for coming from 203.0.113.66.
    """

    covers_method: ClassVar[bool] = True
    """A proof is good for the method that it was made for."""
    covers_uri: ClassVar[bool] = True
    """A proof is good for the Request-URI that it was made for, at least for its user; a proxy may rewrite the host."""
    refuses_replay: ClassVar[bool] = True
    """A proof is good once."""
    believes_claims: ClassVar[bool] = False
    """Who proves to be trusted is whoever From or To say."""

    def open_authenticator(self, place: Path) -> object:
        """Make the authenticator; ``place`` is an empty directory of its own. May return a Deferred or a coroutine."""
        raise NotImplementedError

    def good_request(self, ask: Ask) -> Proof:
        """A request that must be accepted, and as whom. ``ask`` gets a challenge to answer, where that is needed."""
        raise NotImplementedError

    def close_authenticator(self, authenticator: Any) -> object:
        """Close it. The default calls ``close()``, when there is one."""
        return close(authenticator)

    # Who is accepted

    def test_provides_the_interface(self) -> None:
        with self.opened() as it:
            self.verify(IAuthenticator, it.authenticator)

    def test_the_right_proof_is_accepted(self) -> None:
        with self.opened() as it:
            for _ in range(3):
                it.must_accept(it.proof())

    def test_many_at_once(self) -> None:
        with self.opened() as it:
            proofs = [it.proof() for _ in range(4)]
            strangers = [(without(proof.request, CREDENTIALS), StillFlow(peer=STRANGER)) for proof in proofs]
            for proof, verdict in zip(proofs, it.ask_all([one[:2] for one in proofs]), strict=True):
                it.is_accepted(verdict, proof)
            for verdict in it.ask_all(strangers):
                it.is_not_accepted(verdict, SAFE)

    # Who is not

    def test_without_the_proof_nobody_is_accepted(self) -> None:
        with self.opened() as it:
            proof = it.proof()
            stranger = StillFlow(peer=STRANGER)
            it.must_not_accept(without(proof.request, CREDENTIALS), stranger, SAFE)
            for method in ("REGISTER", "OPTIONS", "INVITE", "MESSAGE", "SUBSCRIBE", "x-Method"):
                it.must_not_accept(register("example.com", "alice", method=method), stranger, SAFE)
            if proof.text:
                it.must_not_accept(without(proof.request, CREDENTIALS), proof.flow, SAFE)
            else:
                it.must_not_accept(proof.request, stranger, SAFE)

    def test_a_damaged_proof_is_none(self) -> None:
        def check(at: int, by: str) -> None:
            with self.opened() as it:
                proof = it.proof()
                at_ = at % max(1, len(proof.text) - 2)
                damaged = proof.text[:at_] + by + proof.text[at_ + 1 :]
                if by != proof.text[at_ : at_ + 1]:
                    it.must_not_accept(
                        replaced(proof, proof.text, damaged), proof.flow, "A damaged proof is none."
                    )

        with self.opened() as it:
            if not it.proof().text:
                return
        self.for_all(check, st.integers(0, 1000), st.one_of(st.just(""), st.sampled_from("0123456789abcdef")))

    def test_a_proof_that_was_cut_is_none(self) -> None:
        with self.opened() as it:
            text = it.proof().text
            for cut_short in (
                ("", text[:-1], text[: len(text) // 2], text[:1], text + text, text[::-1]) if text else ()
            ):
                proof = it.proof()
                if cut_short != proof.text:
                    fewer = replaced(proof, proof.text, cut_short)
                    it.must_not_accept(fewer, proof.flow, "A damaged proof is none.")

    def test_a_proof_for_another_method(self) -> None:
        with self.opened() as it:
            for method in ("OPTIONS", "INVITE", "register"):
                proof = it.proof()
                other = changed(proof.request, method=method)
                if self.covers_method:
                    it.must_not_accept(
                        other, proof.flow, "A proof is good for the method that it was made for."
                    )
                else:
                    it.at_most(other, proof)

    def test_a_proof_for_another_uri(self) -> None:
        with self.opened() as it:
            for uri in (
                "sip:mallory@example.com",
                "sip:mallory@203.0.113.66",
                "sips:mallory@example.org:5061",
            ):
                proof = it.proof()
                other = changed(proof.request, uri=uri)
                if self.covers_uri:
                    it.must_not_accept(
                        other, proof.flow, "A proof is good for the Request-URI that it was made for."
                    )
                else:
                    it.at_most(other, proof)

    def test_a_proof_is_good_once(self) -> None:
        with self.opened() as it:
            proof = it.proof()
            it.must_accept(proof)
            if self.refuses_replay:
                it.must_not_accept(proof.request, proof.flow, "A proof is good once.")
                it.must_not_accept(changed(proof.request), StillFlow(peer=STRANGER), "A proof is good once.")

    def test_a_proof_names_one_user(self) -> None:
        with self.opened() as it:
            for other in ("mallory", "bob", "", "%61lice", 'x\\"y'):
                proof = it.proof()
                for text in (f'"{proof.name}"', f"{proof.name}"):
                    it.at_most(replaced(proof, text, text.replace(proof.name, other)), proof)

    def test_what_a_request_claims_is_no_proof(self) -> None:
        if self.believes_claims:
            return
        with self.opened() as it:
            for field in ("From", "To", "Contact", "P-Asserted-Identity"):
                proof = it.proof()
                tag = ";tag=1" if field == "From" else ""
                claim = (field, f"<sip:mallory@example.com>{tag}")
                it.at_most(with_field(without(proof.request, [field.lower()]), claim), proof)

    # What a peer may send

    def test_any_request_has_a_verdict(self) -> None:
        def check(request: Request, flow: StillFlow) -> None:
            with self.opened() as it:
                it.must_not_accept(request, flow, SAFE)

        self.for_all(check, sound_requests(), _strangers())

    def test_hostile_credentials_have_a_verdict(self) -> None:
        def check(values: list[str], flow: StillFlow) -> None:
            with self.opened() as it:
                request: Request | None = register("example.com")
                for value in values:
                    request = with_field(request, ("Authorization", value))
                it.must_not_accept(request, flow, SAFE)

        self.for_all(check, st.lists(authorizations(), min_size=1, max_size=2), _strangers())

    def test_nearly_good_credentials_name_nobody_else(self) -> None:
        def check(data: Any) -> None:
            with self.opened() as it:
                proof = it.proof()
                for value in proof.request.all("authorization")[:1]:
                    spoiled = data.draw(mangled_text(value))
                    request = with_field(without(proof.request, CREDENTIALS), ("Authorization", spoiled))
                    it.at_most(request, proof)

        self.for_all(check, st.data())

    # How the tests above speak

    @contextmanager
    def opened(self) -> Iterator[_Asked]:
        """An authenticator that can be asked."""
        with self.a_try() as place:
            authenticator = self.wait(self.open_authenticator(place))
            it = _Asked(self, authenticator)
            try:
                yield it
            finally:
                self.wait(self.close_authenticator(authenticator))
            self.nothing_is_left(it.story, authenticator)


class _Asked:
    """An authenticator under a contract: every question is told, waited for, and its verdict looked at."""

    def __init__(self, contract: AuthenticatorContract, authenticator: Any) -> None:
        self.contract = contract
        self.authenticator = authenticator
        self.story = Story()

    def proof(self) -> Proof:
        """A fresh request that must be accepted; asking for a challenge is not told."""
        with self.story.aside():
            return self.contract.good_request(self.ask)

    def ask(self, request: Request, flow: IFlow) -> object:
        return self.ask_all([(request, flow)])[0]

    def ask_all(self, questions: Iterable[tuple[Request, IFlow]]) -> list[object]:
        """Ask all before any answer is waited for."""
        asked = []
        for request, flow in questions:
            step = self.story.tell(shown(request, flow))
            before = request.to_bytes()
            try:
                answer = deferred_if_later(self.authenticator.authenticate(request, flow))
            except Exception as error:
                self.story.raised(step, error)
            asked.append((request, before, step, answer))
        verdicts = []
        for request, before, step, answer in asked:
            try:
                verdict = self.contract.wait(answer)
            except NothingLeft as error:
                self.story.never_answered(step, error)
            except Exception as error:
                self.story.raised(step, error)
            self.story.answered(step, verdict)
            if request.to_bytes() != before:
                self.story.broken("A request is not changed.")
            flaw = authentication_flaw(verdict, request)
            if flaw:
                self.story.broken("Every answer is a verdict that can be acted on.", flaw)
            verdicts.append(verdict)
        return verdicts

    def must_accept(self, proof: Proof) -> None:
        self.is_accepted(self.ask(proof.request, proof.flow), proof)

    def is_accepted(self, verdict: object, proof: Proof) -> None:
        if not isinstance(verdict, Accepted):
            self.story.broken("The right proof is accepted.")
        if verdict.identity.name != proof.name or verdict.identity.aors != proof.aors:
            self.story.broken(
                "The right proof is accepted as who it names.", f"{proof.name!r} owns {set(proof.aors)!r}"
            )

    def must_not_accept(self, request: Request | None, flow: IFlow, rule: str) -> None:
        """``request`` is not accepted; None stands for one that never gets here."""
        if request is not None:
            self.is_not_accepted(self.ask(request, flow), rule)

    def is_not_accepted(self, verdict: object, rule: str) -> None:
        if isinstance(verdict, Accepted):
            self.story.broken(rule)

    def at_most(self, request: Request | None, proof: Proof) -> None:
        """``request`` is not accepted, or as the one whom ``proof`` proves."""
        if request is None:
            return
        verdict = self.ask(request, proof.flow)
        if isinstance(verdict, Accepted) and (
            verdict.identity.name != proof.name or not verdict.identity.aors <= proof.aors
        ):
            if not proof.text and self.contract.believes_claims:
                return
            self.story.broken("A proof never makes anybody else of who has it.", f"it proves {proof.name!r}")


def replaced(proof: Proof, text: str, by: str) -> Request | None:
    """The request of ``proof`` with a text of its credentials replaced; None for what never gets here."""
    lines = [line.replace(text, by) if name_of(line) in CREDENTIALS else line for line in proof.request.lines]
    return read(proof.request.start_line, lines, proof.request.body)


def _strangers() -> st.SearchStrategy[StillFlow]:
    return st.sampled_from(["UDP", "TCP", "TLS"]).map(lambda transport: StillFlow(transport, STRANGER))
