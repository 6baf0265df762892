"""Whom a client believes over TLS (RFC 3261 26.3.1, RFC 5922 7.3).

Rules: a server's certificate is checked, against the authorities given or the system's, for the host that the user
named; what is not checked is only so because the user said so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto
from service_identity import VerificationError
from twisted.internet import ssl
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["Unchecked", "read_authorities", "tls_failure", "verified"]

_BEGIN = b"-----BEGIN CERTIFICATE-----"


def read_authorities(path: Path) -> list[ssl.Certificate]:
    """The certificates in a PEM file. Raises OSError, or ValueError when there are none."""
    found = []
    for block in path.read_bytes().split(_BEGIN)[1:]:
        try:
            found.append(ssl.Certificate.loadPEM(_BEGIN + block))
        except (crypto.Error, ValueError):
            raise ValueError("a certificate in it cannot be read") from None
    if not found:
        raise ValueError("there is no PEM certificate in it")
    return found


def verified(host: str, authorities: list[ssl.Certificate] | None) -> IOpenSSLClientConnectionCreator:
    """Connections to ``host`` (a name or an address), whose certificate is checked.

    Without ``authorities`` the system's are believed.
    """
    roots = ssl.platformTrust() if authorities is None else ssl.trustRootFromCertificates(authorities)
    return ssl.optionsForClientTLS(host, trustRoot=roots)


@implementer(IOpenSSLClientConnectionCreator)
class Unchecked:
    """Connections to ``host``, whoever answers."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._context = ssl.CertificateOptions(verify=False).getContext()

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if not self._host.replace(".", "").isdigit() and ":" not in self._host:
            connection.set_tlsext_host_name(self._host.encode("idna"))  # RFC 6066 3: a name, never an address
        return connection


def tls_failure(failure: Failure, host: str) -> str | None:
    """One line for a person, when ``failure`` is that of a handshake."""
    if failure.check(VerificationError):
        return f"its certificate is not for {host}"
    if failure.check(SSL.Error):
        reasons = [str(part[-1]) for part in _queue(failure.value) if part]
        if "certificate verify failed" in reasons:
            return "its certificate is not signed by an authority that is trusted here"
        return f"TLS: {', '.join(reasons)}" if reasons else "the TLS handshake failed"
    return None


def _queue(error: BaseException | None) -> Any:
    return error.args[0] if error is not None and error.args and isinstance(error.args[0], list) else []
