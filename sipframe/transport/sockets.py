"""Stream sockets that write at once.

Rules: only how octets leave is changed. Twisted's stream transports hand every write to the reactor, which costs two
system calls and another turn of the loop; here the socket is tried first, and the reactor is asked only for what the
socket did not take. Order, producers, closing and errors stay Twisted's: what was not sent is queued by its own code,
and a socket that fails is found out by its own next attempt. When no descriptor is left, connections are closed as soon
as they come, without a word each in the log.
"""

from __future__ import annotations

import os
import socket
from errno import EMFILE, ENFILE
from typing import Final, Protocol, cast

from twisted.internet import tcp
from twisted.internet.interfaces import ITCPTransport, ITransport
from twisted.python.failure import Failure

__all__ = ["BACKLOG", "REFUSED_PER_WAKE_UP", "DirectPort", "DirectServer", "promptly"]

BACKLOG: Final = 1024
"""Connections that the kernel completes before we accept them."""
REFUSED_PER_WAKE_UP: Final = 64
"""Connections that are closed unseen, for want of descriptors, before others have their turn."""


class DirectServer(tcp.Server):
    """One accepted connection."""

    _waiting = False
    """Whether the reactor has been asked: something is queued, or the connection is to be closed."""

    def startWriting(self) -> None:
        """Ask the reactor to say when the socket takes more."""
        self._waiting = True
        tcp.Server.startWriting(self)

    def stopWriting(self) -> None:
        """Nothing is left to write."""
        self._waiting = False
        tcp.Server.stopWriting(self)

    def abortConnection(self) -> None:
        """Close at once, and write nothing more."""
        tcp.Server.abortConnection(self)
        self._waiting = True

    def write(self, data: bytes) -> None:
        """Send what the socket takes and queue the rest."""
        if self._waiting or not self.connected:
            tcp.Server.write(self, data)
            return
        try:
            sent = self.socket.send(data)
        except OSError:
            sent = 0
        if sent < len(data):
            tcp.Server.write(self, data[sent:])


class _Refuses(Protocol):
    """What the factory of a :class:`DirectPort` has besides what Twisted asks of one."""

    def refused(self, why: str) -> None: ...


class DirectPort(tcp.Port):
    """A listening socket whose connections are :class:`DirectServer`; it is IPv6 or IPv4, never both."""

    transport = DirectServer

    _spare = -1
    """A descriptor to give up when there is no other, so that a connection can be accepted, and closed."""

    def createInternetSocket(self) -> socket.socket:
        """Make the socket. Accepted sockets inherit its options."""
        made: socket.socket = tcp.Port.createInternetSocket(self)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self.addressFamily == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return made

    def startListening(self) -> None:
        """Open the socket. Raises CannotListenError."""
        tcp.Port.startListening(self)
        self._keep_spare()

    def doRead(self) -> None:
        """Accept what there is."""
        try:
            os.close(os.dup(self.socket.fileno()))
        except OSError as error:
            if error.errno in (EMFILE, ENFILE):
                self._refuse(error)
                return
        self._keep_spare()
        tcp.Port.doRead(self)

    def connectionLost(self, reason: Failure) -> None:
        """The socket is closed."""
        tcp.Port.connectionLost(self, reason)
        self._give_up_spare()

    def _refuse(self, error: OSError) -> None:
        refused = cast(_Refuses, self.factory).refused
        why = f"{(error.strerror or '').lower()}; raise LimitNOFILE"
        for _ in range(REFUSED_PER_WAKE_UP):
            self._give_up_spare()
            try:
                accepted, _ = self.socket.accept()
            except OSError:
                break
            accepted.close()
            refused(why)
        self._keep_spare()

    def _keep_spare(self) -> None:
        if self._spare < 0:
            try:
                self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                pass  # the next turn will tell

    def _give_up_spare(self) -> None:
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1


def promptly(transport: ITransport) -> None:
    """Have a connection of ours send at once, and notice a peer that is gone, as accepted ones do."""
    if ITCPTransport.providedBy(transport):
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
