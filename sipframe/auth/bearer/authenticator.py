"""Bearer tokens in Authorization (RFC 8898 2.2, RFC 6750), verified here: signed JWTs, possibly encrypted for us.

Rules:

- **Only over TLS**, unless a setting says otherwise: whoever reads a token can be the user until it expires. Over
  another transport a request with a token is refused, and one without is abstained from: asking for a token there would
  be asking for it in the clear.
- Without a token: a challenge that names the authorization server. With a token that proves nothing, or not enough: the
  same with an ``error`` (RFC 8898 4). With two: 400 (RFC 6750 3.1).
- The answer is there at once when the keys are. What a peer sends never raises; when keys that are needed cannot be had
  that is :class:`~sipframe.verdicts.Unavailable`.
- A token that was found good is remembered by its hash until it ends, or until the keys are others.
- No token, and no part of one, is in a verdict, a reason or a log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from zope.interface import implementer

from sipframe.auth.bearer.key_set import KeySet
from sipframe.auth.bearer.settings import BearerSettings
from sipframe.auth.bearer.tokens import (
    Decryption,
    Header,
    InvalidToken,
    check_claims,
    header_of,
    verified_claims,
)
from sipframe.auth.challenge import Outcome
from sipframe.domains import Domains
from sipframe.interfaces import IAuthenticator, ICloseable
from sipframe.message import MessageError, SipURI, parse_uri, quote
from sipframe.seams import chained
from sipframe.verdicts import Abstained, Accepted, Challenge, Identity, Rejected

if TYPE_CHECKING:
    from sipframe.auth.bearer.key_sources import KeySource
    from sipframe.interfaces import IFlow
    from sipframe.message import Credentials, Request

__all__ = ["BearerAuthenticator"]

_CLEAR: Final = Abstained("a bearer token is taken over TLS only")


class _Good(NamedTuple):
    """What is remembered of a token."""

    verdict: Accepted
    keys: KeySet
    since: float
    until: float


@implementer(IAuthenticator, ICloseable)
class BearerAuthenticator:
    """Decides by a bearer token who sent a request.

    ``keys`` is where the issuer's public keys come from; it is closed with this. ``realm`` is named in challenges.
    ``wall_clock`` gives seconds since 1970. ``decryption`` opens tokens that were encrypted for us; without it there
    are none.
    """

    def __init__(
        self,
        settings: BearerSettings,
        keys: KeySource,
        domains: Domains,
        *,
        realm: str,
        wall_clock: Callable[[], float],
        decryption: Decryption | None = None,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._domains = domains
        self._wall_clock = wall_clock
        self._decryption = decryption
        self._scope = settings.scopes
        self._algorithms = frozenset(settings.algorithms)
        self._good: dict[bytes, _Good] = {}
        scope = f", scope={quote(settings.scope)}" if settings.scope else ""
        self._challenge = f"Bearer realm={quote(realm)}{scope}, authz_server={quote(settings.authz)}"
        self._ask = Challenge((self._challenge,), Outcome.NO_CREDENTIALS)

    def authenticate(self, request: Request, flow: IFlow) -> object:
        """Accepted, Challenge, Rejected or Abstained, or a Deferred when keys have to be fetched (IAuthenticator)."""
        try:
            credentials = request.credentials
        except MessageError as error:
            return Rejected(error.status, error.reason)
        return self.decide(credentials, flow)

    def decide(self, credentials: tuple[Credentials, ...], flow: IFlow) -> object:
        """The same for credentials out of whichever field: Authorization or Proxy-Authorization (RFC 8898 2.3)."""
        tokens = [one for one in credentials if one.scheme.lower() == "bearer"]
        if not (flow.secure or self._settings.cleartext):
            return Rejected(403, "Bearer token over a transport that is not TLS") if tokens else _CLEAR
        if not tokens:
            return self._ask
        if len(tokens) > 1:
            return Rejected(400, "More than one bearer token")  # RFC 6750 3.1: more than one method
        token = tokens[0].params.get("")
        if token is None or len(tokens[0].params) != 1:
            return Rejected(400, "Malformed bearer token")
        try:
            return self._judged(token)
        except InvalidToken as error:
            return self._again(error)

    def close(self) -> None:
        """Let go of the keys (ICloseable)."""
        self._good.clear()
        self._keys.close()

    def _judged(self, token: str) -> object:
        """Raises InvalidToken and Unavailable."""
        if len(token) > self._settings.largest:
            raise InvalidToken("too long")
        keys = self._keys.held()
        digest = sha256(token.encode("utf-8", "surrogateescape")).digest()
        good = self._good.get(digest)
        if good is not None:
            if good.keys is keys and good.since <= self._wall_clock() < good.until:
                return good.verdict
            del self._good[digest]
        if token.count(".") == 4 and self._decryption is not None:
            token = self._decryption.opened(token)
        header = header_of(token, self._algorithms)
        if keys is not None and keys.candidates(*header):
            return self._verified(token, header, digest, keys)
        newer = self._keys.newer()
        if newer is None:
            raise InvalidToken("signed with a key that is not the issuer's")
        return chained(newer, partial(self._fetched, token, header, digest))

    def _fetched(self, token: str, header: Header, digest: bytes, keys: Any) -> object:
        try:
            return self._verified(token, header, digest, keys)
        except InvalidToken as error:
            return self._again(error)

    def _verified(self, token: str, header: Header, digest: bytes, keys: KeySet) -> Accepted:
        settings = self._settings
        candidates = keys.candidates(*header)
        if not candidates:
            raise InvalidToken("signed with a key that is not the issuer's")
        claims = verified_claims(token, header, candidates)
        since, until = check_claims(
            claims,
            issuer=settings.issuer,
            audience=settings.audience,
            scope=self._scope,
            now=self._wall_clock(),
            leeway=settings.leeway,
        )
        verdict = Accepted(self._identity(claims))
        if settings.most_remembered > 0:
            if len(self._good) >= settings.most_remembered:
                del self._good[next(iter(self._good))]
            self._good[digest] = _Good(verdict, keys, since, until)
        return verdict

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        value = claims.get(self._settings.claim)
        names = [
            one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str) and one
        ]
        if not names:
            raise InvalidToken("no user in it")
        aors = frozenset([aor for name in names for aor in self._aors_of(name)])
        return Identity(names[0], self._settings.issuer, aors)

    def _aors_of(self, name: str) -> list[str]:
        if name.lower().startswith(("sip:", "sips:")):
            try:
                uri = parse_uri(name)
            except MessageError:
                return []
            aor = self._domains.aor_of(uri) if isinstance(uri, SipURI) else None
            return [] if aor is None else [aor]
        user, at, host = name.rpartition("@")
        if not at:
            return [self._domains.aor_named(name, domain) for domain in self._domains.names]
        found = self._domains.domain_of(host)
        return [] if found is None or not user else [self._domains.aor_named(user, found)]

    def _again(self, error: InvalidToken) -> Challenge:
        return Challenge((f'{self._challenge}, error="{error.error}"',), f"bearer token: {error}")

    def __repr__(self) -> str:
        return f"<BearerAuthenticator of {self._settings.issuer}>"
