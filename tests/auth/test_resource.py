from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.auth.resource import same_resource

DOMAINS = frozenset({"example.com", "example.net"})


@pytest.mark.parametrize(
    ("request_uri", "named"),
    [
        ("sip:example.com", "sip:example.com"),
        ("sip:example.com", "SIP:EXAMPLE.COM"),
        ("sip:example.com", "sip:127.0.0.1:5060"),
        ("sip:example.com", "sip:[::1]:5060"),
        ("sip:192.0.2.1", "sip:example.com"),
        ("sips:example.com", "sip:example.com;transport=tls"),
        ("sip:b%6fb@example.com", "sip:bob@example.com"),
        ("sip:bob@elsewhere.org;lr", "sip:bob@elsewhere.org:5060"),
        ("sip:bob@192.0.2.7:9999;ob", "sip:bob@example.com"),
        ("tel:+15551234", "tel:+15551234"),
    ],
)
def test_the_same(request_uri: str, named: str) -> None:
    assert same_resource(request_uri, named, DOMAINS)


@pytest.mark.parametrize(
    ("request_uri", "named"),
    [
        ("sip:example.com", "sip:elsewhere.org"),
        ("sip:bob@example.com", "sip:alice@example.com"),
        ("sip:bob@example.com", "sip:example.com"),
        ("sip:bob@example.com", "sip:127.0.0.1"),
        ("sip:Bob@example.com", "sip:bob@example.com"),
        ("tel:+15551234", "tel:+15551235"),
        ("sip:example.com", "tel:+15551234"),
        ("sip:example.com", ""),
        ("sip:example.com", "sip:"),
        ("sip:example.com", "/index.html"),
        ("nonsense", "sip:example.com"),
    ],
)
def test_not_the_same(request_uri: str, named: str) -> None:
    assert not same_resource(request_uri, named, DOMAINS)


@given(st.text())
def test_any_text_gets_an_answer(text: str) -> None:
    same_resource("sip:example.com", text, DOMAINS)
    same_resource(text, "sip:example.com", DOMAINS)
