"""UDP: datagrams to messages, keep-alives and STUN, and back (RFC 3261 18, RFC 5626 3.5.2).

Rules: one datagram is one message and one flow. Whatever the socket says about sending or receiving is counted, never
raised. What no datagram can hold is not dropped silently: the sink says what is sent in its place.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from errno import EAGAIN, EINTR, EMSGSIZE, EWOULDBLOCK
from typing import Any, Final, cast

from twisted.internet import udp
from twisted.internet.error import CannotListenError, MessageLengthError
from twisted.internet.interfaces import IDelayedCall, IReactorTime, ISystemHandle
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure

from sipframe.message import MessageError, Request, parse_message
from sipframe.transport import stun
from sipframe.transport.backlog import Backlog, Waiting
from sipframe.transport.flow import SocketAddress, UDPFlow
from sipframe.transport.sink import Ground
from sipframe.verdicts import Address

__all__ = ["LARGEST_DATAGRAM", "READS_PER_WAKE_UP", "DatagramPort", "UDPEndpoint"]

LARGEST_DATAGRAM: Final = 65_535
READS_PER_WAKE_UP: Final = 64
"""Datagrams read before connections have their turn."""
_READ_AHEAD: Final = 4_096
"""Datagrams read to see who is there, when there are more than those."""
_STRANGERS_PER_WAKE_UP: Final = 8
"""Datagrams of strangers that are answered then before connections have their turn."""
_PADDING: Final = b"\r\n\t \0"
"""What keep-alives are made of: CRLFs, and the blanks and NULs that some phones send."""


class UDPEndpoint(DatagramProtocol):
    """One UDP socket that we listen on."""

    noisy = False

    def __init__(self, ground: Ground) -> None:
        self._counters = ground.counters
        self.ground = ground
        self._sink = ground.sink
        self._traffic = ground.traffic
        self.known = ground.known
        self._sendto: Callable[[bytes, Any], object] | None = None
        self.serials: Iterator[int] = ground.serials
        self.local = Address("", 0)
        self.elsewhere: Callable[[str], UDPEndpoint] | None = None
        """The endpoint of another address of ours, where the socket is bound to all of them and can tell."""

    @property
    def honour_maddr(self) -> bool:
        """Whether the maddr of a Via is followed; a reload may change it."""
        return self.ground.limits.honour_maddr

    @property
    def alive(self) -> bool:
        """While the socket is open."""
        return self._sendto is not None

    def startProtocol(self) -> None:
        """The socket is open."""
        transport: Any = self.transport
        host = transport.getHost()
        self.open(transport.write, Address(host.host, host.port))
        if ISystemHandle.providedBy(transport):
            handle = cast(socket.socket, transport.getHandle())
            # Port.write looks at the address several times before it does the same.
            self._sendto = handle.sendto
            try:
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.ground.limits.udp_receive_buffer)
            except OSError:
                pass  # the kernel's default will do

    def open(self, sendto: Callable[[bytes, Any], object], local: Address) -> None:
        """Send with ``sendto`` from now on; ``local`` is our end."""
        self._sendto = sendto
        self.local = local

    def stopProtocol(self) -> None:
        """The socket is closed."""
        self._sendto = None
        self.elsewhere = None

    def datagramReceived(self, datagram: bytes, addr: SocketAddress) -> None:
        """Take one datagram."""
        self._counters.datagrams += 1
        # Messages begin with a letter. Some methods do not (RFC 4475 3.1.1.2), and take the longer way.
        if (not datagram or datagram[0] < 0x40) and self._no_message(datagram, addr):
            return
        flow = UDPFlow(self, addr)
        if self._traffic.watched:
            self._traffic.came(datagram, flow)
        sink = self._sink
        try:
            message = parse_message(datagram, self.ground.limits.message_sizes)
        except MessageError as error:
            self._counters.malformed += 1
            try:
                sink.malformed(error, flow)
            except Exception:
                self.ground.failed(sink.malformed, flow)
            return
        try:
            if type(message) is Request:
                sink.request(message, flow)
            else:
                sink.response(message, flow)  # type: ignore[arg-type]  # it is one of the two
        except Exception:
            self.ground.failed(sink.request, flow)

    def _no_message(self, datagram: bytes, addr: SocketAddress) -> bool:
        if not datagram.strip(_PADDING):
            self._counters.keepalives += 1
            return True
        if not stun.is_stun(datagram):
            return False
        reply = stun.answer(datagram, addr[0], addr[1])
        if reply is None:
            self._counters.stun_ignored += 1
        else:
            self._counters.stun += 1
            self._try(reply, addr)
        return True

    def send(self, data: bytes, address: SocketAddress, flow: UDPFlow) -> None:
        """Send one message of ``flow`` to ``address``."""
        if self._sendto is None:
            self._counters.dropped_dead_flow += 1
        elif not self._try(data, address, flow):
            self._counters.too_large += 1
            try:
                instead = self._sink.too_large(data, flow)
            except Exception:
                self.ground.failed(self._sink.too_large, flow)
            else:
                if instead is not None and not self._try(instead, address, flow):
                    self._counters.send_errors += 1

    def _try(self, data: bytes, address: SocketAddress, flow: UDPFlow | None = None) -> bool:
        """Send a datagram, or count why not. False when it is too large to be one. ``flow``: it is a message."""
        sendto = self._sendto
        if sendto is None:
            self._counters.dropped_dead_flow += 1
            return True
        try:
            sendto(data, address)
        except OSError as error:
            if error.errno == EMSGSIZE:
                return False
            self._counters.send_errors += 1
        except MessageLengthError:
            return False
        else:
            if self._traffic.watched and flow is not None:
                self._traffic.left(data, flow, Address(*address[:2]))
        return True

    def receive_error(self) -> None:
        """The socket reported an error instead of a datagram."""
        self._counters.receive_errors += 1


class DatagramPort(udp.Port):
    """A UDP socket that outlives every error it reports, keeps IPv6 scopes, and is IPv6 or IPv4, never both."""

    protocol: UDPEndpoint

    def __init__(self, port: int, endpoint: UDPEndpoint, interface: str, reactor: object) -> None:
        udp.Port.__init__(self, port, endpoint, interface, LARGEST_DATAGRAM, reactor)
        self._made: socket.socket | None = None
        ground = endpoint.ground
        self._backlog = Backlog(ground.known, ground.limits.udp_waiting, ground.counters)
        self._going_on: IDelayedCall | None = None

    def startListening(self) -> None:
        """Open the socket. Raises CannotListenError."""
        try:
            udp.Port.startListening(self)
        except CannotListenError:
            if self._made is not None:
                self._made.close()  # Twisted leaves it to the garbage collector
            raise

    def createInternetSocket(self) -> socket.socket:
        """Make the socket."""
        made: socket.socket = udp.Port.createInternetSocket(self)
        if self.addressFamily == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._made = made
        return made

    def doRead(self) -> None:
        """Read what there is, up to a turn's worth; when there is more, those that are known have the next one."""
        if not self._backlog and not self.answer_what_comes():
            return
        if self.connected:
            self._read_ahead()
            self._answer_backlog()

    def _read_ahead(self) -> None:
        put = self._backlog.put
        for _ in range(_READ_AHEAD):
            try:
                put(*self.read_one())
            except OSError as error:
                if error.errno in (EAGAIN, EWOULDBLOCK):
                    return
                if error.errno != EINTR:
                    self.protocol.receive_error()

    def _answer_backlog(self) -> None:
        backlog = self._backlog
        for take, most in ((backlog.known, READS_PER_WAKE_UP), (backlog.other, _STRANGERS_PER_WAKE_UP)):
            for _ in range(most):
                waiting = take()
                if waiting is None:
                    break
                datagram, source, endpoint = waiting
                endpoint.datagramReceived(datagram, source)
                if not self.connected:
                    return
        if backlog and self._going_on is None:
            self._going_on = cast(IReactorTime, self.reactor).callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._going_on = None
        if self.connected and self._backlog:
            self.doRead()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The socket is closed."""
        self._backlog.clear()
        if self._going_on is not None:
            self._going_on.cancel()
            self._going_on = None
        udp.Port.connectionLost(self, reason)

    def read_one(self) -> Waiting:
        """The next datagram. Raises OSError."""
        return (*self.socket.recvfrom(LARGEST_DATAGRAM), self.protocol)

    def answer_what_comes(self) -> bool:
        """Answer datagrams as they come; whether there may be more."""
        received = self.protocol.datagramReceived
        recvfrom = self.socket.recvfrom
        for _ in range(READS_PER_WAKE_UP):
            try:
                datagram, source = recvfrom(LARGEST_DATAGRAM)
            except OSError as error:
                if error.errno in (EAGAIN, EWOULDBLOCK):
                    return False
                if error.errno != EINTR:
                    # What ICMP said of an earlier answer. It is said once.
                    self.protocol.receive_error()
                continue
            received(datagram, source)
            if not self.connected:
                return False
        return True
