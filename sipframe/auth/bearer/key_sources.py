"""Where the keys of an authorization server come from: a web server, or a file.

Rules: whoever asks gets what is held, at once. A web server is asked

- when nothing is held,
- when what is held is older than ``every``: meanwhile, and when the web server does not answer, it stays in use, until
  it is older than ``keep``,
- when a token names a key that is not held, for then the server may have new ones. Tokens are anybody's, so this
  happens once in ``refetch_after``; in between an unknown key is unknown.

Whoever waits shares one fetch, and goes without hurting the others. A new set replaces the old one as a whole: a key
that is no longer there is no longer good. What cannot be read replaces nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent
from twisted.web.http_headers import Headers

from sipframe.auth.bearer.key_set import LARGEST, KeySet, parse_key_set
from sipframe.auth.sources.watching import WatchedFile
from sipframe.auth.sources.web import body_of, reason_of, tls_policy
from sipframe.seams import NotAsked
from sipframe.verdicts import Unavailable

__all__ = ["FileKeys", "KeySource", "RemoteKeys", "fetching"]

_log = Logger()

_LOOK_EVERY: Final = 10.0


class KeySource(Protocol):
    """Keys that may change at any time."""

    def held(self) -> KeySet | None:
        """What there is, or None when that is nothing, or too old."""

    def newer(self) -> Awaitable[KeySet] | None:
        """A set that is read after this call, since what is held does not do; None when there is no use in waiting.

        Raises Unavailable, or fails with it.
        """

    def close(self) -> None:
        """Let go of files and calls."""


class FileKeys:
    """The JWK Set in a file, read again when it changes. Raises ValueError when it is none."""

    def __init__(self, path: Path, clock: IReactorTime) -> None:
        self._file = WatchedFile(path, parse_key_set, clock, _LOOK_EVERY, largest=LARGEST)

    def held(self) -> KeySet | None:
        """What was read last."""
        return self._file.content

    def newer(self) -> Awaitable[KeySet] | None:
        """None: the file is looked at in its own time."""
        return None

    def close(self) -> None:
        """Look no more."""
        self._file.close()


class RemoteKeys:
    """The JWK Set that ``fetch`` brings.

    ``seconds`` is a clock that never goes back. ``every``, ``keep`` and ``refetch_after`` are in seconds; at most
    ``most_waiting`` requests wait at once. ``fetch`` has a deadline of its own and what it fails with holds no secret.
    """

    def __init__(
        self,
        fetch: Callable[[], Deferred[bytes]],
        seconds: Callable[[], float],
        *,
        every: float = 3600.0,
        keep: float = 86_400.0,
        refetch_after: float = 30.0,
        most_waiting: int = 100,
    ) -> None:
        if not (0 < refetch_after <= every <= keep < float("inf")):
            raise ValueError(
                "the seconds between two fetches are more than 0, and no more than the keys are kept"
            )
        self._fetch = fetch
        self._seconds = seconds
        self._every = every
        self._keep = keep
        self._refetch_after = refetch_after
        self._most_waiting = most_waiting
        self._held: KeySet | None = None
        self._fetched = 0.0
        self._begun: float | None = None
        self._under_way: Deferred[bytes] | None = None
        self._waiting: deque[Deferred[KeySet]] = deque()

    def held(self) -> KeySet | None:
        """What was fetched last; fetches again in the background when it is time to."""
        if self._held is None:
            return None
        age = self._seconds() - self._fetched
        if age >= self._every and self._may_fetch():
            self._begin()
        return self._held if age < self._keep else None

    def newer(self) -> Awaitable[KeySet] | None:
        """Wait for a fetch, or None when the last one is not long ago and there is something held."""
        if self._under_way is None and not self._may_fetch():
            if self.held() is not None:
                return None
            raise Unavailable("the keys could not be fetched", round(self._refetch_after))
        if len(self._waiting) >= self._most_waiting:
            raise NotAsked(f"{self._most_waiting} requests wait for keys already")
        waiter: Deferred[KeySet] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        if self._under_way is None:
            self._begin()
        return waiter

    def close(self) -> None:
        """Break off the fetch that is under way; who waits for it goes without."""
        if self._under_way is not None:
            self._under_way.cancel()

    def _may_fetch(self) -> bool:
        if self._under_way is not None:
            return False
        return self._begun is None or self._seconds() - self._begun >= self._refetch_after

    def _begin(self) -> None:
        self._begun = self._seconds()
        self._under_way = maybeDeferred(self._fetch)
        _ = self._under_way.addCallback(self._came).addErrback(self._broke)

    def _came(self, octets: bytes) -> None:
        keys = parse_key_set(octets)
        self._under_way = None
        self._held = keys
        self._fetched = self._seconds()
        while self._waiting:
            self._waiting.popleft().callback(keys)

    def _broke(self, failure: Failure) -> None:
        self._under_way = None
        error = failure.value
        reason = str(error) if isinstance(error, ValueError | Unavailable) else type(error).__name__
        if not failure.check(CancelledError):
            _log.warn("no keys for bearer tokens: {reason}; those that are held stay in use", reason=reason)
        # Anybody can name a key that is not held. While there are keys, that must not shut out those who use them.
        kind = Unavailable if self._held is None else NotAsked
        while self._waiting:
            self._waiting.popleft().errback(kind(f"no keys: {reason}", round(self._refetch_after)))


def fetching(
    url: str,
    reactor: Any,
    *,
    ca_file: Path | None = None,
    deadline: float = 4.0,
    client: HTTPClient | None = None,
) -> Callable[[], Deferred[bytes]]:
    """How to GET ``url``, an https URL, within ``deadline`` seconds; redirections are not followed.

    ``client`` stands for the real one in tests. Raises ValueError when the URL or the file of authorities is no good.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("keys-url: it is no URL") from None
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc:
        raise ValueError(
            "keys-url: it must be an https URL"
        )  # whoever can change the keys on the way is everybody
    if not 0 < deadline < float("inf"):
        raise ValueError("keys-deadline: a number of seconds")
    if client is None:
        agent = Agent(reactor, tls_policy(ca_file), connectTimeout=deadline)
        client = HTTPClient(agent, IndexableCookieJar(DefaultCookiePolicy(allowed_domains=[])))
    asked, origin = client, f"https://{parts.netloc}"

    async def exchanged() -> bytes:
        try:
            response: Any = await asked.get(
                url,
                headers=Headers({b"Accept": [b"application/jwk-set+json, application/json"]}),
                allow_redirects=False,
                unbuffered=True,
                reactor=reactor,
            )
            if response.code == 200:
                return await body_of(response, LARGEST)
        except CancelledError:
            raise
        except Exception as error:
            raise Unavailable(f"{origin}: {reason_of(error)}") from None
        raise Unavailable(f"{origin}: status {response.code}")

    def fetch() -> Deferred[bytes]:
        late = Unavailable(f"{origin}: no answer within {deadline} s")
        return Deferred.fromCoroutine(exchanged()).addTimeout(deadline, reactor, lambda _, __: Failure(late))

    return fetch
