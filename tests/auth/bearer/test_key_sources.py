"""Keys that change: rotation, outages and crowds, on a fake clock; and one fetch over real HTTPS."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from sipframe.auth.bearer.key_set import LARGEST, KeySet
from sipframe.auth.bearer.key_sources import FileKeys, RemoteKeys, fetching
from sipframe.verdicts import Unavailable
from tests.auth.bearer.issuer import Signer, jwks, signer

OLD, NEW = signer("EC", "old"), signer("EC", "new")


class Server:
    """Answers a fetch when the test says so."""

    def __init__(self, **changes: Any) -> None:
        self.clock = Clock()
        self.asked: list[Deferred[bytes]] = []
        self.keys = RemoteKeys(self.fetch, self.clock.seconds, **changes)

    def fetch(self) -> Deferred[bytes]:
        self.asked.append(Deferred())
        return self.asked[-1]

    def answer(self, *keys: Signer) -> None:
        self.asked[-1].callback(jwks(*keys))

    def fail(self) -> None:
        self.asked[-1].errback(Unavailable("idp.example.net: status 500"))

    def kids(self) -> set[str]:
        held = self.keys.held()
        return set() if held is None else {kid for _, kid in held.by_kid}


def outcome(waiter: Any) -> list[Any]:
    found: list[Any] = []
    _ = waiter.addBoth(found.append)
    return found


def filled(*keys: Signer, **changes: Any) -> Server:
    server = Server(**changes)
    waiting = outcome(server.keys.newer())
    server.answer(*(keys or (OLD,)))
    assert isinstance(waiting[0], KeySet)
    return server


def test_nothing_is_asked_before_somebody_needs_it() -> None:
    server = Server()
    assert server.keys.held() is None
    assert server.asked == []


def test_the_first_fetch_is_shared() -> None:
    server = Server()
    waiting = [outcome(server.keys.newer()) for _ in range(5)]
    assert len(server.asked) == 1
    server.answer(OLD)
    assert server.kids() == {"old"}
    assert [found[0] for found in waiting] == [server.keys.held()] * 5


def test_an_unknown_key_is_asked_for_once_in_a_while() -> None:
    server = filled(refetch_after=30.0)
    assert server.keys.newer() is None  # fetched just now
    server.clock.advance(29.9)
    assert server.keys.newer() is None
    server.clock.advance(0.1)
    waiting = [outcome(server.keys.newer()), outcome(server.keys.newer())]
    assert len(server.asked) == 2
    server.answer(OLD, NEW)
    assert [found[0] for found in waiting] == [server.keys.held()] * 2
    assert server.kids() == {"old", "new"}
    assert server.keys.newer() is None


def test_a_thousand_and_more_made_up_keys_are_one_fetch_in_each_interval() -> None:
    server = filled(refetch_after=30.0)
    for _ in range(1200):
        server.clock.advance(0.25)
        if server.keys.newer() is not None:
            server.answer(OLD)
    assert len(server.asked) == 1 + 10


def test_keys_are_fetched_anew_while_the_old_ones_are_in_use() -> None:
    server = filled(every=3600.0)
    first = server.keys.held()
    server.clock.advance(3600)
    assert server.keys.held() is first
    assert server.keys.held() is first
    assert len(server.asked) == 2
    server.answer(NEW)
    assert server.kids() == {"new"}  # one that is gone is gone
    server.clock.advance(3599)
    server.keys.held()
    assert len(server.asked) == 2


@pytest.mark.parametrize("broken", ["failure", "no JSON", "no keys"])
def test_old_keys_last_through_an_outage_but_not_for_ever(broken: str) -> None:
    server = filled(every=3600.0, keep=7200.0, refetch_after=30.0)
    for _ in range(100):
        server.clock.advance(36)
        if server.clock.seconds() >= 3600:
            assert server.kids() == {"old"}
        if not server.asked[-1].called:
            if broken == "failure":
                server.fail()
            else:
                server.asked[-1].callback({"no JSON": b"<html>", "no keys": b'{"keys": []}'}[broken])
    while server.clock.seconds() < 7200:
        assert server.kids() == {"old"}
        if not server.asked[-1].called:
            server.fail()
        server.clock.advance(36)
    assert server.keys.held() is None
    waiting = outcome(server.keys.newer())
    server.answer(NEW)
    assert isinstance(waiting[0], KeySet)
    assert server.kids() == {"new"}


def test_a_failure_fails_those_who_wait_and_is_not_repeated_at_once() -> None:
    server = Server(refetch_after=30.0)
    waiting = [outcome(server.keys.newer()) for _ in range(2)]
    server.fail()
    for (failure,) in waiting:
        assert failure.check(Unavailable)
        assert failure.value.retry_after == 30
    with pytest.raises(Unavailable):
        server.keys.newer()
    assert len(server.asked) == 1
    server.clock.advance(30)
    assert server.keys.newer() is not None
    assert len(server.asked) == 2


def test_a_fetch_that_fails_at_once_is_a_failure_as_well() -> None:
    def fetch() -> Deferred[bytes]:
        raise ZeroDivisionError

    keys = RemoteKeys(fetch, Clock().seconds)
    (failure,) = outcome(keys.newer())
    assert failure.check(Unavailable)
    assert "ZeroDivisionError" in str(failure.value)


def test_who_goes_hurts_nobody() -> None:
    server = Server()
    gone, stays = server.keys.newer(), server.keys.newer()
    gone.cancel()  # type: ignore[union-attr]
    (failure,) = outcome(gone)
    assert failure.check(CancelledError)
    found = outcome(stays)
    server.answer(OLD)
    assert isinstance(found[0], KeySet)


def test_those_who_wait_are_counted() -> None:
    server = Server(most_waiting=2)
    waiting = [server.keys.newer(), server.keys.newer()]
    with pytest.raises(Unavailable, match="wait"):
        server.keys.newer()
    waiting[0].cancel()  # type: ignore[union-attr]
    outcome(waiting[0])
    assert server.keys.newer() is not None


def test_closing_breaks_it_off() -> None:
    server = Server()
    waiting = outcome(server.keys.newer())
    server.keys.close()
    assert waiting[0].check(Unavailable)
    server.keys.close()


@pytest.mark.parametrize(
    "changes",
    [{"refetch_after": 0.0}, {"every": 10.0}, {"keep": 10.0}, {"keep": float("inf")}, {"every": -1.0}],
)
def test_intervals_that_make_no_sense(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="seconds"):
        Server(**changes)


class TestFile:
    def test_it_is_read_again_when_it_changes(self, tmp_path: Path) -> None:
        clock, path = Clock(), tmp_path / "jwks.json"
        path.write_bytes(jwks(OLD))
        keys = FileKeys(path, clock)
        first = keys.held()
        assert keys.newer() is None
        (tmp_path / "new").write_bytes(jwks(OLD, NEW))
        (tmp_path / "new").rename(path)
        clock.advance(10)
        second = keys.held()
        assert second is not None
        assert second is not first
        assert {kid for _, kid in second.by_kid} == {"old", "new"}
        path.write_bytes(b"<html>")
        clock.pump([10, 10])
        assert keys.held() is second
        keys.close()
        assert clock.getDelayedCalls() == []

    def test_it_must_be_there_at_the_start(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"jwks\.json"):
            FileKeys(tmp_path / "jwks.json", Clock())
        (tmp_path / "jwks.json").write_bytes(b'{"keys": []}')
        with pytest.raises(ValueError, match=r"jwks\.json: it has no key"):
            FileKeys(tmp_path / "jwks.json", Clock())


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example.net/jwks",
        "jwks",
        "",
        "https:///jwks",
        "https://a:b@idp.example.net/",
        "https://[/",
    ],
)
def test_only_https_brings_keys(url: str) -> None:
    with pytest.raises(ValueError, match="keys-url"):
        fetching(url, Clock())


class Silent:
    """A client whose server never answers."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Any]] = []

    def get(self, url: str, **_: Any) -> Deferred[Any]:
        self.asked.append(Deferred())
        return self.asked[-1]


def test_a_fetch_ends_in_time() -> None:
    clock, client = Clock(), Silent()
    server: Any = client
    found = outcome(fetching("https://idp.example.net/jwks?secret=1", clock, deadline=4.0, client=server)())
    clock.advance(4)
    assert str(found[0].value) == "https://idp.example.net: no answer within 4.0 s"
    assert client.asked[0].called


Steps = Generator[Deferred[Any], Any, None]


class Answer(Resource):
    """Answers everything with what the test put there."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.body: bytes | None = jwks(OLD)
        self.status = 200
        self.headers: list[bytes | None] = []

    def render_GET(self, request: Request) -> Any:
        self.headers.append(request.getHeader(b"accept"))
        request.setResponseCode(self.status)
        if self.status == 302:
            request.setHeader(b"location", b"/elsewhere")
        return NOT_DONE_YET if self.body is None else self.body


class OverHTTPS(TestCase):
    @pytest.fixture(autouse=True)
    def _in(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor = cast(Any, reactor)
        authority = trustme.CA()
        self.ca_file = self.folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        made = authority.issue_cert("localhost")
        key, chain = str(self.folder / "key.pem"), str(self.folder / "chain.pem")
        made.private_key_pem.write_to_path(key)
        made.cert_chain_pems[0].write_to_path(chain)
        self.resource = Answer()
        context: Any = DefaultOpenSSLContextFactory(key, chain)
        port = self.reactor.listenSSL(0, Site(self.resource), context, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.url = f"https://localhost:{port.getHost().port}/jwks?secret=1"

    def fetch(self) -> Deferred[bytes]:
        return fetching(self.url, self.reactor, ca_file=self.ca_file, deadline=60.0)()

    @inlineCallbacks
    def failure(self) -> Generator[Deferred[Any], Any, str]:
        error = yield self.assertFailure(self.fetch(), Unavailable)
        text = str(error)
        assert text.startswith("https://localhost:")
        assert "secret" not in text
        return text

    @inlineCallbacks
    def test_keys_come(self) -> Steps:
        octets = yield self.fetch()
        assert octets == jwks(OLD)
        assert self.resource.headers == [b"application/jwk-set+json, application/json"]

    @inlineCallbacks
    def test_what_is_no_answer(self) -> Steps:
        for status in (404, 500, 302, 204):
            self.resource.status = status
            reason = yield self.failure()
            assert reason.endswith(f"status {status}")
        self.resource.status, self.resource.body = 200, b" " * (LARGEST + 1)
        reason = yield self.failure()
        assert reason.endswith("too long")

    @inlineCallbacks
    def test_a_certificate_that_nobody_vouches_for(self) -> Steps:
        trustme.CA().cert_pem.write_to_path(str(self.ca_file))
        reason = yield self.failure()
        assert "certificate verify failed" in reason
