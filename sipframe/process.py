"""The service as a process of its own: what twistd, a service manager and signals expect of it.

Rules: everything here is about the process, so that :class:`~sipframe.service.SIPService` need not be: embedders have
their own. A start that fails ends the process with one line. SIGHUP reloads. systemd hears when we are ready.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from sipframe.config import Settings
from sipframe.events import Event
from sipframe.service import SIPService
from sipframe.wiring import StartError

__all__ = ["ServedProcess", "allow_files", "notify"]

_log = Logger()
_OTHER_FILES = 100
"""What a server opens besides connections: sockets that listen, databases, the log."""
_COLLECT_EVERY = (5_000, 2, 50)
"""For :func:`gc.set_threshold`. A request leaves no cycle behind, but each keeps a dozen objects for as long as its
transactions live. With Python's own thresholds all of them are looked at again and again, which takes 100 ms and more;
with these it is those of the last seconds, save now and then."""


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
        self._read = read
        self._daemon = daemon
        self._before: Any = signal.SIG_DFL
        if settings.log_level == "debug":
            self.events.subscribe(_to_log)

    def startService(self) -> None:
        """Start, or end the process with one line. Raises StartError in a daemon."""
        allow_files(self.settings.limits.connections + _OTHER_FILES)
        try:
            super().startService()
        except StartError as error:
            if _nobody_reads() if self._daemon is None else self._daemon:
                _log.error("cannot start: {error}", error=error)  # twistd repeats 100 characters of it
                raise
            _end_with(error)
        self._before = signal.signal(signal.SIGHUP, self._hang_up)

    def ready(self) -> None:
        """Say so to the service manager as well."""
        gc.collect()
        gc.freeze()  # what there is by now stays: the collector need not look at it any more
        gc.set_threshold(*_COLLECT_EVERY)
        super().ready()
        notify("READY=1")

    def stopService(self) -> Deferred[None]:
        """Stop, and say so first."""
        notify("STOPPING=1")
        signal.signal(signal.SIGHUP, self._before)
        return super().stopService()

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


def allow_files(wanted: int) -> None:
    """Raise the soft limit on open files towards ``wanted``; say so when the hard limit is below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= wanted:
        return
    reachable = wanted if hard == unlimited else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    except (OSError, ValueError):
        reachable = soft
    if reachable < wanted:
        _log.warn(
            "only {reachable} files may be open, fewer than the limit on connections; raise LimitNOFILE to {wanted}",
            reachable=reachable,
            wanted=wanted,
        )


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
