"""TLS between a connection and its protocol, in memory: the standard library's, for speed and size.

Rules: works over any transport, real or of a test; the socket never sees plain octets and the protocol never sees
others. Nothing of TLS is allocated before the first octet comes or goes. Octets that a write or a read of TLS makes
leave in one write. After ``close_notify`` is sent nothing more is decrypted.
"""

from __future__ import annotations

from ssl import MemoryBIO, SSLCertVerificationError, SSLError, SSLObject, SSLWantReadError
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from twisted.internet.interfaces import IProtocol, IPushProducer, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from sipframe.transport.counters import TransportCounters
from sipframe.transport.sockets import promptly

if TYPE_CHECKING:
    from sipframe.transport.stream import StreamProtocol, StreamTransport
    from sipframe.transport.turns import Turns

__all__ = ["Side", "TLSClientLayer", "TLSLayer"]

_RECORD: Final = 16_384
"""What a TLS record holds at most (RFC 8446 5.1), so that a read leaves nothing of one behind."""

_NEW: Final = 0
_SHAKING: Final = 1
_OPEN: Final = 2
_CLOSED: Final = 3


class Side(Protocol):
    """One side of TLS: :class:`~.tls.TLSIdentity` is the server's, :class:`~.tls_client.Towards` the client's."""

    def begin(self, incoming: MemoryBIO, outgoing: MemoryBIO) -> SSLObject:
        """Our side of a new connection."""


@implementer(IProtocol)
class TLSLayer:
    """The protocol of a TCP connection and the transport of ``inner``."""

    __slots__ = (
        "_counters",
        "_early",
        "_in",
        "_inner",
        "_out",
        "_side",
        "_state",
        "_tls",
        "_transport",
        "_turns",
        "_waits",
        "factory",
    )

    _in: MemoryBIO
    _out: MemoryBIO
    _tls: SSLObject | None
    _transport: StreamTransport

    def __init__(
        self, inner: StreamProtocol, side: Side, counters: TransportCounters, turns: Turns | None = None
    ) -> None:
        self._inner = inner
        self._side = side
        self._counters = counters
        self._state = _NEW
        self._early = b""
        self._turns = turns
        self._waits = False
        self._tls = None
        self.factory: object = None

    # What the transport below calls.

    def makeConnection(self, transport: ITransport) -> None:
        """The connection is there; TLS begins with what the client sends."""
        self._transport = cast("StreamTransport", transport)
        self._inner.makeConnection(cast(ITransport, self))

    def connectionMade(self) -> None:
        """Part of IProtocol; :meth:`makeConnection` does it all."""

    def dataReceived(self, data: bytes) -> None:
        """Take what arrived."""
        if self._state == _CLOSED:
            return
        if self._state == _NEW:
            self._begin()
        self._in.write(data)
        if self._state == _SHAKING and self._turns is not None:
            if self._waits:
                return
            if not self._turns.may_shake(self):
                self._waits = True
                self._transport.pauseProducing()
                return
        self._take()

    def go_on(self) -> None:
        """It is the turn of our handshake."""
        if self._state == _SHAKING:
            self._waits = False
            self._transport.resumeProducing()
            self._take()

    def _take(self) -> None:
        incoming = self._in
        tls = cast(SSLObject, self._tls)
        if self._state == _SHAKING:
            self._shake(tls)
            if not incoming.pending:
                return
        received = self._inner.dataReceived
        while incoming.pending and self._state == _OPEN:
            try:
                plain = tls.read(_RECORD)
            except SSLWantReadError:
                break
            except SSLError:
                self._end()
                return
            if not plain:
                self._inner.close()  # the peer's close_notify
                return
            received(plain)
        if self._state == _OPEN:
            self._flush()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The connection is gone."""
        self._state = _CLOSED
        self._tls = None
        self._inner.connectionLost(reason)

    # What the protocol above calls.

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if self._state == _OPEN:
            try:
                cast(SSLObject, self._tls).write(data)
            except SSLError:
                self._end()
            else:
                self._transport.write(self._out.read())
        elif self._state != _CLOSED:
            self._early += data

    def loseConnection(self) -> None:
        """Say close_notify and close once everything has left."""
        self._notify()
        self._transport.loseConnection()

    def loseWriteConnection(self) -> None:
        """Say close_notify; the connection closes when the peer closes its side."""
        self._notify()
        self._transport.loseWriteConnection()

    def abortConnection(self) -> None:
        """Close now."""
        self._state = _CLOSED
        self._tls = None
        self._transport.abortConnection()

    def pauseProducing(self) -> None:
        """Read nothing more for now."""
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read on."""
        self._transport.resumeProducing()

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Have ``producer`` told when the transport below is full."""
        self._transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Tell it no longer."""
        self._transport.unregisterProducer()

    def getPeer(self) -> Any:
        """The far end."""
        return self._transport.getPeer()

    def getHost(self) -> Any:
        """Our end."""
        return self._transport.getHost()

    def peer_certificate(self) -> bytes | None:
        """The client's certificate, DER: there is one only where it was asked for, and then it is verified."""
        return None if self._tls is None else self._tls.getpeercert(True)

    # Below the surface.

    def _begin(self) -> None:
        self._in, self._out = MemoryBIO(), MemoryBIO()
        self._tls = self._side.begin(self._in, self._out)
        self._state = _SHAKING

    def _shake(self, tls: SSLObject) -> None:
        try:
            tls.do_handshake()
        except SSLWantReadError:
            self._flush()
            return
        except SSLError as error:
            self._counters.handshake_failures += 1
            self._inner.handshake_failed(_reason(error))
            self._end()
            return
        self._state = _OPEN
        if not tls.server_side or tls.version() != "TLSv1.3":
            self._flush()
        # To a client with TLS 1.3 only a ticket is waiting, and it leaves with the first answer.
        self._inner.handshakeCompleted()
        if self._early:
            early, self._early = self._early, b""
            self.write(early)

    def _flush(self) -> None:
        if self._out.pending:
            self._transport.write(self._out.read())

    def _notify(self) -> None:
        if self._state == _OPEN:
            try:
                cast(SSLObject, self._tls).unwrap()
            except SSLError:
                pass  # ours is written, the peer's has not come: we do not wait for it
            self._flush()
        self._state = _CLOSED
        self._tls = None

    def _end(self) -> None:
        """TLS has failed: the alert that says why is the last thing that leaves."""
        self._flush()
        self._state = _CLOSED
        self._tls = None
        self._inner.close()


class TLSClientLayer(TLSLayer):
    """The same for a connection of ours: it speaks first."""

    __slots__ = ()

    def makeConnection(self, transport: ITransport) -> None:
        """The connection is there."""
        promptly(transport)
        super().makeConnection(transport)
        self._begin()
        self._shake(cast(SSLObject, self._tls))


def _reason(error: SSLError) -> str:
    if isinstance(error, SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    # None where OpenSSL has no word for it, whatever the type says.
    return error.reason.lower().replace("_", " ") if error.reason else "the TLS handshake failed"
