"""Why each answer was what it was: every rule and plug-in that was asked, in words, and no secret among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail

from sipframe.auth.settings import DigestSettings
from sipframe.decisions import MOST_TEXT, Decision, Step
from sipframe.interfaces import IFlow
from sipframe.message import Request
from sipframe.verdicts import Abstained, Accepted, Address, Challenge, Identity, Rejected, Terms, Unavailable
from tests.auth import client
from tests.fakes import FakeFlow, request_bytes
from tests.registrar.whole import AOR, BOB, NOW, PASSWORD, Hanging, Policy, Whole

OWNED = ("RFC 3261 10.3 step 4", "Accepted", f"bob owns {AOR}")
PROVED = [("Users.secret", "Secret", ""), ("DigestAuthenticator.authenticate", "Accepted", "bob")]


class TestWhatIsRecorded:
    def test_a_registration(self) -> None:
        whole = Whole()
        whole.clock.advance(7)
        _ = whole.register(call_id="call-7")
        decision = whole.last()
        assert decision == Decision(
            NOW + 7,
            "REGISTER",
            "sip:example.com",
            AOR,
            "call-7",
            3,
            "TCP",
            Address("192.0.2.7", 5062),
            200,
            "OK",
            decision.steps,
        )
        assert whole.steps() == [
            *PROVED,
            OWNED,
            ("Store.lookup", "Snapshot", "0 bindings, version 0"),
            ("Store.replace", "True", "durable"),
            ("RFC 3261 10.3 step 8", "Accepted", "1 binding now"),
        ]
        assert not decision.refused

    def test_a_query(self) -> None:
        whole = Whole()
        _ = whole.register()
        _ = whole.register("X: no contact")
        assert whole.steps()[-2:] == [
            ("Store.lookup", "Snapshot", "1 bindings, version 1"),
            ("RFC 3261 10.3 step 8", "Accepted", "1 binding now, as before"),
        ]

    def test_a_challenge(self) -> None:
        whole = Whole()
        _ = whole.send("REGISTER")
        assert whole.steps() == [("DigestAuthenticator.authenticate", "Challenge", "no credentials")]
        assert (whole.last().status, whole.last().aor, whole.last().refused) == (401, AOR, False)

    @pytest.mark.parametrize(
        ("user", "source", "reason"),
        [
            ("bob", ("Users.secret", "Secret", ""), "wrong digest"),
            ("carol", ("Users.secret", "None", "no such user"), "unknown user"),
        ],
    )
    def test_a_wrong_password_and_an_unknown_user(
        self, user: str, source: tuple[str, str, str], reason: str
    ) -> None:
        whole = Whole()
        _ = whole.register(user=user, password="guess")
        assert whole.steps() == [source, ("DigestAuthenticator.authenticate", "Challenge", reason)]
        assert whole.last().refused

    def test_somebody_elses_address(self) -> None:
        whole = Whole()
        _ = whole.register(to="<sip:alice@example.com>")
        decision = whole.last()
        assert (decision.status, decision.aor) == (403, "sip:alice@example.com")
        assert whole.steps() == [
            *PROVED,
            ("RFC 3261 10.3 step 4", "Rejected", "bob does not own sip:alice@example.com"),
        ]

    @pytest.mark.parametrize(
        ("parts", "step"),
        [
            (
                {"uri": "sip:elsewhere.example"},
                ("RFC 3261 10.3 step 1", "Rejected", "the Request-URI names no domain that is served"),
            ),
            (
                {"to": "<sip:bob@elsewhere.example>"},
                ("RFC 3261 10.3 step 5", "Rejected", "To names no user of the domain in the Request-URI"),
            ),
        ],
    )
    def test_a_domain_that_is_not_ours(self, parts: Any, step: tuple[str, str, str]) -> None:
        whole = Whole()
        _ = whole.register(**parts)
        assert (whole.last().status, whole.steps()[-1]) == (404, step)

    @pytest.mark.parametrize(
        ("fields", "parts", "status", "rule", "why"),
        [
            (
                ["Contact: <sip:bob:canary@192.0.2.7>;expires=5"],
                {},
                423,
                "RFC 3261 10.3 step 7",
                "5 s for sip:bob@192.0.2.7, min_expires 60",
            ),
            (
                ["Contact: <sip:1@a>, <sip:2@a>"],
                {},
                403,
                "max_contacts",
                "3 contacts, 1 of them there before; max_contacts 2",
            ),
            (
                [f"Contact: {BOB}"],
                {"cseq": 1},
                400,
                "RFC 3261 10.3 step 7",
                "CSeq 1 is not higher than 3, the last one with this Call-ID",
            ),
            (
                ["Contact: *", "Expires: 0"],
                {"cseq": 2, "branch": "z9hG4bKother"},
                400,
                "RFC 3261 10.3 step 6",
                "CSeq 2 is not higher than 3, the last one with this Call-ID",
            ),
            (
                [f"Contact: <sip:{'x' * 3000}@a>"],
                {},
                400,
                "max_contact_octets",
                "3012 octets of contact, max_contact_octets 2048",
            ),
        ],
    )
    def test_what_the_plan_refuses(
        self, fields: list[str], parts: Any, status: int, rule: str, why: str
    ) -> None:
        whole = Whole()
        _ = whole.register(from_="<sip:bob@example.com>;tag=first")
        _ = whole.register(*fields, **parts)
        assert whole.last().status == status
        assert whole.steps()[-1] == (rule, "Rejected", why)

    def test_a_contact_that_makes_no_sense(self) -> None:
        whole = Whole()
        _ = whole.register("Contact: *", "Expires: 5")
        assert whole.last().status == 400
        assert whole.steps() == [("RFC 3261 21.4.1", "Rejected", "Contact: * needs Expires: 0")]

    def test_what_was_waited_for(self) -> None:
        whole = Whole()
        _ = whole.register()
        hanging = Hanging()
        whole.store.lookup_answer = hanging
        for _ in range(4):
            _ = whole.register()
            whole.clock.advance(1)
        refused = whole.last()
        assert (refused.status, refused.steps[-1][:3]) == (
            503,
            ("RFC 3261 10.3 in order", "Rejected", "too many registrations of one AOR at once"),
        )
        whole.store.lookup_answer = None
        hanging.asked[0].callback(whole.store.lookup(AOR))
        steps = whole.last().steps
        assert steps[3] == Step("RFC 3261 10.3 in order", "Waited", "for another change of the same AOR", 2.0)
        first = list(whole.decisions)[2]
        assert first.steps[3] == Step("Store.lookup", "Snapshot", "1 bindings, version 1", 4.0)


class TestPolicies:
    def test_each_is_shown_by_its_class(self) -> None:
        class Night(Policy):
            pass

        class Guests(Policy):
            pass

        night, guests = Night(), Guests()
        guests.answer = lambda terms: terms._replace(max_contacts=1, min_expires=30)
        whole = Whole(policies=[night, guests])
        _ = whole.register()
        assert whole.steps()[:2] == [("Night.admit", "Admitted", ""), ("Guests.admit", "Admitted", "")]
        assert whole.steps()[4:7] == [
            ("Night.registration", "Terms", ""),
            ("Guests.registration", "Terms", "min_expires 60 -> 30, max_contacts 2 -> 1"),
            OWNED,
        ]

    def test_the_one_that_refused(self) -> None:
        policy = Policy()
        whole = Whole(policies=[policy])
        policy.answer = lambda terms: Rejected(403, "Not on a Sunday")
        _ = whole.register()
        assert whole.steps()[-1] == ("Policy.registration", "Rejected", "Not on a Sunday")
        policy.admission = lambda *_: Rejected(603, "Go away")
        _ = whole.send("OPTIONS", to="<sip:Alice@EXAMPLE.com;x=y>")
        assert whole.steps() == [("Policy.admit", "Rejected", "Go away")]
        assert (whole.last().status, whole.last().method, whole.last().aor) == (
            603,
            "OPTIONS",
            "sip:Alice@example.com",
        )

    def test_third_party(self) -> None:
        policy = Policy()
        policy.answer = lambda terms: terms._replace(third_party=True)
        whole = Whole(policies=[policy])
        _ = whole.register(to="<sip:alice@example.com>")
        assert ("Policy.registration", "Terms", "third_party False -> True") in whole.steps()
        assert (
            "RFC 3261 10.3 step 4",
            "Accepted",
            "bob may act for sip:alice@example.com: third_party",
        ) in whole.steps()


class Mine:
    """An authenticator that gives what it is told to."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def authenticate(self, request: Request, flow: IFlow) -> object:
        return self.answer() if callable(self.answer) else self.answer


class TestAuthenticators:
    def test_one_that_abstains(self) -> None:
        whole = Whole(authenticator=Mine(Abstained("no client certificate")))
        answer = whole.send("REGISTER")
        assert answer is not None
        assert (answer.status, answer.reason) == (403, "Forbidden")
        assert whole.steps() == [
            ("Mine.authenticate", "Abstained", "no client certificate"),
            (
                "RFC 3261 10.3 step 3",
                "Rejected",
                "no authenticator has anything to say about the request",
            ),
        ]

    def test_one_that_refuses(self) -> None:
        whole = Whole(authenticator=Mine(Rejected(403, "Banned")))
        _ = whole.send("REGISTER")
        assert whole.steps() == [("Mine.authenticate", "Rejected", "Banned")]


def raises(error: Exception) -> Callable[..., object]:
    def method(*arguments: object) -> object:
        raise error

    return method


class TestFailures:
    @pytest.mark.parametrize(
        ("answer", "verdict", "reason", "status"),
        [
            (raises(ZeroDivisionError("canary")), "ZeroDivisionError", "", 500),
            (lambda *_: fail(ZeroDivisionError("canary")), "ZeroDivisionError", "", 500),
            (raises(Unavailable("the directory is down")), "Unavailable", "the directory is down", 503),
            (lambda *_: Deferred(), "Unavailable", "no answer within 5.0 s", 503),
            (lambda *_: 7, "TypeError", "", 500),
        ],
    )
    def test_a_credential_source_answers_for_itself(
        self, answer: Callable[..., object], verdict: str, reason: str, status: int
    ) -> None:
        whole = Whole()
        _ = whole.register()
        whole.users.answer = answer
        _ = whole.register()
        whole.clock.advance(5)
        assert whole.last().status == status
        assert whole.steps() == [
            ("Users.secret", verdict, reason),
            ("DigestAuthenticator.authenticate", verdict, reason),
        ]
        failed = [one.fields for one in whole.happened if one.name == "sipframe.plugin.failed"]
        assert failed == [{"plugin": "Users.secret", "error": verdict}]
        assert "canary" not in repr(list(whole.decisions))

    def test_a_store(self) -> None:
        whole = Whole()
        whole.store.replace_answer = raises(OSError("canary"))
        _ = whole.register()
        assert whole.steps()[-1] == ("Store.replace", "OSError", "")
        assert "canary" not in repr(list(whole.decisions))

    def test_a_race_is_told(self) -> None:
        whole = Whole()

        def overtaken(*_: object) -> bool:
            whole.store.replace_answer = None
            return False

        whole.store.replace_answer = overtaken
        _ = whole.register()
        assert [step[:2] for step in whole.steps()[3:]] == [
            ("Store.lookup", "Snapshot"),
            ("Store.replace", "False"),
            ("Store.lookup", "Snapshot"),
            ("Store.replace", "True"),
            ("RFC 3261 10.3 step 8", "Accepted"),
        ]

    def test_a_plug_in_that_is_left_alone(self) -> None:
        whole = Whole(failures=1, open_for=10.0)
        _ = whole.register()
        whole.store.lookup_answer = raises(Unavailable("gone"))
        for _ in range(2):
            answer = whole.register()
        assert answer is not None
        assert (answer.status, answer.first("retry-after")) == (503, "10")
        assert whole.steps()[-1] == ("Store.lookup", "NotAsked", "left alone after 1 failures in a row")

    def test_words_that_nobody_can_read_are_left_out(self) -> None:
        class Odd(Unavailable):
            def __str__(self) -> str:
                raise ZeroDivisionError

        whole = Whole()
        whole.store.lookup_answer = raises(Odd("x"))
        _ = whole.register()
        assert whole.steps()[-1] == ("Store.lookup", "Odd", "")

    def test_how_long_each_took(self) -> None:
        whole = Whole()
        _ = whole.register()
        hanging = Hanging()
        whole.users.answer = hanging
        _ = whole.register()
        whole.clock.advance(3)
        slow = Hanging()
        whole.store.replace_answer = slow
        hanging.asked[0].callback(PASSWORD)
        whole.clock.advance(2)
        slow.asked[0].callback(True)
        assert [(step.asked, step.seconds) for step in whole.last().steps] == [
            ("Users.secret", 3.0),
            ("DigestAuthenticator.authenticate", 3.0),
            ("RFC 3261 10.3 step 4", 0.0),
            ("Store.lookup", 0.0),
            ("Store.replace", 2.0),
            ("RFC 3261 10.3 step 8", 0.0),
        ]


class TestHowOften:
    def test_a_retransmission_makes_no_second_record(self) -> None:
        whole = Whole()
        _ = whole.register()
        before = whole.decisions.kept
        for _ in range(3):
            _ = whole.register(branch="z9hG4bKsame", cseq=99, flow=FakeFlow())
        assert whole.decisions.kept == before + 1

    def test_nor_one_while_the_first_is_worked_on(self) -> None:
        whole = Whole()
        _ = whole.register()
        before = whole.decisions.kept
        hanging = Hanging()
        whole.store.lookup_answer = hanging
        for _ in range(3):
            _ = whole.register(branch="z9hG4bKsame", cseq=99, flow=FakeFlow())
        assert whole.decisions.kept == before
        hanging.asked[0].errback(ZeroDivisionError())
        assert whole.decisions.kept == before + 1

    def test_no_more_than_so_many_are_kept(self) -> None:
        whole = Whole(kept=3)
        for number in range(10):
            _ = whole.send("REGISTER", call_id=str(number))
        assert [one.call_id for one in whole.decisions] == ["9", "8", "7"]

    def test_none_at_all_for_who_wants_none(self) -> None:
        whole = Whole(kept=0)
        _ = whole.register()
        assert (whole.decisions.kept, list(whole.decisions)) == (0, [])

    def test_whoever_subscribes_hears_of_each(self) -> None:
        whole = Whole(kept=0)
        heard: list[Decision] = []
        _ = whole.decisions.subscribe(heard.append)
        _ = whole.register()
        assert [one.status for one in heard] == [401, 200]
        assert all(type(step) is Step for one in heard for step in one.steps)


class TestTexts:
    def test_they_are_bounded(self) -> None:
        long = "x" * 5000
        policy = Policy()
        policy.admission = lambda *_: Rejected(403, long)
        whole = Whole(policies=[policy])
        _ = whole.send("REGISTER", call_id=long, uri=f"sip:{long}", to=f"<sip:{long}@example.com>")
        decision = whole.last()
        texts = [decision.uri, decision.aor, decision.call_id, decision.reason, decision.steps[0].reason]
        assert all(len(text) <= MOST_TEXT for text in texts)
        assert [one.call_id for one in whole.decisions.about(call_id=long)] == [decision.call_id]

    def test_they_are_bounded_in_memory_too(self) -> None:
        long = "x" * 5000
        whole = Whole()
        _ = whole.send("REGISTER", to=f"<sip:{long}@localhost>")
        _ = whole.send("X" * 5000, call_id="another", to=f"<sip:{long}@localhost>")
        [other, register] = whole.decisions
        assert (other.status, register.status) == (501, 401)
        assert len(repr(list(whole.decisions._kept))) < 4 * MOST_TEXT

    def test_they_come_as_they_were_sent(self) -> None:
        whole = Whole()
        whole.receive(request_bytes("OPTIONS", call_id="\udcff\x01é"))
        assert whole.last().call_id == "\udcff\x01é"


CANARY = "canary"


class TestSecrets:
    """What proves somebody's identity is in no record, whatever comes of the request."""

    @pytest.mark.parametrize("password", [CANARY, "wrong"])
    @pytest.mark.parametrize("settings", [DigestSettings(), DigestSettings(legacy_without_qop=True)])
    def test_nothing_of_an_authorization(self, password: str, settings: DigestSettings) -> None:
        whole = Whole()
        whole.users.answer = lambda name: CANARY
        challenged = whole.send("REGISTER")
        assert challenged is not None
        value = challenged.first("www-authenticate")
        assert value is not None
        _ = whole.register(password=password, uri="sip:bob:canary@example.com")
        _ = whole.register(password=password)
        _ = whole.send("REGISTER", "Authorization: canary", "Proxy-Authorization: canary")
        _ = whole.send("REGISTER", "Authorization: Digest canary=", "Contact: <sip:bob:canary@192.0.2.7>")
        _ = whole.send("OPTIONS", to="<sip:bob:canary@example.com>", uri="sip:bob:canary@example.com")
        answer = client.answer(whole.challenge, password=password)
        text = repr(list(whole.decisions)) + repr(list(whole.decisions._kept))
        for secret in (CANARY, answer["response"], whole.challenge["nonce"], answer["cnonce"], "Digest "):
            assert secret not in text
        assert "rspauth" not in text
        ha1 = client.HASHES["MD5"](f"bob:example.com:{CANARY}".encode())
        assert ha1 not in text

    def test_nothing_of_what_a_plug_in_adds_or_raises(self) -> None:
        identity = Identity("bob", "example.com", frozenset([AOR]))
        for answer in (
            Accepted(identity, (("Authentication-Info", f'rspauth="{CANARY}"'),)),
            Challenge((f'Digest nonce="{CANARY}"',), "no credentials"),
            Rejected(403, "No", (("X-Secret", CANARY),)),
            raises(ValueError(CANARY)),
        ):
            whole = Whole(authenticator=Mine(answer))
            _ = whole.send("REGISTER")
            assert whole.decisions.kept == 1
            assert CANARY not in repr(list(whole.decisions)) + repr(list(whole.decisions._kept))


def test_terms_are_put_into_words_when_somebody_reads_them() -> None:
    class Odd(int):
        def __str__(self) -> str:
            raise ZeroDivisionError

    policy = Policy()
    policy.answer = lambda terms: Terms(max_contacts=Odd(5))
    whole = Whole(policies=[policy])
    _ = whole.register()
    assert whole.last().status == 200
    assert ("Policy.registration", "Terms", "") in whole.steps()
