from __future__ import annotations

import pytest

from sipframe.domains import Domains
from sipframe.tracing import Subject

DOMAINS = Domains(("example.com",), {"192.0.2.1": "example.com"})
BOB = "sip:bob@example.com"


def request(call_id: str = "1", **fields: str) -> bytes:
    usual = {
        "uri": "sip:example.com",
        "From": "<sip:eve@b>;tag=1",
        "To": "<sip:amy@b>",
        "Contact": "<sip:eve@c>",
    }
    usual.update(fields)
    uri = usual.pop("uri")
    lines = [f"INVITE {uri} SIP/2.0", f"Call-ID: {call_id}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in usual.items()), "", ""]).encode()


def about_bob(most_calls: int = 10) -> Subject:
    return Subject(DOMAINS, aors=DOMAINS.aors_called("bob@example.com"), most_calls=most_calls)


@pytest.mark.parametrize(
    ("octets", "wanted"),
    [
        (request(), False),
        (request(uri="sip:bob@example.com;transport=tcp"), True),
        (request(To=f"Bob <{BOB}>"), True),
        (request(From=f'"b" <{BOB}:5080>;tag=1'), True),
        (request(To="<sips:bob@192.0.2.1>"), True),
        (request(Contact=f"<sip:x@y>, <{BOB}>"), True),
        (request(Contact="*"), False),
        # What cannot be read names nobody; the rest of the message still does.
        (request(uri="bob:", From="<", Contact="<", To=f"<{BOB}>"), True),
        (request(uri="tel:+1", From="<tel:+1>;tag=1"), False),
        (request(To=f"<{BOB}>", CSeq="1\r\nCSeq: 2"), True),
        (request(To=f"<{BOB}>").replace(b"Call-ID: 1\r\n", b""), False),
        (b"no SIP", False),
        (b"", False),
    ],
)
def test_who_a_message_is_about(octets: bytes, wanted: bool) -> None:
    assert about_bob().wants(octets) is wanted
    assert Subject(DOMAINS).wants(octets)


def test_an_alias_that_a_person_writes() -> None:
    subject = Subject(DOMAINS, aors=DOMAINS.aors_called("bob@192.0.2.1"))
    assert subject.wants(request(To=f"<{BOB}>"))


def test_a_call_id() -> None:
    subject = Subject(DOMAINS, call_id="1")
    assert subject.wants(request("1"))
    assert not subject.wants(request("2", To=f"<{BOB}>"))


def test_what_a_person_writes_may_be_either() -> None:
    subject = Subject(DOMAINS, call_id="bob@example.com", aors=DOMAINS.aors_called("bob@example.com"))
    assert subject.wants(request("bob@example.com"))
    assert subject.wants(request("2", To=f"<{BOB}>"))


def test_the_rest_of_a_call_follows() -> None:
    subject = about_bob()
    assert not subject.wants(request("1"))
    assert subject.wants(request("1", To=f"<{BOB}>"))
    assert subject.wants(request("1"))
    assert not subject.wants(request("2"))


def test_the_call_that_was_silent_longest_is_forgotten() -> None:
    subject = about_bob(2)
    for call_id in "123":
        assert subject.wants(request(call_id, To=f"<{BOB}>"))
        assert subject.wants(request("1")) is (call_id != "4")
    assert [subject.wants(request(call_id)) for call_id in "123"] == [True, False, True]
