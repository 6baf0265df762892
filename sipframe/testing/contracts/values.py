"""Hypothesis strategies for what plug-ins are given and asked about: bindings, flows, terms, identities, odd names.

Rules: everything here may reach a plug-in in service. Text from a peer is any octets, so it holds surrogates, NUL and
quotation marks; times and numbers stay within what RFC 3261 lets a REGISTER say.
"""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st
from zope.interface import implementer

from sipframe.interfaces import IFlow
from sipframe.testing.contracts.contract import NOW
from sipframe.testing.strategies import sip_uris
from sipframe.verdicts import Address, Binding, Identity, Routing, Target, Terms

__all__ = [
    "StillFlow",
    "a_binding",
    "bindings",
    "flows",
    "identities",
    "odd_names",
    "peer_texts",
    "routings",
    "terms",
    "twisted_names",
]

ODD_TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "\udcff\udc80",
    "grüße ☎ 𝄞",
    "'; DROP TABLE binding; --",
    '"quoted", \\ and <>;=%25',
    "{}[]:null",
    "line\r\nbreak",
)
LONG_TEXT = "x" * 10_000


def peer_texts() -> st.SearchStrategy[str]:
    """Text as it was read from any octets of a peer."""
    return st.one_of(
        st.sampled_from(ODD_TEXTS),
        st.text(max_size=20),
        st.binary(max_size=20).map(lambda octets: octets.decode("utf-8", "surrogateescape")),
    )


def a_binding(contact: str = "sip:alice@192.0.2.1", ends: float = NOW + 3600, cseq: int = 1) -> Binding:
    """One plain binding."""
    return Binding(contact, ends, "a84b4c76e66710@192.0.2.1", cseq, NOW)


def bindings() -> st.SearchStrategy[Binding]:
    """Bindings with any text and number in each field; plain ones are the simplest."""

    def text(plain: str) -> st.SearchStrategy[str]:
        return st.one_of(st.just(plain), peer_texts())

    maybe = st.one_of(st.none(), peer_texts())
    moments = st.one_of(
        st.just(NOW + 3600),
        st.integers(60, 2**32).map(lambda seconds: NOW + seconds),
        st.floats(NOW + 60, NOW + 2**32, allow_nan=False),
    )
    return st.builds(
        Binding,
        contact=text("sip:alice@192.0.2.1"),
        expires_at=moments,
        call_id=text("1"),
        cseq=st.integers(0, 2**32 - 1),
        registered_at=st.one_of(st.just(NOW), st.floats(NOW - 2**31, NOW)),
        q=st.one_of(st.none(), st.sampled_from(["0", "0.70", "1.000"])),
        params=text(""),
        instance_id=maybe,
        reg_id=st.one_of(st.none(), st.integers(0, 2**31 - 1)),
        path=st.lists(text("<sip:edge.example.com;lr>"), max_size=3).map(tuple),
        user_agent=maybe,
        flow=maybe,
    )


_PEER = Address("192.0.2.7", 5062)
_LOCAL = Address("192.0.2.1", 5060)


@implementer(IFlow)
class StillFlow:
    """A flow on which nothing moves; what is sent is kept in ``sent``."""

    def __init__(
        self,
        transport: str = "UDP",
        peer: Address = _PEER,
        local: Address = _LOCAL,
        peer_certificate: bytes | None = None,
        serial: int = 1,
    ) -> None:
        self.transport = transport
        self.secure = transport == "TLS"
        self.local = local
        self.peer = peer
        self.serial = serial
        self.alive = True
        self.peer_certificate = peer_certificate
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> None:
        """Keep it."""
        self.sent.append(data)

    def respond(self, data: bytes, via: object) -> None:
        """Keep it."""
        self.sent.append(data)

    def __repr__(self) -> str:
        certificate = "" if self.peer_certificate is None else " with a certificate"
        return f"<{self.transport} flow from {self.peer.host} port {self.peer.port}{certificate}>"


_HOSTS = st.one_of(
    st.sampled_from(
        ["127.0.0.1", "192.0.2.7", "10.1.2.3", "255.255.255.255", "::1", "fe80::1", "::ffff:192.0.2.7"]
    ),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
)


def flows() -> st.SearchStrategy[StillFlow]:
    """Roads that a request may come by, without a client certificate."""
    peers = st.builds(Address, _HOSTS, st.integers(0, 65535))
    return st.builds(StillFlow, st.sampled_from(["UDP", "TCP", "TLS"]), peers)


def terms() -> st.SearchStrategy[Terms]:
    """Terms that settings or another policy may have given."""

    def made(times: list[int], contacts: int, octets: int, third_party: bool) -> Terms:
        least, default, most = sorted(times)
        return Terms(
            default_expires=default,
            min_expires=least,
            max_expires=most,
            max_contacts=contacts,
            max_contact_octets=octets,
            third_party=third_party,
        )

    times = st.lists(st.one_of(st.integers(1, 7200), st.integers(1, 2**32 - 1)), min_size=3, max_size=3)
    return st.one_of(
        st.just(Terms()),
        st.builds(made, times, st.integers(1, 100), st.integers(256, 8192), st.booleans()),
    )


def routings() -> st.SearchStrategy[Routing]:
    """Routings that a location store or another policy may have given."""
    proxies = st.one_of(st.just("<sip:edge.example.com;lr>"), sip_uris().map(lambda uri: f"<{uri}>"))
    targets = st.builds(
        Target,
        uri=st.one_of(st.just("sip:alice@192.0.2.1"), sip_uris()),
        q=st.one_of(st.just(1000), st.integers(0, 1000)),
        path=st.lists(proxies, max_size=2).map(tuple),
        flow=st.sampled_from([None, "TLS 192.0.2.1:5061 192.0.2.7:49152 3", "UDP [::1]:5060 [::2]:5062 1"]),
        secure=st.booleans(),
    )
    aors = st.sampled_from(["sip:alice@example.com", "sip:+12015550123@example.com", ""])
    return st.builds(
        Routing,
        targets=st.lists(targets, max_size=3).map(tuple),
        aor=aors,
        record_route=st.booleans(),
        recurse=st.booleans(),
    )


def identities(domain: str = "example.com") -> st.SearchStrategy[Identity]:
    """Identities of ``domain``, each with the AORs that it owns; a few own none."""

    def made(name: str, others: list[str]) -> Identity:
        return Identity(name, domain, frozenset(f"sip:{user}@{domain}" for user in others))

    names = st.sampled_from(["alice", "bob", "+12015550123", "%61lice", "a!b*c"])
    return st.builds(made, st.one_of(names, peer_texts()), st.lists(names, max_size=2))


def twisted_names(known: Iterable[str]) -> list[str]:
    """Names made to be mistaken for one of ``known``, or for a part of a query, a pattern or a path."""
    nobody = [
        "",
        " ",
        "\0",
        "*",
        "%",
        "_",
        ".*",
        "..",
        "../../etc/passwd",
        "/",
        "'",
        '"',
        "\\",
        "None",
        "null",
    ]
    return [*nobody, *(twist for name in known for twist in _twists(name))]


def _twists(name: str) -> tuple[str, ...]:
    return (
        name.swapcase(),
        name.upper(),
        name.capitalize(),
        "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in name),  # full width
        f"{name[:1]}\u200b{name[1:]}",
        f"{name}\u0301",
        f"{name}\udcff",
        *(f"{odd}{name}" for odd in (" ", ":", "x:", "./", "../", "/", "x/../", "\0")),
        *(
            f"{name}{odd}"
            for odd in (" ", "\0", "\0x", "\n", "\r\nx:y", ":", ":x", "/", "?", "#x", "&x=y", ";", "\\", "*")
        ),
        f"{name}'--",
        f"{name}' -- ",
        f"{name}' OR '1'='1",
        "x' OR '1'='1' --",
        f"x' UNION SELECT '{name}' --",
        f"x' OR username='{name}",
        f'{name}" OR ""="',
        f"{name})(uid=*",
        f"*)(uid={name}",
        f"*)(|(uid={name}",
        f"{name[:1]}*",
        f"{name[:1]}%",
        f"{name[:-1]}_",
        f"{name[:-1]}?",
        f"{name[:-1]}.",
        "_" * len(name),
        "?" * len(name),
        f"({name})",
        f"[{name[:1]}]{name[1:]}",
        f"{name}|x",
        f"%{ord(name[:1] or 'x'):02x}{name[1:]}",
        name * 2,
        name[:-1],
        name[1:],
        name[::-1],
    )


def odd_names(known: Iterable[str], also_known: Iterable[str] = ()) -> st.SearchStrategy[str]:
    """Names that are nobody's: neither in ``known``, from which some are made, nor in ``also_known``."""
    known = list(known)
    taken = {*known, *also_known}
    nobody = [
        "",
        " ",
        "\0",
        "*",
        "%",
        "_",
        ".*",
        "..",
        "../../etc/passwd",
        "/",
        "'",
        '"',
        "\\",
        "None",
        "null",
    ]
    odd = st.one_of(st.sampled_from([*nobody, *twisted_names(known)]), st.just("x" * 100_000), peer_texts())
    return odd.filter(lambda name: name not in taken)
