"""Where a URI leads (RFC 3263, RFC 7984): examples and rules of the RFCs as tables, on a clock; the whole over UDP."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.names import authority, dns, server
from zope.interface.verify import verifyObject

from sipframe.interfaces import IComposed
from sipframe.message import Response, SipURI, parse_message, parse_uri, parse_vias, response_bytes
from sipframe.roads import Hop, Unroutable
from sipframe.transaction import TimerSettings, TransactionSettings
from sipframe.transport import ResolverSettings, SIPResolver
from sipframe.transport.locating.records import SRV
from sipframe.transport.locating.weights import in_order
from sipframe.uac import HearsOfFailures
from tests.test_application import ApplicationTestCase, Phone
from tests.test_service import Steps
from tests.transport.name_servers import FakeNameServers, records_of


def uri(text: str) -> SipURI:
    parsed = parse_uri(text)
    assert isinstance(parsed, SipURI)
    return parsed


class World:
    """A resolver, its clock and its name servers. Chance takes the first, unless ``chance`` says otherwise."""

    def __init__(self, zone: str = "", **settings: Any) -> None:
        self.clock = Clock()
        self.servers = FakeNameServers(self.clock, zone)
        self.speaks: dict[str, tuple[int, ...]] = {"UDP": (4, 6), "TCP": (4, 6), "TLS": (4, 6)}
        self.chance = 0
        self.resolver = SIPResolver(
            self.clock,
            ResolverSettings(**{"hosts": None, "versions": (4,), **settings}),
            client=self.servers,
            versions=lambda transport: self.speaks[transport],
            entropy=lambda octets: self.chance.to_bytes(octets, "big"),
        )

    def ask(self, text: str) -> Asked:
        return Asked(lambda: self.resolver.resolve(uri(text)))

    def find(self, text: str) -> list[str]:
        """The hops, which are there at once."""
        return self.ask(text).texts

    def refused(self, text: str) -> tuple[int, str]:
        error = self.ask(text).error
        assert isinstance(error, Unroutable)
        return error.status, error.reason


class Asked:
    """What comes of a look-up."""

    def __init__(self, look_up: Callable[[], object]) -> None:
        self.hops: list[Hop] | None = None
        self.error: BaseException | None = None
        try:
            self.answer = look_up()
        except Unroutable as error:
            self.answer = None
            self.error = error
            return
        if isinstance(self.answer, Deferred):
            _ = self.answer.addCallbacks(self._came, self._broke)
        else:
            assert isinstance(self.answer, list)
            self.hops = self.answer

    def _came(self, hops: list[Hop]) -> None:
        self.hops = hops

    def _broke(self, failure: Any) -> None:
        self.error = failure.value

    @property
    def over(self) -> bool:
        return self.hops is not None or self.error is not None

    @property
    def texts(self) -> list[str]:
        if self.error is not None:
            raise self.error
        assert self.hops is not None
        return [str(hop) for hop in self.hops]


# RFC 3263 4.1, completed by the addresses that it leaves out and the records that 4.1 says there must be.
EXAMPLE = """
example.com              NAPTR 50  50 "s" "SIPS+D2T" "" _sips._tcp.example.com.
example.com              NAPTR 90  50 "s" "SIP+D2T"  "" _sip._tcp.example.com.
example.com              NAPTR 100 50 "s" "SIP+D2U"  "" _sip._udp.example.com.
_sip._tcp.example.com    SRV 0 1 5060 server1.example.com
_sip._tcp.example.com    SRV 0 2 5060 server2.example.com
_sip._udp.example.com    SRV 0 1 5070 server3.example.com
_sips._tcp.example.com   SRV 0 1 5071 server4.example.com
server1.example.com      A 192.0.2.1
server2.example.com      A 192.0.2.2
server3.example.com      A 192.0.2.3
server4.example.com      A 192.0.2.4
example.com              A 192.0.2.99
"""

# RFC 7984 4
DUAL_STACK = """
_sip._tcp.example.com  300 SRV 10 1 5060 sip-1.example.com.
_sip._tcp.example.com  300 SRV 20 1 5060 sip-2.example.com.
sip-1.example.com      300 AAAA 2001:db8:58:c02::face
sip-1.example.com      300 AAAA 2001:db8:c:a06::2:cafe
sip-1.example.com      300 AAAA 2001:db8:44:204::d1ce
sip-1.example.com      300 A 192.0.2.45
sip-1.example.com      300 A 203.0.113.109
sip-1.example.com      300 A 198.51.100.24
sip-2.example.com      300 AAAA 2001:db8:58:c02::dead
sip-2.example.com      300 AAAA 2001:db8:c:a06::2:beef
sip-2.example.com      300 AAAA 2001:db8:44:204::c0de
sip-2.example.com      300 A 192.0.2.75
sip-2.example.com      300 A 203.0.113.38
sip-2.example.com      300 A 198.51.100.140
"""


class TestTheExamplesOfTheRFCs:
    def test_naptr_of_a_client_without_tls(self) -> None:
        # RFC 3263 4.1: "Since the client supports TCP and UDP, TCP will be used"
        world = World(EXAMPLE, transports=("UDP", "TCP"))
        assert world.find("sip:user@example.com") == ["tcp:192.0.2.1:5060", "tcp:192.0.2.2:5060"]
        assert world.servers.asked == [
            "NAPTR example.com",
            "SRV _sip._tcp.example.com",
            "A server1.example.com",
            "A server2.example.com",
        ]

    def test_naptr_of_a_client_with_tls(self) -> None:
        world = World(EXAMPLE)
        assert world.ask("sip:user@example.com").hops == [Hop("TLS", "192.0.2.4", 5071, "example.com")]

    def test_two_families(self) -> None:
        # RFC 7984 4: in the order of the targets, and within one target by RFC 6724
        world = World(DUAL_STACK, versions=(6, 4), most_hops=12)
        asked = world.ask("sip:example.com;transport=tcp")
        assert asked.hops is not None
        assert [hop.host for hop in asked.hops] == [
            "2001:db8:58:c02::face",
            "2001:db8:c:a06::2:cafe",
            "2001:db8:44:204::d1ce",
            "192.0.2.45",
            "203.0.113.109",
            "198.51.100.24",
            "2001:db8:58:c02::dead",
            "2001:db8:c:a06::2:beef",
            "2001:db8:44:204::c0de",
            "192.0.2.75",
            "203.0.113.38",
            "198.51.100.140",
        ]

    def test_one_family_of_two(self) -> None:
        # RFC 7984 3.1: what is not supported is as if it were not there
        world = World(DUAL_STACK, versions=(6, 4))
        world.speaks["TCP"] = (4,)
        assert world.find("sip:example.com;transport=tcp")[:2] == [
            "tcp:192.0.2.45:5060",
            "tcp:203.0.113.109:5060",
        ]
        assert not [one for one in world.servers.asked if one.startswith("AAAA")]


# What nobody need be asked about: RFC 3263 4.1 "numeric IP address", 4.2.
NUMERIC = [
    ("sip:192.0.2.9", "udp:192.0.2.9:5060"),
    ("sip:192.0.2.9:5080", "udp:192.0.2.9:5080"),
    ("sip:192.0.2.9;transport=tcp", "tcp:192.0.2.9:5060"),
    ("sip:192.0.2.9;transport=tls", "tls:192.0.2.9:5061"),
    ("sip:[2001:db8::9]", "udp:[2001:db8::9]:5060"),
    ("sips:192.0.2.9", "tls:192.0.2.9:5061"),
    ("sips:192.0.2.9;transport=tcp", "tls:192.0.2.9:5061"),
    ("sips:192.0.2.9:5090", "tls:192.0.2.9:5090"),
    ("sip:example.com;maddr=192.0.2.8", "udp:192.0.2.8:5060"),
    ("sip:example.com:5080;maddr=[2001:db8::8]", "udp:[2001:db8::8]:5080"),
]


@pytest.mark.parametrize(("text", "hop"), NUMERIC)
def test_numeric_addresses(text: str, hop: str) -> None:
    world = World(EXAMPLE)
    assert isinstance(world.ask(text).answer, list)  # no Deferred
    assert (world.find(text), world.servers.asked) == ([hop], [])


# URI, zone besides EXAMPLE's addresses, hops, questions without those for addresses.
SRV_UDP = "_sip._udp.example.com SRV 0 1 5070 server1.example.com"
SRV_TCP = "_sip._tcp.example.com SRV 0 1 5071 server2.example.com"
SRV_TLS = "_sips._tcp.example.com SRV 0 1 5072 server3.example.com"
ADDRESSES = "\n".join(line for line in EXAMPLE.splitlines() if " A " in line)
NAPTR_FIRST = ["NAPTR example.com"]
ALL_SERVICES = ["SRV _sip._udp.example.com", "SRV _sip._tcp.example.com", "SRV _sips._tcp.example.com"]
TLS_SERVICE = ["SRV _sips._tcp.example.com"]
ROWS = [
    # 4.2: a port is present: addresses, and UDP or TLS unless the URI says otherwise
    ("sip:example.com:5060", SRV_UDP, ["udp:192.0.2.99:5060"], []),
    ("sip:example.com:5080;transport=tcp", SRV_TCP, ["tcp:192.0.2.99:5080"], []),
    ("sips:example.com:5080", SRV_TLS, ["tls:192.0.2.99:5080"], []),
    # 4.1: a transport is present: no NAPTR; 4.2: SRV for that one
    ("sip:example.com;transport=udp", f"{SRV_UDP}\n{SRV_TCP}", ["udp:192.0.2.1:5070"], ALL_SERVICES[:1]),
    ("sip:example.com;transport=TCP", f"{SRV_UDP}\n{SRV_TCP}", ["tcp:192.0.2.2:5071"], ALL_SERVICES[1:2]),
    ("sip:example.com;transport=tls", f"{SRV_TCP}\n{SRV_TLS}", ["tls:192.0.2.3:5072"], TLS_SERVICE),
    ("sips:example.com;transport=tcp", f"{SRV_TCP}\n{SRV_TLS}", ["tls:192.0.2.3:5072"], TLS_SERVICE),
    # 4.2: no SRV records: the domain's addresses at the default port
    ("sip:example.com;transport=tcp", "", ["tcp:192.0.2.99:5060"], ALL_SERVICES[1:2]),
    ("sips:example.com;transport=tcp", SRV_TCP, ["tls:192.0.2.99:5061"], TLS_SERVICE),
    # 4.1: neither: NAPTR, then SRV for each transport; the first one in the order of the setting
    (
        "sip:example.com",
        f"{SRV_TLS}\n{SRV_TCP}\n{SRV_UDP}",
        ["udp:192.0.2.1:5070"],
        NAPTR_FIRST + ALL_SERVICES,
    ),
    ("sip:example.com", f"{SRV_TLS}\n{SRV_TCP}", ["tcp:192.0.2.2:5071"], NAPTR_FIRST + ALL_SERVICES),
    ("sip:example.com", SRV_TLS, ["tls:192.0.2.3:5072"], NAPTR_FIRST + ALL_SERVICES),
    ("sip:example.com", "", ["udp:192.0.2.99:5060"], NAPTR_FIRST + ALL_SERVICES),
    (
        "sips:example.com",
        f"{SRV_UDP}\n{SRV_TCP}\n{SRV_TLS}",
        ["tls:192.0.2.3:5072"],
        NAPTR_FIRST + TLS_SERVICE,
    ),
    ("sips:example.com", f"{SRV_UDP}\n{SRV_TCP}", ["tls:192.0.2.99:5061"], NAPTR_FIRST + TLS_SERVICE),
    # 4: TARGET is maddr; names are compared without case, and the final dot is no part of them
    ("sip:elsewhere.test;maddr=EXAMPLE.com.", SRV_UDP, ["udp:192.0.2.1:5070"], NAPTR_FIRST + ALL_SERVICES),
]


@pytest.mark.parametrize(("text", "zone", "hops", "questions"), ROWS)
def test_which_records_are_asked_for(text: str, zone: str, hops: list[str], questions: list[str]) -> None:
    world = World(f"{ADDRESSES}\n{zone}")
    assert world.find(text) == hops
    assert [one for one in world.servers.asked if not one.startswith("A ")] == questions


def naptr(*rows: tuple[int, int, str, str, str]) -> str:
    return "\n".join(
        f'example.com NAPTR {order} {preference} "{flags}" "{service}" "" {replacement}'
        for order, preference, flags, service, replacement in rows
    )


UDP_PART, TCP_PART, TLS_PART = "_sip._udp.example.com", "_sip._tcp.example.com", "_sips._tcp.example.com"
SERVICES = f"{ADDRESSES}\n{SRV_UDP}\n{SRV_TCP}\n{SRV_TLS}"
UDP_HOP, TCP_HOP, TLS_HOP = "udp:192.0.2.1:5070", "tcp:192.0.2.2:5071", "tls:192.0.2.3:5072"
NAPTR_ROWS = [
    (
        "order comes before preference",
        [(2, 1, "s", "SIP+D2U", UDP_PART), (1, 9, "s", "SIP+D2T", TCP_PART)],
        [TCP_HOP],
    ),
    (
        "the same order: each, by preference",
        [(1, 2, "s", "SIP+D2U", UDP_PART), (1, 1, "s", "SIP+D2T", TCP_PART)],
        [TCP_HOP, UDP_HOP],
    ),
    ("neither flags nor services have case", [(1, 1, "S", "sip+d2t", TCP_PART)], [TCP_HOP]),
    (
        "what is not applicable is discarded",
        [
            (1, 1, "s", "SIP+D2S", "_sip._sctp.example.com"),
            (2, 1, "s", "SIPS+D2U", UDP_PART),
            (3, 1, "s", "E2U+sip", UDP_PART),
            (4, 1, "u", "SIP+D2U", UDP_PART),
            (5, 1, "", "SIP+D2U", "elsewhere.test"),
            (6, 1, "s", "SIP+D2T", TCP_PART),
        ],
        [TCP_HOP],
    ),
    ("nothing applicable is nothing", [(1, 1, "s", "SIP+D2S", "_sip._sctp.example.com")], [UDP_HOP]),
    ("a flag for addresses", [(1, 1, "a", "SIP+D2T", "server4.example.com")], ["tcp:192.0.2.4:5060"]),
    ("another domain", [(1, 1, "s", "SIP+D2T", "_sip._tcp.school.edu")], ["tcp:192.0.2.2:5099"]),
    # RFC 3263 4.2: no SRV records; the transport is chosen
    ("it leads nowhere", [(1, 1, "s", "SIP+D2T", "_sip._tcp.nowhere.test")], ["tcp:192.0.2.99:5060"]),
]


@pytest.mark.parametrize(
    ("rows", "hops"), [row[1:] for row in NAPTR_ROWS], ids=[row[0] for row in NAPTR_ROWS]
)
def test_naptr(rows: list[tuple[int, int, str, str, str]], hops: list[str]) -> None:
    school = "_sip._tcp.school.edu SRV 0 1 5099 server2.example.com"
    assert World(f"{SERVICES}\n{school}\n{naptr(*rows)}").find("sip:bob@example.com") == hops


def test_naptr_with_a_regular_expression() -> None:
    # RFC 3263 4.1: it is empty
    pointers = f'example.com NAPTR 1 1 "s" "SIP+D2U" "!.*!x!" {UDP_PART}\n' + naptr(
        (2, 1, "s", "SIP+D2T", TCP_PART)
    )
    assert World(f"{SERVICES}\n{pointers}").find("sip:example.com") == [TCP_HOP]


class TestSips:
    """RFC 3263 4.1, RFC 5630: never anything but TLS, and the certificate is for the URI's domain (RFC 5922 7.3)."""

    ZONE = f"{SERVICES}\n" + naptr((1, 1, "s", "SIP+D2U", UDP_PART), (2, 1, "s", "SIP+D2T", TCP_PART))

    def test_naptr_without_sips_is_none(self) -> None:
        hops = World(self.ZONE).ask("sips:bob@example.com").hops
        assert hops == [Hop("TLS", "192.0.2.3", 5072, "example.com")]

    def test_naptr_that_leads_away(self) -> None:
        away = "_sips._tcp.evil.test SRV 0 1 5061 server4.example.com"
        world = World(f"{ADDRESSES}\n{away}\n" + naptr((1, 1, "s", "SIPS+D2T", "_sips._tcp.evil.test")))
        assert world.ask("sips:bob@Example.com.").hops == [Hop("TLS", "192.0.2.4", 5061, "example.com")]

    @pytest.mark.parametrize("broken", ["NAPTR example.com", "SRV _sips._tcp.example.com"])
    def test_nothing_leads_to_less(self, broken: str) -> None:
        world = World(self.ZONE)
        world.servers.broken.add(broken)
        asked = world.ask("sips:bob@example.com")
        assert {hop.transport for hop in asked.hops or ()} <= {"TLS"}

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 2),
                st.integers(0, 2),
                st.sampled_from(["s", "a", "u", ""]),
                st.sampled_from(["SIP+D2U", "SIP+D2T", "SIPS+D2T", "SIPS+D2U", "x"]),
                st.sampled_from(
                    [UDP_PART, TCP_PART, TLS_PART, "example.com", "server4.example.com", "nowhere"]
                ),
            ),
            max_size=6,
        ),
        st.sets(st.sampled_from(["NAPTR example.com", UDP_PART, TCP_PART, TLS_PART, "server3.example.com"])),
    )
    def test_whatever_there_is(self, rows: list[tuple[int, int, str, str, str]], broken: set[str]) -> None:
        world = World(f"{SERVICES}\n{naptr(*rows)}")
        world.servers.broken = broken
        for scheme, transports in (("sips", {"TLS"}), ("sip", {"UDP", "TCP", "TLS"})):
            asked = world.ask(f"{scheme}:bob@example.com")
            assert asked.over
            for hop in asked.hops or ():
                assert hop.transport in transports
                assert hop.identity == ("example.com" if hop.transport == "TLS" else "")
                assert hop.tcp_too == (hop.transport == "UDP")

    def test_udp_is_not_for_it(self) -> None:
        assert World().refused("sips:example.com;transport=udp") == (503, "sips is not spoken over udp")


class TestWhatWeSpeak:
    def test_the_order_of_the_setting(self) -> None:
        assert World(SERVICES, transports=("TLS", "TCP", "UDP")).find("sip:example.com") == [TLS_HOP]

    def test_no_udp_socket(self) -> None:
        world = World(
            f"{SERVICES}\n{naptr((1, 1, 's', 'SIP+D2U', UDP_PART), (2, 1, 's', 'SIP+D2T', TCP_PART))}"
        )
        world.speaks["UDP"] = ()
        assert world.find("sip:example.com") == [TCP_HOP]
        world = World(ADDRESSES)
        world.speaks["UDP"] = ()
        assert world.find("sip:example.com") == ["tcp:192.0.2.99:5060"]
        assert world.find("sip:example.com:5080") == ["tcp:192.0.2.99:5080"]
        assert world.refused("sip:example.com:5080;transport=udp") == (
            503,
            "no UDP socket of ours leads anywhere",
        )

    def test_sctp(self) -> None:
        assert World().refused("sip:example.com;transport=sctp") == (
            503,
            "the transport sctp is not spoken here",
        )

    def test_tcp_is_left_open_only_where_nobody_asked_for_udp(self) -> None:
        # RFC 3261 18.1.1
        world = World(SERVICES)
        for text, too in (("sip:example.com", True), ("sip:example.com;transport=udp", False)):
            assert [hop.tcp_too for hop in world.ask(text).hops or ()] == [too]


class TestNothingThere:
    @pytest.mark.parametrize(
        ("text", "zone", "reason"),
        [
            ("sip:nowhere.test", "", "nowhere.test has no address"),
            ("sip:nowhere.test:5060", "", "nowhere.test has no address"),
            ("sip:x.test", "_sip._udp.x.test SRV 0 0 5060 gone.test", "the servers of x.test have no address"),
            # RFC 2782: "." is that the service is decidedly not available
            ("sip:example.com", f"{ADDRESSES}\n{UDP_PART} SRV 0 0 0 .", "example.com offers no SIP over UDP"),
            ("sip:" + "a" * 64 + ".test", "", "the host is no domain name"),
            ("sip:" + ".".join(["a" * 60] * 5), "", "the host is no domain name"),
        ],
    )  # fmt: skip
    def test_is_503(self, text: str, zone: str, reason: str) -> None:
        assert World(zone).refused(text) == (503, reason)

    def test_one_transport_is_refused_and_another_offered(self) -> None:
        assert World(f"{ADDRESSES}\n{UDP_PART} SRV 0 0 0 .\n{SRV_TCP}").find("sip:example.com") == [TCP_HOP]

    def test_addresses_of_no_use(self) -> None:
        zone = "x.test A 0.0.0.0\nx.test A 224.0.0.1\nx.test A 192.0.2.1\nx.test AAAA ::\nx.test AAAA ::ffff:192.0.2.7"
        assert World(zone, versions=(6, 4)).find("sip:x.test:5060") == ["udp:192.0.2.1:5060"]

    def test_a_port_of_no_use(self) -> None:
        assert World(f"{ADDRESSES}\n{UDP_PART} SRV 0 0 0 server1.example.com").find("sip:example.com") == [
            "udp:192.0.2.99:5060"
        ]


class TestServersThatAreSilent:
    def test_naptr_may_be_missing(self) -> None:
        world = World(SERVICES)
        world.servers.silent.add("NAPTR example.com")
        asked = world.ask("sip:example.com")
        assert not asked.over
        world.clock.advance(1.5)
        assert asked.texts == [UDP_HOP]
        assert (world.servers.open, world.clock.getDelayedCalls()) == (0, [])

    def test_srv_may_not(self) -> None:
        # The domain itself may be quite another host.
        world = World(f"{SERVICES}\n{naptr()}")
        world.servers.broken.add(f"SRV {UDP_PART}")
        world.servers.broken.add(f"SRV {TCP_PART}")
        world.servers.broken.add(f"SRV {TLS_PART}")
        assert world.refused("sip:example.com") == (503, "example.com: the name servers cannot say")

    def test_all_of_them(self) -> None:
        world = World(SERVICES)
        world.servers.silent.update(["example.com", UDP_PART, TCP_PART, TLS_PART])
        asked = world.ask("sip:example.com")
        world.clock.pump([0.1] * 40)
        assert isinstance(asked.error, Unroutable)
        assert (asked.error.status, asked.error.reason) == (
            503,
            "example.com: the name servers do not answer",
        )
        assert (world.resolver.waiting, world.resolver.names.open, world.servers.open) == (0, 0, 0)
        # And only those who need them.
        assert world.find("sip:192.0.2.1") == ["udp:192.0.2.1:5060"]
        assert world.find("sip:server1.example.com:5060") == ["udp:192.0.2.1:5060"]

    def test_the_deadline_of_the_whole(self) -> None:
        world = World(SERVICES, deadline=2.0)
        world.servers.delay = 1.0
        asked = world.ask("sip:example.com")
        world.clock.pump([0.1] * 21)
        assert isinstance(asked.error, Unroutable)
        assert asked.error.reason == "the name servers do not answer in time"
        world.clock.advance(2)
        assert (world.resolver.waiting, world.resolver.names.open, world.clock.getDelayedCalls()) == (
            0,
            0,
            [],
        )

    def test_one_address_of_two(self) -> None:
        zone = f"{ADDRESSES}\n{UDP_PART} SRV 1 0 5060 server1.example.com\n{UDP_PART} SRV 2 0 5060 server2.example.com"
        world = World(zone)
        world.servers.silent.add("server1.example.com")
        asked = world.ask("sip:example.com")
        world.clock.advance(1.5)
        assert asked.texts == ["udp:192.0.2.2:5060"]

    def test_who_has_gone(self) -> None:
        world = World(SERVICES)
        world.servers.delay = 1.0
        asked = world.ask("sip:server1.example.com:5060")
        assert isinstance(asked.answer, Deferred)
        asked.answer.cancel()
        assert world.resolver.waiting == 0
        world.clock.advance(1)
        assert world.find("sip:server1.example.com:5060") == ["udp:192.0.2.1:5060"]  # it was worth asking
        assert len(world.servers.asked) == 1

    def test_the_end(self) -> None:
        world = World(SERVICES)
        world.servers.silent.add("example.com")
        asked = world.ask("sip:example.com")
        world.resolver.close()
        assert isinstance(asked.error, Unroutable)
        assert world.clock.getDelayedCalls() == []
        assert world.refused("sip:other.test:1") == (503, "other.test: the server is stopping")
        assert world.find("sip:192.0.2.1") == ["udp:192.0.2.1:5060"]


class TestBounds:
    def test_hops(self) -> None:
        zone = "\n".join(f"x.test A 192.0.2.{n}" for n in range(1, 40))
        assert len(World(zone).find("sip:x.test:5060")) == 8
        assert len(World(zone, most_hops=100).find("sip:x.test:5060")) == 32  # the records that count

    def test_targets(self) -> None:
        zone = "\n".join(f"{UDP_PART} SRV 1 1 {n} t{n}.test" for n in range(1, 1000))
        world = World(zone)
        assert world.refused("sip:example.com;transport=udp")[0] == 503
        assert len(world.servers.asked) == 1 + 12

    def test_naptr_records(self) -> None:
        rows = [(1, n, "s", "SIP+D2U", f"_sip._udp.n{n}.test") for n in range(200)]
        world = World(f"{ADDRESSES}\n{naptr(*rows)}")
        assert world.find("sip:example.com") == ["udp:192.0.2.99:5060"]
        assert len(world.servers.asked) == 1 + 12 + 1

    def test_look_ups(self) -> None:
        world = World(most_lookups=2)
        world.servers.silent.update(["a.test", "b.test", "c.test"])
        first, second = world.ask("sip:a.test:1"), world.ask("sip:b.test:1")
        assert world.refused("sip:c.test:1") == (503, "too many look-ups wait for name servers")
        world.clock.advance(1.5)
        assert first.error is not None
        assert second.error is not None
        assert not world.ask("sip:c.test:1").over

    def test_the_same_place_once(self) -> None:
        zone = f"{ADDRESSES}\n" + "\n".join(
            f"{UDP_PART} SRV {n} 0 5060 server1.example.com\nserver1.example.com A 192.0.2.1"
            for n in range(3)
        )
        assert World(zone).find("sip:example.com") == ["udp:192.0.2.1:5060"]


# RFC 2782

weights = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 65_535)), max_size=12)


def services(pairs: list[tuple[int, int]]) -> list[SRV]:
    return [SRV(priority, weight, 5060, f"t{n}") for n, (priority, weight) in enumerate(pairs)]


@given(weights, st.randoms(use_true_random=False))
def test_every_record_once_and_by_priority(pairs: list[tuple[int, int]], chance: Any) -> None:
    records = services(pairs)
    ordered = in_order(records, chance.randrange)
    assert sorted(ordered) == sorted(records)
    assert [one.priority for one in ordered] == sorted(one.priority for one in records)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_every_number_is_as_likely(values: list[int]) -> None:
    """RFC 2782: the first record whose running sum is at least a number from 0 to the sum, each as likely."""
    records = services([(0, value) for value in values if value])
    total = sum(one.weight for one in records)
    if len(records) < 2:
        return
    first = [in_order(records, lambda below, n=number: min(n, below - 1))[0] for number in range(total + 1)]  # type: ignore[misc]
    counts = [first.count(record) for record in records]
    assert counts == [record.weight + (place == 0) for place, record in enumerate(records)]


def by_numbers(*numbers: int) -> Callable[[int], int]:
    """Chance that gives these, and then always 0."""
    left = chain(numbers, repeat(0))
    return lambda below: min(next(left), below - 1)


def test_those_without_weight_are_alike() -> None:
    records = services([(0, 0), (0, 0), (0, 0)])
    assert [in_order(records, by_numbers(n))[0].target for n in range(3)] == ["t0", "t1", "t2"]


def test_those_without_weight_are_rarely_first() -> None:
    # RFC 2782: "a very small chance of being selected"
    records = services([(0, 99), (0, 0)])
    first = [in_order(records, by_numbers(0, number))[0].target for number in range(100)]
    assert first == ["t1"] + ["t0"] * 99


def test_chance_is_what_was_given() -> None:
    zone = f"{ADDRESSES}\n{UDP_PART} SRV 0 1 5060 server1.example.com\n{UDP_PART} SRV 0 1 5060 server2.example.com"
    world = World(zone)
    first = set()
    for number in range(3):
        world.chance = number
        first.add(world.find("sip:example.com")[0])
    assert first == {"udp:192.0.2.1:5060", "udp:192.0.2.2:5060"}


class TestPlacesThatHaveFailed:
    """RFC 3263 4.3: tried last, for a while."""

    ZONE = "\n".join(f"x.test A 192.0.2.{n}" for n in (1, 2, 3))

    def hop(self, number: int) -> Hop:
        return Hop("UDP", f"192.0.2.{number}", 5060)

    def order(self, world: World) -> list[int]:
        return [int(text.split(".")[3].split(":")[0]) for text in world.find("sip:x.test:5060")]

    def test_they_come_last(self) -> None:
        world = World(self.ZONE, back_off=30.0)
        world.resolver.failed(self.hop(1))
        assert self.order(world) == [2, 3, 1]
        world.clock.advance(10)
        world.resolver.failed(self.hop(2))
        assert self.order(world) == [3, 1, 2]
        world.clock.advance(20)
        assert self.order(world) == [1, 3, 2]
        world.clock.advance(10)
        assert self.order(world) == [1, 2, 3]
        assert len(world.resolver.back_off) == 0

    def test_all_of_them(self) -> None:
        world = World(self.ZONE)
        for number in (3, 1, 2):
            world.resolver.failed(self.hop(number))
        assert self.order(world) == [1, 2, 3]

    def test_before_the_list_is_cut(self) -> None:
        world = World(self.ZONE, most_hops=2)
        world.resolver.failed(self.hop(1))
        assert self.order(world) == [2, 3]

    def test_another_transport_and_another_port_are_other_places(self) -> None:
        world = World(self.ZONE)
        world.resolver.failed(Hop("TCP", "192.0.2.1", 5060))
        world.resolver.failed(Hop("UDP", "192.0.2.1", 5061))
        assert self.order(world) == [1, 2, 3]

    @pytest.mark.parametrize(
        ("retry_after", "seconds"),
        [
            (None, 30),
            ("120", 120),
            ("5", 30),
            ("18000;duration=3600", 300),
            ("100 (in a meeting)", 100),
            ("soon", 30),
            ("9" * 99, 30),
        ],
    )
    def test_what_503_asks_for(self, retry_after: str | None, seconds: int) -> None:
        # RFC 3261 21.5.4, 20.33
        world = World(self.ZONE)
        field = "" if retry_after is None else f"Retry-After: {retry_after}\r\n"
        response = parse_message(f"SIP/2.0 503 Later\r\n{field}\r\n".encode())
        assert isinstance(response, Response)
        world.resolver.failed(self.hop(1), response)
        world.clock.advance(seconds - 0.5)
        assert self.order(world) == [2, 3, 1]
        world.clock.advance(0.5)
        assert self.order(world) == [1, 2, 3]

    def test_bounds(self) -> None:
        world = World(self.ZONE, backed_off=2)
        for number in (1, 2, 3):
            world.resolver.failed(self.hop(number))
        assert len(world.resolver.back_off) == 2
        assert self.order(world) == [1, 2, 3]
        world.resolver.failed(self.hop(2))
        world.resolver.failed(self.hop(1))  # 3 has failed longest ago
        assert self.order(world) == [3, 1, 2]
        world = World(self.ZONE, back_off=0.0)
        world.resolver.failed(self.hop(1))
        assert len(world.resolver.back_off) == 0


# RFC 3263 5: Via, zone, hops, the first question.
RESPONSES = [
    ("SIP/2.0/UDP 192.0.2.7", ["udp:192.0.2.7:5060"], None),
    ("SIP/2.0/TCP 192.0.2.7:5070", ["tcp:192.0.2.7:5070"], None),
    ("SIP/2.0/TLS [2001:db8::7]", ["tls:[2001:db8::7]:5061"], None),
    ("SIP/2.0/UDP example.com:5070", ["udp:192.0.2.99:5070"], "A example.com"),
    ("SIP/2.0/UDP example.com", [UDP_HOP], f"SRV {UDP_PART}"),
    ("SIP/2.0/TCP Example.com", [TCP_HOP], f"SRV {TCP_PART}"),
    ("SIP/2.0/TLS example.com", [TLS_HOP], f"SRV {TLS_PART}"),
    ("SIP/2.0/UDP server1.example.com", ["udp:192.0.2.1:5060"], "SRV _sip._udp.server1.example.com"),
]


@pytest.mark.parametrize(("via", "hops", "question"), RESPONSES)
def test_responses(via: str, hops: list[str], question: str | None) -> None:
    world = World(SERVICES)
    (parsed,) = parse_vias([f"{via};branch=z9hG4bK1"])
    asked = Asked(lambda: world.resolver.resolve_response(parsed))
    assert asked.texts == hops
    assert world.servers.asked[:1] == ([] if question is None else [question])
    assert [hop.identity for hop in asked.hops or ()] == [
        parsed.host.strip("[]").lower() if parsed.transport == "TLS" else ""
    ]


def test_responses_of_other_transports() -> None:
    (parsed,) = parse_vias(["SIP/2.0/SCTP example.com"])
    error = Asked(lambda: World().resolver.resolve_response(parsed)).error
    assert isinstance(error, Unroutable)


def test_what_it_is_for_others() -> None:
    resolver = World().resolver
    # One domain's silence must not shut out all others: no breaker around it.
    verifyObject(IComposed, resolver)
    assert isinstance(resolver, HearsOfFailures)


# A real name server, real sockets.

FAST = TransactionSettings(timers=TimerSettings(t1=0.01, t2=0.04, t4=0.05))


class Zone(authority.FileAuthority):
    """An authority for records in memory."""

    def __init__(self, text: str, origin: bytes = b"test") -> None:
        self.text = text
        self.origin = origin
        super().__init__(None)  # type: ignore[no-untyped-call]

    def loadFile(self, filename: object) -> None:
        records: dict[bytes, list[Any]] = {}
        for name, _, record in records_of(self.text):
            records.setdefault(name.encode(), []).append(record)
        soa = (self.origin, dns.Record_SOA(self.origin, b"root", 1, 1, 1, 60, 60, 60))
        self.__dict__.update(soa=soa, records=records)


class Whole(ApplicationTestCase):
    """``SIPService.send`` to a domain: by SRV over UDP, a name server of ours at a port of its own."""

    def name_server(self, zone: str, tcp: bool = False) -> str:
        from twisted.internet import reactor as real_reactor

        reactor: Any = real_reactor
        factory = server.DNSServerFactory(authorities=[Zone(zone)])
        factory.noisy = False
        protocol = dns.DNSDatagramProtocol(controller=factory)
        protocol.noisy = False
        port = reactor.listenUDP(0, protocol, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        number = port.getHost().port
        if tcp:
            self.addCleanup(reactor.listenTCP(number, factory, interface="127.0.0.1").stopListening)
        return f"127.0.0.1:{number}"

    def user_agent(self) -> Phone:
        phone = Phone("udp", ("127.0.0.1", 9))
        phone.socket.close()
        phone.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        phone.socket.bind(("127.0.0.1", 0))
        phone.socket.settimeout(20)
        self.addCleanup(phone.socket.close)
        phone.port = phone.socket.getsockname()[1]
        return phone

    def answer(self, phone: Phone, status: int) -> str:
        """Answer the next request, wherever it came from; its Request-URI."""
        data, source = phone.socket.recvfrom(65_535)
        request: Any = parse_message(data)
        phone.socket.sendto(response_bytes(request, status, "As It Is", "ua", "", source), source)
        return str(request.uri_text)

    @contextmanager
    def nobody(self) -> Iterator[int]:
        """A port that nobody answers at."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            yield silent.getsockname()[1]

    @inlineCallbacks
    def test_by_srv_past_a_dead_one(self) -> Steps:
        bob = self.user_agent()
        with self.nobody() as dead:
            servers = self.name_server(
                f"""
                example.test NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp.example.test
                _sip._udp.example.test SRV 10 1 {dead} first.example.test
                _sip._udp.example.test SRV 20 1 {bob.port} second.example.test
                first.example.test A 127.0.0.1
                second.example.test CNAME host.example.test
                host.example.test A 127.0.0.1
                """
            )
            settings = ResolverSettings(servers=(servers,), hosts=None)
            service = self.serving(transactions=FAST, resolving=settings)
            answered = service.send("OPTIONS", "sip:bob@example.test")
            target = yield deferToThread(self.answer, bob, 200)
            assert (yield answered).status == 200
            assert target == "sip:bob@example.test"
            # The dead one is remembered: the living one comes first.
            running = service._running
            assert running is not None
            hops = running.resolver.resolve(uri("sip:example.test"))
            assert isinstance(hops, list)  # no name server was asked again
            assert [hop.port for hop in hops] == [bob.port, dead]
            answered = service.send("OPTIONS", "sip:bob@example.test")
            yield deferToThread(self.answer, bob, 503)
            status, _ = yield self.fails(answered)
            assert status == 408  # the dead one was the last

    @inlineCallbacks
    def test_an_answer_that_is_too_large_for_a_datagram(self) -> Steps:
        bob = self.user_agent()
        many = "\n".join(
            f"_sip._udp.example.test SRV 20 1 5060 {'x' * 50}{n}.example.test" for n in range(20)
        )
        servers = self.name_server(
            f"_sip._udp.example.test SRV 10 1 {bob.port} host.example.test\n{many}\nhost.example.test A 127.0.0.1",
            tcp=True,
        )
        settings = ResolverSettings(servers=(servers,), hosts=None, most_targets=1)
        service = self.serving(resolving=settings)
        answered = service.send("OPTIONS", "sip:bob@example.test;transport=udp")
        yield deferToThread(self.answer, bob, 200)
        assert (yield answered).status == 200
        yield service.stopService()

    @inlineCallbacks
    def test_name_servers_that_are_dead(self) -> Steps:
        bob = self.user_agent()
        with self.nobody() as dead:
            settings = ResolverSettings(servers=(f"127.0.0.1:{dead}",), question_deadline=0.05, resend=0.01)
            service = self.serving(resolving=settings)
            lost = [service.send("OPTIONS", f"sip:bob@x{n}.test") for n in range(20)]
            # Nobody else has to wait.
            answered = service.send("OPTIONS", f"sip:bob@127.0.0.1:{bob.port}")
            yield deferToThread(self.answer, bob, 200)
            assert (yield answered).status == 200
            answered = service.send("OPTIONS", f"sip:bob@localhost:{bob.port}")
            yield deferToThread(self.answer, bob, 200)
            assert (yield answered).status == 200
            for one in lost:
                status, reason = yield self.fails(one)
                assert (status, "the name servers do not answer" in reason) == (503, True)

    @inlineCallbacks
    def test_a_stop_waits_for_no_name_server(self) -> Steps:
        with self.nobody() as dead:
            service = self.serving(resolving=ResolverSettings(servers=(f"127.0.0.1:{dead}",)))
            lost = service.send("OPTIONS", "sip:bob@example.test")
            yield service.stopService()  # nothing is left on the reactor, which trial looks at
            status, _ = yield self.fails(lost)
            assert status == 503
