"""What a server is flooded with. Each flood is a function that floods until its run is over.

Rules: a flood is cheap for who makes it: octets are made once and changed in one place. It says when it stands, and
returns how much it has sent. What the server answers is read and thrown away, but where a flood is about not reading.
"""

from __future__ import annotations

import itertools
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from types import MappingProxyType

from benchmarks.phones import DOMAIN, PASSWORD, proof
from sipframe.message import Response, parse_credentials, parse_message

Addresses = dict[str, tuple[str, int]]


class Run:
    """One run of a flood: it says by ``orders`` when it stands, and hears when it is to end."""

    def __init__(self, orders: Connection, until: float) -> None:
        self._orders = orders
        self._until = until

    def ready(self) -> None:
        """The flood stands, or begins now."""
        self._orders.send("ready")

    def over(self) -> bool:
        """Whether that was enough."""
        return self._orders.poll() or time.monotonic() > self._until


Flood = Callable[[Addresses, Run], int]

STREAMS = 16
IDLE = 5_000
SOURCES = 10_000
WINDOW = 20
_IP_PKTINFO = 8
"""ip(7); the socket module has no name for it in every version."""


def message(method: str, user: str, transport: str, number: int, *fields: str, sender: str = "") -> bytes:
    """A request to or of ``user``, another one for each ``number``."""
    uri = f"sip:{DOMAIN}" if method == "REGISTER" else f"sip:{user}@{DOMAIN}"
    of = sender or f"{user}@{DOMAIN}"
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/{transport.upper()} 127.0.0.1:9;rport;branch=z9hG4bK-{method}-{number}",
        "Max-Forwards: 70",
        f"From: <sip:{of}>;tag=1",
        f"To: <sip:{user}@{DOMAIN}>",
        f"Call-ID: flood-{method}-{number}",
        f"CSeq: 1 {method}",
        f"Contact: <sip:{user}@127.0.0.1:9>",
        *fields,
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def saturate(address: tuple[str, int], names: list[str], seconds: float) -> float:
    """How many refreshes a second are answered 200 over UDP, with one under way for each name."""
    phones: dict[int, tuple[socket.socket, str, dict[str, str], Iterator[int]]] = {}
    numbers = itertools.count(int(time.time()))
    poll = select.poll()

    def ask(phone: tuple[socket.socket, str, dict[str, str], Iterator[int]]) -> None:
        one, name, params, counts = phone
        fields = (
            f"Authorization: {proof(params, name, PASSWORD, 'REGISTER', f'sip:{DOMAIN}', next(counts))}",
        )
        one.send(message("REGISTER", name, "udp", next(numbers), *(fields if params else ())))

    for name in names:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect(address)
        one.settimeout(5)
        one.send(message("REGISTER", name, "udp", next(numbers)))
        challenge = parse_message(one.recv(65_535))
        assert isinstance(challenge, Response)
        params = parse_credentials(challenge.all("www-authenticate"))
        md5 = next(found.params for found in params if found.params.get("algorithm", "MD5") == "MD5")
        phones[one.fileno()] = (one, name, md5, itertools.count(1))
        poll.register(one, select.POLLIN)
    for phone in phones.values():
        ask(phone)
    answered = 0
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        for file, _ in poll.poll(100):
            phone = phones[file]
            answered += phone[0].recv(65_535)[8:11] == b"200"
            ask(phone)
    lasted = time.monotonic() - began
    for one, *_ in phones.values():
        one.close()
    return answered / lasted


# Connections.


def connection(addresses: Addresses, transport: str, source: str = "127.0.0.1") -> socket.socket:
    """One more, with TLS where it is due."""
    one = socket.create_connection(addresses[transport], timeout=20, source_address=(source, 0))
    return _secure(one) if transport == "tls" else one


def _secure(one: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(one, server_hostname=DOMAIN)


class Streams:
    """Connections that are made anew when the server closes them."""

    def __init__(self, addresses: Addresses, transport: str, count: int = STREAMS) -> None:
        self._make = partial(connection, addresses, transport)
        self.open: list[socket.socket | None] = [None] * count

    def send(self, number: int, data: bytes, answers: int = 0) -> bool:
        """Send by one of them, and read until so many responses have begun, or a moment has passed."""
        one = self.open[number]
        try:
            if one is None:
                one = self.open[number] = self._make()
                one.settimeout(1)
            one.sendall(data)
            while answers > 0:
                got = one.recv(65_536)
                if not got:
                    raise ConnectionError
                answers -= got.count(b"SIP/2.0 ") - got.count(b"Via: SIP/2.0 ")
        except TimeoutError:
            return True
        except OSError:
            if one is not None:
                one.close()
            self.open[number] = None
            return False
        return True

    def drain(self) -> None:
        """Read what has come."""
        for number, one in enumerate(self.open):
            if one is None:
                continue
            one.settimeout(0)
            try:
                while one.recv(65_536):
                    pass
                self.open[number] = None
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                one.settimeout(1)
            except OSError:
                self.open[number] = None


# Requests without end.


def datagrams(make: Callable[[int], bytes], addresses: Addresses, run: Run) -> int:
    """Each of what ``make`` makes, over UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(addresses["udp"])
        one.setblocking(False)
        run.ready()
        for number in itertools.count():
            try:
                one.send(make(number))
            except BlockingIOError:
                select.select([], [one], [], 0.1)
            except OSError:
                pass
            if number % 20 == 0:
                try:
                    while one.recv(65_535):
                        pass
                except OSError:
                    pass
                if run.over():
                    return number
    raise AssertionError


def pipelined(make: Callable[[int], bytes], transport: str, addresses: Addresses, run: Run) -> int:
    """The same over connections: so many at once on each, then their answers are read."""
    streams = Streams(addresses, transport)
    run.ready()
    for number in itertools.count(0, WINDOW):
        data = b"".join([make(number + one) for one in range(WINDOW)])
        streams.send(number // WINDOW % STREAMS, data)
        if number % (STREAMS * WINDOW) == 0:
            streams.drain()
        if run.over():
            return number
    raise AssertionError


def requests(method: str, user: str, sender: str, transport: str) -> Flood:
    """``method`` to or of ``user``."""

    def make(number: int) -> bytes:
        return before + b"%d" % number + between + b"%d" % number + after

    before, between, after = message(method, user, transport, 123_454_321, sender=sender).split(b"123454321")
    return partial(datagrams, make) if transport == "udp" else partial(pipelined, make, transport)


def known(transport: str) -> Flood:
    """INVITEs to users whose phones have registered and are silent."""

    def flood(addresses: Addresses, run: Run) -> int:
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        silent.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.connect(addresses["udp"])
            one.settimeout(1)
            there = f"<sip:victim0@127.0.0.1:{silent.getsockname()[1]}>"
            asking = message("REGISTER", "victim0", "udp", 1).replace(
                b"<sip:victim0@127.0.0.1:9>", there.encode()
            )
            params = guess(one, asking)
            line = f"Authorization: {proof(params, 'victim0', PASSWORD, 'REGISTER', f'sip:{DOMAIN}', 1)}\r\nContent-L"
            proving = asking.replace(b"Content-L", line.encode()).replace(b"REGISTER-1", b"REGISTER-2")
            assert b"SIP/2.0 200" in answered(one, proving)
        with silent:
            return requests("INVITE", "victim0", "somebody@example.org", transport)(addresses, run)

    return flood


def answered(one: socket.socket, asking: bytes) -> bytes:
    """What comes back, however often that has to be asked."""
    for _ in range(30):
        one.send(asking)
        try:
            return one.recv(65_535)
        except TimeoutError:
            continue
    raise TimeoutError("the server answers nothing")


def guess(one: socket.socket, asking: bytes) -> dict[str, str]:
    """The challenge that comes back."""
    found = parse_message(answered(one, asking))
    assert isinstance(found, Response)
    all_of_them = parse_credentials(found.all("www-authenticate"))
    return next(one.params for one in all_of_them if one.params.get("algorithm", "MD5") == "MD5")


def wrong_password(transport: str) -> Flood:
    """Clients that have the wrong password and try again at once with the nonce that they have just got."""

    def flood(addresses: Addresses, run: Run) -> int:
        clients: list[socket.socket] = []
        for _ in range(STREAMS):
            if transport == "udp":
                one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                one.connect(addresses["udp"])
                one.settimeout(2)
            else:
                one = connection(addresses, transport)
            clients.append(one)
        params: list[dict[str, str]] = [{} for _ in clients]
        run.ready()
        sent = 0
        numbers = itertools.count(int(time.time() * 1000))
        while not run.over():
            for number, one in enumerate(clients):
                fields: tuple[str, ...] = ()
                if params[number]:
                    wrong = proof(params[number], "victim1", "guess", "REGISTER", f"sip:{DOMAIN}", 1)
                    fields = (f"Authorization: {wrong}",)
                try:
                    one.send(message("REGISTER", "victim1", transport, next(numbers), *fields))
                except OSError:
                    return -1
                sent += 1
            for number, one in enumerate(clients):
                try:
                    answer = one.recv(65_535)
                except TimeoutError:
                    continue
                _, _, rest = answer.rpartition(b'nonce="')
                realm = answer.partition(b'realm="')[2].partition(b'"')[0].decode()
                if b"algorithm=MD5" in answer:
                    at = answer.index(b"algorithm=MD5")
                    line = answer[answer.rfind(b"\r\n", 0, at) : answer.find(b"\r\n", at)]
                    rest = line.partition(b'nonce="')[2]
                    opaque = line.partition(b'opaque="')[2].partition(b'"')[0].decode()
                    params[number] = {
                        "realm": realm,
                        "nonce": rest.partition(b'"')[0].decode(),
                        "opaque": opaque,
                    }
        for one in clients:
            one.close()
        return sent

    return flood


def sources(addresses: Addresses, run: Run) -> int:
    """REGISTERs without credentials from very many addresses, as IP_PKTINFO lets one socket send them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("", 0))
        one.setblocking(False)
        before, between, after = message("REGISTER", "victim2", "udp", 123_454_321).split(b"123454321")
        run.ready()
        for number in itertools.count():
            host = 0x7F010000 + number % SOURCES
            info = struct.pack("=iII", 0, socket.htonl(host), 0)
            data = before + b"%d" % number + between + b"%d" % number + after
            try:
                one.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, addresses["udp"])
            except BlockingIOError:
                select.select([], [one], [], 0.1)
            if number % 50 == 0:
                try:
                    while one.recv(65_535):
                        pass
                except OSError:
                    pass
                if run.over():
                    return number
    raise AssertionError


# Connections without end.


def half_open(addresses: Addresses, run: Run) -> int:
    """TLS that begins and goes no further: new connections all the time, each with half of a ClientHello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=DOMAIN).do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = outgoing.read()
    held: list[socket.socket] = []
    run.ready()
    for number in itertools.count():
        try:
            one = socket.create_connection(addresses["tls"], 5, (f"127.0.{2 + number // 4000}.1", 0))
            one.send(hello[: len(hello) // 2] if number % 2 else hello)
            held.append(one)
        except OSError:
            time.sleep(0.01)
        if len(held) > 12_000:
            held.pop(0).close()
        if run.over():
            return number
    raise AssertionError


def slowly(transport: str) -> Flood:
    """A thousand connections, each of which says one octet of a message in a second."""

    def flood(addresses: Addresses, run: Run) -> int:
        data = message("REGISTER", "victim3", transport, 7)
        made = [connection(addresses, transport) for _ in range(1000)]
        run.ready()
        sent = 0
        for at in range(len(data)):
            for one in made:
                try:
                    sent += one.send(data[at : at + 1])
                except OSError:
                    pass
                time.sleep(0.001)
                if run.over():
                    return sent
        return sent

    return flood


def idle(transport: str) -> Flood:
    """Five thousand connections that register nobody and stay."""

    def flood(addresses: Addresses, run: Run) -> int:
        made = []
        for number in range(IDLE):
            try:
                made.append(connection(addresses, transport, f"127.0.9.{1 + number % 4}"))
            except OSError:
                pass
        run.ready()
        while not run.over():
            time.sleep(0.1)
        for one in made:
            one.close()
        return len(made)

    return flood


def storm(transport: str) -> Flood:
    """CRLFs, which are keep-alives, and nothing else."""

    def flood(addresses: Addresses, run: Run) -> int:
        if transport == "udp":
            return datagrams(lambda _: b"\r\n\r\n", addresses, run)
        streams = Streams(addresses, transport)
        data = b"\r\n\r\n" * 4000
        run.ready()
        for number in itertools.count():
            streams.send(number % STREAMS, data)
            streams.drain()
            if run.over():
                return number * 4000
        raise AssertionError

    return flood


def oversized(transport: str) -> Flood:
    """Messages that are too large in every way there is: head, line, number of lines, body, announced body."""
    start = message("REGISTER", "victim4", transport, 9).partition(b"Content-Length")[0]
    large = [
        start + b"X: " + b"x" * 60_000,
        start + b"X: y\r\n" * 9_000,
        start + b"Contact: " + b"<sip:a@b>," * 5_500 + b"<sip:a@b>\r\n\r\n",
        start + b"Content-Length: 50000\r\n\r\n" + b"z" * 50_000,
        start + b"Content-Length: 4000000000\r\n\r\n" + b"z" * 50_000,
        b"\r\n" + b"A" * 60_000,
    ]

    def make(number: int) -> bytes:
        return large[number % len(large)][:65_000]

    def flood(addresses: Addresses, run: Run) -> int:
        if transport == "udp":
            return datagrams(make, addresses, run)
        streams = Streams(addresses, transport)
        run.ready()
        for number in itertools.count():
            streams.send(number % STREAMS, make(number))
            streams.drain()
            if run.over():
                return number
        raise AssertionError

    return flood


def unread(transport: str) -> Flood:
    """Requests without end by peers that read nothing of what they are answered."""

    def flood(addresses: Addresses, run: Run) -> int:
        streams = Streams(addresses, transport)
        run.ready()
        for number in itertools.count(0, WINDOW):
            data = b"".join([message("OPTIONS", "victim5", transport, number + one) for one in range(WINDOW)])
            streams.send(number // WINDOW % STREAMS, data)
            if run.over():
                return number
        raise AssertionError

    return flood


FLOODS = MappingProxyType(
    {
        **{f"register-{one}": requests("REGISTER", "victim6", "", one) for one in ("udp", "tcp", "tls")},
        "sources-udp": sources,
        **{f"wrong-password-{one}": wrong_password(one) for one in ("udp", "tcp", "tls")},
        **{f"crlf-{one}": storm(one) for one in ("udp", "tcp", "tls")},
        **{f"oversized-{one}": oversized(one) for one in ("udp", "tcp", "tls")},
        **{f"unread-{one}": unread(one) for one in ("tcp", "tls")},
        **{f"slowly-{one}": slowly(one) for one in ("tcp", "tls")},
        "half-open-tls": half_open,
        **{f"idle-{one}": idle(one) for one in ("tcp", "tls")},
        **{
            f"invite-unknown-{one}": requests("INVITE", "nobody", "somebody@example.org", one)
            for one in ("udp", "tcp", "tls")
        },
        **{f"invite-known-{one}": known(one) for one in ("udp", "tcp", "tls")},
    }
)
"""By name, in the order in which they are run."""
