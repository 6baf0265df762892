"""Phones that have registered answer requests of ours: baresip 1.0.0 over each transport, by the flow it registered by.

Behind TLS and TCP it listens to nobody: what does not come by its own connection does not come. SIPp answers one that
nobody has registered.
"""

from __future__ import annotations

import subprocess

import pytest
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThread
from zope.interface import implementer

from sipframe.changes import Change
from sipframe.interfaces import ICredentialSource
from sipframe.service import SIPService
from sipframe.verdicts import Binding
from tests.interop.sipp import media_port, unused_port
from tests.interop.test_baresip import MODULES
from tests.process import PATIENCE
from tests.test_service import LISTEN, ServiceTestCase, Steps
from tests.tools import require_tool

SCENARIO = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="answers OPTIONS">
  <recv request="OPTIONS" />
  <send><![CDATA[
    SIP/2.0 200 OK
    [last_Via:]
    [last_From:]
    [last_To:];tag=[call_number]
    [last_Call-ID:]
    [last_CSeq:]
    Content-Length: 0

  ]]></send>
</scenario>
"""


@implementer(ICredentialSource)
class Everyone:
    def secret(self, username: str, realm: str, algorithm: str) -> str:
        return "right-1"


class Baresip(ServiceTestCase):
    timeout = PATIENCE * 4

    def bound(self, service: SIPService) -> Deferred[tuple[Binding, ...]]:
        """The bindings of whoever registers next."""
        bound: Deferred[tuple[Binding, ...]] = Deferred()

        def hear(aor: str, bindings: tuple[Binding, ...], change: Change) -> None:
            if change == "bound" and not bound.called:
                bound.callback(bindings)

        service.watch(None, hear)
        return bound

    def baresip(self, service: SIPService, transport: str) -> None:
        (address,) = [one.local for one in service.listening() if one.transport.lower() == transport]
        home = self.folder / transport
        home.mkdir()
        settings = [
            "sip_listen 127.0.0.1:0",
            f"module_path {MODULES}",
            "module uuid.so",
            "module_app account.so",
        ]
        (home / "config").write_text("".join(f"{line}\n" for line in settings), encoding="ascii")
        outbound = f'outbound="sip:{address.host}:{address.port};transport={transport}"'
        account = f"<sip:{transport}@localhost;transport={transport}>;auth_pass=right-1;{outbound}\n"
        (home / "accounts").write_text(account, encoding="ascii")
        process = subprocess.Popen(
            [require_tool("baresip"), "-4", "-f", str(home)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def end() -> None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()
                process.wait()

        self.addCleanup(deferToThread, end)

    @inlineCallbacks
    def test_it_answers_by_the_flow_it_registered_by(self) -> Steps:
        require_tool("baresip")
        if not MODULES.is_dir():
            pytest.skip(f"baresip's modules are not in {MODULES}")
        service = self.service(listen=LISTEN, credentials=Everyone())
        for transport in ("udp", "tcp", "tls"):
            registered = self.bound(service)
            self.baresip(service, transport)
            (binding,) = yield registered
            to = f"sip:{transport}@localhost"
            response = yield service.send("OPTIONS", binding, to=to)
            assert response.status == 200
            assert "INVITE" in response.allow
            response = yield service.send(
                "MESSAGE", binding, to=to, body=b"Hello", content_type="text/plain;charset=utf-8"
            )
            assert response.status == 501  # it has no module for messages here, and says so
        assert service.counters.connections_made == 0


class SIPp(ServiceTestCase):
    timeout = PATIENCE * 2

    @inlineCallbacks
    def test_it_answers_at_an_address(self) -> Steps:
        service = self.service(listen=LISTEN, credentials=Everyone())
        (self.folder / "options.xml").write_text(SCENARIO, encoding="ascii")
        port = unused_port()
        command = [require_tool("sipp"), "-sf", "options.xml", "-t", "u1", "-m", "1", "-nostdin"]
        command += ["-i", "127.0.0.1", "-p", str(port), "-mp", str(media_port()), "-cp", str(unused_port())]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        # Until it listens the request is sent again.
        response = yield service.send("OPTIONS", f"sip:127.0.0.1:{port};transport=udp")
        assert (response.status, response.to.tag) == (200, "1")
        status = yield deferToThread(process.wait, PATIENCE)
        assert status == 0
