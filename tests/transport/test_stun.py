"""STUN, against RFC 5769's octets where it has them and against RFC 8489's rules where not."""

from __future__ import annotations

import socket
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.transport.stun import answer, is_stun

COOKIE = bytes.fromhex("2112a442")
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")

SAMPLE_REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff"
    "80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
"""RFC 5769 2.1: a request of ICE, with FINGERPRINT."""


def request(*attributes: tuple[int, bytes], kind: int = 1, fingerprint: bool = False) -> bytes:
    body = b"".join(
        name.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)
        for name, value in attributes
    )
    length = len(body) + (8 if fingerprint else 0)
    data = kind.to_bytes(2, "big") + length.to_bytes(2, "big") + COOKIE + TRANSACTION + body
    if fingerprint:
        data += b"\x80\x28\0\x04" + (crc32(data) ^ 0x5354554E).to_bytes(4, "big")
    return data


def attributes_of(message: bytes) -> dict[int, bytes]:
    assert int.from_bytes(message[2:4], "big") == len(message) - 20
    found: dict[int, bytes] = {}
    offset = 20
    while offset < len(message):
        name = int.from_bytes(message[offset : offset + 2], "big")
        length = int.from_bytes(message[offset + 2 : offset + 4], "big")
        found[name] = message[offset + 4 : offset + 4 + length]
        offset += 4 + length + -length % 4
    return found


def test_the_address_of_rfc_5769_2_2() -> None:
    # The mapped address of its sample IPv4 response, 192.0.2.1 port 32853.
    reply = answer(request(), "192.0.2.1", 32853)
    assert reply is not None
    assert reply[:2] == b"\x01\x01"
    assert reply[4:20] == COOKIE + TRANSACTION
    assert attributes_of(reply) == {0x0020: bytes.fromhex("0001a147e112a643")}


def test_the_address_of_rfc_5769_2_3() -> None:
    # The mapped address of its sample IPv6 response.
    reply = answer(request(), "2001:db8:1234:5678:11:2233:4455:6677", 32853)
    assert reply is not None
    assert attributes_of(reply) == {
        0x0020: bytes.fromhex("0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"),
    }


def test_the_request_of_rfc_5769_2_1_asks_for_more_than_we_know() -> None:
    # PRIORITY (0x0024) is ICE's and comprehension-required: RFC 8489 6.3.1 wants 420.
    assert is_stun(SAMPLE_REQUEST)
    reply = answer(SAMPLE_REQUEST, "192.0.2.1", 32853)
    assert reply is not None
    assert reply[:2] == b"\x01\x11"
    found = attributes_of(reply)
    assert found[0x0009][:4] == b"\0\0\x04\x14"
    assert found[0x000A] == b"\0\x24"
    assert found[0x8028] == (crc32(reply[:-8]) ^ 0x5354554E).to_bytes(4, "big")


def test_fingerprint_is_answered_with_fingerprint() -> None:
    reply = answer(request(fingerprint=True), "192.0.2.1", 5060)
    assert reply is not None
    assert attributes_of(reply)[0x8028] == (crc32(reply[:-8]) ^ 0x5354554E).to_bytes(4, "big")


def test_a_wrong_fingerprint_gets_no_answer() -> None:
    data = bytearray(request(fingerprint=True))
    data[-1] ^= 1
    assert answer(bytes(data), "192.0.2.1", 5060) is None


def test_attributes_that_need_no_comprehension_are_skipped() -> None:
    reply = answer(request((0x8022, b"a client"), (0x0006, b"bob")), "192.0.2.1", 5060)
    assert reply is not None
    assert list(attributes_of(reply)) == [0x0020]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (request(kind=0x0011), "an indication"),
        (request(kind=0x0101), "a response: two servers would talk for ever"),
        (request(kind=0x0111), "an error response"),
        (request(kind=0x0003), "an allocation, which is TURN"),
        (request()[:-1], "cut off"),
        (request() + b"\0", "too long"),
        (request()[:4] + b"\0\0\0\0" + request()[8:], "no cookie: RFC 3489"),
        (b"\0\1\0\4" + COOKIE + TRANSACTION + b"\x80\x22\0\x09", "an attribute longer than the message"),
        (b"\0\1\0\2" + COOKIE + TRANSACTION + b"\0\0", "half an attribute"),
        (b"", "nothing"),
    ],
)
def test_no_answer(data: bytes, why: str) -> None:
    assert answer(data, "192.0.2.1", 5060) is None, why


@given(st.binary(max_size=200), st.booleans())
def test_any_octets_are_read_without_an_exception(data: bytes, header: bool) -> None:
    if header:
        data = data[: len(data) // 4 * 4]
        data = b"\0\1" + len(data).to_bytes(2, "big") + COOKIE + TRANSACTION + data
    for host in ("192.0.2.1", "2001:db8::1"):
        reply = answer(data, host, 5060)
        assert reply is None or len(reply) <= len(data) + 32


@given(st.ip_addresses(v=4), st.integers(0, 65_535))
def test_the_address_comes_back(host: object, port: int) -> None:
    reply = answer(request(), str(host), port)
    assert reply is not None
    value = attributes_of(reply)[0x0020]
    assert int.from_bytes(value[2:4], "big") ^ 0x2112 == port
    unmasked = bytes(octet ^ mask for octet, mask in zip(value[4:], COOKIE, strict=True))
    assert socket.inet_ntoa(unmasked) == str(host)
