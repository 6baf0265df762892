from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from zope.interface.verify import verifyObject

from sipframe.auth.certificate import CertificateAuthenticator
from sipframe.domains import Domains
from sipframe.interfaces import IAuthenticator
from sipframe.verdicts import Abstained, Accepted, Identity, Rejected
from tests.fakes import FakeFlow, Parts, request

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = 86_400.0
DOMAINS = Domains(["example.com", "example.org"], {"sip.example.com": "example.com"})
KEY = ec.generate_private_key(ec.SECP256R1())


def made(*names: x509.GeneralName) -> bytes:
    """A certificate for a day from NOW on, DER, as TLS would have verified it."""
    subject = x509.Name([])
    builder = x509.CertificateBuilder(subject, subject, KEY.public_key(), 1, NOW, NOW + timedelta(days=1))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def uri(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


def dns(text: str) -> x509.GeneralName:
    return x509.DNSName(text)


def email(text: str) -> x509.GeneralName:
    return x509.RFC822Name(text)


def ask(
    certificate: bytes | None,
    method: str = "REGISTER",
    *,
    at: float = 60.0,
    whole_domains: bool = False,
    mailboxes: bool = False,
    **parts: str,
) -> object:
    authenticator = CertificateAuthenticator(
        DOMAINS, lambda: NOW.timestamp() + at, whole_domains=whole_domains, email=mailboxes
    )
    flow = FakeFlow("TLS")
    flow.peer_certificate = certificate
    named: Parts = parts  # type: ignore[assignment]
    return authenticator.authenticate(request(method, **named), flow)


def owner(*aors: str, name: str | None = None) -> Accepted:
    name = min(aors) if name is None else name
    return Accepted(Identity(name, "example.com", frozenset(aors)))


def test_it_is_an_authenticator() -> None:
    assert verifyObject(IAuthenticator, CertificateAuthenticator(DOMAINS, lambda: 0.0))


@pytest.mark.parametrize(
    ("names", "aors"),
    [
        ((uri("sip:bob@example.com"),), ("sip:bob@example.com",)),
        ((uri("SIP:bob@SIP.Example.com:5061;transport=tls"),), ("sip:bob@example.com",)),
        ((uri("sip:b%6fb@example.com"),), ("sip:bob@example.com",)),
        (
            (uri("sip:bob@example.com"), uri("sip:100@example.com"), uri("sip:bob@example.net")),
            ("sip:100@example.com", "sip:bob@example.com"),
        ),
        (
            (uri("sip:bob@example.com"), dns("phone-7.example.com"), email("alice@example.com")),
            ("sip:bob@example.com",),
        ),
    ],
)
def test_a_uri_with_a_user_names_who_owns_that_aor(
    names: tuple[x509.GeneralName, ...], aors: tuple[str, ...]
) -> None:
    assert ask(made(*names)) == owner(*aors)


@pytest.mark.parametrize(
    "names",
    [
        (),
        (uri("sip:bob@example.net"),),
        (uri("sips:bob@example.com"),),  # RFC 5922 7.1 knows sip only
        (uri("https://example.com/bob@example.com"),),
        (uri("sip:example.com"),),  # a domain is none of its users
        (dns("example.com"),),
        (email("bob@example.com"),),
        (uri("sip:bob@example.com@example.net"),),
        (uri("sip:bob@*.example.com"),),
        (uri("sip:bob@notexample.com"),),
        (uri("sip:bob@sub.example.com"),),
    ],
)
def test_others_name_nobody_of_ours(names: tuple[x509.GeneralName, ...]) -> None:
    assert ask(made(*names)) == Abstained("the client certificate names no user of ours")


def test_no_certificate_and_no_readable_one_are_abstained_from() -> None:
    assert ask(None) == Abstained("no client certificate")
    assert ask(b"garbage") == Abstained("the client certificate cannot be read")
    assert ask(made(uri("sip:bob@example.com"))[:-9]) == Abstained("the client certificate cannot be read")


@pytest.mark.parametrize(("at", "valid"), [(-1.0, False), (0.0, True), (DAY, True), (DAY + 1, False)])
def test_a_connection_may_live_longer_than_its_certificate(at: float, valid: bool) -> None:
    found = ask(made(uri("sip:bob@example.com")), at=at)
    assert found == (
        owner("sip:bob@example.com") if valid else Abstained("the client certificate is not valid now")
    )


def test_the_certificate_of_bob_says_bob_whoever_is_asked_for() -> None:
    found = ask(
        made(uri("sip:bob@example.com")), to="<sip:alice@example.com>", from_="<sip:alice@example.com>;tag=1"
    )
    assert found == owner("sip:bob@example.com")


class TestMailboxes:
    def test_they_stand_for_an_aor_where_that_is_asked_for(self) -> None:
        found = ask(made(email("bob@Example.com"), email("bob@example.net")), mailboxes=True)
        assert found == owner("sip:bob@example.com")

    def test_the_user_has_case(self) -> None:
        assert ask(made(email("Bob@example.com")), mailboxes=True) == owner("sip:Bob@example.com")


class TestWholeDomains:
    @pytest.mark.parametrize(
        "name", [uri("sip:example.com"), uri("sip:Example.COM:5061"), dns("example.com")]
    )
    def test_a_domain_speaks_for_each_of_its_users(self, name: x509.GeneralName) -> None:
        found = ask(made(name), whole_domains=True, to="<sip:alice@sip.example.com>")
        assert found == owner("sip:alice@example.com", name="sip:example.com")
        found = ask(made(name), "MESSAGE", whole_domains=True, from_="<sip:carol@example.com>;tag=1")
        assert found == owner("sip:carol@example.com", name="sip:example.com")

    @pytest.mark.parametrize(
        "names",
        [
            (dns("*.example.com"), dns("*")),  # RFC 5922 7.2: no wildcards
            (dns("com"), dns("sub.example.com"), dns("notexample.com")),  # nor suffixes
            (dns("sip.example.com"),),  # an alias is not the domain
            (uri("sip:example.net"), dns("example.com")),  # DNS names only where no URI is
            (uri("sip:example.org"),),
        ],
    )
    def test_no_other_name_does(self, names: tuple[x509.GeneralName, ...]) -> None:
        found = ask(made(*names), whole_domains=True)
        assert found == Abstained("the client certificate names no user of ours")

    def test_a_user_keeps_what_is_its_own(self) -> None:
        certificate = made(uri("sip:bob@example.com"), uri("sip:example.org"))
        found = ask(certificate, whole_domains=True, to="<sip:alice@example.org>")
        assert found == owner("sip:bob@example.com", "sip:alice@example.org", name="sip:bob@example.com")
        assert ask(certificate, whole_domains=True) == owner("sip:bob@example.com")

    @pytest.mark.parametrize("to", ["<sip:example.com>", "<tel:+1234>", "<sip:bob@example.net>"])
    def test_what_is_no_user_of_it_is_not_spoken_for(self, to: str) -> None:
        assert isinstance(ask(made(dns("example.com")), whole_domains=True, to=to), Abstained)

    def test_a_malformed_name_is_refused(self) -> None:
        assert isinstance(ask(made(dns("example.com")), whole_domains=True, to="<sip:bob@>"), Rejected)


def test_a_certificate_is_read_once() -> None:
    authenticator = CertificateAuthenticator(DOMAINS, NOW.timestamp, most_remembered=2)
    flows = []
    for name in ("sip:a@example.com", "sip:b@example.com", "sip:c@example.com"):
        flow = FakeFlow("TLS")
        flow.peer_certificate = made(uri(name))
        flows.append(flow)
    for flow in (flows[0], flows[0], flows[1], flows[2], flows[2]):
        authenticator.authenticate(request(), flow)
    kept = authenticator._holder.cache_info()
    assert (kept.hits, kept.misses, kept.currsize) == (2, 3, 2)


def test_a_tls_flow_without_a_certificate_says_nothing_of_others() -> None:
    authenticator = CertificateAuthenticator(DOMAINS, NOW.timestamp)
    bob, nobody = FakeFlow("TLS", serial=1), FakeFlow("TLS", serial=2)
    bob.peer_certificate = made(uri("sip:bob@example.com"))
    assert isinstance(authenticator.authenticate(request(), bob), Accepted)
    assert isinstance(authenticator.authenticate(request(), nobody), Abstained)
