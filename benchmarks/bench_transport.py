"""What the transport costs: microseconds of the server's CPU per message and per connection, over real sockets.

The server answers every request with the same octets, so that reading a message, framing, TLS and the system calls are
all there is. The load comes from a child process with several connections at once. Compare figures of one run only.

    python benchmarks/bench_transport.py [udp tcp tls handshake resumed idle]
"""

from __future__ import annotations

import gc
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sipframe.interfaces import IFlow
from sipframe.message import MessageError, Request, Response, parse_message
from sipframe.transport import (
    CertificateFiles,
    Ground,
    ListenAddress,
    Listeners,
    TLSIdentity,
    TLSSettings,
    self_signed,
)

MESSAGES = 20_000
HANDSHAKES = 1_000
IDLE = 1_000
CONNECTIONS = 50
OUTSTANDING = 32
REGISTER = (
    b"REGISTER sips:biloxi.example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/%s client.biloxi.example.com:5061;branch=z9hG4bKnashds7;rport\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: Bob <sips:bob@biloxi.example.com>;tag=a73kszlfl\r\n"
    b"To: Bob <sips:bob@biloxi.example.com>\r\n"
    b"Call-ID: 1j9FpLxk3uxtm8tn@biloxi.example.com\r\n"
    b"CSeq: 1 REGISTER\r\n"
    b"Contact: <sips:bob@client.biloxi.example.com>\r\n"
    b"Content-Length: 0\r\n"
    b"\r\n"
)
ANSWER = b"SIP/2.0 200 OK\r\n" + b"X-Padding: " + b"x" * 380 + b"\r\n\r\n"


class Echo:
    """A sink that answers all alike."""

    def request(self, request: Request, flow: IFlow) -> None:
        flow.respond(ANSWER, request.via)

    def response(self, response: Response, flow: IFlow) -> None: ...

    def malformed(self, error: MessageError, flow: IFlow) -> None: ...

    def flow_lost(self, flow: IFlow) -> None: ...

    def too_large(self, data: bytes, flow: IFlow) -> bytes | None:
        return None


# The load, in a process of its own.


def load(work: str, port: int) -> None:
    """Do ``work`` once for each line on standard input, and say so."""
    prepared: dict[str, Callable[[int], Callable[[], object]]] = {
        "udp": load_udp,
        "tcp": lambda port: load_stream(port, tls=False),
        "tls": lambda port: load_stream(port, tls=True),
        "handshake": lambda port: load_handshakes(port, resume=False),
        "resumed": lambda port: load_handshakes(port, resume=True),
        "idle": load_idle,
    }
    once = prepared[work](port)
    for _ in sys.stdin:
        once()
        print("done", flush=True)


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(port: int, context: ssl.SSLContext | None, session: Any = None) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return plain if context is None else context.wrap_socket(plain, session=session)


def read_answer(connection: socket.socket) -> None:
    left = len(ANSWER)
    while left:
        left -= len(connection.recv(left))


def load_udp(port: int) -> Callable[[], object]:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(("127.0.0.1", port))
    request = REGISTER % b"UDP"

    def once() -> None:
        for _ in range(OUTSTANDING):
            client.send(request)
        for _ in range(MESSAGES - OUTSTANDING):
            client.recv(2_048)
            client.send(request)
        for _ in range(OUTSTANDING):
            client.recv(2_048)

    return once


def load_stream(port: int, tls: bool) -> Callable[[], object]:
    context = client_context() if tls else None
    connections = [connect(port, context) for _ in range(CONNECTIONS)]
    request = REGISTER % (b"TLS" if tls else b"TCP")

    def once() -> None:
        for _ in range(MESSAGES // CONNECTIONS):
            for connection in connections:
                connection.sendall(request)
            for connection in connections:
                read_answer(connection)

    return once


def load_handshakes(port: int, resume: bool) -> Callable[[], object]:
    context = client_context()
    request = REGISTER % b"TLS"
    session: list[Any] = [None]

    def once() -> None:
        for _ in range(HANDSHAKES):
            connection: Any = connect(port, context, session[0])
            connection.sendall(request)
            read_answer(connection)
            if resume:
                session[0] = connection.session
            connection.close()

    return once


def load_idle(port: int) -> Callable[[], object]:
    context = client_context()
    request = REGISTER % b"TLS"
    held: list[socket.socket] = []

    def once() -> None:
        for _ in range(IDLE):
            connection = connect(port, context)
            connection.sendall(request)
            read_answer(connection)
            held.append(connection)

    return once


# The server, here.


def resident() -> int:
    """KiB of memory that this process alone has."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty"):
            return int(line.split()[1])
    return 0


def measure(work: str, port: int, rounds: int) -> tuple[float, float]:
    """Seconds of CPU of the best round, and KiB by which memory grew in the last; blocks, so not in the reactor."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--load", work, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    spent, grown = [], 0
    for _ in range(rounds):
        gc.collect()
        memory, start = resident(), time.process_time()
        child.stdin.write("go\n")
        child.stdin.flush()
        child.stdout.readline()
        spent.append(time.process_time() - start)
        grown = resident() - memory
    child.stdin.close()
    child.wait()
    return min(spent), grown


def parsing() -> float:
    request = REGISTER % b"UDP"
    start = time.process_time()
    for _ in range(MESSAGES):
        _ = parse_message(request).via
    return (time.process_time() - start) / MESSAGES * 1e6


def serve(works: list[str]) -> None:
    from twisted.internet import reactor as installed
    from twisted.internet.threads import deferToThread

    reactor: Any = installed
    with tempfile.TemporaryDirectory() as folder:
        made = self_signed(Path(folder, "c.pem"), Path(folder, "k.pem"), ["localhost"], datetime.now(tz=UTC))
        files = CertificateFiles(made.certificate, made.private_key)
        identity = TLSIdentity(TLSSettings(certificates=[files]))
        listeners = Listeners(reactor, Ground(reactor, Echo()), identity)

        async def run() -> None:
            print(f"{'reading the message alone':40} {parsing():8.1f} us")
            for work in works:
                transport: Any = work if work in ("udp", "tcp") else "tls"
                port = listeners.listen(ListenAddress(transport, 0, "127.0.0.1")).local.port
                rounds = 1 if work == "idle" else 3
                spent, grown = await deferToThread(measure, work, port, rounds)
                if work == "idle":
                    print(f"{'memory of an idle TLS connection':40} {grown / IDLE:8.1f} KiB")
                elif work in ("handshake", "resumed"):
                    label = f"TLS connection and one answer, {work}"
                    print(f"{label:40} {spent / HANDSHAKES * 1e6:8.0f} us")
                else:
                    label = f"{work.upper()}: request and answer"
                    print(f"{label:40} {spent / MESSAGES * 1e6:8.1f} us")
            await listeners.close(1.0)

        from twisted.internet.defer import Deferred

        def finish(result: object) -> None:
            reactor.stop()
            if result is not None:
                print(result)

        reactor.callWhenRunning(lambda: Deferred.fromCoroutine(run()).addBoth(finish))
        reactor.run()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--load"]:
        load(sys.argv[2], int(sys.argv[3]))
    else:
        serve(sys.argv[1:] or ["udp", "tcp", "tls", "handshake", "resumed", "idle"])
