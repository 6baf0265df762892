"""Connections of ours over real loopback sockets and real TLS; the peer is another server of this house."""

from __future__ import annotations

import gc
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from sipframe.interfaces import IFlow
from sipframe.message import Request, Response, response_bytes
from sipframe.roads import Hop, Opening, OurEnd, flow_text
from sipframe.transport import (
    CertificateFiles,
    Ground,
    ListenAddress,
    Listeners,
    TLSIdentity,
    TLSSettings,
    TransportLimits,
)
from sipframe.transport.connections import Connections, _Connecting
from sipframe.transport.our_ends import OurEnds
from sipframe.transport.tls_client import TLSClient, TLSClientSettings
from sipframe.verdicts import Address
from tests.transport.recording import OPTIONS, RecordingSink, certificate_files

Steps = Generator[Deferred[Any], Any, None]
NAME = "peer.example.com"


def answer(request: Request, flow: IFlow) -> None:
    flow.respond(response_bytes(request, 200, "OK", None, "", flow.peer), request.via)


class Failed(Exception):
    """No flow came of it."""


class End:
    """One side: sockets that listen, what came in, and the roads out."""

    def __init__(
        self,
        *listen: str,
        identity: TLSIdentity | None = None,
        tls: TLSClient | None = None,
        limits: TransportLimits | None = None,
    ) -> None:
        from twisted.internet import reactor

        self.sink = Waking(answer)
        clock: Any = reactor
        self.ground = Ground(clock, self.sink, limits or TransportLimits())
        self.listeners = Listeners(reactor, self.ground, identity)
        for text in listen:
            self.listeners.listen(ListenAddress.parse(text))
        self.roads = Connections(reactor, self.ground, OurEnds(self.listeners.open), tls)

    def hop(self, transport: str, identity: str = "") -> Hop:
        """The hop that leads here."""
        (address,) = [one.local for one in self.listeners.open if one.transport == transport]
        return Hop(transport, address.host, address.port, identity)

    def open(self, hop: Hop) -> Deferred[IFlow]:
        flow: Deferred[IFlow] = Deferred()
        self.roads.open(hop, flow.callback, lambda reason: flow.errback(Failed(reason)))
        return flow

    @inlineCallbacks
    def close(self) -> Steps:
        self.roads.close()
        yield self.listeners.close(1)


class Waking(RecordingSink):
    """A sink that tells when something has come."""

    def __init__(self, on_request: Any = None) -> None:
        super().__init__(on_request)
        self._waiting: list[tuple[str, Deferred[IFlow]]] = []

    def next(self, name: str) -> Deferred[IFlow]:
        """Fires with the flow of what comes next and is called ``name``."""
        came: Deferred[IFlow] = Deferred()
        self._waiting.append((name, came))
        return came

    def _wake(self, name: str, flow: IFlow) -> None:
        for entry in list(self._waiting):
            if entry[0] == name:
                self._waiting.remove(entry)
                entry[1].callback(flow)

    def request(self, request: Request, flow: IFlow) -> None:
        super().request(request, flow)
        self._wake("request", flow)

    def response(self, response: Response, flow: IFlow) -> None:
        super().response(response, flow)
        self._wake("response", flow)

    def flow_lost(self, flow: IFlow) -> None:
        super().flow_lost(flow)
        self._wake("flow_lost", flow)


class ConnectionsTestCase(TestCase):
    timeout = 30

    @pytest.fixture(autouse=True)
    def _in(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def end(self, *listen: str, **parts: Any) -> End:
        made = End(*[f"{one}:0:interface=127.0.0.1" for one in listen], **parts)
        self.addCleanup(made.close)
        return made

    @inlineCallbacks
    def talk(self, ours: End, flow: IFlow) -> Steps:
        """An OPTIONS by ``flow``, and its answer."""
        came = ours.sink.next("response")
        flow.send(OPTIONS)
        by = yield came
        assert (by.transport, by.peer) == (flow.transport, flow.peer)

    @inlineCallbacks
    def fails(self, trying: Deferred[IFlow]) -> Generator[Deferred[Any], Any, str]:
        try:
            yield trying
        except Failed as error:
            return str(error)
        raise AssertionError("a flow came of it")


class TCP(ConnectionsTestCase):
    @inlineCallbacks
    def test_a_request_and_its_answer(self) -> Steps:
        peer, ours = self.end("tcp"), self.end("tcp")
        flow = yield ours.open(peer.hop("TCP"))
        assert (flow.transport, flow.secure, flow.alive) == ("TCP", False, True)
        assert flow.peer == peer.hop("TCP")[1:3]
        yield self.talk(ours, flow)
        assert ours.ground.counters.connections_made == 1
        assert ours.ground.counters.connections_accepted == 0

    @inlineCallbacks
    def test_the_same_place_is_connected_to_once(self) -> Steps:
        peer, ours = self.end("tcp"), self.end("tcp")
        together = [ours.open(peer.hop("TCP")) for _ in range(5)]
        assert ours.roads.counts() == (0, 1, 5)
        flows = []
        for one in together:
            flows.append((yield one))
        flows.append((yield ours.open(peer.hop("TCP"))))
        assert len(set(flows)) == 1
        yield self.talk(ours, flows[0])
        assert peer.ground.counters.connections_accepted == 1
        assert ours.roads.counts() == (1, 0, 0)

    @inlineCallbacks
    def test_a_connection_that_is_lost_is_made_anew(self) -> Steps:
        peer, ours = self.end("tcp"), self.end("tcp")
        flow = yield ours.open(peer.hop("TCP"))
        yield self.talk(ours, flow)
        lost = ours.sink.next("flow_lost")
        for stream in tuple(peer.ground.streams):
            stream.abort()
        gone = yield lost
        assert (gone, flow.alive) == (flow, False)
        assert ours.roads.counts() == (0, 0, 0)
        again = yield ours.open(peer.hop("TCP"))
        assert again is not flow
        yield self.talk(ours, again)

    @inlineCallbacks
    def test_requests_come_by_it_as_well(self) -> Steps:
        peer, ours = self.end("tcp"), self.end("tcp")
        flow = yield ours.open(peer.hop("TCP"))
        yield self.talk(ours, flow)
        [(_, _, back)] = [call for call in peer.sink.calls if call[0] == "request"]
        came = ours.sink.next("request")
        back.send(OPTIONS)
        by = yield came
        assert by is flow

    @inlineCallbacks
    def test_sent_by_is_where_we_listen(self) -> Steps:
        peer, ours, deaf = self.end("tcp"), self.end("tcp"), self.end("udp")
        flow = yield ours.open(peer.hop("TCP"))
        assert ours.roads.end_of(flow) == OurEnd("TCP", *ours.hop("TCP")[1:3])
        assert flow.local != ours.hop("TCP")[1:3]
        # Who does not listen over TCP has nothing better to name than the connection itself.
        flow = yield deaf.open(peer.hop("TCP"))
        assert deaf.roads.end_of(flow) == OurEnd("TCP", *flow.local)

    @inlineCallbacks
    def test_nobody_there(self) -> Steps:
        ours = self.end("tcp")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            hop = Hop("TCP", *taken.getsockname())
            together = [ours.open(hop), ours.open(hop)]
            for one in together:
                reason = yield self.fails(one)
                assert reason == f"tcp:127.0.0.1:{hop.port}: connection refused"
        assert ours.roads.counts() == (0, 0, 0)
        assert ours.ground.counters.connections_failed == 1

    @inlineCallbacks
    def test_what_came_to_nothing_does_not_wait_for_the_collector_of_cycles(self) -> Steps:
        ours = self.end("tcp")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            hop = Hop("TCP", *taken.getsockname())
            gc.disable()
            self.addCleanup(gc.enable)
            yield self.fails(ours.open(hop))
            yield deferLater(self.reactor(), 0)
            left = [one for one in gc.get_objects() if type(one) is _Connecting and one.key[2] == hop.port]
            assert left == []

    @staticmethod
    def reactor() -> Any:
        from twisted.internet import reactor

        return reactor

    @inlineCallbacks
    def test_nobody_answers(self) -> Steps:
        ours = self.end("tcp", limits=TransportLimits(connect=0.05))
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            # The kernel completes one or two of these, then no more.
            filling = []
            for _ in range(4):
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex(full.getsockname())
                filling.append(one)
            reason = yield self.fails(ours.open(Hop("TCP", *full.getsockname())))
            assert reason.endswith("no answer to the connection in time")
            for one in filling:
                one.close()

    @inlineCallbacks
    def test_who_waits_no_more_is_not_told(self) -> Steps:
        peer, ours = self.end("tcp"), self.end("tcp")

        def told(what: object) -> None:
            raise AssertionError(what)

        waiting: list[Opening] = []
        for _ in range(2):
            opening = ours.roads.open(peer.hop("TCP"), told, told)
            assert opening is not None
            waiting.append(opening)
        kept = ours.open(peer.hop("TCP"))
        for opening in waiting:
            opening.cancel()
            opening.cancel()
        assert ours.roads.counts() == (0, 1, 1)
        flow = yield kept
        yield self.talk(ours, flow)
        # When nobody is left the connection is given up.
        flow.close()
        opening = ours.roads.open(Hop("TCP", "127.0.0.1", 9), told, told)
        assert opening is not None
        opening.cancel()
        assert ours.roads.counts()[1:] == (0, 0)

    @inlineCallbacks
    def test_limits(self) -> Steps:
        peer, other = self.end("tcp"), self.end("tcp")
        ours = self.end("tcp", limits=TransportLimits(outgoing=1, waiting_to_connect=2))
        first, second = ours.open(peer.hop("TCP")), ours.open(peer.hop("TCP"))
        reason = yield self.fails(ours.open(peer.hop("TCP")))
        assert reason == "too many requests wait for connections"
        flow = yield first
        yield second
        reason = yield self.fails(ours.open(other.hop("TCP")))
        assert reason == "too many connections of ours"
        assert (yield ours.open(peer.hop("TCP"))) is flow
        full = self.end("tcp", limits=TransportLimits(connections=1))
        yield full.open(peer.hop("TCP"))
        reason = yield self.fails(full.open(other.hop("TCP")))
        assert reason == "too many connections"

    @inlineCallbacks
    def test_a_silent_connection_is_closed(self) -> Steps:
        peer = self.end("tcp")
        ours = self.end("tcp", limits=TransportLimits(outgoing_idle=0.01))
        flow = yield ours.open(peer.hop("TCP"))
        lost = yield ours.sink.next("flow_lost")
        assert lost is flow
        assert ours.ground.counters.idle_timeouts == 1

    @inlineCallbacks
    def test_after_the_end(self) -> Steps:
        from twisted.internet import reactor

        peer, ours = self.end("tcp"), self.end("tcp")
        trying = ours.open(peer.hop("TCP"))
        ours.roads.close()
        reason = yield self.fails(trying)
        assert reason.endswith("the server is stopping")
        reason = yield self.fails(ours.open(peer.hop("TCP")))
        assert reason == "the server is stopping"
        yield deferLater(reactor, 0)
        assert ours.roads.counts() == (0, 0, 0)

    @inlineCallbacks
    def test_transports_that_are_not_spoken(self) -> Steps:
        ours = self.end("tcp")
        for hop in (Hop("SCTP", "127.0.0.1", 5060), Hop("TLS", "127.0.0.1", 5061, NAME)):
            reason = yield self.fails(ours.open(hop))
            assert reason.endswith("not spoken here")


class Datagrams(ConnectionsTestCase):
    @inlineCallbacks
    def test_a_socket_that_listens_is_used(self) -> Steps:
        peer, ours = self.end("udp"), self.end("udp")
        flow = yield ours.open(peer.hop("UDP"))
        assert ours.roads.end_of(flow) == OurEnd("UDP", *ours.hop("UDP")[1:3])
        came = peer.sink.next("request")
        flow.send(OPTIONS.replace(b"SIP/2.0/TCP client.biloxi.example.com:5061", b"SIP/2.0/UDP 127.0.0.1"))
        by = yield came
        assert by.peer == ours.hop("UDP")[1:3]

    @inlineCallbacks
    def test_without_a_socket_of_its_family(self) -> Steps:
        ours = self.end("udp")
        reason = yield self.fails(ours.open(Hop("UDP", "::1", 5060)))
        assert reason == "no UDP socket of ours leads to ::1"
        # What is bound to loopback leads nowhere else.
        reason = yield self.fails(ours.open(Hop("UDP", "192.0.2.1", 5060)))
        assert reason == "no UDP socket of ours leads to 192.0.2.1"

    @inlineCallbacks
    def test_a_socket_on_all_addresses(self) -> Steps:
        peer, ours = self.end("udp"), End("udp:0")
        self.addCleanup(ours.close)
        (port,) = [one.local.port for one in ours.listeners.open]
        flow = yield ours.open(peer.hop("UDP"))
        assert ours.roads.end_of(flow) == OurEnd("UDP", "127.0.0.1", port)
        came = peer.sink.next("request")
        flow.send(OPTIONS)
        by = yield came
        assert by.peer == Address("127.0.0.1", port)

    @inlineCallbacks
    def test_of_several_the_one_that_leads_there(self) -> Steps:
        peer = self.end("udp")
        ours = End("udp:0:interface=127.0.0.2", "udp:0:interface=127.0.0.1")
        self.addCleanup(ours.close)
        flow = yield ours.open(peer.hop("UDP"))
        assert flow.local.host == "127.0.0.1"


class Found(ConnectionsTestCase):
    """Flows by name."""

    @inlineCallbacks
    def test_a_connection(self) -> Steps:
        peer, ours = self.end("tcp"), self.end("tcp")
        yield self.talk(ours, (yield ours.open(peer.hop("TCP"))))
        [(_, _, flow)] = peer.sink.calls
        text = flow_text(flow)
        assert peer.roads.find(text) is flow
        # The same number between other addresses is that of another process.
        transport, local, there, serial = text.split(" ")
        for wrong in (
            f"TLS {local} {there} {serial}",
            f"{transport} 127.0.0.1:1 {there} {serial}",
            f"{transport} {local} 127.0.0.1:1 {serial}",
            f"{transport} {local} {there} 999999",
            "TCP",
            "TCP a b c",
            "",
            None,
        ):
            assert peer.roads.find(wrong) is None, wrong
        lost = peer.sink.next("flow_lost")
        for stream in tuple(ours.ground.streams):
            stream.abort()
        yield lost
        assert peer.roads.find(text) is None
        assert peer.ground.flows == {}

    @inlineCallbacks
    def test_a_pair_of_addresses(self) -> Steps:
        peer, ours = self.end("udp"), self.end("udp")
        flow = yield ours.open(peer.hop("UDP"))
        came = peer.sink.next("request")
        flow.send(OPTIONS)
        text = flow_text((yield came))
        found = peer.roads.find(text)
        assert found is not None
        assert (found.local, found.peer) == (peer.hop("UDP")[1:3], ours.hop("UDP")[1:3])
        came = ours.sink.next("request")
        found.send(OPTIONS)
        yield came
        # Somebody else's socket is none of ours.
        assert ours.roads.find(text) is None

    def test_a_pair_of_addresses_on_all_addresses(self) -> None:
        everywhere = End("udp:0")
        self.addCleanup(everywhere.close)
        (port,) = [one.local.port for one in everywhere.listeners.open]
        found = everywhere.roads.find(f"UDP 127.0.0.3:{port} 127.0.0.1:4000 7")
        assert found is not None
        assert found.local == Address("127.0.0.3", port)
        assert everywhere.roads.find(f"UDP 127.0.0.3:{port + 1} 127.0.0.1:4000 7") is None


class TLS(ConnectionsTestCase):
    def setUp(self) -> None:
        self.authority = trustme.CA()
        self.trust = self.folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.trust)

    def server(self, files: CertificateFiles, client_ca: Path | None = None, **limits: Any) -> End:
        settings = TLSSettings(
            certificates=(files,),
            client_ca=client_ca,
            client_certificates="required" if client_ca else "optional",
        )
        return self.end(
            "tls", identity=TLSIdentity(settings), limits=attrs.evolve(TransportLimits(), **limits)
        )

    def named(self, *names: str, common_name: str | None = None) -> CertificateFiles:
        return certificate_files(self.authority, self.folder, *names, common_name=common_name)

    def client(self, certificate: CertificateFiles | None = None, **limits: Any) -> End:
        tls = TLSClient(TLSClientSettings(authorities=self.trust, certificate=certificate))
        return self.end("tcp", tls=tls, limits=attrs.evolve(TransportLimits(), **limits))

    @inlineCallbacks
    def test_a_request_and_its_answer(self) -> Steps:
        peer, ours = self.server(self.named(NAME)), self.client()
        flow = yield ours.open(peer.hop("TLS", NAME))
        assert (flow.transport, flow.secure) == ("TLS", True)
        assert flow.peer_certificate is not None
        yield self.talk(ours, flow)
        assert (yield ours.open(peer.hop("TLS", NAME))) is flow

    @inlineCallbacks
    def test_a_name_that_was_not_proved_is_another_connection(self) -> Steps:
        peer, ours = self.server(self.named(NAME, "other.example.com")), self.client()
        flow = yield ours.open(peer.hop("TLS", NAME))
        other = yield ours.open(peer.hop("TLS", "other.example.com"))
        assert other is not flow
        reason = yield self.fails(ours.open(peer.hop("TLS", "third.example.com")))
        assert reason.endswith("its certificate is not for third.example.com")
        plain = yield self.fails(ours.open(peer.hop("TLS")))
        assert plain == "nobody said whom to expect"

    @inlineCallbacks
    def test_wildcards_match_nothing(self) -> Steps:
        peer, ours = self.server(self.named("*.example.com")), self.client()
        reason = yield self.fails(ours.open(peer.hop("TLS", NAME)))
        assert reason.endswith(f"its certificate is not for {NAME}")
        assert ours.roads.counts() == (0, 0, 0)

    @inlineCallbacks
    def test_a_sip_uri_comes_first(self) -> Steps:
        # RFC 5922 7.1: DNS names count only when there is no sip URI.
        files = self.with_uri("sip:example.com", NAME)
        peer, ours = self.server(files), self.client()
        yield ours.open(peer.hop("TLS", "example.com"))
        reason = yield self.fails(ours.open(peer.hop("TLS", NAME)))
        assert reason.endswith(f"its certificate is not for {NAME}")

    @inlineCallbacks
    def test_an_address(self) -> Steps:
        peer, ours = self.server(self.named("127.0.0.1")), self.client()
        flow = yield ours.open(peer.hop("TLS", "127.0.0.1"))
        yield self.talk(ours, flow)
        reason = yield self.fails(ours.open(peer.hop("TLS", "127.0.0.2")))
        assert reason.endswith("its certificate is not for 127.0.0.2")

    @inlineCallbacks
    def test_an_authority_that_is_not_trusted(self) -> Steps:
        stranger = trustme.CA()
        peer = self.server(certificate_files(stranger, self.folder, NAME))
        for ours in (self.client(), self.end("tcp", tls=TLSClient(TLSClientSettings()))):
            reason = yield self.fails(ours.open(peer.hop("TLS", NAME)))
            assert "its certificate is not accepted: unable to get local issuer certificate" in reason

    @inlineCallbacks
    def test_our_certificate_is_shown_when_asked_for(self) -> Steps:
        peer = self.server(self.named(NAME), client_ca=self.trust)
        ours = self.client(self.named("ours.example.com"))
        flow = yield ours.open(peer.hop("TLS", NAME))
        yield self.talk(ours, flow)
        [(_, _, there)] = peer.sink.calls
        assert there.peer_certificate is not None
        names = x509.load_der_x509_certificate(there.peer_certificate).extensions
        dns = names.get_extension_for_class(x509.SubjectAlternativeName).value
        assert dns.get_values_for_type(x509.DNSName) == ["ours.example.com"]

    @inlineCallbacks
    def test_no_tls_there(self) -> Steps:
        peer, ours = self.end("tcp"), self.client(handshake=0.01)
        reason = yield self.fails(ours.open(peer.hop("TCP")._replace(transport="TLS", identity=NAME)))
        assert "tls:127.0.0.1" in reason
        assert ours.roads.counts() == (0, 0, 0)

    @inlineCallbacks
    def test_a_handshake_that_does_not_end(self) -> Steps:
        ours = self.client(handshake=0.01)
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            host, port = silent.getsockname()
            reason = yield self.fails(ours.open(Hop("TLS", host, port, NAME)))
        assert reason.endswith("its TLS handshake took too long")

    @inlineCallbacks
    def test_files_that_change_are_read_again(self) -> Steps:
        peer = self.server(self.named(NAME))
        ours = self.client()
        yield ours.open(peer.hop("TLS", NAME))
        self.trust.write_bytes(b"broken")
        other = peer.hop("TLS", "other.example.com")
        reason = yield self.fails(ours.open(other))
        assert reason.endswith("is not for other.example.com")  # by the old authorities
        trustme.CA().cert_pem.write_to_path(self.trust)
        reason = yield self.fails(ours.open(other))
        assert "not accepted" in reason

    def with_uri(self, uri: str, name: str) -> CertificateFiles:
        """A certificate for a ``sip`` URI and a DNS name."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer_key = serialization.load_pem_private_key(self.authority.private_key_pem.bytes(), None)
        issuer = x509.load_pem_x509_certificate(self.authority.cert_pem.bytes())
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName(name)])
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(issuer.not_valid_before_utc)
            .not_valid_after(issuer.not_valid_after_utc)
            .add_extension(names, critical=True)
            .sign(issuer_key, hashes.SHA256())  # type: ignore[arg-type]
        )
        files = CertificateFiles(self.folder / "uri.pem", self.folder / "uri.key")
        files.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        files.private_key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files


class Settings(TestCase):
    def test_files_that_are_no_good(self) -> None:
        from sipframe.transport import TLSError

        with pytest.raises(TLSError, match="No such file"):
            TLSClient(TLSClientSettings(authorities=Path("/nowhere/ca.pem")))
