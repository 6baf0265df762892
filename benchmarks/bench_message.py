"""The grammar's cost in microseconds of CPU per message, for a REGISTER with nine header fields.

Run: python benchmarks/bench_message.py. Each figure is the least of many short slices of process time, on one core.
Every message differs in user, branch, tag and Call-ID, and there are more of them than parsed URIs are remembered;
where it says "one phone" the same URIs come again and again, as they do from a phone that refreshes.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sipframe.message import (
    Request,
    SipURI,
    StreamFramer,
    aor_of,
    equivalent,
    parse_message,
    parse_uri,
    response_bytes,
)

T = TypeVar("T")

MESSAGES = 10_000
SLICE = 500
ROUNDS = 2
SOURCE = ("192.0.2.101", 5060)
CONTACT = "Contact: <sip:user-0@10.0.0.5:5060;transport=udp>;expires=3600\r\n"


def register(number: int, *, credentials: bool = False, same: bool = False) -> bytes:
    """A REGISTER as a phone behind a NAT sends it."""
    user = "user-0" if same else f"user-{number}"
    lines = [
        "REGISTER sip:registrar.example.com SIP/2.0",
        f"Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bK-{number:08x}-1;rport",
        "Max-Forwards: 70",
        f"From: <sip:{user}@example.com>;tag=9fx{number:06x}",
        f"To: <sip:{user}@example.com>",
        f"Call-ID: {number:08x}-843817637684230@10.0.0.5",
        f"CSeq: {number + 1} REGISTER",
        f"Contact: <sip:{user}@10.0.0.5:5060;transport=udp>",
        "Expires: 3600",
        "Content-Length: 0",
    ]
    if credentials:
        lines.insert(
            -1,
            f'Authorization: Digest username="{user}", realm="example.com", '
            f'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c0{number:08x}", uri="sip:registrar.example.com", '
            'response="6629fae49393a05397450978507c4ef1", algorithm=MD5, cnonce="0a4f113b", qop=auth, nc=00000001',
        )
    return "\r\n".join([*lines, "", ""]).encode()


def registers(*, credentials: bool = False, same: bool = False) -> list[bytes]:
    return [register(number, credentials=credentials, same=same) for number in range(MESSAGES)]


def parsed(data: bytes) -> Request:
    request = parse_message(data)
    assert type(request) is Request
    return request


def parse_and_read(data: bytes) -> Request:
    """Ask for every value that the answer to a REGISTER depends on."""
    request = parsed(data)
    _ = request.via.branch, request.via.sent_by, request.from_.tag, request.call_id, request.cseq
    _ = request.uri, request.max_forwards, request.expires, request.require
    to = request.to.uri
    assert type(to) is SipURI
    aor_of(to)
    for contact in request.contacts:
        _ = contact.uri, contact.expires, contact.q
    _ = request.contact_star, request.credentials
    return request


def frame(data: bytes) -> None:
    framer = StreamFramer()
    framer.feed(data)
    framer.next()


def respond(request: Request) -> None:
    response_bytes(request, 200, "OK", "7fx1234567890abc", CONTACT, SOURCE, request.via)


def least(work: Callable[[T], object], things: Sequence[T]) -> float:
    """Microseconds for one of ``things`` in the slice of them that took the least time."""
    best = float("inf")
    gc.collect()
    for _ in range(ROUNDS):
        for start in range(0, len(things), SLICE):
            slice_ = things[start : start + SLICE]
            began = process_time()
            for one in slice_:
                work(one)
            best = min(best, process_time() - began)
    return best / SLICE * 1e6


def main() -> None:
    fresh = registers()
    signed = registers(credentials=True)
    requests = [parse_and_read(data) for data in fresh]
    texts = [f"sip:user-{number}@192.0.2.{number % 250}:5060;transport=tcp" for number in range(MESSAGES)]
    contact = parse_uri(texts[0])
    others = [parse_uri(text.replace("sip:user-", "sip:%75ser-")) for text in texts]
    rows = [
        ("parse", least(parsed, fresh)),
        ("parse, Authorization", least(parsed, signed)),
        ("frame and parse (stream)", least(frame, fresh)),
        ("parse + fields of a registrar", least(parse_and_read, fresh)),
        ("parse + fields, one phone", least(parse_and_read, registers(same=True))),
        ("parse + fields, Authorization", least(parse_and_read, signed)),
        (
            "parse + fields, Authorization, one phone",
            least(parse_and_read, registers(credentials=True, same=True)),
        ),
        ("serialise (to_bytes)", least(Request.to_bytes, requests)),
        ("response (200, one Contact)", least(respond, requests)),
        ("one new URI", least(parse_uri, texts)),
        ("one comparison of URIs", least(lambda other: equivalent(contact, other), others)),
    ]
    print(f"{'us':>48}")
    for name, cost in rows:
        print(f"{name:<42}{cost:6.2f}")


if __name__ == "__main__":
    main()
