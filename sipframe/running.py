"""One server from its start to its stop: every part that it is made of, put together once.

Rules: a part is made before anything listens; what cannot be made is a StartError of one line, and nothing stays open.
Stopping goes from the outside inwards: sockets, then whoever waits, then plug-ins. What a reload changes, it changes
between two requests.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import count
from operator import methodcaller
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall

from sipframe import wiring
from sipframe.admin.server import AdminServer
from sipframe.application import Application
from sipframe.changes import forget_expired
from sipframe.config import Settings
from sipframe.decisions import Decisions
from sipframe.domains import Domains
from sipframe.events import Events
from sipframe.gruu import Gruus
from sipframe.interfaces import ICredentialSource, IFlow
from sipframe.message import MessageError, Request, Response
from sipframe.plugged import Given, Plugged, PlugIn
from sipframe.proxy import Branches, FlowTokens, Fork, Proxy, ProxyCounters
from sipframe.registrar import Registrar
from sipframe.seams import Seam
from sipframe.sending import Sender
from sipframe.surroundings import Surroundings
from sipframe.transaction import TransactionLayer
from sipframe.transport import (
    Connections,
    DNSClient,
    Ground,
    Listeners,
    OurEnds,
    SIPResolver,
    TLSError,
    TLSIdentity,
    Traffic,
    TransportCounters,
)
from sipframe.uac import HearsOfFailures, Resolver, UserAgentClient
from sipframe.uas import UserAgentServer
from sipframe.wiring import StartError

__all__ = ["RELOADED", "Arrivals", "Means", "Running"]

RELOADED = (
    "authenticators",
    "certificates",
    "client_ca",
    "credentials",
    "limits",
    "peer_ca",
    "policies",
    "proxy",
    "terms",
)
"""The settings that can be taken into use while a server runs."""


class Arrivals:
    """Where the transport delivers: the transaction layer, the UAS core for what is no sound message, and
    ``flow_lost`` for who else cares.
    """

    __slots__ = ("_flow_lost", "_layer", "_uas", "connections")

    def __init__(
        self,
        layer: TransactionLayer,
        uas: UserAgentServer,
        flow_lost: Callable[[IFlow], object] | None = None,
    ) -> None:
        self._layer = layer
        self._uas = uas
        self._flow_lost = flow_lost
        self.connections: Connections | None = None
        """Who is told of requests from peers with certificates."""

    def request(self, request: Request, flow: IFlow) -> None:
        if flow.secure and flow.peer_certificate is not None and self.connections is not None:
            self.connections.alias(request, flow)
        try:
            self._layer.request(request, flow)
        except MessageError as error:
            self._uas.malformed(MessageError(error.reason, error.status, request), flow)

    def response(self, response: Response, flow: IFlow) -> None:
        self._layer.response(response, flow)

    def malformed(self, error: MessageError, flow: IFlow) -> None:
        self._uas.malformed(error, flow)

    def flow_lost(self, flow: IFlow) -> None:
        self._layer.flow_lost(flow)
        if self._flow_lost is not None:
            self._flow_lost(flow)

    def too_large(self, data: bytes, flow: IFlow) -> bytes | None:
        return self._uas.too_large(data, flow)


@attrs.frozen(kw_only=True)
class Means:
    """What a server is given besides its settings, and keeps over stops and starts."""

    reactor: Any
    wall_clock: Callable[[], float]
    entropy: Callable[[int], bytes]
    given: Given
    resolver: Resolver | None
    dns: DNSClient | None
    events: Events
    decisions: Decisions
    counters: TransportCounters
    traffic: Traffic


class Running:
    """The parts of a server; nothing listens before :meth:`open`. Raises StartError."""

    def __init__(self, settings: Settings, means: Means) -> None:
        self.settings = settings
        self._means = means
        reactor, entropy, wall_clock, events = means.reactor, means.entropy, means.wall_clock, means.events
        try:
            domains = Domains(settings.domains, settings.aliases)
        except ValueError as error:
            raise StartError(str(error)) from None
        wiring.make_state_directory(settings.state)
        key = wiring.secret(settings, entropy)
        self.gruus = Gruus(domains, key, entropy) if settings.registrar.gruu else None
        self.seam = Seam(reactor, settings.plug_ins, events)
        tls_client = wiring.tls_client(settings)
        self.plugged = self._plugged(settings, None)
        self._retired: list[tuple[IDelayedCall, Callable[[], None]]] = []
        self._closing: set[Deferred[Any]] = set()
        self.admin: AdminServer | None = None
        self.uas = UserAgentServer(
            serves=domains.serves,
            policies=self.plugged.policies,
            seam=self.seam,
            events=events,
            tag_key=entropy(32),
            decisions=means.decisions,
            wall_clock=wall_clock,
            aor_of=domains.aor_of,
            option_tags=settings.registrar.option_tags,
        )
        self.registrar = Registrar(
            domains=domains,
            authenticator=self.plugged.authenticator,
            store=self.plugged.location,
            policies=self.plugged.policies,
            terms=settings.terms,
            seam=self.seam,
            events=events,
            wall_clock=wall_clock,
            answering=self.uas,
            most_waiting=settings.most_waiting,
            settings=settings.registrar,
            gruus=self.gruus,
            proved=methodcaller("prove"),
        )
        self.uas.add_core("REGISTER", self.registrar.register)
        self.layer = TransactionLayer(
            reactor, settings.transactions, self.uas, self.uas.trying, self.uas.cancel_ok
        )
        arrivals = Arrivals(self.layer, self.uas, self.registrar.flow_bindings.flow_lost)
        # UDP flows, connections and their limits stand on this.
        self.ground = Ground(
            clock=reactor,
            sink=arrivals,
            limits=settings.limits,
            counters=means.counters,
            traffic=means.traffic,
            # A binding that outlives this process must not find a flow of another one under its number.
            serials=count(1 + int.from_bytes(entropy(6), "big")),
        )
        self.identity = self._identity()
        self.listeners = Listeners(reactor, self.ground, self.identity)
        ends = OurEnds(self.listeners.open)
        arrivals.connections = self.connections = Connections(reactor, self.ground, ends, tls_client)
        self.resolver = SIPResolver(
            reactor, settings.resolving, client=means.dns, versions=ends.versions, entropy=entropy
        )
        resolver: Resolver = self.resolver if means.resolver is None else means.resolver
        self.sender = Sender(
            self.layer,
            self.connections,
            entropy,
            large=settings.limits.udp_request,
            most=settings.transactions.max_client_transactions,
            failed=resolver.failed if isinstance(resolver, HearsOfFailures) else None,
        )
        self._domains = domains
        self._resolver = resolver
        self._signing = FlowTokens(key), Branches(key), ProxyCounters()
        self._queue = cache(self.layer.queues.queue)
        self.underway: dict[Fork, None] = {}
        """The proxied requests whose branches have not all ended."""
        self.uas.proxy = self._proxy(self.plugged, settings)
        self.application = Application(
            domains=domains,
            location=self.plugged.location,
            removals=self.registrar.removals,
            client=UserAgentClient(self.sender, resolver, self.seam, events),
            seam=self.seam,
            wall_clock=wall_clock,
            entropy=entropy,
        )
        location = self.plugged.location
        self._expiry = LoopingCall(lambda: forget_expired(location, events, wall_clock()))
        self._expiry.clock = reactor

    def _plugged(self, settings: Settings, before: Plugged | None) -> Plugged:
        return Plugged(settings, self._means.given, self._surroundings, self.seam, before)

    @property
    def proxy_counters(self) -> ProxyCounters:
        """What the proxy has done since the start."""
        return self._signing[2]

    def _proxy(self, plugged: Plugged, settings: Settings) -> Proxy | None:
        if not settings.proxy.enabled:
            return None
        tokens, branches, counters = self._signing
        return Proxy(
            settings=settings.proxy,
            domains=self._domains,
            authenticator=plugged.authenticator,
            store=plugged.location,
            policies=plugged.policies,
            resolver=self._resolver,
            sender=self.sender,
            seam=self.seam,
            events=self._means.events,
            wall_clock=self._means.wall_clock,
            answering=self.uas,
            tokens=tokens,
            branches=branches,
            counters=counters,
            underway=self.underway,
            gruus=self.gruus,
            queue=self._queue,
            timeout=settings.transactions.timers.timeout,
            realms=settings.domains if settings.realm is None else (settings.realm,),
        )

    def _surroundings(self, plug_in: PlugIn, credentials: Callable[[], ICredentialSource]) -> Surroundings:
        settings, means = self.settings, self._means
        return Surroundings(
            reactor=means.reactor,
            wall_clock=means.wall_clock,
            entropy=means.entropy,
            state=settings.state,
            base=settings.base,
            domains=tuple([domain.lower() for domain in settings.domains]),
            aliases=settings.aliases,
            realm=settings.realm,
            events=means.events,
            credentials=credentials,
            plug_in=plug_in,
        )

    def _identity(self) -> TLSIdentity | None:
        if not any(address.transport == "tls" for address in self.settings.listen):
            return None
        try:
            return wiring.tls_identity(self.settings, self._means.wall_clock())
        except StartError:
            _ = self.plugged.close()
            raise

    def open(self, served: Any, admin: Path | None) -> None:
        """Listen; at ``admin`` too, for questions about ``served``. Raises StartError; :meth:`abandon` then."""
        reactor, settings = self._means.reactor, self.settings
        if self.identity is not None:
            self.identity.watch(reactor, settings.certificates_every)
        for address in settings.listen:
            try:
                self.listeners.listen(address)
            except CannotListenError as error:
                raise StartError(f"--listen {address}: {_why(error)}") from None
        _ = self._expiry.start(settings.expire_every, now=False)
        if admin is not None:
            self.admin = AdminServer(served, admin, reactor, wall_clock=self._means.wall_clock)
            self.admin.start()

    def renew(self, settings: Settings) -> None:
        """Take :data:`RELOADED` of ``settings`` into use, all of it or nothing. Raises StartError.

        Requests under way finish with what they began with.
        """
        settings = attrs.evolve(self.settings, **{name: getattr(settings, name) for name in RELOADED})
        tls_client = wiring.tls_client(settings)
        before = self.plugged
        plugged = self._plugged(settings, before)
        try:
            if self.identity is not None:
                self.identity.use(wiring.tls_settings(settings, self._means.wall_clock()))
        except (TLSError, StartError) as error:
            _ = plugged.close(before)
            raise StartError(f"TLS: {error}" if isinstance(error, TLSError) else str(error)) from None
        self.settings = settings
        self.plugged = plugged
        self.registrar = self.registrar.reconfigured(
            authenticator=plugged.authenticator, policies=plugged.policies, terms=settings.terms
        )
        self.uas.reconfigure(plugged.policies, {"REGISTER": self.registrar.register})
        self.uas.proxy = self._proxy(plugged, settings)
        self.ground.take_limits(settings.limits)
        self.connections.tls = tls_client
        self.sender.large = settings.limits.udp_request
        self._retire(before, plugged)

    def _retire(self, before: Plugged, plugged: Plugged) -> None:
        """Close what only ``before`` had, once nobody can be waiting for it any more."""
        # In the order of their ends: each closes what the next one does not have.
        self._retired = [(call, close) for call, close in self._retired if call.active()]

        def close() -> None:
            closing = before.close(plugged)
            self._closing.add(closing)
            _ = closing.addBoth(lambda _: self._closing.discard(closing))

        # A request that has just come asks every policy twice and the authenticator, each for as long as it may take;
        # one from before the last reload may ask what is retired only now.
        asked = 2 * len(before.policies) + 1
        reactor = self._means.reactor
        due = reactor.seconds() + asked * self.settings.plug_ins.deadline
        due = max([due, *[call.getTime() for call, _ in self._retired]])
        self._retired.append((reactor.callLater(due - reactor.seconds(), close), close))

    def stop_admin(self) -> Deferred[None]:
        """Answer no more questions about the server."""
        return succeed(None) if self.admin is None else self.admin.stop()

    def end_timers(self) -> None:
        """Give up on whoever still waits; nothing is left on the clock."""
        if self._expiry.running:
            self._expiry.stop()
        if self.identity is not None:
            self.identity.stop_watching()
        for fork in tuple(self.underway):
            fork.give_up()
        self.application.stop()
        self.connections.close()
        self.seam.stop()  # 503 to whom nobody has answered
        self.resolver.close()
        self.layer.stop()

    def close_plug_ins(self) -> Deferred[Any]:
        """Close what was made for this server; fires when it is."""
        for call, close in self._retired:
            if call.active():
                call.cancel()
                close()
        return DeferredList([*self._closing, self.plugged.close()])

    def abandon(self) -> Deferred[Any]:
        """Close everything at once; fires when it is."""
        self.end_timers()
        closing = [self.stop_admin(), self.close_plug_ins(), self.listeners.close(0)]
        return DeferredList(closing, consumeErrors=True)


def _why(error: CannotListenError) -> str:
    reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
    return f"{reason[:1].lower()}{reason[1:]}"
