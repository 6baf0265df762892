"""The small frozen values that plug-ins receive and return.

Rules of this module: values only, no behaviour beyond construction; nothing here imports a core, a
transport or Twisted. A value that leaves a plug-in is complete: whoever receives it asks nothing more.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = [
    "NO_BINDINGS",
    "Abstained",
    "Accepted",
    "Address",
    "Admitted",
    "Binding",
    "Challenge",
    "Forgotten",
    "Identity",
    "Rejected",
    "Routing",
    "Secret",
    "Snapshot",
    "Target",
    "Terms",
    "Unavailable",
]


class Unavailable(Exception):
    """A plug-in raises this when it cannot answer now but may soon: 503 with Retry-After, in seconds.

    Whatever else a plug-in raises is answered 500 (RFC 3261 10.3 step 7, 21.5.1).
    """

    def __init__(self, reason: str, retry_after: int = 5) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Address(NamedTuple):
    """One end of a flow: a numeric IPv4 or IPv6 address (no brackets) and a port."""

    host: str
    port: int


class Identity(NamedTuple):
    """Who a request was proved to come from.

    ``name`` is what the proof named (a digest username, a certificate's subject), ``realm`` where that name
    is valid. ``aors`` are the canonical AORs (``sip:user@host``) that the identity owns.
    """

    name: str
    realm: str
    aors: frozenset[str]


class Accepted(NamedTuple):
    """The authenticator knows who is asking.

    ``fields`` are header fields for the final answer, such as Authentication-Info (RFC 7616 3.5).
    """

    identity: Identity
    fields: tuple[tuple[str, str], ...] = ()


class Challenge(NamedTuple):
    """Nobody proved anything yet: answer 401 with these WWW-Authenticate values, in this order (a proxy: 407 and
    Proxy-Authenticate).

    ``reason`` is for the log and the decision record, never for the wire.
    """

    values: tuple[str, ...]
    reason: str
    stale: bool = False


class Rejected(NamedTuple):
    """The answer is no. ``status`` is a final SIP status (400 to 699), ``reason`` its phrase on the wire."""

    status: int
    reason: str
    fields: tuple[tuple[str, str], ...] = ()


class Abstained(NamedTuple):
    """An authenticator has nothing to say about this request: the next one is asked. When none has, the answer is 403.

    ``reason`` is for the log and the decision record, never for the wire.
    """

    reason: str = ""


class Admitted(NamedTuple):
    """The policy has nothing against the request; the next one in the chain is asked."""


class Secret(NamedTuple):
    """What a credential source knows of one user: HA1 in lower-case hex (RFC 7616 3.4.2), or a password.

    An empty one is as good as none: nobody gets in with it.

    ``owner`` is the canonical AOR that the account stands for; None leaves it to the realm: a name without
    ``@`` then owns its AOR in the domain that is the realm, or in each domain that is served when all have one realm.
    """

    ha1: str | None = None
    password: str | None = None
    owner: str | None = None

    def __repr__(self) -> str:
        return f"Secret(owner={self.owner!r})"  # it may come to stand in a log


class Terms(NamedTuple):
    """What a registration may ask for. Times in seconds (RFC 3261 10.3 step 7, 20.19)."""

    default_expires: int = 3600
    """What a contact gets that asks for no interval."""
    min_expires: int = 60
    """A shorter interval, unless it is 0, is answered 423 with Min-Expires."""
    max_expires: int = 7200
    """A longer interval is cut down to it."""
    max_contacts: int = 10
    """How many bindings one AOR may have; ``when_full`` says what one more does."""
    other_scheme_expires: int = 2**32 - 1
    """What a contact that is no SIP URI gets when it asks for nothing (RFC 3665 2.2 shows 4294967295)."""
    max_contact_octets: int = 2048
    """How much text a binding may hold: Contact, Path, Call-ID and User-Agent; one with more is refused with 400."""
    third_party: bool = False
    """Whether someone who does not own the AOR may change its bindings (RFC 3261 10.3 step 4)."""
    when_full: Literal["refuse", "replace-oldest"] = "refuse"
    """What a contact too many does: its REGISTER is refused with 403, or the contacts whose last REGISTER is longest
    ago make room. What one REGISTER registers never makes room for the rest of it."""
    drop_when_flow_lost: bool = False
    """Whether a binding ends with the connection that its REGISTER came by."""


class Binding(NamedTuple):
    """One contact of an AOR (RFC 3261 10), as a store keeps it. Times are wall-clock seconds since 1970."""

    contact: str
    """The contact URI, as it was registered."""
    expires_at: float
    call_id: str
    cseq: int
    registered_at: float
    q: str | None = None
    params: str = ""
    """The other Contact parameters as text, each with its leading semicolon."""
    instance_id: str | None = None
    reg_id: int | None = None
    path: tuple[str, ...] = ()
    user_agent: str | None = None
    flow: str | None = None
    """The flow that the REGISTER came by, ``TRANSPORT LOCAL PEER SERIAL``; a hint, dead after a restart."""


class Snapshot(NamedTuple):
    """The bindings of one AOR at one moment. ``version`` changes whenever they do; 0 when there never were any."""

    bindings: tuple[Binding, ...]
    version: int


NO_BINDINGS = Snapshot((), 0)


class Target(NamedTuple):
    """One place that a proxied request may go to (RFC 3261 16.5)."""

    uri: str
    """A SIP or SIPS URI: what becomes the Request-URI."""
    q: int = 1000
    """In thousandths. Targets with the same q are tried at once, those with a lower one when the higher ones failed."""
    path: tuple[str, ...] = ()
    """Proxies to be visited on the way, as Route values (RFC 3327 5.4, RFC 3261 16.6 step 6)."""
    flow: str | None = None
    """The flow that leads there, ``TRANSPORT LOCAL PEER SERIAL``; None when only the URI says where it is."""
    secure: bool = False
    """Whether it is reached over TLS only, even where the URI is a SIP URI (RFC 5630 5.3)."""
    instead: tuple[Target, ...] = ()
    """The same device by other flows, tried one after the other when it is silent or its flow has failed (RFC 5626 7,
    RFC 5627 6.1); what they have here is not looked at."""


class Routing(NamedTuple):
    """Where a proxied request is to go, and how (RFC 3261 16.5)."""

    targets: tuple[Target, ...]
    """With none the answer is 480."""
    aor: str = ""
    """The canonical AOR in the Request-URI; empty when its domain is not served here."""
    record_route: bool = True
    """Whether later requests of a dialog come by here, too (RFC 3261 16.6 step 4)."""
    recurse: bool = False
    """Whether the contacts of a redirection are tried here (RFC 3261 16.7 step 4), or sent back."""


class Forgotten(NamedTuple):
    """What a location store forgot of one AOR because its time was over, and what the AOR has left."""

    aor: str
    ended: tuple[Binding, ...]
    left: tuple[Binding, ...]
