"""Users in a directory that is slow, over a connection of your own: nobody else has to wait for it.

The toy directory at the end of this file takes two seconds for each answer. It says ``alice``'s password when it gets
the line ``alice``, and an empty line for whom it does not know:

    python slow_directory.py

Beside it, a server that knows ``sipframe user add`` accounts first, and asks the directory about everybody else:

    twistd -n --pidfile= sipregistrar --domain example.com --credentials sqlite --credentials slow_directory.Directory

    sipframe register alice@example.com --server udp:127.0.0.1:5060     (the password is wonderland)

What is written here is the conversation alone. sipframe sees to the rest: one look-up for all who ask the same at the
same time, a bounded number of look-ups, a deadline (``--plugin-deadline``), and a time in which a directory that does
not answer is left alone. ``Answers`` remembers what was said. Its tests are in test_slow_directory.py.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import react
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from sipframe.auth.sources.answers import Answers
from sipframe.interfaces import ICredentialSource
from sipframe.surroundings import Surroundings
from sipframe.verdicts import Secret, Unavailable


@implementer(ICredentialSource)
class Directory:
    """Asks the directory, with a connection for each look-up."""

    def __init__(
        self,
        *,
        host: Annotated[str, "where the directory is"] = "127.0.0.1",
        port: Annotated[int, "its TCP port"] = 3890,
        patience: Annotated[float, "seconds that one look-up may take"] = 4.0,
        remember: Annotated[float, "seconds that an answer is good for"] = 60.0,
        surroundings: Surroundings,
    ) -> None:
        self._reactor = surroundings.reactor
        self._endpoint = TCP4ClientEndpoint(self._reactor, host, port, timeout=patience)
        self._patience = patience
        self._answers = Answers(
            self._look_up,
            self._reactor,
            remember=remember,
            remember_unknown=5.0,
            remembered=10_000,
            most_calls=20,
        )

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        """What is remembered, at once, or a Deferred of what the directory says (ICredentialSource)."""
        return self._answers.secret(username, realm, algorithm)

    def _look_up(self, username: str, realm: str, algorithm: str) -> Deferred[Secret | None]:
        return Deferred.fromCoroutine(self._ask(username)).addTimeout(self._patience, self._reactor)

    async def _ask(self, username: str) -> Secret | None:
        if not username.isprintable():
            return None  # a client may send anything as a name, a line's end included
        try:
            conversation = await connectProtocol(self._endpoint, Conversation(username))
            password = await conversation.answer
        except (ConnectError, ConnectionClosed):
            raise Unavailable("the directory is not there") from None  # 503 with Retry-After
        return Secret(password=password) if password else None


class Conversation(LineOnlyReceiver):
    """One question and its answer. To cancel ``answer`` is to hang up."""

    delimiter = b"\n"

    def __init__(self, username: str) -> None:
        self._username = username
        self.answer: Deferred[str] = Deferred(lambda _: self._transport().abortConnection())

    def connectionMade(self) -> None:
        """Ask."""
        self._transport().write(self._username.encode() + b"\n")

    def lineReceived(self, line: bytes) -> None:
        """The answer."""
        self._transport().loseConnection()
        if not self.answer.called:
            self.answer.callback(line.decode())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """No answer will come."""
        if not self.answer.called:
            self.answer.errback(reason)

    def _transport(self) -> Any:
        return self.transport


# What stands in for the directory.


class ToyDirectory(Factory):
    """Takes ``delay`` seconds for each answer. ``asked`` has the names in their order, ``hung_up`` counts the rude."""

    def __init__(self, reactor: Any, passwords: Mapping[str, str], delay: float = 2.0) -> None:
        self.reactor = reactor
        self.passwords = passwords
        self.delay = delay
        self.asked: list[str] = []
        self.hung_up = 0

    def buildProtocol(self, addr: object) -> ToyAnswers:
        """For one connection."""
        return ToyAnswers(self)


class ToyAnswers(LineOnlyReceiver):
    """The directory's end of a connection."""

    delimiter = b"\n"

    def __init__(self, directory: ToyDirectory) -> None:
        self._directory = directory
        self._waiting: Any = None

    def lineReceived(self, line: bytes) -> None:
        """Somebody asks."""
        directory, name = self._directory, line.decode()
        directory.asked.append(name)
        answer = directory.passwords.get(name, "").encode()
        self._waiting = directory.reactor.callLater(directory.delay, self.sendLine, answer)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nobody wants to know any more."""
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
            self._directory.hung_up += 1


def main(reactor: Any, port: int = 3890) -> Deferred[None]:
    """Serve a toy directory until a signal comes."""
    listening = reactor.listenTCP(port, ToyDirectory(reactor, {"alice": "wonderland"}), interface="127.0.0.1")
    print(f"the directory listens on port {listening.getHost().port}", flush=True)
    return Deferred()


if __name__ == "__main__":
    react(main, [int(argument) for argument in sys.argv[1:]])
