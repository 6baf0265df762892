"""The classes of bugs that hit SIP servers in the last ten years, each against the whole server.

docs/hardening.md has the table: class, what is done about it, which tests. What has its test elsewhere is not here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, eventAsText, globalLogPublisher
from zope.interface import implementer

from sipframe.events import Event
from sipframe.interfaces import ICredentialSource
from sipframe.message import MessageError, Response, parse_name_addrs
from sipframe.process import _to_log
from sipframe.testing import Phone, Server
from sipframe.testing.strategies import addresses
from sipframe.verdicts import Secret
from tests.hostile.around import (
    ALICE,
    BOB,
    PASSWORDS,
    STRANGER,
    answers,
    contacts,
    credentials,
    kept_objects,
    register,
    serving,
)
from tests.hostile.test_work import lines

CONTACT = "Contact: <sip:bob@198.51.100.66>"


def stranger(server: Server, transport: str = "udp") -> Phone:
    return server.phone("sip:mallory@example.com", host=STRANGER, transport=transport)


def challenged(phone: Phone, **parts: str) -> Response:
    (answer,) = answers(phone, register(branch="z9hG4bKchallenge", call_id="for-a-challenge", **parts))
    assert answer.status == 401
    return answer


# Header ambiguity: what another element on the way reads otherwise is refused.


@pytest.mark.parametrize(
    "field",
    [
        f"t: <{ALICE}>",
        f"TO : <{ALICE}>",
        f"From: <{ALICE}>;tag=2",
        "Call-ID: other",
        "i: other",
        "CSeq: 7 REGISTER",
        "Expires: 60\r\nexpires : 0",
        "l: 0",
        "Max-Forwards: 1",
        f"To\x00: <{ALICE}>",
        f"To\t\x0b: <{ALICE}>",
        f"\ufeffTo: <{ALICE}>",
    ],
)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_field_that_stands_twice_under_any_spelling(field: str, transport: str) -> None:
    with serving() as server:
        phone = stranger(server, transport)
        proof = credentials(challenged(phone))
        (answer,) = answers(phone, register(CONTACT, proof, field))
        assert answer.status == 400
        assert server.bindings(BOB) == server.bindings(ALICE) == ()


@pytest.mark.parametrize("spelling", ["Authorization :", "AUTHORIZATION\t:", "authorization: \r\n "])
def test_blanks_before_the_colon_hide_nothing(spelling: str) -> None:
    with serving() as server:
        phone = stranger(server)
        proof = credentials(challenged(phone)).replace("Authorization:", spelling)
        (answer,) = answers(phone, register(CONTACT, proof))
        assert answer.status == 200
        hidden = credentials(challenged(phone), password="guess").replace("Authorization:", spelling)
        (answer,) = answers(phone, register(CONTACT, hidden, cseq=2, branch="z9hG4bK2"))
        assert answer.status == 401


# Content-Length: nothing is smuggled, nothing is allocated ahead.


@pytest.mark.parametrize(
    "lengths",
    [
        "Content-Length: 0\r\nContent-Length: {}",
        "Content-Length: {}\r\nl: 0",
        "Content-Length: 0\r\nContent-Length : {}",
        "Content-Length: 0\nl: {}",
        "Content-Length: +{}",
        "Content-Length: {}, 0",
        "Content-Length: 0x{}",
        "X: y",
    ],
)
def test_a_request_within_a_request(lengths: str) -> None:
    with serving() as server:
        phone = stranger(server, "tcp")
        proof = credentials(challenged(phone))
        inner = register(CONTACT, proof, branch="z9hG4bKinner", cseq=9)
        outer = register(method="OPTIONS", length=lengths.format(len(inner)))
        statuses = [one.status for one in answers(phone, outer + inner)]
        assert statuses in ([400], [])
        assert not phone.flow.alive
        assert server.bindings(BOB) == ()


def test_a_length_is_believed_only_as_far_as_there_is_room() -> None:
    with serving() as server:
        for length in (262_145, 2**31, 2**32 - 1, 10**18):
            phone = stranger(server, "tcp")
            (answer,) = answers(phone, register(length=f"Content-Length: {length}"))
            assert answer.status == (513 if length < 2**32 else 400)
            assert not phone.flow.alive


# Growth: before proof nothing is kept.


def test_strangers_leave_nothing_behind() -> None:
    def ask(phone: Phone, first: int, last: int) -> None:
        for number in range(first, last):
            made_up = f'Authorization: Digest username="u{number}", realm="example.com", nonce="{number}", '
            made_up += f'uri="sip:example.com", response="{number:032x}"'
            (answer,) = answers(
                phone,
                register(
                    *((made_up,) if number % 2 else ()),
                    to=f"sip:user{number}@example.com",
                    call_id=f"call-{number}",
                    branch=f"z9hG4bK{number}",
                ),
            )
            assert answer.status == 401

    with serving() as server:
        phones = [stranger(server), stranger(server, "tcp")]
        for phone in phones:
            ask(phone, 0, 50)
        before = kept_objects(server)
        for phone in phones:
            ask(phone, 50, 250)
        after = kept_objects(server)
        assert server.service.transactions() == {}
        assert {
            name: (before.get(name, 0), count) for name, count in after.items() if count > before.get(name, 0)
        } == {}


# Nonce counts.


def test_a_guess_does_not_spend_the_counts_of_who_knows_the_password() -> None:
    with serving() as server:
        bob, mallory = server.phone(BOB), stranger(server)
        seen = challenged(bob)
        poison = credentials(seen, password="guess", nc="ffffffff")
        (answer,) = answers(mallory, register(CONTACT, poison))
        assert answer.status == 401
        (answer,) = answers(
            bob, register("Contact: <sip:bob@192.0.2.9>", credentials(seen), branch="z9hG4bK2")
        )
        assert answer.status == 200
        assert contacts(server.bindings(BOB)) == ["sip:bob@192.0.2.9"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_what_was_seen_once_is_good_for_nothing(transport: str) -> None:
    with serving() as server:
        bob, mallory = server.phone(BOB), stranger(server, transport)
        proof = credentials(challenged(bob))
        (answer,) = answers(bob, register("Contact: <sip:bob@192.0.2.9>", proof))
        assert answer.status == 200
        before = server.bindings(BOB)
        (answer,) = answers(mallory, register(CONTACT, proof, branch="z9hG4bK2", cseq=2, call_id="another"))
        assert answer.status == 401
        server.advance(40.0)
        (answer,) = answers(mallory, register("Contact: *", "Expires: 0", proof, cseq=3, call_id="third"))
        assert answer.status == 401
        assert server.bindings(BOB) == before


def test_no_weaker_algorithm_than_those_on_offer() -> None:
    with serving(authenticator="digest:algorithms=SHA-256") as server:
        phone = stranger(server)
        (answer,) = answers(phone, register())
        (challenge,) = answer.challenges
        assert challenge.params["algorithm"] == "SHA-256"
        for weaker in ("MD5", "MD5-sess"):
            md5 = credentials(
                _with(
                    answer,
                    f'Digest realm="example.com", nonce="{challenge.params["nonce"]}", algorithm={weaker}',
                )
            )
            (refused,) = answers(phone, register(CONTACT, md5, cseq=2, branch=f"z9hG4bK{weaker}"))
            assert refused.status == 401
        assert server.bindings(BOB) == ()


def _with(answer: Response, challenge: str) -> Response:
    return Response(401, "", "SIP/2.0", [], {"www-authenticate": [challenge]})


# Who is who.


@pytest.mark.parametrize("fields", [(CONTACT,), ("Contact: *", "Expires: 0"), ()])
def test_one_user_is_not_another(fields: tuple[str, ...]) -> None:
    with serving() as server:
        alice = server.phone(ALICE, password=PASSWORDS["alice"])
        assert alice.register().status == 200
        before = server.bindings(ALICE)
        phone = stranger(server)
        for number, from_ in enumerate((ALICE, BOB)):
            proof = credentials(challenged(phone), nc=f"{number + 1:08x}")
            asked = register(
                *fields, proof, to=ALICE, from_=from_, cseq=number + 1, branch=f"z9hG4bK{number}"
            )
            (answer,) = answers(phone, asked)
            assert answer.status == 403
            assert answer.contacts == ()
        assert server.bindings(ALICE) == before


METHODS = [
    "INVITE",
    "MESSAGE",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "PUBLISH",
    "INFO",
    "UPDATE",
    "BYE",
    "OPTIONS",
    "FOO",
]


@pytest.mark.parametrize("method", METHODS)
def test_no_method_lets_a_stranger_pass_for_a_user(method: str) -> None:
    with serving() as server:
        alice = server.phone(ALICE, password=PASSWORDS["alice"], transport="tcp")
        assert alice.register().status == 200
        phone = stranger(server)
        found = answers(phone, register(method=method, uri=ALICE, to=ALICE, from_=BOB))
        server.advance(1.0)
        assert alice.requests == []
        assert [one.status for one in found if one.status < 400] in ([], [100])


@pytest.mark.parametrize("method", [one for one in METHODS if one != "OPTIONS"])
def test_no_method_goes_through_to_the_world(method: str) -> None:
    """No open relay: what is neither from nor to a user of ours goes nowhere."""
    with serving() as server:
        server.network.hosts["elsewhere.example"] = "203.0.113.9"
        phone = stranger(server)
        for uri in ("sip:x@elsewhere.example", "sip:x@203.0.113.9", "sip:x@203.0.113.9;maddr=203.0.113.8"):
            asked = register(
                method=method, uri=uri, to=uri, from_="sip:me@nowhere.example", branch=f"z9hG4bK{len(uri)}"
            )
            _ = answers(phone, asked)
        for route in ("<sip:203.0.113.9;lr>", "<sip:192.0.2.1;lr>, <sip:203.0.113.9;lr>"):
            asked = register(
                f"Route: {route}", method=method, uri=ALICE, to=ALICE, from_="sip:me@nowhere.example"
            )
            _ = answers(phone, asked.replace(b"z9hG4bK1", b"z9hG4bK-%d" % len(route)))
        server.advance(40.0)
        assert _reached(server) <= {STRANGER}


def test_a_user_reaches_the_world() -> None:
    """What the test before would see, were the relay open."""
    with serving() as server:
        _ = server.phone(ALICE, password=PASSWORDS["alice"]).begin("MESSAGE", "sip:x@203.0.113.9")
        server.advance(2.0)
        assert "203.0.113.9" in _reached(server)


def _reached(server: Server) -> set[str]:
    ours = {*server.reactor.hosts}
    return {one.target.host for one in server.network.wire if one.source.host in ours}


# The right connection.


@implementer(ICredentialSource)
class Late:
    """A source that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Secret]] = []

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        waiting: Deferred[Secret] = Deferred()
        self.asked.append(waiting)
        return waiting


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_an_answer_goes_to_who_has_asked_or_to_nobody(transport: str) -> None:
    source = Late()
    with serving(users=None, credentials=source) as server:
        first = server.phone(BOB, transport=transport, host="192.0.2.50")
        proof = credentials(challenged(first))
        asked = register(CONTACT, proof, via=f"SIP/2.0/{transport.upper()} 192.0.2.50:5060")
        assert answers(first, asked) == []
        first.flow.reset()
        # Another one from the same host, and one over UDP where the Via says.
        second = server.phone(BOB, transport=transport, host="192.0.2.50")
        third = server.phone(BOB, host="192.0.2.50")
        for phone in (second, third):
            assert phone.connect().alive
        there = third.flow.local.port
        assert there == 5060
        for waiting in source.asked:
            waiting.callback(Secret(password=PASSWORDS["bob"]))
        server.advance(64.0)
        assert [one for one in second.received if isinstance(one, Response) and one.status == 200] == []
        assert third.last is None
        assert not [one for one in server.network.wire if b"SIP/2.0 200" in one.data]


# A Contact that poisons what comes after it.


@settings(max_examples=60)
@given(
    contact=st.one_of(
        addresses(),
        st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=30).map(
            "<sip:a@b>;x=".__add__
        ),
        st.text('<>";,%\\ \t\0\x0b\x7f=@:abc', max_size=30),
    )
)
@example('<sip:a@b>;x="\x07\x1b"')
@example('<sip:a@b>;x="\\\x07"')
def test_what_is_stored_can_be_read_by_all_who_come_after(contact: str) -> None:
    with serving() as server:
        bob = server.phone(BOB, password=PASSWORDS["bob"])
        assert bob.register("sip:bob@192.0.2.9").status == 200
        before = server.bindings(BOB)
        answer = bob.begin(
            "REGISTER",
            "sip:example.com",
            to=BOB,
            fields=["Contact: <sip:ok@192.0.2.9>", f"Contact: {contact}"],
        ).wait()
        if answer.status != 200:
            assert server.bindings(BOB) == before  # all of it or nothing
        data = bob.begin("REGISTER", "sip:example.com", to=BOB).wait()
        assert len(data.contacts) == len(server.bindings(BOB))
        for value in data.all("contact"):
            assert len(parse_name_addrs([value])) == 1
            assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value)
        for one in data.contacts:
            _ = one.uri, one.q, one.expires
        assert bob.unregister_all().status == 200


# Reloads.


def test_reloads_leave_nothing_behind(tmp_path: Path) -> None:
    users = tmp_path / "users"
    _ = users.write_text("bob:example.com:939e7578ed9e3c518a452acee763bce9\n")
    with serving(
        users=None,
        credentials=f"htdigest:path={users}",
        policies=["rate-limit:address-rate=1000", "back-off"],
    ) as server:
        phone = stranger(server)
        timers: list[int] = []
        counts: list[dict[str, int]] = []
        for number in range(14):
            _ = challenged(phone)
            assert server.service.reload() == ()
            server.advance(40.0)
            if number >= 10:  # as many decisions are kept
                counts.append(kept_objects(server))
                timers.append(len(server.reactor.getDelayedCalls()))
        assert len(set(timers)) == 1
        grown = {name for name, count in counts[-1].items() if count > counts[0].get(name, 0)}
        assert grown == set()


# Logs.


ESCAPED = "sip:%1b%5b2J%07%0d%0a%e2%80%ae@example.com"
"""A user part that is ugly once its escapes are undone."""


def test_nothing_of_a_peer_moves_the_terminal_and_no_secret_is_logged() -> None:
    logged: list[str] = []
    evil = "\x1b[2J\x07\x9b1m\u202e\u2028\udcff"

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        logged.append(eventAsText(event, includeTimestamp=False))

    globalLogPublisher.addObserver(observe)
    try:
        with serving(log_level="debug") as server:
            told: list[Event] = []
            for subscriber in (told.append, _to_log):  # what --log-level=debug does
                _ = server.service.events.subscribe(subscriber)
            phone = stranger(server)
            proof = credentials(challenged(phone))
            odd = credentials(challenged(phone), user=f"b{evil}ob", password=PASSWORDS["bob"])
            for number, fields in enumerate(
                [
                    (proof, CONTACT, f"User-Agent: {evil}"),
                    (odd, CONTACT),
                    (f"Authorization: Digest {evil}",),
                    (f"Contact: <sip:{evil}>",),
                    (f"Require: {evil}",),
                ]
            ):
                _ = answers(phone, register(*fields, cseq=number + 5, branch=f"z9hG4bK{number}"))
                _ = answers(
                    phone, register(*fields, to=f"sip:{evil}@example.com", branch=f"z9hG4bK-{number}")
                )
                _ = answers(phone, register(*fields, to=ESCAPED, branch=f"z9hG4bK---{number}"))
                _ = answers(phone, register(*fields, call_id=evil, branch=f"z9hG4bK--{number}"))
            assert len(told) >= 5
            records = "".join(
                [repr(one) + "".join([str(step) for step in one.steps]) for one in server.decisions]
            )
    finally:
        globalLogPublisher.removeObserver(observe)
    assert len(logged) > len(told)
    for line in logged:
        assert line.isprintable(), line
    response = re.search(r'response="(\w+)"', proof)
    nonce = re.search(r'nonce="([^"]+)"', proof)
    assert response is not None
    assert nonce is not None
    everything = "\n".join([*logged, *map(repr, told), records])
    for secret in (PASSWORDS["bob"], response.group(1), nonce.group(1)):
        assert secret not in everything


# Who is there, and who is not.


def test_nobody_learns_who_is_a_user() -> None:
    """By the answer, or by the work that is done for it."""
    with serving() as server:
        phone = stranger(server)
        shapes: list[bytes] = []
        work: list[int] = []
        for number, user in enumerate(("bob", "nob", "bob", "nob", "bob", "nob")):
            # Without credentials, then with a wrong password.
            to = f"sip:{user}@example.com"
            asked = register(to=to, branch=f"z9hG4bKc{number}", call_id="same")
            (answer,) = answers(phone, asked)
            guess = credentials(answer, user=user, password="guess")
            data = register(CONTACT, guess, to=to, branch=f"z9hG4bKd{number}", cseq=2)
            work.append(lines(phone.send, data, of="/auth/digest.py"))
            refused = phone.received[-1]
            assert isinstance(refused, Response)
            shapes.append(_shape(answer, user) + _shape(refused, user))
        assert len(set(shapes)) == 1
        # What takes time is hashing. The first ones fill memos that later ones find full.
        assert work[-1] > 5
        assert len(set(work[2:])) == 1, work


def _shape(answer: Response, user: str) -> bytes:
    """An answer without what is another one each time."""
    data = answer.to_bytes().replace(user.encode(), b"USER")
    return re.sub(rb'(nonce="|tag=|branch=z9hG4bK)[\w+/=-]+', rb"\1", data)


def test_nothing_that_was_read_is_a_message_error_alone() -> None:
    # What the oracles take for no finding is the library's own error, and a ValueError for who does not know it.
    assert issubclass(MessageError, ValueError)
