"""A name server on loopback, in a thread: SRV and A records that a test may change while it answers."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

from twisted.names import dns

__all__ = ["NameServer"]

_STOP = b"stop"


class NameServer:
    """Answers from its records; names that it does not know do not exist. A context manager."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, int], list[dns.RRHeader]] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._socket.getsockname()
        self._thread = threading.Thread(target=self._answer, daemon=True)

    def leads(self, host: str, transport: str, port: int) -> None:
        """SIP for ``host`` is at ``port`` of 127.0.0.1, by ``transport`` (udp, tcp) alone."""
        service = f"_sip._{transport}.{host}"
        self._add(service, dns.Record_SRV(0, 0, port, host, ttl=60))
        self._add(host, dns.Record_A("127.0.0.1", ttl=60))

    def _add(self, name: str, record: dns.Record_SRV | dns.Record_A) -> None:
        header = dns.RRHeader(name, record.TYPE, payload=record, ttl=60)
        self._records[name, record.TYPE] = [header]

    def _answer(self) -> None:
        while True:
            data, peer = self._socket.recvfrom(65_535)
            if data == _STOP:
                return
            message = dns.Message()
            message.fromStr(data)
            (query,) = message.queries
            name = query.name.name.decode("ascii").lower()
            message.answer, message.recAv, message.additional = 1, 1, []
            message.answers = self._records.get((name, query.type), [])
            known = any(name == one for one, _ in list(self._records))
            message.rCode = dns.OK if known else dns.ENAME
            self._socket.sendto(message.toStr(), peer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopping:
            stopping.sendto(_STOP, self.address)
        self._thread.join()
        self._socket.close()
