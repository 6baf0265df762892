"""A certificate for a first run: self-signed, EC P-256, for names and addresses (RFC 5280).

Rules: the private key is never readable by others, not for a moment. A file is there whole or not at all. Whoever uses
this says so loudly: a client that accepts such a certificate without comparing its fingerprint is open to anyone.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cryptography.x509 import GeneralName

__all__ = ["SelfSigned", "end_of", "fingerprint_of", "self_signed"]


class SelfSigned(NamedTuple):
    """What was made."""

    certificate: Path
    private_key: Path
    fingerprint: str
    """SHA-256 of the certificate (DER), as pairs of hexadecimal digits with colons between."""


def self_signed(
    certificate: Path,
    private_key: Path,
    names: Iterable[str],
    now: datetime,
    days: int = 3650,
) -> SelfSigned:
    """Make a key and a certificate for ``names`` (DNS names and numeric addresses; the first is the subject).

    Both files are replaced, the key first. ``now`` is timezone-aware. Raises ValueError for a name that is none,
    OSError when a file cannot be written.
    """
    # cryptography takes a tenth of a second to import, and only a first run needs it.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    names = tuple(names)
    if not names:
        raise ValueError("a certificate needs a name")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(private_key, key_pem, 0o600)
    _write(certificate, made.public_bytes(serialization.Encoding.PEM), 0o644)
    return SelfSigned(certificate, private_key, _colons(made.fingerprint(hashes.SHA256())))


def fingerprint_of(certificate: Path) -> str:
    """The SHA-256 fingerprint of the first certificate in a PEM file. Raises ValueError, OSError."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
    return _colons(leaf.fingerprint(hashes.SHA256()))


def end_of(certificate: Path) -> datetime:
    """Until when the first certificate in a PEM file is good. Raises ValueError, OSError."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def _colons(digest: bytes) -> str:
    return digest.hex(":").upper()


def _general_name(name: str) -> GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name.strip("[]")))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
