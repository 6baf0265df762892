"""The fakes are what they stand in for."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from sipframe.interfaces import IFlow
from tests.fakes import FakeFlow, request, request_bytes


def test_a_flow_is_a_flow() -> None:
    assert verifyObject(IFlow, FakeFlow())


def test_a_request_is_read_from_its_octets() -> None:
    assert request("OPTIONS", "X-Y: z", cseq=7).to_bytes() == request_bytes("OPTIONS", "X-Y: z", cseq=7)
