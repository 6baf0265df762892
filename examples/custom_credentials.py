"""A registrar whose users come from a class of yours, which here asks a slow directory.

    python examples/custom_credentials.py

It serves example.com on UDP port 5060 of loopback. The user is alice, the password wonderland:

    echo wonderland | sipframe register sip:alice@example.com --server udp:127.0.0.1:5060 --password-file -
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react
from twisted.logger import globalLogBeginner, textFileLogObserver
from zope.interface import implementer

from sipframe.config import Settings
from sipframe.interfaces import ICredentialSource
from sipframe.service import SIPService
from sipframe.transport import ListenAddress
from sipframe.verdicts import Secret, Unavailable


@implementer(ICredentialSource)
class Directory:
    """Looks users up where it takes a while: a coroutine may wait, and hurts no other request."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    async def secret(self, username: str, realm: str, algorithm: str) -> Secret | None:
        """The password of ``username``, None when nobody has that name (ICredentialSource)."""
        await deferLater(self._reactor, 0.05)
        if username == "maintenance":
            raise Unavailable("the directory is being moved", retry_after=60)  # 503 with Retry-After: 60
        if username != "alice":
            return None  # the same challenge as after a wrong password
        return Secret(password="wonderland", owner="sip:alice@example.com")


def main(reactor: Any) -> Deferred[None]:
    """Serve until a signal comes."""
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    settings = Settings(
        state=Path("directory-state"),
        domains=("example.com",),
        listen=(ListenAddress.parse("udp:5060:interface=127.0.0.1"),),
    )
    service = SIPService(settings, reactor=reactor, credentials=Directory(reactor))
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    return Deferred()


if __name__ == "__main__":
    react(main)
