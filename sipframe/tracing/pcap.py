"""Messages as a capture file that Wireshark reads: the classic pcap format (draft-ietf-opsawg-pcap), raw IP packets.

Rules: addresses, ports and times are those of the messages; everything else about the packets is made up: no
handshakes, no fragments, no retransmissions of TCP. What came over TLS is written as plain TCP, so that it can be read.
Checksums are right (RFC 1071, RFC 8200 8.1). A message longer than a packet goes into several segments.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from sipframe.tracing.tracer import Traced
from sipframe.verdicts import Address

__all__ = ["FILE_HEADER", "MOST_CONNECTIONS", "PacketWriter"]

_RAW_IP: Final = 101  # LINKTYPE_RAW: the version is in the first four bits
_LONGEST: Final = 65_535
FILE_HEADER: Final = struct.pack(">IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, _LONGEST, _RAW_IP)
"""What a file begins with: big-endian, microseconds."""

MOST_CONNECTIONS: Final = 10_000
"""Directions of TCP connections whose place in the stream is remembered."""

_UDP: Final = 17
_TCP: Final = 6
_UDP_HEADER: Final = 8
_TCP_HEADER: Final = 20
_LONGEST_DATA: Final = _LONGEST - 20 - _TCP_HEADER
_PUSH_ACK: Final = 0x18
_NO_FRAGMENTS: Final = 0x4000
_HOPS: Final = 64

_End = tuple[Address, Address]


class PacketWriter:
    """Makes the records of one file, in order."""

    def __init__(self) -> None:
        self._next: dict[_End, int] = {}
        """The sequence number of the next octet from one end to the other; the direction used last stands last."""

    def records(self, traced: Traced) -> bytes:
        """The record of a message, or several."""
        ends = (traced.local, traced.peer) if traced.sent else (traced.peer, traced.local)
        octets = traced.octets
        if traced.transport == "UDP":
            # A redacted message may be a little longer than it was.
            return _record(traced.at, _packet(ends, _UDP, octets[:_LONGEST_DATA]))
        pieces = range(0, len(octets), _LONGEST_DATA)
        return b"".join(
            [_record(traced.at, self._segment(ends, octets[at : at + _LONGEST_DATA])) for at in pieces]
        )

    def _segment(self, ends: _End, data: bytes) -> bytes:
        source, target = ends
        sequence = self._next.pop(ends, 1)
        while len(self._next) >= MOST_CONNECTIONS:
            del self._next[next(iter(self._next))]
        self._next[ends] = (sequence + len(data)) % 2**32
        return _packet(ends, _TCP, data, sequence, self._next.get((target, source), 1))


def _record(at: float, packet: bytes) -> bytes:
    seconds, microseconds = divmod(max(0, round(at * 1e6)), 1_000_000)
    return struct.pack(">IIII", seconds % 2**32, microseconds, len(packet), len(packet)) + packet


def _packet(ends: _End, protocol: int, data: bytes, sequence: int = 0, acknowledged: int = 0) -> bytes:
    source, target = _numeric(*ends)
    ports = struct.pack(">HH", *[end.port % 2**16 for end in ends])
    if protocol == _UDP:
        length = _UDP_HEADER + len(data)
        before, after = ports + struct.pack(">H", length), b""
    else:
        length = _TCP_HEADER + len(data)
        flags = (_TCP_HEADER // 4) << 12 | _PUSH_ACK
        before = ports + struct.pack(">IIHH", sequence, acknowledged, flags, _LONGEST)
        after = bytes(2)  # no urgent data
    pseudo = source.packed + target.packed + struct.pack(">II", length, protocol)
    checksum = _checksum(pseudo + before + bytes(2) + after + data)
    if protocol == _UDP:
        checksum = checksum or 0xFFFF  # RFC 768: 0 says that there is none
    payload = before + struct.pack(">H", checksum) + after + data
    if isinstance(source, IPv6Address):
        header = struct.pack(">IHBB", 6 << 28, length, protocol, _HOPS)
        return header + source.packed + target.packed + payload
    first = struct.pack(">BBHHHBB", 0x45, 0, 20 + length, 0, _NO_FRAGMENTS, _HOPS, protocol)
    addresses = source.packed + target.packed
    return first + struct.pack(">H", _checksum(first + addresses)) + addresses + payload


def _numeric(*ends: Address) -> list[IPv4Address] | list[IPv6Address]:
    """The addresses, of one family: an end that is not known, such as that of a socket on all addresses, is 0."""
    found = [_parsed(end.host) for end in ends]
    if any(isinstance(one, IPv6Address) for one in found):
        return [one if isinstance(one, IPv6Address) else IPv6Address(0) for one in found]
    return [one if isinstance(one, IPv4Address) else IPv4Address(0) for one in found]


def _parsed(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _checksum(octets: bytes) -> int:
    """RFC 1071."""
    padded = octets + bytes(len(octets) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
