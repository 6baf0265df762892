"""What tests of the cores stand on: a flow that remembers what was sent, and requests from a few words."""

from __future__ import annotations

from typing import TypedDict, Unpack

from zope.interface import implementer

from sipframe.interfaces import IFlow
from sipframe.message import Request, Response, parse_message
from sipframe.verdicts import Address

__all__ = ["FakeFlow", "Parts", "request", "request_bytes", "response"]


@implementer(IFlow)
class FakeFlow:
    """A flow that keeps in ``sent`` what goes out; when it is dead it counts in ``dropped`` instead."""

    def __init__(self, transport: str = "UDP", peer: str = "192.0.2.7", serial: int = 1) -> None:
        self.transport = transport
        self.secure = transport == "TLS"
        self.local = Address("192.0.2.1", 5060)
        self.peer = Address(peer, 5062)
        self.serial = serial
        self.alive = True
        self.peer_certificate: bytes | None = None
        self.sent: list[bytes] = []
        self.dropped = 0

    def send(self, data: bytes) -> None:
        if self.alive:
            self.sent.append(data)
        else:
            self.dropped += 1

    def respond(self, data: bytes, via: object) -> None:
        self.send(data)

    def responses(self) -> list[Response]:
        """What was sent, read again."""
        return [response(data) for data in self.sent]

    def statuses(self) -> list[int]:
        return [one.status for one in self.responses()]


class Parts(TypedDict, total=False):
    """What a request is made of, besides its method and further fields; ``without`` names fields to leave out."""

    uri: str
    to: str
    from_: str
    call_id: str
    cseq: int | str
    branch: str
    version: str
    without: tuple[str, ...]


def request_bytes(method: str = "REGISTER", *fields: str, **parts: Unpack[Parts]) -> bytes:
    """A request with the header lines ``fields`` besides the usual ones."""
    cseq = parts.get("cseq", 1)
    lines = [
        f"Via: SIP/2.0/UDP 192.0.2.7:5062;branch={parts.get('branch', 'z9hG4bK1')}",
        "Max-Forwards: 70",
        f"From: {parts.get('from_', '<sip:bob@example.com>;tag=1')}",
        f"To: {parts.get('to', '<sip:bob@example.com>')}",
        f"Call-ID: {parts.get('call_id', 'call-1')}",
        f"CSeq: {cseq}" if isinstance(cseq, str) else f"CSeq: {cseq} {method}",
        "Content-Length: 0",
    ]
    without = parts.get("without", ())
    kept = [line for line in lines if line.partition(":")[0] not in without]
    start = f"{method} {parts.get('uri', 'sip:example.com')} {parts.get('version', 'SIP/2.0')}"
    return "\r\n".join([start, *kept, *fields, "", ""]).encode("utf-8", "surrogateescape")


def request(method: str = "REGISTER", *fields: str, **parts: Unpack[Parts]) -> Request:
    """The same, read."""
    message = parse_message(request_bytes(method, *fields, **parts))
    assert isinstance(message, Request)
    return message


def response(data: bytes) -> Response:
    message = parse_message(data)
    assert isinstance(message, Response)
    return message
