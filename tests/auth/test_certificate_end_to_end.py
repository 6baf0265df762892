"""A phone with a certificate: a real server over real TLS lets it in without a password."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.client import Client, Gone, contacts
from tests.process import ServerProcess, add_user, run, twistd

TLS = ("tls:0:interface=127.0.0.1",)
CONTACT = "Contact: <sip:bob@192.0.2.7;transport=tls>"


def write_identity(authority: trustme.CA, path: Path, uri: str) -> Path:
    """A PEM file with a private key and a certificate that names ``uri``; trustme itself makes none with a URI."""
    signing = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    own = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2000, 1, 1))
        .not_valid_after(datetime.datetime(2099, 1, 1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
        .sign(signing, hashes.SHA256())
    )
    key = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(key + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


def test_register_without_a_password(authority: trustme.CA, tmp_path: Path) -> None:
    bob = write_identity(authority, tmp_path / "bob.pem", "sip:bob@localhost")
    options = ("--client-ca", tmp_path / "ca.pem", "--auth", "certificate")
    with ServerProcess(tmp_path / "state", *options, listen=TLS) as server:
        with Client.of(server, "tls", identity=bob) as phone:
            response = phone.ask(phone.request("REGISTER", CONTACT))
            assert response.status == 200
            assert contacts(response) == ["sip:bob@192.0.2.7;transport=tls"]
            # It is bob's, and nobody else's.
            assert phone.ask(phone.request("REGISTER", CONTACT, user="alice", call_id="call-2")).status == 403
        with Client.of(server, "tls") as stranger:
            assert stranger.ask(stranger.request("REGISTER", CONTACT, call_id="call-3")).status == 403
        with Client.of(server, "tls", identity=bob) as phone:
            assert len(phone.ask(phone.request("REGISTER", call_id="call-4")).contacts) == 1


def test_beside_passwords(authority: trustme.CA, tmp_path: Path) -> None:
    bob = write_identity(authority, tmp_path / "bob.pem", "sip:bob@localhost")
    other = write_identity(trustme.CA(), tmp_path / "other.pem", "sip:alice@localhost")
    state = tmp_path / "state"
    add_user(state, "alice@localhost", "zanzibar")
    options = ("--client-ca", tmp_path / "ca.pem", "--auth", "certificate", "--auth", "digest")
    with ServerProcess(state, *options, listen=(*TLS, "udp:0:interface=127.0.0.1")) as server:
        with Client.of(server, "tls", identity=bob) as phone:
            assert phone.ask(phone.request("REGISTER", CONTACT)).status == 200
        for transport in ("tls", "udp"):
            with Client.of(server, transport) as phone:
                asked = phone.ask(phone.request("REGISTER", CONTACT, user="alice", call_id=transport))
                assert asked.status == 401
                found = phone.register("zanzibar", CONTACT, user="alice", call_id=transport, cseq=2)
                assert found.status == 200
                assert phone.register("wrong", CONTACT, user="alice", call_id=transport, cseq=4).status == 401
        # Signed by somebody else: TLS itself ends there.
        with pytest.raises((OSError, Gone)), Client.of(server, "tls", identity=other) as phone:
            phone.ask(phone.request("REGISTER", CONTACT, user="alice", call_id="call-5"))


def test_the_options_are_told(tmp_path: Path) -> None:
    listed = run(twistd("--help-auth")).stdout
    for name in ("certificate", "bearer", "trusted", "digest"):
        assert name in listed
