"""The embeddable server: an ordinary Twisted service, made of settings and plug-in objects.

Rules: no globals; several may run in one process, and each may be started and stopped again and again. Everything that
can go wrong at the start raises :class:`~sipframe.wiring.StartError` with one line, and leaves nothing listening. A
stop is graceful and bounded: stop accepting, let requests that wait be answered, close, commit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import CoroutineType
from typing import Any, ClassVar

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from sipframe import wiring
from sipframe.admin.protocol import SOCKET_NAME
from sipframe.admin.server import AdminServer
from sipframe.config import Settings
from sipframe.decisions import Decisions
from sipframe.events import Events
from sipframe.interfaces import ICredentialSource, IFlow
from sipframe.message import MessageError, Request, Response
from sipframe.plugged import Given, Plugged, PlugIn
from sipframe.registrar import Domains, Registrar
from sipframe.seams import Seam
from sipframe.surroundings import Surroundings
from sipframe.transaction import TransactionLayer
from sipframe.transport import Ground, Listeners, Listening, TLSError, TLSIdentity, TransportCounters
from sipframe.uas import UserAgentServer
from sipframe.verdicts import Address
from sipframe.wiring import StartError

__all__ = ["SIPService"]

_log = Logger()

RELOADED = (
    "authenticators",
    "certificates",
    "client_ca",
    "credentials",
    "limits",
    "policies",
    "terms",
)
"""The settings that :meth:`SIPService.reload` takes into use while the server runs."""
_STOP_LOOKS_EVERY = 0.05


class Arrivals:
    """Where the transport delivers: the transaction layer, and the UAS core for what is no sound message."""

    __slots__ = ("_layer", "_uas")

    def __init__(self, layer: TransactionLayer, uas: UserAgentServer) -> None:
        self._layer = layer
        self._uas = uas

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

    def too_large(self, data: bytes, flow: IFlow) -> bytes | None:
        return self._uas.too_large(data, flow)


class SIPService(Service):
    """A SIP registrar.

    ``authenticator`` (IAuthenticator) stands for all of authentication; ``credentials`` (ICredentialSource) only tells
    secrets to the stock Digest authenticator; without either, the accounts in the state directory do. ``location``
    (ILocationStore) stands in for the store that the settings name; it is neither started nor closed here. ``policies``
    are asked in their order. ``wall_clock`` gives seconds since 1970, ``entropy`` random octets. Raises StartError when
    a plug-in is not what it should be.
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
            domains = Domains(settings.domains, settings.aliases)
        except ValueError as error:
            raise StartError(str(error)) from None
        plugged = running.plugged = Plugged(settings, self._given, self._surroundings)
        seam = running.seam = Seam(reactor, settings.plugin_deadline)
        uas = running.uas = UserAgentServer(
            serves=domains.serves,
            policies=plugged.policies,
            seam=seam,
            events=self.events,
            tag_key=self._entropy(32),
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
            clock=reactor, sink=Arrivals(running.layer, uas), limits=settings.limits, counters=self.counters
        )
        running.listeners = Listeners(reactor, ground, running.identity)
        for address in settings.listen:
            try:
                running.listeners.listen(address)
            except CannotListenError as error:
                raise StartError(f"--listen {address}: {_why(error)}") from None
        running.expiry = LoopingCall(_expire, plugged.location, self._wall_clock)
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
        self.uas.reconfigure(policies=plugged.policies)
        self.registrar.reconfigure(
            authenticator=plugged.authenticator, policies=plugged.policies, terms=settings.terms
        )
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


def _expire(location: Any, wall_clock: Callable[[], float]) -> None:
    try:
        answer = location.expire(wall_clock())
    except Exception:
        _log.failure("the location store cannot forget what has expired")
        return
    if isinstance(answer, CoroutineType):
        answer = Deferred.fromCoroutine(answer)
    if isinstance(answer, Deferred):
        _ = answer.addErrback(lambda failure: _log.failure("the location store cannot expire", failure))


def _why(error: CannotListenError) -> str:
    reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
    return f"{reason[:1].lower()}{reason[1:]}"


def _end(address: Address) -> str:
    return (
        f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host or '*'}:{address.port}"
    )
