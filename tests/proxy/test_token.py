"""Flow tokens (RFC 5626 5.2): ours come back, and nobody else's do."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import SipURI, parse_uri
from sipframe.proxy import FlowTokens
from sipframe.roads import FlowText
from sipframe.verdicts import Address
from tests.fakes import FakeFlow

KEY = b"k" * 20
TOKENS = FlowTokens(KEY)

hosts = st.one_of(
    st.ip_addresses().map(str),
    st.sampled_from(["::ffff:192.0.2.1", "fe80::1%eth0", "2001:DB8::1", "::1", "localhost"]),
)
addresses = st.builds(Address, hosts, st.integers(0, 65535))
flows = st.builds(
    FlowText, st.sampled_from(["UDP", "TCP", "TLS"]), addresses, addresses, st.integers(0, 2**64)
)


def known(flow: FlowText) -> FlowText:
    """What a token says of a flow: over UDP each datagram has a serial of its own, and the addresses are the flow."""
    return flow._replace(serial=0) if flow.transport == "UDP" else flow


@given(flows, st.text(max_size=20))
def test_a_token_comes_back(flow: FlowText, scope: str) -> None:
    token = TOKENS.issue(flow, scope)
    assert re.fullmatch("[A-Za-z0-9_-]+", token)
    uri = parse_uri(f"sip:{token}@example.com;lr")
    assert isinstance(uri, SipURI)
    assert TOKENS.read(uri.user, scope) == known(flow)


def test_the_token_of_a_flow() -> None:
    flow = FakeFlow("TCP", serial=300)
    token = TOKENS.issue(flow)
    assert TOKENS.read(token) == FlowText("TCP", flow.local, flow.peer, 300)
    assert len(token) == 36  # it goes out in every request and response of a dialog


@given(flows, st.text(max_size=20), st.text(max_size=20))
def test_a_token_holds_for_its_scope_alone(flow: FlowText, scope: str, other: str) -> None:
    found = TOKENS.read(TOKENS.issue(flow, scope), other)
    assert (found is not None) is (scope == other)


@given(flows)
def test_another_key_makes_another_token(flow: FlowText) -> None:
    assert FlowTokens(b"x" * 20).read(TOKENS.issue(flow)) is None


@given(flows, st.data())
def test_a_token_that_was_changed_is_none(flow: FlowText, data: st.DataObject) -> None:
    token = TOKENS.issue(flow)
    position = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABab01-_=.!/+ é"))
    changed = token[:position] + other + token[position + 1 :]
    assert TOKENS.read(changed) == (known(flow) if changed == token else None)
    assert TOKENS.read(token[:position]) is None
    assert TOKENS.read(token[:position] + other + token[position:]) is None


@given(st.one_of(st.none(), st.text(), st.text("ABCabc123-_", min_size=30, max_size=60)))
def test_what_is_no_token(text: str | None) -> None:
    assert TOKENS.read(text) is None


def test_a_key_is_long() -> None:
    with pytest.raises(ValueError, match="16 octets"):
        FlowTokens(b"short")
