"""What a certificate says its holder is authoritative for (RFC 5922 7.1, 7.2).

Rules: a pure function of a certificate that TLS has verified. SIP domains come from ``sip`` URIs in subjectAltName
first, from DNS names only when there is no such URI, from the common name only when there is no subjectAltName and it
is a DNS name. Wildcards are compared as they stand, which means that they match nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["PeerIdentity", "peer_identity"]


class PeerIdentity(NamedTuple):
    """What one certificate names."""

    domains: frozenset[str]
    """SIP domain identities, in lower case."""
    users: frozenset[str]
    """Whole ``sip`` URIs that have a user part."""
    emails: frozenset[str] = frozenset()
    """Addresses of mailboxes; RFC 5922 gives them no meaning."""
    valid_from: float = 0.0
    """Wall-clock seconds since 1970."""
    valid_until: float = 0.0
    """Wall-clock seconds since 1970."""


def peer_identity(certificate: bytes) -> PeerIdentity:
    """Who the holder of ``certificate`` (DER) is. Raises ValueError when it is none, or none that can be read."""
    from cryptography import x509  # only peers with certificates need it

    try:
        return _read(x509.load_der_x509_certificate(certificate))
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion) as error:
        raise ValueError(str(error)) from None


def _read(leaf: x509.Certificate) -> PeerIdentity:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    domains: set[str] = set()
    users: set[str] = set()
    emails: list[str] = []
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
            name = _dns_name(str(attribute.value))
            if "." in name and not name.strip("abcdefghijklmnopqrstuvwxyz0123456789-."):
                domains.add(name)
    else:
        for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
            scheme, _, rest = uri.partition(":")
            if scheme.lower() != "sip":
                continue
            if "@" in rest:
                users.add(uri)  # an individual, not a domain
            else:
                domains.add(_host(rest))
        if not domains:
            domains.update(_dns_name(name) for name in names.get_values_for_type(x509.DNSName))
        emails = names.get_values_for_type(x509.RFC822Name)
    return PeerIdentity(
        frozenset(domains - {""}),
        frozenset(users),
        frozenset(emails),
        leaf.not_valid_before_utc.timestamp(),
        leaf.not_valid_after_utc.timestamp(),
    )


def _host(rest: str) -> str:
    hostport = rest.partition(";")[0].partition("?")[0]
    if hostport.startswith("["):
        return hostport.partition("]")[0][1:].lower()
    return _dns_name(hostport.partition(":")[0])


def _dns_name(text: str) -> str:
    return text.lower().rstrip(".")
