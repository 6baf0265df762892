"""A sink that writes down what it is told, a wire in memory, and a TLS client on that wire."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from pathlib import Path

import trustme
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress, IProtocol, ITransport
from twisted.internet.task import Clock
from zope.interface import implementer

from sipframe.interfaces import IFlow
from sipframe.message import MessageError, Request, Response, response_bytes
from sipframe.transport import CertificateFiles, Ground, TLSSettings, TransportLimits

OPTIONS = (
    b"OPTIONS sip:registrar.biloxi.example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP client.biloxi.example.com:5061;branch=z9hG4bKnashds7;rport\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: Bob <sip:bob@biloxi.example.com>;tag=a73kszlfl\r\n"
    b"To: Bob <sip:bob@biloxi.example.com>\r\n"
    b"Call-ID: 1j9FpLxk3uxtm8tn@biloxi.example.com\r\n"
    b"CSeq: 1 OPTIONS\r\n"
    b"Content-Length: 4\r\n"
    b"\r\n"
    b"body"
)


def answer(request: Request, flow: IFlow) -> None:
    """What a core would do: 200, on the flow."""
    flow.respond(response_bytes(request, 200, "OK", None, "", flow.peer), request.via)


class RecordingSink:
    """Keeps what it is told in ``calls``, in order; ``on_request`` may do something about a request."""

    def __init__(self, on_request: Callable[[Request, IFlow], object] | None = None) -> None:
        self.calls: list[tuple[str, object, IFlow]] = []
        self.on_request = on_request
        self.instead: bytes | None = None

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.calls]

    def request(self, request: Request, flow: IFlow) -> None:
        self.calls.append(("request", request, flow))
        if self.on_request is not None:
            self.on_request(request, flow)

    def response(self, response: Response, flow: IFlow) -> None:
        self.calls.append(("response", response, flow))

    def malformed(self, error: MessageError, flow: IFlow) -> None:
        self.calls.append(("malformed", error, flow))
        flow.send(b"SIP/2.0 400 Malformed\r\n\r\n")

    def flow_lost(self, flow: IFlow) -> None:
        self.calls.append(("flow_lost", flow.alive, flow))

    def too_large(self, data: bytes, flow: IFlow) -> bytes | None:
        self.calls.append(("too_large", len(data), flow))
        return self.instead


def ground_for(sink: RecordingSink, limits: TransportLimits | None = None) -> tuple[Ground, Clock]:
    clock = Clock()
    return Ground(clock, sink, limits or TransportLimits()), clock


PEER = IPv4Address("TCP", "192.0.2.7", 40_000)
HOST = IPv4Address("TCP", "192.0.2.1", 5060)


@implementer(ITransport)
class Wire:
    """A TCP transport in memory. What it was asked to do last shows in ``state``."""

    def __init__(self, peer: IAddress = PEER) -> None:
        self.state = "open"
        self.producer: object = None
        self.reading = True
        self._peer = peer
        self._written = bytearray()

    def write(self, data: bytes) -> None:
        self._written += data

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def value(self) -> bytes:
        return bytes(self._written)

    def clear(self) -> None:
        self._written.clear()

    def loseConnection(self) -> None:
        self.state = "closed"

    def loseWriteConnection(self) -> None:
        self.state = "half closed"

    def abortConnection(self) -> None:
        self.state = "aborted"

    def pauseProducing(self) -> None:
        assert self.reading
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def registerProducer(self, producer: object, streaming: bool) -> None:
        assert self.producer is None
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def getPeer(self) -> IAddress:
        return self._peer

    def getHost(self) -> IAddress:
        return HOST


class TLSClient:
    """The client's side of TLS, in memory, talking to ``server`` through ``wire``."""

    def __init__(self, context: ssl.SSLContext, server: IProtocol, wire: Wire, name: str | None) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._server = server
        self._wire = wire

    def pump(self) -> None:
        """Carry what is there both ways, once."""
        if self._out.pending:
            self._server.dataReceived(self._out.read())
        self._in.write(self._wire.value())
        self._wire.clear()

    def handshake(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                before = self._in.pending
                self.pump()
                if self._in.pending == before:
                    raise
            else:
                self.pump()
                return

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self.pump()

    def received(self) -> bytes:
        self.pump()
        found = b""
        while True:
            try:
                data = self.tls.read(65_536)
            except ssl.SSLWantReadError:
                return found
            if not data:
                return found  # close_notify
            found += data


def certificate_files(
    authority: trustme.CA, folder: Path, *names: str, common_name: str | None = None
) -> CertificateFiles:
    """Files with a certificate of ``authority`` for ``names``."""
    made = authority.issue_cert(*names, common_name=common_name)
    stem = names[0].replace("*", "any")
    certificate, key = folder / f"{stem}.pem", folder / f"{stem}.key"
    write_certificate(made, CertificateFiles(certificate, key))
    return CertificateFiles(certificate, key)


def write_certificate(made: trustme.LeafCert, files: CertificateFiles) -> None:
    files.certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    files.private_key.write_bytes(made.private_key_pem.bytes())


def settings_for(*files: CertificateFiles, client_ca: Path | None = None) -> TLSSettings:
    return TLSSettings(certificates=files, client_ca=client_ca)


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
