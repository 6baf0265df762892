"""TLS client certificates: who sends over a connection is who its certificate names (RFC 5922 7.1, 7.4, 7.6).

Rules:

- TLS has verified the certificate when the connection began (``--client-ca``); here it only must still be valid, since
  a connection, or the session it resumed, may be older than that. Nobody asks for revocations.
- A ``sip`` URI with a user part in subjectAltName names that user, whose AOR the holder owns. A mailbox does so only
  where that is asked for.
- A domain (RFC 5922 7.1) names the server of that domain, **not its users**: "a value with a userpart identifies an
  individual user, not a domain". By default it owns no AOR. A peer that speaks for all its users, such as a proxy, may
  be given every AOR of its domains (``whole-domains``); any certificate with the DNS name ``example.com`` then is
  every user of ``example.com``, so the client authority must be one that signs for nobody else.
- No certificate, or one that names no user of ours: abstained from. A certificate of bob does not make a REGISTER of
  alice anything but bob's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from zope.interface import implementer

from sipframe.auth.claimed import claim_of
from sipframe.domains import Domains
from sipframe.interfaces import IAuthenticator
from sipframe.message import MessageError, SipURI, parse_uri
from sipframe.peer_identity import peer_identity
from sipframe.surroundings import Surroundings
from sipframe.verdicts import Abstained, Accepted, Identity, Rejected

if TYPE_CHECKING:
    from sipframe.interfaces import IFlow
    from sipframe.message import Request

__all__ = ["CertificateAuthenticator", "certificate"]

_NONE: Final = Abstained("no client certificate")
_EXPIRED: Final = Abstained("the client certificate is not valid now")
_NOBODY: Final = Abstained("the client certificate names no user of ours")


class _Holder(NamedTuple):
    verdict: Accepted | Abstained
    """For what the certificate names by itself."""
    domains: frozenset[str]
    """Ours that it may speak for, with all their users."""
    valid_from: float
    valid_until: float


@implementer(IAuthenticator)
class CertificateAuthenticator:
    """Decides by the client certificate of the flow who sent a request.

    ``wall_clock`` gives seconds since 1970. ``whole_domains`` lets a certificate that names a domain of ours act for
    each of its users, ``email`` lets a mailbox stand for the AOR of the same spelling. What certificates say is
    remembered for ``most_remembered`` of them, a few kilobytes each.
    """

    def __init__(
        self,
        domains: Domains,
        wall_clock: Callable[[], float],
        *,
        whole_domains: bool = False,
        email: bool = False,
        most_remembered: int = 1000,
    ) -> None:
        self._domains = domains
        self._wall_clock = wall_clock
        self._whole_domains = whole_domains
        self._email = email
        self._holder = lru_cache(most_remembered)(self._read)

    def authenticate(self, request: Request, flow: IFlow) -> Accepted | Abstained | Rejected:
        """Accepted, or Abstained (IAuthenticator)."""
        octets = flow.peer_certificate
        if octets is None:
            return _NONE
        holder = self._holder(octets)
        if not holder.valid_from <= self._wall_clock() <= holder.valid_until:
            return _EXPIRED
        if not holder.domains:
            return holder.verdict
        try:
            claim = claim_of(request, self._domains)
        except MessageError as error:
            return Rejected(error.status, error.reason)
        if claim is None or claim.domain not in holder.domains:
            return holder.verdict
        if isinstance(holder.verdict, Accepted):
            identity = holder.verdict.identity
            return Accepted(identity._replace(aors=identity.aors | {claim.aor}))
        return Accepted(Identity(f"sip:{claim.domain}", claim.domain, frozenset((claim.aor,))))

    def _read(self, octets: bytes) -> _Holder:
        try:
            found = peer_identity(octets)
        except ValueError:
            return _Holder(Abstained("the client certificate cannot be read"), frozenset(), 0.0, float("inf"))
        aors = {aor for aor in map(self._aor_of, found.users) if aor is not None}
        if self._email:
            aors.update(aor for aor in map(self._aor_of_mailbox, found.emails) if aor is not None)
        # RFC 5922 7.2: names match in their entirety, so an alias does not stand for its domain.
        domains = found.domains.intersection(self._domains.names if self._whole_domains else ())
        verdict: Accepted | Abstained = _NOBODY
        if aors:
            name = min(aors)
            verdict = Accepted(Identity(name, name.rpartition("@")[2], frozenset(aors)))
        return _Holder(verdict, domains, found.valid_from, found.valid_until)

    def _aor_of(self, text: str) -> str | None:
        try:
            uri = parse_uri(text)
        except MessageError:
            return None
        return self._domains.aor_of(uri) if isinstance(uri, SipURI) else None

    def _aor_of_mailbox(self, mailbox: str) -> str | None:
        local, _, host = mailbox.rpartition("@")
        domain = self._domains.domain_of(host)
        return None if not local or domain is None else self._domains.aor_named(local, domain)


def certificate(
    *,
    whole_domains: Annotated[
        bool, "a certificate of a domain of ours acts for each of its users; for proxies that speak for them"
    ] = False,
    email: Annotated[bool, "a mailbox in a certificate stands for the AOR of the same spelling"] = False,
    surroundings: Surroundings,
) -> CertificateAuthenticator:
    """The user whom the client certificate of a TLS connection names (RFC 5922); needs ``--client-ca``."""
    return CertificateAuthenticator(
        Domains(surroundings.domains, surroundings.aliases),
        surroundings.wall_clock,
        whole_domains=whole_domains,
        email=email,
    )
