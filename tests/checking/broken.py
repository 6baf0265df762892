"""Registrars that are broken on purpose, each by the check that has to find it out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from sipframe.checking.torture import TORTURE
from sipframe.message import Credentials, MessageError, NameAddr, Request, SipURI
from tests.checking.toy import Held, Refused, StreamToy, Toy

__all__ = ["BROKEN", "STREAM_BROKEN"]


class Mangler(Toy):
    """Answers are bent on their way out by ``pattern`` and ``instead``."""

    pattern = ""
    instead = ""

    def written(self, request: Request, status: int, fields: Iterable[str]) -> bytes:
        text = super().written(request, status, fields).decode("utf-8", "surrogateescape")
        return re.sub(self.pattern, self.instead, text, flags=re.M).encode("utf-8", "surrogateescape")


def mangler(pattern: str, instead: str) -> type[Toy]:
    return type("Bent", (Mangler,), {"pattern": pattern, "instead": instead})


class Forgetful(Toy):
    """Keeps one contact, the newest."""

    def changed(self, request: Request, aor: str) -> list[Held]:
        return super().changed(request, aor)[-1:]


class Open(Toy):
    """Asks nobody who they are."""

    def authenticated(self, request: Request) -> str:
        return "alice"


class Trusting(Toy):
    """Any password is right."""

    def is_right(self, request: Request, one: Credentials) -> bool:
        return True


class OnlySip(Toy):
    """Knows contacts of one scheme."""

    def one_changed(self, request: Request, contact: NameAddr, found: list[Held]) -> list[Held]:
        if not isinstance(contact.uri, SipURI):
            raise Refused(400)
        return super().one_changed(request, contact, found)


class QueriesRemove(Toy):
    """Takes a query for a removal."""

    def changed(self, request: Request, aor: str) -> list[Held]:
        return super().changed(request, aor) if request.all("contact") else self.held.get(aor, [])[:1]


class NoStar(Toy):
    """Ignores Contact: *."""

    def all_removed(self, request: Request, found: list[Held]) -> list[Held]:
        return found


class StarAlways(Toy):
    """Contact: * removes everything, whatever stands beside it."""

    def all_removed(self, request: Request, found: list[Held]) -> list[Held]:
        return []


class FieldFirst(Toy):
    """The Expires field counts more than the parameter."""

    def lasts(self, request: Request, contact: NameAddr) -> int:
        return super().lasts(request, contact if request.expires is None else contact._replace(params=()))


class TwiceAsLong(Toy):
    """Lengthens every interval."""

    def lasts(self, request: Request, contact: NameAddr) -> int:
        return super().lasts(request, contact) * 2


class NoDefault(Toy):
    """What has no expiry expires at once."""

    def lasts(self, request: Request, contact: NameAddr) -> int:
        return 0 if contact.expires is None and request.expires is None else super().lasts(request, contact)


class RemovesAll(Toy):
    """A removal removes everything."""

    def dropped(self, found: list[Held], old: Held) -> list[Held]:
        return []


class AlwaysAdds(Toy):
    """No two contacts are the same, but to be removed."""

    def one_changed(self, request: Request, contact: NameAddr, found: list[Held]) -> list[Held]:
        if self.lasts(request, contact) == 0:
            return super().one_changed(request, contact, found)
        return [*found, Held(contact, 3600, request.call_id, request.cseq.number)]


class CSeqFree(Toy):
    """Takes requests in any order."""

    def check_order(self, request: Request, old: Held) -> None:
        pass


class CSeqStrict(Toy):
    """Compares CSeq across Call-IDs."""

    def check_order(self, request: Request, old: Held) -> None:
        if request.cseq.number <= old.cseq:
            raise Refused(400)


class CSeqOnce(Toy):
    """Takes one request of a Call-ID."""

    def check_order(self, request: Request, old: Held) -> None:
        if request.call_id == old.call_id:
            raise Refused(400)


class Halfway(Toy):
    """Keeps what it did before a contact failed."""

    def changed(self, request: Request, aor: str) -> list[Held]:
        if not request.contact_star:
            for contact in request.contacts:
                self.held[aor] = self.one_changed(request, contact, self.held.get(aor, []))
            return self.held.get(aor, [])
        return super().changed(request, aor)


class Textual(Toy):
    """Compares contacts as text."""

    def same(self, one: NameAddr, other: NameAddr) -> bool:
        return one.uri_text == other.uri_text


class Careless(Toy):
    """Compares contacts by user and host, without case."""

    def same(self, one: NameAddr, other: NameAddr) -> bool:
        a, b = one.uri, other.uri
        if isinstance(a, SipURI) and isinstance(b, SipURI):
            return (a.user or "").lower() == (b.user or "").lower() and a.host == b.host
        return a == b


class AnyDomain(Toy):
    """Is the registrar of every domain."""

    def check_domain(self, request: Request) -> None:
        pass


class AnyAOR(Toy):
    """Looks at the user part of To alone."""

    def aor(self, request: Request) -> str:
        uri = request.to.uri
        return uri.user or "" if isinstance(uri, SipURI) else ""


class Literal(Toy):
    """Takes an AOR as it is written."""

    def canonical(self, uri: SipURI) -> str:
        return uri.user or ""


class Briefless(Toy):
    """423 without Min-Expires."""

    def lasts(self, request: Request, contact: NameAddr) -> int:
        try:
            return super().lasts(request, contact)
        except Refused:
            raise Refused(423) from None


class Requireless(Toy):
    def check_require(self, request: Request) -> None:
        pass


class Nosy(Toy):
    """Every method is a REGISTER."""

    def check_method(self, request: Request) -> None:
        pass


class Cancelling(Toy):
    """Answers ACK, and 200 to any CANCEL."""

    def request(self, request: Request) -> list[bytes]:
        if request.method in ("ACK", "CANCEL"):
            return [self.written(request, 200, ())]
        return super().request(request)

    def response(self) -> list[bytes]:
        return []


class Picky(Toy):
    """Refuses what it does not know."""

    known = "via max-forwards from to call-id cseq contact expires authorization content-length"

    def served(self, request: Request) -> list[str]:
        if request.fields.keys() - set(self.known.split()):
            raise Refused(400)
        return super().served(request)


def reading(bad: Callable[[bytes], object]) -> type[Toy]:
    """A registrar that answers 400 to the octets for which ``bad`` is true."""

    class Reads(Toy):
        def receive(self, data: bytes) -> list[bytes]:
            if not bad(data):
                return super().receive(data)
            start = data.lstrip()
            answers = super().receive(start)
            return [re.sub(rb"^SIP/2.0 \d+ ", b"SIP/2.0 400 ", answer) for answer in answers]

        def remember(self, branch: str, answer: bytes) -> None:
            pass

    return Reads


class Again(Toy):
    """Serves a retransmission as another request."""

    def remember(self, branch: str, answer: bytes) -> None:
        pass


class Echo(Toy):
    """Answers responses."""

    def receive(self, data: bytes) -> list[bytes]:
        if data.startswith(b"SIP/2.0"):
            return super().receive(data.replace(b"SIP/2.0 200 OK", b"OPTIONS sip:example.com SIP/2.0", 1))
        return super().receive(data)


class Both(Toy):
    """Reads on behind the body of a datagram."""

    def receive(self, data: bytes) -> list[bytes]:
        first, end, rest = data.partition(b"Content-Length: 0\r\n\r\n")
        answers = super().receive(first + end)
        return answers + (super().receive(rest) if rest else [])


class SameNonce(Toy):
    def nonce(self) -> str:
        return "nonce"


class CountOnly(Toy):
    """Counts no nonce."""

    def check_nonce(self, nonce: str, count: str) -> None:
        if nonce not in self.counts:
            raise self.challenge(stale=True)


class AnyCount(Toy):
    """Takes any nonce count."""

    def check_nonce(self, nonce: str, count: str) -> None:
        if nonce not in self.counts:
            raise self.challenge(stale=True)

    def is_right(self, request: Request, one: Credentials) -> bool:
        return True


class AnyNonce(Toy):
    def check_nonce(self, nonce: str, count: str) -> None:
        pass


class ThreeTimes(Toy):
    """A nonce serves for the counts 1 and 2 only, and then the password is called wrong."""

    def check_nonce(self, nonce: str, count: str) -> None:
        super().check_nonce(nonce, count)
        if count > "00000002":
            raise Refused(403)


class NeverStale(Toy):
    def challenge(self, *, stale: bool = False) -> Refused:
        return super().challenge()


class AlwaysStale(Toy):
    def challenge(self, *, stale: bool = False) -> Refused:
        return super().challenge(stale=True)


class AnyURI(Toy):
    def check_uri(self, request: Request, one: Credentials) -> None:
        pass


class AnyRealm(Toy):
    """Takes whatever stands in Authorization, without a look."""

    def authenticated(self, request: Request) -> str:
        if request.all("authorization"):
            return "alice"
        raise self.challenge()


class FirstOnly(Toy):
    """Looks at the first credentials, and at their scheme with case."""

    def authenticated(self, request: Request) -> str:
        for one in request.credentials[:1]:
            if one.scheme == "Digest" and one.params.get("realm") == "example.com":
                return self.proven(request, one)
        raise self.challenge()


class Telling(Toy):
    """Tells who there is not."""

    def proven(self, request: Request, one: Credentials) -> str:
        if one.params.get("username") not in ("alice", "bob"):
            raise Refused(404)
        return super().proven(request, one)


class AnyOwner(Toy):
    """Who is known may do anything."""

    def authorise(self, user: str, aor: str) -> None:
        pass


class ByFrom(Toy):
    """Binds for From."""

    def aor(self, request: Request) -> str:
        _ = super().aor(request)
        uri = request.from_.uri
        return uri.user or "" if isinstance(uri, SipURI) else ""

    def authorise(self, user: str, aor: str) -> None:
        pass


class AuthIntOff(Trusting):
    """Offers auth-int, and does not look at the body."""

    def challenge_text(self, nonce: str) -> str:
        return super().challenge_text(nonce).replace('"auth"', '"auth,auth-int"')


def offering(*algorithms: str) -> type[Toy]:
    """A registrar that offers ``algorithms``, and takes any password by any of them."""

    class Offers(Trusting):
        def challenge_text(self, nonce: str) -> str:
            mine = super().challenge_text(nonce)
            return "\r\nWWW-Authenticate: ".join([mine.replace("MD5", one) for one in algorithms])

    return Offers


class Qopless(Toy):
    """Leaves qop out."""

    def challenge_text(self, nonce: str) -> str:
        return super().challenge_text(nonce).replace(', qop="auth"', "")

    def check_nonce(self, nonce: str, count: str) -> None:
        pass


class Gullible(Toy):
    """Answers 200 to everything that it can read at all."""

    def request(self, request: Request) -> list[bytes]:
        choose = request.method == "REGISTER" and not request.all("authorization")
        if choose or (request.all("authorization") and not request.all("contact")):
            return super().request(request)
        return [self.written(request, 200, ())]

    def malformed(self, error: MessageError) -> list[bytes]:
        return [self.written(error.partial, 200, ())] if isinstance(error.partial, Request) else []


class Fragile(Toy):
    """Dies of what it cannot read."""

    dead = False

    def receive(self, data: bytes) -> list[bytes]:
        return [] if self.dead else super().receive(data)

    def malformed(self, error: MessageError) -> list[bytes]:
        self.dead = True
        return []


class Grumpy(Toy):
    """Refuses every REGISTER that has a Contact, and every OPTIONS."""

    def served(self, request: Request) -> list[str]:
        if request.all("contact") or request.method == "OPTIONS":
            raise Refused(500)
        return super().served(request)


_MAPPED: dict[str, type[Toy]] = {
    "flow.new": mangler(r"^Contact: .*\r\n", ""),
    "flow.update": Forgetful,
    "flow.other-scheme": OnlySip,
    "flow.query": QueriesRemove,
    "flow.cancel": NoStar,
    "flow.refused": Trusting,
    "register.expires-parameter": FieldFirst,
    "register.expires-field": TwiceAsLong,
    "register.expires-default": NoDefault,
    "register.remove-one": RemovesAll,
    "register.remove-by-field": RemovesAll,
    "register.refresh": AlwaysAdds,
    "register.star-with-others": StarAlways,
    "register.star-not-zero": StarAlways,
    "register.star-no-expires": StarAlways,
    "register.all-listed": mangler(r";expires=\d+", ""),
    "register.date": mangler(r"^Date: .*\r\n", ""),
    "register.no-record-route": mangler(r"^Date: ", "Record-Route: <sip:x>\r\nDate: "),
    "register.too-brief": Briefless,
    "register.not-lengthened": type("Long", (TwiceAsLong,), {"least": 1}),
    "register.cseq-order": CSeqFree,
    "register.cseq-next": CSeqOnce,
    "register.other-call-id": CSeqStrict,
    "register.atomic": Halfway,
    "register.malformed-contact": Gullible,
    "register.several": Forgetful,
    "register.uri-same": Textual,
    "register.uri-different": Careless,
    "register.other-domain": AnyDomain,
    "register.other-aor": AnyAOR,
    "register.aor-canonical": Literal,
    "request.copied": mangler(r"^(Call-ID: .*)\r\n", r"\1x\r\n"),
    "request.to-tag": mangler(r"^(To: .*);tag=.*\r\n", r"\1\r\n"),
    "request.vias": mangler(r"^Via: .*(first|second).*\r\n", ""),
    "request.received": mangler(r";received=[^;\r]*", ""),
    "request.rport": mangler(r";rport=\d+", ";rport"),
    "request.require": Requireless,
    "request.unknown-method": Nosy,
    "request.options": Grumpy,
    "request.options-fields": mangler(r"^Accept.*\r\n", ""),
    "request.no-max-forwards": reading(lambda data: b"Max-Forwards" not in data),
    "request.last-hop": reading(lambda data: b"Max-Forwards: 1\r" in data),
    "request.compact": reading(lambda data: b"\r\ni: " in data),
    "request.case": reading(lambda data: b"FROM: " in data),
    "request.folded": reading(lambda data: b"\r\n " in data),
    "request.space-before-colon": reading(lambda data: b"Contact :" in data),
    "request.unknown-fields": Picky,
    "request.unicode": reading(lambda data: not data.isascii()),
    "request.body": reading(lambda data: b"\0\n" in data),
    "request.retransmission": Again,
    "request.ack": Cancelling,
    "request.stray-response": Echo,
    "request.cancel": Cancelling,
    "request.leading-crlf": reading(lambda data: data.startswith(b"\r\n")),
    "request.extra-octets": Both,
    "digest.required": Open,
    "digest.challenge": Qopless,
    "digest.algorithm": offering("MD5", "MD5"),
    "digest.nonce-unique": SameNonce,
    "digest.md5": Trusting,
    "digest.sha-256": offering("SHA-256"),
    "digest.sha-512-256": offering("SHA-512-256"),
    "digest.no-downgrade": offering("SHA-256"),
    "digest.auth-int": AuthIntOff,
    "digest.same-nonce": ThreeTimes,
    "digest.replay": CountOnly,
    "digest.nc-order": CountOnly,
    "digest.nc-malformed": AnyCount,
    "digest.unknown-nonce": AnyNonce,
    "digest.stale": NeverStale,
    "digest.not-stale": AlwaysStale,
    "digest.uri": AnyURI,
    "digest.realm": AnyRealm,
    "digest.method": Trusting,
    "digest.unknown-parameters": FirstOnly,
    "digest.several-credentials": FirstOnly,
    "digest.enumeration": Telling,
    "digest.no-bypass": Trusting,
    "digest.methods": type("Relaxed", (Nosy, Open), {}),
    "digest.other-aor": AnyOwner,
    "digest.second-user": AnyOwner,
    "digest.user-in-from": ByFrom,
}


def _torturer(check_id: str) -> type[Toy]:
    summary = next(one.summary for one in TORTURE if one.id == check_id)
    return Grumpy if ": 200" in summary else Gullible


BROKEN: dict[str, type[Toy]] = {
    **_MAPPED,
    **{one.id: _torturer(one.id) for one in TORTURE},
}
"""For each check that runs over UDP a registrar that it finds out."""


class OneEach(StreamToy):
    """Closes the connection after each 200."""

    closes_after = b"SIP/2.0 200"


class FirstOfMany(StreamToy):
    """Answers only now and then."""

    number = 0

    def request(self, request: Request) -> list[bytes]:
        self.number += 1
        return [] if self.number % 3 == 0 else super().request(request)


class Bodies(StreamToy):
    """Reads bodies as requests."""

    def request(self, request: Request) -> list[bytes]:
        hidden = self.receive(request.body) if request.body.startswith(b"REGISTER") else []
        return super().request(request) + hidden


class BodyShy(StreamToy):
    """Does not answer what has a body."""

    def request(self, request: Request) -> list[bytes]:
        return [] if request.body else super().request(request)


class Silent(StreamToy):
    """Says nothing of what it cannot frame, and keeps the connection."""

    closes = False

    def unframed(self, error: MessageError) -> list[bytes]:
        return []


class Lengthless(StreamToy):
    """Answers 200 to what it cannot frame."""

    def unframed(self, error: MessageError) -> list[bytes]:
        return [self.written(error.partial, 200, ())] if isinstance(error.partial, Request) else []


class Bound(StreamToy):
    """Bindings end with any connection."""

    def connection_lost(self) -> None:
        self.held.clear()


class Doomed(StreamToy):
    """Dies of what it cannot frame."""

    dead = False

    def request(self, request: Request) -> list[bytes]:
        return [] if self.dead else super().request(request)

    def unframed(self, error: MessageError) -> list[bytes]:
        self.dead = True
        return []


class Widowed(StreamToy):
    """Dies when the second connection is lost: the first is that of the run's own question."""

    lost = 0

    def request(self, request: Request) -> list[bytes]:
        return [] if self.lost > 1 else super().request(request)

    def connection_lost(self) -> None:
        self.lost += 1


STREAM_BROKEN: dict[str, type[StreamToy]] = {
    "stream.several": OneEach,
    "stream.pipelined": FirstOfMany,
    "stream.octets": BodyShy,
    "stream.body-apart": Bodies,
    "stream.ping": type("Pingless", (StreamToy,), {"pongs": 0}),
    "stream.no-length": Silent,
    "stream.bad-length": Lengthless,
    "stream.wrong-length": Widowed,
    "stream.garbage": Doomed,
    "stream.half": Widowed,
    "stream.binding-stays": Bound,
}
"""For each check of streams a registrar that it finds out."""
