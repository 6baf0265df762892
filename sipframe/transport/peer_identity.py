"""What a certificate says its holder is authoritative for (RFC 5922 7.1, 7.2).

Rules: a pure function of a certificate that TLS has verified. SIP domains come from ``sip`` URIs in subjectAltName
first, from DNS names only when there is no such URI, from the common name only when there is no subjectAltName.
Wildcards are compared as they stand, which means that they match nothing.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PeerIdentity", "peer_identity"]


class PeerIdentity(NamedTuple):
    """``domains`` are SIP domain identities in lower case, ``users`` whole ``sip`` URIs that have a user part."""

    domains: frozenset[str]
    users: frozenset[str]


def peer_identity(certificate: bytes) -> PeerIdentity:
    """Who the holder of ``certificate`` (DER) is. Raises ValueError when it is no certificate."""
    from cryptography import x509  # only peers with certificates need it
    from cryptography.x509.oid import NameOID

    leaf = x509.load_der_x509_certificate(certificate)
    domains: set[str] = set()
    users: set[str] = set()
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
            domains.add(str(attribute.value).lower())
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
            domains.update(name.lower() for name in names.get_values_for_type(x509.DNSName))
    return PeerIdentity(frozenset(domains), frozenset(users))


def _host(rest: str) -> str:
    hostport = rest.partition(";")[0].partition("?")[0].lower()
    if hostport.startswith("["):
        return hostport.partition("]")[0][1:]
    return hostport.partition(":")[0]
