"""RFC 5626 9.2 and 9.4: registrations through two edge proxies, as the registrar sees them.

The requests are messages #9, #13 and #38 of the RFC as it prints them (page breaks taken out), and what it says of the
messages in between: each edge proxy takes off its Route, puts its Via on top (that of message #11 for EP1) and adds the
Path that is printed. Digest, which the RFC leaves out, is left out: whoever comes is Bob. The answers are #11 and #16.
Message #38 is printed without Via and Max-Forwards; it has those of #9 here, with a branch of its own. The tag of To is
the registrar's own affair, and so is Supported in an answer.
"""

from __future__ import annotations

from sipframe.message import NameAddr, Response
from sipframe.registrar import RegistrarSettings
from sipframe.verdicts import Accepted, Identity, Terms
from tests.fakes import FakeFlow, response
from tests.registrar.whole import AOR, Whole

MESSAGE_9 = """\
REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKnashds7
Max-Forwards: 70
From: Bob <sip:bob@example.com>;tag=7F94778B653B
To: Bob <sip:bob@example.com>
Call-ID: 16CB75F21C70
CSeq: 1 REGISTER
Supported: path, outbound
Route: <sip:ep1.example.com;lr>
Contact: <sip:bob@192.0.2.2;transport=tcp>;reg-id=1
 ;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"
Content-Length: 0

"""
PATH_10 = "<sip:VskztcQ/S8p4WPbOnHbuyh5iJvJIW3ib@ep1.example.com;lr;ob>"
MESSAGE_11 = """\
SIP/2.0 200 OK
Via: SIP/2.0/TCP 192.0.2.15;branch=z9hG4bKnuiqisi
Via: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKnashds7
From: Bob <sip:bob@example.com>;tag=7F94778B653B
To: Bob <sip:bob@example.com>;tag=6AF99445E44A
Call-ID: 16CB75F21C70
CSeq: 1 REGISTER
Supported: path, outbound
Require: outbound
Contact: <sip:bob@192.0.2.2;transport=tcp>;reg-id=1;expires=3600
 ;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"
Path: <sip:VskztcQ/S8p4WPbOnHbuyh5iJvJIW3ib@ep1.example.com;lr;ob>
Content-Length: 0

"""
MESSAGE_13 = """\
REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKnqr9bym
Max-Forwards: 70
From: Bob <sip:bob@example.com>;tag=755285EABDE2
To: Bob <sip:bob@example.com>
Call-ID: E05133BD26DD
CSeq: 1 REGISTER
Supported: path, outbound
Route: <sip:ep2.example.com;lr>
Contact: <sip:bob@192.0.2.2;transport=tcp>;reg-id=2
 ;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"
Content-Length: 0

"""
PATH_14 = "<sip:wazHDLdIMtUg6r0I/oRZ15zx3zHE1w1Z@ep2.example.com;lr;ob>"
MESSAGE_16 = """\
SIP/2.0 200 OK
Via: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKnqr9bym
From: Bob <sip:bob@example.com>;tag=755285EABDE2
To: Bob <sip:bob@example.com>;tag=49A9AD0B3F6A
Call-ID: E05133BD26DD
Supported: path, outbound
Require: outbound
CSeq: 1 REGISTER
Contact: <sip:bob@192.0.2.2;transport=tcp>;reg-id=1;expires=3600
 ;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"
Contact: <sip:bob@192.0.2.2;transport=tcp>;reg-id=2;expires=3600
 ;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"
Path: <sip:wazHDLdIMtUg6r0I/oRZ15zx3zHE1w1Z@ep2.example.com;lr;ob>
Content-Length: 0

"""
MESSAGE_38 = """\
REGISTER sip:example.com SIP/2.0
From: Bob <sip:bob@example.com>;tag=7F94778B653B
To: Bob <sip:bob@example.com>
Call-ID: 16CB75F21C70
CSeq: 2 REGISTER
Supported: path, outbound
Route: <sip:ep1.example.com;lr>
Contact: <sip:bob@192.0.2.2;transport=tcp>;reg-id=1
 ;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"

"""
PATH_39 = "<sip:3yJEbr1GYZK9cPYk5Snocez6DzO7w+AX@ep1.example.com;lr;ob>"

EP1 = "SIP/2.0/TCP 192.0.2.15;branch=z9hG4bKnuiqisi"
EP1_AGAIN = "SIP/2.0/TCP 192.0.2.15;branch=z9hG4bKep1"
EP2 = "SIP/2.0/TCP 192.0.2.16;branch=z9hG4bKep2"
WITHOUT_VIA = """\
Via: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKnashds8
Max-Forwards: 70
"""


class EverybodyIsBob:
    def authenticate(self, request: object, flow: object) -> object:
        return Accepted(Identity("bob", "example.com", frozenset([AOR])))


class Registrar(Whole):
    def __init__(self) -> None:
        super().__init__(authenticator=EverybodyIsBob(), settings=RegistrarSettings(), terms=Terms())

    def through(self, message: str, via: str, path: str) -> Response:
        """``message`` as an edge proxy forwards it; the answer."""
        lines = [line for line in message.split("\n") if not line.startswith("Route:")]
        lines[1:1] = [f"Via: {via}"]
        lines.insert(-2, f"Path: {path}")
        return self.answer_to(lines)

    def answer_to(self, lines: list[str]) -> Response:
        edge = FakeFlow("TCP", peer="192.0.2.15")
        self.receive("\r\n".join(lines).encode(), edge)
        (answer,) = edge.responses()
        return answer


def contacts(answer: Response) -> list[tuple[str, dict[str, str | None]]]:
    """The order of parameters is nobody's business."""
    return [(one.uri_text, dict(one.params)) for one in answer.contacts]


def is_as_printed(answer: Response, text: str) -> bool:
    printed = response(text.replace("\n", "\r\n").encode())
    assert (answer.status, answer.reason) == (printed.status, printed.reason)
    assert contacts(answer) == contacts(printed)
    for name in ("from", "call-id", "cseq", "require", "path", "content-length"):
        assert answer.all(name) == printed.all(name), name
    assert without_tag(answer.to) == without_tag(printed.to)
    return True


def without_tag(value: NameAddr) -> tuple[str, str]:
    return value.display, value.uri_text


def test_9_2_registration_through_two_edge_proxies() -> None:
    registrar = Registrar()
    first = registrar.through(MESSAGE_9, EP1, PATH_10)
    assert is_as_printed(first, MESSAGE_11)
    assert [via.sent_by for via in first.vias] == [("192.0.2.15", None), ("192.0.2.2", None)]
    assert is_as_printed(registrar.through(MESSAGE_13, EP2, PATH_14), MESSAGE_16)
    assert [one.path for one in registrar.store.lookup(AOR).bindings] == [(PATH_10,), (PATH_14,)]


def test_9_4_a_flow_that_failed_is_registered_again() -> None:
    registrar = Registrar()
    _ = registrar.through(MESSAGE_9, EP1, PATH_10)
    _ = registrar.through(MESSAGE_13, EP2, PATH_14)
    registrar.clock.advance(130)
    start, _, rest = MESSAGE_38.partition("\n")
    answer = registrar.through(f"{start}\n{WITHOUT_VIA}{rest}", EP1_AGAIN, PATH_39)
    assert answer.status == 200
    assert answer.all("path") == [PATH_39]
    bindings = registrar.store.lookup(AOR).bindings
    assert [(one.reg_id, one.path) for one in bindings] == [(1, (PATH_39,)), (2, (PATH_14,))]


def test_11_6_a_first_hop_that_keeps_no_flow() -> None:
    answer = Registrar().through(MESSAGE_9, EP1, "<sip:ep1.example.com;lr>")
    assert (answer.status, answer.reason) == (439, "First Hop Lacks Outbound Support")
