"""Forwarded messages (RFC 3261 16.6, 16.7): what changes, and that nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sipframe.message import Message, MessageError, Request, Response, SipURI, parse_message, parse_uri
from sipframe.message.names import canonical_name
from sipframe.proxy import Copy, Way, forwarded_request, forwarded_response, preprocess, way
from sipframe.testing.strategies import requests, responses
from tests.fakes import request
from tests.proxy.messages import response

VIA = "SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKnew"
SOURCE = ("192.0.2.7", 5062)


def straight(uri: str = "sip:bob@192.0.2.4", *routes: str, changed: bool = False) -> Way:
    hop = parse_uri(uri)
    assert isinstance(hop, SipURI)
    return Way(uri, routes, changed, hop)


def copy(one: Way | None = None, *record_routes: str, stream: bool = False) -> Copy:
    return Copy(one or straight(), VIA, 69, 30, record_routes, stream)


def lines(data: bytes | None) -> list[str]:
    assert data is not None
    return data.decode().partition("\r\n\r\n")[0].split("\r\n")


def test_a_request_as_it_is_forwarded() -> None:
    message = request("INVITE", "Record-Route: <sip:p1;lr>", "X-New: 1", uri="sip:bob@example.com")
    assert lines(forwarded_request(message, SOURCE, copy(None, "<sip:out;lr>", "<sip:in;lr>"))) == [
        "INVITE sip:bob@192.0.2.4 SIP/2.0",
        f"Via: {VIA}",
        "Record-Route: <sip:out;lr>",
        "Record-Route: <sip:in;lr>",
        "Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK1",
        "Max-Forwards: 69",
        "From: <sip:bob@example.com>;tag=1",
        "To: <sip:bob@example.com>",
        "Call-ID: call-1",
        "CSeq: 1 INVITE",
        "Content-Length: 0",
        "Record-Route: <sip:p1;lr>",
        "X-New: 1",
        "Max-Breadth: 30",
    ]


def test_the_received_request_is_what_it_was() -> None:
    message = request("INVITE", "Route: <sip:us;lr>")
    before = message.to_bytes()
    forwarded_request(message, ("203.0.113.9", 1), copy(straight("sip:a@b", "<sip:p;lr>", changed=True)))
    assert message.to_bytes() == before


def test_max_forwards_and_max_breadth_are_written_anew() -> None:
    message = request("INVITE", "max-forwards : 12", "MAX-BREADTH: 60", without=("Max-Forwards",))
    found = lines(forwarded_request(message, SOURCE, copy()))
    assert found[7:] == ["Content-Length: 0", "Max-Forwards: 69", "Max-Breadth: 30"]


def test_max_forwards_is_added() -> None:
    message = request("INVITE", without=("Max-Forwards",))
    assert lines(forwarded_request(message, SOURCE, copy()))[-2:] == ["Max-Forwards: 69", "Max-Breadth: 30"]


def test_routes_that_do_not_change_stay_as_they_are() -> None:
    message = request("INVITE", "Route:  <sip:p;lr> ,\r\n\t<sip:q;lr>", "route: <sip:r;lr>")
    found = lines(forwarded_request(message, SOURCE, copy(straight("sip:a@b", "not looked at"))))
    assert found[-4:] == ["Route:  <sip:p;lr> ,", "\t<sip:q;lr>", "route: <sip:r;lr>", "Max-Breadth: 30"]


def test_routes_that_change_are_written_where_they_stood() -> None:
    message = request("INVITE", "Route: <sip:us;lr>, <sip:p;lr>", "X: y", "route: <sip:q;lr>")
    changed = straight("sip:a@b", "<sip:p;lr>", "<sip:q;lr>", changed=True)
    found = lines(forwarded_request(message, SOURCE, copy(changed)))
    assert found[-4:] == ["Route: <sip:p;lr>", "Route: <sip:q;lr>", "X: y", "Max-Breadth: 30"]
    found = lines(forwarded_request(message, SOURCE, copy(straight(changed=True))))
    assert found[-2:] == ["X: y", "Max-Breadth: 30"]


def test_routes_that_are_new() -> None:
    found = lines(
        forwarded_request(request("INVITE"), SOURCE, copy(straight("sip:a@b", "<sip:p;lr>", changed=True)))
    )
    assert found[1:4] == [
        f"Via: {VIA}",
        "Route: <sip:p;lr>",
        "Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK1",
    ]


@pytest.mark.parametrize(
    ("via", "stamp"),
    [
        (
            "Via: SIP/2.0/UDP a.example;branch=z9hG4bK1",
            "Via: SIP/2.0/UDP a.example;branch=z9hG4bK1;received=192.0.2.7",
        ),
        ("v:SIP/2.0/UDP 192.0.2.7;rport", "Via: SIP/2.0/UDP 192.0.2.7;rport=5062;received=192.0.2.7"),
        ("VIA : SIP/2.0/UDP 192.0.2.7;branch=x  ", "VIA : SIP/2.0/UDP 192.0.2.7;branch=x  "),
        (
            "Via: SIP/2.0/UDP a;branch=x , SIP/2.0/UDP b",
            "Via: SIP/2.0/UDP a;branch=x;received=192.0.2.7 , SIP/2.0/UDP b",
        ),
    ],
)
def test_where_it_came_from_goes_into_its_via(via: str, stamp: str) -> None:
    # 18.2.1, RFC 3581 4
    message = request("INVITE", via, "Via: SIP/2.0/UDP c", without=("Via",))
    found = lines(forwarded_request(message, SOURCE, copy()))
    assert [line for line in found if line[:1] in "Vv"] == [f"Via: {VIA}", stamp, "Via: SIP/2.0/UDP c"]


def test_content_length_for_a_stream() -> None:
    message = request("MESSAGE", without=("Content-Length",))
    message.body = "é".encode()
    assert b"Content-Length" not in forwarded_request(message, SOURCE, copy())
    data = forwarded_request(message, SOURCE, copy(stream=True))
    assert data.endswith(b"Content-Length: 2\r\n\r\n\xc3\xa9")
    assert forwarded_request(
        request("MESSAGE", "l: 0", without=("Content-Length",)), SOURCE, copy(stream=True)
    ).endswith(b"l: 0\r\nMax-Breadth: 30\r\n\r\n")


def test_what_is_forwarded_is_what_the_road_says() -> None:
    message = request("BYE", "Route: <sip:us;lr>, <sip:strict>", uri="sip:bob@example.com")

    class Us:
        def recorded(self, uri: SipURI) -> bool:
            return False

        def here(self, uri: SipURI) -> bool:
            return uri.host == "us"

        maddr = recorded

    come = preprocess(message, Us())
    data = forwarded_request(message, SOURCE, copy(way(come, come.uri_text)))
    found = parse_message(data)
    assert isinstance(found, Request)
    assert (found.uri_text, found.all("route")) == ("sip:strict", ["<sip:bob@example.com>"])


# Responses.


def test_a_response_loses_our_via() -> None:
    message = response(180, "X: y", body="v=0")
    assert lines(forwarded_response(message)) == [message.start_line, *message.lines[1:]]
    assert (forwarded_response(message) or b"").endswith(b"\r\n\r\nv=0")


@pytest.mark.parametrize(
    "line", ["Via: SIP/2.0/UDP a , SIP/2.0/UDP b;x=1", "v: SIP/2.0/UDP a,\r\n SIP/2.0/UDP b;x=1"]
)
def test_a_via_that_stands_behind_ours_stays(line: str) -> None:
    data = b"SIP/2.0 200 OK\r\nX: y\r\n" + line.encode() + b"\r\nVia: SIP/2.0/UDP c\r\n\r\n"
    message = parse_message(data)
    assert isinstance(message, Response)
    assert lines(forwarded_response(message)) == [
        "SIP/2.0 200 OK",
        "X: y",
        "Via: SIP/2.0/UDP b;x=1",
        "Via: SIP/2.0/UDP c",
    ]


def test_a_response_that_was_for_us_goes_nowhere() -> None:
    message = parse_message(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\n\r\n")
    assert isinstance(message, Response)
    assert forwarded_response(message) is None  # 16.7 step 3


def test_challenges_are_added() -> None:
    message = response(401, 'WWW-Authenticate: Digest realm="a"')
    found = lines(forwarded_response(message, ('Proxy-Authenticate: Digest realm="b"',)))
    assert found == [message.start_line, *message.lines[1:], 'Proxy-Authenticate: Digest realm="b"']


def test_contacts_that_were_tried_are_taken_out() -> None:
    message = response(302, "CONTACT: <sip:a@b>", "X: y", "m: <mailto:a@b>, <sip:c@d>", "Call-Info: <x:y>")
    found = lines(forwarded_response(message, (), ("<mailto:a@b>",)))
    assert found[-4:] == ["Contact: <mailto:a@b>", "X: y", "Call-Info: <x:y>", "Content-Length: 0"]
    assert lines(forwarded_response(message, (), ()))[-3:] == [
        "X: y",
        "Call-Info: <x:y>",
        "Content-Length: 0",
    ]


def test_content_length_of_a_response_for_a_stream() -> None:
    data = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\n\r\nbody"
    message = parse_message(data)
    assert isinstance(message, Response)
    assert forwarded_response(message, stream=True) == (
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP b\r\nContent-Length: 4\r\n\r\nbody"
    )


# Any message.

CHANGED = {"via", "max-forwards", "max-breadth", "route", "record-route"}


def others(message: Message, changed: set[str]) -> list[str]:
    return [line for line in message.lines if canonical_name(line.partition(":")[0]) not in changed]


def sound(data: bytes) -> Request | Response:
    try:
        message = parse_message(data)
        _ = message.vias
    except MessageError:
        assume(False)
    assert isinstance(message, Request | Response)
    return message


routes = st.lists(st.sampled_from(["<sip:p;lr>", '"a, b" <sip:q:5;lr>;x', "<sips:[::1];lr>"]), max_size=3)


@given(requests(), routes, routes, st.booleans(), st.booleans())
@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], deadline=None)
def test_any_request_keeps_everything_else(
    data: bytes, recorded: list[str], new: list[str], changed: bool, stream: bool
) -> None:
    message = sound(data)
    assert isinstance(message, Request)
    one = straight("sip:x@192.0.2.4", *new, changed=changed)
    found = parse_message(forwarded_request(message, SOURCE, copy(one, *recorded, stream=stream)))
    assert isinstance(found, Request)
    left = others(found, CHANGED)
    if stream and "content-length" not in message.fields:
        assert left.pop() == f"Content-Length: {len(message.body)}"
    assert left == others(message, CHANGED)
    assert found.body == message.body
    assert found.method == message.method
    assert found.uri_text == "sip:x@192.0.2.4"
    assert found.max_forwards == 69
    assert found.all("max-breadth") == ["30"]
    assert found.all("record-route") == [*recorded, *message.all("record-route")]
    assert found.all("route") == (new if changed else message.all("route"))
    assert [via.text for via in found.vias[2:]] == [via.text for via in message.vias[1:]]
    assert found.via.text == VIA
    assert found.vias[1].sent_by == message.via.sent_by
    assert found.vias[1].branch == message.via.branch


@given(responses(), st.booleans())
@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], deadline=None)
def test_any_response_keeps_everything_else(data: bytes, stream: bool) -> None:
    message = sound(data)
    assert isinstance(message, Response)
    back = forwarded_response(message, stream=stream)
    assert (back is None) is (len(message.vias) == 1)
    assume(back is not None)
    assert back is not None
    found = parse_message(back)
    left = others(found, {"via"})
    if stream and "content-length" not in message.fields:
        assert left.pop() == f"Content-Length: {len(message.body)}"
    assert left == others(message, {"via"})
    assert found.start_line == message.start_line
    assert found.body == message.body
    assert [via.text for via in found.vias] == [via.text for via in message.vias[1:]]


@given(requests())
@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], deadline=None)
def test_a_request_that_goes_out_and_comes_back_in_an_answer(data: bytes) -> None:
    """Our Via on, our Via off: what is left of Via is what the element before us is answered by (18.2.2)."""
    message = sound(data)
    assert isinstance(message, Request)
    out = parse_message(forwarded_request(message, SOURCE, copy()))
    vias = "".join(f"Via: {value}\r\n" for value in out.all("via"))
    answer = parse_message(f"SIP/2.0 200 OK\r\n{vias}\r\n".encode("utf-8", "surrogateescape"))
    assert isinstance(answer, Response)
    back = forwarded_response(answer)
    assert back is not None
    assert [via.text for via in parse_message(back).vias] == [via.text for via in out.vias[1:]]
