"""RFC 4475 message by message: what the grammar accepts, rejects, and reports of each."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sipframe.message import (
    MessageError,
    NameAddr,
    Request,
    Response,
    SipURI,
    StreamFramer,
    aor_of,
    equivalent,
    parse_message,
    response_bytes,
)
from sipframe.message.uri import plain
from tests.message.touching import touch

FOLDER = Path(__file__).parent / "rfc4475"
MESSAGES: list[dict[str, Any]] = tomllib.loads((FOLDER / "expected.toml").read_text(encoding="utf-8"))[
    "message"
]
NAMES = [message["name"] for message in MESSAGES]
every_message = pytest.mark.parametrize("case", MESSAGES, ids=NAMES)


def octets(name: str) -> bytes:
    return (FOLDER / f"{name}.dat").read_bytes()


def as_far_as_it_goes(data: bytes) -> Request | Response:
    """The message, or what could be read of one that is refused."""
    try:
        return parse_message(data)
    except MessageError as error:
        partial = error.partial
    assert partial is not None
    return partial


def request(name: str) -> Request:
    message = as_far_as_it_goes(octets(name))
    assert isinstance(message, Request)
    return message


def sip(uri: object) -> SipURI:
    assert isinstance(uri, SipURI)
    return uri


def user(address: NameAddr) -> str:
    return plain(sip(address.uri).user or "")


def judge(data: bytes) -> None:
    """Read everything of a message that has a type, and raise the first MessageError.

    That the method of CSeq is the request's is for the core to check, which has both.
    """
    message = parse_message(data)
    defects = touch(message)
    if defects:
        raise defects[0]
    if isinstance(message, Request) and message.cseq.method != message.method:
        raise MessageError("CSeq names another method")


def test_none_is_missing() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.dat")) == sorted(NAMES)
    assert len(NAMES) == 37


@every_message
def test_the_octets_are_those_of_the_rfc(case: dict[str, Any]) -> None:
    data = octets(case["name"])
    assert len(data) == case["octets"]
    assert hashlib.sha256(data).hexdigest() == case["sha256"]


@every_message
def test_accepted_or_rejected(case: dict[str, Any]) -> None:
    data = octets(case["name"])
    if case["parser"] == "accept":
        judge(data)
    elif case["parser"] == "reject":
        with pytest.raises(MessageError):
            judge(data)
    else:
        try:
            judge(data)
        except MessageError:
            pass


STRICT = ["badbranch", "baddate", "baddn", "escruri", "lwsruri", "lwsstart", "regbadct"]


def test_the_choice_where_the_rfc_leaves_one() -> None:
    assert sorted(case["name"] for case in MESSAGES if case["parser"] == "either") == STRICT
    accepted = []
    for name in STRICT:
        try:
            judge(octets(name))
        except MessageError:
            continue
        accepted.append(name)
    # A branch that is a bare cookie is the matching's affair, header fields in a Request-URI are the core's.
    assert accepted == ["badbranch", "escruri"]


FACTS: dict[str, Callable[[Any], object]] = {
    "accept_count": lambda m: sum(len(value.split(",")) for value in m.all("accept")),
    "body_octets": lambda m: len(m.body),
    "call_id": lambda m: m.call_id,
    "contact_count": lambda m: len(m.contacts),
    "contact_header_params": lambda m: [name for name, _ in m.contacts[0].params],
    "contact_param_lr": lambda m: m.contacts[0].uri.param("lr") == "",
    "contact_param_name": lambda m: m.contacts[0].uri.param("name"),
    "contact_q": lambda m: m.contacts[0].q,
    "contact_uri": lambda m: m.contacts[0].uri_text,
    "contact_user": lambda m: user(m.contacts[0]),
    "contacts_distinct": lambda m: not equivalent(m.contacts[0].uri, m.contacts[1].uri),
    "content_length": lambda m: m.content_length,
    "cseq": lambda m: m.cseq.number,
    "cseq_method": lambda m: m.cseq.method,
    "from_display": lambda m: m.from_.display,
    "from_tag": lambda m: m.from_.tag or "",
    "from_uri": lambda m: m.from_.uri_text,
    "from_user": lambda m: user(m.from_),
    "has_unknown_header": lambda m: next(
        line.partition(":")[0] for line in m.lines if line.startswith("extension")
    ),
    "max_forwards": lambda m: m.max_forwards,
    "method": lambda m: m.method,
    "proxy_require": lambda m: list(m.proxy_require),
    "reason_has_utf8": lambda m: not m.reason.isascii() and m.reason.encode("utf-8") != b"",
    "request_uri": lambda m: m.uri_text,
    "request_uri_host": lambda m: m.uri.host,
    "request_uri_param_count": lambda m: len(m.uri.params),
    "request_uri_user": lambda m: plain(m.uri.user),
    "require": lambda m: list(m.require),
    "route_count": lambda m: len(m.routes),
    "status": lambda m: m.status,
    "subject": lambda m: m.first("subject"),
    "to_display_contains_nul": lambda m: "\0" in m.to.display,
    "to_port": lambda m: m.to.uri.port,
    "to_tag": lambda m: m.to.tag,
    "to_uri": lambda m: m.to.uri_text,
    "to_user": lambda m: user(m.to),
    "to_user_octets": lambda m: user(m.to),
    "top_via_branch": lambda m: m.via.branch or "",
    "top_via_host": lambda m: m.via.host,
    "via_count": lambda m: len(m.vias),
}


@pytest.mark.parametrize(
    ("name", "fact", "value"),
    [(case["name"], fact, value) for case in MESSAGES for fact, value in case.get("facts", {}).items()],
)
def test_fact(name: str, fact: str, value: object) -> None:
    assert FACTS[fact](as_far_as_it_goes(octets(name))) == value


@every_message
def test_what_is_read_is_written_back(case: dict[str, Any]) -> None:
    data = octets(case["name"])
    if case["parser"] == "accept":
        message = parse_message(data)
        assert data.startswith(message.to_bytes())
        assert case["name"] == "dblreq" or message.to_bytes() == data


@every_message
def test_what_deserves_an_answer_can_be_answered(case: dict[str, Any]) -> None:
    message = as_far_as_it_goes(octets(case["name"]))
    if isinstance(message, Request):
        data = response_bytes(message, 400, "Bad Request", "t", "", ("192.0.2.1", 5060))
        answer = parse_message(data)
        assert isinstance(answer, Response)
        assert (answer.status, answer.content_length) == (400, 0)
        for name in ("from", "call-id", "cseq"):
            assert answer.all(name) == message.all(name)[:1]


# What must not happen.


def test_wsinv_branch_is_not_that_of_an_rfc_3261_element() -> None:
    message = request("wsinv")
    assert [via.branch for via in message.vias] == ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]
    assert message.first("unknownheaderwithunusualvalue") == ";;,,;;,;"
    assert message.first("newfangledheader") == "newfangled value continued newfangled value"


def test_intmeth_percent_is_no_escape_and_brackets_need_no_balance() -> None:
    message = request("intmeth")
    assert "%indeed" in message.method
    assert message.via.branch == "z9hG4bK-.!%66*_+`'~"
    assert message.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    assert message.to.display == "BEL:\x07 NUL:\0 DEL:\x7f"


def test_esc01_is_decoded_once_and_not_cut_at_escapes() -> None:
    message = request("esc01")
    assert sip(message.contacts[0].uri).param("name") == "value%41"
    uri = sip(message.uri)
    assert (uri.scheme, uri.host, uri.port) == ("sip", "example.net", None)


def test_escnull_keeps_what_follows_the_nul() -> None:
    message = request("escnull")
    first, second = [sip(contact.uri) for contact in message.contacts]
    assert (aor_of(first), aor_of(second)) == ("sip:\0@host5.example.com", "sip:\0\0@host5.example.com")
    assert not equivalent(first, second)


def test_longreq_is_not_cut() -> None:
    message = request("longreq")
    raw = octets("longreq").decode()
    for text in (message.from_.tag, message.to.uri_text, message.call_id, message.vias[-1].branch):
        assert text is not None
        assert len(text) > 100
        assert any(f"{before}{text}{after}" in raw for before in "=< " for after in ";>\r")


def test_dblreq_does_not_act_on_what_follows() -> None:
    message = request("dblreq")
    assert b"INVITE" not in message.to_bytes()


def test_dblreq_is_two_requests_on_a_stream() -> None:
    framer = StreamFramer()
    framer.feed(octets("dblreq"))
    found: list[str] = []
    while len(found) < 2:  # what follows the second body is no message
        one = framer.next()
        if isinstance(one, Request):
            found.append(one.method)
    assert found == ["REGISTER", "INVITE"]


def test_clerr_is_not_read_past_its_datagram() -> None:
    assert request("clerr").body == octets("clerr").partition(b"\r\n\r\n")[2]


def test_clerr_waits_on_a_stream() -> None:
    framer = StreamFramer()
    framer.feed(octets("clerr"))
    assert framer.next() is None
    assert framer.pending


def test_ncl_is_no_count() -> None:
    framer = StreamFramer()
    framer.feed(octets("ncl"))
    with pytest.raises(MessageError):
        framer.next()
    with pytest.raises(MessageError):
        parse_message(octets("ncl"))


def test_lwsstart_and_lwsruri_are_refused() -> None:
    for name in ("lwsstart", "lwsruri"):
        with pytest.raises(MessageError, match="White space") as caught:
            parse_message(octets(name))
        assert caught.value.status == 400


def test_escruri_makes_no_route() -> None:
    message = request("escruri")
    assert message.routes == ()
    assert sip(message.uri).headers == (("Route", "%3Csip:example.com%3E"),)


def test_baddn_is_not_two_values() -> None:
    message = request("baddn")
    for name in ("from_", "to"):
        with pytest.raises(MessageError):
            getattr(message, name)


def test_badvers_is_another_version() -> None:
    with pytest.raises(MessageError) as caught:
        parse_message(octets("badvers"))
    assert caught.value.status == 505


def test_bigcode_does_not_wrap() -> None:
    message = as_far_as_it_goes(octets("bigcode"))
    assert isinstance(message, Response)
    assert message.status == 0


def test_unkscm_is_a_well_formed_request() -> None:
    assert not isinstance(request("unkscm").uri, SipURI)


def test_insuf_says_what_is_missing() -> None:
    message = request("insuf")
    for name, spelled in (("to", "To"), ("from_", "From"), ("call_id", "Call-ID")):
        with pytest.raises(MessageError, match=f"Missing {spelled}"):
            getattr(message, name)


def test_regescrt_keeps_the_escaped_route() -> None:
    assert str(request("regescrt").contacts[0].uri) == "sip:user@example.com?Route=%3Csip:sip.example.com%3E"


def test_cparam01_keeps_the_parameter_out_of_the_uri() -> None:
    assert sip(request("cparam01").contacts[0].uri).params == ()


def test_regaut01_has_credentials_of_an_unknown_scheme() -> None:
    (credentials,) = request("regaut01").credentials
    assert credentials.scheme == "NoOneKnowsThisScheme"
    assert credentials.params == {"opaque-data": "here"}
