"""A registrar of one page, good enough to pass every check, and the flows that lead to it without a socket.

Rules: it stands on :mod:`sipframe.message` alone. Each thing that it does is a method, so that a broken one is a class
with that method done wrong. Time is a Clock's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from sipframe.auth.digest import ALGORITHMS, ha1, response
from sipframe.checking import Check, Report, Target, Timing, run_checks
from sipframe.message import (
    Credentials,
    Keepalive,
    MessageError,
    NameAddr,
    OtherURI,
    Request,
    SipURI,
    StreamFramer,
    equivalent,
    parse_message,
    parse_uri,
    response_bytes,
)
from sipframe.message.build import REASONS
from sipframe.ua import Account
from sipframe.ua.flows import ClientFlow
from sipframe.verdicts import Address

__all__ = ["Held", "Refused", "Toy", "checked"]

PASSWORDS = {"alice": "secret-a", "bob": "secret-b"}
DOMAIN = "example.com"
SOURCE = ("192.0.2.4", 5062)


class Held(NamedTuple):
    """A binding."""

    contact: NameAddr
    lasts: int
    call_id: str
    cseq: int


class Refused(Exception):
    """The answer is not a 200."""

    def __init__(self, status: int, *fields: str) -> None:
        super().__init__(status)
        self.status = status
        self.fields = fields


class Toy:
    """A registrar."""

    least = 60
    methods = "REGISTER, OPTIONS, ACK, CANCEL"

    def __init__(self) -> None:
        self.held: dict[str, list[Held]] = {}
        self.counts: dict[str, set[str]] = {}
        self.answered: dict[str, bytes] = {}
        self.made = 0

    def word(self) -> str:
        """A token that never comes twice."""
        self.made += 1
        return f"w{self.made:012}"

    # Octets.

    def receive(self, data: bytes) -> list[bytes]:
        """What a datagram is answered."""
        if not data.strip(b"\r\n\0"):
            return []
        try:
            message = parse_message(data)
        except MessageError as error:
            return self.malformed(error)
        return self.request(message) if isinstance(message, Request) else self.response()

    def request(self, request: Request) -> list[bytes]:
        """What a request is answered."""
        branch = f"{request.method} {request.reply_via.branch}"
        if branch in self.answered:
            return [self.answered[branch]]
        if request.method == "ACK":
            return []
        try:
            answer = self.written(request, 200, self.served(request))
        except Refused as refused:
            return [self.written(request, refused.status, refused.fields)]
        except MessageError as error:
            return [self.written(request, error.status, ())]
        self.remember(branch, answer)
        return [answer]

    def response(self) -> list[bytes]:
        return []

    def remember(self, branch: str, answer: bytes) -> None:
        self.answered[branch] = answer

    def malformed(self, error: MessageError) -> list[bytes]:
        if isinstance(error.partial, Request):
            return [self.written(error.partial, error.status, ())]
        return []

    def written(self, request: Request, status: int, fields: Iterable[str]) -> bytes:
        text = "".join([f"{field}\r\n" for field in fields])
        return response_bytes(request, status, REASONS[status], self.tag(), text, SOURCE)

    def tag(self) -> str:
        return self.word()

    # Requests.

    def served(self, request: Request) -> list[str]:
        """The fields of a 200. Raises Refused and MessageError."""
        for value in (request.via, request.from_, request.to, request.call_id):
            assert value is not None
        if request.cseq.method != request.method:
            raise MessageError("CSeq")
        if request.method == "CANCEL":
            raise Refused(481)
        self.check_method(request)
        self.check_require(request)
        self.check_domain(request)
        if request.method == "OPTIONS":
            return self.capabilities()
        user = self.authenticated(request)
        aor = self.aor(request)
        self.authorise(user, aor)
        found = self.changed(request, aor)
        self.held[aor] = found
        return self.listed(found)

    def check_method(self, request: Request) -> None:
        if request.method not in self.methods.split(", "):
            raise Refused(405, f"Allow: {self.methods}")

    def check_require(self, request: Request) -> None:
        if request.require:
            raise Refused(420, f"Unsupported: {', '.join(request.require)}")

    def check_domain(self, request: Request) -> None:
        uri = request.uri
        if isinstance(uri, OtherURI):
            raise Refused(416)
        if uri.host != DOMAIN:
            raise Refused(404)

    def capabilities(self) -> list[str]:
        return ["Accept: *", "Accept-Encoding: identity", "Accept-Language: en", "Supported: path"]

    def aor(self, request: Request) -> str:
        uri = request.to.uri
        if isinstance(uri, OtherURI) or uri.host != DOMAIN:
            raise Refused(404)
        return self.canonical(uri)

    def canonical(self, uri: SipURI) -> str:
        return (uri.user or "").replace("%61", "a")

    def authorise(self, user: str, aor: str) -> None:
        if user != aor:
            raise Refused(403)

    # Digest.

    def authenticated(self, request: Request) -> str:
        for one in request.credentials:
            if one.scheme.lower() == "digest" and one.params.get("realm") == DOMAIN:
                return self.proven(request, one)
        raise self.challenge()

    def proven(self, request: Request, one: Credentials) -> str:
        params = one.params
        self.check_uri(request, one)
        if not self.is_right(request, one):
            raise self.challenge()
        self.check_nonce(params.get("nonce", ""), params.get("nc", ""))
        return params["username"]

    def check_uri(self, request: Request, one: Credentials) -> None:
        if one.params.get("uri") != request.uri_text:
            raise Refused(400)

    def is_right(self, request: Request, one: Credentials) -> bool:
        params = one.params
        password = PASSWORDS.get(params.get("username", ""), "no such user")
        key = ha1(ALGORITHMS["MD5"], params.get("username", ""), DOMAIN, password)
        form = (params.get("nc", ""), params.get("cnonce", ""), params.get("qop", ""))
        uri, nonce = params.get("uri", ""), params.get("nonce", "")
        right = response(ALGORITHMS["MD5"], key, request.method, uri, nonce, *form, request.body)
        return params.get("response") == right and params.get("username") in PASSWORDS

    def check_nonce(self, nonce: str, count: str) -> None:
        if len(count) != 8 or count.strip("0123456789abcdef"):
            raise Refused(400)
        if nonce not in self.counts or count in self.counts[nonce]:
            raise self.challenge(stale=True)
        self.counts[nonce].add(count)

    def challenge(self, *, stale: bool = False) -> Refused:
        nonce = self.nonce()
        self.counts.setdefault(nonce, set())
        return Refused(401, f"WWW-Authenticate: {self.challenge_text(nonce)}{', stale=true' * stale}")

    def nonce(self) -> str:
        return self.word()

    def challenge_text(self, nonce: str) -> str:
        return f'Digest realm="{DOMAIN}", nonce="{nonce}", qop="auth", algorithm=MD5'

    # Bindings.

    def changed(self, request: Request, aor: str) -> list[Held]:
        """The bindings after a request. Raises Refused."""
        found = list(self.held.get(aor, ()))
        if request.contact_star:
            return self.all_removed(request, found)
        for contact in request.contacts:
            found = self.one_changed(request, contact, found)
        return found

    def all_removed(self, request: Request, found: list[Held]) -> list[Held]:
        if request.contacts or request.first("expires") != "0":
            raise Refused(400)
        return []

    def one_changed(self, request: Request, contact: NameAddr, found: list[Held]) -> list[Held]:
        lasts = self.lasts(request, contact)
        old = next((one for one in found if self.same(one.contact, contact)), None)
        if old is not None:
            self.check_order(request, old)
            found = self.dropped(found, old)
        if lasts == 0:
            return found
        return [*found, Held(contact, lasts, request.call_id, request.cseq.number)]

    def dropped(self, found: list[Held], old: Held) -> list[Held]:
        return [one for one in found if one is not old]

    def lasts(self, request: Request, contact: NameAddr) -> int:
        asked = contact.expires
        if asked is None:
            asked = 3600 if request.expires is None else request.expires
        if 0 < asked < self.least:
            raise Refused(423, f"Min-Expires: {self.least}")
        return min(asked, 7200)

    def same(self, one: NameAddr, other: NameAddr) -> bool:
        return equivalent(one.uri, other.uri)

    def check_order(self, request: Request, old: Held) -> None:
        if old.call_id == request.call_id and request.cseq.number <= old.cseq:
            raise Refused(400)

    def listed(self, found: list[Held]) -> list[str]:
        lines = [f"Contact: <{one.contact.uri_text}>;expires={one.lasts}" for one in found]
        return [*lines, "Date: Sat, 13 Nov 2010 23:29:00 GMT"]


class _Way:
    """Flows to a toy, by datagrams or by a stream."""

    def __init__(self, clock: Clock, toy: Toy, transport: str) -> None:
        self._clock = clock
        self._toy = toy
        self._transport = transport

    async def open(self) -> ClientFlow:
        framer = StreamFramer()

        def write(data: bytes) -> None:
            if self._transport == "UDP":
                self._later(flow, self._toy.receive(data))
                return
            self._toy_stream(flow, framer, data)

        flow = ClientFlow(
            self._transport, Address(*SOURCE), Address("192.0.2.1", 5060), write, lambda: self.closed()
        )
        return flow

    def closed(self) -> None:
        """The other end has closed the connection."""
        if isinstance(self._toy, StreamToy):
            self._toy.connection_lost()

    def _toy_stream(self, flow: ClientFlow, framer: StreamFramer, data: bytes) -> None:
        toy = self._toy
        assert isinstance(toy, StreamToy)
        framer.feed(data)
        try:
            while (message := framer.next()) is not None:
                if message is Keepalive.PING:
                    for _ in range(toy.pongs):
                        self._clock.callLater(0, flow.pong)
                elif isinstance(message, MessageError):
                    self._later(flow, toy.malformed(message))
                elif isinstance(message, Request):
                    self._later(flow, toy.request(message))
        except MessageError as error:
            self._later(flow, toy.unframed(error))
            if toy.closes:
                self._clock.callLater(0, flow.died, "the server has closed the connection")

    def _later(self, flow: ClientFlow, answers: list[bytes]) -> None:
        for answer in answers:
            self._clock.callLater(0, flow.arrived, parse_message(answer))
            if isinstance(self._toy, StreamToy) and answer.startswith(self._toy.closes_after):
                self._clock.callLater(0, flow.died, "the server has closed the connection")

    async def open_old_tls(self, version: str) -> ClientFlow | None:
        raise AssertionError("a toy has no TLS")


class StreamToy(Toy):
    """A registrar over connections."""

    pongs = 1
    closes = True
    closes_after = b"nothing"

    def unframed(self, error: MessageError) -> list[bytes]:
        """What a message is answered whose end cannot be known."""
        return self.malformed(error)

    def connection_lost(self) -> None:
        """A connection is gone."""


def checked(
    toy: Toy,
    checks: Iterable[Check],
    transport: str = "UDP",
    *,
    second: bool = True,
    timing: Timing | None = None,
    watch: Callable[[Any], object] = lambda _: None,
) -> Report:
    """Run ``checks`` against ``toy`` until they end. Raises what they raise."""
    clock = Clock()
    accounts = []
    for name, password in PASSWORDS.items():
        aor = parse_uri(f"sip:{name}@{DOMAIN}")
        assert isinstance(aor, SipURI)
        accounts.append(Account(aor, name, password))
    target = Target(transport=transport, account=accounts[0], second=accounts[1] if second else None)
    drawn = 0

    def entropy(octets: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return drawn.to_bytes(4, "big") + bytes(octets - 4) if octets >= 4 else bytes(octets)

    way = _Way(clock, toy, transport)
    ended: list[Any] = []
    running = Deferred.fromCoroutine(
        run_checks(clock, target, way, checks, entropy, timing or Timing(), watch)
    )
    _ = running.addBoth(ended.append)
    while not ended:
        calls = clock.getDelayedCalls()
        assert calls, "nothing will happen any more"
        clock.advance(max(0.0, min(call.getTime() for call in calls) - clock.seconds()))
    report = ended[0]
    if not isinstance(report, Report):
        report.raiseException()
    assert isinstance(report, Report)
    return report
