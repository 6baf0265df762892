"""Who we are over TLS: certificates by server name, client certificates, resumption, and their renewal in place.

Rules: TLS 1.2 and 1.3, nothing older. New files are read aside and taken into use as a whole, or not at all: when they
are broken the old ones go on and the log says which file and why. A connection keeps what it began with. Sessions can
be resumed as long as the certificates stay.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

__all__ = [
    "CIPHERS",
    "CertificateFiles",
    "TLSError",
    "TLSIdentity",
    "TLSSettings",
    "load_authorities",
    "load_chain",
    "stamp_of",
]

_log = Logger()

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secret and authenticated (RFC 9325 4.2). The suite that RFC 3261 26.2.1 names is neither."""

_TICKETS: Final = 1
"""Sent after a full TLS 1.3 handshake; a phone has one connection."""


class TLSError(ValueError):
    """The certificates cannot be used; the message is one line that names the file and the reason."""


@attrs.frozen
class CertificateFiles:
    """A PEM file with a certificate and its chain, and one with its private key (it may be the same)."""

    certificate: Path = attrs.field(converter=Path)
    private_key: Path = attrs.field(converter=Path)


def _tuple(files: Iterable[CertificateFiles]) -> tuple[CertificateFiles, ...]:
    return tuple(files)


@attrs.frozen(kw_only=True)
class TLSSettings:
    """Which certificates to show and to ask for."""

    certificates: tuple[CertificateFiles, ...] = attrs.field(converter=_tuple)
    """The first is for clients that name no server, or one that no certificate has."""
    client_ca: Path | None = None
    """The authorities (PEM) whose client certificates are accepted; None asks for none."""
    client_certificates: Literal["optional", "required"] = "optional"
    """With ``optional`` a client may have none; one that it shows is verified either way."""
    ciphers: str = CIPHERS
    """For TLS 1.2, in OpenSSL's notation."""

    @certificates.validator
    def _some(self, _: object, value: Sequence[CertificateFiles]) -> None:
        if not value:
            raise ValueError("certificates: one at least")


class TLSIdentity:
    """The server's side of every TLS connection. Raises TLSError when the files are no good."""

    def __init__(self, settings: TLSSettings) -> None:
        self._settings = settings
        self._seen = self._stamp()
        self._context = _build(settings)
        self._polling: LoopingCall | None = None
        self._changed: object = None

    def begin(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """The server's side of a new connection, with the certificates of now."""
        return self._context.wrap_bio(incoming, outgoing, server_side=True)

    def reload(self) -> bool:
        """Read all files again; True when they are in use now, False when the old ones stay."""
        stamp = self._stamp()
        try:
            context = _build(self._settings)
        except TLSError as error:
            _log.error("TLS files not taken into use, the old ones stay: {reason}", reason=str(error))
            self._seen = stamp
            return False
        self._context = context
        self._seen = stamp
        _log.info("TLS files taken into use: {files}", files=", ".join(str(path) for path in self._paths()))
        return True

    def use(self, settings: TLSSettings) -> None:
        """Take other files into use. Raises TLSError, and then the old ones stay."""
        context = _build(settings)
        self._settings = settings
        self._context = context
        self._seen = self._stamp()

    def watch(self, clock: IReactorTime, every: float = 10.0) -> None:
        """Look at the files ``every`` so many seconds, and reload them once they have changed and are still."""
        if self._polling is None:
            self._polling = LoopingCall(self._poll)
            self._polling.clock = clock
            _ = self._polling.start(every, now=False).addErrback(
                lambda failure: _log.failure("looking at the TLS files has ended", failure)
            )

    def stop_watching(self) -> None:
        """Look no longer."""
        if self._polling is not None:
            self._polling.stop()
            self._polling = None

    def _poll(self) -> None:
        stamp = self._stamp()
        if stamp != self._seen and stamp == self._changed:
            self.reload()
        # A certificate and its key are two files: wait until neither has changed between two looks.
        self._changed = stamp

    def _paths(self) -> list[Path]:
        settings = self._settings
        paths = [path for files in settings.certificates for path in (files.certificate, files.private_key)]
        if settings.client_ca is not None:
            paths.append(settings.client_ca)
        return paths

    def _stamp(self) -> tuple[object, ...]:
        return tuple(stamp_of(path) for path in self._paths())


def stamp_of(path: Path) -> tuple[int, int, int] | None:
    """What changes when the file does; None when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _build(settings: TLSSettings) -> ssl.SSLContext:
    contexts = [_context(settings, files) for files in settings.certificates]
    if len(contexts) > 1:
        by_name: dict[str, ssl.SSLContext] = {}
        for files, context in zip(settings.certificates, contexts, strict=True):
            for name in _names(files.certificate):
                by_name.setdefault(name, context)
        contexts[0].sni_callback = _chooser(by_name)
    return contexts[0]


def _context(settings: TLSSettings, files: CertificateFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = _TICKETS
    try:
        context.set_ciphers(settings.ciphers)
    except ssl.SSLError:
        raise TLSError(f"ciphers: OpenSSL knows none of {settings.ciphers!r}") from None
    load_chain(context, files)
    if settings.client_ca is not None:
        load_authorities(context, settings.client_ca)
        required = settings.client_certificates == "required"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


def load_chain(context: ssl.SSLContext, files: CertificateFiles) -> None:
    """Have ``context`` show this certificate. Raises TLSError."""
    for path in (files.certificate, files.private_key):
        _readable(path)
    try:
        # A key with a passphrase would have OpenSSL ask for it on the terminal.
        context.load_cert_chain(files.certificate, files.private_key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        raise TLSError(f"{_culprit(files)}: {_reason(error)}") from None


def load_authorities(context: ssl.SSLContext, path: Path) -> None:
    """Have ``context`` believe these authorities. Raises TLSError."""
    _readable(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise TLSError(f"{path}: {_reason(error)}") from None


def _readable(path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise TLSError(f"{path}: {error.strerror}") from None


def _culprit(files: CertificateFiles) -> str:
    """Of the two files, the one that holds nothing of its kind; both when they do not fit each other."""
    if b"-----BEGIN CERTIFICATE" not in files.certificate.read_bytes():
        return str(files.certificate)
    if b"PRIVATE KEY-----" not in files.private_key.read_bytes():
        return str(files.private_key)
    return f"{files.certificate} and {files.private_key}"


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the private key is not that of the certificate"
        # None where OpenSSL has no word for it, whatever the type says.
        return error.reason.lower().replace("_", " ") if error.reason else "no usable PEM"
    return str(error)


def _names(certificate: Path) -> list[str]:
    """The DNS names of a certificate's subjectAltName, in lower case, wildcards included."""
    from cryptography import x509  # slow to import, and one certificate needs no names

    try:
        leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    except (ValueError, OSError) as error:
        raise TLSError(f"{certificate}: {error}") from None
    return [name.lower() for name in names.get_values_for_type(x509.DNSName)]


def _chooser(
    by_name: dict[str, ssl.SSLContext],
) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], None]:
    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name is None:
            return
        name = name.lower().rstrip(".")
        context = by_name.get(name) or by_name.get(f"*.{name.partition('.')[2]}")
        if context is not None:
            connection.context = context

    return choose
