"""Branches, loops and spirals (RFC 3261 16.6 step 8, RFC 5393 4.2)."""

from __future__ import annotations

from typing import Unpack

import pytest

from sipframe.message import COOKIE, Request
from sipframe.proxy import Branches
from tests.fakes import Parts, request

BRANCHES = Branches(b"k" * 16)
BASE: Parts = {"uri": "sip:a@example.com", "call_id": "c", "cseq": 7}


def again(part: str, *fields: str, **parts: Unpack[Parts]) -> Request:
    """A request that was here before, with ``part`` in our Via below another's."""
    via = f"Via: SIP/2.0/TCP [2001:db8::1]:5061;branch={BRANCHES.branch('u', part)}, SIP/2.0/UDP x;branch=z9hG4bK0"
    changed: Parts = {**BASE, **parts}
    return request("INVITE", via, *fields, **changed)


def test_a_branch_is_what_rfc_3261_elements_make() -> None:
    branch = BRANCHES.branch("abc", BRANCHES.loop_part(request("INVITE", **BASE)))
    assert branch.startswith(COOKIE + "abc.")
    assert branch.isascii()
    assert " " not in branch


def test_a_request_that_comes_back_as_it_was_has_looped() -> None:
    part = BRANCHES.loop_part(request("INVITE", **BASE))
    message = again(part)
    assert BRANCHES.loop_part(message) == part  # Via is not among what it depends on
    assert BRANCHES.looped(message, part)


@pytest.mark.parametrize(
    ("field", "parts"),
    [
        ("", {"uri": "sip:b@example.com"}),
        ("", {"call_id": "d"}),
        ("", {"cseq": 8}),
        ("", {"from_": "<sip:bob@example.com>;tag=2"}),
        ("", {"to": "<sip:bob@example.com>;tag=2"}),
        ("Route: <sip:p.example.com;lr>", {}),
        ("Proxy-Require: foo", {}),
        ('Proxy-Authorization: Digest username="a"', {}),
    ],
)
def test_a_request_that_comes_back_changed_is_a_spiral(field: str, parts: Parts) -> None:
    part = BRANCHES.loop_part(request("INVITE", **BASE))
    message = again(part, *filter(None, [field]), **parts)
    now = BRANCHES.loop_part(message)
    assert now != part
    assert not BRANCHES.looped(message, now)


@pytest.mark.parametrize(
    "field", ["Max-Forwards: 3", "Record-Route: <sip:p;lr>", "X: y", "Max-Breadth: 3", "Subject: a"]
)
def test_what_does_not_decide_the_way_does_not_hide_a_loop(field: str) -> None:
    part = BRANCHES.loop_part(request("INVITE", **BASE))
    message = again(part, field, without=("Max-Forwards",))
    assert BRANCHES.loop_part(message) == part


def test_the_method_is_not_part_of_it() -> None:
    parts = {BRANCHES.loop_part(request(method, **BASE)) for method in ("INVITE", "ACK", "CANCEL")}
    assert len(parts) == 1  # RFC 5393 4.2.1


def test_what_else_decides_can_be_named() -> None:
    message = request("INVITE", **BASE)
    assert BRANCHES.loop_part(message, ["alice"]) != BRANCHES.loop_part(message, ["bob"])
    assert BRANCHES.loop_part(message, ["a", "b"]) != BRANCHES.loop_part(message, ["ab"])


def test_another_proxy_s_branches_are_not_ours() -> None:
    others = Branches(b"x" * 16)
    message = again(others.loop_part(request("INVITE", **BASE)))
    assert not BRANCHES.looped(message, BRANCHES.loop_part(message))


def test_vias_that_nobody_could_read_do_no_harm() -> None:
    part = BRANCHES.loop_part(request("INVITE", **BASE))
    message = request("INVITE", 'Via: ;;;"', f"Via: x;branch=z9hG4bKu.{part}", **BASE)
    assert BRANCHES.looped(message, part)  # RFC 5393 4.2.4


def test_the_attack_of_rfc_5393_is_linear() -> None:
    """Two AORs that fork to each other (RFC 5393 3), with a proxy that has both: every branch soon ends in a 482."""
    forwarded = 0
    waiting = [request("INVITE", uri="sip:a@example.com", without=("Max-Forwards",))]
    while waiting:
        message = waiting.pop()
        part = BRANCHES.loop_part(message)
        if BRANCHES.looped(message, part):
            continue
        for number, user in enumerate("ab"):
            forwarded += 1
            vias = [f"Via: {value}" for value in message.all("via")]
            ours = f"Via: SIP/2.0/UDP p;branch={BRANCHES.branch(f'{forwarded}x{number}', part)}"
            uri = f"sip:{user}@example.com"
            waiting.append(request("INVITE", ours, *vias, uri=uri, without=("Max-Forwards", "Via")))
    assert forwarded == 4


def test_a_key_is_long() -> None:
    with pytest.raises(ValueError, match="16 octets"):
        Branches(b"short")
