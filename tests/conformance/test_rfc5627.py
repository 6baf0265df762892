"""RFC 5627 9: the callee registers, crashes, and registers again from another address.

The requests are messages 1 and 17 as the RFC prints them (page breaks taken out, lines within ``<allOneLine>`` joined).
Digest, which the RFC leaves out, is left out. The answers are compared with messages 2 and 18; the temporary GRUUs are
the registrar's own, so only what they lead to is looked at. In message 18 the old contact has 400 seconds left, so time
passes until it has.
"""

from __future__ import annotations

from sipframe.message import Request, Response, SipURI, parse_message, parse_uri
from sipframe.registrar import RegistrarSettings
from sipframe.verdicts import Accepted, Binding, Identity, Terms
from tests.fakes import FakeFlow, response
from tests.registrar.whole import Whole

AOR = "sip:callee@example.com"
MESSAGE_1 = """\
REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnashds7
Max-Forwards: 70
From: Callee <sip:callee@example.com>;tag=a73kszlfl
Supported: gruu
To: Callee <sip:callee@example.com>
Call-ID: 1j9FpLxk3uxtm8tn@192.0.2.1
CSeq: 1 REGISTER
Contact: <sip:callee@192.0.2.1>
 ;+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"
Content-Length: 0

"""
MESSAGE_2 = """\
SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnashds7
From: Callee <sip:callee@example.com>;tag=a73kszlfl
To: Callee <sip:callee@example.com> ;tag=b88sn
Call-ID: 1j9FpLxk3uxtm8tn@192.0.2.1
CSeq: 1 REGISTER
Contact: <sip:callee@192.0.2.1>\
;pub-gruu="sip:callee@example.com\
;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"\
;temp-gruu="sip:tgruu.7hs==\
jd7vnzga5w7fajsc7-ajd6fabz0f8g5@example.com;gr"\
;+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"\
;expires=3600
Content-Length: 0

"""
MESSAGE_9 = "SUBSCRIBE sip:callee@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6 SIP/2.0"
MESSAGE_17 = """\
REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKnasbba
Max-Forwards: 70
From: Callee <sip:callee@example.com>;tag=ha8d777f0
Supported: gruu
To: Callee <sip:callee@example.com>
Call-ID: hf8asxzff8s7f@192.0.2.2
CSeq: 1 REGISTER
Contact: <sip:callee@192.0.2.2>\
;+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"
Content-Length: 0

"""
MESSAGE_18 = """\
SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKnasbba
From: Callee <sip:callee@example.com>;tag=ha8d777f0
To: Callee <sip:callee@example.com>;tag=99f8f7
Call-ID: hf8asxzff8s7f@192.0.2.2
CSeq: 1 REGISTER
Contact: <sip:callee@192.0.2.2>\
;pub-gruu="sip:callee@example.com;gr=urn:\
uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"\
;temp-gruu="sip:tgruu.7hatz6cn-098shfyq193=\
ajfux8fyg7ajqqe7@example.com;gr"\
;+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"\
;expires=3600
Contact: <sip:callee@192.0.2.1>\
;pub-gruu="sip:callee@example.com;gr=urn:\
uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"\
;temp-gruu="sip:tgruu.7hatz6cn-098shfyq193=\
ajfux8fyg7ajqqe7@example.com;gr"\
;+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"\
;expires=400
Content-Length: 0

"""


class EverybodyIsTheCallee:
    def authenticate(self, request: object, flow: object) -> object:
        return Accepted(Identity("callee", "example.com", frozenset([AOR])))


class Registrar(Whole):
    def __init__(self) -> None:
        super().__init__(authenticator=EverybodyIsTheCallee(), settings=RegistrarSettings(), terms=Terms())

    def answer_to(self, message: str) -> Response:
        flow = FakeFlow("UDP")
        self.receive(message.replace("\n", "\r\n").encode(), flow)
        (answer,) = flow.responses()
        return answer

    def led_to(self, text: str) -> tuple[Binding, ...] | None:
        """The bindings that a GRUU leads to."""
        uri = parse_uri(text)
        assert isinstance(uri, SipURI)
        found = self.gruus.resolve(uri)
        assert found is not None
        assert found.aor == AOR
        return found.targets(self.store.lookup(AOR).bindings, self.registrar_now())


def contacts(answer: Response) -> dict[str, dict[str, str | None]]:
    return {
        one.uri_text: {name: one.param(name) for name, _ in one.params if name != "temp-gruu"}
        for one in answer.contacts
    }


def temporary(answer: Response) -> set[str | None]:
    return {one.param("temp-gruu") for one in answer.contacts}


def is_as_printed(answer: Response, text: str) -> bool:
    printed = response(text.replace("\n", "\r\n").encode())
    assert answer.status == printed.status
    assert contacts(answer) == contacts(printed)
    assert len(temporary(answer)) == len(temporary(printed)) == 1
    return True


def test_9_registration_crash_and_registration() -> None:
    registrar = Registrar()
    first = registrar.answer_to(MESSAGE_1)
    assert is_as_printed(first, MESSAGE_2)
    (old,) = temporary(first)
    assert old is not None
    (binding,) = registrar.led_to(old) or ()
    assert binding.contact == "sip:callee@192.0.2.1"

    registrar.clock.advance(3200)
    second = registrar.answer_to(MESSAGE_17)
    assert is_as_printed(second, MESSAGE_18)
    # 5.1: the Call-ID is another one, so the temporary GRUUs until now are invalid.
    assert registrar.led_to(old) is None
    (new,) = temporary(second)
    assert new is not None
    # The request targeting rules will cause the request to be delivered to the most recent one.
    target = parse_message(
        "\r\n".join([MESSAGE_9, "Via: SIP/2.0/UDP host.example.com;branch=z9hG4bK9zz8", "", ""]).encode()
    )
    assert isinstance(target, Request)
    for text in (new, target.uri_text):
        assert [one.contact for one in registrar.led_to(text) or ()] == [
            "sip:callee@192.0.2.2",
            "sip:callee@192.0.2.1",
        ]
