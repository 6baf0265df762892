"""Names of a network in memory: a server finds another one by SRV, past one that is not there (RFC 3263 4)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.names import dns

from sipframe.message import Response
from sipframe.testing import Network, Server
from sipframe.transport import ResolverSettings
from sipframe.uac import RequestFailed

OTHER = "192.0.2.2"
DEAD = "192.0.2.66"


@pytest.fixture
def ours() -> Iterator[Server]:
    network = Network()
    network.hosts.update({"sip.example.org": OTHER, "dead.example.org": DEAD})
    with (
        Server(network=network) as ours,
        Server(network=network, host=OTHER, domains=("example.org",)),
    ):
        yield ours


def ask(server: Server, uri: str) -> Response:
    return server.wait(server.service.send("OPTIONS", uri))


def asked(server: Server) -> list[str]:
    """Whom the server has sent datagrams to, in their order."""
    requests = [
        one
        for one in server.network.wire
        if one.transport == "UDP" and one.data.startswith(b"OPTIONS ") and one.source.host == server.host
    ]
    return list(dict.fromkeys([one.target.host for one in requests]))


def test_by_its_address(ours: Server) -> None:
    assert ask(ours, "sip:sip.example.org").status == 407  # no domain of its own: nothing is relayed there
    assert asked(ours) == [OTHER]


def test_nobody_knows_it(ours: Server) -> None:
    with pytest.raises(RequestFailed, match=r"503 nowhere\.example\.org has no address"):
        ask(ours, "sip:nowhere.example.org")


def test_by_srv_past_one_that_is_not_there(ours: Server) -> None:
    ours.network.records["_sip._udp.example.org"] = [
        dns.Record_SRV(10, 1, 5060, "dead.example.org"),
        dns.Record_SRV(20, 1, 5060, "sip.example.org"),
    ]
    began = ours.now()
    assert ask(ours, "sip:example.org").status == 200
    assert asked(ours) == [DEAD, OTHER]
    assert ours.now() - began == pytest.approx(32.0)  # Timer F
    # The next one does not wait for it; after a while it is tried again.
    began = ours.now()
    assert ask(ours, "sip:example.org").status == 200
    assert ours.now() == began
    ours.advance(30)
    assert ask(ours, "sip:example.org").status == 200
    assert ours.now() - began == pytest.approx(62.0)


def test_by_naptr(ours: Server) -> None:
    ours.network.records["example.org"] = [
        dns.Record_NAPTR(10, 1, b"s", b"SIP+D2T", b"", "_sip._tcp.example.org"),
        dns.Record_NAPTR(20, 1, b"s", b"SIP+D2U", b"", "_sip._udp.example.org"),
    ]
    ours.network.records["_sip._tcp.example.org"] = [dns.Record_SRV(1, 1, 5060, "sip.example.org")]
    assert ask(ours, "sip:example.org").status == 200
    assert (asked(ours), ours.service.counters.connections_made) == ([], 1)  # no datagrams


def test_ipv6_is_not_for_who_does_not_listen_there() -> None:
    network = Network()
    network.hosts["six.example.org"] = "2001:db8::2"
    with (
        Server(network=network, resolving=ResolverSettings(hosts=None)) as ours,
        pytest.raises(RequestFailed, match=r"six\.example\.org has no address"),
    ):
        ask(ours, "sip:six.example.org")
