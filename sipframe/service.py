"""The embeddable server: an ordinary Twisted service, made of settings and plug-in objects.

Rules: no globals; several may run in one process, and each may be started and stopped again and again. Everything that
can go wrong at the start raises :class:`~sipframe.wiring.StartError` with one line, and leaves nothing listening. A
stop is graceful and bounded: stop accepting, let requests that wait be answered, close, commit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Sequence
from types import CoroutineType
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from sipframe import wiring
from sipframe.auth.accounts import Accounts
from sipframe.config import Settings
from sipframe.events import Events
from sipframe.interfaces import IAuthenticator, IFlow, IPolicy
from sipframe.location import SQLiteStore
from sipframe.message import MessageError, Request, Response
from sipframe.registrar import Domains, Registrar
from sipframe.seams import Seam
from sipframe.transaction import TransactionLayer
from sipframe.transport import Ground, Listeners, Listening, TLSIdentity, TransportCounters
from sipframe.uas import UserAgentServer
from sipframe.verdicts import Address
from sipframe.wiring import StartError

__all__ = ["SIPService"]

_log = Logger()
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
        self._reactor = reactor
        self._credentials = credentials
        self._authenticator: Any = None
        if authenticator is not None:
            self._authenticator = wiring.verified(IAuthenticator, authenticator, "authenticator")
        self._given_location = None if location is None else wiring.given_location(location)
        self._policies = [wiring.verified(IPolicy, policy, "policy") for policy in policies]
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
        seconds = reactor.seconds
        try:
            domains = Domains(settings.domains, settings.aliases)
        except ValueError as error:
            raise StartError(str(error)) from None
        location = self._given_location
        if location is None:
            location = wiring.location_store(settings, reactor, self._wall_clock())
            running.own_store = location if isinstance(location, SQLiteStore) else None
        running.location = location
        authenticator = self._authenticator
        if authenticator is None:
            credentials = self._credentials
            if credentials is None:
                credentials = running.accounts = wiring.open_accounts(settings, self._entropy, seconds)
            authenticator = wiring.make_authenticator(settings, credentials, self._entropy, seconds)
        seam = running.seam = Seam(reactor, settings.plugin_deadline)
        uas = UserAgentServer(
            serves=domains.serves,
            policies=self._policies,
            seam=seam,
            events=self.events,
            tag_key=self._entropy(32),
        )
        registrar = Registrar(
            domains=domains,
            authenticator=authenticator,
            store=location,
            policies=self._policies,
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
        ground = Ground(
            clock=reactor, sink=Arrivals(running.layer, uas), limits=settings.limits, counters=self.counters
        )
        running.listeners = Listeners(reactor, ground, running.identity)
        for address in settings.listen:
            try:
                running.listeners.listen(address)
            except CannotListenError as error:
                raise StartError(f"--listen {address}: {_why(error)}") from None
        running.expiry = LoopingCall(_expire, location, self._wall_clock)
        running.expiry.clock = reactor
        _ = running.expiry.start(settings.expire_every, now=False)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Stop accepting, let what waits be answered, close; no longer than twice the deadline."""
        running, self._running = self._running, None
        super().stopService()  # type: ignore[no-untyped-call]
        if running is None:
            yield self._abandoned
            return
        deadline = self.settings.stop_deadline
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
        yield running.close_stores()
        _log.info("sipframe has stopped")

    def listening(self) -> tuple[Listening, ...]:
        """The sockets that are open, in the order of the settings: transport, address, Twisted's port."""
        return () if self._running is None else tuple(self._running.listeners.open)

    def reload(self) -> bool:
        """Take the certificate files into use again; False, with the reason in the log, when the old ones stay."""
        running = self._running
        if running is None or running.identity is None:
            return True
        return running.identity.reload()

    @property
    def location(self) -> Any:
        """The location store (ILocationStore) while the service runs, else None."""
        return None if self._running is None else self._running.location

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
        self.location: Any = None
        self.own_store: SQLiteStore | None = None
        self.accounts: Accounts | None = None
        self.identity: TLSIdentity | None = None
        self.listeners: Any = None
        self.expiry: LoopingCall | None = None

    def end_timers(self) -> None:
        if self.expiry is not None and self.expiry.running:
            self.expiry.stop()
        if self.identity is not None:
            self.identity.stop_watching()
        if self.seam is not None:
            self.seam.stop()  # 503 to whom nobody has answered
        if self.layer is not None:
            self.layer.stop()

    def close_stores(self) -> Deferred[None]:
        if self.accounts is not None:
            self.accounts.close()
        return succeed(None) if self.own_store is None else self.own_store.close()

    def abandon(self) -> Deferred[Any]:
        """The start has failed: close what is open. Fires when it is."""
        self.end_timers()
        closing: list[Deferred[Any]] = [self.close_stores()]
        if self.listeners is not None:
            closing.append(self.listeners.close(0))
        return DeferredList(closing, consumeErrors=True)


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
