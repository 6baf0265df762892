"""Alice, Bob, and the two proxies of RFC 3665 section 3: server processes, sockets, and the names of the RFC.

Rules: Alice and Bob say what the RFC has them say, word for word, and nothing else. Each host of the RFC is a name of
a name server that the proxies ask; it leads to a port of loopback. Bob has been registered from elsewhere.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sipframe.message import (
    Keepalive,
    Limits,
    Request,
    Response,
    StreamFramer,
    parse_credentials,
    parse_message,
)
from tests.client import Client, digest_response
from tests.conformance.printed import Message, assert_passed_on, octets, parsed, reply, rewritten, route_set
from tests.name_server import NameServer
from tests.process import PATIENCE, ServerProcess, add_user

__all__ = ["ALICE", "BOB", "Party", "Proxies", "proxies"]

ALICE, BOB = "client.atlanta.example.com", "client.biloxi.example.com"
PASSWORD = "zanzibar"
URI = "sip:bob@biloxi.example.com"
_LIMITS = Limits()


class Party:
    """A scripted user agent with one socket, over ``transport``, and one call."""

    def __init__(self, flow: str, transport: str, to: tuple[str, int] | None) -> None:
        self.flow, self.transport = flow, transport
        self._to = to
        self._framer = StreamFramer(_LIMITS)
        self._listening: socket.socket | None = None
        self._socket: socket.socket | None = None
        if transport == "udp":
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.bind(("127.0.0.1", 0))
            self.port = int(self._socket.getsockname()[1])
        elif to is None:
            self._listening = socket.create_server(("127.0.0.1", 0))
            self._listening.settimeout(PATIENCE)
            self.port = int(self._listening.getsockname()[1])
        else:
            self._socket = socket.create_connection(to)
            self.port = int(self._socket.getsockname()[1])
        if self._socket is not None:
            self._socket.settimeout(PATIENCE)
        self._routes: list[str] = []
        self._heard: set[object] = set()
        self._refused = ""

    def says(
        self, name: str, challenges: tuple[Response, ...] = (), to: tuple[str, int] | None = None
    ) -> None:
        """Send a request of the RFC, with credentials for ``challenges`` in the place of those that it shows."""
        data = octets(self.flow, name)
        for challenge in challenges:
            data = _proven(data, challenge)
        if self._routes and b"\r\nRoute:" in data:
            data = rewritten(data, ["route"], [f"Route: {', '.join(self._routes)}"])
        if data.startswith(b"ACK ") and self._refused:
            # The tag of whoever refused: it is how a proxy knows the ACK for an answer of its own.
            data = rewritten(data, ["to"], [f"To: {self._refused}"])
        if self.transport == "udp":
            data = re.sub(rb"(Via: SIP/2\.0/UDP [^:;]+):5060", rb"\1:%d" % self.port, data, count=1)
        self._send(data, to or self._to)

    def answers(self, request: Message, *names: str) -> None:
        """Send responses of the RFC to ``request``."""
        assert isinstance(request, Request)
        if "record-route" in request.fields:
            self._routes = route_set(request)
        for name in names:
            self._send(reply(self.flow, name, request), self._to)

    def hears(self, what: str | int) -> Message:
        """The next request of this method, or response of this status; what was heard already may come again before it,
        and so may a 100."""
        while True:
            message = self._receive()
            status = message.status if isinstance(message, Response) else 0
            key = (status, message.cseq, message.via.branch)
            again = key in self._heard
            self._heard.add(key)
            if not again and what == (status or message.cseq.method):
                if status > 100:
                    self._refused = message.all("to")[0] if status >= 300 else ""
                if status > 100 and "record-route" in message.fields:
                    self._routes = route_set(message)[::-1]
                return message
            assert again or status == 100, message.to_bytes().decode()

    def heard_again(self) -> int:
        """How many datagrams have come since."""
        assert self._socket is not None
        self._socket.setblocking(False)
        count = 0
        with suppress(BlockingIOError):
            while self._socket.recv(65_535):
                count += 1
        return count

    def close(self) -> None:
        """Close the sockets."""
        for one in (self._socket, self._listening):
            if one is not None:
                one.close()

    def _send(self, data: bytes, to: tuple[str, int] | None) -> None:
        assert self._socket is not None
        if self.transport == "udp":
            assert to is not None
            self._socket.sendto(data, to)
        else:
            self._socket.sendall(data)

    def _receive(self) -> Message:
        if self._socket is None:
            assert self._listening is not None
            self._socket, _ = self._listening.accept()
            self._socket.settimeout(PATIENCE)
        if self.transport == "udp":
            data, source = self._socket.recvfrom(65_535)
            if self._to is None:
                self._to = source
            return parse_message(data, _LIMITS)
        while True:
            found = self._framer.next()
            if isinstance(found, Request | Response):
                return found
            assert found is None or isinstance(found, Keepalive), found
            if found is None:
                data = self._socket.recv(65_535)
                assert data, "the server has closed the connection"
                self._framer.feed(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _proven(data: bytes, challenge: Response) -> bytes:
    """``data`` with an answer to a challenge of a proxy, in the form that the RFC shows (RFC 2617, without qop)."""
    params = parse_credentials(challenge.all("proxy-authenticate"))[0].params
    realm = params["realm"].encode()
    method = data.partition(b" ")[0].decode()
    response = digest_response(params, method, URI, "alice", PASSWORD).encode()

    def answered(match: re.Match[bytes]) -> bytes:
        text = re.sub(rb'nonce="\w+"', b'nonce="%s"' % params["nonce"].encode(), match[0])
        return re.sub(rb'response="\w+"', b'response="%s"' % response, text)

    fields = rb'Proxy-Authorization: Digest username="alice",\s+realm="%s"(?:\r\n[ \t]|[^\r])*' % re.escape(
        realm
    )
    data, found = re.subn(fields, answered, data)
    assert found == 1, data
    return data


@dataclass
class Proxies:
    """The scene of one flow, over ``transport``."""

    transport: str
    names: NameServer
    atlanta: ServerProcess
    biloxi: ServerProcess

    @property
    def both(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Where they are as Bob sees it: the proxy of biloxi is the nearer one."""
        return self.biloxi.address(self.transport), self.atlanta.address(self.transport)

    @contextmanager
    def alice(self, flow: str, *, at: str = "atlanta") -> Iterator[Party]:
        """Alice, who sends to the proxy of her domain, or to the other one."""
        server = self.atlanta if at == "atlanta" else self.biloxi
        with Party(flow, self.transport, server.address(self.transport)) as alice:
            self.names.leads(ALICE, self.transport, alice.port)
            yield alice

    @contextmanager
    def bob(self, flow: str) -> Iterator[Party]:
        """Bob, whose phone is where his contact leads."""
        with Party(flow, self.transport, None) as bob:
            self.names.leads(BOB, self.transport, bob.port)
            with Client.of(self.biloxi, "udp", "biloxi.example.com") as client:
                response = client.register(PASSWORD, f"Contact: <sip:bob@{BOB}>")
                assert response.status == 200
            yield bob

    def challenge(self) -> Response:
        """A challenge of Alice's proxy that was given before the flow begins, for its nonce."""
        with Client.of(self.atlanta, "udp", "biloxi.example.com") as client:
            data = client.request("OPTIONS", user="bob", call_id="before")
            response = client.ask(data.replace(b"From: <sip:bob@biloxi.", b"From: <sip:alice@atlanta."))
        assert response.status == 407
        return response

    def passed_on(self, heard: Message, flow: str, name: str, *odd: str, by: int = 2) -> None:
        """Compare, but for the fields ``odd``; it came through ``by`` proxies, those next to Bob."""
        assert_passed_on(heard, parsed(flow, name), self.both[:by], odd)


@contextmanager
def proxies(
    folder: Path, transport: str, *biloxi_options: str, alice_in_biloxi: bool = False, t1: float = 0.5
) -> Iterator[Proxies]:
    """The two servers, each with its user."""
    with NameServer() as names:
        host, port = names.address
        settings = folder / "settings.toml"
        settings.write_text(f'[resolving]\nservers = ["{host}:{port}"]\n', encoding="ascii")
        with (
            _server(folder, "atlanta", "alice", f"--config={settings}", f"--t1={t1}") as atlanta,
            _server(
                folder,
                "biloxi",
                "bob",
                f"--config={settings}",
                f"--t1={t1}",
                *biloxi_options,
                also="alice" if alice_in_biloxi else "",
            ) as biloxi,
        ):
            scene = Proxies(transport, names, atlanta, biloxi)
            names.leads("biloxi.example.com", transport, biloxi.address(transport)[1])
            yield scene


@contextmanager
def _server(folder: Path, city: str, user: str, *options: str, also: str = "") -> Iterator[ServerProcess]:
    state, domain = folder / city, f"{city}.example.com"
    for one in filter(None, (user, also)):
        add_user(state, f"{one}@{domain}", PASSWORD)
    alias = {"atlanta": "ss1", "biloxi": "ss2"}[city]
    listen = [f"{transport}:0:interface=127.0.0.1" for transport in ("udp", "tcp")]
    names = (f"--domain={domain}", f"--alias={alias}.{domain}={domain}")
    with ServerProcess(state, *names, *options, listen=listen) as server:
        yield server
