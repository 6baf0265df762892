from __future__ import annotations

import pytest

from sipframe.message import SipURI, parse_uri
from sipframe.ua import Server, parse_server, server_of


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("udp:localhost", Server("UDP", "localhost", 5060)),
        ("TCP:192.0.2.1:5070", Server("TCP", "192.0.2.1", 5070)),
        ("tls:example.com", Server("TLS", "example.com", 5061)),
        ("tls:[::1]:5099", Server("TLS", "::1", 5099)),
        ("tls:[2001:db8::1]", Server("TLS", "2001:db8::1", 5061)),
    ],
)
def test_read_and_written(text: str, server: Server) -> None:
    assert parse_server(text) == server
    assert parse_server(str(server)) == server


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "localhost:5060", "udp:", "udp::5060", "sctp:a:1", "udp:a:0", "udp:a:65536", "udp:a:x",
     "udp:a:1:2",
     "tls:[::1",
     "tls:[::1]5061", "tls:[192.0.2.1]:1", "tls:[x]:1", "udp:::1"],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_server(text)


@pytest.mark.parametrize(
    ("aor", "server"),
    [
        ("sip:bob@example.com", Server("UDP", "example.com", 5060)),
        ("sips:bob@example.com", Server("TLS", "example.com", 5061)),
        ("sip:bob@[::1]:5070", Server("UDP", "::1", 5070)),
    ],
)
def test_where_an_aor_is_registered_when_nobody_says(aor: str, server: Server) -> None:
    uri = parse_uri(aor)
    assert isinstance(uri, SipURI)
    assert server_of(uri) == server
