"""Instructions and Python calls for one REGISTER over UDP, room by room: figures that no other load disturbs.

    python benchmarks/instructions.py

Needs valgrind. The rooms are stacked one on another and each is what its floor adds; a REGISTER without credentials is
answered 401, the same with credentials 200. Only this process's own instructions count, not the kernel's.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import bench_server
from bench_server import DOMAIN, SOURCE, md5, register

from sipframe.events import Events
from sipframe.message import Request, parse_message
from sipframe.running import Arrivals
from sipframe.seams import Seam
from sipframe.transaction import TransactionLayer, TransactionSettings, TransactionUser
from sipframe.transport import Ground, UDPEndpoint
from sipframe.uas import UserAgentServer

PHONES = 100
ROUNDS = 2
"""The last one counts. Its phones are others than those before: they send first what must be answered 401, then 200."""

Take = Callable[[bytes], object]


class Nothing:
    """A sink that takes everything and does nothing."""

    def request(self, request: Request, flow: Any) -> None:
        pass


class Constant(TransactionUser):
    """A transaction user that has one answer."""

    def request(self, transaction: Any) -> None:
        if "authorization" in transaction.request.fields:
            transaction.respond(200, b"answer")
        else:
            transaction.respond_stateless(401, b"answer")


def constant_core(uas: UserAgentServer) -> Callable[[Any], None]:
    def core(transaction: Any) -> None:
        if "authorization" in transaction.request.fields:
            uas.answer(transaction, 200, "OK", "", kept=True)
        else:
            uas.answer(transaction, 401, "Unauthorized", "", kept=False)

    return core


def endpoint(sink: Any, clock: Any) -> tuple[UDPEndpoint, bench_server.Wire]:
    made = UDPEndpoint(Ground(clock=clock, sink=sink))
    wire = bench_server.Wire()
    made.makeConnection(wire)
    made.startProtocol()
    return made, wire


def stacked() -> Iterator[tuple[str, Take]]:
    """Each room on top of those before: its name, and what takes a datagram."""
    from twisted.internet.task import Clock

    clock = Clock()
    yield "reading the message", parse_message
    made, _ = endpoint(Nothing(), clock)
    yield "transport", lambda data: made.datagramReceived(data, SOURCE)

    user = Constant()
    layer = TransactionLayer(clock, TransactionSettings(), user, lambda *_: b"", lambda *_: b"")
    transactions, _ = endpoint(Arrivals(layer, None), clock)  # type: ignore[arg-type]
    yield "transaction", lambda data: transactions.datagramReceived(data, SOURCE)

    uas = UserAgentServer(
        serves=lambda uri, flow: True,
        policies=(),
        seam=Seam(clock, 5.0),
        events=Events(),
        tag_key=b"k" * 32,
    )
    uas.add_core("REGISTER", constant_core(uas))
    answering = TransactionLayer(clock, TransactionSettings(), uas, uas.trying, uas.cancel_ok)
    checking, _ = endpoint(Arrivals(answering, uas), clock)
    yield "UAS: checks, response", lambda data: checking.datagramReceived(data, SOURCE)


def signed(user: int, number: int, nonce: str) -> bytes:
    uri = f"sip:{DOMAIN}"
    ha1, ha2 = md5(f"user{user}:{DOMAIN}:secret"), md5(f"REGISTER:{uri}")
    response = md5(f"{ha1}:{nonce}:00000001:c0ffee:auth:{ha2}")
    auth = (
        f'Authorization: Digest username="user{user}", realm="{DOMAIN}", nonce="{nonce}", uri="{uri}", '
        f'response="{response}", algorithm=MD5, opaque="", qop=auth, nc=00000001, cnonce="c0ffee"\r\n'
    )
    return register(user, number, auth)


def mark() -> None:
    """Where one count ends and the next one begins."""
    os.getppid()


def counted() -> None:
    """What runs inside valgrind: between two marks, one kind of work for all phones."""
    server, wire, _clock = bench_server.server()
    number = 0
    for counting in range(ROUNDS):
        phones = range(counting * PHONES, (counting + 1) * PHONES)
        plain = [register(user, number + user) for user in phones]
        number += PHONES
        wire.sent.clear()
        one_count(lambda data: server.datagramReceived(data, SOURCE), plain, counting)
        nonces = [answer.split(b'nonce="')[1].split(b'"')[0].decode() for answer in wire.sent]
        answered = [signed(user, number + user, nonce) for user, nonce in zip(phones, nonces, strict=True)]
        number += PHONES
        wire.sent.clear()
        one_count(lambda data: server.datagramReceived(data, SOURCE), answered, counting)
        assert all(answer.startswith(b"SIP/2.0 200") for answer in wire.sent), wire.sent[0]
    rooms = list(stacked())
    for at, (_, take) in enumerate(rooms):
        for counting in range(ROUNDS):
            first = (2 + ROUNDS * at + counting) * PHONES
            phones = range(first, first + PHONES)
            plain = [register(user, number + user) for user in phones]
            number += PHONES
            answered = [signed(user, number + user, "0" * 42) for user in phones]
            number += PHONES
            one_count(take, plain, counting)
            one_count(take, answered, counting)
    one_count(lambda data: None, plain, ROUNDS - 1)


def one_count(take: Take, datagrams: list[bytes], counting: int) -> None:
    if counting < ROUNDS - 1:
        for datagram in datagrams:
            take(datagram)
        return
    mark()
    for datagram in datagrams:
        take(datagram)
    mark()


def python_calls() -> tuple[float, float]:
    """Python functions called for a 401 and for a 200."""
    server, wire, _ = bench_server.server()
    calls = [0, 0]
    plain = [register(user, user) for user in range(PHONES)]
    for kind in (0, 1):

        def profile(frame: Any, event: str, argument: Any, kind: int = kind) -> None:
            if event == "call":
                calls[kind] += 1

        datagrams = plain
        if kind:
            nonces = [answer.split(b'nonce="')[1].split(b'"')[0].decode() for answer in wire.sent]
            datagrams = [signed(user, PHONES + user, nonces[user]) for user in range(PHONES)]
        sys.setprofile(profile)
        for datagram in datagrams:
            server.datagramReceived(datagram, SOURCE)
        sys.setprofile(None)
    return calls[0] / PHONES, calls[1] / PHONES


def totals(folder: Path) -> list[int]:
    """The instructions between marks, in order."""
    parts = sorted(folder.glob("out.*"), key=lambda path: int(path.suffix[1:]))
    found = [re.search(r"^(?:totals|summary): (\d+)", part.read_text(), re.MULTILINE) for part in parts]
    return [int(match.group(1)) for match in found if match]


def measured() -> list[int]:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind",
            "--tool=callgrind",
            "--dump-before=getppid",
            f"--callgrind-out-file={folder}/out",
        ]
        subprocess.run(
            [*command, sys.executable, __file__, "--counted"],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stderr=subprocess.DEVNULL,
        )
        return totals(Path(folder))


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--counted", action="store_true", help=argparse.SUPPRESS)
    if arguments.parse_args().counted:
        counted()
        return
    found = measured()[1::2]  # what lies between two counts is ours
    empty = found.pop()
    each = [(count - empty) / PHONES for count in found]
    whole, steps = each[:2], [each[at : at + 2] for at in range(2, len(each), 2)]
    names = [name for name, _ in stacked()]
    print(f"{'instructions for one REGISTER over UDP':<42}{'401':>9}{'200':>9}")
    before = [0.0, 0.0]
    for name, (challenge, ok) in zip(names, steps, strict=True):
        print(f"{name:<42}{challenge - before[0]:>9.0f}{ok - before[1]:>9.0f}")
        before = [challenge, ok]
    print(f"{'registrar, seams, digest, store':<42}{whole[0] - before[0]:>9.0f}{whole[1] - before[1]:>9.0f}")
    print(f"{'all':<42}{whole[0]:>9.0f}{whole[1]:>9.0f}")
    calls = python_calls()
    print(f"{'Python functions called':<42}{calls[0]:>9.0f}{calls[1]:>9.0f}")


if __name__ == "__main__":
    main()
