"""Numbers, dates and short texts, as typed access to a message gives them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import (
    CSeq,
    MessageError,
    Response,
    RetryAfter,
    WarningValue,
    format_date,
    parse_date,
    parse_message,
)


def message(*lines: str) -> Response:
    found = parse_message("\r\n".join(["SIP/2.0 200 OK", *lines, "", ""]).encode("utf-8", "surrogateescape"))
    assert isinstance(found, Response)
    return found


VALID: list[tuple[str, str, object]] = [
    ("CSeq: 4711 INVITE", "cseq", CSeq(4711, "INVITE")),
    ("cseq: 0009\r\n  INVITE", "cseq", CSeq(9, "INVITE")),
    ("CSeq: 0 x", "cseq", CSeq(0, "x")),
    ("CSeq: 2147483647 \t REGISTER", "cseq", CSeq(2**31 - 1, "REGISTER")),
    ("Max-Forwards: 6", "max_forwards", 6),
    ("MaX-fOrWaRdS: 0068", "max_forwards", 68),
    ("Max-Forwards: 0", "max_forwards", 0),
    ("Max-Forwards: 255", "max_forwards", 255),
    ("Own: y", "max_forwards", None),
    ("l: 173", "content_length", None),
    ("Own: y", "content_length", None),
    ("Expires: 5", "expires", 5),
    ("Expires: 4294967295", "expires", 2**32 - 1),
    ("Expires: 4294967296", "expires", 3600),
    ("Expires: soon", "expires", 3600),
    ("Expires: -1", "expires", 3600),
    ("Expires:", "expires", 3600),
    ("Expires: Thu, 01 Dec 1994 16:00:00 GMT", "expires", 3600),
    ("Own: y", "expires", None),
    ("Min-Expires: 60", "min_expires", 60),
    (
        "Call-ID: f81d4fae-7dec-11d0-a765-00a0c91e6bf6@biloxi.com",
        "call_id",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6@biloxi.com",
    ),
    (
        "i:f81d4fae-7dec-11d0-a765-00a0c91e6bf6@192.0.2.4",
        "call_id",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6@192.0.2.4",
    ),
    ("Call-ID: a=b", "call_id", "a=b"),
    ("Date: Sat, 13 Nov 2010 23:29:00 GMT", "date", datetime(2010, 11, 13, 23, 29, tzinfo=UTC)),
    ("Own: y", "date", None),
    ("Retry-After: 18000;duration=3600", "retry_after", RetryAfter(18000, "", (("duration", "3600"),))),
    ("Retry-After: 120 (I'm in a meeting)", "retry_after", RetryAfter(120, "I'm in a meeting", ())),
    ("Retry-After: 5(a (b) \\) c) ;x", "retry_after", RetryAfter(5, "a (b) \\) c", (("x", None),))),
    ("Own: y", "retry_after", None),
    (
        "Warning: 307 isi.edu \"Session parameter 'foo' not understood\"",
        "warnings",
        (WarningValue(307, "isi.edu", "Session parameter 'foo' not understood"),),
    ),
    (
        'Warning: 301 isi.edu "a, b", 399 [::1]:5060 "c\\"d"\r\nWarning: 399 x "e"',
        "warnings",
        (
            WarningValue(301, "isi.edu", "a, b"),
            WarningValue(399, "[::1]:5060", 'c"d'),
            WarningValue(399, "x", "e"),
        ),
    ),
    ("Own: y", "warnings", ()),
    ("Require: 100rel", "require", ("100rel",)),
    ("Require: a,b\r\nRequire: c", "require", ("a", "b", "c")),
    ("Proxy-Require: foo", "proxy_require", ("foo",)),
    ("k: 100rel, path\r\nSupported: gruu", "supported", ("100rel", "path", "gruu")),
    ("Supported:", "supported", ()),
    ("Own: y", "supported", ()),
    ("Unsupported: foo", "unsupported", ("foo",)),
    ("Allow: INVITE, ACK, OPTIONS, CANCEL, BYE", "allow", ("INVITE", "ACK", "OPTIONS", "CANCEL", "BYE")),
    ("Allow:", "allow", ()),
    ("Own: y", "credentials", ()),
    ("Own: y", "challenges", ()),
    ("Own: y", "authentication_info", {}),
    (
        'Authentication-Info: nextnonce="47364c23432d2e131a5fb210812c"',
        "authentication_info",
        {"nextnonce": "47364c23432d2e131a5fb210812c"},
    ),
    ("Own: y", "contacts", ()),
    ("Own: y", "routes", ()),
    ("m: *", "contacts", ()),
    ("m: *", "contact_star", True),
    ("m: <sip:a@b>", "contact_star", False),
    ("Own: y", "contact_star", False),
]


@pytest.mark.parametrize(("lines", "name", "value"), VALID)
def test_valid(lines: str, name: str, value: object) -> None:
    if name == "content_length" and lines.startswith("l"):
        # There is no such body in this datagram.
        with pytest.raises(MessageError) as caught:
            message(lines)
        assert caught.value.partial is not None
        assert caught.value.partial.content_length == 173
        return
    found = message(lines)
    assert getattr(found, name) == value
    assert getattr(found, name) is getattr(found, name) or isinstance(value, bool)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Own: y", "cseq"),
        ("CSeq:", "cseq"),
        ("CSeq: 1", "cseq"),
        ("CSeq: INVITE", "cseq"),
        ("CSeq: 1INVITE", "cseq"),
        ("CSeq: INVITE 1", "cseq"),
        ("CSeq: -1 INVITE", "cseq"),
        ("CSeq: +1 INVITE", "cseq"),
        ("CSeq: 0x1 INVITE", "cseq"),
        ("CSeq: 1_0 INVITE", "cseq"),
        ("CSeq: \u0661 INVITE", "cseq"),
        ("CSeq: \u00b9 INVITE", "cseq"),
        ("CSeq: 2147483648 INVITE", "cseq"),
        ("CSeq: 36893488147419103232 INVITE", "cseq"),
        ("CSeq: 1 INVITE x", "cseq"),
        ("CSeq: 1 IN/VITE", "cseq"),
        ("CSeq: 1, INVITE", "cseq"),
        ("CSeq: 1\x0bINVITE", "cseq"),
        ("Max-Forwards:", "max_forwards"),
        ("Max-Forwards: 256", "max_forwards"),
        ("Max-Forwards: -1", "max_forwards"),
        ("Max-Forwards: 7 0", "max_forwards"),
        ("Max-Forwards: 70, 5", "max_forwards"),
        ("Max-Forwards: \u0667\u0660", "max_forwards"),
        ("Max-Forwards: 000000000000000000000070", "max_forwards"),
        ("Min-Expires: x", "min_expires"),
        ("Min-Expires: 4294967296", "min_expires"),
        ("Own: y", "call_id"),
        ("Call-ID:", "call_id"),
        ("Call-ID: a b", "call_id"),
        ("Call-ID: a\tb", "call_id"),
        ("Call-ID: a\r\n b", "call_id"),
        ("Call-ID: a\0", "call_id"),
        ("Call-ID: \u00e9", "call_id"),
        ("Call-ID: \udcff", "call_id"),
        ("Date: Sat, 13 Nov 2010 23:29:00 EST", "date"),
        ("Date: Sat, 13 Nov 2010 23:29:00", "date"),
        ("Date: 13 Nov 2010 23:29:00 GMT", "date"),
        ("Date: Sat, 31 Feb 2010 23:29:00 GMT", "date"),
        ("Date: Sat, 13 Nov 0000 23:29:00 GMT", "date"),
        ("Date: Sat, 13 Nov 2010 24:29:00 GMT", "date"),
        ("Date: Sat, 13 Nov 2010 23:60:00 GMT", "date"),
        ("Date: Sat, 13 Nov 2010 23:59:61 GMT", "date"),
        ("Date: Sat, 13 Nov 2010 23:29:00 GMT, x", "date"),
        ("Date: Sat, \u0661\u0663 Nov 2010 23:29:00 GMT", "date"),
        ("Date:", "date"),
        ("Retry-After:", "retry_after"),
        ("Retry-After: soon", "retry_after"),
        ("Retry-After: -5", "retry_after"),
        ("Retry-After: 949302838503028349304023988", "retry_after"),
        ("Retry-After: 5 (a", "retry_after"),
        ("Retry-After: 5 a)", "retry_after"),
        ("Retry-After: 5;", "retry_after"),
        ("Retry-After: 5, 6", "retry_after"),
        ('Warning: 1812 overture "In Progress"', "warnings"),
        ('Warning: 99 x "y"', "warnings"),
        ("Warning: 399 x y", "warnings"),
        ('Warning: 399 x "y', "warnings"),
        ('Warning: 399 x "y" z', "warnings"),
        ("Warning:", "warnings"),
        ("Require: a b", "require"),
        ("Require: a,,b", "require"),
        ("Proxy-Require: a;b", "proxy_require"),
        ("Supported: (a)", "supported"),
        ("Allow: IN VITE", "allow"),
        ("Unsupported: \u00e9", "unsupported"),
        ("Own: y", "vias"),
        ("Own: y", "via"),
        ("Own: y", "to"),
        ("Own: y", "from_"),
        ("Via:", "vias"),
        ("To:", "to"),
        ("From: x", "from_"),
        ("To: <sip:a@b>, <sip:c@d>", "to"),
        ("Contact:", "contacts"),
        ("Contact: *, <sip:a@b>", "contacts"),
        ("Contact: *;expires=0", "contacts"),
        ("Contact: * *", "contacts"),
        ("Route:", "routes"),
        ("Record-Route: <", "record_routes"),
        ("Path: sip:a@b?x", "path"),
        ("Authorization:", "credentials"),
        ("Proxy-Authorization: Digest a,", "proxy_credentials"),
        ("WWW-Authenticate: Digest a=b,a=c", "challenges"),
        ("Proxy-Authenticate: =", "proxy_challenges"),
        ("Authentication-Info: x", "authentication_info"),
    ],
)
def test_malformed_and_refused_each_time(line: str, name: str) -> None:
    found = message(line)
    reasons = set()
    for _ in range(3):
        with pytest.raises(MessageError) as caught:
            getattr(found, name)
        assert caught.value.status == 400
        reasons.add(caught.value.reason)
    (reason,) = reasons
    assert reason.isprintable()
    assert reason.isascii()
    assert found.first(line.partition(":")[0].lower()) is not None  # the text itself is still there


def test_a_reason_names_its_field() -> None:
    for line, name, field in (
        ("To: <", "to", "To"),
        ("Contact: <", "contacts", "Contact"),
        ("Require: a b", "require", "Require"),
        ("Proxy-Require: a b", "proxy_require", "Proxy-Require"),
        ("CSeq: x", "cseq", "CSeq"),
        ("Own: y", "via", "Via"),
    ):
        with pytest.raises(MessageError, match=rf"\b{field}\b"):
            getattr(message(line), name)


def test_contact_star_beside_others_is_seen_and_left_out() -> None:
    found = message("Contact: *", "Contact: <sip:a@b>")
    assert found.contact_star
    assert [one.uri_text for one in found.contacts] == ["sip:a@b"]


def test_a_leap_second_is_a_date() -> None:
    assert parse_date("Sat, 31 Dec 2016 23:59:60 GMT") == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_a_date_is_written_as_rfc_3261_20_17_has_it() -> None:
    assert format_date(1289690940.9) == "Sat, 13 Nov 2010 23:29:00 GMT"


@given(st.integers(0, 2**32))
def test_dates_come_back(seconds: int) -> None:
    assert parse_date(format_date(seconds)).timestamp() == seconds
