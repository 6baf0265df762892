"""Real sockets for checks: UDP, TCP and TLS through Twisted.

Rules: the reactor is an argument. A name is resolved once; the first of its addresses is the server.
"""

from __future__ import annotations

from typing import Any, Final

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from sipframe.checking.check import Skipped
from sipframe.ua import ClientError, Server
from sipframe.ua.client import connect, open_datagrams, resolve
from sipframe.ua.flows import ClientFlow

__all__ = ["ServerSockets"]

_OLD: Final = {"TLSv1": SSL.TLS1_VERSION, "TLSv1.1": SSL.TLS1_1_VERSION}


class ServerSockets:
    """Opens flows to ``server``; ``creator`` is for TLS, ``timeout`` in seconds for a connection."""

    def __init__(
        self,
        reactor: Any,
        server: Server,
        creator: IOpenSSLClientConnectionCreator | None,
        timeout: float,
    ) -> None:
        self._reactor = reactor
        self._server = server
        self._creator = creator
        self._timeout = timeout
        self._address = ""

    async def open(self) -> ClientFlow:
        """A new socket or connection. Raises ClientError."""
        if self._server.transport != "UDP":
            return await connect(self._reactor, self._server, self._creator, self._timeout)
        if not self._address:
            addresses = await resolve(self._reactor, self._server.host)
            if not addresses:
                raise ClientError("there is no address for that name", unreachable=True)
            self._address = addresses[0]
        return open_datagrams(self._reactor, self._address, self._server.port)

    async def open_old_tls(self, version: str) -> ClientFlow | None:
        """A connection that offers ``version`` and nothing newer; None when it is refused."""
        try:
            creator = _Old(_OLD[version])
        except SSL.Error:
            raise Skipped(f"the OpenSSL here cannot offer {version}") from None
        try:
            return await connect(self._reactor, self._server, creator, self._timeout)
        except ClientError:
            return None


@implementer(IOpenSSLClientConnectionCreator)
class _Old:
    """Handshakes with one old version, whoever answers: nothing is said over what it makes."""

    def __init__(self, version: int) -> None:
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.set_min_proto_version(version)
        self._context.set_max_proto_version(version)
        self._context.set_cipher_list(b"ALL:@SECLEVEL=0")  # OpenSSL offers these versions at no higher level

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context, None)
