"""Whom we believe over TLS connections of ours, and what we show when asked (RFC 3261 26.3.1, RFC 5922 7.3).

Rules: TLS 1.2 and 1.3, nothing older. The chain must lead to an authority that is trusted, and the certificate must be
for the domain that was asked for, by RFC 5922 7.1 and 7.2: a ``sip`` URI in subjectAltName first, DNS names only when
there is none, no wildcards. Where an address was asked for, an IP address in subjectAltName does as well. Nothing here
makes an exception. Files that have changed are read again before the next connection; when they are broken the old
ones go on and the log says why.
"""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from pathlib import Path

import attrs
from twisted.logger import Logger

from sipframe.peer_identity import peer_identity
from sipframe.transport.tls import CIPHERS, CertificateFiles, TLSError, load_authorities, load_chain, stamp_of

__all__ = ["TLSClient", "TLSClientSettings", "Towards", "is_for"]

_log = Logger()


@attrs.frozen(kw_only=True)
class TLSClientSettings:
    """What a TLS connection of ours needs."""

    authorities: Path | None = None
    """The authorities (PEM) whose certificates are believed; None believes those that the system trusts."""
    certificate: CertificateFiles | None = None
    """What is shown to a peer that asks for a client certificate; None shows none."""
    ciphers: str = CIPHERS
    """For TLS 1.2, in OpenSSL's notation."""


class TLSClient:
    """The client's side of every TLS connection. Raises TLSError when files that it was given are no good."""

    def __init__(self, settings: TLSClientSettings) -> None:
        self._settings = settings
        self._context: ssl.SSLContext | None = None
        self._seen: tuple[object, ...] = ()
        if settings.authorities is not None or settings.certificate is not None:
            self._seen = self._stamp()
            self._context = self._build()
        # The system's authorities are many, and a server that opens no TLS connection needs none of them.

    def towards(self, name: str) -> Towards:
        """Our side of a connection to ``name``, a domain or an address without brackets."""
        stamp = self._stamp()
        if self._context is None or stamp != self._seen:
            self._seen = stamp
            try:
                self._context = self._build()
            except TLSError as error:
                if self._context is None:
                    raise
                _log.error(
                    "TLS files for connections of ours not taken into use: {reason}", reason=str(error)
                )
        return Towards(self._context, name)

    def _stamp(self) -> tuple[object, ...]:
        settings = self._settings
        paths = [] if settings.authorities is None else [settings.authorities]
        if settings.certificate is not None:
            paths += [settings.certificate.certificate, settings.certificate.private_key]
        return tuple([stamp_of(path) for path in paths])

    def _build(self) -> ssl.SSLContext:
        settings = self._settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.check_hostname = (
            False  # those are the rules of HTTP; RFC 5922's are looked at after the handshake
        )
        try:
            context.set_ciphers(settings.ciphers)
        except ssl.SSLError:
            raise TLSError(f"ciphers: OpenSSL knows none of {settings.ciphers!r}") from None
        if settings.authorities is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            load_authorities(context, settings.authorities)
        if settings.certificate is not None:
            load_chain(context, settings.certificate)
        return context


class Towards:
    """Our side of one connection (:class:`~.tls_layer.Side`)."""

    __slots__ = ("_context", "_name")

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        self._context = context
        self._name = name

    def begin(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """Our side of a new connection; a domain is told to the peer (SNI, RFC 6066 3), an address never is."""
        name = None if _address(self._name) is not None else self._name
        return self._context.wrap_bio(incoming, outgoing, server_side=False, server_hostname=name or None)


def is_for(certificate: bytes, name: str) -> bool:
    """Whether a verified ``certificate`` (DER) is for ``name``, a domain in lower case or a numeric address."""
    try:
        if name in peer_identity(certificate).domains:
            return True
    except ValueError:
        return False
    address = _address(name)
    if address is None:
        return False
    from cryptography import x509  # slow to import, and most peers are domains

    try:
        leaf = x509.load_der_x509_certificate(certificate)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return address in names.get_values_for_type(x509.IPAddress)


def _address(name: str) -> object:
    try:
        return ip_address(name)
    except ValueError:
        return None
