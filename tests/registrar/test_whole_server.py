"""Random registrations, refreshes, removals, crashes and lost connections: the whole server beside the reference.

Everything is real but for sockets and time: transactions, Digest with its nonces, the UAS core, the registrar and a
store. After each step the server's answer and all its bindings are those of :mod:`tests.registrar.reference`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sipframe.message import Response
from sipframe.testing import Exchange, Phone, Server
from sipframe.transport import ListenAddress
from sipframe.verdicts import Terms
from tests.registrar.reference import (
    DEFAULT,
    MAXIMUM,
    MINIMUM,
    Contact,
    Record,
    ReferenceServer,
    Register,
    taken_apart,
)
from tests.registrar.test_reference import EXPIRES, URIS

MERGED = 32.0
"""Seconds in which a transaction over UDP is remembered: 64*T1 (RFC 3261 17.2.2)."""

PASSWORDS = {("alice", "example.com"): "a", ("bob", "example.com"): "b", ("alice", "example.org"): "other"}
WHO = sorted(PASSWORDS)
SPELLINGS = ["sip:{}@{}", "sips:{}@{}", "sip:{}@{};user=phone", "SIP:{}@{}"]

who = st.sampled_from(WHO)
over = st.sampled_from(["udp", "udp", "tcp"])
contacts = st.lists(
    st.builds(
        Contact, st.sampled_from(URIS), st.sampled_from(EXPIRES), st.sampled_from([None, None, "0.5", "1"])
    ),
    max_size=4,
)
orders = st.sampled_from(["next", "next", "next", "same", "lower", "new"])
"""What CSeq a REGISTER has beside the one before, or whether its Call-ID is a new one."""


class Registrations(RuleBasedStateMachine):
    """``store`` is the location store; ``remembers`` says whether it outlives the process."""

    store: ClassVar[str] = "memory"
    remembers: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.cleanup = ExitStack()
        self.calls = 0
        self.phones: dict[tuple[tuple[str, str], str], Phone] = {}
        self.highest: dict[str, int] = {}
        """The highest CSeq of each Call-ID."""
        self.ordered_at: dict[tuple[Phone, str, int], float] = {}
        """When a phone has sent a REGISTER with this Call-ID and CSeq."""

    @initialize(most=st.sampled_from([1000, 1, 2, 3]), replaces_oldest=st.booleans())
    def starts(self, most: int, replaces_oldest: bool) -> None:
        self.reference = ReferenceServer(PASSWORDS, most, replaces_oldest=replaces_oldest)
        self.server = Server(
            users={f"{name}@{domain}": password for (name, domain), password in PASSWORDS.items()},
            domains=("example.com", "example.org"),
            location=self.store,
            listen=(
                ListenAddress.parse("udp:5060:interface=192.0.2.1"),
                ListenAddress.parse("tcp:5060:interface=192.0.2.1"),
            ),
            terms=Terms(
                default_expires=DEFAULT,
                min_expires=MINIMUM,
                max_expires=MAXIMUM,
                max_contacts=most,
                when_full="replace-oldest" if replaces_oldest else "refuse",
            ),
        )
        _ = self.cleanup.enter_context(self.server)

    def teardown(self) -> None:
        self.cleanup.close()

    # What phones do.

    @rule(who=who, over=over, contacts=contacts, expires=st.sampled_from(EXPIRES), order=orders)
    def register(
        self, who: tuple[str, str], over: str, contacts: list[Contact], expires: str | None, order: str
    ) -> None:
        self.compare(self.ordered(who, order, Register("", 0, contacts, False, expires)), over)

    @rule(who=who, over=over, uri=st.sampled_from(URIS), expires=st.sampled_from(EXPIRES))
    def register_one(self, who: tuple[str, str], over: str, uri: str, expires: str | None) -> None:
        self.compare(self.ordered(who, "next", Register("", 0, [Contact(uri, expires)])), over)

    @precondition(lambda self: self.bound())
    @rule(
        choice=st.integers(0, 100),
        over=over,
        expires=st.sampled_from([None, "0", "600", "7200"]),
        order=orders,
    )
    def refresh_or_remove(self, choice: int, over: str, expires: str | None, order: str) -> None:
        bound = self.bound()
        who, record = bound[choice % len(bound)]
        again = Register("", 0, [Contact(record.uri, expires, record.q)])
        self.compare(self.ordered(who, order, again), over)

    @rule(who=who, over=over, order=orders, expires=st.sampled_from(["0", "0", "0", None, "60", "soon"]))
    def remove_all(self, who: tuple[str, str], over: str, order: str, expires: str | None) -> None:
        self.compare(self.ordered(who, order, Register("", 0, [], True, expires)), over)

    @rule(who=who, over=over)
    def query(self, who: tuple[str, str], over: str) -> None:
        self.compare(self.ordered(who, "same", Register("", 0)), over)

    @rule(who=who, to=who, spelling=st.sampled_from(SPELLINGS), uri=st.sampled_from(URIS))
    def register_somebody(self, who: tuple[str, str], to: tuple[str, str], spelling: str, uri: str) -> None:
        register = self.ordered(who, "next", Register("", 0, [Contact(uri)]))
        register.to = spelling.format(*to)
        self.compare(register, "udp")

    @rule(who=who, to=who, password=st.sampled_from(["", "guess"]), star=st.booleans())
    def intrude(self, who: tuple[str, str], to: tuple[str, str], password: str, star: bool) -> None:
        asked = Register("", 0, [] if star else [Contact(URIS[0])], star, "0")
        register = self.ordered(who, "next", asked)
        register.password = password
        self.compare(register, "udp")

    @rule(who=who, over=over)
    def require_what_nobody_knows(self, who: tuple[str, str], over: str) -> None:
        register = self.ordered(who, "next", Register("", 0, [Contact(URIS[0])]))
        register.require = "telepathy"
        self.compare(register, over)

    @rule(who=who, uri=st.sampled_from(URIS), lost=st.integers(1, 3))
    def register_and_hear_nothing(self, who: tuple[str, str], uri: str, lost: int) -> None:
        """Answers are lost, so that the request comes again (RFC 3261 17.2.2)."""
        self.server.network.lose_next(lost, containing=b"SIP/2.0 200 OK")
        forget = self.server.network.lose_while(lambda passage: False)
        try:
            self.compare(self.ordered(who, "next", Register("", 0, [Contact(uri)])), "udp")
        finally:
            forget()

    @precondition(lambda self: any(phone.last for phone in self.phones.values()))
    @rule(choice=st.integers(0, 100))
    def retransmit(self, choice: int) -> None:
        """What was answered comes again, at once or much later: nothing changes (checked below)."""
        phones = [phone for phone in self.phones.values() if phone.last is not None]
        phone = phones[choice % len(phones)]
        if phone.last and phone.last.answer and phone.last.answer.status == 482:
            return  # it was not carried out, so that it may be now
        before = len(phone.received)
        phone.retransmit()
        self.server.settle()
        assert phone.last is not None
        answers = [one for one in phone.received[before:] if isinstance(one, Response)]
        assert len(answers) <= 1
        for answer in answers:
            # Absorbed by its transaction, or a replay of credentials; an old query may be answered anew.
            again = phone.last.answer
            assert answer.status in (401, 400, 420) or (again and answer.to_bytes() == again.to_bytes())

    # What happens to them.

    @rule(passes=st.sampled_from([0.25, 30.0, 59.5, 600.0, 3600.0]))
    def wait(self, passes: float) -> None:
        self.server.advance(passes)

    @precondition(lambda self: self.phones)
    @rule(choice=st.integers(0, 100), how=st.sampled_from(["close", "reset", "fall_silent"]))
    def lose_flow(self, choice: int, how: str) -> None:
        """Losing a flow is not losing a binding (RFC 5626 4.2.1 has phones come back)."""
        phone = list(self.phones.values())[choice % len(self.phones)]
        if phone.flow.alive:
            getattr(phone.flow, how)()
            if phone.flow.alive:
                phone.connect()
        self.server.settle()

    @rule()
    def crash(self) -> None:
        self.server.crash()
        self.begin_again()

    @rule()
    def restart(self) -> None:
        self.server.stop()
        self.begin_again()

    @rule(who=who, uri=st.sampled_from(URIS))
    def crash_in_between(self, who: tuple[str, str], uri: str) -> None:
        """A REGISTER is under way when the server crashes: what was answered is there, what was not may be."""
        register = self.ordered(who, "next", Register("", 0, [Contact(uri)]))
        phone = self.phone(register, "udp")
        exchange = self.begun(phone, register)
        self.server.settle()
        register.cseq = self.highest[register.call_id] = phone.cseq
        without = {aor: list(one.records) for aor, one in self.reference.registrars.items()}
        status = self.reference.register(register, self.server.now())
        if exchange.answer is not None:
            assert exchange.answer.status == status
        self.server.crash()
        self.begin_again()
        if exchange.answer is None and self.remembers and self.differ():
            for aor, records in without.items():
                self.reference.registrars[aor].records = records

    def begin_again(self) -> None:
        self.server.start()
        if not self.remembers:
            self.reference.forgets()

    # What must be.

    @invariant()
    def the_bindings_are_those_of_the_reference(self) -> None:
        if hasattr(self, "reference"):
            assert self.differ() == []

    @invariant()
    def nothing_is_logged(self) -> None:
        assert not hasattr(self, "server") or list(self.server.log) == []

    def differ(self) -> list[object]:
        now = self.server.now()
        found: list[object] = []
        for aor, registrar in self.reference.registrars.items():
            there = [
                (one.contact, one.expires_at, one.call_id, one.cseq, one.q)
                for one in self.server.bindings(aor)
            ]
            wanted = [
                (one.uri, one.end, one.call_id, one.cseq, one.q) for one in registrar.records if one.end > now
            ]
            if there != wanted:
                found.append((aor, there, wanted))
        return found

    def bound(self) -> list[tuple[tuple[str, str], Record]]:
        now = self.server.now()
        return [
            (who, record)
            for who in WHO
            for record in self.reference.registrars["sip:{}@{}".format(*who)].records
            if record.end > now
        ]

    def ordered(self, who: tuple[str, str], order: str, register: Register) -> Register:
        """``register`` of this user, with a Call-ID and the CSeq before that of its first request."""
        name, domain = who
        call_id = f"{name}-{domain}"
        if order == "new":
            self.calls += 1
            call_id = f"{call_id}-{self.calls}"
        highest = self.highest.get(call_id, 0)
        register.call_id = call_id
        register.cseq = {"next": highest, "new": 0, "same": max(0, highest - 1)}.get(
            order, max(0, highest - 3)
        )
        register.domain = domain
        register.to = f"sip:{name}@{domain}"
        register.user, register.password = name, PASSWORDS[who]
        return register

    def phone(self, register: Register, over: str) -> Phone:
        who = register.user, register.domain
        phone = self.phones.get((who, over))
        if phone is None:
            aor = "sip:{}@{}".format(*who)
            phone = self.server.phone(aor, username="{}@{}".format(*who), password="x", transport=over)
            self.phones[who, over] = phone
        phone.cseq = register.cseq
        phone.password = register.password or None
        if register.password != PASSWORDS[who]:
            phone.spaces.clear()
        return phone

    def begun(self, phone: Phone, register: Register) -> Exchange:
        fields = ["Contact: *"] if register.star else []
        for contact in register.contacts:
            q = "" if contact.q is None else f";q={contact.q}"
            expires = "" if contact.expires is None else f";expires={contact.expires}"
            fields.append(f"Contact: <{contact.uri}>{q}{expires}")
        if register.expires is not None:
            fields.append(f"Expires: {register.expires}")
        if register.require:
            fields.append(f"Require: {register.require}")
        return phone.begin(
            "REGISTER",
            f"sip:{register.domain}",
            to=register.to,
            fields=fields,
            call_id=register.call_id,
        )

    def compare(self, register: Register, over: str) -> None:
        now = self.server.now()
        phone = self.phone(register, over)
        answer = self.begun(phone, register).wait()
        # The credentials may have needed a challenge first, which has a CSeq of its own (RFC 3261 22.2).
        register.cseq = phone.cseq
        self.highest[register.call_id] = max(self.highest.get(register.call_id, 0), phone.cseq)
        order = phone, register.call_id, register.cseq
        if answer.status == 482:
            # RFC 3261 8.2.2.2: it may be the request before, by another way. Nothing has happened.
            assert now - self.ordered_at[order] <= MERGED
            return
        self.ordered_at[order] = now
        assert answer.status == self.reference.register(register, now)
        if answer.status == 200:
            assert self.listed(answer) == self.expected(register, now)
        if answer.status == 423:
            assert answer.min_expires == MINIMUM
        if register.password != PASSWORDS[register.user, register.domain]:
            phone.spaces.clear()

    def listed(self, answer: Response) -> list[tuple[str, str | None, str | None]]:
        return [(one.uri_text, one.param("expires"), one.q) for one in answer.contacts]

    def expected(self, register: Register, now: float) -> list[tuple[str, str | None, str | None]]:
        """RFC 3261 10.3 step 8: all current bindings, each with the time that it has left."""
        _, user, host, _ = taken_apart(register.to)
        records = self.reference.registrars[f"sip:{user}@{host}"].records
        return [(one.uri, str(max(1, round(one.end - now))), one.q) for one in records]


class InMemory(Registrations):
    pass


class InSQLite(Registrations):
    store = "sqlite"
    remembers = True


InMemory.TestCase.settings = settings(max_examples=30, stateful_step_count=30)
InSQLite.TestCase.settings = settings(max_examples=30, stateful_step_count=30)
TestInMemory = InMemory.TestCase
TestInSQLite = InSQLite.TestCase
