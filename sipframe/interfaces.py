"""The seams of sipframe: what a plug-in implements, in one place.

Every method may return its value, a Deferred of it, or a coroutine that returns it. Whatever a plug-in raises, and a
plug-in that does not answer within its deadline, ends the request with 500 or 503: **no exception, time-out or
None ever lets anyone in**. The values are in :mod:`sipframe.verdicts`; requests are
:class:`sipframe.message.Request` and must not be changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

from sipframe.verdicts import Binding, Identity, Routing, Terms

if TYPE_CHECKING:
    from sipframe.message import Request, Via

__all__ = [
    "IAuthenticator",
    "IAuthenticatorFactory",
    "ICloseable",
    "IComposed",
    "ICredentialSource",
    "ICredentialSourceFactory",
    "IExpiring",
    "IFlow",
    "ILocationStore",
    "ILocationStoreFactory",
    "IPluginFactory",
    "IPolicy",
    "IPolicyFactory",
]

# zope.interface methods have no self; ruff and mypy-zope both know that.


class IFlow(Interface):
    """The road a request came by (RFC 5626 3.1): a connection, or a pair of UDP addresses. It dies once."""

    transport = Attribute("str: the Via transport, ``UDP``, ``TCP`` or ``TLS``.")
    secure = Attribute("bool: True when the road is TLS.")
    local = Attribute("sipframe.verdicts.Address: our end.")
    peer = Attribute("sipframe.verdicts.Address: the far end, as the socket saw it.")
    serial = Attribute("int: unique among the flows of one process.")
    alive = Attribute("bool: False from the moment the connection is lost.")
    peer_certificate = Attribute("bytes or None: the verified client certificate, DER, when there is one.")

    def send(data: bytes) -> None:
        """Send one whole message to ``peer``. On a dead flow it is counted and dropped, never an exception."""

    def respond(data: bytes, via: Via) -> None:
        """Send a response whose top Via was ``via`` (RFC 3261 18.2.2, RFC 3581 4), on this flow."""


class ICredentialSource(Interface):
    """Knows the secrets of users. The stock digest engine does everything else (RFC 7616, RFC 8760)."""

    def secret(username: str, realm: str, algorithm: str) -> object:
        """Find the secret of ``username`` in ``realm``.

        Called for each request that carries digest credentials for a realm of ours, whose nonce is worth a look.
        ``algorithm`` is ``MD5``, ``SHA-256`` or ``SHA-512-256`` (never a ``-sess`` form: HA1 is the same).
        Return a :class:`~sipframe.verdicts.Secret`, a ``str`` (taken as the password), or None when there is no
        such user: the client then gets the same challenge as after a wrong password.
        """


class IAuthenticator(Interface):
    """Says who is asking."""

    def authenticate(request: Request, flow: IFlow) -> object:
        """Decide who sent ``request``; called once for each request that needs an identity, never for ACK or CANCEL.

        A proxy that asks shows its Proxy-Authorization in the place of Authorization, and a Challenge becomes a 407
        with Proxy-Authenticate (RFC 3261 22.3): it is the same question.

        Return :class:`~sipframe.verdicts.Accepted`, :class:`~sipframe.verdicts.Challenge`,
        :class:`~sipframe.verdicts.Rejected`, or :class:`~sipframe.verdicts.Abstained` when this request is none of its
        business. Several are asked in their order: Accepted and Rejected end that, and what was challenged by the end
        goes out in one answer; where everybody abstained it is 403 (:class:`sipframe.auth.chain.Chain`). Anything else
        is a bug of the plug-in and is answered 500.
        """


class ILocationStore(Interface):
    """Remembers where users are. It never interprets SIP: AORs are opaque keys, bindings opaque values."""

    def lookup(aor: str) -> object:
        """Return the :class:`~sipframe.verdicts.Snapshot` of ``aor``, expired bindings possibly included."""

    def replace(aor: str, bindings: tuple[Binding, ...], version: int) -> object:
        """Make ``bindings`` all that ``aor`` has, if its version is still ``version``: one atomic compare-and-set.

        Return True when done **and durable to the store's promise**: a 200 leaves only then. Return False, with
        nothing changed, when the version has moved on; the registrar then starts over from a fresh look-up. Raise
        when the change could not be made durable. A change that comes about after the deadline of the call stands; its
        REGISTER was answered 503.
        """

    def aors() -> object:
        """Iterate over ``(aor, Snapshot)`` for administrators; a consistent view of one moment is not promised."""

    def expire(now: float) -> object:
        """Forget every binding whose ``expires_at`` is at or before ``now`` (wall-clock); return how many.

        Called now and then by the service. Whether an expired binding is still there is never visible in SIP.
        """


class IExpiring(Interface):
    """What a location store provides besides :class:`ILocationStore` when it can tell whose bindings have ended.

    Then :meth:`forget` is called in the place of :meth:`ILocationStore.expire`, and who watches bindings hears of it.
    """

    def forget(now: float) -> object:
        """Do what :meth:`ILocationStore.expire` does; return a :class:`~sipframe.verdicts.Forgotten` for each AOR."""


class IPolicy(Interface):
    """Says what may happen. Policies form a chain in the order given; the first that refuses ends it."""

    def admit(request: Request, flow: IFlow) -> object:
        """May this request come in at all? Called before authentication, for every request that is not malformed.

        Return :class:`~sipframe.verdicts.Admitted` or :class:`~sipframe.verdicts.Rejected`.
        """

    def registration(request: Request, aor: str, identity: Identity, terms: Terms) -> object:
        """May ``identity`` change or read the bindings of ``aor``, and on which terms?

        Called after authentication. ``terms`` are those that the policies before this one (or the settings) gave.
        Return :class:`~sipframe.verdicts.Terms` (the same or others) or :class:`~sipframe.verdicts.Rejected`.
        """

    def route(request: Request, identity: Identity | None, routing: Routing) -> object:
        """Where does a request go that is to be proxied?

        Called when it is known who sent it (``identity``; None when nobody had to prove anything) and that it may be
        relayed; not for requests that follow a Route which this proxy made for their dialog, nor for ACK and CANCEL.
        ``routing`` is what the location store, or the policies before this one, found.
        Return :class:`~sipframe.verdicts.Routing` (the same or another) or :class:`~sipframe.verdicts.Rejected`.
        """


class ICloseable(Interface):
    """A plug-in that holds something: files, connections, calls on the clock."""

    def close() -> object:
        """Let go of it; nothing is asked any more. Called once, when a server that made the plug-in stops with it."""


class IComposed(Interface):
    """A plug-in that works by asking others, each of which has a guard of its own; this one has nothing to add.

    It gets a deadline, a tenth later than theirs, but no limit to the calls in flight and no circuit breaker: while one
    of those that it asks is in trouble, requests that do not need that one are answered.
    """


class IPluginFactory(Interface):
    """Makes plug-ins from arguments. :class:`sipframe.plugging.Plugin` makes one out of any callable."""

    name = Attribute("str: what selects it, ``[a-z0-9-]+``; unique among its kind.")
    description = Attribute("str: one line for the lists of ``--help-auth`` and the like.")

    def arguments() -> object:
        """The arguments that it takes: a sequence of :class:`sipframe.arguments.Argument`. May import what it needs."""

    def create(arguments: dict[str, object], surroundings: object) -> object:
        """Make a plug-in that is ready to be asked; open what it needs.

        ``arguments`` by their names; the values are text from a command line, or what TOML has: text, numbers,
        booleans, lists and tables. ``surroundings`` is a :class:`sipframe.surroundings.Surroundings`. Raises ValueError
        with one line about what is wrong with them. A plug-in that provides :class:`ICloseable` is closed in the end.
        """


class ICredentialSourceFactory(IPluginFactory):
    """Makes an :class:`ICredentialSource`; ``--credentials``."""


class IAuthenticatorFactory(IPluginFactory):
    """Makes an :class:`IAuthenticator`; ``--auth``."""


class ILocationStoreFactory(IPluginFactory):
    """Makes an :class:`ILocationStore`; ``--location``."""


class IPolicyFactory(IPluginFactory):
    """Makes an :class:`IPolicy`; ``--policy``."""
