"""Names to objects: what the settings say becomes the parts of a server, verified before anything listens.

Rules: an object that a plug-in's author made is adapted and verified here, so that a wrong one fails at the start and
not during a call. Files are opened here, by functions that say so; what is wrong with one is a StartError, one line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.logger import Logger
from zope.interface.exceptions import Invalid
from zope.interface.interface import InterfaceClass
from zope.interface.verify import verifyObject

from sipframe.config import Settings
from sipframe.transport import (
    CertificateFiles,
    TLSClient,
    TLSClientSettings,
    TLSError,
    TLSIdentity,
    TLSSettings,
    fingerprint_of,
    self_signed,
)
from sipframe.transport.self_signed import end_of

__all__ = [
    "StartError",
    "expired",
    "make_state_directory",
    "secret",
    "tls_client",
    "tls_identity",
    "tls_settings",
    "verified",
]

_log = Logger()

CERTIFICATE_NAME = "certificate.pem"
PRIVATE_KEY_NAME = "private-key.pem"
SECRET_NAME = "secret"
_SECRET_OCTETS = 32


class StartError(Exception):
    """The server cannot start; the message is one line for the operator."""


def verified(interface: InterfaceClass, plug_in: object, role: str) -> Any:
    """``plug_in`` as a provider of ``interface``. Raises StartError that says what it lacks."""
    try:
        adapted: object = interface(plug_in, None)
        if adapted is None:
            raise TypeError(_no_provider(interface, plug_in))
        verifyObject(interface, adapted)
    except (TypeError, Invalid) as error:
        text = " ".join(str(error).split())
        raise StartError(f"the {role} {plug_in!r} is no {interface.__name__}: {text}") from None
    except IndexError:
        # zope.interface has no answer to a method whose self is among its *args.
        raise StartError(f"the {role} {plug_in!r} has a method without self") from None
    return adapted


def _no_provider(interface: Any, plug_in: object) -> str:
    if isinstance(plug_in, type) and interface.implementedBy(plug_in):
        return "it is a class, and an object of it is wanted"
    return f"its class does not say @implementer({interface.__name__})"


def make_state_directory(path: Path) -> None:
    """Make the state directory for its owner alone, if there is none."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise StartError(f"--state {path}: it is a file, not a directory") from None
    except OSError as error:
        raise StartError(f"--state {path}: {error.strerror}") from None


def secret(settings: Settings, entropy: Callable[[int], bytes]) -> bytes:
    """The secret of this server, kept in its state directory: what it has signed is good after a restart, too.

    Raises StartError.
    """
    path = settings.state / SECRET_NAME
    try:
        if not path.exists():
            fresh = path.with_suffix(".new")
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(handle, "wb") as file:
                _ = file.write(entropy(_SECRET_OCTETS))
                file.flush()
                os.fsync(file.fileno())
            _ = fresh.replace(path)
        found = path.read_bytes()
    except OSError as error:
        raise StartError(f"{path}: {error.strerror}") from None
    if len(found) < _SECRET_OCTETS:
        raise StartError(
            f"{path}: {len(found)} octets, and not {_SECRET_OCTETS}; remove it to have it made anew"
        )
    return found


def tls_client(settings: Settings) -> TLSClient:
    """What TLS connections of ours need. Raises StartError."""
    certificate = settings.certificates[0] if settings.certificates else None
    try:
        return TLSClient(TLSClientSettings(authorities=settings.peer_ca, certificate=certificate))
    except TLSError as error:
        raise StartError(f"TLS: {error}") from None


def tls_settings(settings: Settings, now: float) -> TLSSettings:
    """The certificates of the settings, or a self-signed one in the state directory, made when there is none."""
    certificates = settings.certificates
    if not certificates:
        certificate, private_key = settings.state / CERTIFICATE_NAME, settings.state / PRIVATE_KEY_NAME
        try:
            if not (certificate.exists() and private_key.exists()):
                names = (*settings.domains, *settings.aliases)
                self_signed(certificate, private_key, names, datetime.fromtimestamp(now, UTC))
            fingerprint = fingerprint_of(certificate)
        except (OSError, ValueError) as error:
            raise StartError(f"{certificate}: cannot make a self-signed certificate: {error}") from None
        _log.warn(
            "TLS with the self-signed certificate {path}: clients must be told to trust it (SHA-256 {fingerprint}). "
            "Give --certificate and --private-key for one that they trust already",
            path=str(certificate),
            fingerprint=fingerprint,
        )
        certificates = (CertificateFiles(certificate, private_key),)
    for flaw in expired(certificates, now):
        _log.warn("clients will not believe a certificate: {flaw}", flaw=flaw)
    return TLSSettings(certificates=certificates, client_ca=settings.client_ca)


def expired(certificates: Iterable[CertificateFiles], now: float) -> Iterator[str]:
    """One line for each certificate that is not good any more; one that cannot be read is none of ours."""
    moment = datetime.fromtimestamp(now, UTC)
    for files in certificates:
        try:
            ends = end_of(files.certificate)
        except (OSError, ValueError):
            continue
        if moment > ends:
            yield f"{files.certificate}: it was good until {ends:%Y-%m-%d %H:%M} UTC; renew it"


def tls_identity(settings: Settings, now: float) -> TLSIdentity:
    """The server's side of TLS. Raises StartError."""
    try:
        return TLSIdentity(tls_settings(settings, now))
    except TLSError as error:
        raise StartError(f"TLS: {error}") from None
