from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import ECKey
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from zope.interface.verify import verifyObject

from sipframe.auth.bearer.authenticator import BearerAuthenticator
from sipframe.auth.bearer.key_set import KeySet, parse_key_set
from sipframe.auth.bearer.key_sources import RemoteKeys
from sipframe.auth.bearer.settings import BearerSettings
from sipframe.auth.bearer.tokens import Decryption
from sipframe.domains import Domains
from sipframe.interfaces import IAuthenticator, ICloseable
from sipframe.message import parse_credentials
from sipframe.seams import PluginLimits, Seam
from sipframe.verdicts import Abstained, Accepted, Challenge, Identity, Rejected, Unavailable
from tests.auth.bearer.issuer import AUDIENCE, ISSUER, NOW, Signer, claims, encoded, jwks, signer
from tests.fakes import FakeFlow, request

DOMAINS = Domains(["example.com", "example.org"], {"sip.example.com": "example.com"})
OLD, NEW, RSA = signer("EC", "old"), signer("EC", "new"), signer("RSA", "r1")
BOB = Accepted(Identity("bob@example.com", ISSUER, frozenset(("sip:bob@example.com",))))
CHALLENGE = f'Bearer realm="example.com", authz_server="{ISSUER}"'
INVALID = f'{CHALLENGE}, error="invalid_token"'


class Keys:
    """A source whose keys the test sets."""

    def __init__(self, *keys: Signer) -> None:
        self.set: KeySet | None = None
        self.asked = 0
        self.closed = False
        if keys:
            self.put(*keys)

    def put(self, *keys: Signer) -> None:
        self.set = parse_key_set(jwks(*keys))

    def held(self) -> KeySet | None:
        return self.set

    def newer(self) -> Any:
        self.asked += 1

    def close(self) -> None:
        self.closed = True


class Desk:
    """An authenticator and what it stands on."""

    def __init__(
        self, *keys: Signer, source: Any = None, decryption: Decryption | None = None, **settings: Any
    ) -> None:
        self.now = NOW
        self.keys = Keys(*(keys or (OLD, RSA))) if source is None else source
        whole = {"issuer": ISSUER, "audience": (AUDIENCE,), **settings}
        self.authenticator = BearerAuthenticator(
            BearerSettings(**whole),
            self.keys,
            DOMAINS,
            realm="example.com",
            wall_clock=lambda: self.now,
            decryption=decryption,
        )

    def ask(self, *authorization: str, transport: str = "TLS") -> Any:
        fields = [f"Authorization: {value}" for value in authorization]
        return self.authenticator.authenticate(request("REGISTER", *fields), FakeFlow(transport))

    def show(self, token: str, transport: str = "TLS") -> Any:
        return self.ask(f"Bearer {token}", transport=transport)


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[str]]:
    """Everything that is logged, as text."""
    lines: list[str] = []

    def keep(event: LogEvent) -> None:
        lines.append(repr(event))

    observer: Any = keep
    globalLogPublisher.addObserver(observer)
    yield lines
    globalLogPublisher.removeObserver(observer)


def test_it_is_an_authenticator() -> None:
    assert verifyObject(IAuthenticator, Desk().authenticator)
    assert verifyObject(ICloseable, Desk().authenticator)


def test_a_good_token() -> None:
    desk = Desk()
    assert desk.show(OLD.token()) == BOB
    assert desk.show(RSA.token()) == BOB
    assert desk.ask(f"bEaReR  {OLD.token()}") == BOB
    assert desk.ask('Digest username="bob", realm="example.com"', f"Bearer {OLD.token()}") == BOB


def test_without_a_token_it_asks() -> None:
    assert Desk().ask() == Challenge((CHALLENGE,), "no credentials")
    assert Desk().ask('Digest username="bob"') == Challenge((CHALLENGE,), "no credentials")
    asking = Desk(scope="sip register", authz_server="https://login.example.net/a?b=1").ask()
    assert asking.values == (
        'Bearer realm="example.com", scope="sip register", authz_server="https://login.example.net/a?b=1"',
    )
    (challenge,) = parse_credentials(list(asking.values))
    assert challenge.params["authz_server"] == "https://login.example.net/a?b=1"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW - 31}, "expired"),
        ({"aud": "https://web.example.com"}, "another audience"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"nbf": NOW + 60}, "not valid yet"),
        ({"sub": None}, "no user in it"),
        ({"sub": ""}, "no user in it"),
        ({"sub": 7}, "no user in it"),
        ({"sub": {"name": "bob"}}, "no user in it"),
    ],
)
def test_a_token_that_does_not_do(changes: dict[str, Any], reason: str) -> None:
    assert Desk().show(OLD.token(**changes)) == Challenge((INVALID,), f"bearer token: {reason}")


def test_a_scope_that_does_not_suffice() -> None:
    found = Desk(scope="sip").show(OLD.token(scope="openid"))
    assert found.values == (
        f'Bearer realm="example.com", scope="sip", authz_server="{ISSUER}", error="invalid_scope"',
    )
    assert isinstance(Desk(scope="sip").show(OLD.token(scope="openid sip")), Accepted)


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_only_over_tls(transport: str) -> None:
    desk = Desk()
    assert isinstance(desk.ask(transport=transport), Abstained)  # asking would be asking for it in the clear
    assert desk.show(OLD.token(), transport) == Rejected(403, "Bearer token over a transport that is not TLS")
    assert Desk(cleartext=True).show(OLD.token(), transport) == BOB


@pytest.mark.parametrize(
    "authorization",
    [
        ["Bearer a.b.c", "Bearer a.b.c"],
        ['Bearer token="a.b.c"'],
        ["Bearer"],
        ["Bearer a.b.c, d=e"],
    ],
)
def test_malformed_credentials(authorization: list[str]) -> None:
    found = Desk().ask(*authorization)
    assert isinstance(found, Rejected)
    assert found.status == 400


def test_a_huge_token_is_not_looked_at() -> None:
    desk = Desk(largest=2000)
    assert desk.show(OLD.token()) == BOB
    found = desk.show(OLD.token(junk="x" * 2000))
    assert found == Challenge((INVALID,), "bearer token: too long")


class TestWhoItIs:
    @pytest.mark.parametrize(
        ("sub", "aors"),
        [
            ("bob@example.com", ["sip:bob@example.com"]),
            ("sip:bob@example.com", ["sip:bob@example.com"]),
            ("SIPS:bob@SIP.example.com:5061;x=y", ["sip:bob@example.com"]),
            ("bob", ["sip:bob@example.com", "sip:bob@example.org"]),
            (["bob@example.com", "sip:100@example.org", 7], ["sip:bob@example.com", "sip:100@example.org"]),
            ("bob@example.net", []),
            ("sip:bob@example.net", []),
            ("sip:example.com", []),
            ("sip:", []),
            ("@example.com", []),
            ("bob@", []),
            ("alice@example.com@example.net", []),
            ("b:o b@example.com", ["sip:b:o b@example.com"]),
        ],
    )
    def test_aors(self, sub: object, aors: list[str]) -> None:
        found = Desk().show(OLD.token(sub=sub))
        assert isinstance(found, Accepted)
        assert found.identity.aors == frozenset(aors)
        assert found.identity.realm == ISSUER

    def test_another_claim(self) -> None:
        desk = Desk(claim="https://example.com/sip")
        found = desk.show(OLD.signed(claims(**{"https://example.com/sip": "sip:alice@example.com"})))
        assert found.identity == Identity(
            "sip:alice@example.com", ISSUER, frozenset(("sip:alice@example.com",))
        )
        assert isinstance(desk.show(OLD.token()), Challenge)


class TestRemembering:
    def test_a_good_token_is_not_verified_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        desk = Desk()
        token = OLD.token()
        assert desk.show(token) == BOB

        def verify(*arguments: object) -> object:
            raise AssertionError

        monkeypatch.setattr("sipframe.auth.bearer.authenticator.verified_claims", verify)
        assert desk.show(token) == BOB

    def test_it_ends_when_the_token_does(self) -> None:
        desk = Desk()
        token = OLD.token(exp=NOW + 60)
        assert desk.show(token) == BOB
        desk.now = NOW + 89.9
        assert desk.show(token) == BOB
        desk.now = NOW + 90
        assert desk.show(token) == Challenge((INVALID,), "bearer token: expired")

    def test_it_ends_when_the_clock_goes_back_before_it(self) -> None:
        desk = Desk()
        token = OLD.token(nbf=NOW)
        assert desk.show(token) == BOB
        desk.now = NOW - 31
        assert desk.show(token) == Challenge((INVALID,), "bearer token: not valid yet")

    def test_it_ends_with_the_key(self) -> None:
        desk = Desk(OLD)
        token = OLD.token()
        assert desk.show(token) == BOB
        desk.keys.put(NEW)
        assert desk.show(token) == Challenge(
            (INVALID,), "bearer token: signed with a key that is not the issuer's"
        )

    def test_how_many_are_remembered(self) -> None:
        desk = Desk(most_remembered=2)
        for number in range(5):
            assert isinstance(desk.show(OLD.token(jti=number)), Accepted)
            assert len(desk.authenticator._good) == min(number + 1, 2)
        desk = Desk(most_remembered=0)
        assert desk.show(OLD.token()) == BOB
        assert len(desk.authenticator._good) == 0

    def test_bad_ones_are_not_remembered(self) -> None:
        desk = Desk()
        for number in range(5):
            desk.show(NEW.token(jti=number))
            desk.show(f"{number}.b.c")
        assert len(desk.authenticator._good) == 0


class TestRotation:
    """Keys from a web server, on a fake clock."""

    def desk(self) -> tuple[Desk, Clock, list[Deferred[bytes]]]:
        clock = Clock()
        asked: list[Deferred[bytes]] = []

        def fetch() -> Deferred[bytes]:
            asked.append(Deferred())
            return asked[-1]

        return Desk(source=RemoteKeys(fetch, clock.seconds)), clock, asked

    def test_the_first_request_waits_and_the_next_ones_do_not(self) -> None:
        desk, _, asked = self.desk()
        waiting = desk.show(OLD.token())
        assert isinstance(waiting, Deferred)
        asked[0].callback(jwks(OLD))
        assert came(waiting) == BOB
        assert desk.show(OLD.token()) == BOB
        assert len(asked) == 1

    def test_the_issuer_changes_its_key(self) -> None:
        desk, clock, asked = self.desk()
        waiting = desk.show(OLD.token())
        asked[0].callback(jwks(OLD))
        assert came(waiting) == BOB
        clock.advance(60)
        waiting = desk.show(NEW.token())
        assert desk.show(OLD.token()) == BOB  # nobody else waits
        asked[1].callback(jwks(OLD, NEW))
        assert came(waiting) == BOB
        assert desk.show(NEW.token()) == BOB
        # Somebody makes up a key: one fetch, then at once no.
        mallory = signer("EC", "mallory")
        clock.advance(60)
        waiting = desk.show(mallory.token())
        asked[2].callback(jwks(OLD, NEW))
        no = Challenge((INVALID,), "bearer token: signed with a key that is not the issuer's")
        assert came(waiting) == no
        assert desk.show(mallory.token()) == no
        assert len(asked) == 3

    def test_a_token_that_could_never_do_waits_for_nothing(self) -> None:
        desk, _, asked = self.desk()
        for token in ("a.b.c", f"{encoded({'alg': 'none'})}.{encoded({})}.", "x" * 9000):
            assert isinstance(desk.show(token), Challenge)
        assert asked == []

    @pytest.mark.parametrize("most_waiting", [100, 2])
    def test_made_up_keys_do_not_shut_out_the_users_of_real_ones(self, most_waiting: int) -> None:
        clock = Clock()
        fetched: list[Deferred[bytes]] = []

        def fetch() -> Deferred[bytes]:
            fetched.append(Deferred())
            return fetched[-1]

        desk = Desk(source=RemoteKeys(fetch, clock.seconds, most_waiting=most_waiting))
        asked = Seam(clock, PluginLimits(failures=3)).method(desk.authenticator, "authenticate")

        def show(token: str) -> Any:
            field = f"Authorization: Bearer {token}"
            try:
                return asked.call(request("REGISTER", field), FakeFlow("TLS"))
            except Unavailable as error:
                return error

        waiting = show(OLD.token())
        fetched[0].callback(jwks(OLD))
        assert came(waiting) == BOB
        clock.advance(60)
        mallory = signer("EC", "mallory")
        for answer in [show(mallory.token()) for _ in range(10)]:
            if isinstance(answer, Deferred):
                _ = answer.addErrback(lambda _: None)
        if most_waiting == 100:
            fetched[1].errback(Unavailable("status 500"))
        assert show(OLD.token()) == BOB

    def test_no_keys_is_unavailable_and_lets_nobody_in(self) -> None:
        desk, _, asked = self.desk()
        waiting = desk.show(OLD.token())
        asked[0].errback(Unavailable("status 500"))
        failure: Any = came(waiting)
        assert failure.check(Unavailable)
        with pytest.raises(Unavailable):
            desk.show(OLD.token())
        assert isinstance(desk.ask(), Challenge)


def came(answer: Deferred[Any]) -> object:
    found: list[object] = []
    _ = answer.addBoth(found.append)
    assert found, "it waits"
    return found[0]


class TestEncrypted:
    def encrypted(self, text: str, to: Signer) -> str:
        header = {"alg": "ECDH-ES", "enc": "A128GCM", "cty": "JWT"}
        return jwe.encrypt_compact(header, text, ECKey.import_key(to.pem), algorithms=["ECDH-ES", "A128GCM"])

    def test_for_us(self) -> None:
        ours = signer("EC", "ours")
        desk = Desk(decryption=Decryption(ours.private_pem))
        token = self.encrypted(OLD.token(), ours)
        assert desk.show(token) == BOB
        assert desk.show(token) == BOB
        assert desk.show(OLD.token()) == BOB
        assert desk.show(self.encrypted(OLD.token(), NEW)) == Challenge(
            (INVALID,), "bearer token: it cannot be decrypted"
        )
        assert desk.show(self.encrypted(json.dumps({"sub": "bob"}), ours)) == Challenge(
            (INVALID,), "bearer token: no signed JWT"
        )

    def test_without_our_keys_it_is_no_token(self) -> None:
        assert isinstance(Desk().show(self.encrypted(OLD.token(), signer("EC", "ours"))), Challenge)


SECRETS: list[Callable[[Desk], str]] = [
    lambda desk: OLD.token(),
    lambda desk: OLD.token(exp=NOW - 1000),
    lambda desk: NEW.token(),
    lambda desk: OLD.token()[:-8] + "AAAAAAAA",
    lambda desk: f"{encoded({'alg': 'none', 'kid': 'private'})}.{encoded({'sub': 'private'})}.",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_no_token_is_told(secret: Callable[[Desk], str], logged: list[str]) -> None:
    desk = Desk()
    token = secret(desk)
    verdict = desk.show(token)
    told = [repr(verdict), repr(desk.authenticator), str(vars(desk.authenticator)), *logged]
    for part in [one for one in token.split(".") if len(one) > 8]:
        assert not [text for text in told if part in text]


@given(
    st.text("abcABC019-._~+/=", max_size=80)
    | st.text(st.characters(codec="ascii", exclude_categories=["Cc"]))
)
def test_no_token_raises(token: str) -> None:
    assert isinstance(Desk(cleartext=True).show(token, "UDP"), Challenge | Rejected)


def test_closing_lets_the_keys_go() -> None:
    desk = Desk()
    desk.authenticator.close()
    assert desk.keys.closed


def test_either_header_can_be_read() -> None:
    credentials = request("INVITE", f"Proxy-Authorization: Bearer {OLD.token()}").proxy_credentials
    assert Desk().authenticator.decide(credentials, FakeFlow("TLS")) == BOB


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"issuer": ""}, "issuer"),
        ({"audience": ()}, "audience"),
        ({"audience": ("",)}, "audience"),
        ({"issuer": "accounts.example.net"}, "authz-server"),
        ({"authz_server": "http://idp.example.net"}, "authz-server"),
        ({"authz_server": "https://idp.example.net/ \r\nX: y"}, "authz-server"),
        ({"algorithms": ()}, "algorithms"),
        ({"algorithms": ("HS256",)}, "algorithms"),
        ({"algorithms": ("none",)}, "algorithms"),
        ({"claim": ""}, "claim"),
        ({"scope": 'a"b'}, "scope"),
        ({"leeway": -1.0}, "leeway"),
        ({"leeway": float("nan")}, "leeway"),
        ({"leeway": 3600.0}, "leeway"),
        ({"largest": 0}, "largest"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Desk(**changes)


def test_algorithms_can_be_narrowed(tmp_path: Path) -> None:
    desk = Desk(algorithms=("ES256",))
    assert desk.show(OLD.token()) == BOB
    assert desk.show(RSA.token()) == Challenge((INVALID,), "bearer token: an algorithm that is not allowed")
