"""The oracle of the whole server: octets of anybody, over UDP and over a connection, to a server in memory.

Rules: nothing is logged as a failure, nothing that was registered is touched, and what strangers leave behind is gone
after the longest timer.
"""

from __future__ import annotations

from functools import cache

from sipframe.testing import Server

__all__ = ["server"]

_AOR = "sip:bob@example.com"
_EVERY = 200
"""Inputs between two looks at what is left."""


class _Standing:
    """One server that stays up from input to input."""

    def __init__(self) -> None:
        self.server = Server(users={"bob": "zanzibar"}, decisions_kept=10)
        self.server.start()
        self.bob = self.server.phone(_AOR, password="zanzibar")
        assert self.bob.register("sip:bob@192.0.2.77", expires=7200).status == 200
        self.registered = self.server.bindings(_AOR)
        self.over_udp = self.server.phone("sip:mallory@example.com", host="198.51.100.1")
        self.over_tcp = self.server.phone("sip:mallory@example.com", host="198.51.100.2", transport="tcp")
        self.number = 0

    def take(self, data: bytes) -> None:
        server = self.server
        server.log.clear()
        self.over_udp.send(data)
        self._send_by_connection(data)
        server.settle()
        assert not server.log, "\n".join(server.log)
        self.number += 1
        if self.number % _EVERY == 0:
            self._look()

    def _send_by_connection(self, data: bytes) -> None:
        if not self.over_tcp.flow.alive:
            self.over_tcp.connect()
        self.over_tcp.send(data)
        if self.number % 8 == 0:
            self.over_tcp.flow.reset()

    def _look(self) -> None:
        server = self.server
        server.advance(65.0)  # longer than 64*T1, and than any message may take
        assert server.bindings(_AOR)[:1] == self.registered
        self._refresh()
        server.advance(65.0)
        assert server.service.transactions() == {}, server.service.transactions()
        for phone in (self.bob, self.over_udp, self.over_tcp):
            phone.requests.clear()
            phone.malformed.clear()
            del phone.flows[:-1]

    def _refresh(self) -> None:
        assert self.bob.register("sip:bob@192.0.2.77", expires=7200).status == 200
        self.registered = self.server.bindings(_AOR)
        assert len(self.registered) == 1


@cache
def _standing() -> _Standing:
    return _Standing()


def server(data: bytes) -> None:
    """Octets of a stranger, by datagram and by connection."""
    if data:
        _standing().take(data)
