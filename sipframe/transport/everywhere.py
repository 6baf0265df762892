"""UDP on all addresses of a host: each answer leaves from the address that was asked (RFC 3581 4).

Rules: a socket that is bound to every address would let the routing table choose the source of an answer, and a client
behind a symmetric NAT never gets one from elsewhere. The kernel says of each datagram which address it was for; each of
our addresses has an endpoint of its own. Linux only; elsewhere listen on each address by name.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from errno import EAGAIN, EINTR, EWOULDBLOCK
from functools import partial
from typing import Any, Final

from twisted.python.failure import Failure

from sipframe.transport.backlog import Waiting
from sipframe.transport.flow import SocketAddress
from sipframe.transport.udp import LARGEST_DATAGRAM, READS_PER_WAKE_UP, DatagramPort, UDPEndpoint
from sipframe.verdicts import Address

__all__ = ["EverywherePort", "knows_destinations"]

_IP_PKTINFO: Final = 8
"""Linux's number; the socket module has had a name for it only since Python 3.14."""
_ANCILLARY: Final = 64
_MOST_ADDRESSES: Final = 256
"""Endpoints that are kept. A host has few addresses, but 127.0.0.0/8 is one of its networks."""


def knows_destinations(interface: str) -> bool:
    """Whether :class:`EverywherePort` is for ``interface``, on this system."""
    return interface in ("", "0.0.0.0", "::") and sys.platform == "linux"


class EverywherePort(DatagramPort):
    """A UDP socket that is bound to every address of the host."""

    def __init__(self, port: int, endpoint: UDPEndpoint, interface: str, reactor: object) -> None:
        DatagramPort.__init__(self, port, endpoint, interface, reactor)
        self._by_address: dict[bytes, UDPEndpoint] = {}
        endpoint.elsewhere = self._at

    def createInternetSocket(self) -> socket.socket:
        """Make the socket."""
        made = DatagramPort.createInternetSocket(self)
        if self.addressFamily == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            made.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        return made

    def read_one(self) -> Waiting:
        """The next datagram. Raises OSError."""
        datagram, ancillary, _flags, source = self.socket.recvmsg(LARGEST_DATAGRAM, _ANCILLARY)
        if not ancillary:
            return datagram, source, self.protocol
        information: bytes = ancillary[0][2]
        # struct in6_pktinfo: address, interface. struct in_pktinfo: interface, our address, destination.
        ours = information[:16] if len(information) == 20 else information[4:8]
        return datagram, source, self._by_address.get(ours) or self._endpoint_for(ours)

    def answer_what_comes(self) -> bool:
        """Answer datagrams as they come; whether there may be more."""
        read_one = self.read_one
        for _ in range(READS_PER_WAKE_UP):
            try:
                datagram, source, endpoint = read_one()
            except OSError as error:
                if error.errno in (EAGAIN, EWOULDBLOCK):
                    return False
                if error.errno != EINTR:
                    self.protocol.receive_error()
                continue
            endpoint.datagramReceived(datagram, source)
            if not self.connected:
                return False
        return True

    def _at(self, host: str) -> UDPEndpoint:
        ours = socket.inet_pton(self.addressFamily, host.partition("%")[0])
        return self._by_address.get(ours) or self._endpoint_for(ours)

    def _endpoint_for(self, ours: bytes) -> UDPEndpoint:
        if len(ours) == 4:
            level, kind, information = socket.IPPROTO_IP, _IP_PKTINFO, bytes(4) + ours + bytes(4)
        else:
            level, kind, information = socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, ours + bytes(4)
        host = socket.inet_ntop(self.addressFamily, ours)
        made = UDPEndpoint(self.protocol.ground)
        send = partial(_send_from, self.socket.sendmsg, [(level, kind, information)])
        made.open(send, Address(host, self.protocol.local.port))
        while len(self._by_address) >= _MOST_ADDRESSES:
            # Flows that still have it go on; only the next datagram for that address makes another one.
            del self._by_address[next(iter(self._by_address))]
        self._by_address[ours] = made
        return made

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The socket is closed."""
        for endpoint in self._by_address.values():
            endpoint.stopProtocol()
        self._by_address.clear()
        DatagramPort.connectionLost(self, reason)


def _send_from(
    sendmsg: Callable[..., int], ancillary: list[tuple[int, int, bytes]], data: bytes, address: SocketAddress
) -> Any:
    return sendmsg((data,), ancillary, 0, address)
