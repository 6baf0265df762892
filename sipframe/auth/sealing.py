"""Passwords kept sealed until the realm they are for is known.

Rules: a sealed password is AES-256-GCM under a key in a file of its own, mode 0600, beside the accounts. It is bound
to its account's name, so that it opens for no other. When the last one has been opened the key file goes, and
with it every copy that a disk may still hold.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Seal"]

_KEY_OCTETS: Final = 32
_NONCE_OCTETS: Final = 12


class Seal:
    """Seals and opens passwords. ``entropy`` gives so many random octets, as ``os.urandom`` does."""

    def __init__(self, path: Path, entropy: Callable[[int], bytes]) -> None:
        self._path = path
        self._entropy = entropy
        self._cipher: AESGCM | None = None

    def seal(self, password: bytes, account: bytes) -> bytes:
        """Seal a password for ``account``. Makes the key file when there is none; OSError when it cannot."""
        if self._cipher is None:
            self._cipher = self._load() or self._create()
        nonce = self._entropy(_NONCE_OCTETS)
        return nonce + self._cipher.encrypt(nonce, password, account)

    def open(self, sealed: bytes, account: bytes) -> bytes | None:
        """The password sealed for ``account``, or None when the key is gone or does not fit."""
        from cryptography.exceptions import InvalidTag

        if self._cipher is None:
            self._cipher = self._load()
        if self._cipher is None:
            return None
        try:
            return self._cipher.decrypt(sealed[:_NONCE_OCTETS], sealed[_NONCE_OCTETS:], account)
        except (InvalidTag, ValueError):
            return None

    def forget(self) -> None:
        """Remove the key: nothing that it sealed can be opened again."""
        self._cipher = None
        self._path.unlink(missing_ok=True)

    def _load(self) -> AESGCM | None:
        # Imported here, so that a server whose realm is known never loads it.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            key = self._path.read_bytes()
        except FileNotFoundError:
            return None
        return AESGCM(key) if len(key) == _KEY_OCTETS else None

    def _create(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key = self._entropy(_KEY_OCTETS)
        # A key file of the wrong length opens nothing, so nothing is lost with it.
        self._path.unlink(missing_ok=True)
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, key)
            os.fsync(handle)
        finally:
            os.close(handle)
        return AESGCM(key)
