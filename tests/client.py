"""A UAC that a test holds in its hand: one blocking socket, requests in octets, responses read."""

from __future__ import annotations

import hashlib
import itertools
import socket
import ssl
from pathlib import Path
from types import TracebackType
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
from tests.process import PATIENCE, ServerProcess

__all__ = ["Client", "Gone", "answer_to", "authorization", "contacts", "digest_response"]


_LIMITS = Limits(head=65_535, lines=1_000)
"""Larger than a server's: what it answers may be larger than what it takes."""


class Gone(Exception):
    """The server has closed the connection."""


class Client:
    """One socket to ``address`` over ``transport`` (udp, tcp, tls); a context manager.

    ``domain`` is what it asks about. ``trust`` is the PEM file that the server's certificate is verified with, for the
    server name ``domain``. ``identity`` is a PEM file with a private key and the certificate to show.
    """

    def __init__(
        self,
        transport: str,
        address: tuple[str, int],
        *,
        trust: Path | None = None,
        domain: str = "localhost",
        identity: Path | None = None,
    ) -> None:
        self.transport = transport
        self.domain = domain
        self._framer = StreamFramer(_LIMITS)
        self._branches = itertools.count(1)
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        try:
            self.socket.settimeout(PATIENCE)
            self.socket.connect(address)
            if transport == "tls":
                context = ssl.create_default_context(cafile=trust)
                if identity is not None:
                    context.load_cert_chain(identity)
                self.socket = context.wrap_socket(self.socket, server_hostname=domain)
        except BaseException:
            self.socket.close()
            raise
        host, self.port = self.socket.getsockname()[:2]
        self.host = f"[{host}]" if ":" in host else host

    @classmethod
    def of(
        cls, server: ServerProcess, transport: str, domain: str = "localhost", identity: Path | None = None
    ) -> Self:
        """A client of a server process."""
        trust = server.certificate if transport == "tls" else None
        return cls(transport, server.address(transport), trust=trust, domain=domain, identity=identity)

    def request(
        self,
        method: str,
        *fields: str,
        user: str = "bob",
        call_id: str = "call-1",
        cseq: int = 1,
    ) -> bytes:
        """A request of ``user`` with the header lines ``fields``, and a branch that is new."""
        domain = self.domain
        to = f"<sip:{user}@{domain}>"
        via = f"SIP/2.0/{self.transport.upper()} {self.host}:{self.port}"
        lines = [
            f"{method} sip:{domain} SIP/2.0",
            f"Via: {via};rport;branch=z9hG4bK-{self.port}-{next(self._branches)}",
            "Max-Forwards: 70",
            f"From: {to};tag=1",
            f"To: {to}",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} {method}",
            *fields,
            "Content-Length: 0",
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> Response:
        """The next response, 100 included. Raises :class:`Gone`."""
        message = self.hear()
        assert isinstance(message, Response)
        return message

    def hear(self) -> Request | Response:
        """The next message. Raises :class:`Gone`."""
        if self.transport == "udp":
            return parse_message(self.socket.recv(65_535), _LIMITS)
        while True:
            found = self._framer.next()
            if isinstance(found, Request | Response):
                return found
            assert found is None or isinstance(found, Keepalive), found
            if found is None:
                self._framer.feed(self._read())

    def _read(self) -> bytes:
        try:
            data = self.socket.recv(65_535)
        except (ConnectionError, ssl.SSLEOFError):
            data = b""
        if not data:
            raise Gone
        return data

    def ask(self, data: bytes) -> Response:
        """Send a request; the final response."""
        self.send(data)
        while (response := self.receive()).status < 200:
            pass
        return response

    def register(
        self,
        password: str,
        *fields: str,
        user: str = "bob",
        call_id: str = "call-1",
        cseq: int = 1,
    ) -> Response:
        """REGISTER, and once more with credentials (CSeq ``cseq`` + 1) when there is a challenge."""
        response = self.ask(self.request("REGISTER", *fields, user=user, call_id=call_id, cseq=cseq))
        if response.status != 401:
            return response
        proof = authorization(response, "REGISTER", f"sip:{self.domain}", user, password)
        again = self.request("REGISTER", *fields, proof, user=user, call_id=call_id, cseq=cseq + 1)
        return self.ask(again)

    def options(self) -> int:
        """Whether anybody is at home: the status of the answer to an OPTIONS."""
        return self.ask(self.request("OPTIONS", call_id="anybody-home")).status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()


def answer_to(challenge: Response) -> dict[str, str]:
    """The parameters of the first WWW-Authenticate."""
    return parse_credentials(challenge.all("www-authenticate"))[0].params


def digest_response(
    params: dict[str, str], method: str, uri: str, user: str, password: str, count: str = ""
) -> str:
    """MD5 Digest (RFC 2617): with ``count`` by qop auth and the cnonce ``c``, without it the form of RFC 2069."""
    ha1 = _md5(f"{user}:{params['realm']}:{password}")
    middle = f"{params['nonce']}:{count}:c:auth" if count else params["nonce"]
    return _md5(f"{ha1}:{middle}:{_md5(f'{method}:{uri}')}")


def authorization(challenge: Response, method: str, uri: str, user: str, password: str) -> str:
    """The Authorization line that answers a challenge."""
    params = answer_to(challenge)
    response = digest_response(params, method, uri, user, password, "00000001")
    return (
        f'Authorization: Digest username="{user}", realm="{params["realm"]}", nonce="{params["nonce"]}", '
        f'uri="{uri}", response="{response}", algorithm=MD5, opaque="{params["opaque"]}", qop=auth, '
        'nc=00000001, cnonce="c"'
    )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogateescape")).hexdigest()


def contacts(response: Response) -> list[str]:
    """The contact URIs of a response."""
    return [contact.uri_text for contact in response.contacts]
