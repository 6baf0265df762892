"""Load over TLS, by phones of our own: they connect, register with MD5 (401, 200), and perhaps connect again.

Rules: a closed loop in several processes, all off the server's core. Each phone is a blocking socket, so a process has
as many requests under way as phones, and they go out together. Certificates are not verified: that is the phone's
work, not the server's. What a phone says is what SIPp's do in benchmarks/side_by_side/register.xml.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from typing import Literal, NamedTuple

from benchmarks.contenders import DOMAIN, PASSWORD
from benchmarks.load import Load

__all__ = ["Kind", "run"]

Kind = Literal["new", "resumed", "persistent"]
"""A new connection for each registration, with or without an earlier TLS session; or always the same one."""

_PATIENCE = 30.0
"""Seconds that anything may take."""
_CHALLENGE = re.compile(rb"^WWW-Authenticate:\s*Digest\s+(.*)$", re.I | re.M)
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^",\s]+))')
_LENGTH = re.compile(rb"^Content-Length:\s*(\d+)", re.I | re.M)
_FORK = multiprocessing.get_context("fork")


def run(
    port: int,
    kind: Kind,
    seconds: float,
    *,
    meter: Callable[[], float],
    cores: Iterable[int],
    processes: int,
    phones: int,
) -> Load:
    """Load the server at ``port``: so many ``processes`` with so many ``phones`` each. ``meter`` reads its CPU time.

    All have connected and registered once before anything counts. Raises RuntimeError when a process ends early.
    """
    ours: list[Connection] = []
    running = []
    for number in range(processes):
        here, there = _FORK.Pipe()
        names = [f"user{number * phones + n}" for n in range(phones)]
        target = _FORK.Process(
            target=_work, args=(there, port, kind, seconds, set(cores), names), daemon=True
        )
        target.start()
        there.close()
        ours.append(here)
        running.append(target)
    try:
        for one in ours:
            one.recv()
        before, began = meter(), time.monotonic()
        for one in ours:
            one.send(None)
        parts: list[_Part] = [one.recv() for one in ours]
        lasted, after = time.monotonic() - began, meter()
    except EOFError:
        raise RuntimeError("a phone has failed; what is above says how") from None
    finally:
        for target in running:
            target.kill()
            target.join()
    done, failed, resumed, cpu = (sum(column) for column in zip(*parts, strict=True))
    return Load(int(done), int(failed), 0, int(resumed), lasted, cpu, after - before)


class _Part(NamedTuple):
    """What one process has done."""

    done: int
    failed: int
    resumed: int
    cpu: float


def _work(ours: Connection, port: int, kind: Kind, seconds: float, cores: set[int], names: list[str]) -> None:
    os.sched_setaffinity(0, cores)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    phones = [_Phone(name, port, context) for name in names]
    for phone in phones:
        phone.connect()
    if _register(phones) != len(phones):
        raise RuntimeError("nobody can register")
    ours.send(None)
    ours.recv()
    done = failed = 0
    cpu = time.process_time()
    for phone in phones:
        phone.resumed = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if kind != "persistent":
            for phone in phones:
                phone.connect(resuming=kind == "resumed")
        well = _register(phones)
        done += well
        failed += len(phones) - well
    ours.send(_Part(done, failed, sum(phone.resumed for phone in phones), time.process_time() - cpu))


def _register(phones: list[_Phone]) -> int:
    """One registration of each; how many went well."""
    for phone in phones:
        phone.ask()
    for phone in phones:
        phone.prove()
    return sum(phone.registered() for phone in phones)


class _Phone:
    """One phone, and the connection that it has now."""

    def __init__(self, name: str, port: int, context: ssl.SSLContext) -> None:
        self.name = name
        self.resumed = 0
        self._port = port
        self._context = context
        self._connection: ssl.SSLSocket | None = None
        self._local = ""
        self._count = 0

    def connect(self, *, resuming: bool = False) -> None:
        """Connect anew."""
        session = None
        if self._connection is not None:
            session = self._connection.session if resuming else None
            self._connection.close()
        plain = socket.create_connection(("127.0.0.1", self._port), _PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = self._context.wrap_socket(plain, server_hostname=DOMAIN, session=session)
        self.resumed += bool(self._connection.session_reused)
        self._local = "{}:{}".format(*self._connection.getsockname())

    def ask(self) -> None:
        """A REGISTER without credentials."""
        self._send("")

    def prove(self) -> None:
        """The answer to the challenge for it."""
        self._send(_proof(self.name, self._answer()))

    def registered(self) -> bool:
        """Whether that was answered 200."""
        return self._answer().startswith(b"SIP/2.0 200 ")

    def _send(self, credentials: str) -> None:
        assert self._connection is not None
        self._count += 1
        own, name, count = self._local, self.name, self._count
        self._connection.sendall(
            f"REGISTER sip:{DOMAIN} SIP/2.0\r\n"
            f"Via: SIP/2.0/TLS {own};branch=z9hG4bK-{name}-{count}-{own};rport\r\n"
            "Max-Forwards: 70\r\n"
            f"From: <sip:{name}@{DOMAIN}>;tag={name}-{own}\r\n"
            f"To: <sip:{name}@{DOMAIN}>\r\n"
            f"Call-ID: {name}@{own}\r\n"
            f"CSeq: {count} REGISTER\r\n"
            f"Contact: <sip:{name}@127.0.0.1:5999;transport=tls>\r\n"
            "Expires: 3600\r\n"
            "User-Agent: benchmark\r\n"
            f"{credentials}"
            "Content-Length: 0\r\n\r\n".encode()
        )

    def _answer(self) -> bytes:
        assert self._connection is not None
        data = b""
        while True:
            head, end, body = data.partition(b"\r\n\r\n")
            if end:
                length = _LENGTH.search(head)
                if length is None or len(body) >= int(length[1]):
                    return data
            more = self._connection.recv(65536)
            if not more:
                raise RuntimeError("the server has closed a connection")
            data += more


def _proof(name: str, response: bytes) -> str:
    """Digest credentials for the challenge with MD5, qop auth (RFC 7616 3.4), as a header line; or nothing."""
    for challenge in _CHALLENGE.findall(response):
        told = {key.lower(): text or word for key, text, word in _PARAMETER.findall(challenge.decode())}
        if told.get("algorithm", "MD5").upper() != "MD5":
            continue
        uri, nonce, realm = f"sip:{DOMAIN}", told["nonce"], told["realm"]
        middle = f"{nonce}:00000001:6b8b4567:auth"
        answer = _md5(f"{_md5(f'{name}:{realm}:{PASSWORD}')}:{middle}:{_md5(f'REGISTER:{uri}')}")
        opaque = f', opaque="{told["opaque"]}"' if "opaque" in told else ""
        return (
            f'Authorization: Digest username="{name}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
            f'response="{answer}", algorithm=MD5, cnonce="6b8b4567", qop=auth, nc=00000001{opaque}\r\n'
        )
    return ""


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
