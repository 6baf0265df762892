from __future__ import annotations

import gc
import os
import ssl
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from twisted.internet.task import Clock

from sipframe.transport import (
    CertificateFiles,
    StreamFactory,
    TLSError,
    TLSIdentity,
    TLSSettings,
)
from tests.transport.recording import (
    OPTIONS,
    PEER,
    RecordingSink,
    TLSClient,
    Wire,
    certificate_files,
    client_context,
    ground_for,
    write_certificate,
)

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


class Server:
    def __init__(self, settings: TLSSettings) -> None:
        self.identity = TLSIdentity(settings)
        self.sink = RecordingSink()
        self.ground, self._clock = ground_for(self.sink)
        self._factory = StreamFactory(self.ground, self.identity)

    def connect(self, context: ssl.SSLContext, name: str | None = None) -> TLSClient:
        self._clock.advance(0)  # each in a turn of its own
        layer = self._factory.buildProtocol(PEER)
        assert layer is not None
        wire = Wire()
        layer.makeConnection(wire)
        client = TLSClient(context, layer, wire, name)
        client.handshake()
        return client

    def flow_of(self, client: TLSClient) -> object:
        client.send(OPTIONS)
        return self.sink.calls[-1][2]


def unnamed(context: ssl.SSLContext) -> ssl.SSLContext:
    """One that does not look at the certificate's names."""
    context.check_hostname = False
    return context


def shown(client: TLSClient) -> list[str]:
    """The DNS names of the certificate that the server showed."""
    certificate = client.tls.getpeercert()
    assert certificate is not None
    names: Any = certificate["subjectAltName"]
    return [value for kind, value in names if kind == "DNS"]


class TestServerNames:
    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def server(self, authority: trustme.CA, tmp_path: Path) -> Server:
        files = [
            certificate_files(authority, tmp_path, "default.example.com"),
            certificate_files(authority, tmp_path, "biloxi.example.com", "sip.biloxi.example.com"),
            certificate_files(authority, tmp_path, "*.atlanta.example.com"),
            certificate_files(authority, tmp_path, "exact.atlanta.example.com"),
        ]
        return Server(TLSSettings(certificates=files))

    @VERSIONS
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("default.example.com", "default.example.com"),
            ("biloxi.example.com", "biloxi.example.com"),
            ("sip.biloxi.example.com", "biloxi.example.com"),
            ("SIP.Biloxi.Example.COM", "biloxi.example.com"),
            ("sip.atlanta.example.com", "*.atlanta.example.com"),
            ("exact.atlanta.example.com", "exact.atlanta.example.com"),
            # A wildcard stands for one label.
            ("a.b.atlanta.example.com", "default.example.com"),
            ("atlanta.example.com", "default.example.com"),
            ("elsewhere.example.org", "default.example.com"),
            (None, "default.example.com"),
        ],
    )
    def test_choose_the_certificate(
        self,
        server: Server,
        authority: trustme.CA,
        version: ssl.TLSVersion,
        name: str | None,
        expected: str,
    ) -> None:
        context = unnamed(client_context(authority))
        context.minimum_version = context.maximum_version = version
        assert shown(server.connect(context, name))[0] == expected

    @VERSIONS
    def test_sessions_are_resumed_under_a_name(
        self, server: Server, authority: trustme.CA, version: ssl.TLSVersion
    ) -> None:
        context = client_context(authority)
        context.minimum_version = context.maximum_version = version
        assert resumed(server, context, "sip.atlanta.example.com")


def resumed(server: Server, context: ssl.SSLContext, name: str) -> bool:
    """Whether a second connection resumes the session of the first."""
    first = server.connect(context, name)
    first.send(OPTIONS)
    first.received()
    layer = server._factory.buildProtocol(PEER)
    assert layer is not None
    wire = Wire()
    layer.makeConnection(wire)
    second = TLSClient(context, layer, wire, name)
    second.tls.session = first.tls.session
    second.handshake()
    second.send(OPTIONS)
    assert server.sink.names == ["request", "request"]
    return bool(second.tls.session_reused)


@VERSIONS
def test_sessions_are_resumed(tmp_path: Path, version: ssl.TLSVersion) -> None:
    authority = trustme.CA()
    server = Server(
        TLSSettings(certificates=[certificate_files(authority, tmp_path, "registrar.example.com")])
    )
    context = client_context(authority)
    context.minimum_version = context.maximum_version = version
    assert resumed(server, context, "registrar.example.com")


class TestClientCertificates:
    NAME = "registrar.example.com"

    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def settings(self, authority: trustme.CA, tmp_path: Path) -> dict[str, object]:
        ca = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(ca))
        return {
            "certificates": [certificate_files(authority, tmp_path, self.NAME)],
            "client_ca": ca,
        }

    @VERSIONS
    def test_one_that_is_shown_is_known_to_the_flow(
        self, authority: trustme.CA, settings: dict[str, object], version: ssl.TLSVersion
    ) -> None:
        server = Server(TLSSettings(**settings))  # type: ignore[arg-type]
        bob = authority.issue_cert("bob@example.com")
        context = client_context(authority)
        context.minimum_version = context.maximum_version = version
        bob.configure_cert(context)
        flow = server.flow_of(server.connect(context, self.NAME))
        leaf = x509.load_pem_x509_certificate(bob.cert_chain_pems[0].bytes())
        assert flow.peer_certificate == leaf.public_bytes(serialization.Encoding.DER)  # type: ignore[attr-defined]

    @VERSIONS
    def test_a_resumed_session_still_knows_it(
        self, authority: trustme.CA, settings: dict[str, object], version: ssl.TLSVersion
    ) -> None:
        server = Server(TLSSettings(**settings))  # type: ignore[arg-type]
        context = client_context(authority)
        context.minimum_version = context.maximum_version = version
        authority.issue_cert("bob@example.com").configure_cert(context)
        assert resumed(server, context, self.NAME)
        first, second = [flow.peer_certificate for _, _, flow in server.sink.calls]
        assert first is not None
        assert second == first

    @VERSIONS
    def test_optional_means_optional(
        self, authority: trustme.CA, settings: dict[str, object], version: ssl.TLSVersion
    ) -> None:
        server = Server(TLSSettings(**settings))  # type: ignore[arg-type]
        context = client_context(authority)
        context.minimum_version = context.maximum_version = version
        flow = server.flow_of(server.connect(context, self.NAME))
        assert flow.peer_certificate is None  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("certificate_of", "setting"), [("another authority", "optional"), (None, "required")]
    )
    def test_a_wrong_or_missing_one_ends_the_handshake(
        self,
        authority: trustme.CA,
        settings: dict[str, object],
        certificate_of: str | None,
        setting: str,
    ) -> None:
        server = Server(TLSSettings(client_certificates=setting, **settings))  # type: ignore[arg-type]
        context = client_context(authority)
        if certificate_of is not None:
            trustme.CA().issue_cert("bob@example.com").configure_cert(context)
        # The client hears of it after its own handshake is done.
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        client = server.connect(context, self.NAME)
        with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
            client.tls.read(1)
        assert server.ground.counters.handshake_failures == 1
        assert server.sink.calls == []


class TestReload:
    NAME = "registrar.example.com"

    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def files(self, authority: trustme.CA, tmp_path: Path) -> CertificateFiles:
        return certificate_files(authority, tmp_path, self.NAME)

    @pytest.fixture
    def server(self, files: CertificateFiles) -> Server:
        return Server(TLSSettings(certificates=[files]))

    def serial(self, server: Server, authority: trustme.CA) -> object:
        certificate = server.connect(client_context(authority), self.NAME).tls.getpeercert()
        assert certificate is not None
        return certificate["serialNumber"]

    def test_new_connections_get_the_new_one_and_old_ones_go_on(
        self, server: Server, authority: trustme.CA, files: CertificateFiles
    ) -> None:
        old = server.connect(client_context(authority), self.NAME)
        before = self.serial(server, authority)
        write_certificate(authority.issue_cert(self.NAME), files)
        assert self.serial(server, authority) == before
        assert server.identity.reload() is True
        assert self.serial(server, authority) != before
        old.send(OPTIONS)
        assert server.sink.names == ["request"]

    @pytest.mark.parametrize(
        ("break_it", "named", "reason"),
        [
            (lambda files: files.certificate.write_bytes(b"garbage"), "certificate", "no"),
            (lambda files: files.private_key.write_bytes(b""), "private_key", "no"),
            (lambda files: files.private_key.unlink(), "private_key", "No such file"),
            (lambda files: files.certificate.write_bytes(b""), "certificate", "no"),
            (
                lambda files: write_certificate(
                    trustme.CA().issue_cert("x.example.com"),
                    CertificateFiles(files.certificate, os.devnull),
                ),
                "certificate",
                "the private key is not that of the certificate",
            ),
        ],
    )
    def test_broken_files_keep_the_old_ones_loudly(
        self,
        server: Server,
        authority: trustme.CA,
        files: CertificateFiles,
        capture_failures: list[str],
        break_it: Callable[[CertificateFiles], object],
        named: str,
        reason: str,
    ) -> None:
        before = self.serial(server, authority)
        break_it(files)
        assert server.identity.reload() is False
        assert self.serial(server, authority) == before
        [text] = capture_failures
        assert str(getattr(files, named)) in text
        assert reason in text
        assert "\n" not in text

    def test_the_old_one_is_not_kept_for_ever(self, server: Server) -> None:
        old = weakref.ref(server.identity._context)
        assert server.identity.reload() is True
        gc.collect()
        assert old() is None

    def test_a_change_of_files_is_seen(
        self, server: Server, authority: trustme.CA, files: CertificateFiles
    ) -> None:
        clock = Clock()
        server.identity.watch(clock, 10)
        before = self.serial(server, authority)
        clock.pump([10, 10])
        assert self.serial(server, authority) == before
        write_certificate(authority.issue_cert(self.NAME), files)
        touch(files)
        clock.pump([10, 10])
        assert self.serial(server, authority) != before
        server.identity.stop_watching()
        assert clock.getDelayedCalls() == []

    def test_a_change_that_is_not_over_is_waited_for(
        self,
        server: Server,
        authority: trustme.CA,
        files: CertificateFiles,
        capture_failures: list[str],
    ) -> None:
        clock = Clock()
        server.identity.watch(clock, 10)
        before = self.serial(server, authority)
        old_key = files.private_key.read_bytes()
        write_certificate(authority.issue_cert(self.NAME), files)
        new_key = files.private_key.read_bytes()
        files.private_key.write_bytes(old_key)
        touch(files, 1)
        clock.advance(10)
        files.private_key.write_bytes(new_key)
        touch(files, 2)
        clock.pump([10, 10])
        assert capture_failures == []
        assert self.serial(server, authority) != before
        server.identity.stop_watching()

    def test_broken_files_are_complained_of_once(
        self, server: Server, files: CertificateFiles, capture_failures: list[str]
    ) -> None:
        clock = Clock()
        server.identity.watch(clock, 10)
        files.certificate.write_bytes(b"garbage")
        touch(files)
        clock.pump([10] * 10)
        assert len(capture_failures) == 1
        server.identity.stop_watching()


def touch(files: CertificateFiles, number: int = 1) -> None:
    """Give the files another time, whatever the resolution of the file system's clock."""
    for path in (files.certificate, files.private_key):
        os.utime(path, ns=(number, number))


class TestWrongSettings:
    def test_no_certificate(self) -> None:
        with pytest.raises(ValueError, match="certificates: one at least"):
            TLSSettings(certificates=())

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        missing = tmp_path / "missing.pem"
        with pytest.raises(TLSError, match=f"^{missing}: No such file or directory$"):
            TLSIdentity(TLSSettings(certificates=[CertificateFiles(missing, missing)]))

    def test_a_key_with_a_passphrase_is_not_asked_for(self, tmp_path: Path) -> None:
        files = certificate_files(trustme.CA(), tmp_path, "registrar.example.com")
        key = serialization.load_pem_private_key(files.private_key.read_bytes(), None)
        files.private_key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )
        with pytest.raises(TLSError, match=str(files.private_key)):
            TLSIdentity(TLSSettings(certificates=[files]))

    def test_ciphers(self, tmp_path: Path) -> None:
        files = certificate_files(trustme.CA(), tmp_path, "registrar.example.com")
        with pytest.raises(TLSError, match="ciphers: OpenSSL knows none of 'NONSENSE'"):
            TLSIdentity(TLSSettings(certificates=[files], ciphers="NONSENSE"))

    def test_authorities(self, tmp_path: Path) -> None:
        files = certificate_files(trustme.CA(), tmp_path, "registrar.example.com")
        garbage = tmp_path / "ca.pem"
        garbage.write_text("garbage")
        with pytest.raises(TLSError, match=str(garbage)):
            TLSIdentity(TLSSettings(certificates=[files], client_ca=garbage))


def test_a_chain_and_its_key_may_be_in_one_file(tmp_path: Path) -> None:
    authority = trustme.CA()
    path = tmp_path / "both.pem"
    path.write_bytes(authority.issue_cert("registrar.example.com").private_key_and_cert_chain_pem.bytes())
    server = Server(TLSSettings(certificates=[CertificateFiles(path, path)]))
    server.connect(client_context(authority), "registrar.example.com")
