"""What the UAS core decides by itself is recorded as well, with the paragraph that says so."""

from __future__ import annotations

from typing import Any

import pytest

from sipframe.transaction import ServerTransaction
from tests.fakes import FakeFlow, Parts, request_bytes
from tests.registrar.whole import AOR, Whole

Z = "Max-Forwards: 0"


@pytest.mark.parametrize(
    ("method", "fields", "parts", "status", "step"),
    [
        ("BYE", [], {}, 405, ("RFC 3261 8.2.1", "BYE is not served")),
        ("JUMP", [], {}, 501, ("RFC 3261 8.2.1", "JUMP is not served")),
        (
            "OPTIONS",
            [],
            {"uri": "tel:+1"},
            416,
            ("RFC 3261 8.2.2.1", "the Request-URI is neither sip nor sips"),
        ),
        (
            "OPTIONS",
            [Z],
            {"uri": "sip:elsewhere.example", "without": ("Max-Forwards",)},
            483,
            ("RFC 3261 16.3 step 3", "Max-Forwards is 0 and the Request-URI is not served here"),
        ),
        ("OPTIONS", ["Require: a, path, b"], {}, 420, ("RFC 3261 8.2.2.3", "Require names a, b")),
        (
            "OPTIONS",
            [],
            {"uri": "sip:bob@example.com"},
            404,
            ("RFC 3261 11.2", "the Request-URI is neither a domain nor an address of this server"),
        ),
        ("OPTIONS", [], {}, 200, ("RFC 3261 11.2", "the capabilities of this server")),
        ("CANCEL", [], {}, 481, ("RFC 3261 9.2", "there is no INVITE here that it could cancel")),
        ("OPTIONS", [], {"cseq": "1 BYE"}, 400, ("RFC 3261 8.1.1", "CSeq names another method")),
        ("OPTIONS", [], {"without": ("Call-ID",)}, 400, ("RFC 3261 8.1.1", "Missing Call-ID")),
        ("OPTIONS", ["Require: ("], {}, 400, ("RFC 3261 21.4.1", "Malformed token in Require")),
        ("OPTIONS", [], {"version": "SIP/3.0"}, 505, ("RFC 3261 7.1", "Version Not Supported")),
        ("OPTIONS", ["Content-Length: 9"], {"without": ("Content-Length",)}, 400, None),
    ],
)
def test_each_check_has_its_rule(
    method: str, fields: list[str], parts: Any, status: int, step: tuple[str, str] | None
) -> None:
    whole = Whole()
    answer = whole.send(method, *fields, **parts)
    assert answer is not None
    decision = whole.last()
    assert (answer.status, decision.status, decision.reason) == (status, status, answer.reason)
    assert (whole.decisions.kept, decision.method) == (1, method)
    assert decision.call_id == ("" if "Call-ID" in parts.get("without", ()) else "call-1")
    assert len(decision.steps) == 1
    rule, verdict, reason, seconds = decision.steps[0]
    assert (verdict, seconds) == ("Accepted" if status == 200 else "Rejected", 0.0)
    if step is not None:
        assert (rule, reason) == step


def test_what_cannot_be_read_is_recorded_as_far_as_it_could_be() -> None:
    whole = Whole()
    _ = whole.send("OPTIONS", cseq="soon", to='"Bob <sip:bob@example.com>')
    decision = whole.last()
    assert (decision.status, decision.cseq, decision.aor, decision.call_id) == (400, 0, "", "call-1")


def test_whom_to_names_is_found_without_a_registrar() -> None:
    whole = Whole()
    _ = whole.send("BYE", to="Bob <sip:bob:secret@EXAMPLE.com:5060;x=y>;tag=5")
    assert [one.status for one in whole.decisions.about(aor=AOR)] == [405]
    _ = whole.send("BYE", to="<sip:bob@elsewhere.example>")
    _ = whole.send("BYE", to="<tel:+1>")
    assert [one.aor for one in whole.decisions] == ["", "", AOR]


def test_a_request_that_came_by_two_paths() -> None:
    whole = Whole()
    kept: list[ServerTransaction] = []
    whole.uas.add_core("FETCH", kept.append)
    for branch in ("z9hG4bKa", "z9hG4bKb"):
        _ = whole.send("FETCH", branch=branch, cseq="1 FETCH")
    (decision,) = whole.decisions
    assert (decision.status, decision.steps[0].asked) == (482, "RFC 3261 8.2.2.2")


def test_a_core_that_fails() -> None:
    def core(transaction: ServerTransaction) -> None:
        raise ZeroDivisionError("canary")

    whole = Whole()
    whole.uas.add_core("FETCH", core)
    _ = whole.send("FETCH")
    (step,) = whole.last().steps
    assert (whole.last().status, step.verdict, step.reason) == (500, "ZeroDivisionError", "")
    assert step.asked.endswith("core")


def test_no_room() -> None:
    whole = Whole()
    whole.layer._limit = 0
    _ = whole.send("OPTIONS")
    assert whole.steps() == [("RFC 3261 21.5.4", "Rejected", "there is no room for another transaction")]


def test_an_answer_that_was_too_large_for_a_datagram() -> None:
    """The 200 is recorded, and then what was sent in its place."""
    whole = Whole()
    _ = whole.send("OPTIONS")
    assert whole.uas.too_large(whole.flow.sent[-1], FakeFlow()) is not None
    replaced, first = whole.decisions
    assert (first.status, replaced.status, replaced.call_id, replaced.method) == (
        200,
        500,
        "call-1",
        "OPTIONS",
    )
    assert replaced.steps[0].asked == "RFC 3261 18.1.1"
    assert replaced.steps[0].reason.startswith("a 200 of ")


def test_an_ack_is_not_answered_and_not_recorded() -> None:
    whole = Whole()
    _ = whole.send("ACK")
    whole.receive(b"nonsense")
    whole.receive(request_bytes("ACK", **Parts(version="SIP/3.0")))
    assert whole.decisions.kept == 0
