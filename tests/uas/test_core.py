"""The UAS core: each check with its answer, over the real transaction layer (RFC 3261 8.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from sipframe.events import Event, Events
from sipframe.interfaces import IFlow
from sipframe.message import MessageError, Request, Response, SipURI, parse_message
from sipframe.seams import Seam
from sipframe.transaction import ServerTransaction, TransactionLayer, TransactionSettings
from sipframe.uas import UserAgentServer
from sipframe.verdicts import Accepted, Admitted, Identity, Rejected, Unavailable
from tests.fakes import FakeFlow, Parts, request, request_bytes, response

DEADLINE = 5.0


class Policy:
    """Answers what it is told to, and says what it was asked."""

    def __init__(self, answer: object = None) -> None:
        self.answer = Admitted() if answer is None else answer
        self.asked: list[str] = []

    def admit(self, request: Request, flow: IFlow) -> object:
        self.asked.append(request.method)
        return self.answer() if callable(self.answer) else self.answer


class Server:
    """A UAS core over a transaction layer. It has a core for FETCH, which keeps what it gets in ``fetched``."""

    def __init__(self, *policies: Policy, settings: TransactionSettings | None = None) -> None:
        self.clock = Clock()
        self.flow = FakeFlow()
        self.happened: list[Event] = []
        self.fetched: list[ServerTransaction] = []
        events = Events()
        _ = events.subscribe(self.happened.append)
        self.uas = self.made(policies, events)
        self.uas.add_core("FETCH", self.fetched.append)
        self.layer = TransactionLayer(
            self.clock, settings or TransactionSettings(), self.uas, self.uas.trying, self.uas.cancel_ok
        )

    def made(self, policies: Sequence[Policy], events: Events) -> UserAgentServer:
        return UserAgentServer(
            serves=lambda uri, flow: isinstance(uri, SipURI) and uri.host == "example.com",
            policies=policies,
            seam=Seam(self.clock, DEADLINE, events),
            events=events,
            tag_key=b"key",
        )

    def send(self, method: str, *fields: str, **parts: Unpack[Parts]) -> None:
        """A request arrives, as it does in a service."""
        self.receive(request_bytes(method, *fields, **parts))

    def receive(self, data: bytes) -> None:
        try:
            message = parse_message(data)
        except MessageError as error:
            self.uas.malformed(error, self.flow)
            return
        assert isinstance(message, Request)
        try:
            self.layer.request(message, self.flow)
        except MessageError as error:
            self.uas.malformed(MessageError(error.reason, error.status, message), self.flow)

    def answered(self, method: str, *fields: str, **parts: Unpack[Parts]) -> Response:
        """The one answer to a request."""
        before = len(self.flow.sent)
        self.send(method, *fields, **parts)
        (data,) = self.flow.sent[before:]
        return response(data)

    def remembers(self) -> int:
        return len(self.uas._ongoing) + sum(self.layer.active().values())


@pytest.fixture
def server() -> Server:
    return Server()


class TestMethod:
    """RFC 3261 8.2.1, 21.4.6, 21.5.2."""

    @pytest.mark.parametrize("method", ["INVITE", "BYE", "SUBSCRIBE", "MESSAGE", "PUBLISH", "REGISTER"])
    def test_a_method_that_is_known_but_not_served_is_405(self, server: Server, method: str) -> None:
        answer = server.answered(method)
        assert (answer.status, answer.reason) == (405, "Method Not Allowed")
        assert answer.allow == ("CANCEL", "FETCH", "OPTIONS")

    @pytest.mark.parametrize(
        "method", ["NEWMETHOD", "register", "!interesting-Method0123456789_*+`.%indeed'~"]
    )
    def test_a_method_that_is_not_known_is_501(self, server: Server, method: str) -> None:
        answer = server.answered(method)
        assert (answer.status, answer.allow) == (501, ("CANCEL", "FETCH", "OPTIONS"))

    def test_a_core_gets_its_requests(self, server: Server) -> None:
        server.send("FETCH")
        assert [one.request.method for one in server.fetched] == ["FETCH"]
        assert server.flow.sent == []

    def test_allow_grows_with_the_cores(self, server: Server) -> None:
        server.uas.add_core("REGISTER", server.fetched.append)
        assert server.answered("BYE").allow == ("CANCEL", "FETCH", "OPTIONS", "REGISTER")


class TestRequiredFields:
    """RFC 3261 8.1.1; 21.4.1: the Reason-Phrase SHOULD identify the syntax problem in more detail."""

    @pytest.mark.parametrize(
        ("fields", "parts", "reason"),
        [
            ((), Parts(without=("From",)), "Missing From"),
            ((), Parts(without=("To",)), "Missing To"),
            ((), Parts(without=("Call-ID",)), "Missing Call-ID"),
            ((), Parts(without=("CSeq",)), "Missing CSeq"),
            ((), Parts(cseq="1 BYE"), "CSeq names another method"),
            ((), Parts(cseq="1 fetch"), "CSeq names another method"),
            ((), Parts(cseq="x FETCH"), "Malformed CSeq"),
            ((), Parts(cseq=2**31), "CSeq number out of range"),
            ((), Parts(from_="<>;tag=1"), "Empty URI"),
            ((), Parts(to="<>"), "Empty URI"),
            ((), Parts(to='"Mr. J. User <sip:j.user@example.com>'), "Malformed address in To"),
            (("Max-Forwards: 256",), Parts(without=("Max-Forwards",)), "Max-Forwards out of range"),
            (("Contact: <sip:a@b>, nonsense",), Parts(), "Malformed address in Contact"),
            (("Contact: <>>",), Parts(), "Malformed address in Contact"),
            ((), Parts(uri="sip:example.com:x"), "Malformed URI"),
            ((), Parts(uri="sip:bob@example.com?Route=%3Csip:a%3E"), "Header fields in the Request-URI"),
            (("From: <sip:eve@example.com>;tag=2",), Parts(), "Repeated header field that may stand once"),
        ],
    )
    def test_what_is_wrong_is_400_and_said(
        self, server: Server, fields: tuple[str, ...], parts: Parts, reason: str
    ) -> None:
        answer = server.answered("FETCH", *fields, **parts)
        assert (answer.status, answer.reason) == (400, f"Bad Request ({reason})")
        assert server.fetched == []
        assert server.remembers() == 0

    def test_three_missing_fields(self, server: Server) -> None:
        # RFC 4475 3.3.1
        answer = server.answered("FETCH", without=("From", "To", "Call-ID"))
        assert answer.status == 400
        assert [answer.first(name) for name in ("from", "to", "call-id", "cseq")] == [None] * 3 + ["1 FETCH"]

    def test_an_old_request_without_a_from_tag_is_sound(self, server: Server) -> None:
        # RFC 2543; RFC 3261 8.1.1.3 is for those who send.
        server.send("FETCH", from_="<sip:bob@example.com>", branch="1")
        assert len(server.fetched) == 1

    def test_missing_max_forwards_is_no_harm(self, server: Server) -> None:
        server.send("FETCH", without=("Max-Forwards",))
        assert len(server.fetched) == 1

    def test_unknown_and_needless_malformed_fields_are_ignored(self, server: Server) -> None:
        # RFC 3261 8.2.2
        server.send("FETCH", "X-Unknown: \x07", "Warning: nonsense", "Retry-After: soon", "Proxy-Require: (")
        assert len(server.fetched) == 1


class TestHeaderInspection:
    @pytest.mark.parametrize("uri", ["tel:+12125551212", "nobodyKnowsThisScheme:totallyopaquecontent"])
    def test_another_scheme_is_416(self, server: Server, uri: str) -> None:
        # RFC 3261 8.2.2.1
        answer = server.answered("FETCH", uri=uri)
        assert (answer.status, answer.reason) == (416, "Unsupported URI Scheme")

    @pytest.mark.parametrize(
        "to", ["<tel:+12125551212>", "isbn:2983792873", "<sip:nobody@elsewhere.example>"]
    )
    def test_to_may_be_anything(self, server: Server, to: str) -> None:
        # RFC 3261 8.2.2.1: it is RECOMMENDED that a UAS accept requests even if ...
        server.send("FETCH", to=to)
        assert len(server.fetched) == 1

    def test_no_hops_left_and_not_ours_is_483(self, server: Server) -> None:
        # RFC 3261 16.3 step 3
        zero = ("Max-Forwards: 0",)
        answer = server.answered("FETCH", *zero, uri="sip:elsewhere.example", without=("Max-Forwards",))
        assert (answer.status, answer.reason) == (483, "Too Many Hops")
        server.send("FETCH", *zero, without=("Max-Forwards",), branch="z9hG4bK2")
        assert len(server.fetched) == 1

    @pytest.mark.parametrize(
        ("require", "unsupported"),
        [
            ("100rel", ("100rel",)),
            (
                "nothingSupportsThis, nothingSupportsThisEither",
                ("nothingSupportsThis", "nothingSupportsThisEither"),
            ),
            ("path, gruu", ("gruu",)),
        ],
    )
    def test_420_names_what_is_not_understood(
        self, server: Server, require: str, unsupported: tuple[str, ...]
    ) -> None:
        # RFC 3261 8.2.2.3
        answer = server.answered("FETCH", f"Require: {require}")
        assert (answer.status, answer.unsupported) == (420, unsupported)
        assert server.fetched == []

    @pytest.mark.parametrize("require", ["path", "Path", "path, PATH", ""])
    def test_what_is_understood_may_be_required(self, server: Server, require: str) -> None:
        server.send("FETCH", f"Require: {require}")
        assert len(server.fetched) == 1

    def test_a_malformed_require_is_400(self, server: Server) -> None:
        assert server.answered("FETCH", "Require: (").status == 400

    def test_505(self, server: Server) -> None:
        # RFC 3261 21.5.6
        answer = server.answered("FETCH", version="SIP/7.0")
        assert (answer.status, answer.reason) == (505, "Version Not Supported")
        assert answer.start_line.startswith("SIP/2.0 ")

    def test_the_order_of_the_checks(self) -> None:
        """Each request has the defects of all that come after its own check."""
        late: dict[str, Any] = {"uri": "tel:+1"}
        fields = ("Require: 100rel", "Max-Forwards: 0")
        server = Server(Policy(Rejected(403, "No")))

        def status(method: str, *more: str, **parts: Unpack[Parts]) -> int:
            parts.setdefault("without", ("Max-Forwards",))
            return server.answered(method, *more, **parts).status

        assert status("BYE", *fields, version="SIP/3.0", cseq="1 X", **late) == 505
        assert status("BYE", *fields, cseq="1 X", **late) == 400
        assert status("BYE", *fields, **late) == 403
        server = Server()
        assert status("BYE", *fields, **late) == 405
        assert status("FETCH", *fields, **late) == 416
        assert status("FETCH", *fields, uri="sip:elsewhere.example") == 483
        assert status("FETCH", *fields) == 420


class TestMerged:
    """RFC 3261 8.2.2.2."""

    def test_the_same_request_by_another_path_is_482(self, server: Server) -> None:
        server.send("FETCH", branch="z9hG4bK1")
        answer = server.answered("FETCH", branch="z9hG4bK2")
        assert (answer.status, answer.reason) == (482, "Loop Detected")
        assert (len(server.fetched), server.uas.counters.merged) == (1, 1)

    def test_also_while_the_first_waits_for_a_policy(self) -> None:
        server = Server(Policy(Deferred))
        server.send("FETCH", branch="z9hG4bK1")
        assert server.answered("FETCH", branch="z9hG4bK2").status == 482

    def test_also_when_the_first_was_answered_and_goes_on(self, server: Server) -> None:
        server.send("FETCH", branch="z9hG4bK1")
        server.uas.answer(server.fetched[0], 200, "OK", kept=True)
        assert server.answered("FETCH", branch="z9hG4bK2").status == 482

    def test_not_when_it_has_ended(self, server: Server) -> None:
        server.send("FETCH", branch="z9hG4bK1")
        server.uas.answer(server.fetched[0], 200, "OK", kept=True)
        server.clock.advance(33)
        assert server.remembers() == 0
        server.send("FETCH", branch="z9hG4bK2")
        assert len(server.fetched) == 2

    def test_not_when_the_first_left_nothing_behind(self, server: Server) -> None:
        server.send("FETCH", branch="z9hG4bK1")
        server.uas.answer(server.fetched[0], 401, "Unauthorized", kept=False)
        assert server.remembers() == 0
        server.send("FETCH", branch="z9hG4bK2")
        assert len(server.fetched) == 2

    @pytest.mark.parametrize(
        "other",
        [
            Parts(call_id="call-2"),
            Parts(cseq=2),
            Parts(from_="<sip:bob@example.com>;tag=2"),
            Parts(from_="<sip:bob@example.com>"),
            Parts(to="<sip:bob@example.com>;tag=3"),
        ],
    )
    def test_not_when_anything_differs(self, server: Server, other: Parts) -> None:
        server.send("FETCH", branch="z9hG4bK1")
        other.setdefault("branch", "z9hG4bK2")
        server.send("FETCH", **other)
        assert len(server.fetched) == 2

    def test_not_when_the_method_differs(self, server: Server) -> None:
        """... and CSeq exactly match: the method is part of it."""
        server.send("FETCH", branch="z9hG4bK1")
        assert server.answered("OPTIONS", branch="z9hG4bK2").status == 200
        assert server.answered("CANCEL", branch="z9hG4bK3").status == 481

    def test_the_first_goes_on_as_if_nothing_were(self, server: Server) -> None:
        server.send("FETCH", branch="z9hG4bK1")
        server.send("FETCH", branch="z9hG4bK2")
        server.uas.answer(server.fetched[0], 200, "OK", kept=True)
        assert server.flow.statuses() == [482, 200]

    def test_a_retransmission_is_not_merged(self, server: Server) -> None:
        server.send("FETCH")
        server.send("FETCH")
        assert (len(server.fetched), server.flow.sent) == (1, [])


class TestOptions:
    """RFC 3261 11.2."""

    def test_capabilities(self, server: Server) -> None:
        answer = server.answered("OPTIONS")
        assert (answer.status, answer.allow, answer.supported) == (
            200,
            ("CANCEL", "FETCH", "OPTIONS"),
            ("path",),
        )
        assert all(answer.first(name) for name in ("accept", "accept-encoding", "accept-language"))
        assert server.remembers() == 0

    @pytest.mark.parametrize("uri", ["sip:bob@example.com", "sip:elsewhere.example"])
    def test_we_answer_for_nobody_else(self, server: Server, uri: str) -> None:
        assert server.answered("OPTIONS", uri=uri).status == 404


class TestAckAndCancel:
    """RFC 3261 22.1: neither is ever challenged. 17.1.1.3: an ACK is never answered."""

    def test_an_ack_is_never_answered(self) -> None:
        policy = Policy(Rejected(403, "No"))
        server = Server(policy)
        server.send("ACK")
        server.send("ACK", cseq="1 BYE", branch="z9hG4bK2")
        server.send("ACK", without=("To", "From"))
        server.send("ACK", version="SIP/3.0")
        server.send("ACK", "Content-Length: 1", without=("Content-Length",))
        assert (server.flow.sent, policy.asked) == ([], [])
        assert server.uas.counters.stray_acks + server.uas.counters.malformed_dropped == 5

    def test_a_cancel_that_matches_nothing_is_481(self) -> None:
        # RFC 3261 9.2
        policy = Policy(Rejected(401, "Who are you?"))
        server = Server(policy)
        answer = server.answered("CANCEL", "Require: 100rel", uri="tel:+1")
        assert (answer.status, answer.reason) == (481, "Call/Transaction Does Not Exist")
        assert policy.asked == []
        assert server.remembers() == 0

    def test_a_cancelled_invite_is_487_with_the_tag_of_the_200(self) -> None:
        server = Server(Policy(Deferred))
        server.send("INVITE")
        server.send("CANCEL")
        ok, terminated = server.flow.responses()
        assert [(one.status, one.cseq.method) for one in (ok, terminated)] == [
            (200, "CANCEL"),
            (487, "INVITE"),
        ]
        assert ok.to.tag == terminated.to.tag

    def test_a_policy_that_speaks_after_the_cancel_is_too_late(self) -> None:
        slow: Deferred[object] = Deferred()
        server = Server(Policy(slow))
        server.send("INVITE")
        server.send("CANCEL")
        slow.callback(Admitted())
        assert server.flow.statuses() == [200, 487]

    def test_a_policy_that_fails_after_the_cancel_too(self) -> None:
        server = Server(Policy(Deferred))
        server.send("INVITE")
        server.send("CANCEL")
        before = len(server.flow.sent)
        server.clock.advance(DEADLINE)
        assert {one.status for one in server.flow.responses()[before:]} <= {487}


class TestTags:
    """RFC 3261 8.2.6.2, 8.2.7."""

    def test_a_retransmission_gets_the_same_tag(self, server: Server) -> None:
        assert len({server.answered("OPTIONS").to.tag for _ in range(3)}) == 1

    @pytest.mark.parametrize("other", [Parts(call_id="call-2"), Parts(cseq=2), Parts(branch="z9hG4bK2")])
    def test_another_request_gets_another(self, server: Server, other: Parts) -> None:
        assert server.answered("OPTIONS").to.tag != server.answered("OPTIONS", **other).to.tag

    def test_a_tag_has_32_random_bits_or_more(self, server: Server) -> None:
        # RFC 3261 19.3
        tag = server.answered("OPTIONS").to.tag
        assert tag is not None
        assert len(tag) == 16

    def test_a_tag_that_is_there_stays(self, server: Server) -> None:
        assert server.answered("OPTIONS", to="<sip:example.com>;tag=theirs").to.tag == "theirs"

    def test_what_the_request_said_comes_back(self, server: Server) -> None:
        """From, Call-ID, CSeq equal those of the request; the Via values too, in order."""
        answer = server.answered(
            "OPTIONS",
            "Via: SIP/2.0/TCP p1.example.com;branch=z9hG4bKa",
            "Via: SIP/2.0/TCP p2.example.com;branch=z9hG4bKb, SIP/2.0/UDP 192.0.2.9",
            from_='"Bob" <sip:bob@example.com>;tag=x',
        )
        assert [via.host for via in answer.vias] == [
            "192.0.2.7",
            "p1.example.com",
            "p2.example.com",
            "192.0.2.9",
        ]
        assert [answer.first(name) for name in ("from", "call-id", "cseq")] == [
            '"Bob" <sip:bob@example.com>;tag=x',
            "call-1",
            "1 OPTIONS",
        ]


class TestMalformed:
    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (request_bytes("FETCH").replace(b"CSeq:", b"CSeq"), 400),
            (request_bytes("FETCH").replace(b"Length: 0", b"Length: 9"), 400),
            (request_bytes("FETCH").replace(b"Length: 0", b"Length: -9"), 400),
            (request_bytes("FETCH").replace(b"FETCH sip:", b"FETCH  sip:", 1), 400),
            (request_bytes("FETCH").replace(b"branch=z9", b'branch="z9'), 400),
            (request_bytes("CANCEL", version="SIP/3.0"), 505),
            (request_bytes("FETCH", f"X: {'x' * 40000}"), None),
            (b"\x16\x03\x01\x00\xa5\x01\x00", None),
            (b"", None),
            (request_bytes("FETCH", without=("Via",)).replace(b"CSeq:", b"CSeq"), None),
            (
                request_bytes("FETCH").replace(b"Via: SIP/2.0/UDP", b"Via: nonsense").replace(b"To:", b"To"),
                None,
            ),
            (b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.7\r\nContent-Length: x\r\n\r\n", None),
        ],
    )
    def test_what_can_be_answered_is_and_the_rest_is_counted(
        self, server: Server, data: bytes, status: int | None
    ) -> None:
        server.receive(data)
        counters = server.uas.counters
        if status is None:
            assert (server.flow.sent, counters.malformed_dropped) == ([], 1)
            assert [one.name for one in server.happened] == ["sipframe.uas.malformed"]
        else:
            assert (server.flow.statuses(), counters.malformed_answered) == ([status], 1)
        assert server.remembers() == 0

    def test_a_broken_via_below_the_first_is_answered(self, server: Server) -> None:
        server.send("FETCH", "Via: nonsense")
        assert server.flow.statuses() == [400]


class TestPolicies:
    """IPolicy.admit."""

    def test_they_are_asked_in_order_and_the_first_refusal_ends_it(self) -> None:
        policies = Policy(), Policy(Rejected(403, "No", (("X-Why", "Sunday"),))), Policy()
        server = Server(*policies)
        answer = server.answered("FETCH")
        assert (answer.status, answer.reason, answer.first("x-why")) == (403, "No", "Sunday")
        assert [one.asked for one in policies] == [["FETCH"], ["FETCH"], []]
        assert (server.fetched, server.remembers()) == ([], 0)

    def test_a_malformed_request_is_none_of_theirs(self) -> None:
        policy = Policy()
        Server(policy).send("FETCH", without=("To",))
        assert policy.asked == []

    @pytest.mark.parametrize("later", [Deferred, None])
    def test_they_may_take_their_time(self, later: Callable[[], Deferred[object]] | None) -> None:
        slow: Deferred[object] = Deferred()

        async def coroutine() -> object:
            return await slow

        server = Server(Policy(slow if later else coroutine), Policy(lambda: succeed(Admitted())))
        server.send("FETCH")
        assert server.fetched == []
        slow.callback(Admitted())
        assert len(server.fetched) == 1

    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            (lambda: 1 / 0, 500),
            (lambda: fail(ZeroDivisionError()), 500),
            (lambda: fail(Unavailable("x", 9)), 503),
            (Deferred, 503),
            (lambda: None, 500),
            (True, 500),
            (Accepted(Identity("bob", "example.com", frozenset())), 500),
            (Rejected(200, "OK"), 500),
            (Rejected(700, "What"), 500),
            (Rejected(403, "a\r\nX: y"), 500),
            (Rejected(403, "a", (("X", "y\r\nZ: z"),)), 500),
            (Rejected(403, "a", (("X",),)), 500),  # type: ignore[arg-type]
        ],
    )
    def test_nothing_that_they_do_wrong_lets_anyone_in(self, answer: object, status: int) -> None:
        server = Server(Policy(answer))
        server.send("FETCH")
        server.clock.advance(DEADLINE)
        finals = [one for one in server.flow.responses() if one.status >= 200]
        assert [one.status for one in finals] == [status]
        assert (finals[0].first("retry-after") is not None) is (status == 503)
        assert server.fetched == []
        assert "sipframe.plugin.failed" in [one.name for one in server.happened]


class TestCores:
    def test_a_core_that_finds_the_request_malformed(self, server: Server) -> None:
        def core(transaction: ServerTransaction) -> None:
            raise MessageError("No good")

        server.uas.add_core("FETCH", core)
        answer = server.answered("FETCH")
        assert (answer.status, answer.reason) == (400, "Bad Request (No good)")
        assert server.remembers() == 0

    def test_a_core_that_fails_is_500(self, server: Server) -> None:
        def core(transaction: ServerTransaction) -> None:
            raise ZeroDivisionError

        server.uas.add_core("FETCH", core)
        assert server.answered("FETCH").status == 500
        assert server.remembers() == 0

    def test_a_core_that_fails_after_its_answer_has_answered(self, server: Server) -> None:
        def core(transaction: ServerTransaction) -> None:
            server.uas.answer(transaction, 200, "OK", kept=True)
            raise ZeroDivisionError

        server.uas.add_core("FETCH", core)
        assert server.answered("FETCH").status == 200


class TestAnswer:
    def test_kept_absorbs_retransmissions(self, server: Server) -> None:
        server.send("FETCH")
        server.uas.answer(server.fetched[0], 200, "OK", "X-Y: z\r\n", kept=True)
        server.send("FETCH")
        first, again = server.flow.sent
        assert first == again
        assert response(first).first("x-y") == "z"
        assert len(server.fetched) == 1

    def test_not_kept_leaves_nothing(self, server: Server) -> None:
        server.send("FETCH")
        server.uas.answer(server.fetched[0], 401, "Unauthorized", kept=False)
        assert server.remembers() == 0
        server.send("FETCH")
        assert len(server.fetched) == 2

    @pytest.mark.parametrize("kept", [True, False])
    def test_a_second_answer_is_counted_and_not_sent(self, server: Server, kept: bool) -> None:
        server.send("FETCH")
        for status in (200, 403):
            server.uas.answer(server.fetched[0], status, "So", kept=kept)
        assert (server.flow.statuses(), server.uas.counters.late_answers) == ([200], 1)

    @pytest.mark.parametrize("kept", [True, False])
    def test_on_a_dead_flow_it_is_dropped(self, server: Server, kept: bool) -> None:
        server.send("FETCH")
        server.flow.alive = False
        server.layer.flow_lost(server.flow)
        server.uas.answer(server.fetched[0], 200, "OK", kept=kept)
        assert (server.flow.sent, server.flow.dropped) == ([], 1)
        server.clock.advance(100)
        assert server.remembers() == 0


class TestNoRoom:
    def test_a_request_without_room_is_503(self) -> None:
        server = Server(settings=TransactionSettings(max_server_transactions=1))
        server.send("FETCH")
        answer = server.answered("FETCH", branch="z9hG4bK2", call_id="2")
        assert (answer.status, answer.first("retry-after")) == (503, "5")
        assert len(server.fetched) == 1


class TestReadyResponses:
    def test_100_has_no_tag_and_the_timestamp(self, server: Server) -> None:
        # RFC 3261 8.2.6.1
        trying = response(server.uas.trying(request("FETCH", "Timestamp: 54.1"), server.flow))
        assert (trying.status, trying.to.tag, trying.first("timestamp")) == (100, None, "54.1")

    def test_a_slow_answer_begins_with_100(self, server: Server) -> None:
        server.send("FETCH")
        server.clock.advance(4)
        assert server.flow.statuses() == [100]

    def test_an_answer_that_no_datagram_holds_says_so(self, server: Server) -> None:
        server.send("FETCH")
        server.uas.answer(server.fetched[0], 200, "OK", f"X: {'x' * 70000}\r\n", kept=True)
        replaced = server.uas.too_large(server.flow.sent[0], server.flow)
        assert replaced is not None
        small, large = response(replaced), parse_message(server.flow.sent[0][:1000] + b"\r\n\r\n")
        assert small.status == 500
        for name in ("via", "from", "to", "call-id", "cseq"):
            assert small.all(name) == large.all(name)
        assert server.uas.too_large(b"nonsense", server.flow) is None
        assert server.uas.too_large(request_bytes("FETCH"), server.flow) is None


def test_nothing_is_left_when_all_has_ended(server: Server) -> None:
    for number in range(50):
        parts = Parts(branch=f"z9hG4bK{number}", call_id=str(number))
        server.send("FETCH", **parts)
        server.send("OPTIONS", branch=f"z9hG4bKo{number}", call_id=str(number))
        if number % 2:
            server.uas.answer(server.fetched[-1], 200, "OK", kept=number % 3 == 0)
    for one in server.fetched:
        server.uas.answer(one, 200, "OK", kept=True)
    server.clock.advance(100)
    assert server.remembers() == 0
