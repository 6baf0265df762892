"""The little of STUN that a SIP port speaks: binding requests are answered (RFC 5626 3.5.2 and 8, RFC 8489).

Rules: a pure function of one datagram. An answer is never more than 32 octets longer than its question, and never goes
out for anything but a sound request, so that nobody can have two servers answer each other.
"""

from __future__ import annotations

import socket
from struct import Struct
from zlib import crc32

__all__ = ["answer", "is_stun"]

_HEADER = Struct(">HHI12s")
_ATTRIBUTE = Struct(">HH")
_COOKIE = 0x2112A442
_COOKIE_OCTETS = _COOKIE.to_bytes(4, "big")

_BINDING_REQUEST = 0x0001
_BINDING_SUCCESS = 0x0101
_BINDING_ERROR = 0x0111

_UNKNOWN_ATTRIBUTES = 0x000A
_ERROR_CODE = 0x0009
_XOR_MAPPED_ADDRESS = 0x0020
_FINGERPRINT = 0x8028
_FINGERPRINT_MASK = 0x5354554E
_UNDERSTOOD = frozenset({0x0006, 0x0008, 0x001C, 0x001D, 0x001E, 0x0014, 0x0015})
"""Of credentials: this usage has none and needs none (RFC 5626 8), so they may stand there (RFC 8489 9)."""


def is_stun(datagram: bytes) -> bool:
    """Whether this is STUN and not SIP (RFC 8489 7, RFC 5626 8): two zero bits, the cookie, a length that fits."""
    return (
        len(datagram) >= 20
        and datagram[0] < 0x40
        and datagram[4:8] == _COOKIE_OCTETS
        and len(datagram) % 4 == 0
        and int.from_bytes(datagram[2:4], "big") == len(datagram) - 20
    )


def answer(datagram: bytes, host: str, port: int) -> bytes | None:
    """The answer to ``datagram`` from ``host`` (numeric) and ``port``; None when it deserves none."""
    if not is_stun(datagram):
        return None
    kind, _, _, transaction = _HEADER.unpack_from(datagram)
    if kind != _BINDING_REQUEST:
        return None
    unknown: list[int] = []
    fingerprint = False
    offset = 20
    while offset < len(datagram):
        name, length = _ATTRIBUTE.unpack_from(datagram, offset)
        end = offset + 4 + length
        if fingerprint or end > len(datagram):
            return None  # RFC 8489 14.7: FINGERPRINT is the last one
        if name == _FINGERPRINT:
            fingerprint = True
            wanted = crc32(datagram[:offset]) ^ _FINGERPRINT_MASK
            if datagram[offset + 4 : end] != wanted.to_bytes(4, "big"):
                return None
        elif name < 0x8000 and name not in _UNDERSTOOD:
            unknown.append(name)  # RFC 8489 6.3.1: comprehension-required
        offset = end + -length % 4
    if unknown:
        numbers = b"".join([name.to_bytes(2, "big") for name in unknown])
        reason = b"\0\0\x04\x14Unknown Attribute"
        attributes = _attribute(_ERROR_CODE, reason) + _attribute(_UNKNOWN_ATTRIBUTES, numbers)
        return _message(_BINDING_ERROR, transaction, attributes, fingerprint)
    attributes = _attribute(_XOR_MAPPED_ADDRESS, _xor_mapped(host, port, transaction))
    return _message(_BINDING_SUCCESS, transaction, attributes, fingerprint)


def _xor_mapped(host: str, port: int, transaction: bytes) -> bytes:
    # RFC 8489 14.2
    if ":" in host:
        family, packed = 2, socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    else:
        family, packed = 1, socket.inet_pton(socket.AF_INET, host)
    mask = _COOKIE_OCTETS + transaction
    hidden = bytes([octet ^ other for octet, other in zip(packed, mask, strict=False)])
    return bytes((0, family)) + (port ^ (_COOKIE >> 16)).to_bytes(2, "big") + hidden


def _attribute(name: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(name, len(value)) + value + bytes(-len(value) % 4)


def _message(kind: int, transaction: bytes, attributes: bytes, fingerprint: bool) -> bytes:
    length = len(attributes) + (8 if fingerprint else 0)
    data = _HEADER.pack(kind, length, _COOKIE, transaction) + attributes
    if fingerprint:
        check = crc32(data) ^ _FINGERPRINT_MASK
        data += _attribute(_FINGERPRINT, check.to_bytes(4, "big"))
    return data
