"""Stream sockets that write at once.

Rules: only how octets leave is changed. Twisted's stream transports hand every write to the reactor, which costs two
system calls and another turn of the loop; here the socket is tried first, and the reactor is asked only for what the
socket did not take. Order, producers, closing and errors stay Twisted's: what was not sent is queued by its own code,
and a socket that fails is found out by its own next attempt.
"""

from __future__ import annotations

import socket
from typing import Final

from twisted.internet import tcp
from twisted.internet.interfaces import ITCPTransport, ITransport

__all__ = ["BACKLOG", "DirectPort", "DirectServer", "promptly"]

BACKLOG: Final = 1024
"""Connections that the kernel completes before we accept them."""


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


class DirectPort(tcp.Port):
    """A listening socket whose connections are :class:`DirectServer`; it is IPv6 or IPv4, never both."""

    transport = DirectServer

    def createInternetSocket(self) -> socket.socket:
        """Make the socket. Accepted sockets inherit its options."""
        made: socket.socket = tcp.Port.createInternetSocket(self)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self.addressFamily == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return made


def promptly(transport: ITransport) -> None:
    """Have a connection of ours send at once, and notice a peer that is gone, as accepted ones do."""
    if ITCPTransport.providedBy(transport):
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
