"""The server's side of the admin socket: it lets clients in and gives them to a conversation each.

Rules: only our own user and root are answered, and no more than ``most_clients`` at once; whoever is turned away is
told why. When no descriptor is left, nobody is let in for a while, and SIP goes on.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorFDSet, IReactorSocket, IReadDescriptor
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sipframe.admin.commands import Answer, Served, answer
from sipframe.admin.conversation import Conversation
from sipframe.admin.door import Door, peer_is_ours
from sipframe.admin.protocol import ErrorKind, encoded
from sipframe.wiring import StartError

__all__ = ["AdminServer"]

_log = Logger()

_ACCEPT_AGAIN: Final = 1.0
"""Seconds until the next try when a client could not be let in."""


@implementer(IReadDescriptor)
class AdminServer:
    """Answers questions about ``served`` (a :class:`~sipframe.service.SIPService`) at the socket ``path``.

    ``patience`` is how many seconds a client may take for its request, and to take more of its answer.
    """

    def __init__(
        self,
        served: Served,
        path: Path,
        reactor: Any,
        *,
        wall_clock: Callable[[], float] = time.time,
        patience: float = 10.0,
        most_clients: int = 16,
    ) -> None:
        self.path = path
        self._served = served
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._patience = patience
        self._most_clients = most_clients
        self._door: Door | None = None
        self._again: IDelayedCall | None = None
        self._clients: set[Conversation] = set()
        self._stopped: list[Deferred[None]] = []
        self._factory = _Conversations(self._conversation)

    def start(self) -> None:
        """Listen. Raises StartError."""
        if not (IReactorFDSet.providedBy(self._reactor) and IReactorSocket.providedBy(self._reactor)):
            raise StartError(f"admin socket {self.path}: this reactor has no UNIX sockets")
        self._door = Door(self.path)
        self._reactor.addReader(self)

    def stop(self) -> Deferred[None]:
        """Remove the socket and cut every client off; fires when they are gone. May be started again then."""
        self._shut()
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        for client in self._clients:
            client.abort()
        self._left()
        return stopped

    # What the reactor calls.

    def fileno(self) -> int:
        """The listening socket's."""
        return -1 if self._door is None else self._door.socket.fileno()

    def logPrefix(self) -> str:
        """What log lines begin with."""
        return "admin"

    def doRead(self) -> None:
        """Let in who is waiting."""
        assert self._door is not None
        for _ in range(self._most_clients):  # the others in the next turn
            try:
                accepted, _ = self._door.socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                _log.warn("cannot let clients of the admin socket in: {error}", error=error)
                self._reactor.removeReader(self)
                self._again = self._reactor.callLater(_ACCEPT_AGAIN, self._accept_again)
                return
            with accepted:
                try:
                    self._let_in(accepted)
                except OSError as error:
                    _log.warn("cannot let a client of the admin socket in: {error}", error=error)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor lets go of everything."""
        self._shut()

    # Steps.

    def _let_in(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        if not peer_is_ours(accepted):
            _turn_away(accepted, ErrorKind.PERMISSION, "only the server's user and root may ask")
        elif len(self._clients) >= self._most_clients:
            _turn_away(accepted, ErrorKind.BUSY, f"{self._most_clients} clients are connected already")
        else:
            self._reactor.adoptStreamConnection(accepted.fileno(), socket.AF_UNIX, self._factory)

    def _conversation(self) -> Conversation:
        return Conversation(self._reactor, self._patience, self._answer, self._clients.add, self._client_left)

    def _answer(self, line: bytes) -> Coroutine[Any, Any, Answer]:
        return answer(self._served, line, self._wall_clock())

    def _client_left(self, client: Conversation) -> None:
        self._clients.discard(client)
        self._left()

    def _left(self) -> None:
        while self._stopped and not self._clients:
            self._stopped.pop().callback(None)

    def _accept_again(self) -> None:
        self._again = None
        self._reactor.addReader(self)

    def _shut(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self._door is not None:
            self._reactor.removeReader(self)
            self._door.close()
            self._door = None


class _Conversations(Factory):
    noisy = False

    def __init__(self, make: Callable[[], Conversation]) -> None:
        self._make = make

    def buildProtocol(self, addr: IAddress | None) -> Conversation:
        """One for each connection."""
        return self._make()


def _turn_away(accepted: socket.socket, kind: ErrorKind, text: str) -> None:
    try:
        accepted.send(encoded({"error": {"kind": kind, "text": text}}))
    except OSError:
        pass  # it has gone by itself
