"""The embeddable server: an ordinary Twisted service, made of settings and plug-in objects.

Rules: no globals; several may run in one process, and each may be started and stopped again and again. Everything that
can go wrong at the start raises :class:`~sipframe.wiring.StartError` with one line, and leaves nothing listening. A
stop is graceful and bounded: stop accepting, let requests that wait be answered, close, commit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, fail, inlineCallbacks, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from sipframe import wiring
from sipframe.admin.protocol import SOCKET_NAME
from sipframe.admin.server import AdminServer
from sipframe.application import Application, canonical
from sipframe.changes import Watcher, forget_expired, watch
from sipframe.config import Settings
from sipframe.decisions import Decisions
from sipframe.domains import Domains
from sipframe.events import Events
from sipframe.interfaces import ICredentialSource, IFlow
from sipframe.message import MessageError, Request, Response
from sipframe.plugged import Given, Plugged, PlugIn
from sipframe.registrar import Registrar
from sipframe.seams import PluginLimits, Seam
from sipframe.sending import Sender
from sipframe.surroundings import Surroundings
from sipframe.transaction import TransactionLayer
from sipframe.transport import (
    Connections,
    Ground,
    HostResolver,
    Listeners,
    Listening,
    OurEnds,
    TLSError,
    TLSIdentity,
    TransportCounters,
)
from sipframe.uac import RequestFailed, Resolver, UserAgentClient
from sipframe.uas import UserAgentServer, UserAgentServerCounters
from sipframe.verdicts import Address, Binding, Unavailable
from sipframe.wiring import StartError

__all__ = ["SIPService"]

_log = Logger()

RELOADED = (
    "authenticators",
    "certificates",
    "client_ca",
    "credentials",
    "limits",
    "peer_ca",
    "policies",
    "terms",
)
"""The settings that :meth:`SIPService.reload` takes into use while the server runs."""
_STOP_LOOKS_EVERY = 0.05
_NOT_RUNNING = "the server is not running"


class Arrivals:
    """Where the transport delivers: the transaction layer, the UAS core for what is no sound message, and
    ``flow_lost`` for who else cares.
    """

    __slots__ = ("_flow_lost", "_layer", "_uas")

    def __init__(
        self,
        layer: TransactionLayer,
        uas: UserAgentServer,
        flow_lost: Callable[[IFlow], object] | None = None,
    ) -> None:
        self._layer = layer
        self._uas = uas
        self._flow_lost = flow_lost

    def request(self, request: Request, flow: IFlow) -> None:
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


class SIPService(Service):
    """A SIP registrar.

    ``authenticator`` (IAuthenticator) stands for all of authentication; ``credentials`` (ICredentialSource) only tells
    secrets to the stock Digest authenticator; without either, the accounts in the state directory do. ``location``
    (ILocationStore) stands in for the store that the settings name; it is neither started nor closed here. ``policies``
    are asked in their order. ``resolver`` finds where requests of ours go (:class:`sipframe.uac.Resolver`); without it
    that is what the reactor makes of a host name. ``wall_clock`` gives seconds since 1970, ``entropy`` random octets.
    Raises StartError when a plug-in is not what it should be.
    """

    admin_unless_set: ClassVar[bool] = False
    """Whether there is an admin socket when the settings leave it open."""

    def __init__(
        self,
        settings: Settings,
        *,
        reactor: Any,
        credentials: object | None = None,
        authenticator: object | None = None,
        location: object | None = None,
        policies: Sequence[object] = (),
        resolver: Resolver | None = None,
        wall_clock: Callable[[], float] = time.time,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.settings = settings
        self.events = Events()
        self.counters = TransportCounters()
        self.decisions = Decisions()
        self._reactor = reactor
        self._given = Given(
            credentials=credentials, authenticator=authenticator, location=location, policies=tuple(policies)
        ).verified()
        self._resolver: Resolver = HostResolver(reactor) if resolver is None else resolver
        self._wall_clock = wall_clock
        self._entropy = entropy
        self._running: _Running | None = None
        self._abandoned: Deferred[Any] = succeed(None)

    def startService(self) -> None:
        """Open the stores, then listen. Raises StartError; what was open by then is closed, which takes a moment.

        Whoever wants to start again after that waits for :meth:`stopService` first.
        """
        wiring.make_state_directory(self.settings.state)
        running = _Running()
        try:
            self._start(running)
        except BaseException:
            self._abandoned = running.abandon()
            raise
        self._running = running
        super().startService()  # type: ignore[no-untyped-call]
        # Before that nothing is answered, and in a process of its own no signal is heeded.
        self._reactor.callWhenRunning(self._run, running)

    def _run(self, running: _Running) -> None:
        if running is self._running:
            self.ready()

    def ready(self) -> None:
        """The server listens and the reactor runs: say so."""
        _log.info(
            "sipframe is ready: {listening}",
            listening=", ".join(f"{one.transport} {_end(one.local)}" for one in self.listening()),
        )

    def _start(self, running: _Running) -> None:
        settings, reactor = self.settings, self._reactor
        try:
            domains = self._domains()
        except ValueError as error:
            raise StartError(str(error)) from None
        plugged = running.plugged = Plugged(settings, self._given, self._surroundings)
        limits = PluginLimits(deadline=settings.plugin_deadline)
        seam = running.seam = Seam(reactor, limits, self.events)
        uas = running.uas = UserAgentServer(
            serves=domains.serves,
            policies=plugged.policies,
            seam=seam,
            events=self.events,
            tag_key=self._entropy(32),
            decisions=self.decisions,
            wall_clock=self._wall_clock,
            aor_of=domains.aor_of,
        )
        registrar = running.registrar = Registrar(
            domains=domains,
            authenticator=plugged.authenticator,
            store=plugged.location,
            policies=plugged.policies,
            terms=settings.terms,
            seam=seam,
            events=self.events,
            wall_clock=self._wall_clock,
            answering=uas,
            most_waiting=settings.most_waiting,
        )
        uas.add_core("REGISTER", registrar.register)
        running.layer = TransactionLayer(reactor, settings.transactions, uas, uas.trying, uas.cancel_ok)
        if any(address.transport == "tls" for address in settings.listen):
            running.identity = wiring.tls_identity(settings, self._wall_clock())
            running.identity.watch(reactor, settings.certificates_every)
        # UDP flows, connections and their limits stand on this.
        ground = running.ground = Ground(
            clock=reactor,
            sink=Arrivals(running.layer, uas, registrar.flow_bindings.flow_lost),
            limits=settings.limits,
            counters=self.counters,
            # A binding that outlives this process must not find a flow of another one under its number.
            serials=count(1 + int.from_bytes(self._entropy(6), "big")),
        )
        listeners = running.listeners = Listeners(reactor, ground, running.identity)
        running.connections = Connections(
            reactor, ground, OurEnds(listeners.open), wiring.tls_client(settings)
        )
        sender = Sender(
            running.layer,
            running.connections,
            self._entropy,
            large=settings.limits.udp_request,
            most=settings.transactions.max_client_transactions,
        )
        running.application = Application(
            domains=domains,
            location=plugged.location,
            removals=registrar.removals,
            client=UserAgentClient(sender, self._resolver, seam, self.events),
            seam=seam,
            wall_clock=self._wall_clock,
            entropy=self._entropy,
        )
        for address in settings.listen:
            try:
                running.listeners.listen(address)
            except CannotListenError as error:
                raise StartError(f"--listen {address}: {_why(error)}") from None
        location = plugged.location
        running.expiry = LoopingCall(lambda: forget_expired(location, self.events, self._wall_clock()))
        running.expiry.clock = reactor
        _ = running.expiry.start(settings.expire_every, now=False)
        socket = self._admin_socket()
        if socket is not None:
            admin = AdminServer(self, socket, reactor, wall_clock=self._wall_clock)
            admin.start()
            running.admin = admin

    def _admin_socket(self) -> Path | None:
        admin = self.settings.admin
        if isinstance(admin, Path):
            return admin
        wanted = self.admin_unless_set if admin is None else admin
        return self.settings.state / SOCKET_NAME if wanted else None

    def _surroundings(self, plug_in: PlugIn, credentials: Callable[[], ICredentialSource]) -> Surroundings:
        settings = self.settings
        return Surroundings(
            reactor=self._reactor,
            wall_clock=self._wall_clock,
            entropy=self._entropy,
            state=settings.state,
            base=settings.base,
            domains=tuple([domain.lower() for domain in settings.domains]),
            aliases=settings.aliases,
            realm=settings.realm,
            events=self.events,
            credentials=credentials,
            plug_in=plug_in,
        )

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Stop accepting, let what waits be answered, close; no longer than twice the deadline."""
        running, self._running = self._running, None
        super().stopService()  # type: ignore[no-untyped-call]
        if running is None:
            yield self._abandoned
            return
        deadline = self.settings.stop_deadline
        yield running.stop_admin()
        yield running.listeners.stop_accepting()
        assert running.layer is not None
        until = self._reactor.seconds() + deadline
        while running.layer.unanswered() and self._reactor.seconds() < until:
            yield deferLater(self._reactor, _STOP_LOOKS_EVERY)
        left = running.layer.unanswered()
        if left:
            _log.warn(
                "stopping with {count} requests unanswered after {deadline} s", count=left, deadline=deadline
            )
        running.end_timers()
        yield running.listeners.close(deadline)
        yield running.close_plug_ins()
        _log.info("sipframe has stopped")

    def abandon(self) -> Deferred[Any]:
        """End at once, as for a process that is killed: nothing is waited for, least of all for requests.

        Only what belongs to the system is given back, such as files; fires when it is. For tests of what a crash
        leaves behind (:meth:`sipframe.testing.Server.crash`).
        """
        running, self._running = self._running, None
        super().stopService()  # type: ignore[no-untyped-call]
        return self._abandoned if running is None else running.abandon()

    def listening(self) -> tuple[Listening, ...]:
        """The sockets that are open, in the order of the settings: transport, address, Twisted's port."""
        return () if self._running is None else tuple(self._running.listeners.open)

    def reload(self, settings: Settings | None = None) -> tuple[str, ...]:
        """Take ``settings``, or the files of those that there are, into use, all of it or nothing.

        Requests under way finish with what they began with. What cannot change while the server runs stays as it is
        until it is started again: the names of such settings are returned, and logged. Raises StartError with one line
        when there is something wrong; then everything stays as it is.
        """
        running = self._running
        if settings is None:
            settings = self.settings
        if running is None:
            self.settings = settings
            return ()
        changed = [
            name for name in _fields(settings) if getattr(settings, name) != getattr(self.settings, name)
        ]
        left = tuple([name.replace("_", "-") for name in changed if name not in RELOADED])
        settings = attrs.evolve(self.settings, **{name: getattr(settings, name) for name in RELOADED})
        tls_client = wiring.tls_client(settings)
        plugged = Plugged(settings, self._given, self._surroundings, running.plugged)
        try:
            if running.identity is not None:
                running.identity.use(wiring.tls_settings(settings, self._wall_clock()))
        except TLSError as error:
            _ = plugged.close(running.plugged)
            raise StartError(f"TLS: {error}") from None
        self.settings = settings
        before = running.plugged
        assert before is not None
        running.take(plugged, settings)
        assert running.connections is not None
        running.connections.tls = tls_client
        running.retire(self._reactor, before, plugged, settings.plugin_deadline)
        _log.info("settings are taken into use; changed: {changed}", changed=", ".join(changed) or "none")
        if left:
            _log.warn("settings that wait for the next start: {left}", left=", ".join(left))
        return left

    @property
    def location(self) -> Any:
        """The location store (ILocationStore) while the service runs, else None."""
        running = self._running
        return None if running is None or running.plugged is None else running.plugged.location

    def bindings(self, aor: str) -> Deferred[tuple[Binding, ...]]:
        """A Deferred of what ``aor`` has now, expired bindings left out; it fails when the store does.

        Raises ValueError when ``aor`` is no SIP URI with a user.
        """
        application = self._application
        return fail(Unavailable(_NOT_RUNNING)) if application is None else application.bindings(aor)

    def watch(self, aor: str | None, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher(aor, bindings, change)`` for every change of ``aor``, or of all AORs; the result ends that.

        ``bindings`` are all that the AOR has now, ``change`` is ``bound``, ``removed`` or ``expired``. It goes on over
        stops and starts. Raises ValueError when ``aor`` is no SIP URI with a user.
        """
        return watch(self.events, None if aor is None else canonical(self._domains(), aor), watcher)

    def remove(self, aor: str, contact: str | None = None) -> Deferred[tuple[Binding, ...]]:
        """Remove all bindings of ``aor``, or those whose contact equals ``contact`` (RFC 3261 19.1.4).

        A Deferred of those that were removed, once that is durable; it fails when the store does. The phone is not
        told, and may register again. Raises ValueError when one of the two is no URI.
        """
        application = self._application
        if application is None:
            return fail(Unavailable(_NOT_RUNNING))
        return application.remove(aor, contact, "application")

    def send(
        self,
        method: str,
        target: str | Binding,
        *,
        to: str | None = None,
        from_: str | None = None,
        fields: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str | None = None,
        provisional: Callable[[Response], object] | None = None,
    ) -> Deferred[Response]:
        """Send a request outside any dialog, such as OPTIONS, MESSAGE or NOTIFY, and wait for its final response.

        ``target`` is a binding, which is reached by the connection it was registered by while that lives, or a SIP URI.
        ``to`` and ``from_`` are URIs: the target, and ``sip:`` with the first domain, unless they are given. ``fields``
        are more header fields. ``provisional`` is called with each 1xx.

        A Deferred of the final response, whatever its status; challenges are not answered. It fails with
        :class:`sipframe.uac.RequestFailed` when there is none: 408 after 64*T1 of silence, 503 when nobody can be
        reached. To cancel it is to wait no longer. Raises ValueError when the request cannot be made.
        """
        application = self._application
        if application is None:
            return fail(RequestFailed(503, _NOT_RUNNING))
        return application.send(
            method,
            target,
            to=to,
            from_=from_,
            fields=fields,
            body=body,
            content_type=content_type,
            provisional=provisional,
        )

    @property
    def _application(self) -> Application | None:
        return None if self._running is None else self._running.application

    def _domains(self) -> Domains:
        return Domains(self.settings.domains, self.settings.aliases)

    @property
    def uas_counters(self) -> UserAgentServerCounters | None:
        """What was not worth a transaction or could not be answered, since the start; None while nothing runs."""
        return None if self._running is None or self._running.uas is None else self._running.uas.counters

    def transactions(self) -> dict[tuple[str, str], int]:
        """How many transactions there are, by machine and state. Looks at each."""
        if self._running is None or self._running.layer is None:
            return {}
        return dict(self._running.layer.active())


class _Running:
    """What a started service holds open."""

    def __init__(self) -> None:
        self.seam: Seam | None = None
        self.layer: TransactionLayer | None = None
        self.plugged: Plugged | None = None
        self.identity: TLSIdentity | None = None
        self.listeners: Any = None
        self.expiry: LoopingCall | None = None
        self.uas: UserAgentServer | None = None
        self.registrar: Registrar | None = None
        self.ground: Ground | None = None
        self.connections: Connections | None = None
        self.application: Application | None = None
        self.retired: list[tuple[IDelayedCall, Callable[[], None]]] = []
        self.admin: AdminServer | None = None

    def stop_admin(self) -> Deferred[None]:
        return succeed(None) if self.admin is None else self.admin.stop()

    def take(self, plugged: Plugged, settings: Settings) -> None:
        """Ask ``plugged`` from now on."""
        self.plugged = plugged
        assert self.uas is not None
        assert self.registrar is not None
        assert self.ground is not None
        self.registrar = self.registrar.reconfigured(
            authenticator=plugged.authenticator, policies=plugged.policies, terms=settings.terms
        )
        self.uas.reconfigure(plugged.policies, {"REGISTER": self.registrar.register})
        self.ground.take_limits(settings.limits)

    def retire(self, clock: IReactorTime, before: Plugged, plugged: Plugged, after: float) -> None:
        """Close what only ``before`` had once nobody can be waiting for it any more."""
        # In the order of their ends: each closes what the next ones do not have.
        self.retired = [(call, close) for call, close in self.retired if call.active()]

        def close() -> None:
            _ = before.close(plugged)

        self.retired.append((clock.callLater(after, close), close))

    def end_timers(self) -> None:
        if self.expiry is not None and self.expiry.running:
            self.expiry.stop()
        if self.identity is not None:
            self.identity.stop_watching()
        if self.application is not None:
            self.application.stop()
        if self.connections is not None:
            self.connections.close()
        if self.seam is not None:
            self.seam.stop()  # 503 to whom nobody has answered
        if self.layer is not None:
            self.layer.stop()

    def close_plug_ins(self) -> Deferred[Any]:
        for call, close in self.retired:
            if call.active():
                call.cancel()
                close()
        return succeed(None) if self.plugged is None else self.plugged.close()

    def abandon(self) -> Deferred[Any]:
        """The start has failed: close what is open. Fires when it is."""
        self.end_timers()
        closing: list[Deferred[Any]] = [self.stop_admin(), self.close_plug_ins()]
        if self.listeners is not None:
            closing.append(self.listeners.close(0))
        return DeferredList(closing, consumeErrors=True)


def _fields(settings: Settings) -> list[str]:
    return [field.name for field in attrs.fields(type(settings))]


def _why(error: CannotListenError) -> str:
    reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
    return f"{reason[:1].lower()}{reason[1:]}"


def _end(address: Address) -> str:
    return (
        f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host or '*'}:{address.port}"
    )
