"""Users whom a web server knows: one POST for each look-up.

The request is ``POST URL`` with ``Content-Type: application/json`` and this body::

    {"username": "alice", "realm": "example.com", "algorithm": "SHA-256"}

``algorithm`` is ``MD5``, ``SHA-256`` or ``SHA-512-256``. The answer is status 200 with one of these::

    {"ha1": "7ea9..."}                                        HA1 (RFC 7616 3.4.2) for that algorithm, in hex
    {"password": "wonderland"}                                or the password
    {"password": "wonderland", "owner": "sip:al@example.com"} with the AOR of the account, when the name does not say it
    null                                                      there is no such user

Status 404 says as well that there is no such user. More keys are ignored, and so are keys that are null. An ``ha1`` of
another algorithm's length is as good as no user. With a token file the request has ``Authorization: Bearer TOKEN``.

Rules: everything else is :class:`~sipframe.verdicts.Unavailable`: another status, a redirection, what is no JSON, too
long an answer, no answer in time. The server's certificate is checked, and clear text leaves this machine only when a
setting says so. A look-up has no effect, so it is sent once more when a connection that was kept turns out to be
closed.
"""

from __future__ import annotations

import json
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import attrs
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    RequestTransmissionFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers
from zope.interface import implementer

from sipframe.auth.sources.answers import Answers
from sipframe.auth.sources.record import secret_of
from sipframe.auth.sources.watching import WatchedFile
from sipframe.auth.sources.web import body_of, is_loopback, reason_of, tls_policy
from sipframe.interfaces import ICloseable, ICredentialSource
from sipframe.surroundings import Surroundings
from sipframe.verdicts import Secret, Unavailable

__all__ = ["HTTPSettings", "HTTPSource", "source"]

_KEYS: Final = ("ha1", "password", "owner")
_LARGEST_FILE: Final = 1024 * 1024
"""Octets of a token file or a file of authorities."""


@attrs.frozen
class HTTPSettings:
    """Where to ask, and how much. Raises ValueError."""

    url: Annotated[str, "where to POST to"] = attrs.field(repr=False)
    ca_file: Annotated[Path | None, "PEM file of the authorities to trust, in place of the system's"] = None
    token_file: Annotated[Path | None, "file with a bearer token to send; read again when it changes"] = None
    allow_cleartext: Annotated[bool, "let an http URL lead to another machine"] = False
    deadline: Annotated[float, "seconds that one look-up may take"] = 4.0
    remember: Annotated[
        float, "seconds that an answer is good for; a changed password works so much longer"
    ] = 60.0
    remember_unknown: Annotated[float, "seconds that a user stays unknown"] = 5.0
    remembered: Annotated[int, "answers to keep, and as many unknown users"] = 10_000
    most_calls: Annotated[int, "look-ups at once; more are answered 503"] = 100
    connections: Annotated[int, "connections to keep open"] = 8
    keep: Annotated[int, "seconds to keep a connection that is not used"] = 30
    largest_answer: Annotated[int, "octets that an answer may have"] = 16_384

    def __attrs_post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError("url: it is no URL") from None
        if parts.scheme not in ("http", "https") or not host or parts.fragment:
            raise ValueError("url: it must be an https or http URL, without a fragment")
        if "@" in parts.netloc:
            raise ValueError("url: it must hold no user or password; use token-file")
        if parts.scheme == "http" and not (self.allow_cleartext or is_loopback(host)):
            raise ValueError(
                "url: http leads to another machine in clear text; use https, or allow-cleartext=yes"
            )
        if not 0 < self.deadline < float("inf") or self.keep < 0:
            raise ValueError("deadline and keep are a number of seconds")
        if self.connections < 1 or self.largest_answer < 1:
            raise ValueError("connections and largest-answer are 1 at least")

    @property
    def origin(self) -> str:
        """Scheme, host and port: what may be in a log."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


@implementer(ICredentialSource, ICloseable)
class HTTPSource:
    """Asks a web server; see the head of this module for what is said.

    ``reactor`` connects and tells the time. ``client`` stands for the real one in tests, such as
    :class:`treq.testing.StubTreq`. Raises ValueError when a file that the settings name cannot be used.
    """

    def __init__(self, settings: HTTPSettings, *, reactor: Any, client: HTTPClient | None = None) -> None:
        self._settings = settings
        self._reactor = reactor
        self._token = None
        policy = tls_policy(settings.ca_file)
        if settings.token_file is not None:
            self._token = WatchedFile(settings.token_file, _read_token, reactor, 2.0, largest=_LARGEST_FILE)
        self._pool: Any = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = settings.connections
        self._pool.cachedConnectionTimeout = settings.keep
        if client is None:
            agent = Agent(reactor, policy, connectTimeout=settings.deadline, pool=self._pool)
            # Nothing that the server says changes the next request.
            client = HTTPClient(agent, IndexableCookieJar(DefaultCookiePolicy(allowed_domains=[])))
        self._client = client
        self._answers = Answers(
            self._look_up,
            reactor,
            remember=settings.remember,
            remember_unknown=settings.remember_unknown,
            remembered=settings.remembered,
            most_calls=settings.most_calls,
        )

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        """What the server says of a user, or said not long ago (ICredentialSource). Fails with Unavailable."""
        return self._answers.secret(username, realm, algorithm)

    def close(self) -> Deferred[None]:
        """Break off what is under way, and close the connections (ICloseable)."""
        if self._token is not None:
            self._token.close()
        for call in self._answers.calls:
            call.cancel()
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed

    def _look_up(self, username: str, realm: str, algorithm: str) -> Deferred[Secret | None]:
        settings = self._settings
        answer = Deferred.fromCoroutine(self._asked(username, realm, algorithm))
        late = Unavailable(f"{settings.origin}: no answer within {settings.deadline} s")
        return answer.addTimeout(settings.deadline, self._reactor, lambda _, __: Failure(late))

    async def _asked(self, username: str, realm: str, algorithm: str) -> Secret | None:
        question = {"username": username, "realm": realm, "algorithm": algorithm}
        try:
            try:
                status, body = await self._exchanged(question)
            except (ResponseNeverReceived, RequestTransmissionFailed) as error:
                if not all(reason.check(ConnectionClosed) for reason in error.reasons):
                    raise
                status, body = await self._exchanged(question)
        except Exception as error:
            raise Unavailable(f"{self._settings.origin}: {reason_of(error)}") from None
        if status == 404:
            return None
        try:
            if status != 200:
                raise ValueError(f"status {status}")
            return _read_answer(body, algorithm)
        except ValueError as error:
            raise Unavailable(f"{self._settings.origin}: {error}") from None

    async def _exchanged(self, question: dict[str, str]) -> tuple[int, bytes]:
        headers = Headers({b"Accept": [b"application/json"]})
        if self._token is not None:
            headers.setRawHeaders(b"Authorization", [b"Bearer " + self._token.content])
        response: Any = await self._client.post(
            self._settings.url,
            json=question,
            headers=headers,
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,
        )
        return response.code, await body_of(response, self._settings.largest_answer)


def _read_answer(body: bytes, algorithm: str) -> Secret | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the answer is no JSON") from None
    if answer is None:
        return None
    if not isinstance(answer, dict):
        raise ValueError("the answer is neither an object nor null")
    return secret_of({key: answer.get(key) for key in _KEYS}, algorithm)


def _read_token(octets: bytes) -> bytes:
    token = octets.strip()
    if not token or not all(0x21 <= octet <= 0x7E for octet in token):
        raise ValueError("it must hold one token, of visible ASCII characters")
    return token


def source(settings: HTTPSettings, *, surroundings: Surroundings) -> HTTPSource:
    """The credential source ``http``. Raises ValueError."""
    return HTTPSource(settings, reactor=surroundings.reactor)
