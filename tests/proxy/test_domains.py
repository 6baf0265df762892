"""Two servers, one for each domain, that find each other by DNS and speak TLS with each other (RFC 3263, RFC 5922)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from twisted.names.dns import Record_NAPTR, Record_SRV

from sipframe.testing import Network, Phone, Server
from sipframe.testing.certificates import certificate_for
from tests.proxy.whole import asked, at_rest, clock, listen, sent_to

USERS = {"alice": "a", "bob": "b"}
ATLANTA, BILOXI = "atlanta.example.com", "biloxi.example.com"
HOSTS = {ATLANTA: "192.0.2.111", BILOXI: "192.0.2.222"}


class Two(NamedTuple):
    """Atlanta and Biloxi."""

    network: Network
    first: Server
    second: Server

    def phones(self, scheme: str = "sip", transport: str = "udp") -> tuple[Phone, Phone]:
        """Alice of Atlanta and Bob of Biloxi, both registered."""
        alice = self.first.phone(f"{scheme}:alice@{ATLANTA}", password="a", transport=transport)
        bob = self.second.phone(f"{scheme}:bob@{BILOXI}", password="b", transport=transport)
        assert (alice.register().status, bob.register().status) == (200, 200)
        return alice, bob


@contextmanager
def two(folder: Path, *transports: str, trust: bool = True) -> Iterator[Two]:
    """Both, and in the end both at rest."""
    network = Network()
    network.hosts.update({f"sip.{name}": host for name, host in HOSTS.items()})
    for name in HOSTS:
        network.records[name] = [Record_NAPTR(1, 1, b"s", b"SIP+D2U", b"", f"_sip._udp.{name}".encode())]
        network.records[f"_sip._udp.{name}"] = [Record_SRV(1, 1, 5060, f"sip.{name}")]
        network.records[f"_sips._tcp.{name}"] = [Record_SRV(1, 1, 5061, f"sip.{name}")]
    files = {}
    for name in HOSTS:
        (folder / name).mkdir()
        files[name] = certificate_for((name,), folder / name)
    bundle = folder / "peers.pem"
    _ = bundle.write_bytes(b"".join([one.certificate.read_bytes() for one in files.values()]))
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                Server(
                    users=USERS,
                    network=network,
                    host=host,
                    domains=(name,),
                    listen=listen(*transports, host=host),
                    certificates=(files[name],),
                    peer_ca=bundle if trust else files[name].certificate,
                )
            )
            for name, host in HOSTS.items()
        ]
        before = [clock(server) for server in servers]
        yield Two(network, *servers)
        for server, was in zip(servers, before, strict=True):
            at_rest(server, was)


def test_a_call_between_domains(tmp_path: Path) -> None:
    with two(tmp_path, "udp") as both:
        alice, bob = both.phones()
        call = alice.call(f"sip:bob@{BILOXI}")
        incoming = asked(bob)
        incoming.ring()
        theirs = incoming.accept()
        assert call.wait(0).status == 200
        both.first.settle()
        assert theirs.acked
        assert len(sent_to(bob, "INVITE")[0].vias) == 3
        bob.answering["INFO"] = alice.answering["INFO"] = lambda one: one.answer(200)
        assert call.request("INFO").status == 200
        assert theirs.request("INFO").status == 200
        assert theirs.bye().status == 200
        # Biloxi asks nobody of Atlanta for a proof, and Atlanta only its own.
        assert [one.status for one in both.second.decisions if one.method == "INVITE"] == [200]
        assert sorted(str(one.status) for one in both.first.decisions if one.method == "INVITE") == [
            "200",
            "407",
        ]


def test_a_sips_call_between_domains(tmp_path: Path) -> None:
    with two(tmp_path, "udp", "tls") as both:
        alice, bob = both.phones("sips", "tls")
        call = alice.call(f"sips:bob@{BILOXI}")
        incoming = asked(bob)
        assert all(via.transport == "TLS" for via in incoming.request.vias)
        theirs = incoming.accept()
        assert call.wait(0).status == 200
        assert all(route.startswith("<sips:") for route in theirs.routes)
        assert theirs.bye().status == 200
        assert not [one for one in both.network.wire if one.transport == "UDP"]
        between = [
            one for one in both.network.wire if {one.source.host, one.target.host} == set(HOSTS.values())
        ]
        methods = [one.data.partition(b" ")[0] for one in between]
        assert [one for one in methods if one != b"SIP/2.0"] == [b"INVITE", b"ACK", b"BYE"]


def test_a_domain_that_cannot_prove_itself_gets_no_sips_call(tmp_path: Path) -> None:
    with two(tmp_path, "udp", "tls", trust=False) as both:
        alice, bob = both.phones("sips", "tls")
        call = alice.call(f"sips:bob@{BILOXI}")
        assert call.wait(40).status == 500
        assert not bob.requests
        assert not [one for one in both.network.wire if one.transport == "UDP"]


def test_the_other_server_is_down(tmp_path: Path) -> None:
    with two(tmp_path, "udp") as both:
        alice, bob = both.phones()
        both.second.stop()
        call = alice.call(f"sip:bob@{BILOXI}")
        assert call.wait(40).status == 408
        both.second.start()
        assert bob.register().status == 200
        both.first.advance(60)
        call = alice.call(f"sip:bob@{BILOXI}")
        asked(bob).reject(486)
        assert call.wait(0).status == 486


def test_a_second_server_takes_over(tmp_path: Path) -> None:
    with two(tmp_path, "udp") as both:
        alice, bob = both.phones()
        name = f"_sip._udp.{BILOXI}"
        both.network.hosts[f"old.{BILOXI}"] = "192.0.2.99"
        both.network.records[name].insert(0, Record_SRV(0, 1, 5060, f"old.{BILOXI}"))
        call = alice.call(f"sip:bob@{BILOXI}")
        asked(bob, within=33).accept()
        assert call.wait(0).status == 200
        assert call.bye().status == 200


@pytest.mark.parametrize("uri", [f"sip:alice@{ATLANTA}", f"sip:bob@{BILOXI}"])
def test_two_domains_that_send_calls_to_each_other_end(tmp_path: Path, uri: str) -> None:
    with two(tmp_path, "udp") as both:
        alice, bob = both.phones()
        _ = alice.unregister_all()
        _ = bob.unregister_all()
        assert alice.register(f"sip:bob@{BILOXI}").status == 200
        assert bob.register(f"sip:alice@{ATLANTA}").status == 200
        eve = (
            both.first.phone("sip:eve@example.net")
            if "alice" in uri
            else both.second.phone("sip:e@example.net")
        )
        assert eve.call(uri).wait(5).status == 482
