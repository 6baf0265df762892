"""All pure parts together: the dialog of RFC 5658 figure 3 by a proxy between IPv4 and IPv6, from INVITE to BYE."""

from __future__ import annotations

from sipframe.message import Request, Response, SipURI, parse_message
from sipframe.proxy import (
    Branches,
    Copy,
    FlowTokens,
    Valid,
    Validation,
    forwarded_request,
    forwarded_response,
    preprocess,
    record_routes,
    validate,
    way,
)
from sipframe.roads import FlowText, OurEnd
from sipframe.verdicts import Address

V4 = OurEnd("UDP", "192.0.2.254", 5060)
V6 = OurEnd("UDP", "2001:db8::1", 5060)
UA1 = FlowText("UDP", Address("192.0.2.254", 5060), Address("192.0.2.1", 5060), 0)
UA2 = FlowText("UDP", Address("2001:db8::1", 5060), Address("2001:db8::33", 5060), 0)
BOB = "sip:bob@[2001:db8::33]"
ALICE = "sip:alice@192.0.2.1"


class Proxy:
    """P1 of RFC 5658 5: just enough of a driver."""

    def __init__(self) -> None:
        self.branches = Branches(b"k" * 16)
        self.tokens = FlowTokens(b"k" * 16)
        self.scope = ""
        self.count = 0

    def recorded(self, uri: SipURI) -> bool:
        return self.tokens.read(uri.user, self.scope) is not None

    def here(self, uri: SipURI) -> bool:
        return uri.host in ("192.0.2.254", "[2001:db8::1]")

    def maddr(self, uri: SipURI) -> bool:
        return False

    def forward(
        self, data: bytes, came_by: FlowText, target: str | None = None
    ) -> tuple[Request, list[FlowText | None]]:
        """The request as it goes out, and the flows that its Routes of ours tell of."""
        request = parse_message(data)
        assert isinstance(request, Request)
        self.scope = request.call_id
        loop = self.branches.loop_part(request)
        valid = validate(request, self.branches, loop, Validation())
        assert isinstance(valid, Valid)
        come = preprocess(request, self)
        one = way(come, target or come.uri_text)
        other, ends = (UA2, (V4, V6)) if came_by is UA1 else (UA1, (V6, V4))
        flows = (self.tokens.issue(came_by, self.scope), self.tokens.issue(other, self.scope))
        records = record_routes(*ends, *flows) if request.method == "INVITE" else ()
        self.count += 1
        branch = self.branches.branch(f"{self.count:016x}", loop)
        via = f"SIP/2.0/{ends[1].transport} {ends[1].sent_by};branch={branch}"
        copy = Copy(one, via, valid.max_forwards, valid.breadth, records)
        out = parse_message(forwarded_request(request, (came_by.peer.host, came_by.peer.port), copy))
        assert isinstance(out, Request)
        return out, [self.tokens.read(uri.user, self.scope) for uri in come.taken]


def sent(method: str, uri: str, via: str, *fields: str) -> bytes:
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {via};branch=z9hG4bK{method}",
        "Max-Forwards: 70",
        "From: <sip:alice@atlanta.example.com>;tag=1234",
        "To: <sip:bob@biloxi.example.com>",
        "Call-ID: a-call",
        f"CSeq: 1 {method}",
        *fields,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def answered(request: Request) -> Response:
    fields = [line for line in request.lines if line.startswith(("Via", "Record-Route", "From", "To", "C"))]
    message = parse_message("\r\n".join(["SIP/2.0 200 OK", *fields, "", ""]).encode())
    assert isinstance(message, Response)
    return message


def test_a_dialog_between_two_networks() -> None:
    proxy = Proxy()
    invite = sent("INVITE", "sip:bob@biloxi.example.com", "192.0.2.1", "Route: <sip:192.0.2.254:5060;lr>")
    f2, flows = proxy.forward(invite, UA1, BOB)
    assert (f2.uri_text, f2.all("route"), flows) == (BOB, [], [None])
    hosts = [route.uri.host for route in f2.record_routes if isinstance(route.uri, SipURI)]
    assert hosts == ["[2001:db8::1]", "192.0.2.254"]

    f4 = parse_message(forwarded_response(answered(f2)) or b"")
    assert [via.host for via in f4.vias] == ["192.0.2.1"]
    assert f4.all("record-route") == f2.all("record-route")  # RFC 5658 4: nothing is rewritten

    # F5: the caller's route set is the record, reversed; the callee's is the record as it stands (12.1).
    routes = [f"Route: {value}" for value in reversed(f4.all("record-route"))]
    f6, flows = proxy.forward(sent("ACK", BOB, "192.0.2.1", *routes), UA1)
    assert (f6.uri_text, f6.all("route"), flows) == (BOB, [], [UA1, UA2])
    routes = [f"Route: {value}" for value in f2.all("record-route")]
    f8, flows = proxy.forward(sent("BYE", ALICE, "[2001:db8::33]", *routes), UA2)
    assert (f8.uri_text, f8.all("route"), flows) == (ALICE, [], [UA2, UA1])


def test_a_strict_router_between_it_and_a_phone() -> None:
    proxy = Proxy()
    f2, _ = proxy.forward(sent("INVITE", BOB, "192.0.2.1"), UA1)
    upper, lower = f2.all("record-route")
    # A strict router puts the first Route into the Request-URI, and the target last.
    routes = [f"Route: {lower}", f"Route: <{ALICE}>"]
    f8, flows = proxy.forward(sent("BYE", upper[1:-1], "[2001:db8::33]", *routes), UA2)
    assert (f8.uri_text, f8.all("route"), flows) == (ALICE, [], [UA2, UA1])


def test_a_token_of_another_dialog_is_no_token() -> None:
    proxy = Proxy()
    f2, _ = proxy.forward(sent("INVITE", BOB, "192.0.2.1"), UA1)
    routes = [f"Route: {value}" for value in f2.all("record-route")]
    other = sent("BYE", ALICE, "[2001:db8::33]", *routes).replace(b"a-call", b"another")
    _, flows = proxy.forward(other, UA2)
    assert flows == [None, None]
