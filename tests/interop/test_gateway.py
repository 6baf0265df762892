"""Calls from UDP to TLS between sockets (RFC 5658): two Record-Routes, and on the TLS side nothing goes in the clear.

The caller is somebody from elsewhere; the callee is a user of ours who has one connection, over TLS.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sipframe.message import Request, Response
from tests.client import Client
from tests.process import ServerProcess, add_user

DOMAIN = "example.com"
PASSWORD = "zanzibar"


@contextmanager
def serving(folder: Path, said_by: str) -> Iterator[ServerProcess]:
    """A server that says TLS in Record-Routes by ``sips`` or by ``transport``."""
    state, settings = folder / "state", folder / "settings.toml"
    add_user(state, f"bob@{DOMAIN}", PASSWORD)
    settings.write_text(f'[proxy]\nrecord-route-tls = "{said_by}"\n', encoding="ascii")
    with ServerProcess(state, f"--domain={DOMAIN}", f"--config={settings}") as server:
        yield server


class End:
    """One end of one call, with its route set."""

    def __init__(self, client: Client, own: str, other: str, contact: str) -> None:
        self.client, self.own, self.other, self.contact = client, own, other, contact
        self.routes: list[str] = []
        self.target = ""
        self._heard: set[object] = set()
        self._cseq = 0

    def asks(self, method: str) -> None:
        """Send a request; within the dialog by its route set."""
        self._cseq += method != "ACK"
        via = f"SIP/2.0/{self.client.transport.upper()} 127.0.0.1:{self.client.port}"
        lines = [
            f"{method} {self.target} SIP/2.0",
            f"Via: {via};rport;branch=z9hG4bK-{self.client.port}-{method}-{self._cseq}",
            *[f"Route: {route}" for route in self.routes],
            "Max-Forwards: 70",
            f"From: {self.own}",
            f"To: {self.other}",
            "Call-ID: a-call-through-the-gateway",
            f"CSeq: {self._cseq} {method}",
            f"Contact: <{self.contact}>",
            "Content-Length: 0",
        ]
        self.client.send("\r\n".join([*lines, "", ""]).encode())

    def answers(self, request: Request, status: str) -> None:
        """Answer a request."""
        lines = [f"SIP/2.0 {status}"]
        lines += [f"Via: {value}" for value in request.all("via")]
        lines += [f"Record-Route: {value}" for value in request.all("record-route")]
        lines += [f"From: {self.other}", f"To: {self.own}", f"Call-ID: {request.call_id}"]
        lines += [f"CSeq: {request.first('cseq')}", f"Contact: <{self.contact}>", "Content-Length: 0"]
        self.client.send("\r\n".join([*lines, "", ""]).encode())

    def hears(self, method: str) -> Request:
        """The next request, which must be of ``method``; what comes again is left out."""
        message = self._next()
        assert isinstance(message, Request), message.to_bytes()
        assert message.method == method
        return message

    def hears_answer(self, status: int) -> Response:
        """The next response, which must have ``status``; 100 is left out."""
        while isinstance(message := self._next(), Response) and message.status == 100:
            pass
        assert isinstance(message, Response), message.to_bytes()
        assert message.status == status
        return message

    def _next(self) -> Request | Response:
        while True:
            message = self.client.hear()
            status = message.status if isinstance(message, Response) else 0
            key = (status, message.via.branch, message.cseq)
            if key not in self._heard:
                self._heard.add(key)
                return message


@contextmanager
def call(server: ServerProcess) -> Iterator[tuple[End, End]]:
    """An answered call, from the caller's INVITE over UDP to the ACK that the callee hears over TLS."""
    with (
        Client.of(server, "udp") as caller,
        Client.of(server, "tls", DOMAIN) as callee,
        clear() as (port, silent),
    ):
        bob_contact = f"sip:bob@127.0.0.1:{port};transport=tls"
        assert callee.register(PASSWORD, f"Contact: <{bob_contact}>").status == 200
        alice = End(caller, "<sip:alice@elsewhere.example>;tag=a", "<sip:bob@example.com>", "")
        alice.contact, alice.target = f"sip:alice@127.0.0.1:{caller.port}", "sip:bob@example.com"
        bob = End(callee, "<sip:bob@example.com>;tag=b", alice.own, bob_contact)
        alice.asks("INVITE")
        invite = bob.hears("INVITE")
        assert invite.via.transport == "TLS"
        assert invite.uri_text == bob_contact
        bob.answers(invite, "200 OK")
        ok = alice.hears_answer(200)
        assert ok.all("record-route") == invite.all("record-route")
        alice.other, alice.target = bob.own, bob_contact
        alice.routes = ok.all("record-route")[::-1]
        bob.routes, bob.target = invite.all("record-route"), alice.contact
        alice.asks("ACK")
        assert "route" not in bob.hears("ACK").fields
        yield alice, bob
        with pytest.raises(BlockingIOError):
            silent.recv(65_535)


@contextmanager
def clear() -> Iterator[tuple[int, socket.socket]]:
    """The port of the callee's contact: whoever did not keep to TLS would be heard here."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.setblocking(False)
        yield silent.getsockname()[1], silent


@pytest.mark.parametrize("said_by", ["sips", "transport"])
@pytest.mark.parametrize("hangs_up", ["caller", "callee"])
def test_a_call(tmp_path: Path, said_by: str, hangs_up: str) -> None:
    with serving(tmp_path, said_by) as server, call(server) as (alice, bob):
        # RFC 5658 5: the end towards the callee is on top.
        towards_bob, towards_alice = (
            re.sub(r"(?<=:)[\w-]{32,}(?=@)", "TOKEN", route) for route in bob.routes
        )
        tls, udp = server.address("tls")[1], server.address("udp")[1]
        if said_by == "sips":
            assert towards_bob == f"<sips:TOKEN@127.0.0.1:{tls};lr>"
        else:
            assert towards_bob == f"<sip:TOKEN@127.0.0.1:{tls};transport=tls;lr>"
        assert towards_alice == f"<sip:TOKEN@127.0.0.1:{udp};lr>"

        says, listens = (alice, bob) if hangs_up == "caller" else (bob, alice)
        says.asks("BYE")
        bye = listens.hears("BYE")
        assert (bye.uri_text, "route" in bye.fields) == (listens.contact, False)
        assert bye.via.transport == ("TLS" if listens is bob else "UDP")
        listens.answers(bye, "200 OK")
        says.hears_answer(200)


@pytest.mark.parametrize("said_by", ["sips", "transport"])
def test_without_its_connection_the_callee_is_not_reached_in_the_clear(tmp_path: Path, said_by: str) -> None:
    with serving(tmp_path, said_by) as server, call(server) as (alice, bob):
        bob.client.socket.close()
        alice.asks("BYE")
        while isinstance(answer := alice.client.hear(), Response) and answer.status < 300:
            pass
        assert isinstance(answer, Response)
        assert answer.status >= 400
