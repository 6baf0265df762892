"""What plug-ins that ask a web server have in common: trust, bounded bodies, and failures in words that hold no secret.

Rules: the server's certificate is checked. Nothing of what was sent or received is in a reason.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from OpenSSL import SSL, crypto
from service_identity import VerificationError
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    BrowserLikePolicyForHTTPS,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.iweb import IResponse

__all__ = ["body_of", "is_loopback", "reason_of", "tls_policy"]

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"


class _TooLong(Exception):
    pass


class _Body(Protocol):
    """Collects a body up to a number of octets."""

    def __init__(self, largest: int) -> None:
        self._left = largest
        self._parts: list[bytes] = []
        self.whole: Deferred[bytes] = Deferred(lambda _: self._give_up())

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            self._parts.append(data)
        elif not self.whole.called:
            self._give_up()
            self.whole.errback(_TooLong("the answer is too long"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.whole.called:
            if reason.check(ResponseDone):
                self.whole.callback(b"".join(self._parts))
            else:
                self.whole.errback(reason)

    def _give_up(self) -> None:
        self._parts.clear()
        transport: Any = self.transport
        if transport is not None:
            transport.stopProducing()  # closes the connection; loseConnection() would wait for the server's goodbye


def body_of(response: IResponse, largest: int) -> Deferred[bytes]:
    """The body of an answer that was asked for unbuffered; fails when it has more than ``largest`` octets."""
    body = _Body(largest)
    response.deliverBody(body)
    return body.whole


def tls_policy(ca_file: Path | None) -> BrowserLikePolicyForHTTPS:
    """Trust the authorities in a PEM file, or the system's. Raises ValueError that names the file."""
    if ca_file is None:
        return BrowserLikePolicyForHTTPS()
    found = []
    try:
        for block in ca_file.read_bytes().split(_BEGIN)[1:]:
            found.append(ssl.Certificate.loadPEM(_BEGIN + block))
    except OSError as error:
        raise ValueError(f"{ca_file}: {error.strerror}") from None
    except (crypto.Error, ValueError):
        raise ValueError(f"{ca_file}: a certificate in it cannot be read") from None
    if not found:
        raise ValueError(f"{ca_file}: there is no PEM certificate in it")
    return BrowserLikePolicyForHTTPS(trustRoot=ssl.trustRootFromCertificates(found))


def is_loopback(host: str) -> bool:
    """Whether the host of a URL is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def reason_of(error: BaseException | None) -> str:
    """Why there is no answer, in words that hold nothing that was sent or received."""
    if isinstance(error, ResponseFailed | RequestTransmissionFailed) and error.reasons:
        return reason_of(error.reasons[0].value)
    if isinstance(error, VerificationError):
        return "its certificate is for another host"
    if isinstance(error, SSL.Error):
        queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
        return f"TLS: {', '.join([str(part[-1]) for part in queue if part]) or 'the handshake failed'}"
    if isinstance(error, ConnectError | ConnectionClosed | DNSLookupError | _TooLong):
        return " ".join(str(error).split())
    return type(error).__name__
