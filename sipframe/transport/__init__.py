"""UDP, TCP and TLS: sockets to messages and back (RFC 3261 18), with every limit that a peer could overstep."""

from sipframe.transport.counters import TransportCounters
from sipframe.transport.flow import StreamFlow, UDPFlow, response_address
from sipframe.transport.limits import TransportLimits
from sipframe.transport.listeners import ListenAddress, Listeners, Listening
from sipframe.transport.self_signed import SelfSigned, fingerprint_of, self_signed
from sipframe.transport.sink import Ground, Sink
from sipframe.transport.stream import StreamFactory, StreamProtocol
from sipframe.transport.tls import CertificateFiles, TLSError, TLSIdentity, TLSSettings
from sipframe.transport.tls_layer import TLSLayer
from sipframe.transport.udp import UDPEndpoint

__all__ = [
    "CertificateFiles",
    "Ground",
    "ListenAddress",
    "Listeners",
    "Listening",
    "SelfSigned",
    "Sink",
    "StreamFactory",
    "StreamFlow",
    "StreamProtocol",
    "TLSError",
    "TLSIdentity",
    "TLSLayer",
    "TLSSettings",
    "TransportCounters",
    "TransportLimits",
    "UDPEndpoint",
    "UDPFlow",
    "fingerprint_of",
    "response_address",
    "self_signed",
]
