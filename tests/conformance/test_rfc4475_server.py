"""The torture messages of RFC 4475 at a real server, over UDP, TCP and TLS, against ``expected.toml``.

One thing is changed in each message: the port in its topmost Via is that of the test's socket. The answer to a datagram
without ``rport`` goes there (RFC 3261 18.2.2), and messages that share a branch are different transactions by it
(17.2.3). An OPTIONS follows each message on the same socket: when its answer comes first, there was no other.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from sipframe.config import Settings
from sipframe.interfaces import ICredentialSource
from sipframe.message import Request, Response, parse_message
from sipframe.plugging import Choice
from sipframe.service import SIPService
from sipframe.transport import ListenAddress
from sipframe.verdicts import Secret
from tests.client import Client, Gone, authorization
from tests.process import ServerProcess, add_user

FOLDER = Path(__file__).parent / "rfc4475"
MESSAGES: dict[str, dict[str, Any]] = {
    message["name"]: message
    for message in tomllib.loads((FOLDER / "expected.toml").read_text(encoding="utf-8"))["message"]
}
STREAMS = ("tcp", "tls")
PASSWORD = "Mr. Watson"

OURS: dict[str, list[int]] = {
    name: [status] if status else []
    for status, names in {
        # No INVITE, and no method that is in no RFC.
        405: "wsinv esc01 longreq baddate invut sdp01 inv2543",
        501: "intmeth",
        # OPTIONS for a user of the domain: this is no proxy.
        404: "lwsdisp semiuri badbranch zeromf",
        401: "escnull dblreq regaut01 cparam01 regescrt",
        400: "badinv01 clerr ncl quotbal lwsruri lwsstart escruri regbadct baddn mismatch01 insuf unksm2 multi01",
        505: "badvers",
        416: "unkscm",
        420: "bext01",
        0: "unreason scalarlg bigcode bcast",
    }.items()
    for name in names.split()
}
"""What a registrar alone answers; over a stream inv2543 is 400, and clerr waits for the rest."""

PROXIED: dict[str, list[int]] = {
    name: [status]
    for status, names in {
        # To users of the domain who are not there.
        480: "badbranch baddate inv2543 invut longreq sdp01 semiuri",
        # From a user of the domain, or from one domain of others to another.
        407: "esc01 intmeth lwsdisp wsinv",
        # RFC 3261 16.3 step 3: an OPTIONS that may go no further.
        200: "zeromf",
    }.items()
    for name in names.split()
}
"""What it answers else when it is a proxy as well."""

FRAMING_LOST = ("ncl", "baddn", "badvers", "inv2543")
"""Over a stream. baddn has no empty line, so that what follows is part of it; another version may frame otherwise."""

_TOP_VIA = re.compile(
    rb"^((?:via|v)\s*:\s*SIP\s*/\s*[\d.]+\s*/\s*\w+\s+[^\s;:,]+)(?:\s*:\s*\d+)?", re.IGNORECASE | re.MULTILINE
)


def octets(name: str, port: int) -> bytes:
    """A message, to be answered to ``port``."""
    data, count = _TOP_VIA.subn(rb"\1:%d" % port, (FOLDER / f"{name}.dat").read_bytes(), count=1)
    assert count == 1
    return data


class Seen(NamedTuple):
    """What came back for a message."""

    responses: list[Response]
    closed: bool
    """Whether the server closed the connection."""


def send(server: ServerProcess, transport: str, name: str) -> Seen:
    with Client.of(server, transport, "example.com") as client:
        client.send(octets(name, client.port))
        seen: list[Response] = []
        if transport in STREAMS and name == "clerr":
            return Seen(seen, False)  # it waits for the rest of the body; an OPTIONS would be part of that
        try:
            client.send(client.request("OPTIONS", call_id="anybody-home"))
            while (response := client.receive()).first("call-id") != "anybody-home":
                seen.append(response)
        except (Gone, ConnectionError):
            return Seen(seen, True)
        assert response.status == 200
        return Seen(seen, False)


def assert_conforms(expected: dict[str, Any], status: int | None, transport: str) -> None:
    """Compare a final status (None: no answer) with the table."""
    stream = transport in STREAMS
    if stream and expected.get("stream_any"):
        return
    if expected.get("silent"):
        assert status is None
    elif status is None:
        assert stream
        assert expected.get("stream_no_answer_ok") or expected.get("stream_close_ok")
    elif not expected.get("liberal"):
        assert status in expected.get("ok", [status])
        assert status not in expected.get("forbid", [])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    state = tmp_path_factory.mktemp("rfc4475")
    for name in ("watson", "user", "j.user"):
        add_user(state, f"{name}@example.com", PASSWORD)
    with ServerProcess(state, "--domain=example.com", "--no-proxy") as server:
        yield server


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("rfc4475-proxy"), "--domain=example.com") as server:
        yield server


@pytest.mark.parametrize("transport", ["udp", *STREAMS])
@pytest.mark.parametrize("name", MESSAGES)
def test_what_comes_back_from_a_proxy(name: str, transport: str, proxy: ServerProcess) -> None:
    stream = transport in STREAMS
    expected = MESSAGES[name]["server"]
    seen = send(proxy, transport, name)
    statuses = [one.status for one in seen.responses]
    if stream and expected.get("udp_only"):
        assert statuses[0] == 401
    else:
        assert_conforms(expected, statuses[-1] if statuses else None, transport)
        ours = {"inv2543": [400], "clerr": []} if stream else {}
        assert statuses == ours.get(name, PROXIED.get(name, OURS[name]))
    with Client.of(proxy, "udp", "example.com") as client:
        assert client.options() == 200


def test_ours_is_complete() -> None:
    assert sorted(OURS) == sorted(MESSAGES)


@pytest.mark.parametrize("transport", ["udp", *STREAMS])
@pytest.mark.parametrize("name", MESSAGES)
def test_what_comes_back(name: str, transport: str, server: ServerProcess) -> None:
    stream = transport in STREAMS
    expected = MESSAGES[name]["server"]
    if stream and expected.get("udp_only"):
        # One octet stream, two requests: the second one is answered as well.
        assert [one.status for one in send(server, transport, name).responses][:2] == [401, 405]
        return
    seen = send(server, transport, name)
    statuses = [one.status for one in seen.responses]
    assert_conforms(expected, statuses[-1] if statuses else None, transport)
    ours = {"inv2543": [400], "clerr": []} if stream else {}
    assert statuses == ours.get(name, OURS[name])
    assert seen.closed == (stream and name in FRAMING_LOST)
    with Client.of(server, "udp", "example.com") as client:
        assert client.options() == 200


def test_bext01_names_what_is_not_supported(server: ServerProcess) -> None:
    (response,) = send(server, "udp", "bext01").responses
    assert response.all("unsupported") == ["nothingSupportsThis, nothingSupportsThisEither"]


def test_intmeth_is_told_what_is_allowed(server: ServerProcess) -> None:
    (response,) = send(server, "udp", "intmeth").responses
    assert response.all("allow") == ["CANCEL, OPTIONS, REGISTER"]


def apart(data: bytes, mark: str) -> bytes:
    """A request with another Call-ID and branch: by the RFC's own it would be one that was seen before (8.2.2.2)."""
    data = data.replace(b"branch=z9hG4bK", b"branch=z9hG4bK.%s." % mark.encode())
    return re.sub(rb"^Call-ID:\s*", rb"\g<0>%s." % mark.encode(), data, flags=re.MULTILINE | re.IGNORECASE)


def again(data: bytes, challenge: Response, user: str) -> bytes:
    """A REGISTER once more, with credentials, the next CSeq and another branch."""
    request = parse_message(data)
    assert isinstance(request, Request)
    data = data.replace(b"branch=z9hG4bK", b"branch=z9hG4bK.again.")
    data = re.sub(rb"(CSeq:\s*)\d+", rb"\g<1>%d" % (request.cseq.number + 1), data, flags=re.IGNORECASE)
    proof = authorization(challenge, "REGISTER", request.uri_text, user, PASSWORD)
    return data.replace(b"\r\n\r\n", b"\r\n%s\r\n\r\n" % proof.encode("utf-8", "surrogateescape"), 1)


def assert_registers(client: Client, name: str, user: str) -> None:
    """Repeat a REGISTER with credentials; look at the Contact fields of the 200, and of a later fetch."""
    data = apart(octets(name, client.port), client.transport)
    answer = client.ask(again(data, client.ask(data), user))
    assert answer.status == 200
    fetch = apart(re.sub(rb"^(?:Contact|m)\s*:.*\r\n(?:[ \t].*\r\n)*", b"", data, flags=re.M | re.I), "fetch")
    fetched = client.ask(again(fetch, client.ask(fetch), user))
    assert fetched.status == 200
    expected = MESSAGES[name]["server"]
    for response in (answer, fetched):
        text = "\r\n".join(response.all("contact"))
        assert [one for one in expected.get("contact_contains", ()) if one not in text] == []
        assert [one for one in expected.get("contact_lacks", ()) if one in text] == []
        assert len(response.contacts) == MESSAGES[name]["facts"].get("contact_count", 1)


@pytest.mark.parametrize("transport", ["udp", *STREAMS])
@pytest.mark.parametrize(("name", "user"), [("cparam01", "watson"), ("regescrt", "user")])
def test_registers_with_credentials(name: str, user: str, transport: str, server: ServerProcess) -> None:
    with Client.of(server, transport, "example.com") as client:
        assert_registers(client, name, user)


@pytest.mark.parametrize("name", ["dblreq", "regaut01"])
def test_goes_on_with_credentials(name: str, server: ServerProcess) -> None:
    with Client.of(server, "udp", "example.com") as client:
        data = apart(octets(name, client.port), "proof")
        assert client.ask(again(data, client.ask(data), "j.user")).status == 200


@implementer(ICredentialSource)
class Null:
    """The user of escnull, whom no account can have: no user name of Digest's holds a NUL."""

    def secret(self, username: str, realm: str, algorithm: str) -> Secret | None:
        return Secret(password=PASSWORD, owner="sip:null-\0-null@example.com") if username == "null" else None


class EscapedNulls(TestCase):
    """escnull's AOR, in a server of this process."""

    @pytest.fixture(autouse=True)
    def _in(self, tmp_path: Path) -> None:
        self.state = tmp_path

    def test_two_bindings(self) -> Deferred[None]:
        from twisted.internet import reactor

        listen = ListenAddress.parse("udp:0:interface=127.0.0.1")
        settings = Settings(
            state=self.state, listen=(listen,), domains=("example.com",), location=Choice("memory")
        )
        service = SIPService(settings, reactor=reactor, credentials=Null())
        service.startService()
        self.addCleanup(service.stopService)
        address = service.listening()[0].local

        def talk() -> None:
            with Client("udp", address) as client:
                assert_registers(client, "escnull", "null")

        return deferToThread(talk)
