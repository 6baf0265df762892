"""The proxy in memory: microseconds of CPU for a call over UDP, without a socket.

    python benchmarks/bench_call.py [--profile | --instructions]

A call is five messages in, each of them forwarded: INVITE, 200, ACK, BYE and 200, with Record-Route. The caller is of
another domain, the callee is registered. What is measured is everything between a datagram and its copies.
``--instructions`` needs valgrind and counts this process's own instructions, which no other load disturbs.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from instructions import totals
from twisted.internet.task import Clock

from sipframe.decisions import Decisions
from sipframe.domains import Domains
from sipframe.events import Events
from sipframe.location import MemoryStore
from sipframe.proxy import Branches, FlowTokens, Proxy, ProxyCounters, ProxySettings
from sipframe.running import Arrivals
from sipframe.seams import Seam
from sipframe.sending import Sender
from sipframe.transaction import TransactionLayer, TransactionSettings
from sipframe.transport import (
    Connections,
    Ground,
    Listening,
    OurEnds,
    ResolverSettings,
    SIPResolver,
    UDPEndpoint,
)
from sipframe.uas import UserAgentServer
from sipframe.verdicts import Binding

DOMAIN = "biloxi.example.com"
CALLER = ("127.0.0.1", 5999)
CALLEE = ("127.0.0.1", 5998)
CALLS = 1000
COUNTED = 100


class Wire:
    """Takes the place of a socket."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []

    def write(self, data: bytes, address: Any) -> None:
        self.sent.append((data, address))

    def getHost(self) -> Any:
        class Host:
            host, port = "127.0.0.1", 5060

        return Host()


class Nobody:
    """Knows nobody."""

    def authenticate(self, request: Any, flow: Any) -> Any:
        raise AssertionError("nobody has to prove anything")


def proxy() -> tuple[UDPEndpoint, Wire, Clock]:
    """A proxy for one domain, whose users are all at the same place."""
    clock = Clock()
    events = Events()
    domains = Domains([DOMAIN])
    seam = Seam(clock, 5.0)
    uas = UserAgentServer(
        serves=domains.serves,
        policies=(),
        seam=seam,
        events=events,
        tag_key=b"k" * 32,
        decisions=Decisions(),
        wall_clock=time.time,
        aor_of=domains.aor_of,
    )
    layer = TransactionLayer(clock, TransactionSettings(), uas, uas.trying, uas.cancel_ok)
    ground = Ground(clock=clock, sink=Arrivals(layer, uas))
    endpoint = UDPEndpoint(ground)
    wire = Wire()
    endpoint.makeConnection(wire)
    endpoint.startProtocol()
    ends = OurEnds([Listening("UDP", endpoint.local, wire, endpoint)])
    store = MemoryStore()
    for user in range(CALLS):
        contact = f"sip:user{user}@{CALLEE[0]}:{CALLEE[1]}"
        flow = f"UDP 127.0.0.1:5060 127.0.0.1:5999 {user}"
        binding = Binding(contact, time.time() + 9999, "call", 1, time.time(), flow=flow)
        _ = store.replace(f"sip:user{user}@{DOMAIN}", (binding,), 0)
    sender = Sender(layer, Connections(clock, ground, ends, None), os.urandom)
    settings = ResolverSettings(hosts=None)
    uas.proxy = Proxy(
        settings=ProxySettings(),
        domains=domains,
        authenticator=Nobody(),
        store=store,
        policies=(),
        resolver=SIPResolver(clock, settings, client=None, versions=ends.versions, entropy=os.urandom),
        sender=sender,
        seam=seam,
        events=events,
        wall_clock=time.time,
        answering=uas,
        tokens=FlowTokens(b"k" * 32),
        branches=Branches(b"k" * 32),
        counters=ProxyCounters(),
        underway={},
        queue=cache(layer.queues.queue),
    )
    return endpoint, wire, clock


def invite(user: int, serial: int) -> bytes:
    """A caller's INVITE."""
    body = (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    )
    return (
        f"INVITE sip:user{user}@{DOMAIN} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bK-{serial}-{user};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:caller@atlanta.example.com>;tag=c{serial}-{user}\r\n"
        f"To: <sip:user{user}@{DOMAIN}>\r\nCall-ID: {serial}-{user}@127.0.0.1\r\nCSeq: 1 INVITE\r\n"
        f"Contact: <sip:caller@127.0.0.1:5999>\r\nContent-Type: application/sdp\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def fields(message: bytes, *names: bytes) -> list[bytes]:
    """The header lines of these names."""
    return [line for line in message.split(b"\r\n\r\n")[0].split(b"\r\n") if line.split(b":")[0] in names]


def ok(request: bytes, contact: bool) -> bytes:
    """The callee's 200."""
    lines = fields(request, b"Via", b"Record-Route", b"From", b"To", b"Call-ID", b"CSeq")
    lines = [line + b";tag=callee" if line[:3] == b"To:" and b"tag=" not in line else line for line in lines]
    if contact:
        lines.append(b"Contact: <sip:callee@127.0.0.1:5998>")
    return b"\r\n".join([b"SIP/2.0 200 OK", *lines, b"Content-Length: 0", b"", b""])


def within(answer: bytes, method: bytes, number: bytes, serial: bytes) -> bytes:
    """A request of the caller's within the dialog that ``answer`` made."""
    routes = [b"Route" + line[12:] for line in reversed(fields(answer, b"Record-Route"))]
    lines = fields(answer, b"From", b"To", b"Call-ID")
    via = b"Via: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bK" + method + serial + b";rport"
    head = [method + b" sip:callee@127.0.0.1:5998 SIP/2.0", via, b"Max-Forwards: 70", *routes, *lines]
    return b"\r\n".join([*head, b"CSeq: " + number + b" " + method, b"Content-Length: 0", b"", b""])


def call_round(
    serial: int, made: Any, profile: cProfile.Profile | None, calls: int = CALLS, mark: Any = None
) -> float:
    """All calls at once, one kind of message after the other: seconds."""
    endpoint, wire, clock = made

    def step(datagrams: list[bytes], source: Any) -> list[bytes]:
        nonlocal spent
        wire.sent.clear()
        if profile is not None:
            profile.enable()
        if mark is not None:
            mark()
        began = time.process_time()
        for datagram in datagrams:
            endpoint.datagramReceived(datagram, source)
        if mark is not None:
            mark()
        spent += time.process_time() - began
        if profile is not None:
            profile.disable()
        assert len(wire.sent) == len(datagrams), (len(wire.sent), wire.sent[:1])
        return [data for data, _ in wire.sent]

    spent = 0.0
    invites = step([invite(user, serial) for user in range(calls)], CALLER)
    answers = step([ok(one, True) for one in invites], CALLEE)
    _ = step([within(one, b"ACK", b"1", b"%d-%d" % (serial, n)) for n, one in enumerate(answers)], CALLER)
    byes = step([within(one, b"BYE", b"2", b"%d-%d" % (serial, n)) for n, one in enumerate(answers)], CALLER)
    _ = step([ok(one, False) for one in byes], CALLEE)
    began = time.process_time()
    clock.advance(33)
    clock.advance(33)
    return spent + time.process_time() - began


def counted() -> None:
    """What runs inside valgrind."""
    made = proxy()
    _ = call_round(0, made, None, COUNTED)
    _ = call_round(1, made, None, COUNTED, os.getppid)


def instructions() -> None:
    """The instructions of each message of a call."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={folder}/out"]
        command = ["valgrind", *options, sys.executable, __file__, "--counted"]
        quiet = {**os.environ, "PYTHONHASHSEED": "0"}
        _ = subprocess.run(command, check=True, env=quiet, stderr=subprocess.DEVNULL)
        found = totals(Path(folder))[1::2]
    for name, count in zip(("INVITE", "200", "ACK", "BYE", "200 to BYE"), found, strict=True):
        print(f"{name:<12}{count / COUNTED:>10.0f}")
    print(f"{'a call':<12}{sum(found) / COUNTED:>10.0f}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--profile", action="store_true")
    arguments.add_argument("--instructions", action="store_true")
    arguments.add_argument("--counted", action="store_true", help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.counted:
        counted()
        return
    if asked.instructions:
        instructions()
        return
    profile = cProfile.Profile() if asked.profile else None
    made = proxy()
    found = [call_round(serial, made, profile) for serial in range(5)]
    print(f"a call over UDP, in memory: {min(found) / CALLS * 1e6:.1f} us")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(60)


if __name__ == "__main__":
    main()
