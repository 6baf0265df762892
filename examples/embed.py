"""A registrar inside another service: a policy, events, and a web page that says who is registered.

    python examples/embed.py

It serves example.com on UDP port 5060 of loopback and the page on http://127.0.0.1:8080/. Add an account first:

    sipframe user add alice@example.com --state embed-state
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.application.internet import TCPServer
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.logger import Logger, globalLogBeginner, textFileLogObserver
from twisted.web.resource import Resource
from twisted.web.server import Site

from sipframe.config import Settings
from sipframe.events import Event
from sipframe.message import Request
from sipframe.policy import BasePolicy
from sipframe.service import SIPService
from sipframe.transport import ListenAddress
from sipframe.verdicts import Identity, Terms

log = Logger()


class OnePhoneEach(BasePolicy):
    """Lets each user have one contact at a time."""

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> Terms:
        """The terms as they are, but for this (IPolicy)."""
        return terms._replace(max_contacts=1)


class WhoIsHere(Resource):
    """The page: every AOR that has bindings."""

    isLeaf = True

    def __init__(self, sip: SIPService) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._sip = sip

    def render_GET(self, request: Any) -> bytes:
        """Answer GET."""
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        here = [aor for aor, snapshot in self._sip.location.aors() if snapshot.bindings]
        return "".join([f"{aor}\n" for aor in sorted(here)]).encode("utf-8", "replace")


def tell(event: Event) -> None:
    """Write to the log what happens."""
    log.info("{happened}: {fields!r}", happened=event.name, fields=event.fields)


def main(reactor: Any) -> Deferred[None]:
    """Serve until a signal comes."""
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    settings = Settings(
        state=Path("embed-state"),
        domains=("example.com",),
        listen=(ListenAddress.parse("udp:5060:interface=127.0.0.1"),),
    )
    sip = SIPService(settings, reactor=reactor, policies=[OnePhoneEach()])
    sip.events.subscribe(tell)
    everything = MultiService()
    TCPServer(8080, Site(WhoIsHere(sip)), interface="127.0.0.1").setServiceParent(everything)
    sip.setServiceParent(everything)  # type: ignore[no-untyped-call]
    everything.startService()
    reactor.addSystemEventTrigger("before", "shutdown", everything.stopService)
    return Deferred()


if __name__ == "__main__":
    react(main)
