from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from sipframe.cli.picture import svg
from sipframe.cli.sights import Sights
from sipframe.tracing import Traced
from sipframe.verdicts import Address
from tests.cli.test_terminal import ANY_TEXT

SERVER = Address("192.0.2.1", 5060)
ALICE, BOB = Address("192.0.2.10", 5060), Address("192.0.2.20", 5060)
NAME = "{http://www.w3.org/2000/svg}"


def message(start: str, sent: bool, peer: Address, *lines: str) -> Traced:
    usual = ("Call-ID: 1", "CSeq: 1 INVITE", "From: <sip:alice@b>;tag=1", "To: <sip:bob@b>")
    octets = "\r\n".join([start, *usual, *lines, "", ""]).encode("utf-8", "surrogateescape")
    return Traced(1.0, sent, "UDP", SERVER, peer, octets)


CALL = (
    message("INVITE sip:bob@b SIP/2.0", False, ALICE, "Subject: <&>"),
    message("INVITE sip:bob@192.0.2.20 SIP/2.0", True, BOB),
    message("SIP/2.0 200 OK", False, BOB),
    message("SIP/2.0 200 OK", True, ALICE),
    message("SIP/2.0 200 OK", True, ALICE),
)


def drawn(messages: tuple[Traced, ...], title: str = "a call", left_out: int = 0) -> ElementTree.Element:
    see = Sights().see
    found = [see(one) for one in messages]
    text = svg(found, title, [f"time {number}" for number in range(len(found))], left_out)
    text.encode()
    return ElementTree.fromstring(text)


def texts(root: ElementTree.Element, kind: str) -> list[str]:
    return [one.text or "" for one in root.iter(f"{NAME}text") if one.get("class") == kind]


def ways(root: ElementTree.Element) -> list[tuple[str, bool]]:
    """Each arrow's class, and whether it goes to the right."""
    found = []
    for group in root.iter(f"{NAME}g"):
        [line] = group.iter(f"{NAME}line")
        found.append((group.get("class", ""), float(line.get("x1", "")) < float(line.get("x2", ""))))
    return found


def test_a_call() -> None:
    root = drawn(CALL)
    assert texts(root, "name") == ["alice", "server", "bob"]
    assert texts(root, "title") == ["a call"]
    assert texts(root, "label")[:3] == ["INVITE sip:bob@b", "INVITE sip:bob@192.0.2.20", "200 OK"]
    assert texts(root, "time") == [f"time {number}" for number in range(5)]
    assert ways(root) == [
        ("request", True),
        ("request", True),
        ("success", False),
        ("success", False),
        ("again", False),
    ]
    heads = [title.text or "" for title in root.iter(f"{NAME}title")]
    assert heads[1].split("\n")[-1] == "Subject: <&>"


def test_it_needs_nothing_else_and_has_two_lights() -> None:
    root = drawn(CALL)
    text = ElementTree.tostring(root, "unicode")
    assert "prefers-color-scheme:dark" in text
    assert re.search(r"script|href|@import|url\(|var\(", text) is None
    [style] = root.iter(f"{NAME}style")
    for kind, _ in ways(root):
        assert (style.text or "").count(f".{kind} .shaft") == 2


def test_what_is_left_out_is_said() -> None:
    assert texts(drawn(CALL, left_out=7), "faint") == ["7 more messages are not drawn."]
    assert texts(drawn(()), "name") == []


@given(ANY_TEXT, ANY_TEXT)
def test_whatever_peers_write_it_is_a_picture(start: str, line: str) -> None:
    octets = message(start, False, ALICE, line, f"From: {line}")
    root = drawn((octets, octets._replace(octets=start.encode("utf-8", "replace"))), start)
    assert len(ways(root)) == 2
    for one in root.iter(f"{NAME}text"):
        assert (one.text or "").isprintable()


@given(st.integers(1, 5))
def test_everything_is_within_its_frame(number: int) -> None:
    peers = [Address("192.0.2.20", port) for port in range(number)]
    invites = [message("INVITE sip:b SIP/2.0", True, peer) for peer in peers]
    root = drawn((CALL[0], *invites))
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    for one in root.iter():
        assert 0 <= float(one.get("x", one.get("x1", "0"))) <= width
        assert 0 <= float(one.get("y", one.get("y1", "0"))) <= height
