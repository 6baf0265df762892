from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from sipframe.interfaces import IFlow
from sipframe.message import Via, parse_vias
from sipframe.transport import StreamProtocol, UDPEndpoint, UDPFlow, response_address
from sipframe.verdicts import Address
from tests.transport.recording import RecordingSink, Wire, ground_for

SOURCE = ("192.0.2.7", 40_000)
SOURCE_6 = ("2001:db8::7", 40_000, 0, 0)
LINK_LOCAL = ("fe80::7", 40_000, 0, 3)


def via(rest: str) -> Via:
    [found] = parse_vias([f"SIP/2.0/UDP {rest}"])
    return found


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        # RFC 3581 4: to where it came from.
        ("phone.example.com:5070;rport;branch=z9hG4bK1", SOURCE, SOURCE),
        ("phone.example.com;branch=z9hG4bK1;rport", SOURCE, SOURCE),
        ("phone.example.com;rport=9", SOURCE, SOURCE),
        ("phone.example.com;rport", SOURCE_6, SOURCE_6),
        # RFC 3261 18.2.2: the address it came from, the port of sent-by.
        ("phone.example.com:5070;branch=z9hG4bK1", SOURCE, ("192.0.2.7", 5070)),
        ("phone.example.com;branch=z9hG4bK1", SOURCE, ("192.0.2.7", 5060)),
        ("[2001:db8::9]:5070", SOURCE_6, ("2001:db8::7", 5070, 0, 0)),
        ("phone.example.com", LINK_LOCAL, ("fe80::7", 5060, 0, 3)),
        # A received of the client's own is never believed.
        ("phone.example.com:5070;received=203.0.113.9", SOURCE, ("192.0.2.7", 5070)),
        ("phone.example.com;received=203.0.113.9;rport=9", SOURCE, SOURCE),
        # Nor is maddr, unless the settings say so.
        ("phone.example.com;maddr=203.0.113.9;rport", SOURCE, SOURCE),
        ("phone.example.com:5070;maddr=203.0.113.9", SOURCE, ("192.0.2.7", 5070)),
    ],
)
def test_where_a_response_goes(text: str, source: tuple[object, ...], expected: tuple[object, ...]) -> None:
    assert response_address(via(text), source) == expected


@pytest.mark.parametrize(
    ("maddr", "source", "expected"),
    [
        # RFC 3261 18.2.2: to maddr, at the port of sent-by. RFC 3581 4: rport counts when there is no maddr.
        ("203.0.113.9", SOURCE, ("203.0.113.9", 5070)),
        ("[2001:db8::9]", SOURCE_6, ("2001:db8::9", 5070)),
        # Never to many, to nobody, to a name, or to the other family.
        ("224.0.1.75", SOURCE, SOURCE),
        ("255.255.255.255", SOURCE, SOURCE),
        ("0.0.0.0", SOURCE, SOURCE),
        ("240.0.0.1", SOURCE, SOURCE),
        ("[ff02::1]", SOURCE_6, SOURCE_6),
        ("[::]", SOURCE_6, SOURCE_6),
        ("elsewhere.example.com", SOURCE, SOURCE),
        ("[2001:db8::9]", SOURCE, SOURCE),
        ("203.0.113.9", SOURCE_6, SOURCE_6),
    ],
)
def test_maddr_where_it_is_honoured(
    maddr: str, source: tuple[object, ...], expected: tuple[object, ...]
) -> None:
    found = via(f"phone.example.com:5070;maddr={maddr};rport")
    assert response_address(found, source, honour_maddr=True) == expected


def test_both_kinds_of_flow_provide_iflow() -> None:
    ground, _ = ground_for(RecordingSink())
    datagram = UDPFlow(UDPEndpoint(ground), SOURCE)
    verifyObject(IFlow, datagram)
    assert (datagram.transport, datagram.secure, datagram.peer) == ("UDP", False, Address(*SOURCE))
    assert datagram.peer_certificate is None
    stream = StreamProtocol(ground, secure=False)
    stream.makeConnection(Wire())
    flow = stream.flow
    verifyObject(IFlow, flow)
    assert (flow.transport, flow.secure, flow.alive) == ("TCP", False, True)
    assert (flow.local, flow.peer) == (Address("192.0.2.1", 5060), Address(*SOURCE))
    assert flow.serial != datagram.serial
    assert "192.0.2.7 port 40000" in repr(flow)
    assert "192.0.2.7 port 40000" in repr(datagram)
    stream.connectionLost()
