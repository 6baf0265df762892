"""The stock authenticator: Digest against any credential source (RFC 7616, RFC 8760, RFC 3261 22).

Rules, in the order in which they are applied to one request:

- Without credentials for our realm: a challenge. Nothing is remembered and no source is asked.
- Credentials that lack what Digest needs are 400 (RFC 7616 3.4: a 4xx); those that use what is not on offer get a
  challenge, and so does an unknown user, after the same work as a known one.
- The digest is compared in constant time, over the octets as they were sent. Only then, so that nobody learns or
  spoils anything without the password, come the nonce's origin and age and ``opaque`` (stale), the ``uri`` (400), and
  the nonce count (stale).
- What a peer sends never raises. What a source raises is left to rise: it is the source's failure, not a verdict.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote_to_bytes

from zope.interface import implementer

from sipframe.auth import digest
from sipframe.auth.challenge import Offer, Outcome, ProtectionSpace
from sipframe.auth.nonce import NonceClock
from sipframe.auth.replay import NonceCounts
from sipframe.auth.resource import same_resource
from sipframe.auth.settings import DigestSettings
from sipframe.auth.userhash import IUserhashSource
from sipframe.domains import Domains
from sipframe.interfaces import IAuthenticator, IComposed, ICredentialSource
from sipframe.message import MessageError, SipURI, quote
from sipframe.verdicts import Accepted, Challenge, Identity, Rejected, Secret

if TYPE_CHECKING:
    from sipframe.interfaces import IFlow
    from sipframe.message import Credentials, Request

__all__ = ["Chain", "DigestAuthenticator", "Verdict"]

Verdict: TypeAlias = Accepted | Challenge | Rejected
Chain: TypeAlias = Callable[[Awaitable[object], Callable[[object], object]], object]
"""Given something to wait for and what to do with its result, returns something to wait for the end of both."""

_HEX: Final = "0123456789abcdefABCDEF"
_SECOND: Final = 1_000_000

_new = tuple.__new__  # what a NamedTuple does, without the detour

# Looked up once here: an attribute of an enumeration costs more than the challenge it explains.
_NO_CREDENTIALS = Outcome.NO_CREDENTIALS
_BAD_RESPONSE = Outcome.BAD_RESPONSE
_UNKNOWN_USER = Outcome.UNKNOWN_USER


async def _in_turn(first: Awaitable[object], then: Callable[[object], object]) -> object:
    result = then(await first)
    return await result if isinstance(result, Awaitable) else result


@implementer(IAuthenticator, IComposed)
class DigestAuthenticator:
    """Decides by Digest who sent a request.

    ``source`` provides ICredentialSource. ``domains`` are those that are served, the principal one first, ``aliases``
    further hosts that name their users. ``realm`` is the realm of all domains, and a user's name stands for its AOR in
    each of them. Without it each domain is its own, and a name is good in that one only: a REGISTER's is that of the
    Request-URI, or of To when that is an address of ours, another request's that of From, and the first one when that
    is none of ours. ``secret`` is entropy, 16 octets or more, that nonces are made with; fresh for each process will
    do. ``clock`` gives seconds, see
    :class:`~sipframe.auth.nonce.NonceClock`. ``chain`` continues after a source that has to wait; the default makes
    coroutines. Raises TypeError when the source provides no ICredentialSource, and ValueError when userhash is to be
    offered and it provides no IUserhashSource.
    """

    def __init__(
        self,
        source: object,
        *,
        domains: Iterable[str],
        aliases: Mapping[str, str] | None = None,
        realm: str | None = None,
        secret: bytes,
        clock: Callable[[], float],
        settings: DigestSettings | None = None,
        chain: Chain = _in_turn,
    ) -> None:
        settings = DigestSettings() if settings is None else settings
        self._source: ICredentialSource = ICredentialSource(source)
        self._by_hash: IUserhashSource | None = IUserhashSource(source, None)
        if settings.userhash and self._by_hash is None:
            raise ValueError("userhash: the credential source does not know users by hash (IUserhashSource)")
        self._settings = settings
        self._qop = frozenset(settings.qop)
        self._lifetime = int(settings.nonce_lifetime * _SECOND)
        self._chain = chain
        self._clock = NonceClock(clock)
        self._counts = NonceCounts(settings.nonce_counts, settings.nonce_count_window)
        self._domains = tuple(domain.lower() for domain in domains)
        self._domain_set = frozenset(self._domains)
        if not self._domains:
            raise ValueError("domains: at least one")
        realms = self._domains if realm is None else (realm,)
        self._spaces = {name: ProtectionSpace(name, settings, secret, self._clock) for name in realms}
        self._first_space = self._spaces[realms[0]]
        self._served = Domains(self._domains, aliases)
        self._one_realm = realm is not None
        self._space_by_domain = (
            {} if self._one_realm else {self._served.domain_of(name): self._spaces[name] for name in realms}
        )
        self._aor_ends = {
            name: [self._served.aor_named("", one).removeprefix("sip:") for one in self._domains_of(name)]
            for name in realms
        }
        self._only_space = self._first_space if len(self._spaces) == 1 else None
        self._dummy = hmac.digest(secret, b"nobody", "sha256").hex()
        self._source_has_passwords = False

    def authenticate(self, request: Request, flow: IFlow) -> object:
        """Return a :data:`Verdict`, or what ``chain`` gives when the source has to wait (IAuthenticator)."""
        space = self._only_space or self._space_of(request)
        try:
            credentials = request.credentials
        except MessageError as error:
            return Rejected(error.status, error.reason)
        if not credentials:
            return space.challenge(_NO_CREDENTIALS)
        params = _for_realm(credentials, space)
        if params is None:
            digests = any(one.scheme.lower() == "digest" for one in credentials)
            return space.challenge(Outcome.UNKNOWN_REALM if digests else _NO_CREDENTIALS)
        sent, nonce = params.get("response"), params.get("nonce")
        if sent is None or nonce is None or "uri" not in params:
            return Rejected(400, "Missing parameter in credentials")
        if not sent or not nonce:
            return space.challenge(_NO_CREDENTIALS)  # RFC 8760 2.7: no challenge was received yet
        offer = space.offer(params.get("algorithm", "MD5"))  # RFC 7616 3.3
        if offer is None:
            return space.challenge(Outcome.NOT_OFFERED)
        qop, nc, cnonce = params.get("qop"), params.get("nc"), params.get("cnonce")
        if qop is None or (nc is None and cnonce is None):
            # RFC 3261 22.4 item 8. RFC 3665 2.2 F1 has qop, but not what belongs to it: the old form as well.
            if not self._settings.legacy_without_qop:
                return space.challenge(Outcome.NOT_OFFERED)
            if offer.algorithm.session:
                return Rejected(400, "Missing qop in credentials")
            qop = nc = cnonce = ""
        else:
            if qop.lower() not in self._qop:
                return space.challenge(Outcome.NOT_OFFERED)
            if nc is None or cnonce is None:
                return Rejected(400, "Missing parameter in credentials")
            if len(nc) != 8 or nc.strip(_HEX):
                return Rejected(400, "Malformed nc in credentials")
        if len(sent) != offer.algorithm.size:
            return space.challenge(_BAD_RESPONSE)
        form = (qop, nc, cnonce)
        if "userhash" in params and params["userhash"].lower() == "true":
            return self._authenticate_hash(request, space, offer, params, form)
        username = params.get("username")
        if username is None or "username*" in params:
            username = _extended_username(params)
            if username is None:
                return Rejected(400, "Malformed or missing username in credentials")
        return self._ask(request, space, offer, params, form, username)

    def _space_of(self, request: Request) -> ProtectionSpace:
        try:
            uris = (request.uri, request.to.uri) if request.method == "REGISTER" else (request.from_.uri,)
        except MessageError:
            return self._first_space
        for uri in uris:
            domain = self._served.domain_of(uri.host) if isinstance(uri, SipURI) else None
            if domain is not None:
                return self._space_by_domain[domain]
        return self._first_space

    def _authenticate_hash(
        self, request: Request, space: ProtectionSpace, offer: Offer, params: dict[str, str], form: _Form
    ) -> object:
        if self._by_hash is None or not self._settings.userhash:
            return space.challenge(Outcome.NOT_OFFERED)
        hashed = params.get("username")
        if hashed is None or "username*" in params:
            return Rejected(400, "Malformed or missing username in credentials")
        ask = partial(self._ask, request, space, offer, params, form)
        found = self._by_hash.username(hashed.lower(), space.realm, offer.algorithm.base)
        if found is None or isinstance(found, str):
            return ask(found)
        return self._wait(found, ask)

    def _ask(
        self,
        request: Request,
        space: ProtectionSpace,
        offer: Offer,
        params: dict[str, str],
        form: _Form,
        username: object,
    ) -> object:
        if username is None:
            return self._decide(request, space, offer, params, form, "", None)
        if not isinstance(username, str):
            raise TypeError(f"IUserhashSource.username returned {type(username).__name__}")
        secret = self._source.secret(username, space.realm, offer.algorithm.base)
        if type(secret) is Secret or secret is None or isinstance(secret, (Secret, str)):
            return self._decide(request, space, offer, params, form, username, secret)
        return self._wait(secret, partial(self._decide, request, space, offer, params, form, username))

    def _wait(self, awaitable: object, then: Callable[[object], object]) -> object:
        if not isinstance(awaitable, Awaitable):
            raise TypeError(f"the credential source returned {type(awaitable).__name__}")
        return self._chain(awaitable, then)

    def _decide(
        self,
        request: Request,
        space: ProtectionSpace,
        offer: Offer,
        params: dict[str, str],
        form: _Form,
        username: str,
        secret: object,
    ) -> Verdict:
        algorithm = offer.algorithm
        qop, nc, cnonce = form
        uri, nonce = params["uri"], params["nonce"]
        known, owner, key = self._ha1(algorithm, username, space.realm, secret)
        if algorithm.session:
            key = digest.session_ha1(algorithm, key, nonce, cnonce)
        body = request.body if qop else b""
        expected = digest.response(algorithm, key, request.method, uri, nonce, nc, cnonce, qop, body)
        right = hmac.compare_digest(expected.encode(), digest.octets(params["response"]))
        if not (right and known):
            return space.challenge(_BAD_RESPONSE if known else _UNKNOWN_USER)

        issued = offer.nonces.issued(nonce)
        now = self._clock.now()
        age = now - issued
        if issued < 0 or not -_SECOND <= age <= self._lifetime:
            return space.challenge_again(Outcome.STALE)
        if params.get("opaque", "") != self._settings.opaque:
            return space.challenge_again(Outcome.STALE)  # RFC 7616 3.4: it must be the one of the challenge
        if uri != request.uri_text and not same_resource(request.uri_text, uri, self._domain_set):
            return Rejected(400, "Credentials for another Request-URI")  # RFC 7616 3.4.6
        identity = self._identity(username, space.realm, owner)
        if not qop:
            return Accepted(identity)
        if not self._counts.accept(issued, int(nc, 16), now - self._lifetime):
            return space.challenge_again(Outcome.REPLAYED)
        if not self._settings.authentication_info:
            return Accepted(identity)
        # RFC 7616 3.5. With auth-int this holds for an answer without a body, which every answer of ours is.
        proof = digest.rspauth(algorithm, key, uri, nonce, nc, cnonce, qop)
        info = f'qop={qop}, rspauth="{proof}", cnonce={_quoted(cnonce)}, nc={nc}'
        if 2 * age > self._lifetime:
            info = f'nextnonce="{offer.nonces.issue()}", {info}'
        return _new(Accepted, (identity, (("Authentication-Info", info),)))

    def _ha1(
        self, algorithm: digest.Algorithm, username: str, realm: str, secret: object
    ) -> tuple[bool, str | None, str]:
        """Whether the user is known, the AOR it owns, and HA1: somebody's or, after the same work, nobody's."""
        owner: str | None = None
        password: str | None
        if isinstance(secret, Secret):
            ha1, password, owner = secret
            if ha1:
                self._source_has_passwords = False
                return True, owner, ha1
        elif secret is None or isinstance(secret, str):
            password = secret
        else:
            raise TypeError(f"ICredentialSource.secret gave {type(secret).__name__}")
        if password:  # an empty one is none: it would let in everybody
            self._source_has_passwords = True
            return True, owner, digest.ha1(algorithm, username, realm, password)
        if self._source_has_passwords:
            return False, None, digest.ha1(algorithm, username, realm, self._dummy)
        return False, None, self._dummy[: algorithm.size]

    def _identity(self, username: str, realm: str, owner: str | None) -> Identity:
        if owner is not None:
            return Identity(username, realm, frozenset((owner,)))
        if "@" not in username:
            aors = [f"sip:{username}{end}" for end in self._aor_ends[realm]]
            return _new(Identity, (username, realm, frozenset(aors)))
        name, _, domain = username.rpartition("@")
        if self._one_realm or self._served.domain_of(domain) in self._domains_of(realm):
            aors = [self._served.aor_named(name, domain)]
        else:
            aors = []
        return Identity(username, realm, frozenset(aors))

    def _domains_of(self, realm: str) -> tuple[str, ...]:
        # A realm that is a domain knows its own users: the same name in another one may be somebody else.
        return self._served.names if self._one_realm else (self._served.domain_of(realm) or realm,)


def _quoted(text: str) -> str:
    # Hex digits or Base64 nearly always, with nothing to escape.
    return f'"{text}"' if text.isalnum() else quote(text)


_Form: TypeAlias = tuple[str, str, str]
"""qop, nc and cnonce as sent; all three empty for the form of RFC 2069."""


def _for_realm(credentials: tuple[Credentials, ...], space: ProtectionSpace) -> dict[str, str] | None:
    """The Digest parameters for our realm: the first that use what is on offer, else the first (RFC 3261 22.3)."""
    found: dict[str, str] | None = None
    for scheme, params, _ in credentials:
        if params.get("realm") == space.realm and (scheme == "Digest" or scheme.lower() == "digest"):
            if len(credentials) == 1 or space.offer(params.get("algorithm", "MD5")) is not None:
                return params
            found = found or params
    return found


def _extended_username(params: dict[str, str]) -> str | None:
    """The name in ``username*`` (RFC 7616 3.4, RFC 5987 3.2); None when malformed, or beside a ``username``."""
    if "username" in params:
        return None
    charset, _, rest = params.get("username*", "").partition("'")
    _, quoted, value = rest.partition("'")
    if charset.lower() != "utf-8" or not quoted or not value:
        return None
    return unquote_to_bytes(digest.octets(value)).decode("utf-8", "surrogateescape")
