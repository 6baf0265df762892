"""ACK for a non-2xx and CANCEL, field by field (RFC 3261 17.1.1.3, 9.1, 22.1)."""

from __future__ import annotations

import pytest

from sipframe.message import MessageError
from sipframe.transaction import ack_bytes, cancel_bytes
from tests.transaction.fakes import response

# The example of RFC 3261 17.1.1.3, with what the rules speak of besides: a second Via, Route, credentials, a body.
INVITE = (
    b"INVITE sip:bob@biloxi.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKkjshdyff, SIP/2.0/UDP other.example.com;branch=z9hG4bK2\r\n"
    b"Via: SIP/2.0/UDP third.example.com;branch=z9hG4bK3\r\n"
    b"To: Bob <sip:bob@biloxi.com>\r\n"
    b"From: Alice <sip:alice@atlanta.com>;tag=88sja8x\r\n"
    b"Max-Forwards: 70\r\n"
    b"Route: <sip:p1.example.com;lr>\r\n"
    b"Route: <sip:p2.example.com;lr>,<sip:p3.example.com;lr>\r\n"
    b"Require: 100rel\r\n"
    b"Proxy-Require: something\r\n"
    b'Proxy-Authorization: Digest username="alice", realm="atlanta.com"\r\n'
    b'Authorization: Digest username="alice", realm="biloxi.com"\r\n'
    b"Call-ID: 987asjd97y7atg\r\n"
    b"CSeq: 986759 INVITE\r\n"
    b"Subject: caf\xc3\xa9 \xff\r\n"
    b"Content-Type: text/plain\r\n"
    b"Content-Length: 4\r\n\r\nbody"
)


def test_ack() -> None:
    assert ack_bytes(INVITE, response(486)) == (
        b"ACK sip:bob@biloxi.com SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKkjshdyff\r\n"
        b"Route: <sip:p1.example.com;lr>\r\n"
        b"Route: <sip:p2.example.com;lr>,<sip:p3.example.com;lr>\r\n"
        b"From: Alice <sip:alice@atlanta.com>;tag=88sja8x\r\n"
        b"To: <sip:bob@example.com>;tag=99sa0xk\r\n"
        b"Call-ID: 987asjd97y7atg\r\n"
        b"CSeq: 986759 ACK\r\n"
        b"Max-Forwards: 70\r\n"
        b'Authorization: Digest username="alice", realm="biloxi.com"\r\n'
        b'Proxy-Authorization: Digest username="alice", realm="atlanta.com"\r\n'
        b"Content-Length: 0\r\n\r\n"
    )


def test_cancel() -> None:
    assert cancel_bytes(INVITE) == (
        b"CANCEL sip:bob@biloxi.com SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKkjshdyff\r\n"
        b"Route: <sip:p1.example.com;lr>\r\n"
        b"Route: <sip:p2.example.com;lr>,<sip:p3.example.com;lr>\r\n"
        b"From: Alice <sip:alice@atlanta.com>;tag=88sja8x\r\n"
        b"To: Bob <sip:bob@biloxi.com>\r\n"
        b"Call-ID: 987asjd97y7atg\r\n"
        b"CSeq: 986759 CANCEL\r\n"
        b"Max-Forwards: 70\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


def test_octets_beyond_ascii_come_back_as_they_were() -> None:
    invite = INVITE.replace(b"Alice <", b"caf\xc3\xa9 <").replace(b"p1.example.com", b"p1.example.com;x=%ff")
    assert b"From: caf\xc3\xa9 <sip:alice@atlanta.com>" in ack_bytes(invite, response(486))


def test_a_response_without_to_has_no_ack() -> None:
    broken = response(486)
    del broken.fields["to"]
    with pytest.raises(MessageError):
        ack_bytes(INVITE, broken)


def test_a_response_is_no_request() -> None:
    with pytest.raises(ValueError):
        cancel_bytes(response(200).to_bytes())
