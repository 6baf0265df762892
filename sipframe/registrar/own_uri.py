"""Contacts that lead back to their own AOR, which would be a loop (RFC 5627 5.1).

Rules: only a contact that names its instance is looked at, and only one that is not removed. It must be a SIP URI, and
neither the AOR itself nor a GRUU of it.
"""

from __future__ import annotations

from typing import Final

from sipframe.domains import Domains
from sipframe.gruu import Gruus
from sipframe.message import SipURI
from sipframe.registrar.plan import Refusal, Registration
from sipframe.verdicts import Rejected

__all__ = ["against_own_uri"]

_RULE: Final = "RFC 5627 5.1"
_TELL_APART: Final = ("user", "ttl", "method", "maddr", "transport")


def against_own_uri(asked: Registration, aor: str, domains: Domains, gruus: Gruus) -> Refusal | None:
    """Why the contacts of ``asked`` cannot stand under ``aor``, if they cannot."""
    for contact in asked.contacts:
        expires = asked.expires if contact.expires is None else contact.expires
        if expires == 0 or not contact.param("+sip.instance"):
            continue
        uri = contact.uri
        if not isinstance(uri, SipURI):
            verdict = Rejected(403, "No SIP URI for an Instance")
            return Refusal(verdict, _RULE, f"a contact of the scheme {uri.scheme} with +sip.instance")
        if uri.param("gr") is not None:
            found = gruus.resolve(uri)
            if found is not None and found.aor == aor:
                why = "the contact is a GRUU of the address of record that it is registered for"
                return Refusal(Rejected(403, "Contact Is Your Own GRUU"), _RULE, why)
        elif _plain(uri) and domains.aor_of(uri) == aor:
            why = "the contact is the address of record that it is registered for"
            return Refusal(Rejected(403, "Contact Is Your Own Address"), _RULE, why)
    return None


def _plain(uri: SipURI) -> bool:
    """Whether nothing makes another URI of it than an AOR (RFC 3261 19.1.4)."""
    if uri.port is not None or uri.password is not None or uri.headers:
        return False
    return all(uri.param(name) is None for name in _TELL_APART)
