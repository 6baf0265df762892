"""Capture files, read by hand. They were compared once with what tshark 4.0.17 makes of them: SIP, checksums good."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.tracing import Traced, pcap
from sipframe.tracing.pcap import FILE_HEADER, PacketWriter
from sipframe.verdicts import Address

HERE, THERE = Address("192.0.2.1", 5060), Address("192.0.2.7", 40_000)
HERE_6, THERE_6 = Address("2001:db8::1", 5061), Address("2001:db8::7", 40_000)


class Packet(NamedTuple):
    """What a reader finds."""

    at: float
    protocol: str
    source: str
    target: str
    data: bytes
    sequence: int = 0
    acknowledged: int = 0


def traced(octets: bytes, transport: str = "UDP", sent: bool = False, **ends: Address) -> Traced:
    local, peer = ends.get("local", HERE), ends.get("peer", THERE)
    return Traced(1_700_000_000.123456, sent, transport, local, peer, octets)


def ones_complement(octets: bytes) -> int:
    """0xffff when the checksum in ``octets`` is right (RFC 1071 1)."""
    total = 0
    for at in range(0, len(octets), 2):
        total += int.from_bytes(octets[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


def read(records: bytes) -> list[Packet]:
    """Every packet of a file; all lengths and checksums are looked at."""
    found = []
    while records:
        seconds, microseconds, stored, length = struct.unpack(">IIII", records[:16])
        packet, records = records[16 : 16 + stored], records[16 + stored :]
        assert stored == length == len(packet) <= 65_535
        found.append(packet_of(seconds + microseconds / 1e6, packet))
    return found


def packet_of(at: float, packet: bytes) -> Packet:
    if packet[0] >> 4 == 4:
        assert packet[0] == 0x45
        assert struct.unpack(">H", packet[2:4]) == (len(packet),)
        assert ones_complement(packet[:20]) == 0xFFFF
        protocol, source, target, payload = packet[9], packet[12:16], packet[16:20], packet[20:]
    else:
        assert packet[0] == 0x60
        assert struct.unpack(">H", packet[4:6]) == (len(packet) - 40,)
        protocol, source, target, payload = packet[6], packet[8:24], packet[24:40], packet[40:]
    pseudo = source + target + struct.pack(">II", len(payload), protocol)
    assert ones_complement(pseudo + payload) == 0xFFFF
    ports = struct.unpack(">HH", payload[:4])
    begin, end = (f"{ip_address(host)} {port}" for host, port in zip((source, target), ports, strict=True))
    if protocol == 17:
        assert struct.unpack(">H", payload[4:6]) == (len(payload),)
        assert payload[6:8] != b"\0\0"  # that would be none
        return Packet(at, "UDP", begin, end, payload[8:])
    assert protocol == 6
    assert payload[12:14] == b"\x50\x18"
    sequence, acknowledged = struct.unpack(">II", payload[4:12])
    return Packet(at, "TCP", begin, end, payload[20:], sequence, acknowledged)


def test_a_file_begins_as_a_capture_of_raw_ip() -> None:
    assert bytes.fromhex("a1b2c3d4 0002 0004 00000000 00000000 0000ffff 00000065") == FILE_HEADER


def test_a_datagram_each_way() -> None:
    writer = PacketWriter()
    [there, back] = read(writer.records(traced(b"question")) + writer.records(traced(b"answer!", sent=True)))
    assert there == Packet(1_700_000_000.123456, "UDP", "192.0.2.7 40000", "192.0.2.1 5060", b"question")
    assert back == Packet(1_700_000_000.123456, "UDP", "192.0.2.1 5060", "192.0.2.7 40000", b"answer!")


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_a_connection_counts_its_octets(transport: str) -> None:
    writer = PacketWriter()
    messages = [(b"abc", False), (b"defgh", True), (b"ij", False), (b"k", True)]
    found = read(b"".join([writer.records(traced(octets, transport, sent)) for octets, sent in messages]))
    assert [(one.data, one.sequence, one.acknowledged) for one in found] == [
        (b"abc", 1, 1),
        (b"defgh", 1, 4),
        (b"ij", 4, 6),
        (b"k", 6, 6),
    ]
    assert {one.protocol for one in found} == {"TCP"}


def test_a_long_message_goes_in_segments() -> None:
    octets = bytes(range(256)) * 600
    found = read(PacketWriter().records(traced(octets, "TCP")))
    assert b"".join([one.data for one in found]) == octets
    assert [one.sequence for one in found] == [1, 65_496, 130_991]


def test_the_sequence_begins_anew_behind_its_end() -> None:
    writer = PacketWriter()
    writer._next[THERE, HERE] = 2**32 - 2
    found = read(writer.records(traced(b"abcd", "TCP")) + writer.records(traced(b"e", "TCP")))
    assert [one.sequence for one in found] == [2**32 - 2, 2]


def test_connections_are_forgotten_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcap, "MOST_CONNECTIONS", 2)
    writer = PacketWriter()
    peers = [Address("192.0.2.7", port) for port in (1, 2, 1, 3, 1, 2)]
    found = read(b"".join([writer.records(traced(b"x", "TCP", peer=peer)) for peer in peers]))
    assert [one.sequence for one in found] == [1, 1, 2, 1, 3, 1]


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_version_6_and_scopes(transport: str) -> None:
    scoped = Address("fe80::7%eth0", 9)
    [packet] = read(PacketWriter().records(traced(b"x", transport, local=HERE_6, peer=scoped)))
    assert (packet.source, packet.target) == ("fe80::7 9", "2001:db8::1 5061")


@pytest.mark.parametrize(
    ("local", "peer", "expected"),
    [
        (Address("", 5060), THERE, "0.0.0.0 5060"),
        (Address("a name", 5060), THERE, "0.0.0.0 5060"),
        (Address("", 5060), THERE_6, ":: 5060"),
        (Address("0.0.0.0", 5060), THERE_6, ":: 5060"),
        (Address("", 5060), Address("", 1), "0.0.0.0 5060"),
        (Address("", 70_000), THERE, "0.0.0.0 4464"),
    ],
)
def test_ends_that_are_not_known(local: Address, peer: Address, expected: str) -> None:
    [packet] = read(PacketWriter().records(traced(b"x", local=local, peer=peer)))
    assert packet.target == expected


def test_a_redacted_datagram_that_has_become_too_long() -> None:
    [packet] = read(PacketWriter().records(traced(bytes(65_507))))
    assert len(packet.data) > 65_000


def test_a_checksum_that_comes_to_nothing_is_not_none() -> None:
    # RFC 768: an all zero checksum says that there is none; one that is zero is sent as all ones.
    writer = PacketWriter()
    checksum = slice(16 + 20 + 6, 16 + 20 + 8)
    complement = writer.records(traced(b"\0\0"))[checksum]
    assert writer.records(traced(complement))[checksum] == b"\xff\xff"


@given(
    st.binary(max_size=60), st.sampled_from(["UDP", "TCP"]), st.booleans(), st.booleans(), st.floats(-1, 4e9)
)
def test_every_checksum_is_right(octets: bytes, transport: str, sent: bool, six: bool, at: float) -> None:
    ends = {"local": HERE_6, "peer": THERE_6} if six else {}
    one = traced(octets, transport, sent, **ends)._replace(at=at)
    assert b"".join([packet.data for packet in read(PacketWriter().records(one))]) == octets
