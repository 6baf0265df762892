"""Connecting over loopback: whom the client believes, and what it says when there is nobody."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from sipframe.ua import ClientError, Server
from sipframe.ua.client import connect, open_datagrams, resolve
from sipframe.ua.flows import ClientFlow
from sipframe.ua.trust import Unchecked, read_authorities, verified

PATIENCE = 30.0


class Far(Protocol):
    """The server's end; tells when it is closed."""

    def connectionLost(self, reason: object = None) -> None:
        cast(Any, self.factory).closed.callback(None)


@implementer(IOpenSSLContextFactory)
class ServerContext:
    """What a server shows: the key and the chain in one PEM file."""

    def __init__(self, pem: str) -> None:
        self._context = SSL.Context(SSL.TLS_SERVER_METHOD)
        self._context.use_privatekey_file(pem)
        self._context.use_certificate_chain_file(pem)

    def getContext(self) -> SSL.Context:
        return self._context


class ConnectTests(TestCase):
    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.authority = trustme.CA()
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.ca_file = self.folder / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca_file))

    def serve(self, *names: str) -> int:
        """Listen on loopback, by TLS with a certificate of ``names`` if there are any; return the port."""
        factory = Factory.forProtocol(Far)
        cast(Any, factory).closed = self.closed = Deferred[None]()
        if names:
            pem = str(self.folder / "server.pem")
            self.authority.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(pem)
            port = self.reactor.listenSSL(0, factory, ServerContext(pem), interface="127.0.0.1")
        else:
            port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def close(self, flow: ClientFlow) -> None:
        flow.close()
        await self.closed

    async def refusal(self, server: Server, creator: Any) -> str:
        with pytest.raises(ClientError) as caught:
            await connect(self.reactor, server, creator, PATIENCE)
        assert caught.value.unreachable
        return str(caught.value)

    async def test_tcp(self) -> None:
        port = self.serve()
        flow = await connect(self.reactor, Server("TCP", "127.0.0.1", port), None, PATIENCE)
        assert (flow.transport, flow.peer, flow.tls_version) == ("TCP", ("127.0.0.1", port), "")
        assert flow.local.host == "127.0.0.1"
        await self.close(flow)

    async def test_tls_to_a_name_and_to_an_address(self) -> None:
        for host in ("localhost", "127.0.0.1"):
            port = self.serve("localhost", "127.0.0.1")
            creator = verified(host, read_authorities(self.ca_file))
            flow = await connect(self.reactor, Server("TLS", host, port), creator, PATIENCE)
            assert (flow.transport, flow.secure, flow.tls_version) == ("TLS", True, "TLSv1.3")
            await self.close(flow)

    async def test_a_certificate_of_somebody_else_is_refused(self) -> None:
        for host, name in (("localhost", "example.com"), ("127.0.0.1", "localhost")):
            port = self.serve(name)
            creator = verified(host, read_authorities(self.ca_file))
            text = await self.refusal(Server("TLS", host, port), creator)
            assert text == f"its certificate is not for {host}"
            await self.closed

    async def test_a_certificate_by_somebody_else_is_refused(self) -> None:
        trustme.CA().cert_pem.write_to_path(str(self.ca_file))
        for authorities in (read_authorities(self.ca_file), None):
            port = self.serve("localhost")
            text = await self.refusal(Server("TLS", "localhost", port), verified("localhost", authorities))
            assert text == "its certificate is not signed by an authority that is trusted here"
            await self.closed

    async def test_nothing_is_checked_when_nothing_shall_be(self) -> None:
        for host in ("localhost", "127.0.0.1"):
            port = self.serve("example.com")
            flow = await connect(self.reactor, Server("TLS", host, port), Unchecked(host), PATIENCE)
            await self.close(flow)

    async def test_tls_to_a_server_without(self) -> None:
        class Rude(Protocol):
            def dataReceived(self, data: bytes) -> None:
                cast(Any, self.transport).write(b"SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        port = self.reactor.listenTCP(0, Factory.forProtocol(Rude), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        text = await self.refusal(Server("TLS", "127.0.0.1", port.getHost().port), Unchecked("127.0.0.1"))
        assert text.startswith("TLS: ")

    async def test_nobody_listens(self) -> None:
        with socket.socket() as bound:  # and not listening
            bound.bind(("127.0.0.1", 0))
            text = await self.refusal(Server("TCP", "127.0.0.1", bound.getsockname()[1]), None)
        assert text == "nobody listens there (connection refused)"

    async def test_a_udp_socket_knows_its_own_address(self) -> None:
        flow = open_datagrams(self.reactor, "127.0.0.1", 5060)
        assert flow.local.host == "127.0.0.1"
        assert flow.local.port != 0
        flow.close()

    async def test_an_address_is_its_own_name(self) -> None:
        assert await resolve(self.reactor, "127.0.0.1") == ["127.0.0.1"]


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(ValueError, match="no PEM certificate"):
        read_authorities(file)
    file.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(ValueError, match="cannot be read"):
        read_authorities(file)


def test_a_file_may_hold_several_certificates(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(b"".join([trustme.CA().cert_pem.bytes() for _ in range(2)]))
    assert len(read_authorities(file)) == 2


def test_a_name_is_told_to_the_server_and_an_address_is_not() -> None:
    names = [
        Unchecked(host).clientConnectionForTLS(None).get_servername()
        for host in ("localhost", "127.0.0.1", "::1")
    ]
    assert names[1:] == [None, None]
    assert isinstance(Unchecked("localhost").clientConnectionForTLS(None), SSL.Connection)
