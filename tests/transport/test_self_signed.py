from __future__ import annotations

import hashlib
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from sipframe.transport import (
    CertificateFiles,
    TLSIdentity,
    TLSSettings,
    fingerprint_of,
    self_signed,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_what_is_made(tmp_path: Path) -> None:
    made = self_signed(
        tmp_path / "c.pem", tmp_path / "k.pem", ["localhost", "127.0.0.1", "::1"], NOW, days=30
    )
    leaf = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert leaf.not_valid_before_utc <= NOW - timedelta(days=1)
    assert leaf.not_valid_after_utc == NOW + timedelta(days=30)


def test_it_can_be_served(tmp_path: Path) -> None:
    made = self_signed(tmp_path / "c.pem", tmp_path / "k.pem", ["localhost"], NOW)
    TLSIdentity(TLSSettings(certificates=[CertificateFiles(made.certificate, made.private_key)]))


def test_the_key_is_for_nobody_else(tmp_path: Path) -> None:
    made = self_signed(tmp_path / "c.pem", tmp_path / "k.pem", ["localhost"], NOW)
    assert stat.S_IMODE(made.private_key.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.pem", "k.pem"]


def test_a_key_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    key = tmp_path / "k.pem"
    key.write_text("old")
    key.chmod(0o644)
    self_signed(tmp_path / "c.pem", key, ["localhost"], NOW)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "PRIVATE KEY" in key.read_text()


def test_the_fingerprint_is_what_openssl_prints(tmp_path: Path) -> None:
    made = self_signed(tmp_path / "c.pem", tmp_path / "k.pem", ["localhost"], NOW)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(made.certificate.read_text())).hexdigest()
    assert made.fingerprint == fingerprint_of(made.certificate)
    assert made.fingerprint.replace(":", "").lower() == digest
    assert len(made.fingerprint) == 95


def test_a_certificate_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a certificate needs a name"):
        self_signed(tmp_path / "c.pem", tmp_path / "k.pem", [], NOW)


def test_nothing_half_is_left_behind(tmp_path: Path) -> None:
    target = tmp_path / "k.pem"
    target.mkdir()
    with pytest.raises(OSError):
        self_signed(tmp_path / "c.pem", target, ["localhost"], NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["k.pem"]
