"""A web server that knows users: real HTTPS over loopback, and what can go wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trustme
from treq.testing import StubTreq
from twisted.internet import ssl
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import Clock, deferLater
from twisted.internet.tcp import Client
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface.verify import verifyObject

from sipframe.auth.sources.http import HTTPSettings, HTTPSource
from sipframe.interfaces import ICloseable, ICredentialSource
from sipframe.verdicts import Secret, Unavailable
from tests.auth.sources.around import CANARY, REALM, by_name, ha1, logged, registers, result, text_of

Answer = Callable[[Any], bytes | int]


class Directory(Resource):
    """Answers with what ``answers`` holds for a user; keeps the questions."""

    isLeaf = True

    def __init__(self) -> None:
        Resource.__init__(self)
        self.answers: dict[str, object] = {
            "alice": {"password": CANARY, "owner": "sip:al@example.com", "more": [1]},
            "null": None,
        }
        self.questions: list[dict[str, str]] = []
        self.tokens: list[bytes | None] = []
        self.peers: set[int] = set()
        self.waiting: list[Any] = []

    def render_POST(self, request: Any) -> bytes | int:
        question = json.loads(request.content.read())
        assert request.getHeader(b"content-type").startswith(b"application/json")
        self.questions.append(question)
        self.tokens.append(request.getHeader(b"authorization"))
        self.peers.add(request.getClientAddress().port)
        name = question["username"]
        if name == "bob":
            return json.dumps({"ha1": ha1("bob", CANARY, question["algorithm"])}).encode()
        if name not in self.answers:
            request.setResponseCode(404)
            return b"<html>"
        answer = self.answers[name]
        if callable(answer):
            answered: bytes | int = answer(request)
            return answered
        return json.dumps(answer).encode()


def status(code: int, body: bytes = b'{"password": "x"}', **fields: str) -> Answer:
    def answer(request: Any) -> bytes:
        request.setResponseCode(code)
        for name, value in fields.items():
            request.setHeader(name, value)
        return body

    return answer


def stubbed(directory: Directory, clock: Clock | None = None, **settings: Any) -> HTTPSource:
    """A source over treq's own server in memory."""
    chosen = HTTPSettings(url="http://127.0.0.1:80/users", **settings)
    stub: Any = StubTreq
    return HTTPSource(chosen, reactor=clock or Clock(), client=stub(directory))


class ServerTests(TestCase):
    """Sockets and TLS."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(self.folder / "ca.pem")
        self.directory = Directory()

    def serve(self, name: str = "127.0.0.1", tls: bool = True) -> str:
        from twisted.internet import reactor

        running: Any = reactor
        site: Any = Site(self.directory)
        site.noisy = False
        site.log = lambda request: None  # it would log the URL
        if tls:
            certificate = self.authority.issue_cert(name)
            chain, key = self.folder / "chain.pem", self.folder / "key.pem"
            certificate.cert_chain_pems[0].write_to_path(chain)
            certificate.private_key_pem.write_to_path(key)
            context: Any = ssl.DefaultOpenSSLContextFactory(str(key), str(chain))
            port = running.listenSSL(0, site, context, interface="127.0.0.1")
        else:
            port = running.listenTCP(0, site, interface="127.0.0.1")
        self.port = port
        self.addCleanup(port.stopListening)
        return f"{'https' if tls else 'http'}://127.0.0.1:{port.getHost().port}/users?key={CANARY}"

    def source(self, url: str | None = None, **arguments: object) -> Any:
        from twisted.internet import reactor

        given = {"url": url or self.serve(), "ca_file": "ca.pem", **arguments}
        source = by_name("http", self.folder, reactor, **given)
        self.addCleanup(source.close)
        return source

    async def unavailable(self, source: Any, username: str = "alice") -> str:
        with logged(), pytest.raises(Unavailable) as error:
            await source.secret(username, REALM, "MD5")
        return text_of(error)

    async def test_users_register(self) -> None:
        source = self.source()
        for username in ("alice", "bob"):
            proved: Any = registers(source, username)
            assert await proved is True
            assert registers(source, username, "guess") is False
        nobody: Any = registers(source, "carol")
        assert await nobody is False
        question = {"username": "alice", "realm": REALM, "algorithm": "MD5"}
        assert self.directory.questions == [
            question,
            {**question, "username": "bob"},
            {**question, "username": "carol"},
        ]
        assert self.directory.tokens == [None] * 3
        assert len(self.directory.peers) == 1, "the connection is kept"
        assert CANARY not in repr(source) + repr(source._settings)

    async def test_clear_text_within_this_machine(self) -> None:
        source = self.source(self.serve(tls=False), ca_file="ca.pem")
        assert await source.secret("alice", REALM, "MD5") == Secret(None, CANARY, "sip:al@example.com")

    async def test_an_authority_that_is_not_trusted(self) -> None:
        other = trustme.CA()
        other.cert_pem.write_to_path(self.folder / "other.pem")
        text = await self.unavailable(self.source(ca_file="other.pem"))
        assert text.endswith(": TLS: certificate verify failed")
        assert self.directory.questions == []

    async def test_the_authorities_of_the_system_do_not_know_ours(self) -> None:
        source = by_name("http", self.folder, self._reactor(), url=self.serve())
        self.addCleanup(source.close)
        assert "TLS: certificate verify failed" in await self.unavailable(source)

    async def test_a_certificate_for_another_host(self) -> None:
        text = await self.unavailable(self.source(self.serve("other.example.com")))
        assert text.endswith(": its certificate is for another host")
        assert self.directory.questions == []

    async def test_nobody_listens(self) -> None:
        url = self.serve()
        await self.port.stopListening()
        assert "Connection was refused" in await self.unavailable(self.source(url))

    async def test_a_token_from_a_file_that_changes(self) -> None:
        (self.folder / "token").write_text("first\n")
        source = self.source(token_file="token", remember="0")
        await source.secret("alice", REALM, "MD5")
        (self.folder / "token").write_text(CANARY)
        source._token.look()
        await source.secret("alice", REALM, "MD5")
        assert self.directory.tokens == [b"Bearer first", b"Bearer " + CANARY.encode()]
        self.directory.answers["alice"] = status(401)
        assert "status 401" in await self.unavailable(source)
        assert CANARY not in repr(source)

    async def test_a_kept_connection_that_is_closed_as_the_question_arrives(self) -> None:
        # What a server does whose patience with idle connections ends at that moment.
        source = self.source(remember="0")
        await source.secret("alice", REALM, "MD5")
        answer, closed = self.directory.answers["alice"], []

        def close(request: Any) -> int:
            self.directory.answers["alice"] = answer
            closed.append(request)
            request.transport.abortConnection()
            return NOT_DONE_YET

        self.directory.answers["alice"] = close
        assert await source.secret("alice", REALM, "MD5") is not None
        assert len(closed) == 1
        assert len(self.directory.questions) == 3

    async def test_a_server_that_always_closes(self) -> None:
        def close(request: Any) -> int:
            request.transport.abortConnection()
            return NOT_DONE_YET

        self.directory.answers["alice"] = close
        assert "Connection" in await self.unavailable(self.source())
        assert len(self.directory.questions) == 2

    async def test_identical_look_ups_are_one_request(self) -> None:
        source = self.source()
        found: Any = await DeferredList([source.secret("alice", REALM, "MD5") for _ in range(5)])
        assert {answer for _, answer in found} == {Secret(None, CANARY, "sip:al@example.com")}
        assert len(self.directory.questions) == 1

    async def test_no_answer_in_time(self) -> None:
        def hang(request: Any) -> int:
            request.notifyFinish().addErrback(lambda _: gone.callback(None))
            return NOT_DONE_YET

        gone: Deferred[object] = Deferred()
        self.directory.answers["alice"] = hang
        assert (await self.unavailable(self.source(deadline="0.2"))).endswith("no answer within 0.2 s")
        await gone  # the connection is closed

    async def test_an_answer_that_does_not_end_in_time(self) -> None:
        def begin(request: Any) -> int:
            request.write(b'{"password"')
            request.notifyFinish().addErrback(lambda _: gone.callback(None))
            return NOT_DONE_YET

        gone: Deferred[object] = Deferred()
        self.directory.answers["alice"] = begin
        assert (await self.unavailable(self.source(deadline="0.2"))).endswith("no answer within 0.2 s")
        await gone

    async def test_an_answer_that_does_not_end_from_a_server_that_does_not_say_goodbye(self) -> None:
        def begin(request: Any) -> int:
            request.write(b'{"password"')
            request.channel.transport.pauseProducing()  # so it reads nothing, the client's goodbye included
            request.notifyFinish().addErrback(lambda _: gone.callback(None))
            hung.append(request.channel.transport)
            return NOT_DONE_YET

        gone: Deferred[object] = Deferred()
        hung: list[Any] = []
        self.directory.answers["alice"] = begin
        assert (await self.unavailable(self.source(deadline="0.2"))).endswith("no answer within 0.2 s")
        for _ in range(100):  # turns of the reactor, to flush and close
            if self.clients():
                await deferLater(self._reactor(), 0)
        assert self.clients() == []
        hung[0].resumeProducing()
        await gone

    def clients(self) -> list[object]:
        """The connections to the server."""
        port = self.port.getHost().port
        return [
            one for one in self._reactor().getReaders() if isinstance(one, Client) and one.addr[1] == port
        ]

    async def test_an_answer_without_an_end(self) -> None:
        def flood(request: Any) -> int:
            request.notifyFinish().addErrback(lambda _: gone.callback(None))
            request.write(b" " * 16_384)
            request.write(b" ")
            return NOT_DONE_YET

        gone: Deferred[object] = Deferred()
        self.directory.answers["alice"] = flood
        assert (await self.unavailable(self.source())).endswith("the answer is too long")
        await gone

    async def test_an_answer_that_is_cut_off(self) -> None:
        def cut(request: Any) -> int:
            request.setHeader(b"content-length", b"100")
            request.write(b'{"password": "')
            request.channel.loseConnection()
            return NOT_DONE_YET

        self.directory.answers["alice"] = cut
        assert "Connection" in await self.unavailable(self.source())

    async def test_a_redirection_is_not_followed(self) -> None:
        self.directory.answers["alice"] = status(307, location="/elsewhere")
        source = self.source()
        assert (await self.unavailable(source)).endswith(": status 307")
        assert len(self.directory.questions) == 1

    async def test_a_cookie_is_not_sent_back(self) -> None:
        def bake(request: Any) -> bytes:
            cookies.append(request.getHeader(b"cookie"))
            request.addCookie(b"session", b"1")
            return b"null"

        cookies: list[object] = []
        self.directory.answers["alice"] = bake
        source = self.source(remember_unknown="0")
        for _ in range(2):
            assert await source.secret("alice", REALM, "MD5") is None
        assert cookies == [None, None]

    async def test_closing_breaks_off_what_is_under_way(self) -> None:
        def hang(request: Any) -> int:
            request.notifyFinish().addErrback(lambda _: gone.callback(None))
            arrived.callback(None)
            return NOT_DONE_YET

        arrived: Deferred[object] = Deferred()
        gone: Deferred[object] = Deferred()
        self.directory.answers["alice"] = hang
        source = self.source()
        waiting = source.secret("alice", REALM, "MD5")
        await arrived
        await source.close()
        with pytest.raises(Unavailable):
            await waiting
        await gone

    def _reactor(self) -> Any:
        from twisted.internet import reactor

        return reactor


def test_answers() -> None:
    directory = Directory()
    source = stubbed(directory)
    md5 = ha1("bob", CANARY)
    assert result(source.secret("bob", REALM, "SHA-256")) == Secret(ha1("bob", CANARY, "SHA-256"))
    assert result(source.secret("null", REALM, "MD5")) is None
    assert result(source.secret("nobody", REALM, "MD5")) is None
    directory.answers["md5"] = {"ha1": md5.upper(), "password": None, "owner": None}
    assert result(source.secret("md5", REALM, "MD5")) == Secret(ha1=md5)
    assert result(source.secret("md5", REALM, "SHA-256")) is None
    name = "łu \"\\\n'"
    directory.answers[name] = {"password": "łódź"}
    assert result(source.secret(name, REALM, "MD5")) == Secret(password="łódź")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (status(500), "status 500"),
        (status(204, b""), "status 204"),
        (status(200, b""), "the answer is no JSON"),
        (status(200, b'{"password": "' + CANARY.encode()), "the answer is no JSON"),
        (status(200, b"[" * 10_000), "the answer is no JSON"),
        (status(200, b'{"password": "\xff"}'), "the answer is no JSON"),
        (CANARY, "the answer is neither an object nor null"),
        ([], "the answer is neither an object nor null"),
        (False, "the answer is neither an object nor null"),
        ({}, "it has neither ha1 nor password"),
        ({"owner": "sip:bob@example.com"}, "it has neither ha1 nor password"),
        ({"password": ""}, "password: it must be text, and not empty"),
        ({"password": [CANARY]}, "password: it must be text, and not empty"),
        ({"ha1": CANARY}, "ha1: it must be 32 or 64 hex digits"),
        ({"password": CANARY, "owner": CANARY}, "owner: it must be a SIP URI, such as sip:alice@example.com"),
        (status(200, b" " * 16_384 + b"null"), "the answer is too long"),
    ],
)
def test_everything_else_is_a_failure(answer: object, reason: str) -> None:
    directory = Directory()
    directory.answers["alice"] = answer
    source = stubbed(directory)
    for _ in range(2):  # a failure is not remembered
        with logged(), pytest.raises(Unavailable) as error:
            result(source.secret("alice", REALM, "MD5"))
        assert text_of(error) == f"http://127.0.0.1:80: {reason}"
    assert len(directory.questions) == 2


def test_answers_are_remembered_for_their_time() -> None:
    directory, clock = Directory(), Clock()
    source = stubbed(directory, clock, remember=30.0, remember_unknown=3.0)
    known = result(source.secret("alice", REALM, "MD5"))
    assert result(source.secret("carol", REALM, "MD5")) is None
    clock.advance(2.9)
    assert source.secret("alice", REALM, "MD5") is known
    assert source.secret("carol", REALM, "MD5") is None
    clock.advance(0.2)
    assert result(source.secret("carol", REALM, "MD5")) is None
    clock.advance(27)
    assert result(source.secret("alice", REALM, "MD5")) == known
    assert len(directory.questions) == 4


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"url": "ftp://example.com/"}, "url: it must be an https or http URL"),
        ({"url": "https:///users"}, "url: it must be an https or http URL"),
        ({"url": "https://example.com/#x"}, "url: it must be an https or http URL"),
        ({"url": "https://[::1/"}, "url: it is no URL"),
        ({"url": "https://example.com:99999/"}, "url: it is no URL"),
        ({"url": f"https://user:{CANARY}@example.com/"}, "url: it must hold no user or password"),
        ({"url": "http://example.com/"}, "url: http leads to another machine"),
        ({"url": "http://192.0.2.1/"}, "url: http leads to another machine"),
        ({"url": "http://localhost.example.com/"}, "url: http leads to another machine"),
        ({"deadline": "0"}, "deadline"),
        ({"deadline": "nan"}, "deadline"),
        ({"keep": "-1"}, "keep"),
        ({"remember": "-1"}, "remember"),
        ({"remembered": "0"}, "remembered"),
        ({"connections": "0"}, "connections"),
        ({"largest_answer": "0"}, "largest-answer"),
        ({"ca_file": "nothing"}, "nothing: No such file"),
        ({"ca_file": "empty"}, "empty: there is no PEM certificate in it"),
        ({"ca_file": "broken"}, "broken: a certificate in it cannot be read"),
        ({"token_file": "nothing"}, "nothing: No such file"),
        ({"token_file": "empty"}, "empty: it must hold one token"),
        ({"token_file": "lines"}, "lines: it must hold one token"),
    ],
)
def test_what_is_wrong_at_the_start(tmp_path: Path, arguments: dict[str, object], reason: str) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "broken").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (tmp_path / "lines").write_text(f"{CANARY}\nX-Other: field")
    with pytest.raises(ValueError) as error:
        by_name("http", tmp_path, **{"url": "https://127.0.0.1/", **arguments})
    assert reason in text_of(error)


@pytest.mark.parametrize("url", ["http://localhost/", "http://127.0.0.9:8080/", "http://[::1]/"])
def test_loopback(url: str) -> None:
    assert HTTPSettings(url=url).origin == url.removesuffix("/")


def test_clear_text_when_told_so() -> None:
    settings = HTTPSettings(url=f"http://example.com/?key={CANARY}", allow_cleartext=True)
    assert settings.origin == "http://example.com"
    assert CANARY not in repr(settings)


def test_it_is_a_credential_source() -> None:
    source = stubbed(Directory())
    assert verifyObject(ICredentialSource, source)
    assert verifyObject(ICloseable, source)
