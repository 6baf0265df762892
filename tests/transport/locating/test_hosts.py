"""The hosts file: what it says comes first, and it may change."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.task import Clock

from sipframe.message import SipURI, parse_uri
from sipframe.transport import ResolverSettings, SIPResolver
from sipframe.transport.locating.hosts import HostsFile
from tests.transport.name_servers import FakeNameServers

TEXT = """\
# Names of this host
192.0.2.1   pbx.test  PBX   # the old one
2001:db8::1 pbx.test
192.0.2.2   pbx.test
192.0.2.1   pbx.test
not-an-address other.test
192.0.2.3
192.0.2.4 a..b

127.0.0.9 localhost
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "hosts"
    made.write_text(TEXT)
    return made


def test_what_it_says(path: Path) -> None:
    hosts = HostsFile(path)
    assert hosts.addresses("pbx.test") == ("192.0.2.1", "2001:db8::1", "192.0.2.2")
    assert hosts.addresses("pbx") == ("192.0.2.1",)
    assert hosts.addresses("other.test") == ()
    assert hosts.addresses("localhost") == ("127.0.0.9",)


def test_it_changes(path: Path) -> None:
    hosts = HostsFile(path)
    path.write_text("192.0.2.77 pbx.test # longer than nothing, shorter than before")
    assert hosts.addresses("pbx.test") == ("192.0.2.77",)
    path.unlink()
    assert hosts.addresses("pbx.test") == ()
    path.write_text(TEXT)
    assert hosts.addresses("pbx") == ("192.0.2.1",)


def test_there_is_none(tmp_path: Path) -> None:
    for path in (None, tmp_path / "none", tmp_path):
        hosts = HostsFile(path)
        assert hosts.addresses("pbx.test") == ()
        # RFC 6761 6.3
        assert hosts.addresses("localhost") == ("127.0.0.1", "::1")
        assert hosts.addresses("bob.localhost") == ("127.0.0.1", "::1")
        assert hosts.addresses("notlocalhost") == ()


ZONE = """
pbx.test NAPTR 1 1 "s" "SIP+D2T" "" _sip._tcp.pbx.test
_sip._tcp.pbx.test SRV 1 1 5070 elsewhere.test
pbx.test A 192.0.2.66
example.test NAPTR 1 1 "s" "SIP+D2T" "" _sip._tcp.example.test
_sip._tcp.example.test SRV 1 1 5070 pbx.test
"""


@pytest.mark.parametrize(
    ("text", "hops", "asked"),
    [
        (
            "sip:bob@PBX.test",
            ["udp:[2001:db8::1]:5060", "udp:192.0.2.1:5060", "udp:192.0.2.2:5060"],
            [],
        ),
        ("sip:bob@pbx:5080;transport=tcp", ["tcp:192.0.2.1:5080"], []),
        ("sips:bob@pbx", ["tls:192.0.2.1:5061"], []),
        ("sip:bob@bob.localhost", ["udp:[::1]:5060", "udp:127.0.0.1:5060"], []),
        # The target of an SRV record may stand in it as well.
        (
            "sip:bob@example.test",
            ["tcp:[2001:db8::1]:5070", "tcp:192.0.2.1:5070", "tcp:192.0.2.2:5070"],
            ["NAPTR example.test", "SRV _sip._tcp.example.test"],
        ),
    ],
)
def test_no_name_server_is_asked(path: Path, text: str, hops: list[str], asked: list[str]) -> None:
    clock = Clock()
    servers = FakeNameServers(clock, ZONE)
    resolver = SIPResolver(clock, ResolverSettings(hosts=path), client=servers)
    uri = parse_uri(text)
    assert isinstance(uri, SipURI)
    _ = resolver.resolve(uri)
    assert servers.asked == asked
    found = resolver.resolve(uri)
    assert isinstance(found, list)
    assert [str(hop) for hop in found] == hops
    assert servers.asked == asked
