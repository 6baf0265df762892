"""Phones for load: they register, refresh, call each other and hang up, over UDP, TCP and TLS, on asyncio.

Rules: a phone measures from the first octet it sends to the final answer, retransmissions and challenges included. It
uses the nonce it has until the server gives another (RFC 7616 3.3). It answers what it is asked: 200 to an INVITE and
a BYE. It sends everything by its one flow. What it sends is text, so that it costs the load less than the server.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sipframe.message import (
    Keepalive,
    Limits,
    MessageError,
    Request,
    Response,
    StreamFramer,
    parse_credentials,
    parse_message,
)

DOMAIN = "localhost"
PASSWORD = "secret"
T1 = 0.5
PATIENCE = 40.0
CALLING = 120.0
"""The same for an INVITE: a proxy may give several places 64 T1 each (RFC 3261 16.7, RFC 3263 4.3)."""
_LIMITS = Limits(head=65_535, lines=1_000)


class NoAnswer(Exception):
    """Nothing came in time, or the connection went."""


class Flow(asyncio.Protocol, asyncio.DatagramProtocol):
    """One socket of a phone."""

    def __init__(self, phone: Phone, transport: str) -> None:
        self.phone, self.transport = phone, transport
        self.framer = None if transport == "udp" else StreamFramer(_LIMITS)
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.socket = transport
        self.host, self.port = transport.get_extra_info("sockname")[:2]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        self.phone.gone()

    def error_received(self, error: Exception) -> None:
        """ICMP; the retransmission will tell."""

    def datagram_received(self, data: bytes, address: Any) -> None:
        try:
            self.phone.received(parse_message(data, _LIMITS))
        except MessageError:
            self.phone.odd += 1

    def data_received(self, data: bytes) -> None:
        framer = self.framer
        assert framer is not None
        framer.feed(data)
        while (found := framer.next()) is not None:
            if isinstance(found, Request | Response):
                self.phone.received(found)
            elif not isinstance(found, Keepalive):
                self.phone.odd += 1

    def send(self, data: bytes) -> None:
        if self.transport == "udp":
            self.socket.sendto(data)
        elif not self.socket.is_closing():
            self.socket.write(data)


class Phone:
    """``sip:NAME@localhost``. ``addresses`` has host and port by transport, ``trust`` is the server's certificate."""

    def __init__(
        self, name: str, addresses: dict[str, tuple[str, int]], trust: Path | None, local: str = "127.0.0.1"
    ) -> None:
        self.name, self.addresses, self.trust, self.local = name, addresses, trust, local
        self.flow: Flow | None = None
        self.odd = 0
        self.answered = 0
        """Calls that it took."""
        self._waiting: dict[str, asyncio.Future[Response]] = {}
        self._numbers = itertools.count(1)
        self._challenges: dict[str, tuple[dict[str, str], int]] = {}
        self._register_id = f"{name}-{time.monotonic_ns()}"
        self._context: ssl.SSLContext | None = None

    async def connect(self, transport: str) -> None:
        """Open a socket; the one before is closed."""
        self.disconnect()
        loop = asyncio.get_running_loop()
        address = self.addresses[transport]
        if transport == "udp":
            _, self.flow = await loop.create_datagram_endpoint(
                lambda: Flow(self, transport), local_addr=(self.local, 0), remote_addr=address
            )
            return
        tls: dict[str, Any] = {}
        if transport == "tls":
            if self._context is None:
                self._context = ssl.create_default_context(cafile=self.trust)
            tls = {"ssl": self._context, "server_hostname": DOMAIN}
        _, self.flow = await loop.create_connection(
            lambda: Flow(self, transport), *address, local_addr=(self.local, 0), **tls
        )

    def disconnect(self) -> None:
        """Close the socket without a word."""
        if self.flow is not None:
            self.flow.socket.abort()
            self.flow = None

    def gone(self) -> None:
        """The connection has gone."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(NoAnswer("the connection has gone"))

    @property
    def contact(self) -> str:
        flow = self.flow
        assert flow is not None
        return f"<sip:{self.name}@{flow.host}:{flow.port};transport={flow.transport}>"

    # What comes.

    def received(self, message: Request | Response) -> None:
        """One message."""
        if isinstance(message, Response):
            waiting = self._waiting.get(message.via.branch or "")
            if waiting is not None and not waiting.done() and message.status >= 200:
                waiting.set_result(message)
        elif message.method != "ACK":
            self.answer(message)

    def answer(self, request: Request) -> None:
        """200, with what a dialog needs."""
        flow = self.flow
        if flow is None:
            return
        if request.method == "INVITE" and request.to.tag is None:
            self.answered += 1
        to = request.first("to") or ""
        lines = ["SIP/2.0 200 OK", *(f"Via: {one}" for one in request.all("via"))]
        lines += [f"Record-Route: {one}" for one in request.all("record-route")]
        lines += [f"From: {request.first('from')}", f"To: {to}" + ("" if ";tag=" in to else ";tag=callee")]
        lines += [f"Call-ID: {request.call_id}", f"CSeq: {request.first('cseq')}", f"Contact: {self.contact}"]
        flow.send("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())

    # What it asks.

    async def register(self, expires: int = 3600) -> Response:
        """REGISTER until it is answered by something else than a challenge."""
        fields = [f"Contact: {self.contact};expires={expires}"]
        to = f"<sip:{self.name}@{DOMAIN}>"
        return await self.ask("REGISTER", f"sip:{DOMAIN}", to, self._register_id, fields)

    async def call(self, name: str, lasting: float = 0.0) -> Response:
        """INVITE, ACK and, when it was answered 200, BYE; the answer to the last of them."""
        call_id = f"call-{self.name}-{time.monotonic_ns()}"
        to = f"<sip:{name}@{DOMAIN}>"
        response = await self.ask("INVITE", f"sip:{name}@{DOMAIN}", to, call_id, [f"Contact: {self.contact}"])
        if response.status != 200:
            return response
        target = response.contacts[0].uri_text
        routes = [f"Route: {one}" for one in reversed(response.all("record-route"))]
        to = response.first("to") or ""
        self._ack(target, to, call_id, response, routes)
        if lasting:
            await asyncio.sleep(lasting)
        return await self.ask("BYE", target, to, call_id, routes)

    def _ack(
        self, uri: str, to: str, call_id: str, response: Response, fields: Sequence[str], branch: str = ""
    ) -> None:
        number = response.cseq.number
        data = self._request("ACK", uri, to, call_id, number, branch or self._branch(), fields)
        if self.flow is not None:
            self.flow.send(data)

    async def ask(self, method: str, uri: str, to: str, call_id: str, fields: Sequence[str]) -> Response:
        """The final response, challenges answered."""
        for _ in range(4):
            branch = self._branch()
            number = next(self._numbers)
            proof = self._proofs(method, uri)
            data = self._request(method, uri, to, call_id, number, branch, [*fields, *proof])
            response = await self._exchange(data, branch)
            if method == "INVITE" and response.status >= 300:
                self._ack(uri, response.first("to") or to, call_id, response, (), branch)
            if response.status not in (401, 407):
                return response
            name = "www-authenticate" if response.status == 401 else "proxy-authenticate"
            params = next(
                one.params
                for one in parse_credentials(response.all(name))
                if one.params.get("algorithm", "MD5") == "MD5"
            )
            self._challenges["" if response.status == 401 else "Proxy-"] = (params, 0)
        return response

    async def _exchange(self, data: bytes, branch: str) -> Response:
        flow = self.flow
        if flow is None:
            raise NoAnswer("there is no connection")
        waiting: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[branch] = waiting
        left = CALLING if data.startswith(b"INVITE") else PATIENCE
        wait = T1 if flow.transport == "udp" else left
        try:
            while left > 0:
                flow.send(data)
                done, _ = await asyncio.wait([waiting], timeout=min(wait, left))
                if done:
                    return waiting.result()
                left -= wait
                wait = min(2 * wait, 4.0) if wait < 4.0 else wait
            raise NoAnswer(f"nothing came to {data.partition(b' ')[0].decode()}")
        finally:
            del self._waiting[branch]

    def _branch(self) -> str:
        return f"z9hG4bK{self.name}-{next(self._numbers)}-{time.monotonic_ns()}"

    def _request(
        self, method: str, uri: str, to: str, call_id: str, number: int, branch: str, fields: Sequence[str]
    ) -> bytes:
        flow = self.flow
        assert flow is not None
        via = f"SIP/2.0/{flow.transport.upper()} {flow.host}:{flow.port};rport;branch={branch}"
        lines = [f"{method} {uri} SIP/2.0", f"Via: {via}", "Max-Forwards: 70"]
        lines += [f"From: <sip:{self.name}@{DOMAIN}>;tag={self.name}", f"To: {to}", f"Call-ID: {call_id}"]
        lines += [f"CSeq: {number} {method}", *fields, "Content-Length: 0", "", ""]
        return "\r\n".join(lines).encode()

    def _proofs(self, method: str, uri: str) -> list[str]:
        proofs = []
        for prefix, (params, count) in self._challenges.items():
            if (method == "REGISTER") != (prefix == ""):
                continue
            self._challenges[prefix] = (params, count + 1)
            proofs.append(
                f"{prefix}Authorization: {proof(params, self.name, PASSWORD, method, uri, count + 1)}"
            )
        return proofs


def proof(params: dict[str, str], name: str, password: str, method: str, uri: str, count: int) -> str:
    """Digest credentials, MD5 with qop auth (RFC 7616 3.4)."""
    nonce, realm = params["nonce"], params["realm"]
    middle = f"{nonce}:{count:08x}:c:auth"
    response = md5(f"{md5(f'{name}:{realm}:{password}')}:{middle}:{md5(f'{method}:{uri}')}")
    return (
        f'Digest username="{name}", realm="{realm}", nonce="{nonce}", uri="{uri}", response="{response}", '
        f'algorithm=MD5, opaque="{params.get("opaque", "")}", qop=auth, nc={count:08x}, cnonce="c"'
    )


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
