"""A web site and a registrar in one process, with the same users: the site shows who is registered and writes to them.

``users.txt`` has lines such as ``alice:wonderland``. In its directory:

    python embed.py

    sipframe register alice@example.com --server udp:127.0.0.1:5060
    curl --digest --user alice:wonderland http://127.0.0.1:8080/

Both ask the same ``twisted.cred`` checker: the site through its portal, the registrar as a credential source. Here it
is a file; any checker will do that knows passwords and does not just compare them. Bindings are kept in memory: the
site watches them come and go from the first on.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path
from typing import Any

from twisted.cred.checkers import FilePasswordDB
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.logger import Logger, globalLogBeginner, textFileLogObserver
from twisted.web.guard import DigestCredentialFactory, HTTPAuthSessionWrapper
from twisted.web.http import BAD_REQUEST
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface import implementer

from sipframe.auth.sources.cred import CheckerSource
from sipframe.config import Settings
from sipframe.plugging import Choice
from sipframe.service import SIPService
from sipframe.uac import RequestFailed
from sipframe.verdicts import Binding

DOMAIN = "example.com"

log = Logger()


class Registered:
    """Who is registered where, as the registrar tells it."""

    def __init__(self, sip: SIPService) -> None:
        self.sip = sip
        self.bindings: dict[str, tuple[Binding, ...]] = {}
        sip.watch(None, self._changed)

    def _changed(self, aor: str, bindings: tuple[Binding, ...], change: str) -> None:
        log.info("{aor}: {change}, {count} bindings", aor=aor, change=change, count=len(bindings))
        if bindings:
            self.bindings[aor] = bindings
        else:
            self.bindings.pop(aor, None)

    async def write(self, sender: str, to: str, text: str) -> list[str]:
        """Send a MESSAGE (RFC 3428) to every phone of ``to``; what each of them answered, in words."""
        answers = []
        for binding in await self.sip.bindings(to):
            try:
                answer = await self.sip.send(
                    "MESSAGE",
                    binding,
                    to=to,
                    from_=f"sip:{sender}@{DOMAIN}",
                    body=text.encode(),
                    content_type="text/plain;charset=UTF-8",
                )
                answers.append(f"{binding.contact}: {answer.status} {answer.reason}")
            except RequestFailed as error:
                answers.append(f"{binding.contact}: {error}")
        return answers


class Page(Resource):
    """The site, for ``user``, who has logged in."""

    isLeaf = True

    def __init__(self, registered: Registered, user: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._registered = registered
        self._user = user

    def render_GET(self, request: Any) -> bytes:
        """Who is registered, and a form to write to each."""
        lines = [
            f"<li>{escape(aor)} ({len(bindings)})"
            f'<form method="post"><input type="hidden" name="to" value="{escape(aor)}">'
            '<input name="text"><button>Send</button></form>'
            for aor, bindings in sorted(self._registered.bindings.items())
        ]
        request.setHeader(b"Content-Type", b"text/html; charset=utf-8")
        return f"<!DOCTYPE html><title>Registered</title><ul>{''.join(lines)}</ul>".encode()

    def render_POST(self, request: Any) -> int:
        """Write to somebody."""
        to, text = [request.args.get(name, [b""])[0].decode("utf-8", "replace") for name in (b"to", b"text")]
        _ = Deferred.fromCoroutine(self._write(request, to, text)).addErrback(
            lambda failure: log.failure("a page cannot be made", failure)
        )
        return NOT_DONE_YET

    async def _write(self, request: Any, to: str, text: str) -> None:
        try:
            answers = await self._registered.write(self._user, to, text)
        except ValueError as error:  # that is no AOR
            request.setResponseCode(BAD_REQUEST)
            answers = [str(error)]
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        request.write("".join([f"{line}\n" for line in answers or ["nobody is there"]]).encode())
        request.finish()


@implementer(IRealm)
class Pages:
    """Gives everybody who has logged in their page."""

    def __init__(self, registered: Registered) -> None:
        self._registered = registered

    def requestAvatar(self, avatarId: Any, mind: object, *interfaces: Any) -> Any:
        """The page of a user (IRealm)."""
        return IResource, Page(self._registered, avatarId.decode()), lambda: None


def main(reactor: Any) -> Deferred[None]:
    """Serve until a signal comes."""
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    users = FilePasswordDB("users.txt")
    settings = Settings(state=Path("embed-state"), domains=(DOMAIN,), location=Choice("memory"))
    sip = SIPService(settings, reactor=reactor, credentials=CheckerSource(users))
    portal = Portal(Pages(Registered(sip)), [users])
    digest = DigestCredentialFactory(b"MD5", DOMAIN.encode())
    site = Site(HTTPAuthSessionWrapper(portal, [digest]))
    reactor.listenTCP(8080, site, interface="127.0.0.1")
    sip.startService()
    reactor.addSystemEventTrigger("before", "shutdown", sip.stopService)
    return Deferred()


if __name__ == "__main__":
    react(main)
