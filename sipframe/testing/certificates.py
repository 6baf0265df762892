"""A certificate for a server in a test: self-signed, made once for the same names.

Rules: it is as real as any other, but that nobody outside of a test should believe it: its key lies in a directory for
temporary files, and many servers share it.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from sipframe.transport import CertificateFiles, self_signed

__all__ = ["certificate_for"]


def certificate_for(names: tuple[str, ...], folder: Path) -> CertificateFiles:
    """A certificate for ``names`` (DNS names and addresses), in ``folder``. Raises ValueError for what is no name."""
    files = CertificateFiles(folder / "certificate.pem", folder / "private-key.pem")
    certificate, key = _made(names)
    files.certificate.write_bytes(certificate)
    files.private_key.touch(mode=0o600)
    files.private_key.write_bytes(key)
    return files


@lru_cache(maxsize=16)
def _made(names: tuple[str, ...]) -> tuple[bytes, bytes]:
    # A memory of what takes time to make; which of two equal ones a server has, nobody can tell.
    with tempfile.TemporaryDirectory(prefix="sipframe-test-") as folder:
        certificate, key = Path(folder) / "certificate.pem", Path(folder) / "private-key.pem"
        # Phones do not look at the dates, whatever the test's clock shows (:mod:`sipframe.testing.tls`).
        _ = self_signed(certificate, key, names, datetime.now(UTC))
        return certificate.read_bytes(), key.read_bytes()
