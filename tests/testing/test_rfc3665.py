"""The registration flows of RFC 3665, section 2, on a clock that stands still, over TLS.

What ``tests/conformance`` does with a process and sockets, here in memory: Bob's octets as the RFC prints them, but for
nonce and response. Since no time passes and Bob is where the RFC has him, the answers are those of the RFC to the
second and the address; only tags and nonces are nobody's to foretell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipframe.message import Response, parse_message
from sipframe.testing import Phone, Server
from tests.client import answer_to, digest_response

FOLDER = Path(__file__).parents[1] / "conformance" / "rfc3665"
AOR = "sips:bob@biloxi.example.com"
URI = "sips:ss2.biloxi.example.com"
CONTACT, MAIL = "sips:bob@client.biloxi.example.com", "mailto:bob@biloxi.example.com"
PASSWORD = "zanzibar"
ADDED = {"date", "authentication-info"}
"""Fields that an answer of ours may have besides those of the RFC."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(
        users={"bob": PASSWORD},
        domains=("biloxi.example.com",),
        aliases={"ss2.biloxi.example.com": "biloxi.example.com"},
        realm="atlanta.example.com",
    ) as server:
        yield server


@pytest.fixture
def bob(server: Server) -> Phone:
    return server.phone(AOR, password=PASSWORD, transport="tls", host="192.0.2.201")


def octets(flow: str, name: str) -> bytes:
    (path,) = FOLDER.glob(f"{flow}-*/{name}-*.sip")
    return path.read_bytes()


def says(
    bob: Phone, flow: str, name: str, challenge: Response | None = None, password: str = PASSWORD
) -> Response:
    """Bob sends a message of the RFC, with an answer to ``challenge`` for its credentials."""
    data = octets(flow, name)
    if challenge is not None:
        params = answer_to(challenge)
        response = digest_response(params, "REGISTER", URI, "bob", password)
        data = re.sub(rb'nonce="\w+"', b'nonce="%s"' % params["nonce"].encode(), data)
        data = re.sub(rb'response="\w+"', b'response="%s"' % response.encode(), data)
    before = len(bob.received)
    bob.send(data)
    (answer,) = bob.received[before:]
    assert isinstance(answer, Response)
    return answer


def challenged(server: Server) -> Response:
    """A challenge that was given before the flow begins, to another phone."""
    return server.phone(AOR, transport="tls").register()


def registered(server: Server, *contacts: str) -> None:
    """What was registered before the flow begins."""
    phone = server.phone(AOR, password=PASSWORD, transport="tls")
    assert phone.register(*contacts).status == 200


def comparable(response: Response) -> list[tuple[str, list[str]]]:
    """Start line and fields, without what only chance knows, and without the freedom that the grammar leaves."""
    found = []
    for name, values in sorted(response.fields.items()):
        if name in ADDED:
            continue
        text = [re.sub(r"\s*([;,=])\s*", r"\1", value) for value in values]
        if name == "to":
            text = [re.sub(r";tag=\w+", ";tag=TAG", value) for value in text]
        if name == "www-authenticate":
            text = [re.sub(r'nonce="\w+"', 'nonce="NONCE"', value).lower() for value in text]
            text = [",".join(sorted(value.removeprefix("digest ").split(","))) for value in text]
        found.append((name, text))
    return [("", [response.start_line]), *found]


def assert_as_printed(answer: Response, flow: str, name: str) -> None:
    printed = parse_message(octets(flow, name))
    assert isinstance(printed, Response)
    assert comparable(answer) == comparable(printed)


def test_2_1_successful_new_registration(server: Server, bob: Phone) -> None:
    challenge = says(bob, "2.1", "F1")
    assert_as_printed(challenge, "2.1", "F2")
    assert_as_printed(says(bob, "2.1", "F3", challenge), "2.1", "F4")
    assert [one.contact for one in server.bindings(AOR)] == [CONTACT]
    server.advance(3600)
    assert server.bindings(AOR) == ()


def test_2_2_update_of_contact_list(server: Server, bob: Phone) -> None:
    registered(server, CONTACT)
    assert_as_printed(says(bob, "2.2", "F1", challenged(server)), "2.2", "F2")
    assert [one.contact for one in server.bindings(AOR)] == [CONTACT, MAIL]
    server.advance(86_400)
    assert [one.contact for one in server.bindings(AOR)] == [MAIL]


def test_2_3_request_for_current_contact_list(server: Server, bob: Phone) -> None:
    registered(server, CONTACT, MAIL)
    assert_as_printed(says(bob, "2.3", "F1", challenged(server)), "2.3", "F2")


def test_2_4_cancellation_of_registration(server: Server, bob: Phone) -> None:
    registered(server, CONTACT, MAIL)
    assert_as_printed(says(bob, "2.4", "F1", challenged(server)), "2.4", "F2")
    assert server.bindings(AOR) == ()


def test_2_5_unsuccessful_registration(server: Server, bob: Phone) -> None:
    challenge = says(bob, "2.5", "F1")
    assert_as_printed(challenge, "2.5", "F2")
    assert_as_printed(says(bob, "2.5", "F3", challenge, password="not zanzibar"), "2.5", "F4")
    assert server.bindings(AOR) == ()
    assert server.decisions[-1].refused


def test_the_same_five_as_a_phone_speaks_them(server: Server) -> None:
    bob = server.phone(AOR, password=PASSWORD, transport="tls")
    assert bob.register(CONTACT).status == 200  # 2.1
    assert len(bob.register(MAIL).contacts) == 2  # 2.2
    assert [one.uri_text for one in bob.fetch()] == [CONTACT, MAIL]  # 2.3
    assert bob.unregister_all().contacts == ()  # 2.4
    assert server.phone(AOR, password="wrong", transport="tls").register().status == 401  # 2.5
