"""Real sockets: an old version of TLS is found where it is spoken."""

from __future__ import annotations

from typing import Any

import trustme
from OpenSSL import SSL
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from sipframe.checking.sockets import ServerSockets
from sipframe.ua import Server
from sipframe.ua.flows import ClientFlow
from sipframe.ua.trust import Unchecked


class TLSServer(ssl.ContextFactory):
    """Speaks the versions from ``least`` to ``most``."""

    def __init__(self, least: int, most: int) -> None:
        self._context = SSL.Context(SSL.TLS_SERVER_METHOD)
        self._context.set_min_proto_version(least)
        self._context.set_max_proto_version(most)
        self._context.set_cipher_list(b"ALL:@SECLEVEL=0")
        trustme.CA().issue_cert("localhost").configure_cert(self._context)

    def getContext(self) -> SSL.Context:
        return self._context


class Listening(Protocol):
    """The server's end; ``closed`` of its factory has an end for each connection."""

    def connectionMade(self) -> None:
        self.gone: Deferred[None] = Deferred()
        factory: Any = self.factory
        factory.closed.append(self.gone)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class OldTLSTests(TestCase):
    def serve(self, least: int, most: int) -> ServerSockets:
        from twisted.internet import reactor

        timely: Any = reactor
        factory: Any = Factory.forProtocol(Listening)
        self.closed: list[Deferred[None]] = []
        factory.closed = self.closed
        port = timely.listenSSL(0, factory, TLSServer(least, most), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        server = Server("TLS", "127.0.0.1", port.getHost().port)
        return ServerSockets(reactor, server, Unchecked("127.0.0.1"), 30.0)

    async def spoken(self, flow: ClientFlow | None) -> str | None:
        """The version on ``flow``, once that is closed at both ends."""
        if flow is not None:
            flow.close()
        while self.closed:
            await self.closed.pop()
        return None if flow is None else flow.tls_version

    async def test_what_an_old_server_speaks(self) -> None:
        sockets = self.serve(SSL.TLS1_VERSION, SSL.TLS1_1_VERSION)
        for version in ("TLSv1", "TLSv1.1"):
            assert await self.spoken(await sockets.open_old_tls(version)) == version

    async def test_what_a_new_server_refuses(self) -> None:
        sockets = self.serve(SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION)
        for version in ("TLSv1", "TLSv1.1"):
            assert await self.spoken(await sockets.open_old_tls(version)) is None
        flow = await sockets.open()
        assert flow.peer_certificate is not None
        assert await self.spoken(flow) == "TLSv1.3"
