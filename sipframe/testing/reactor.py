"""A reactor in memory: the whole of it that a server and its plug-ins ask for, on a timeline and a network.

Rules: there are no threads. What would be done in one is done at once (``getThreadPool``, ``callInThread``), so that a
test has the same order of things each time. A real thread's ``callFromThread`` is heeded when time next moves. Names
are those of :attr:`Network.hosts <sipframe.testing.network.Network.hosts>`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IHostnameResolver,
    IHostResolution,
    IListeningPort,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IReactorUDP,
    IResolutionReceiver,
)
from twisted.internet.protocol import AbstractDatagramProtocol, ClientFactory, Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from sipframe.testing.connections import Connector, MemoryPort, StreamEnd
from sipframe.testing.datagrams import MemoryDatagramPort
from sipframe.testing.network import Network
from sipframe.testing.timeline import Owner, ScheduledCall

__all__ = ["MemoryReactor"]

_EVERYWHERE: Final = {"": 4, "0.0.0.0": 4, "::": 6}


@implementer(IReactorTime, IReactorTCP, IReactorUDP, IReactorPluggableNameResolver)
class MemoryReactor(Owner):
    """One host of a network: ``hosts`` are its addresses, the first of each version the one that it speaks from."""

    running = True
    has_threads = False
    """Whoever would start a thread of its own is asked not to."""

    def __init__(self, network: Network, hosts: Sequence[str]) -> None:
        self.network = network
        self.hosts = tuple(hosts)
        self.nameResolver: IHostnameResolver = _Names(network)
        self.dead = False
        self._timeline = network.timeline
        self._ports: list[MemoryDatagramPort | MemoryPort] = []
        self._connectors: list[Connector] = []
        self._from_threads: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = (
            SimpleQueue()
        )

    # IReactorTime

    def seconds(self) -> float:
        """The time of the test, from 0."""
        return self._timeline.now

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002  # as IReactorTime has it
        *args: object,
        **kwargs: object,
    ) -> ScheduledCall:
        """Call it in ``delay`` seconds of the test."""
        return self._timeline.call_later(self, delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """What is still to come."""
        return self._timeline.waiting(self)

    # IReactorUDP, IReactorTCP

    def listenUDP(
        self,
        port: int,
        protocol: AbstractDatagramProtocol,
        interface: str = "",
        maxPacketSize: int = 8192,
    ) -> IListeningPort:
        """Open a UDP port. Raises CannotListenError."""
        made = MemoryDatagramPort(self.network, *self._bound_to(interface), port, protocol)
        made.startListening()
        self._has(made)
        return made

    def listenTCP(
        self, port: int, factory: Factory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """Open a TCP port. Raises CannotListenError."""
        made = MemoryPort(self.network, self, *self._bound_to(interface), port, factory)
        made.startListening()
        self._has(made)
        return made

    def _has(self, port: MemoryDatagramPort | MemoryPort) -> None:
        self._ports = [*[one for one in self._ports if one.open], port]

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: ClientFactory[Any],
        timeout: float = 30.0,
        bindAddress: tuple[str, int] | None = None,
    ) -> IConnector:
        """Connect to a port of the network."""
        version = 6 if ":" in self.network.hosts.get(host, host) else 4
        local = (self._of_version(version)[0], 0) if bindAddress is None else bindAddress
        made = Connector(self.network, self, local, (host, port), factory, timeout)
        self._connectors = [one for one in self._connectors if not one.idle]
        self._connectors.append(made)
        made.connect()
        return made

    def _bound_to(self, interface: str) -> tuple[tuple[str, ...], str]:
        version = _EVERYWHERE.get(interface)
        if version is None:
            return (interface,), interface
        return self._of_version(version), "::" if version == 6 else "0.0.0.0"

    def _of_version(self, version: int) -> tuple[str, ...]:
        found = tuple([host for host in self.hosts if ip_address(host).version == version])
        if not found:
            raise ValueError(
                f"the host of this test has no IPv{version} address, only {', '.join(self.hosts)}"
            )
        return found

    # Threads, of which there are none.

    def callFromThread(
        self,
        callable: Callable[..., object],  # noqa: A002  # as IReactorFromThreads has it
        *args: object,
        **kwargs: object,
    ) -> None:
        """Call it soon. A real thread may ask as well."""
        self._from_threads.put((callable, args, kwargs))
        self._timeline.soon(self._heed_threads)

    def _heed_threads(self) -> None:
        if not self.dead:
            self.run_out()

    def run_out(self) -> None:
        """Call what was asked by :meth:`callFromThread`, and what is asked then; also after the end."""
        try:
            while True:
                function, arguments, keywords = self._from_threads.get_nowait()
                function(*arguments, **keywords)
        except Empty:
            pass

    def callInThread(
        self,
        callable: Callable[..., object],  # noqa: A002  # as IReactorInThreads has it
        *args: object,
        **kwargs: object,
    ) -> None:
        """Call it at once."""
        callable(*args, **kwargs)

    def getThreadPool(self) -> _AtOnce:
        """What does at once what it is given."""
        return _AtOnce()

    def suggestThreadPoolSize(self, size: int) -> None:
        """Nothing."""

    # What else is asked of a reactor.

    def callWhenRunning(self, callable: Callable[..., object], *args: object, **kwargs: object) -> None:  # noqa: A002
        """Call it: it runs."""
        callable(*args, **kwargs)

    def addSystemEventTrigger(
        self, phase: str, event: str, trigger: Callable[..., object], *args: object
    ) -> object:
        """Part of IReactorCore; a test's reactor is never shut down."""
        return (phase, event, trigger, args)

    def removeSystemEventTrigger(self, trigger: object) -> None:
        """Part of IReactorCore."""

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """Look names up in another way; gives the way that it was."""
        before, self.nameResolver = self.nameResolver, resolver
        return before

    # For the server that stands on it.

    def vanish(self) -> None:
        """The host is gone at once: nobody on it is told, its calls do not come, and what it had open is not there."""
        self.dead = True
        ends: list[StreamEnd] = [one.end for one in self._connectors if one.end is not None]
        for port in self._ports:
            port.vanish()
            if isinstance(port, MemoryPort):
                ends += port.accepted
        for end in ends:
            end.vanish()
        self._ports.clear()
        self._connectors.clear()


class _AtOnce:
    """A pool of no threads (:class:`twisted.python.threadpool.ThreadPool`)."""

    def callInThread(self, function: Callable[..., object], *args: object, **kwargs: object) -> None:
        self.callInThreadWithCallback(None, function, *args, **kwargs)

    def callInThreadWithCallback(
        self,
        onResult: Callable[[bool, object], object] | None,
        function: Callable[..., object],
        *args: object,
        **kwargs: object,
    ) -> None:
        success, result = True, None
        try:
            result = function(*args, **kwargs)
        except Exception:
            success, result = False, Failure()
        if onResult is not None:
            onResult(success, result)

    def start(self) -> None:
        """It is there."""

    def stop(self) -> None:
        """There is nothing to stop."""

    def adjustPoolsize(self, minthreads: int | None = None, maxthreads: int | None = None) -> None:
        """There is no size."""


@implementer(IHostnameResolver)
class _Names:
    """The names of a network."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Tell ``resolutionReceiver`` the address of a name, or of an address itself."""
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        host = self._network.hosts.get(hostName, hostName)
        try:
            kind = IPv6Address if ip_address(host).version == 6 else IPv4Address
        except ValueError:
            kind = None
        if kind is not None and (addressTypes is None or kind in addressTypes):
            resolutionReceiver.addressResolved(
                kind("UDP" if transportSemantics == "UDP" else "TCP", host, portNumber)
            )
        resolutionReceiver.resolutionComplete()
        return resolution


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """It is over already."""
