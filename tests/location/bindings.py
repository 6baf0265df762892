"""Bindings for tests of the stock stores, beside those of the contract."""

from __future__ import annotations

from sipframe.testing.contracts.contract import NOW
from sipframe.testing.contracts.values import a_binding
from sipframe.verdicts import Binding

__all__ = ["AOR", "FULL", "NOW", "OTHER", "a_binding"]

AOR = "sip:alice@atlanta.example.com"
OTHER = "sip:bob@biloxi.example.com"

FULL = Binding(
    contact="sip:alice@192.0.2.1:5061;transport=tls",
    expires_at=NOW + 0.5,
    call_id="a84b4c76e66710@192.0.2.1",
    cseq=2**31 - 1,
    registered_at=NOW - 0.25,
    q="0.70",
    params=';+sip.ice;methods="INVITE,BYE"',
    instance_id='"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"',
    reg_id=1,
    path=("<sip:edge1.example.com;lr>", "<sip:edge2.example.com;lr>;x=1"),
    user_agent="Softphone 1.0",
    flow="TLS 192.0.2.9:5061 192.0.2.1:40000 77",
)
