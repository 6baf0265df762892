"""RFC 3261 10.3, written down a second time: slow, plain, and from the RFC's text alone. It says what is right.

:class:`ReferenceServer` has the steps up to the AOR, :class:`ReferenceRegistrar` those about the bindings of one. They
know only what the tests use: ``sip`` and ``sips`` URIs with a user, no passwords, no headers, no quotes.
Where the RFC says MAY, it does what sipframe's settings say: 423 below the minimum, intervals cut at the maximum.
When there are more contacts than ``most``, a REGISTER that adds one is refused, or pushes out the oldest others.
Where one contact equals several bindings (19.1.4 is not transitive) it takes "the binding" for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

DEFAULT, MINIMUM, MAXIMUM = 3600, 60, 7200


@dataclass
class Contact:
    uri: str
    expires: str | None = None
    q: str | None = None


@dataclass
class Register:
    call_id: str
    cseq: int
    contacts: list[Contact] = field(default_factory=list)
    star: bool = False
    expires: str | None = None
    # What only the steps before the AOR look at.
    domain: str = ""
    to: str = ""
    require: str = ""
    user: str = ""
    password: str = ""


@dataclass
class Record:
    uri: str
    end: float
    call_id: str
    cseq: int
    q: str | None
    at: float
    register: int
    """Which REGISTER it was made by."""


class Fails(Exception):
    """The request fails with this status."""

    def __init__(self, status: int) -> None:
        self.status = status


class ReferenceServer:
    """The bindings of all users: a password for each ``(name, domain)``."""

    def __init__(self, passwords: Mapping[tuple[str, str], str], most: int, *, replaces_oldest: bool) -> None:
        self.passwords = passwords
        self.registrars = {
            f"sip:{name}@{domain}": ReferenceRegistrar(most, replaces_oldest=replaces_oldest)
            for name, domain in passwords
        }

    def register(self, register: Register, now: float) -> int:
        """Carry out one REGISTER for a domain of ours (step 1); return the status."""
        # Step 2, 8.2.2.3: no extension that is required may be unknown.
        if register.require:
            return 420
        # Step 3: authenticate the user agent, in the realm that is the domain.
        if not register.password or register.password != self.passwords.get((register.user, register.domain)):
            return 401
        # Step 5: the AOR is To, canonical: no parameters, no escapes, sips as sip. Is it valid for the domain?
        _, user, host, _ = taken_apart(register.to)
        if host != register.domain or not user:
            return 404
        # Step 4: may this user change the bindings of this AOR? Only of its own.
        if user != register.user:
            return 403
        # Steps 6 to 8.
        return self.registrars[f"sip:{user}@{host}"].register(register, now)

    def forgets(self) -> None:
        """What was in memory alone is gone."""
        for registrar in self.registrars.values():
            registrar.records = []


class ReferenceRegistrar:
    """The bindings of one address-of-record; ``most`` of them."""

    def __init__(self, most: int = 1000, *, replaces_oldest: bool = False) -> None:
        self.records: list[Record] = []
        self.most = most
        self.replaces_oldest = replaces_oldest
        self.registers = 0

    def register(self, register: Register, now: float) -> int:
        """Carry out one REGISTER; return the status. The records are those that a 200 enumerates."""
        self.records = [record for record in self.records if record.end > now]
        self.registers += 1
        try:
            tentative = self._processed(register, now)
        except Fails as failure:
            return failure.status  # all tentative binding updates MUST be removed
        self.records = tentative
        return 200

    def _processed(self, register: Register, now: float) -> list[Record]:
        # Step 6.
        if register.star:
            if register.contacts or seconds(register.expires) != 0:
                raise Fails(400)
            for record in self.records:
                self._check_order(record, register)
            return []
        tentative = list(self.records)
        adds = False
        # Step 7.
        for contact in register.contacts:
            interval = self._interval(contact, register)
            for record in self.records:
                if equal(record.uri, contact.uri):
                    self._check_order(record, register)
            present = [record for record in tentative if equal(record.uri, contact.uri)]
            if interval == 0:
                tentative = [record for record in tentative if record not in present]
                continue
            fresh = Record(
                contact.uri,
                now + interval,
                register.call_id,
                register.cseq,
                contact.q,
                now,
                self.registers,
            )
            if present:
                tentative[tentative.index(present[0])] = fresh
                tentative = [record for record in tentative if record not in present[1:]]
            else:
                tentative.append(fresh)
                adds = True
        while adds and len(tentative) > self.most:
            others = [record for record in tentative if record.register != self.registers]
            if not self.replaces_oldest or not others:
                raise Fails(403)
            tentative.remove(min(others, key=lambda record: record.at))
        return tentative

    def _interval(self, contact: Contact, register: Register) -> int:
        if contact.expires is not None:
            requested = seconds(contact.expires)
        elif register.expires is not None:
            requested = seconds(register.expires)
        else:
            requested = DEFAULT
        assert requested is not None
        if requested > 0 and requested < 3600 and requested < MINIMUM:
            raise Fails(423)
        return min(requested, MAXIMUM)

    def _check_order(self, record: Record, register: Register) -> None:
        if record.call_id == register.call_id and not register.cseq > record.cseq:
            raise Fails(400)


def seconds(text: str | None) -> int | None:
    """20.19, 20.10: a malformed value SHOULD be treated as equivalent to 3600."""
    if text is None:
        return None
    if text.isdigit() and int(text) < 2**32:
        return int(text)
    return 3600


def equal(a: str, b: str) -> bool:
    """19.1.4, for the URIs that the tests use."""
    scheme_a, user_a, host_a, params_a = taken_apart(a)
    scheme_b, user_b, host_b, params_b = taken_apart(b)
    if scheme_a != scheme_b or user_a != user_b or host_a != host_b:
        return False
    for name in params_a.keys() | params_b.keys():
        if name in params_a and name in params_b:
            if params_a[name] != params_b[name]:
                return False
        elif name in ("user", "ttl", "method", "maddr", "transport"):
            return False
    return True


def taken_apart(uri: str) -> tuple[str, str, str, dict[str, str]]:
    scheme, _, rest = uri.partition(":")
    address, *params = rest.split(";")
    user, _, host = address.partition("@")
    values = {}
    for one in params:
        name, _, value = one.partition("=")
        values[name.lower()] = value.lower()
    return scheme.lower(), unquote(user), host.lower(), values
