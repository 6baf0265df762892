"""The embeddable server: an ordinary Twisted service, made of settings and plug-in objects.

Rules: no globals; several may run in one process, and each may be started and stopped again and again. Everything that
can go wrong at the start raises :class:`~sipframe.wiring.StartError` with one line, and leaves nothing listening. A
stop is graceful and bounded: stop accepting, let requests that wait be answered, close, commit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, inlineCallbacks, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger

from sipframe.admin.protocol import SOCKET_NAME
from sipframe.application import Application, canonical
from sipframe.changes import Watcher, watch
from sipframe.config import Settings
from sipframe.decisions import Decisions
from sipframe.domains import Domains
from sipframe.events import Events
from sipframe.message import Response
from sipframe.plugged import Given
from sipframe.proxy import ProxyCounters
from sipframe.running import RELOADED, Means, Running
from sipframe.tracing import Subject, Traced, Tracer
from sipframe.transport import DNSClient, Listening, Traffic, TransportCounters
from sipframe.uac import RequestFailed, Resolver
from sipframe.uas import UserAgentServerCounters
from sipframe.verdicts import Address, Binding, Unavailable

__all__ = ["SIPService"]

_log = Logger()

_STOP_LOOKS_EVERY = 0.05
_NOT_RUNNING = "the server is not running"


class SIPService(Service):
    """A SIP registrar.

    ``authenticator`` (IAuthenticator) stands for all of authentication; ``credentials`` (ICredentialSource) only tells
    secrets to the stock Digest authenticator; without either, the accounts in the state directory do. ``location``
    (ILocationStore) stands in for the store that the settings name; it is neither started nor closed here. ``policies``
    are asked in their order. ``resolver`` finds where requests of ours go (:class:`sipframe.uac.Resolver`) in the place
    of RFC 3263; ``dns`` (:class:`sipframe.transport.DNSClient`) is asked in the place of the system's name servers, and
    neither is closed here. ``wall_clock`` gives seconds since 1970, ``entropy`` random octets.
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
        dns: DNSClient | None = None,
        wall_clock: Callable[[], float] = time.time,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.settings = settings
        self.events = Events()
        self.counters = TransportCounters()
        self.decisions = Decisions(settings.decisions_kept)
        self.traffic = traffic = Traffic()
        """Every message that passes, secrets and all (:meth:`trace` has those of a call or a user, without)."""
        self.tracer = Tracer(traffic, wall_clock)
        self._reactor = reactor
        self._means = Means(
            reactor=reactor,
            wall_clock=wall_clock,
            entropy=entropy,
            given=Given(
                credentials=credentials,
                authenticator=authenticator,
                location=location,
                policies=tuple(policies),
            ).verified(),
            resolver=resolver,
            dns=dns,
            events=self.events,
            decisions=self.decisions,
            counters=self.counters,
            traffic=traffic,
        )
        self._running: Running | None = None
        self._abandoned: Deferred[Any] = succeed(None)

    if TYPE_CHECKING:

        def setServiceParent(self, parent: object) -> None:
            """As twisted.application.service has it, with the annotations that it lacks."""

    def startService(self) -> None:
        """Open the stores, then listen. Raises StartError; what was open by then is closed, which takes a moment.

        Whoever wants to start again after that waits for :meth:`stopService` first.
        """
        running = Running(self.settings, self._means)
        try:
            running.open(self, self._admin_socket())
        except BaseException:
            self._abandoned = running.abandon()
            raise
        self._running = running
        super().startService()  # type: ignore[no-untyped-call]
        # Before that nothing is answered, and in a process of its own no signal is heeded.
        self._reactor.callWhenRunning(self._run, running)

    def _run(self, running: Running) -> None:
        if running is self._running:
            self.ready()

    def ready(self) -> None:
        """The server listens and the reactor runs: say so."""
        _log.info(
            "sipframe is ready: {listening}",
            listening=", ".join(f"{one.transport} {_end(one.local)}" for one in self.listening()),
        )

    def _admin_socket(self) -> Path | None:
        admin = self.settings.admin
        if isinstance(admin, Path):
            return admin
        wanted = self.admin_unless_set if admin is None else admin
        return self.settings.state / SOCKET_NAME if wanted else None

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
        settings = self.settings if settings is None else settings
        if running is None:
            self.settings = settings
            return ()
        names = [field.name for field in attrs.fields(Settings)]
        changed = [name for name in names if getattr(settings, name) != getattr(running.settings, name)]
        running.renew(settings)
        self.settings = running.settings
        left = tuple([name.replace("_", "-") for name in changed if name not in RELOADED])
        _log.info("settings are taken into use; changed: {changed}", changed=", ".join(changed) or "none")
        if left:
            _log.warn("settings that wait for the next start: {left}", left=", ".join(left))
        return left

    @property
    def location(self) -> Any:
        """The location store (ILocationStore) while the service runs, else None."""
        running = self._running
        return None if running is None else running.plugged.location

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

    def trace(self, watcher: Callable[[Traced], object], about: str | None = None) -> Callable[[], None]:
        """Call ``watcher`` with every SIP message that comes or goes, its secrets redacted; the result ends that.

        ``about`` is a Call-ID, or an AOR as a person writes it: then it is only the messages of that call, or of calls
        that name that user. It goes on over stops and starts. The server waits while ``watcher`` runs.
        """
        domains = self._domains()
        subject = Subject(domains, call_id=about, aors=() if about is None else domains.aors_called(about))

        def take(make: Callable[[], Traced]) -> None:
            watcher(make())

        return self.tracer.follow(subject, take)

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
        return None if self._running is None else self._running.uas.counters

    @property
    def proxy_counters(self) -> ProxyCounters | None:
        """What the proxy has done since the start; None while nothing runs."""
        return None if self._running is None else self._running.proxy_counters

    def held(self) -> int:
        """How many connections and transactions there are."""
        running = self._running
        return 0 if running is None else len(running.ground.streams) + len(running.layer)

    def transactions(self) -> dict[tuple[str, str], int]:
        """How many transactions there are, by machine and state. Looks at each."""
        return {} if self._running is None else dict(self._running.layer.active())


def _end(address: Address) -> str:
    return (
        f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host or '*'}:{address.port}"
    )
