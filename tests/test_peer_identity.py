from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sipframe.peer_identity import peer_identity

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def certificate(
    common_name: str, uris: tuple[str, ...] = (), names: tuple[str, ...] = (), emails: tuple[str, ...] = ()
) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    general: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    general += [x509.DNSName(name) for name in names]
    general += [x509.RFC822Name(email) for email in emails]
    if general:
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("uris", "names", "domains", "users"),
    [
        # RFC 5922 7.1: a sip URI without a user is a domain, and then DNS names are none.
        (("sip:example.com",), ("sip.example.com",), {"example.com"}, set()),
        (("SIP:Example.COM:5061;transport=tls",), (), {"example.com"}, set()),
        (("sip:example.com", "sip:example.org"), (), {"example.com", "example.org"}, set()),
        (("sip:[2001:db8::1]:5061",), (), {"2001:db8::1"}, set()),
        # Other schemes, and users, are no domains.
        (("https://example.com/",), ("sip.example.com",), {"sip.example.com"}, set()),
        (("sips:example.com",), ("sip.example.com",), {"sip.example.com"}, set()),
        (("sip:bob@example.com",), (), set(), {"sip:bob@example.com"}),
        (("sip:bob@example.com",), ("example.com",), {"example.com"}, {"sip:bob@example.com"}),
        # DNS names, wildcards as they stand.
        ((), ("Example.com", "*.example.com"), {"example.com", "*.example.com"}, set()),
        # The common name only where there is no subjectAltName.
        ((), (), {"cn.example.com"}, set()),
    ],
)
def test_what_a_certificate_says(
    uris: tuple[str, ...], names: tuple[str, ...], domains: set[str], users: set[str]
) -> None:
    found = peer_identity(certificate("CN.example.com", uris, names))
    assert found.domains == domains
    assert found.users == users


@pytest.mark.parametrize("common_name", ["Bob Smith", "bob@example.com", "localhost", "*.example.com"])
def test_a_common_name_that_is_no_dns_name_is_no_domain(common_name: str) -> None:
    assert peer_identity(certificate(common_name)).domains == frozenset()


def test_mailboxes_and_validity_are_told() -> None:
    found = peer_identity(certificate("Bob", (), (), ("bob@example.com",)))
    assert found.emails == {"bob@example.com"}
    assert (found.domains, found.users) == (frozenset(), frozenset())
    assert (found.valid_from, found.valid_until) == (NOW.timestamp(), NOW.timestamp() + 86_400)


def test_names_of_nothing_are_no_domains() -> None:
    assert peer_identity(certificate("CN", ("sip:", "sip:;transport=tls"))).domains == frozenset()


def test_what_is_no_certificate() -> None:
    with pytest.raises(ValueError):
        peer_identity(b"garbage")
