"""Requests by a connection that the peer has made: only where it asks for that, and has proved who it is (RFC 5923)."""

from __future__ import annotations

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.testing import MemoryReactorClock

from sipframe.interfaces import IFlow
from sipframe.message import Request, parse_message
from sipframe.roads import Hop
from sipframe.transport import TransportLimits
from sipframe.transport.connections import Connections
from sipframe.transport.our_ends import OurEnds
from sipframe.transport.tls_client import TLSClient, TLSClientSettings
from tests.fakes import FakeFlow
from tests.transport.recording import RecordingSink, ground_for

PEER = "192.0.2.9"
NAME = "p1.example.com"


def certificate(name: str) -> bytes:
    chain = trustme.CA().issue_cert(name).cert_chain_pems[0].bytes()
    return x509.load_pem_x509_certificate(chain).public_bytes(Encoding.DER)


def options(via: str) -> Request:
    head = f"OPTIONS sip:p2.example.com SIP/2.0\r\nVia: SIP/2.0/{via};branch=z9hG4bKx"
    text = f"{head}\r\nFrom: <sip:p1>;tag=1\r\nTo: <sip:p2>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n"
    request = parse_message(text.encode())
    assert isinstance(request, Request)
    return request


def table(outgoing: int = 10) -> Connections:
    ground, _ = ground_for(RecordingSink(), TransportLimits(outgoing=outgoing))
    return Connections(MemoryReactorClock(), ground, OurEnds([]), TLSClient(TLSClientSettings()))


def flow_of(name: str = NAME) -> FakeFlow:
    flow = FakeFlow("TLS", PEER)
    flow.peer_certificate = certificate(name)
    return flow


def found(connections: Connections, hop: Hop) -> list[IFlow]:
    flows: list[IFlow] = []
    waiting = connections.open(hop, flows.append, lambda reason: None)
    if waiting is not None:
        waiting.cancel()
    return flows


def test_a_peer_that_asked_for_it() -> None:
    connections, flow = table(), flow_of()
    connections.alias(options("TLS p1.example.com:5081;alias"), flow)
    assert found(connections, Hop("TLS", PEER, 5081, NAME)) == [flow]
    # RFC 5923 8.2: the identity, the port and the address must be right, and the transport.
    for hop in (
        Hop("TLS", PEER, 5081, "p3.example.com"),
        Hop("TLS", PEER, 5061, NAME),
        Hop("TLS", "192.0.2.10", 5081, NAME),
        Hop("TCP", PEER, 5081),
    ):
        assert found(connections, hop) == []
    flow.alive = False
    assert found(connections, Hop("TLS", PEER, 5081, NAME)) == []


@pytest.mark.parametrize("via", ["TLS p1.example.com", "TCP p1.example.com;alias"])
def test_a_peer_that_did_not(via: str) -> None:
    connections, flow = table(), flow_of()
    connections.alias(options(via), flow)
    assert found(connections, Hop("TLS", PEER, 5061, NAME)) == []


def test_a_peer_that_is_somebody_else() -> None:
    connections, flow = table(), flow_of("evil.example.com")
    connections.alias(options("TLS p1.example.com;alias"), flow)
    assert found(connections, Hop("TLS", PEER, 5061, NAME)) == []


def test_there_are_not_more_than_connections_of_ours() -> None:
    connections, flow = table(outgoing=3), flow_of()
    for port in range(5061, 5070):
        connections.alias(options(f"TLS p1.example.com:{port};alias"), flow)
    assert len(connections._aliases) == 3
