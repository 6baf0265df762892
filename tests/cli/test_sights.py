from __future__ import annotations

import pytest

from sipframe.cli import sights
from sipframe.cli.ladder import Kind
from sipframe.cli.sights import Sights
from sipframe.tracing import Traced
from sipframe.verdicts import Address

HERE, THERE = Address("192.0.2.1", 5060), Address("192.0.2.7", 5060)


def traced(text: str, at: float = 1.0, peer: Address = THERE) -> Traced:
    return Traced(at, False, "UDP", HERE, peer, text.replace("\n", "\r\n").encode())


def request(method: str, *lines: str, call: str = "1") -> str:
    return "\n".join([f"{method} sip:b SIP/2.0", f"Call-ID: {call}", f"CSeq: 1 {method}", *lines, "", ""])


def test_words_about_a_message() -> None:
    sight = Sights().see(
        traced(request("INVITE", "Contact: <sip:a@b>", "Content-Type: application/sdp") + "v=0\nx")
    )
    assert (sight.label, sight.aside, sight.kind) == ("INVITE sip:b", "CSeq 1", Kind.REQUEST)
    assert sight.notes == ("Call-ID 1", "Contact sip:a@b", "application/sdp, 6 octets")
    assert sight.text[:2] == ("INVITE sip:b SIP/2.0", "Call-ID: 1")
    assert sight.body == ("v=0", "x")


def test_the_call_is_told_when_it_is_another_one() -> None:
    see = Sights().see
    found = [see(traced(request("BYE", call=call), at)) for at, call in ((1.0, "1"), (1.5, "1"), (1.25, "2"))]
    assert [one.notes for one in found] == [("Call-ID 1",), ("again",), ("Call-ID 2",)]
    assert [one.since for one in found] == [0.0, 0.5, 0.0]
    assert see(traced("BYE sip:b SIP/2.0\n\n")).notes == ("Call-ID missing",)


def test_the_same_between_others_is_no_retransmission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sights, "MOST_REMEMBERED", 2)
    see = Sights().see
    one, other, third = (traced(request("BYE"), peer=Address("192.0.2.7", port)) for port in (1, 2, 3))
    kinds = [see(each).kind for each in (one, other, one, third, one, other)]
    assert [kind is Kind.AGAIN for kind in kinds] == [False, False, True, False, True, False]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (request("REGISTER", "Contact: <sip:a@b>"), True),
        (request("SUBSCRIBE", "Contact: <sip:a@b>"), True),
        (request("BYE", "Contact: <sip:a@b>"), False),
        ("SIP/2.0 302 Moved\nCall-ID: 1\nCSeq: 1 OPTIONS\nContact: <sip:a@b>\n\n", True),
        ("SIP/2.0 200 OK\nCall-ID: 1\nCSeq: 1 OPTIONS\nContact: <sip:a@b>\n\n", False),
        ("SIP/2.0 200 OK\nCall-ID: 1\nContact: <sip:a@b>\n\n", True),
    ],
)
def test_contacts_are_told_where_they_matter(text: str, told: bool) -> None:
    assert ("Contact sip:a@b" in Sights().see(traced(text)).notes) is told


def test_what_is_malformed_is_shown_as_far_as_it_goes() -> None:
    sight = Sights().see(traced(request("BYE", "CSeq: 2 BYE")))
    assert sight.label == "BYE sip:b"
    assert sight.notes == ("Call-ID 1", "malformed: Repeated header field that may stand once")
    assert sight.message is not None


@pytest.mark.parametrize(
    ("text", "label"), [("GET /" + "x" * 99, "GET /" + "x" * 55), ("", ""), ("\n\n", "")]
)
def test_no_sip_at_all(text: str, label: str) -> None:
    sight = Sights().see(traced(text))
    assert (sight.message, sight.label, sight.kind) == (None, label, Kind.FAILURE)
    assert sight.notes[0].startswith("no SIP: ")
