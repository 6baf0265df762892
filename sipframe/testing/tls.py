"""The client's end of TLS, in memory: the standard library's, with real certificates.

Rules: the server's certificate is verified for the name that the phone asked for (RFC 3261 26.3.1, RFC 5922 7.3),
only not against the date: the time of a test is not that of the world. Octets of TLS leave as soon as they are made.
"""

from __future__ import annotations

from pathlib import Path
from ssl import (
    PROTOCOL_TLS_CLIENT,
    VERIFY_X509_PARTIAL_CHAIN,
    MemoryBIO,
    SSLContext,
    SSLError,
    SSLWantReadError,
    TLSVersion,
)
from typing import Final, Protocol

from twisted.internet import error
from twisted.internet.protocol import Protocol as TransportProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from sipframe.testing.connections import StreamEnd
from sipframe.verdicts import Address

__all__ = ["TLSClient", "client_context", "why"]

_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which the ssl module has no name."""


def client_context(
    trust: Path, certificate: tuple[Path, Path] | None = None, ciphers: str | None = None
) -> SSLContext:
    """A client that believes the PEM certificates in ``trust``, be they authorities' or a server's own.

    ``certificate`` is the client's own: PEM chain and PEM key. Raises OSError, ssl.SSLError.
    """
    context = SSLContext(PROTOCOL_TLS_CLIENT)
    context.minimum_version = TLSVersion.TLSv1_2
    context.load_verify_locations(trust)
    context.verify_flags |= VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags |= _NO_CHECK_TIME
    if ciphers is not None:
        context.set_ciphers(ciphers)
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


def why(reason: Failure) -> str:
    """Why a connection is gone, or never came, in a few words."""
    return next(
        (words for kind, words in _REASONS if reason.check(kind)), reason.getErrorMessage().rstrip(".")
    )


_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (error.ConnectionDone, "closed by the server"),
    (error.ConnectionLost, "reset by the server"),
    (error.ConnectionRefusedError, "connection refused"),
    (error.TimeoutError, "no connection in time"),
)


class _Inner(Protocol):
    """Who speaks through TLS."""

    def connecting(self, local: Address) -> None: ...
    def opened_as(self, tls_version: str) -> None: ...
    def received(self, data: bytes) -> None: ...
    def lost(self, reason: str) -> None: ...


class TLSClient(TransportProtocol):
    """The protocol of a memory connection that speaks TLS for ``inner``."""

    transport: StreamEnd

    def __init__(self, inner: _Inner, context: SSLContext, name: str) -> None:
        self._inner = inner
        self._in, self._out = MemoryBIO(), MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._open = False
        self._ended = False
        self._failure = ""

    def connectionMade(self) -> None:
        self._inner.connecting(self.transport.local)
        self._shake()

    def dataReceived(self, data: bytes) -> None:
        if self._ended:
            return
        self._in.write(data)
        if not self._open:
            self._shake()
        while self._open:
            try:
                plain = self._tls.read(65_536)
            except SSLWantReadError:
                break
            except SSLError as failed:
                self._fail(failed)
                return
            if not plain:
                self._end()  # close_notify: what is written now would go nowhere
                self.transport.loseConnection()
                break
            self._inner.received(plain)
        self._flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end()
        self._inner.lost(self._failure or why(reason))

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if self._open:
            self._tls.write(data)
            self._flush()

    def close(self) -> None:
        """Say close_notify and close."""
        if self._open:
            try:
                self._tls.unwrap()
            except SSLError:
                pass  # ours is written; the server's is not waited for
            self._flush()
        self._end()
        self.transport.loseConnection()

    def _end(self) -> None:
        self._open = False
        self._ended = True

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except SSLWantReadError:
            self._flush()
        except SSLError as failed:
            self._fail(failed)
        else:
            self._open = True
            self._flush()
            self._inner.opened_as(str(self._tls.version()))

    def _fail(self, failed: SSLError) -> None:
        self._end()
        self._failure = f"TLS: {getattr(failed, 'verify_message', '') or failed.reason or failed}"
        self._flush()
        self.transport.loseConnection()

    def _flush(self) -> None:
        if self._out.pending:
            self.transport.write(self._out.read())
