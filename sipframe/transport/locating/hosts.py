"""Names whose addresses are known without any name server: the hosts file, and localhost (RFC 6761 6.3).

Rules: the file is read again when it has changed, and is no error when it is not there. What is no address and no name
in it is passed over.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from sipframe.transport.locating.records import canonical
from sipframe.transport.tls import stamp_of

__all__ = ["HostsFile"]

_log = Logger()

_LOOPBACK: Final = ("127.0.0.1", "::1")


class HostsFile:
    """The names of one file (hosts(5)); with None only localhost is known."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: object = None
        self._names: dict[str, tuple[str, ...]] = {}

    def addresses(self, name: str) -> tuple[str, ...]:
        """The addresses of ``name``, in lower case and without a final dot; none when it is not known here."""
        self._look()
        found = self._names.get(name)
        if found is not None:
            return found
        # RFC 6761 6.3: no name server is asked about it.
        return _LOOPBACK if name == "localhost" or name.endswith(".localhost") else ()

    def _look(self) -> None:
        if self._path is None:
            return
        stamp = stamp_of(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            text = self._path.read_text("utf-8", "replace")
        except FileNotFoundError:
            text = ""
        except OSError as error:
            _log.warn("{path} cannot be read: {reason}", path=str(self._path), reason=str(error.strerror))
            text = ""
        names: dict[str, dict[str, None]] = {}
        for line in text.splitlines():
            address, *others = line.partition("#")[0].split() or [""]
            try:
                host = str(ip_address(address))
            except ValueError:
                continue
            for other in others:
                known = canonical(other)
                if known:
                    names.setdefault(known, {})[host] = None
        self._names = {name: tuple(hosts) for name, hosts in names.items()}
