"""The whole server in memory: real service, transactions, framing and TLS, on a clock that the test moves.

Rules: nothing is replaced but the sockets, the clock and chance. The same seed gives the same octets. What goes wrong
within ``with`` carries in its notes what went over the network, what the server decided and what it logged.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsText, globalLogPublisher
from zope.interface import implementer

from sipframe.config import Settings
from sipframe.decisions import Decision
from sipframe.events import Event
from sipframe.message import MessageError, Response, SipURI, aor_of, parse_uri
from sipframe.plugging import Choice
from sipframe.service import SIPService
from sipframe.testing.certificates import certificate_for
from sipframe.testing.names import MemoryNames
from sipframe.testing.network import Network
from sipframe.testing.phone import Account, Phone
from sipframe.testing.phones import Phones
from sipframe.testing.reactor import MemoryReactor
from sipframe.testing.report import HEADING, decisions_text, ladder_text
from sipframe.testing.timeline import Owner, ScheduledCall
from sipframe.testing.tls import client_context
from sipframe.testing.users import Users
from sipframe.testing.wire import Passage
from sipframe.transport import ListenAddress, Passed, ResolverSettings
from sipframe.uac import Resolver
from sipframe.verdicts import Address, Binding, Snapshot
from sipframe.wiring import CERTIFICATE_NAME

__all__ = ["BEGINNING", "Server"]

T = TypeVar("T")

BEGINNING: Final = 1_735_689_600.0
"""What the wall clock of a test shows at first: midnight before 1 January 2025, UTC."""

_HOST: Final = "192.0.2.1"
_HOST_6: Final = "2001:db8::1"
_MOST_KEPT: Final = 1_000
_DOMAINS: Final = ("example.com",)

Named = str | Choice
"""A plug-in by its name, as on the command line: ``name:key=value``."""


class Server:
    """A SIP server for a test, on a network in memory and a clock that only the test moves.

    Use it in ``with``, or call :meth:`start` and in the end :meth:`close`. ``credentials``, ``authenticator``,
    ``location`` and ``policies`` are what :class:`~sipframe.service.SIPService` takes, or what the command line takes:
    ``"name:key=value"`` chooses a plug-in by name (several, where several may be given). ``users`` are names and
    passwords, in the place of ``credentials``. Without ``resolver``, names are those of the network: ``hosts`` and
    ``records``.
    ``settings`` are those of :class:`~sipframe.config.Settings` by their names; without ``domains`` it is example.com,
    without ``listen`` UDP, TCP and TLS at their usual ports of 192.0.2.1, without ``state`` a directory that is
    removed at the end.

    ``seed`` is what chance and entropy follow from. ``network`` is one that there is already, for several servers on
    it; each needs a ``host`` of its own. ``wall_clock`` is what the wall clock shows at the network's beginning,
    seconds since 1970. Raises ValueError, :class:`~sipframe.wiring.StartError`.
    """

    def __init__(
        self,
        *,
        users: Mapping[str, str] | None = None,
        credentials: object | Named | Sequence[Named] | None = None,
        authenticator: object | Named | Sequence[Named] | None = None,
        location: object | Named = "memory",
        policies: Sequence[object | Named] = (),
        resolver: Resolver | None = None,
        seed: int = 0,
        network: Network | None = None,
        host: str = _HOST,
        wall_clock: float = BEGINNING,
        **settings: Any,
    ) -> None:
        self._service: SIPService | None = None
        self.network = Network(seed) if network is None else network
        self.users = Users(users)
        """Names and passwords, if no credential source was given."""
        self.host = host
        self.phones: list[Phone] = []
        """Every phone that was made, in order."""
        self.events: deque[Event] = deque(maxlen=_MOST_KEPT)
        """The last events of the server."""
        self.log: deque[str] = deque(maxlen=_MOST_KEPT)
        """The last lines of the log that are warnings or worse, with their tracebacks."""
        self._beginning = wall_clock
        self._stepped = 0.0
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._given: dict[str, Any] = {"resolver": resolver, "dns": MemoryNames(self.network)}
        if users is not None:
            if credentials is not None:
                raise ValueError("users or credentials, not both")
            credentials = self.users
        self._choose("credentials", "credentials", credentials, settings)
        self._choose("authenticator", "authenticators", authenticator, settings)
        if isinstance(location, str | Choice):
            settings["location"] = _choice(location)
        else:
            self._given["location"] = location
        self._choose_policies(policies, settings)
        settings.setdefault("domains", _DOMAINS)
        settings.setdefault(
            "resolving", ResolverSettings(hosts=None)
        )  # the machine's own names are not the test's
        settings.setdefault(
            "listen", tuple([ListenAddress.parse(f"{one}:interface={host}") for one in _LISTEN])
        )
        self._homeless = "state" not in settings
        self.settings = Settings(**{"state": Path("state"), **settings})
        """All settings; those that nobody has given are there once it has started."""
        self._later = Owner()
        self._phones = Phones(self.network, self._tell)
        self._starts = 0
        self._contexts: dict[tuple[Path, ...], Any] = {}
        self.reactor = self._new_reactor()
        """The reactor of the server, and of plug-ins that need one."""
        name = "server" if not self.network.servers else str(self.settings.domains[0])
        self.network.servers.update(dict.fromkeys(self.reactor.hosts, name))
        self._logged = _Observer(self.log)

    def _choose(self, role: str, setting: str, given: Any, settings: dict[str, Any]) -> None:
        if isinstance(given, str | Choice):
            settings[setting] = (_choice(given),)
        elif isinstance(given, list | tuple) and all(isinstance(one, str | Choice) for one in given):
            settings[setting] = tuple([_choice(one) for one in given])
        elif given is not None:
            self._given[role] = given

    def _choose_policies(self, policies: Sequence[object | Named], settings: dict[str, Any]) -> None:
        named = [isinstance(one, str | Choice) for one in policies]
        if named != sorted(named):
            raise ValueError(
                "policies: those that are objects are asked first, so name the others behind them"
            )
        self._given["policies"] = [one for one in policies if not isinstance(one, str | Choice)]
        if any(named):
            settings["policies"] = tuple([_choice(one) for one in policies if isinstance(one, str | Choice)])

    def _new_reactor(self) -> MemoryReactor:
        return MemoryReactor(self.network, (self.host, _HOST_6) if self.host == _HOST else (self.host,))

    # Life.

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._tell(error)
        self.close()

    def start(self) -> None:
        """Start it, and let it come to rest. Raises StartError."""
        if self._service is not None:
            raise RuntimeError("the server runs already")
        if self._homeless and self._temporary is None:
            self._make_home()
        if self.reactor.dead:
            self.reactor = self._new_reactor()
        self._starts += 1
        service = SIPService(
            self.settings,
            reactor=self.reactor,
            wall_clock=self.now,
            entropy=self.network.entropy(f"server {self.host}, start {self._starts}"),
            **self._given,
        )
        service.events.subscribe(self.events.append)
        _ = service.traffic.watch(self._passed)
        globalLogPublisher.addObserver(self._logged)
        self._service = service
        try:
            service.startService()
        except BaseException:
            self.stop()
            raise
        self.settle()

    def _passed(self, passed: Passed) -> None:
        # What goes over a connection its phone tells the wire; between two servers nobody else does.
        network = self.network
        if passed.sent and passed.transport != "UDP" and passed.peer.host in network.servers:
            network.wire.add(
                Passage(
                    network.timeline.now, passed.transport, passed.local, passed.peer, bytes(passed.octets)
                )
            )

    def _make_home(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="sipframe-test-")
        folder = Path(self._temporary.name)
        settings = attrs.evolve(self.settings, state=folder / "state")
        if not settings.certificates and any(one.transport == "tls" for one in settings.listen):
            names = (*settings.domains, *settings.aliases)
            settings = attrs.evolve(settings, certificates=(certificate_for(names, folder),))
        self.settings = settings

    def stop(self) -> None:
        """Stop it as an operator does: answer what waits, close everything."""
        service, self._service = self._service, None
        if service is not None:
            try:
                self.wait(service.stopService(), 4 * self.settings.stop_deadline)
            finally:
                globalLogPublisher.removeObserver(self._logged)

    def crash(self) -> None:
        """End it as a power cut does, at once: nobody is told, and nothing that was under way is finished.

        What had become durable is there when it is started again; a location store in memory has forgotten all.
        """
        service, self._service = self._service, None
        if service is not None:
            globalLogPublisher.removeObserver(self._logged)
            self.reactor.vanish()
            # What the system would take back: files. Commits that were under way come about, unheard of.
            _ = service.abandon()
            self.reactor.run_out()
            self.settle()

    def restart(self) -> None:
        """Stop it, if it runs, and start it again, with the same state directory and the same plug-in objects."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and remove its directory; nothing works any more."""
        try:
            self.stop()
        finally:
            if self._temporary is not None:
                self._temporary.cleanup()
                self._temporary = None

    @property
    def service(self) -> SIPService:
        """The server itself. Raises RuntimeError when it does not run."""
        if self._service is None:
            raise RuntimeError("the server does not run")
        return self._service

    # Time.

    def now(self) -> float:
        """What the wall clock shows: seconds since 1970."""
        return self._beginning + self._stepped + self.network.timeline.now

    def step_clock(self, seconds: float) -> None:
        """Set the wall clock forward by so many seconds, or back by less than 0; no time passes."""
        self._stepped += seconds

    def advance(self, seconds: float) -> None:
        """Let time pass, moment by moment, and at each let everything happen that is due."""
        self.network.timeline.advance(seconds)

    def settle(self) -> None:
        """Let everything happen that can without time passing."""
        self.network.timeline.settle()

    def later(self, seconds: float, do: Callable[[], object]) -> ScheduledCall:
        """Have ``do`` called so many seconds from now, while time passes. It must not wait for anything."""
        return self.network.timeline.call_later(self._later, seconds, do)

    def waiting(self) -> list[ScheduledCall]:
        """What :meth:`later` has put off and is still to come, the soonest first."""
        return self.network.timeline.waiting(self._later)

    def wait(self, answer: Awaitable[T] | Deferred[T], seconds: float = 64.0) -> T:
        """Let time pass until ``answer``, a Deferred or a coroutine, has its result; at most ``seconds``.

        Raises what it fails with; AssertionError when it takes longer, and then it is cancelled.
        """
        deferred: Deferred[T] = (
            answer if isinstance(answer, Deferred) else Deferred.fromCoroutine(cast(Any, answer))
        )
        found: list[T] = []
        failed: list[BaseException] = []
        _ = deferred.addCallbacks(found.append, lambda failure: failed.append(failure.value))
        if not self._phones.pass_time(lambda: bool(found or failed), seconds):
            deferred.cancel()
            raise self._told(AssertionError(f"no result within {seconds:g} s"))
        if failed:
            raise failed[0]
        return found[0]

    # Phones.

    def phone(
        self,
        aor: str,
        *,
        password: str | None = None,
        username: str | None = None,
        transport: str = "udp",
        host: str | None = None,
        server_name: str | None = None,
        trust: Path | None = None,
        certificate: tuple[Path, Path] | None = None,
        private: str | None = None,
    ) -> Phone:
        """A phone of the user ``aor`` (``sip:alice@example.com``), with an address of its own.

        With ``private``, such as 10.0.0.2, it is behind a NAT: that is the address in its Via and Contact, and ``host``
        is the NAT's, where its messages come from; several phones may share that.

        Without ``username`` it is the user part of the AOR; without ``password`` no challenge is answered.
        ``transport`` is udp, tcp or tls. Over TLS the server's certificate must be for ``server_name`` (the AOR's
        domain) and is verified with the PEM file ``trust`` (the server's own certificate); ``certificate`` is the
        phone's own: PEM chain and key. Raises ValueError.
        """
        uri = _sip_uri(aor)
        peer = self.address(transport)
        if host is None:
            host = self.network.new_host(version=6 if ":" in peer.host else 4)
        tls = None
        if transport.lower() == "tls":
            trust = self._certificate() if trust is None else trust
            tls = (self._context(trust, certificate), server_name or uri.host.strip("[]"))
        account = Account(aor, username or uri.user or "", password, transport.upper(), peer, tls, private)
        made = Phone(self._phones, account, host)
        self.phones.append(made)
        self.network.phones[host] = uri.user or host
        return made

    def address(self, transport: str = "udp") -> Address:
        """Where the server listens for ``transport`` first. Raises ValueError when it does not."""
        for one in self.service.listening():
            if one.transport == transport.upper():
                host = {"0.0.0.0": self.host, "::": _HOST_6}.get(one.local.host, one.local.host)
                return Address(host, one.local.port)
        raise ValueError(f"the server does not listen for {transport}")

    def _certificate(self) -> Path:
        settings = self.settings
        return (
            settings.certificates[0].certificate
            if settings.certificates
            else settings.state / CERTIFICATE_NAME
        )

    def _context(self, trust: Path, certificate: tuple[Path, Path] | None) -> Any:
        key = (trust, *(certificate or ()))
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = client_context(trust, certificate)
        return context

    # What there is, and what there should be.

    @property
    def decisions(self) -> list[Decision]:
        """The server's decisions, the oldest first (:class:`sipframe.decisions.Decisions`)."""
        return [] if self._service is None else list(reversed(list(self._service.decisions)))

    def bindings(self, aor: str) -> tuple[Binding, ...]:
        """What is registered for ``aor`` and has not expired, as the location store has it."""
        found = self.service.location.lookup(aor_of(_sip_uri(aor)))
        snapshot = found if isinstance(found, Snapshot) else cast(Snapshot, self.wait(found))
        now = self.now()
        return tuple([one for one in snapshot.bindings if one.expires_at > now])

    def expect(self, phone: Phone, status: int) -> Response:
        """The last final answer to ``phone``, which must have ``status``. Raises AssertionError with the ladder."""
        __tracebackhide__ = True
        last = phone.last
        if last is None:
            raise self._told(AssertionError(f"{phone.aor} has asked nothing"), phone)
        answer = last.answer
        if answer is None:
            text = f"{last.method} of {phone.aor} has no final answer{last.failure and ': '}{last.failure}"
            raise self._told(AssertionError(f"{text}; expected {status}"), phone)
        if answer.status != status:
            text = f"{last.method} of {phone.aor} was answered {answer.status} {answer.reason}"
            raise self._told(AssertionError(f"{text}; expected {status}"), phone)
        return answer

    def ladder(self, *phones: Phone, verbose: bool = False) -> str:
        """What went over the network (between the server and ``phones``), drawn as a ladder, without secrets.

        ``verbose`` shows whole messages.
        """
        wire = self.network.wire
        passages: list[Passage] = wire.of(*[phone.host for phone in phones]) if phones else list(wire)
        network = self.network
        return ladder_text(passages, {**network.servers, **network.phones}, network.servers, verbose=verbose)

    def report(self, *phones: Phone) -> str:
        """The ladder, the decisions and the log."""
        hosts = {phone.host for phone in phones}
        decisions = [one for one in self.decisions if not hosts or one.peer.host in hosts]
        parts = [self.ladder(*phones)]
        if decisions:
            parts.append(
                f"What the server decided, the newest last:\n\n{decisions_text(decisions, self._beginning)}"
            )
        if self.log:
            parts.append("\n".join(["What the server logged:\n", *list(self.log)[-20:]]))
        return "\n\n".join(parts)

    def _told(self, error: AssertionError, *phones: Phone) -> AssertionError:
        self._tell(error, *phones)
        return error

    def _tell(self, error: BaseException, *phones: Phone) -> None:
        if not any(HEADING in note for note in getattr(error, "__notes__", ())):
            error.add_note(f"\n{self.report(*phones)}")

    def __repr__(self) -> str:
        return f"<test server {self.host}, {'running' if self._service is not None else 'stopped'}>"


@implementer(ILogObserver)
class _Observer:
    """Keeps what is a warning or worse."""

    def __init__(self, log: deque[str]) -> None:
        self._log = log

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level")
        if level is not None and level >= LogLevel.warn:
            self._log.append(eventAsText(event, includeTimestamp=False, includeSystem=False))


_LISTEN: Final = ("udp:5060", "tcp:5060", "tls:5061")


def _choice(text: Named) -> Choice:
    return text if isinstance(text, Choice) else Choice.parse(text)


def _sip_uri(text: str) -> SipURI:
    try:
        uri = parse_uri(text)
    except MessageError as error:
        raise ValueError(f"{text}: {error.reason}") from None
    if not isinstance(uri, SipURI):
        raise ValueError(f"{text} is no SIP URI")
    return uri
