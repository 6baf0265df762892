# twistd -n --pidfile= -y examples/registrar.tac
from pathlib import Path

from twisted.application.service import Application
from twisted.internet import reactor
from zope.interface import implementer

from sipframe.config import Settings
from sipframe.interfaces import ICredentialSource
from sipframe.service import SIPService


@implementer(ICredentialSource)
class Phones:
    def secret(self, username: str, realm: str, algorithm: str) -> str | None:
        return {"alice": "wonderland"}.get(username)  # or ask a database: a Deferred or a coroutine will do


application = Application("sip")
settings = Settings(state=Path("phones-state"), domains=("example.com",))
SIPService(settings, reactor=reactor, credentials=Phones()).setServiceParent(application)
