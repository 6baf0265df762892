"""The calls of RFC 3665, section 3, that have a proxy in them, through real servers: processes, sockets, names.

Alice and Bob say the RFC's words; what they hear is compared with it field by field. Where the RFC's proxy answers 480
for a phone that says nothing, ours answers 408, as RFC 3261 16.8 has it. The RFC's proxies write one Record-Route
each; ours may write two, one for each side.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipframe.message import Request, Response, parse_credentials
from tests.conformance.printed import Message, parsed
from tests.conformance.two_proxies import Party, Proxies, proxies
from tests.counters import counters


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Proxies]:
    """Over UDP, Alice authenticates at her own proxy."""
    with proxies(tmp_path, "udp") as found:
        yield found


def challenge_of(message: Message, realm: str) -> Response:
    """A challenge, for this realm."""
    assert isinstance(message, Response)
    assert parse_credentials(message.all("proxy-authenticate"))[0].params["realm"] == realm
    return message


def invited(scene: Proxies, alice: Party, bob: Party, name: str, *, by: int = 2) -> Request:
    """The INVITE that Bob hears, which is ``name`` in the RFC; Alice hears 100."""
    alice.hears(100)
    heard = bob.hears("INVITE")
    scene.passed_on(heard, bob.flow, name, by=by)
    assert isinstance(heard, Request)
    return heard


def answered(
    scene: Proxies, alice: Party, bob: Party, invite: Request, said: str, heard: str, *, by: int = 2
) -> None:
    """Bob answers with one message of the RFC, and Alice hears the other."""
    bob.answers(invite, said)
    printed = parsed(bob.flow, heard)
    assert isinstance(printed, Response)
    scene.passed_on(alice.hears(printed.status), alice.flow, heard, by=by)


def acknowledged(alice: Party, bob: Party, invite: Request, name: str) -> None:
    """Bob hears the ACK of his proxy, and Alice sends hers, ``name``, to her own (RFC 3261 17.1.1.3)."""
    ack = bob.hears("ACK")
    assert isinstance(ack, Request)
    assert ack.uri_text == invite.uri_text
    assert ack.vias == invite.vias[:1]
    assert ack.cseq.number == invite.cseq.number
    alice.says(name)


def hung_up(
    scene: Proxies, alice: Party, bob: Party, names: tuple[str, str, str, str], *, by: int = 2
) -> None:
    """Bob's BYE arrives, and Alice's answer to it."""
    said, printed, answer, heard = names
    bob.says(said)
    bye, expected = alice.hears("BYE"), parsed(alice.flow, printed)
    assert isinstance(bye, Request)
    assert isinstance(expected, Request)
    assert bye.uri_text == expected.uri_text
    assert bye.max_forwards == expected.max_forwards == 70 - by
    assert len(bye.vias) == len(expected.vias)
    assert "route" not in bye.fields
    for field in ("from", "to", "call-id", "cseq"):
        assert bye.all(field) == expected.all(field)
    alice.answers(bye, answer)
    scene.passed_on(bob.hears(200), bob.flow, heard, by=by)


def ended(scene: Proxies) -> None:
    """No call is under way at either proxy."""
    for server in (scene.atlanta, scene.biloxi):
        assert counters(server)["proxy"]["calls_underway"] == 0


def test_3_2_session_establishment_through_two_proxies(tmp_path: Path) -> None:
    with proxies(tmp_path, "tcp") as scene, scene.alice("3.2") as alice, scene.bob("3.2") as bob:
        alice.says("F1")
        challenge = challenge_of(alice.hears(407), "atlanta.example.com")
        alice.says("F3")
        alice.says("F4", (challenge,))
        invite = invited(scene, alice, bob, "F7")
        answered(scene, alice, bob, invite, "F9", "F11")
        answered(scene, alice, bob, invite, "F12", "F14")
        alice.says("F15")
        scene.passed_on(bob.hears("ACK"), "3.2", "F17")
        hung_up(scene, alice, bob, ("F18", "F20", "F21", "F23"))
        ended(scene)


def test_3_3_session_with_multiple_proxy_authentication(tmp_path: Path) -> None:
    strict = "--strangers=authenticate"
    with (
        proxies(tmp_path, "udp", strict, alice_in_biloxi=True) as scene,
        scene.alice("3.3") as alice,
        scene.bob("3.3") as bob,
    ):
        alice.says("F1")
        first = challenge_of(alice.hears(407), "atlanta.example.com")
        alice.says("F3")
        alice.says("F4", (first,))
        second = challenge_of(alice.hears(407), "biloxi.example.com")
        alice.says("F10")
        alice.says("F11", (first, second))
        invite = invited(scene, alice, bob, "F15")
        answered(scene, alice, bob, invite, "F16", "F18")
        alice.says("F19")
        scene.passed_on(bob.hears("ACK"), "3.3", "F21", "contact")
        ended(scene)


def test_3_4_successful_session_with_proxy_failure(tmp_path: Path) -> None:
    strict = "--strangers=authenticate"
    with (
        proxies(tmp_path, "udp", strict, alice_in_biloxi=True) as scene,
        scene.alice("3.4", at="biloxi") as alice,
        scene.bob("3.4") as bob,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
    ):
        silent.bind(("127.0.0.1", 0))
        for name in ("F1", "F2", "F3", "F4", "F5", "F6", "F7"):
            alice.says(name, to=silent.getsockname())
        alice.says("F8")
        challenge = challenge_of(alice.hears(407), "biloxi.example.com")
        alice.says("F10")
        alice.says("F11", (challenge,))
        invite = invited(scene, alice, bob, "F12", by=1)
        answered(scene, alice, bob, invite, "F14", "F15", by=1)
        answered(scene, alice, bob, invite, "F16", "F17", by=1)
        alice.says("F18")
        scene.passed_on(bob.hears("ACK"), "3.4", "F19", by=1)
        hung_up(scene, alice, bob, ("F20", "F21", "F22", "F23"), by=1)
        ended(scene)


def test_3_8_unsuccessful_no_answer(scene: Proxies) -> None:
    with scene.alice("3.8") as alice, scene.bob("3.8") as bob:
        alice.says("F1", (scene.challenge(),))
        invite = invited(scene, alice, bob, "F4")
        answered(scene, alice, bob, invite, "F6", "F8")
        alice.says("F9")
        assert alice.hears(200).cseq.method == "CANCEL"
        cancel = bob.hears("CANCEL")
        assert isinstance(cancel, Request)
        assert (cancel.uri_text, cancel.vias) == (invite.uri_text, invite.vias[:1])
        assert cancel.cseq.number == invite.cseq.number
        bob.answers(cancel, "F14")
        answered(scene, alice, bob, invite, "F15", "F19")
        acknowledged(alice, bob, invite, "F20")
        ended(scene)


def test_3_9_unsuccessful_busy(tmp_path: Path) -> None:
    with proxies(tmp_path, "tcp") as scene, scene.alice("3.9") as alice, scene.bob("3.9") as bob:
        alice.says("F1", (scene.challenge(),))
        invite = invited(scene, alice, bob, "F4")
        answered(scene, alice, bob, invite, "F6", "F10")
        acknowledged(alice, bob, invite, "F11")
        ended(scene)


def test_3_10_unsuccessful_no_response_from_user_agent(tmp_path: Path) -> None:
    with proxies(tmp_path, "udp", t1=0.05) as scene, scene.alice("3.10") as alice, scene.bob("3.10") as bob:
        alice.says("F1", (scene.challenge(),))
        invited(scene, alice, bob, "F4")
        response, printed = alice.hears(408), parsed("3.10", "F14")
        assert len(response.vias) == len(printed.vias) == 1
        for field in ("from", "call-id", "cseq"):
            assert response.all(field) == printed.all(field)
        assert bob.heard_again() > 1
        alice.says("F15")
        ended(scene)


def test_3_11_unsuccessful_temporarily_unavailable(scene: Proxies) -> None:
    with scene.alice("3.11") as alice, scene.bob("3.11") as bob:
        alice.says("F1", (scene.challenge(),))
        invite = invited(scene, alice, bob, "F4")
        answered(scene, alice, bob, invite, "F6", "F8")
        answered(scene, alice, bob, invite, "F9", "F13")
        acknowledged(alice, bob, invite, "F14")
        ended(scene)
