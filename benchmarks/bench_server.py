"""The whole server in memory: microseconds of CPU for a registration over UDP, without a socket.

    python benchmarks/bench_server.py [--profile]

What is measured is everything between a datagram and its answer: parsing, transactions, digest (MD5), the registrar and
the memory store. One operation is what a phone does: a REGISTER that is challenged and one that is answered 200.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import itertools
import pstats
import time
from typing import Any

from twisted.internet.task import Clock
from zope.interface import implementer

from sipframe.auth.authenticator import DigestAuthenticator
from sipframe.auth.guarded import guarded
from sipframe.decisions import Decisions
from sipframe.events import Events
from sipframe.interfaces import ICredentialSource
from sipframe.location import MemoryStore
from sipframe.registrar import Domains, Registrar
from sipframe.running import Arrivals
from sipframe.seams import Seam
from sipframe.transaction import TransactionLayer, TransactionSettings
from sipframe.transport import Ground, UDPEndpoint
from sipframe.uas import UserAgentServer
from sipframe.verdicts import Secret, Terms

USERS = 1000
MOST_USERS = 10_000
DOMAIN = "biloxi.example.com"
SOURCE = ("127.0.0.1", 5999)


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@implementer(ICredentialSource)
class Everyone:
    """All users have the password ``secret``."""

    def __init__(self) -> None:
        self.known = {f"user{n}": Secret(ha1=md5(f"user{n}:{DOMAIN}:secret")) for n in range(MOST_USERS)}

    def secret(self, username: str, realm: str, algorithm: str) -> Secret | None:
        return self.known.get(username)


class Wire:
    """Takes the place of a socket."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, data: bytes, address: Any) -> None:
        self.sent.append(data)

    def getHost(self) -> Any:
        class Host:
            host, port = "127.0.0.1", 5060

        return Host()


def server() -> tuple[UDPEndpoint, Wire, Clock]:
    clock = Clock()
    events = Events()
    decisions = Decisions()
    domains = Domains([DOMAIN])
    seam = Seam(clock, 5.0)
    uas = UserAgentServer(
        serves=domains.serves,
        policies=(),
        seam=seam,
        events=events,
        tag_key=b"k" * 32,
        decisions=decisions,
        wall_clock=time.time,
        aor_of=domains.aor_of,
    )
    registrar = Registrar(
        domains=domains,
        authenticator=DigestAuthenticator(
            guarded(Everyone(), seam), domains=[DOMAIN], secret=b"s" * 32, clock=clock.seconds
        ),
        store=MemoryStore(),
        policies=(),
        terms=Terms(),
        seam=seam,
        events=events,
        wall_clock=time.time,
        answering=uas,
    )
    uas.add_core("REGISTER", registrar.register)
    layer = TransactionLayer(clock, TransactionSettings(), uas, uas.trying, uas.cancel_ok)
    endpoint = UDPEndpoint(Ground(clock=clock, sink=Arrivals(layer, uas)))
    wire = Wire()
    endpoint.makeConnection(wire)
    endpoint.startProtocol()
    return endpoint, wire, clock


def register(user: int, number: int, auth: str = "") -> bytes:
    return (
        f"REGISTER sip:{DOMAIN} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bK-{user}-{number};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:user{user}@{DOMAIN}>;tag=t{user}\r\nTo: <sip:user{user}@{DOMAIN}>\r\n"
        f"Call-ID: {user}-1@127.0.0.1\r\nCSeq: {number} REGISTER\r\nContact: <sip:user{user}@127.0.0.1:5999>\r\n"
        f"Expires: 3600\r\n{auth}Content-Length: 0\r\n\r\n"
    ).encode()


def rounds(operations: int, profile: cProfile.Profile | None) -> float:
    endpoint, wire, clock = server()
    spent = 0.0
    numbers = itertools.count(1)
    for start in range(0, operations, USERS):
        users = range(min(USERS, operations - start))
        first = [register(user, next(numbers)) for user in users]
        spent += timed(endpoint, first, profile)
        answered = []
        for user, answer in zip(users, wire.sent, strict=True):
            nonce = answer.split(b'nonce="')[1].split(b'"')[0].decode()
            uri = f"sip:{DOMAIN}"
            key = f"{md5(f'user{user}:{DOMAIN}:secret')}:{nonce}:00000001:c:auth:{md5(f'REGISTER:{uri}')}"
            auth = (
                f'Authorization: Digest username="user{user}", realm="{DOMAIN}", nonce="{nonce}", uri="{uri}", '
                f'response="{md5(key)}", algorithm=MD5, opaque="", qop=auth, nc=00000001, cnonce="c"\r\n'
            )
            answered.append(register(user, next(numbers), auth))
        wire.sent.clear()
        spent += timed(endpoint, answered, profile)
        assert all(answer.startswith(b"SIP/2.0 200") for answer in wire.sent), wire.sent[0]
        wire.sent.clear()
        clock.advance(33)
    return spent / operations * 1e6


def timed(endpoint: UDPEndpoint, datagrams: list[bytes], profile: cProfile.Profile | None) -> float:
    if profile is not None:
        profile.enable()
    began = time.process_time()
    for datagram in datagrams:
        endpoint.datagramReceived(datagram, SOURCE)
    spent = time.process_time() - began
    if profile is not None:
        profile.disable()
    return spent


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--profile", action="store_true")
    profile = cProfile.Profile() if arguments.parse_args().profile else None
    print(f"registration over UDP, in memory: {min(rounds(5000, profile) for _ in range(5)):.1f} us")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
