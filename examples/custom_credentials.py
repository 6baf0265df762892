"""A credential source of your own: it tells passwords, and the digest engine does everything else.

    alice,wonderland        <- staff.csv has such lines

In the directory of this file, by its dotted name, on the command line or in a TOML file:

    twistd -n --pidfile= sipregistrar --domain example.com --credentials custom_credentials.Staff:file=staff.csv

    credentials = ["custom_credentials.Staff:file=staff.csv"]

As an object, see the end of this file, which is a program: ``python custom_credentials.py``. Then register a phone:

    sipframe register alice@example.com --server udp:127.0.0.1:5060

Its tests are in test_custom_credentials.py.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Annotated, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.logger import globalLogBeginner, textFileLogObserver
from zope.interface import implementer

from sipframe.config import Settings
from sipframe.interfaces import ICredentialSource
from sipframe.service import SIPService


@implementer(ICredentialSource)
class Staff:
    """Whoever is in the file."""

    def __init__(self, *, file: Annotated[Path, "lines of NAME,PASSWORD"]) -> None:
        with file.open(encoding="utf-8", newline="") as lines:
            self._passwords: dict[str, str] = dict(csv.reader(lines))

    def secret(self, username: str, realm: str, algorithm: str) -> str | None:
        """The password of ``username``; None when nobody has that name (ICredentialSource)."""
        return self._passwords.get(username)


def main(reactor: Any) -> Deferred[None]:
    """Serve until a signal comes."""
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    settings = Settings(state=Path("staff-state"), domains=("example.com",))
    service = SIPService(settings, reactor=reactor, credentials=Staff(file=Path("staff.csv")))
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    return Deferred()


if __name__ == "__main__":
    react(main)
