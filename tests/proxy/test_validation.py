"""What a request is checked for before it is proxied (RFC 3261 16.3, RFC 5393)."""

from __future__ import annotations

import pytest

from sipframe.message import MessageError, Request
from sipframe.proxy import AnswerHere, Branches, Refusal, Valid, Validation, validate
from sipframe.verdicts import Rejected
from tests.fakes import request

BRANCHES = Branches(b"k" * 16)
WITHOUT = ("Max-Forwards",)


def checked(message: Request, settings: Validation | None = None) -> Valid | AnswerHere | Refusal:
    return validate(message, BRANCHES, BRANCHES.loop_part(message), settings or Validation())


def refused(message: Request, settings: Validation | None = None) -> Rejected:
    found = checked(message, settings)
    assert isinstance(found, Refusal)
    return found.verdict


def test_a_sound_request() -> None:
    assert checked(request("INVITE")) == Valid(69, 60)  # 16.6 step 3, RFC 5393 5.3.3


@pytest.mark.parametrize("method", ["INVITE", "NEWMETHOD", "x-y"])
def test_methods_and_fields_that_are_not_known_are_no_reason(method: str) -> None:
    assert checked(request(method, "X-New: 1", "Date: yesterday", "Require: magic")) == Valid(
        69, 60
    )  # step 1


@pytest.mark.parametrize(
    "uri", ["tel:+12015550123", "nobodyKnowsThisScheme:totallyopaquecontent", "http://a/"]
)
def test_a_scheme_that_is_not_understood(uri: str) -> None:
    assert refused(request("INVITE", uri=uri)) == Rejected(416, "Unsupported URI Scheme")


@pytest.mark.parametrize("uri", ["sip:bob@example.com", "sips:bob@example.com", "SIP:bob@example.com"])
def test_schemes_that_are_understood(uri: str) -> None:
    assert isinstance(checked(request("INVITE", uri=uri)), Valid)


def test_a_request_uri_that_is_none() -> None:
    with pytest.raises(MessageError, match="URI"):
        checked(request("INVITE", uri="sip:bob@@example.com"))


@pytest.mark.parametrize(("text", "left"), [("1", 0), ("70", 69), ("255", 254), ("007", 6)])
def test_max_forwards_counts_down(text: str, left: int) -> None:
    found = checked(request("INVITE", f"Max-Forwards: {text}", without=WITHOUT))
    assert found == Valid(left, 60)


def test_without_max_forwards_there_are_70() -> None:
    assert checked(request("INVITE", without=WITHOUT)) == Valid(70, 60)


def test_too_many_hops() -> None:
    assert refused(request("INVITE", "Max-Forwards: 0", without=WITHOUT)) == Rejected(483, "Too Many Hops")


def test_options_that_may_go_no_further_is_answered_here() -> None:
    assert checked(request("OPTIONS", "Max-Forwards: 0", without=WITHOUT)) == AnswerHere()


@pytest.mark.parametrize("text", ["-1", "256", "many", ""])
def test_max_forwards_that_is_no_number(text: str) -> None:
    with pytest.raises(MessageError, match="Max-Forwards"):
        checked(request("INVITE", f"Max-Forwards: {text}", without=WITHOUT))


def test_a_loop() -> None:
    message = request("INVITE", uri="sip:a@example.com")
    branch = BRANCHES.branch("1", BRANCHES.loop_part(message))
    looped = request("INVITE", f"Via: SIP/2.0/UDP 192.0.2.1;branch={branch}", uri="sip:a@example.com")
    assert refused(looped) == Rejected(482, "Loop Detected")


def test_proxy_require_that_is_not_understood() -> None:
    message = request("INVITE", "Proxy-Require: foo, Bar", "Proxy-Require: baz")
    settings = Validation(understood=frozenset({"bar"}))
    assert refused(message, settings) == Rejected(420, "Bad Extension", (("Unsupported", "foo, baz"),))
    assert isinstance(checked(message, Validation(understood=frozenset({"foo", "bar", "baz"}))), Valid)


def test_checks_come_in_their_order() -> None:
    fields = ["Max-Forwards: 0", "Proxy-Require: foo", "Max-Breadth: 0"]
    assert refused(request("INVITE", *fields, uri="tel:1", without=WITHOUT)).status == 416
    assert refused(request("INVITE", *fields, without=WITHOUT)).status == 483
    assert refused(request("INVITE", *fields[1:])).status == 420
    assert refused(request("INVITE", *fields[2:])) == Rejected(440, "Max-Breadth Exceeded")


@pytest.mark.parametrize(("text", "breadth"), [("1", 1), ("60", 60), ("61", 60), ("9" * 20, 60)])
def test_max_breadth(text: str, breadth: int) -> None:
    assert checked(request("INVITE", f"Max-Breadth: {text}")) == Valid(69, breadth)


@pytest.mark.parametrize("text", ["-1", "1.5", "", "²", "9" * 21])
def test_max_breadth_that_is_no_number(text: str) -> None:
    with pytest.raises(MessageError, match="Max-Breadth"):
        checked(request("INVITE", f"Max-Breadth: {text}"))


def test_limits_are_settings() -> None:
    settings = Validation(max_forwards=10, max_breadth=4)
    assert checked(request("INVITE", without=WITHOUT), settings) == Valid(10, 4)
    with pytest.raises(ValueError):
        Validation(max_forwards=0)
    with pytest.raises(ValueError):
        Validation(max_breadth=0)
