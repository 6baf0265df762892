"""UDP, TCP and TLS: sockets to messages and back (RFC 3261 18), with every limit that a peer could overstep."""

from sipframe.transport.connections import Connections
from sipframe.transport.counters import TransportCounters
from sipframe.transport.flow import StreamFlow, UDPFlow, response_address
from sipframe.transport.limits import TransportLimits
from sipframe.transport.listeners import ListenAddress, Listeners, Listening
from sipframe.transport.locating import DNSClient, ResolverSettings, SIPResolver
from sipframe.transport.our_ends import OurEnds
from sipframe.transport.self_signed import SelfSigned, fingerprint_of, self_signed
from sipframe.transport.sink import Ground, Sink
from sipframe.transport.stream import StreamFactory, StreamProtocol
from sipframe.transport.tls import CertificateFiles, TLSError, TLSIdentity, TLSSettings
from sipframe.transport.tls_client import TLSClient, TLSClientSettings
from sipframe.transport.tls_layer import TLSLayer
from sipframe.transport.traffic import Passed, Traffic
from sipframe.transport.udp import UDPEndpoint

__all__ = [
    "CertificateFiles",
    "Connections",
    "DNSClient",
    "Ground",
    "ListenAddress",
    "Listeners",
    "Listening",
    "OurEnds",
    "Passed",
    "ResolverSettings",
    "SIPResolver",
    "SelfSigned",
    "Sink",
    "StreamFactory",
    "StreamFlow",
    "StreamProtocol",
    "TLSClient",
    "TLSClientSettings",
    "TLSError",
    "TLSIdentity",
    "TLSLayer",
    "TLSSettings",
    "Traffic",
    "TransportCounters",
    "TransportLimits",
    "UDPEndpoint",
    "UDPFlow",
    "fingerprint_of",
    "response_address",
    "self_signed",
]
