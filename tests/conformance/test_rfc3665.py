"""The registration flows of RFC 3665, section 2, through a real server over real TLS.

The requests are the RFC's octets but for two things that nobody could send again: the nonce is the one that the server
gave, and the response is computed for a password of ours, in the form that the RFC shows. The answers are compared
field by field; what the RFC leaves open (tags, nonces, the address in ``received``) is only looked at for its form.

Flows 2.2 to 2.5 are examples of their own, with Call-ID and CSeq as in 2.1: each has a server with fresh state here,
and what it presumes is registered first, by another Call-ID.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sipframe.message import Request, Response, parse_credentials, parse_message
from tests.client import Client, answer_to, digest_response
from tests.process import ServerProcess, add_user, run, sipframe

FOLDER = Path(__file__).parent / "rfc3665"
FLOWS = {path.name.partition("-")[0]: path for path in sorted(FOLDER.glob("2.*"))}
URI = "sips:ss2.biloxi.example.com"
PASSWORD = "zanzibar"
OPTIONS = (
    "--domain=biloxi.example.com",
    "--alias=ss2.biloxi.example.com=biloxi.example.com",
    "--realm=atlanta.example.com",
)
ADDED = {"date", "authentication-info"}
"""Fields that an answer of ours may have besides those of the RFC."""
BOUND = ("Contact: <sips:bob@client.biloxi.example.com>", "Contact: <mailto:bob@biloxi.example.com>")


def octets(flow: str, name: str) -> bytes:
    (path,) = FLOWS[flow].glob(f"{name}-*.sip")
    return path.read_bytes()


def printed(flow: str, name: str) -> Response:
    """An answer as the RFC prints it."""
    message = parse_message(octets(flow, name))
    assert isinstance(message, Response)
    return message


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with Bob's account, and a certificate from a first run."""
    state = tmp_path_factory.mktemp("rfc3665") / "state"
    add_user(state, "bob@biloxi.example.com", PASSWORD)
    with ServerProcess(state, *OPTIONS):
        pass
    return state


class Bob:
    """The client of the flows, at one server."""

    def __init__(self, state: Path, client: Client) -> None:
        self.state = state
        self._client = client

    def says(
        self, flow: str, name: str, challenge: Response | None = None, password: str = PASSWORD
    ) -> Response:
        """Send a message of the RFC, with an answer to ``challenge`` for its credentials."""
        data = octets(flow, name)
        if challenge is not None:
            params = answer_to(challenge)
            response = digest_response(params, "REGISTER", URI, "bob", password)
            data = re.sub(rb'nonce="\w+"', b'nonce="%s"' % params["nonce"].encode(), data)
            data = re.sub(rb'response="\w+"', b'response="%s"' % response.encode(), data)
        return self._client.ask(data)

    def is_challenged(self) -> Response:
        """A challenge that was given before the flow begins."""
        response = self._client.ask(self._client.request("REGISTER", call_id="before"))
        assert response.status == 401
        return response

    def has(self, *contacts: str) -> None:
        """What was registered before the flow begins."""
        assert self._client.register(PASSWORD, *contacts, call_id="before").status == 200

    def bindings(self) -> list[str]:
        """What ``sipframe bindings`` shows."""
        done = run(sipframe("bindings", "--state", self.state, "--json"))
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line)["contact"] for line in done.stdout.splitlines()]


@contextmanager
def serving(state: Path) -> Iterator[Bob]:
    with (
        ServerProcess(state, *OPTIONS, listen=["tls:0:interface=127.0.0.1"]) as server,
        Client.of(server, "tls", "biloxi.example.com") as client,
    ):
        yield Bob(state, client)


@pytest.fixture
def bob(prepared: Path, tmp_path: Path) -> Iterator[Bob]:
    state = tmp_path / "state"
    shutil.copytree(prepared, state)
    with serving(state) as bob:
        yield bob


def tagged(value: str) -> tuple[str, str]:
    """A To or From value without its tag, and the tag."""
    rest, _, tag = value.partition(";tag=")
    return rest, tag


def assert_as_printed(answer: Response, expected: Response) -> None:
    """Compare all that the RFC fixes."""
    assert (answer.status, answer.reason) == (expected.status, expected.reason)
    assert set(answer.fields) - ADDED == set(expected.fields)

    (via,), (printed_via,) = answer.vias, expected.vias
    assert via.received == "127.0.0.1"
    assert via.text.replace("received=127.0.0.1", "received=192.0.2.201") == re.sub(
        r"\s+;", ";", printed_via.text
    )

    for name in ("from", "call-id", "cseq"):
        assert answer.all(name) == expected.all(name)
    to, tag = tagged(answer.all("to")[0])
    assert to == tagged(expected.all("to")[0])[0]
    assert tag

    assert len(answer.contacts) == len(expected.contacts)
    for contact, printed_contact in zip(answer.contacts, expected.contacts, strict=True):
        assert contact.uri_text == printed_contact.uri_text
        assert contact.expires is not None
        assert printed_contact.expires is not None
        # It was registered a moment ago, or just now.
        assert printed_contact.expires - 300 < contact.expires <= printed_contact.expires
        assert [name for name, _ in contact.params] == ["expires"]

    assert len(answer.all("www-authenticate")) == len(expected.all("www-authenticate"))
    if expected.all("www-authenticate"):
        (challenge,) = parse_credentials(answer.all("www-authenticate"))
        (printed_challenge,) = parse_credentials(expected.all("www-authenticate"))
        assert challenge.scheme == printed_challenge.scheme == "Digest"
        params, printed_params = challenge.params, printed_challenge.params
        assert params.pop("nonce") != printed_params.pop("nonce")
        assert params.pop("stale").lower() == printed_params.pop("stale").lower() == "false"
        assert params == printed_params
        assert set(params) == {"realm", "qop", "opaque", "algorithm"}

    assert answer.content_length == expected.content_length == 0
    assert answer.body == b""


def test_the_octets_are_those_of_the_rfc() -> None:
    assert sorted(FLOWS) == ["2.1", "2.2", "2.3", "2.4", "2.5"]
    for path in FLOWS.values():
        messages = tomllib.loads((path / "flow.toml").read_text(encoding="utf-8"))["message"]
        assert sorted(one["file"] for one in messages) == sorted(one.name for one in path.glob("*.sip"))
        for one in messages:
            assert hashlib.sha256((path / one["file"]).read_bytes()).hexdigest() == one["sha256"]


def test_the_form_of_the_credentials_is_the_rfcs() -> None:
    credentials = {}
    for flow, name in (("2.1", "F3"), ("2.2", "F1"), ("2.3", "F1"), ("2.4", "F1"), ("2.5", "F3")):
        request = parse_message(octets(flow, name))
        assert isinstance(request, Request)
        credentials[flow] = request.credentials[0].params
    old = {"username", "realm", "nonce", "opaque", "uri", "response"}
    assert {flow: set(params) - old for flow, params in credentials.items()} == {
        "2.1": set(),
        "2.2": {"qop"},
        "2.3": set(),
        "2.4": set(),
        "2.5": set(),
    }
    assert b'realm="atlanta.example.com"\r\n nonce=' in octets("2.1", "F3")  # no comma


def test_2_1_successful_new_registration(bob: Bob) -> None:
    challenge = bob.says("2.1", "F1")
    assert_as_printed(challenge, printed("2.1", "F2"))
    assert_as_printed(bob.says("2.1", "F3", challenge), printed("2.1", "F4"))
    assert bob.bindings() == ["sips:bob@client.biloxi.example.com"]


def test_2_2_update_of_contact_list(bob: Bob) -> None:
    bob.has(BOUND[0])
    assert_as_printed(bob.says("2.2", "F1", bob.is_challenged()), printed("2.2", "F2"))
    assert bob.bindings() == ["sips:bob@client.biloxi.example.com", "mailto:bob@biloxi.example.com"]


def test_2_3_request_for_current_contact_list(bob: Bob) -> None:
    bob.has(*BOUND)
    assert_as_printed(bob.says("2.3", "F1", bob.is_challenged()), printed("2.3", "F2"))
    assert len(bob.bindings()) == 2


def test_2_4_cancellation_of_registration(bob: Bob) -> None:
    bob.has(*BOUND)
    answer = bob.says("2.4", "F1", bob.is_challenged())
    assert_as_printed(answer, printed("2.4", "F2"))
    assert answer.all("contact") == []
    assert bob.bindings() == []


def test_2_5_unsuccessful_registration(bob: Bob) -> None:
    challenge = bob.says("2.5", "F1")
    assert_as_printed(challenge, printed("2.5", "F2"))
    again = bob.says("2.5", "F3", challenge, password="not zanzibar")
    assert_as_printed(again, printed("2.5", "F4"))
    assert bob.bindings() == []
