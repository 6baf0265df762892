"""The service as a process of its own: what twistd, a service manager and signals expect of it.

Rules: everything here is about the process, so that :class:`~sipframe.service.SIPService` need not be: embedders have
their own. A start that fails ends the process with one line. SIGHUP reloads. systemd hears when we are ready.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import attrs
from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from sipframe.config import Settings
from sipframe.events import Event
from sipframe.service import SIPService
from sipframe.wiring import StartError

__all__ = [
    "ServedProcess",
    "Trimming",
    "WallClockWatch",
    "allow_files",
    "go_steadily",
    "notify",
    "within_files",
]

_log = Logger()
_OTHER_FILES = 100
"""What a server opens besides connections: sockets that listen, databases, the log."""
_COLLECT_EVERY = (5_000, 2, 50)
"""For :func:`gc.set_threshold`. A request leaves no cycle behind, but each keeps a dozen objects for as long as its
transactions live. With Python's own thresholds all of them are looked at again and again, which takes 100 ms and more;
with these it is those of the last seconds, save now and then."""


_SWITCH_EVERY = 0.0005
"""For :func:`sys.setswitchinterval`, in seconds. The thread that commits bindings needs the interpreter after each
statement; with Python's own 5 ms it waits so long each time while the reactor is busy."""
_LOOKS_AT_THE_CLOCK_EVERY = 5.0
_LOOKS_AT_MEMORY_EVERY = 10.0
_TRIMS_AFTER_LOOKS = 12
"""What comes and goes leaves holes: without this, resident memory grows by some percent in an hour of calls."""
_MUCH = 1_000
"""Connections and transactions that have gone."""
_A_STEP = 2.0
"""Seconds: what the wall clock may gain or lose between two looks before somebody is told."""


class ServedProcess(SIPService):
    """A SIP server that has the process to itself: that of ``twistd sipregistrar``, or of a ``.tac`` file.

    ``read`` reads the settings again, for SIGHUP; it raises ValueError of one line. ``daemon`` says that nobody sees
    what the process prints: why it cannot start is then for twistd to tell, in the process that was typed. None finds
    that out. ``plug_ins`` are those of :class:`~sipframe.service.SIPService`; what is wrong with one is a StartError,
    which ends the process with its line as well.
    """

    admin_unless_set = True

    def __init__(
        self,
        settings: Settings,
        *,
        reactor: Any,
        read: Callable[[], Settings] | None = None,
        daemon: bool | None = None,
        **plug_ins: Any,
    ) -> None:
        try:
            super().__init__(settings, reactor=reactor, **plug_ins)
        except StartError as error:
            _end_with(error)
        self._trimming = Trimming(reactor, self.held)
        self._clock_watch = WallClockWatch(reactor, plug_ins.get("wall_clock", time.time))
        self._read = read
        self._daemon = daemon
        self._before: Any = signal.SIG_DFL
        if settings.log_level == "debug":
            self.events.subscribe(_to_log)

    def startService(self) -> None:
        """Start, or end the process with one line. Raises StartError in a daemon."""
        go_steadily(self._reactor)
        allowed = allow_files(self.settings.limits.connections + _OTHER_FILES)
        self.settings = within_files(self.settings, allowed)
        try:
            super().startService()
        except StartError as error:
            if _nobody_reads() if self._daemon is None else self._daemon:
                _log.error("cannot start: {error}", error=error)  # twistd repeats 100 characters of it
                raise
            _end_with(error)
        self._before = signal.signal(signal.SIGHUP, self._hang_up)
        self._clock_watch.start()
        self._trimming.start()

    def ready(self) -> None:
        """Say so to the service manager as well."""
        gc.collect()
        gc.freeze()  # what there is by now stays: the collector need not look at it any more
        gc.set_threshold(*_COLLECT_EVERY)
        sys.setswitchinterval(_SWITCH_EVERY)
        super().ready()
        notify("READY=1")

    def stopService(self) -> Deferred[None]:
        """Stop, and say so first."""
        notify("STOPPING=1")
        self._clock_watch.stop()
        self._trimming.stop()
        signal.signal(signal.SIGHUP, self._before)
        return super().stopService()

    def reload(self, settings: Settings | None = None) -> tuple[str, ...]:
        """As :meth:`SIPService.reload` does; more connections than files may be open are not taken into use."""
        settings = self.settings if settings is None else settings
        return super().reload(within_files(settings, allow_files(settings.limits.connections + _OTHER_FILES)))

    def _hang_up(self, signum: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self.read_again)

    def read_again(self) -> None:
        """Read the settings again and take what can be taken into use; what is wrong with them is logged."""
        notify("RELOADING=1")
        try:
            self.reload(None if self._read is None else self._read())
        except (ValueError, StartError) as error:
            _log.error("not reloaded, everything stays as it is: {error}", error=error)
        notify("READY=1")


def _end_with(error: StartError) -> NoReturn:
    # sys.stderr may be the log's by now.
    os.write(2, f"sipregistrar: {error}\n".encode())
    raise SystemExit(1) from None


def _nobody_reads() -> bool:
    """Whether what the process prints goes nowhere, as twistd's daemons have it."""
    try:
        return os.path.samestat(os.fstat(2), os.stat(os.devnull))
    except OSError:
        return True


def go_steadily(reactor: Any) -> None:
    """Have the timers of ``reactor`` go by a clock that nobody sets.

    Twisted's own go by the wall clock: set back by an hour, it puts off every retransmission and every deadline of the
    process by an hour. From now on the reactor's time is what it was, and goes on at the pace of seconds.
    """
    if isinstance(reactor, ReactorBase) and "seconds" not in vars(reactor):
        monotonic = time.monotonic
        ahead = reactor.seconds() - monotonic()
        vars(reactor)["seconds"] = lambda: monotonic() + ahead


class Trimming:
    """Gives memory back to the system once a flood is over, and now and then. The C library keeps what it may need.

    ``held`` says how many connections and transactions there are. ``trim`` gives memory back: malloc_trim(3) where the
    C library has it, which takes some 40 ms when 300 MB go, and 5 ms when little does.
    """

    def __init__(
        self, reactor: Any, held: Callable[[], int], trim: Callable[[], object] | None = None
    ) -> None:
        self._held = held
        self._trim = _malloc_trim if trim is None else trim
        self._most = 0
        self._looks = 0
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def start(self) -> None:
        """Look every few seconds from now on."""
        self._most = 0
        _ = self._looking.start(_LOOKS_AT_MEMORY_EVERY, now=False)

    def stop(self) -> None:
        """Look no longer."""
        if self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        held = self._held()
        self._looks += 1
        if self._looks % _TRIMS_AFTER_LOOKS == 0:
            self._trim()
        if held >= self._most:
            self._most = held
        elif self._most - held >= max(_MUCH, self._most // 2):
            self._most = held
            self._trim()


def _malloc_trim() -> None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class WallClockWatch:
    """Says in the log when ``wall_clock`` has been set, as ``reactor``'s own time shows."""

    def __init__(self, reactor: Any, wall_clock: Callable[[], float]) -> None:
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._ahead = 0.0
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def start(self) -> None:
        """Look every few seconds from now on."""
        self._ahead = self._wall_clock() - self._reactor.seconds()
        _ = self._looking.start(_LOOKS_AT_THE_CLOCK_EVERY, now=False)

    def stop(self) -> None:
        """Look no longer."""
        if self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        before, self._ahead = self._ahead, self._wall_clock() - self._reactor.seconds()
        step = self._ahead - before
        if abs(step) > _A_STEP:
            _log.warn(
                "the wall clock was set {way} by {seconds} s: bindings made before that end so much {when}",
                way="forward" if step > 0 else "back",
                seconds=round(abs(step)),
                when="sooner" if step > 0 else "later",
            )


def within_files(settings: Settings, allowed: int) -> Settings:
    """``settings`` with no more connections than ``allowed`` open files leave room for."""
    room = max(allowed - _OTHER_FILES, allowed // 2)
    if allowed == resource.RLIM_INFINITY or settings.limits.connections <= room:
        return settings
    _log.warn(
        "at most {room} connections, since only {allowed} files may be open; raise LimitNOFILE to {wanted}",
        room=room,
        allowed=allowed,
        wanted=settings.limits.connections + _OTHER_FILES,
    )
    return attrs.evolve(settings, limits=attrs.evolve(settings.limits, connections=room))


def allow_files(wanted: int) -> int:
    """Raise the soft limit on open files towards ``wanted``, as far as the hard limit lets us; return what it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= wanted:
        return soft
    reachable = wanted if hard == unlimited else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    except (OSError, ValueError):
        return soft
    return reachable


def notify(state: str) -> None:
    """Tell systemd, when it listens (sd_notify(3)): one datagram to the socket that NOTIFY_SOCKET names."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path[:1] not in ("/", "@"):
        return
    address = "\0" + path[1:] if path[0] == "@" else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifying:
            notifying.sendto(state.encode(), address)
    except OSError as error:
        _log.warn("cannot tell the service manager {state}: {error}", state=state, error=error)


def _to_log(event: Event) -> None:
    _log.info("{event_name} {fields!r}", event_name=event.name, fields=event.fields)
