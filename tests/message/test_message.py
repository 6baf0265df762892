"""Reading whole messages: start lines, lines kept as they came, folding, what is refused and what is left to answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import Limits, MessageError, Request, Response, SipURI, parse_message
from sipframe.testing.strategies import messages, nearly
from tests.message.touching import touch


def refused(data: bytes, limits: Limits | None = None) -> MessageError:
    with pytest.raises(MessageError) as caught:
        parse_message(data, limits or Limits())
    return caught.value


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def test_a_request() -> None:
    found = parse_message(head("REGISTER sip:registrar.biloxi.com SIP/2.0", "Expires: 7200"))
    assert isinstance(found, Request)
    assert (found.method, found.uri_text, found.version) == (
        "REGISTER",
        "sip:registrar.biloxi.com",
        "SIP/2.0",
    )
    assert isinstance(found.uri, SipURI)
    assert found.start_line == "REGISTER sip:registrar.biloxi.com SIP/2.0"
    assert "REGISTER" in repr(found)


def test_a_response() -> None:
    found = parse_message(head("SIP/2.0 486 Busy Here", "Expires: 7200"))
    assert isinstance(found, Response)
    assert (found.status, found.reason, found.version) == (486, "Busy Here", "SIP/2.0")
    assert found.start_line == "SIP/2.0 486 Busy Here"
    assert "486" in repr(found)


@pytest.mark.parametrize(
    "line", ["SIP/2.0 200 ", "SIP/2.0 200  two  blanks ", "SIP/2.0 100 \u00e9\udcff", "sip/2.0 699 x"]
)
def test_reason_phrases_and_versions_come_back(line: str) -> None:
    data = head(line, "l: 0")
    assert parse_message(data).to_bytes() == data


@pytest.mark.parametrize("line", ["x sip:a@b sip/2.0", "!%* * SIP/2.0", "OPTIONS \udcff SIP/2.0"])
def test_odd_request_lines_come_back(line: str) -> None:
    data = head(line, "l: 0")
    assert parse_message(data).to_bytes() == data


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("OPTIONS sip:a@b SIP/3.0", 505),
        ("OPTIONS sip:a@b SIP/2.00", 505),
        ("OPTIONS sip:a@b SIP/22.0", 505),
        ("OPTIONS sip:a b SIP/2.0", 400),
        ("OPTIONS  sip:a@b SIP/2.0", 400),
        ("OPTIONS sip:a@b  SIP/2.0", 400),
        ("OPTIONS sip:a@b SIP/2.0 ", 400),
        ("OPTIONS sip:a@b SIP/2.0  ", 400),
        ("OPTIONS  SIP/2.0", 400),
    ],
)
def test_request_lines_that_can_be_answered(line: str, status: int) -> None:
    error = refused(head(line, "Call-ID: x"))
    assert error.status == status
    assert isinstance(error.partial, Request)
    assert (error.partial.method, error.partial.call_id) == ("OPTIONS", "x")


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "OPTIONS",
        "OPTIONS sip:a@b",
        "OPTIONS sip:a@b HTTP/1.1",
        "OPTIONS sip:a@b SIP/2",
        "OPTIONS\tsip:a@b SIP/2.0",
        " OPTIONS sip:a@b SIP/2.0",
        "OPT/IONS sip:a@b SIP/2.0",
        "\u00d6PTIONS sip:a@b SIP/2.0",
        "SIP/2.0",
        "SIP/2.0 200",
        "SIP/2.0  200 OK",
        "SIP/2.0\t200 OK",
        "SIP/2.0 2OO OK",
        "SIP/2.0 \u0662\u0660\u0660 OK",
        "\0",
    ],
)
def test_start_lines_that_are_nothing(line: str) -> None:
    assert refused(head(line, "Call-ID: x")).partial is None


@pytest.mark.parametrize("code", ["0", "99", "099", "700", "999", "1000", "4294967301", "-200", "200" * 2000])
def test_status_codes_out_of_range(code: str) -> None:
    error = refused(head(f"SIP/2.0 {code} x"))
    assert error.partial is None or isinstance(error.partial, Response)


def test_no_fields_at_all() -> None:
    found = parse_message(head("OPTIONS sip:a@b SIP/2.0"))
    assert (found.lines, found.fields, found.body) == ([], {}, b"")


def test_lines_are_kept_in_order_and_as_they_came() -> None:
    lines = [
        "v :  SIP/2.0/UDP b ",
        "X-Own:\t\u00e9",
        "FROM:<sip:a@b>",
        "Subject: a\r\n b\r\n\t c",
        "x-own:",
        "z:\udcff",
    ]
    data = head("OPTIONS sip:a@b SIP/2.0", *lines)
    found = parse_message(data)
    assert found.lines == lines
    assert found.to_bytes() == data
    assert found.all("x-own") == ["\u00e9", ""]
    assert found.first("x-own") == "\u00e9"
    assert found.first("nothing") is None
    assert found.all("nothing") == []


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("Subject: a\r\n b", "a b"),
        ("Subject:\r\n a", "a"),
        ("Subject:\r\n\ta\r\n \r\n  b", "a  b"),
        ("Subject: a  \r\n\t  b  \r\n  c ", "a b c"),
        ("Subject: a\r\n ", "a"),
        ("Subject:\r\n ", ""),
        ("Subject :\r\n :", ":"),
        ("Subject: \t a\tb \t", "a\tb"),
        ("s:a:b", "a:b"),
    ],
)
def test_folding(raw: str, value: str) -> None:
    data = head("OPTIONS sip:a@b SIP/2.0", "Via: x", raw, "To: <sip:a@b>")
    found = parse_message(data)
    assert found.first("subject") == value
    assert found.to.uri_text == "sip:a@b"
    assert found.to_bytes() == data


def test_a_fold_inside_a_name_is_none() -> None:
    for raw in ("Sub\r\n ject: x", "Subject\r\n : x"):
        error = refused(head("OPTIONS sip:a@b SIP/2.0", raw))
        assert error.status == 400


def test_a_fold_before_the_first_field_is_refused() -> None:
    assert refused(head("OPTIONS sip:a@b SIP/2.0", " Via: x")).partial is not None


@pytest.mark.parametrize("line", ["Via", "v", "to", "Own", "x y", "Call-ID x"])
def test_a_line_without_a_colon_is_no_field(line: str) -> None:
    error = refused(head("OPTIONS sip:a@b SIP/2.0", line, "Subject: x"))
    assert error.reason == "Header field without a colon"
    assert error.partial is not None
    assert list(error.partial.fields) == ["subject"]


@pytest.mark.parametrize(
    "line", [": x", " : x", "a b: x", "\u212a: x", "Via\u00a0: x", "\0: x", "(a): b", "\u00e9: x"]
)
def test_names_that_are_none(line: str) -> None:
    assert refused(head("OPTIONS sip:a@b SIP/2.0", line)).reason == "Malformed header field name"


STRAYS = [b"\n", b"\r", b"\n\r", b"\r\r\n", b"\n\n"]


@pytest.mark.parametrize("stray", STRAYS)
@pytest.mark.parametrize("place", ["start", "name", "value", "via", "end"])
def test_a_stray_cr_or_lf_is_refused_and_never_repeated(stray: bytes, place: str) -> None:
    parts = {
        "start": b"OPTIONS sip:a%s@b SIP/2.0\r\nTo: x\r\n\r\n",
        "name": b"OPTIONS sip:a@b SIP/2.0\r\nT%so: x\r\nFrom: y\r\n\r\n",
        "value": b"OPTIONS sip:a@b SIP/2.0\r\nTo: x%sInjected: y\r\nTo: y\r\n\r\n",
        "via": b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h%s;branch=x\r\n\r\n",
        "end": b"OPTIONS sip:a@b SIP/2.0\r\nTo: x%s\r\n\r\n",
    }
    error = refused(parts[place] % stray)
    assert error.status == 400
    if error.partial is not None:
        for values in error.partial.fields.values():
            assert values
            assert not any("\r" in value or "\n" in value for value in values)


def test_lines_end_in_crlf_and_nothing_else() -> None:
    for data in (
        b"OPTIONS sip:a@b SIP/2.0\nTo: x\n\n",
        b"OPTIONS sip:a@b SIP/2.0\rTo: x\r\r",
        b"\n\n",
        b"\r\r\n",
    ):
        assert refused(data).status == 400


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\nTo: <sip:a@b>", b"\r\nTo: <sip:a@b>\r\n"])
def test_no_empty_line(end: bytes) -> None:
    error = refused(b"OPTIONS sip:a@b SIP/2.0" + end)
    assert error.status == 400
    assert isinstance(error.partial, Request)
    if b"To" in end:
        assert error.partial.to.uri_text == "sip:a@b"


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n\r\n", b"\0\0\0\0", b"\xff" * 9])
def test_datagrams_that_are_nothing(data: bytes) -> None:
    assert refused(data).partial is None


def test_empty_lines_before_the_start_line_are_skipped() -> None:
    data = head("OPTIONS sip:a@b SIP/2.0", "To: x")
    assert parse_message(b"\r\n\r\n\r\n" + data).to_bytes() == data


# Content-Length and the body (RFC 3261 18.3, 20.14).


def test_without_content_length_the_body_is_the_rest() -> None:
    data = head("MESSAGE sip:a@b SIP/2.0") + b"\0\r\n\r\nrest"
    assert parse_message(data).body == b"\0\r\n\r\nrest"
    assert parse_message(data).to_bytes() == data


@pytest.mark.parametrize("line", ["Content-Length: 4", "l:4", "CoNtEnT-lEnGtH \t:\r\n 0004", "L : 4 "])
def test_what_follows_the_body_is_dropped(line: str) -> None:
    data = head("MESSAGE sip:a@b SIP/2.0", line)
    found = parse_message(data + b"body and more")
    assert found.body == b"body"
    assert found.content_length == 4
    assert found.to_bytes() == data + b"body"


def test_a_body_that_is_cut_off_is_refused() -> None:
    error = refused(head("MESSAGE sip:a@b SIP/2.0", "l: 5") + b"body")
    assert error.status == 400
    assert error.partial is not None
    assert error.partial.body == b"body"


LENGTHS = [
    "",
    "-1",
    "+4",
    "4.0",
    "0x4",
    "4 4",
    "4,4",
    "4;x",
    '"4"',
    "1_0",
    "\u0664",
    "\u00b2",
    "\u0c66",
    "1e1",
    "4\x0b",
    "\xa04",
    "9" * 21,
    "9" * 5000,
]


@pytest.mark.parametrize("value", LENGTHS)
def test_content_lengths_that_are_none(value: str) -> None:
    error = refused(head("MESSAGE sip:a@b SIP/2.0", f"Content-Length: {value}", "i: x") + b"body")
    assert (error.status, error.reason) == (400, "Malformed Content-Length")
    assert error.partial is not None
    assert error.partial.call_id == "x"


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 4", "Content-Length: 4"],
        ["Content-Length: 4", "l: 0"],
        ["l: 0", "l : 4"],
        ["CONTENT-LENGTH: 4", "content-length\t:\r\n 4"],
    ],
)
def test_two_content_lengths_are_refused_even_when_they_agree(lines: list[str]) -> None:
    assert (
        refused(head("MESSAGE sip:a@b SIP/2.0", *lines) + b"body").reason
        == "Repeated header field that may stand once"
    )


# Limits.


def test_the_limit_of_the_head() -> None:
    data = head("OPTIONS sip:a@b SIP/2.0", "Subject: " + "x" * 100)
    exact = len(data) - 4
    assert parse_message(data, Limits(head=exact)).to_bytes() == data
    assert refused(data, Limits(head=exact - 1)).status == 513
    assert refused(data[:-4], Limits(head=exact - 1)).status == 513
    assert refused(data[:-4], Limits(head=exact)).status == 400


def test_the_limit_of_the_lines() -> None:
    data = head("OPTIONS sip:a@b SIP/2.0", *["Own: x"] * 5, "Own:\r\n y")
    assert parse_message(data, Limits(lines=7)).all("own") == ["x"] * 5 + ["y"]
    assert refused(data, Limits(lines=6)).status == 513


def test_the_limit_of_the_body() -> None:
    with_length = head("MESSAGE sip:a@b SIP/2.0", "l: 5") + b"12345"
    without = head("MESSAGE sip:a@b SIP/2.0") + b"12345"
    for data in (with_length, without):
        assert parse_message(data, Limits(body=5)).body == b"12345"
        error = refused(data, Limits(body=4))
        assert error.status == 513
        assert error.partial is not None


def test_the_limits_also_hold_for_what_is_cut_off() -> None:
    data = b"OPTIONS sip:a@b SIP/2.0" + b"\r\nOwn: x" * 9
    assert refused(data, Limits(lines=20)).partial is not None
    assert refused(data, Limits(lines=5)).partial is None


# Properties.


@given(messages())
def test_a_valid_message_comes_back_and_hides_nothing(data: bytes) -> None:
    found = parse_message(data)
    assert found.to_bytes() == data
    assert touch(found) == []
    for name in ("vias", "from_", "to", "cseq", "contacts", "credentials"):
        assert getattr(found, name) is getattr(found, name)  # parsed once


@given(nearly())
def test_a_damaged_message_is_read_or_refused(data: bytes) -> None:
    try:
        found = parse_message(data)
    except MessageError as error:
        if error.partial is not None:
            touch(error.partial)
        return
    touch(found)
    assert found.to_bytes() in data


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(junk: bytes) -> None:
    for data in (
        junk,
        b"OPTIONS sip:a@b SIP/2.0\r\n" + junk + b"\r\n\r\n",
        b"OPTIONS " + junk + b" SIP/2.0\r\n\r\n",
        b"SIP/2.0 200 " + junk + b"\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nOwn:" + junk + b"\r\n\r\n" + junk,
    ):
        try:
            found = parse_message(data)
        except MessageError:
            continue
        touch(found)
        assert found.to_bytes() in data


FIELDS = [
    *("Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Contact", "Expires", "Min-Expires", "Route"),
    *(
        "Record-Route",
        "Path",
        "Require",
        "Proxy-Require",
        "Supported",
        "Unsupported",
        "Allow",
        "Authorization",
    ),
    *("Proxy-Authorization", "WWW-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Date"),
    *("Retry-After", "Warning"),
]


@given(st.sampled_from(FIELDS), st.binary(max_size=60))
def test_any_octets_in_any_field_are_read_or_refused(name: str, junk: bytes) -> None:
    data = b"OPTIONS sip:a@b SIP/2.0\r\n" + name.encode() + b":" + junk + b"\r\n\r\n"
    try:
        found = parse_message(data)
    except MessageError as error:
        if error.partial is not None:
            touch(error.partial)
        return
    touch(found)
