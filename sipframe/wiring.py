"""Names to objects: what the settings say becomes the parts of a server, verified before anything listens.

Rules: an object that a plug-in's author made is adapted and verified here, so that a wrong one fails at the start and
not during a call. Files are opened here, by functions that say so; what is wrong with one is a StartError, one line.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.logger import Logger
from zope.interface.exceptions import Invalid
from zope.interface.interface import InterfaceClass
from zope.interface.verify import verifyObject

from sipframe.auth.account_file import AccountsError
from sipframe.auth.accounts import Accounts
from sipframe.auth.authenticator import DigestAuthenticator
from sipframe.config import Settings
from sipframe.interfaces import IAuthenticator, ICredentialSource, ILocationStore
from sipframe.location import LocationError, MemoryStore, SQLiteStore
from sipframe.seams import chained
from sipframe.transport import (
    CertificateFiles,
    TLSError,
    TLSIdentity,
    TLSSettings,
    fingerprint_of,
    self_signed,
)

__all__ = [
    "StartError",
    "location_store",
    "make_authenticator",
    "make_state_directory",
    "open_accounts",
    "tls_identity",
    "verified",
]

_log = Logger()

CERTIFICATE_NAME = "certificate.pem"
PRIVATE_KEY_NAME = "private-key.pem"
LOCATION_NAME = "location.sqlite"


class StartError(Exception):
    """The server cannot start; the message is one line for the operator."""


def verified(interface: InterfaceClass, plug_in: object, role: str) -> Any:
    """``plug_in`` as a provider of ``interface``. Raises StartError that says what it lacks."""
    try:
        adapted: object = interface(plug_in)
        verifyObject(interface, adapted)
    except (TypeError, Invalid) as error:
        text = " ".join(str(error).split())
        raise StartError(f"the {role} {plug_in!r} is no {interface.__name__}: {text}") from None
    except IndexError:
        # zope.interface has no answer to a method whose self is among its *args.
        raise StartError(f"the {role} {plug_in!r} has a method without self") from None
    return adapted


def make_state_directory(path: Path) -> None:
    """Make the state directory for its owner alone, if there is none."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"--state {path}: {error.strerror}") from None


def location_store(settings: Settings, reactor: Any, now: float) -> MemoryStore | SQLiteStore:
    """The store that the settings name, opened and ready."""
    if settings.location.kind == "memory":
        return MemoryStore()
    path = settings.location.path or settings.state / LOCATION_NAME
    store = SQLiteStore(str(path), reactor, durability=settings.location.durability)
    try:
        loaded = store.start(now)
    except LocationError as error:
        raise StartError(f"--location: {error}") from None
    _log.info("{count} bindings in {path}", count=loaded, path=str(path))
    return store


def open_accounts(
    settings: Settings, entropy: Callable[[int], bytes], clock: Callable[[], float]
) -> Accounts:
    """The accounts that the settings name, with what was sealed for this realm made usable."""
    accounts = None
    try:
        accounts = Accounts(settings.accounts or settings.state, entropy=entropy, clock=clock)
        claimed = accounts.claim(settings.realm)
        missing = accounts.missing(settings.realm)
    except AccountsError as error:
        if accounts is not None:
            accounts.close()
        raise StartError(f"accounts: {error}") from None
    if claimed:
        _log.info("{count} accounts are now known in realm {realm!r}", count=claimed, realm=settings.realm)
    if missing:
        _log.warn(
            "{count} accounts cannot authenticate: they were added for another realm than {realm}; "
            "set their passwords again with 'sipframe user passwd' or change --realm",
            count=missing,
            realm=settings.realm or "that of their domain",
        )
    return accounts


def make_authenticator(
    settings: Settings,
    credentials: object,
    entropy: Callable[[int], bytes],
    clock: Callable[[], float],
) -> Any:
    """The stock Digest authenticator over ``credentials``."""
    source = verified(ICredentialSource, credentials, "credential source")
    try:
        authenticator = DigestAuthenticator(
            source,
            domains=settings.domains,
            realm=settings.realm,
            secret=entropy(32),
            clock=clock,
            settings=settings.digest,
            chain=chained,
        )
    except ValueError as error:
        raise StartError(f"digest: {error}") from None
    return verified(IAuthenticator, authenticator, "authenticator")


def given_location(location: object) -> Any:
    """A location store that the embedder made."""
    return verified(ILocationStore, location, "location store")


def tls_identity(settings: Settings, now: float) -> TLSIdentity:
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
        certificates = ((certificate, private_key),)
    files: list[CertificateFiles] = [CertificateFiles(chain, key) for chain, key in certificates]
    try:
        return TLSIdentity(TLSSettings(certificates=files, client_ca=settings.client_ca))
    except TLSError as error:
        raise StartError(f"TLS: {error}") from None
