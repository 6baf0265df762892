"""What the pure parts of the proxy cost: microseconds of CPU per message, from the parsed request to the octets.

Constant work: each figure is the best of ROUNDS rounds of COUNT messages. A request is parsed anew for each message
before the clock starts, with Via, From, To, Call-ID and CSeq read, as the transaction layer and the core have done when
a proxy gets it. Nothing is sent and nothing is looked up.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TypeVar

from sipframe.message import Request, Response, SipURI, parse_message
from sipframe.proxy import (
    Branches,
    Copy,
    FlowTokens,
    ResponseContext,
    Valid,
    Validation,
    forwarded_request,
    forwarded_response,
    preprocess,
    record_routes,
    target_of,
    validate,
    way,
)
from sipframe.roads import FlowText, OurEnd
from sipframe.verdicts import Address

T = TypeVar("T")

COUNT = 5_000
ROUNDS = 5
BRANCHES = Branches(b"k" * 32)
TOKENS = FlowTokens(b"k" * 32)
SETTINGS = Validation()
UDP = OurEnd("UDP", "192.0.2.1", 5060)
SOURCE = ("192.0.2.7", 5062)
FLOW = FlowText("UDP", Address("192.0.2.1", 5060), Address("192.0.2.7", 5062), 7)
BODY = (
    "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"
    "m=audio 49172 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\n"
)
TARGET = target_of("sip:bob@192.0.2.9:5066;transport=udp")


class Ours:
    def recorded(self, uri: SipURI) -> bool:
        return TOKENS.read(uri.user, "call-1") is not None

    def here(self, uri: SipURI) -> bool:
        return uri.host == "192.0.2.1" or self.recorded(uri)

    def maddr(self, uri: SipURI) -> bool:
        return False


def request_octets(method: str, uri: str, *fields: str, body: str = "") -> bytes:
    lines = [
        f"{method} {uri} SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK776asdhds;rport",
        "Max-Forwards: 70",
        *fields,
        "From: Alice <sip:alice@example.com>;tag=1928301774",
        "To: Bob <sip:bob@example.com>",
        "Call-ID: call-1",
        f"CSeq: 314159 {method}",
        "Contact: <sip:alice@192.0.2.7:5062>",
        "User-Agent: Phone/1.0",
        "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS",
        "Content-Type: application/sdp",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", body]).encode()


def response_octets(status: int) -> bytes:
    lines = [
        f"SIP/2.0 {status} OK",
        "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKours;rport=5060",
        "Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK776asdhds;rport=5062;received=192.0.2.7",
        "Record-Route: <sip:192.0.2.1:5060;lr>",
        "From: Alice <sip:alice@example.com>;tag=1928301774",
        "To: Bob <sip:bob@example.com>;tag=a6c85cf",
        "Call-ID: call-1",
        "CSeq: 314159 INVITE",
        "Contact: <sip:bob@192.0.2.9:5066>",
        "Content-Type: application/sdp",
        f"Content-Length: {len(BODY)}",
    ]
    return "\r\n".join([*lines, "", BODY]).encode()


def requests(data: bytes) -> list[Request]:
    found = []
    for _ in range(COUNT):
        message = parse_message(data)
        assert isinstance(message, Request)
        _ = message.via, message.from_, message.to, message.call_id, message.cseq
        found.append(message)
    return found


def responses(data: bytes) -> list[Response]:
    found = []
    for _ in range(COUNT):
        message = parse_message(data)
        assert isinstance(message, Response)
        _ = message.via, message.cseq
        found.append(message)
    return found


def best(name: str, given: Callable[[], list[T]], work: Callable[[T], object]) -> None:
    times = []
    for _ in range(ROUNDS):
        messages = given()
        gc.collect()
        begin = time.process_time()
        for message in messages:
            _ = work(message)
        times.append((time.process_time() - begin) / COUNT * 1e6)
    print(f"{name:62} {min(times):6.2f} us")


def proxied(request: Request) -> bytes:
    """All that is pure between an INVITE and its copy, Record-Route and response context included."""
    loop = BRANCHES.loop_part(request)
    valid = validate(request, BRANCHES, loop, SETTINGS)
    assert isinstance(valid, Valid)
    come = preprocess(request, OURS)
    context = ResponseContext(request.method, valid.breadth)
    assert TARGET is not None
    context.add_targets((TARGET,))
    one = way(come, TARGET.uri)
    via = f"SIP/2.0/UDP {UDP.sent_by};branch={BRANCHES.branch('0123456789abcdef', loop)};rport"
    routes = record_routes(UDP, UDP, TOKENS.issue(FLOW, request.call_id))
    data = forwarded_request(request, SOURCE, Copy(one, via, valid.max_forwards, valid.breadth, routes))
    context.started(0)
    return data


def in_dialog(request: Request) -> bytes:
    """The same for a BYE with a Route of ours."""
    loop = BRANCHES.loop_part(request)
    valid = validate(request, BRANCHES, loop, SETTINGS)
    assert isinstance(valid, Valid)
    come = preprocess(request, OURS)
    context = ResponseContext(request.method, valid.breadth)
    target = target_of(come.uri_text)
    assert target is not None
    context.add_targets((target,))
    one = way(come, come.uri_text)
    via = f"SIP/2.0/UDP {UDP.sent_by};branch={BRANCHES.branch('0123456789abcdef', loop)};rport"
    data = forwarded_request(request, SOURCE, Copy(one, via, valid.max_forwards, valid.breadth))
    context.started(0)
    return data


def a_call(_: object) -> None:
    context = ResponseContext("INVITE")
    assert TARGET is not None
    context.add_targets((TARGET,))
    context.started(0)
    context.response(0, TRYING)
    context.response(0, RINGING)
    context.response(0, OK)
    assert context.done


def parsed(status: int) -> Response:
    return responses(response_octets(status))[0]


OURS = Ours()
TRYING, RINGING, OK = parsed(100), parsed(180), parsed(200)


def main() -> None:
    invite = request_octets("INVITE", "sip:bob@example.com", body=BODY)
    route = f"Route: <sip:{TOKENS.issue(FLOW, 'call-1')}@192.0.2.1:5060;lr>"
    bye = request_octets("BYE", "sip:bob@192.0.2.9:5066", route)
    straight = Copy(way(preprocess(requests(invite)[0], OURS), "sip:bob@192.0.2.9"), "SIP/2.0/UDP a", 69, 60)
    parts = [BRANCHES.loop_part(requests(invite)[0])]

    def invites() -> list[Request]:
        return requests(invite)

    best("loop_part", invites, BRANCHES.loop_part)
    best("validate", invites, lambda request: validate(request, BRANCHES, parts[0], SETTINGS))
    best("preprocess, INVITE without Route", invites, lambda request: preprocess(request, OURS))
    best("preprocess, BYE with a Route of ours", lambda: requests(bye), lambda one: preprocess(one, OURS))
    best("forwarded_request", invites, lambda request: forwarded_request(request, SOURCE, straight))
    best("forwarded_response, 200 with a body", lambda: responses(response_octets(200)), forwarded_response)
    best("FlowTokens.issue", invites, lambda request: TOKENS.issue(FLOW, "call-1"))
    token = TOKENS.issue(FLOW, "call-1")
    best("FlowTokens.read", invites, lambda request: TOKENS.read(token, "call-1"))
    best("response context: one branch, 100, 180, 200", invites, a_call)
    best("all of it, INVITE with Record-Route and token", invites, proxied)
    best("all of it, BYE with a Route of ours", lambda: requests(bye), in_dialog)


if __name__ == "__main__":
    main()
