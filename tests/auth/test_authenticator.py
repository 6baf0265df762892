"""Digest from the outside: real requests in, verdicts out."""

from __future__ import annotations

import hashlib
from typing import Any, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from zope.interface import implementer
from zope.interface.verify import verifyObject

from sipframe.auth import digest
from sipframe.auth.settings import DigestSettings
from sipframe.interfaces import IAuthenticator, ICredentialSource
from sipframe.message import parse_auth_params
from sipframe.verdicts import Accepted, Challenge, Identity, Rejected, Secret
from tests.auth import client
from tests.auth.server import BOTH, EVERYTHING, Server, Users

WRONG = (False, "wrong digest")
NOBODY = (False, "unknown user")
STALE = (True, "right digest, stale nonce")
REPLAYED = (True, "right digest, nonce count used before")
NOT_OFFERED = (False, "algorithm, qop or userhash that is not on offer")


def test_interfaces() -> None:
    assert verifyObject(IAuthenticator, Server().authenticator)


def test_a_source_that_provides_nothing_is_refused_at_once() -> None:
    with pytest.raises(TypeError):
        Server(source=object())


def test_userhash_needs_a_source_that_knows_it() -> None:
    @implementer(ICredentialSource)
    class Plain:
        def secret(self, username: str, realm: str, algorithm: str) -> object:
            return None

    with pytest.raises(ValueError, match="userhash"):
        Server(DigestSettings(userhash=True), Plain())


@pytest.mark.parametrize("secret", ["", Secret(""), Secret(password=""), Secret("", ""), Secret()])
def test_an_empty_secret_is_no_secret(secret: object) -> None:
    server = Server(source=Users({"bob": secret}))
    assert server.challenges(client.answer(server.challenged(), password="")) == NOBODY
    # HA1 that is empty as well: whoever knows nothing knows that.
    challenge = server.challenged()
    params = client.answer(challenge, password="")
    a2 = hashlib.md5(f"REGISTER:{params['uri']}".encode()).hexdigest()
    answer = f":{params['nonce']}:{params['nc']}:{params['cnonce']}:{params['qop']}:{a2}"
    params["response"] = hashlib.md5(answer.encode()).hexdigest()
    assert server.challenges(params) == NOBODY


def test_no_credentials() -> None:
    server = Server(BOTH)
    verdict = server.ask()
    assert isinstance(verdict, Challenge)
    assert (len(verdict.values), verdict.stale, verdict.reason) == (2, False, "no credentials")
    assert cast(Users, server.source).asked == []


names = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=12)
octets = st.binary(max_size=12).map(lambda data: data.decode("utf-8", "surrogateescape"))
quotable = octets.filter(lambda text: not set(text) & set("\r\n"))


@given(
    username=names.map(str.strip).filter(bool) | quotable.filter(bool),
    password=octets.filter(bool),
    algorithm=st.sampled_from(client.ALGORITHMS),
    qop=st.sampled_from(["auth", "auth-int", None]),
    cnonce=quotable,
    nc=st.integers(1, 2**32 - 1),
    method=st.sampled_from(["REGISTER", "INVITE", "MESSAGE"]),
    body=st.binary(max_size=30),
    kind=st.sampled_from(["password", "Secret", "HA1"]),
    userhash=st.booleans(),
)
def test_round_trip(
    username: str,
    password: str,
    algorithm: str,
    qop: str | None,
    cnonce: str,
    nc: int,
    method: str,
    body: bytes,
    kind: str,
    userhash: bool,
) -> None:
    assume(not (qop is None and algorithm.endswith("-sess")))
    used = digest.ALGORITHMS[algorithm]
    secret: object = password
    if kind == "Secret":
        secret = Secret(password=password)
    elif kind == "HA1":
        secret = Secret(ha1=digest.ha1(used, username, "atlanta.example.com", password))
    server = Server(EVERYTHING, Users({username: secret}))
    params = client.answer(
        server.challenged(client.ALGORITHMS.index(algorithm)),
        username=username,
        password=password,
        method=method,
        qop=qop,
        nc=f"{nc:08x}",
        cnonce=cnonce,
        body=body,
        userhash=userhash,
    )
    accepted = server.accepts(params, method=method, body=body)
    assert accepted.identity.name == username
    assert cast(Users, server.source).asked == [(username, "atlanta.example.com", used.base)]
    if qop is None:
        assert accepted.fields == ()
    else:
        [(name, value)] = accepted.fields
        info = parse_auth_params(value)
        assert name == "Authentication-Info"
        assert (info["qop"], info["cnonce"], info["nc"]) == (qop, cnonce, f"{nc:08x}")
        assert len(info["rspauth"]) == used.size


@pytest.mark.parametrize("algorithm", client.ALGORITHMS)
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
def test_any_single_change_keeps_out(algorithm: str, qop: str) -> None:
    server = Server(EVERYTHING, Users({"bob": "zanzibar", "bob2": "zanzibar"}))
    index = client.ALGORITHMS.index(algorithm)
    changes = {
        "username": "bob2",
        "realm": "atlanta.example.org",
        "nonce": server.challenged(index)["nonce"],
        "uri": "sip:example.com:5060",
        "qop": "auth" if qop == "auth-int" else "auth-int",
        "nc": "00000002",
        "cnonce": "0a4f113c",
        "algorithm": client.ALGORITHMS[index - 2],
    }
    for name, value in changes.items():
        params = client.answer(server.challenged(index), qop=qop, body=b"body")
        params[name] = value
        stale, _ = server.challenges(params, body=b"body")
        assert not stale, name
    params = client.answer(server.challenged(index), qop=qop, body=b"body")
    for place in range(0, len(params["response"]), 7):
        digit = "0" if params["response"][place] != "0" else "1"
        changed = params["response"][:place] + digit + params["response"][place + 1 :]
        assert server.challenges({**params, "response": changed}, body=b"body") == WRONG
    assert server.challenges(params, body=b"body", method="INVITE") == WRONG
    if qop == "auth-int":
        assert server.challenges(params, body=b"Body") == WRONG
    server.accepts(params, body=b"body")


def test_a_wrong_password_and_an_unknown_user_look_the_same() -> None:
    for source in (Users(), Users({"bob": Secret(ha1="0" * 32)}), Users({"bob": Secret()})):
        server = Server(BOTH, source)
        wrong = server.ask(client.written(client.answer(server.challenged(1), password="guess")))
        unknown = server.ask(client.written(client.answer(server.challenged(1), username="eve")))
        assert isinstance(wrong, Challenge)
        assert isinstance(unknown, Challenge)

        def shape(challenge: Challenge) -> list[dict[str, str]]:
            return [{**client.challenge_of(challenge, index), "nonce": ""} for index in range(2)]

        assert shape(wrong) == shape(unknown)
        assert wrong.stale == unknown.stale
        assert unknown.reason == "unknown user"


def test_nobody_gets_in_with_the_digest_of_nobody() -> None:
    # The HA1 that stands in for unknown users is no password, even for who knows it.
    server = Server()
    dummy = server.authenticator._dummy
    challenge = server.challenged()
    params = client.answer(challenge, username="eve", password=dummy)
    assert server.challenges(params) == NOBODY
    ha2 = digest.ALGORITHMS["MD5"].digest(b"REGISTER:sip:example.com")
    made = f"{dummy[:32]}:{challenge['nonce']}:00000001:0a4f113b:auth:{ha2}"
    params["response"] = digest.ALGORITHMS["MD5"].digest(made.encode())
    assert server.challenges(params) == NOBODY


def test_a_count_works_once_and_may_come_late() -> None:
    server = Server()
    challenge = server.challenged()
    third = client.answer(challenge, nc="00000003")
    server.accepts(third)
    assert server.challenges(third) == REPLAYED
    second = client.answer(challenge, nc="00000002")
    server.accepts(second)
    assert server.challenges(second) == REPLAYED
    server.accepts(client.answer(challenge, nc="0000000A"))
    assert server.challenges(client.answer(challenge, nc="00000000")) == REPLAYED


def test_a_wrong_digest_does_not_advance_the_count() -> None:
    server = Server()
    challenge = server.challenged()
    assert server.challenges(client.answer(challenge, nc="ffffffff", password="guess")) == WRONG
    assert len(server.authenticator._counts) == 0
    server.accepts(client.answer(challenge))


def test_nonces_expire_and_only_the_password_shows_it() -> None:
    server = Server(DigestSettings(nonce_lifetime=300))
    challenge = server.challenged()
    server.clock.advance(300)
    server.accepts(client.answer(challenge))
    server.clock.advance(0.001)
    assert server.challenges(client.answer(challenge, nc="00000002")) == STALE
    assert server.challenges(client.answer(challenge, password="guess")) == WRONG
    assert server.challenges(client.answer(challenge, username="eve")) == NOBODY


@pytest.mark.parametrize("nonce", ["ea9c8e88df84f1cec4341ae6cbe5a359", "0" * 42, "x", "ä" * 42, " "])
def test_foreign_nonces_are_stale_for_who_knows_the_password(nonce: str) -> None:
    server = Server()
    challenge = {**server.challenged(), "nonce": nonce}
    assert server.challenges(client.answer(challenge)) == STALE
    assert server.challenges(client.answer(challenge, password="guess")) == WRONG


def test_foreign_nonces_are_stale_on_a_clock_that_has_just_started() -> None:
    server = Server()
    server.clock.advance(1 - server.clock.seconds())
    assert server.challenges(client.answer({**server.challenged(), "nonce": "0" * 42})) == STALE


def test_a_nonce_from_before_a_restart_is_stale() -> None:
    challenge = Server().challenged()
    assert Server(secret=bytes(32)).challenges(client.answer(challenge)) == STALE


def test_a_nonce_from_the_future_is_stale() -> None:
    server = Server()
    challenge = server.challenged()
    server.clock.advance(-10)
    assert server.challenges(client.answer(challenge)) == STALE


def test_no_downgrade() -> None:
    server = Server(DigestSettings.strict())
    challenge = server.challenged()
    for name in ("MD5", "MD5-sess", "SHA-256-sess"):
        assert server.challenges(client.answer({**challenge, "algorithm": name})) == NOT_OFFERED
    missing = client.answer({**challenge, "algorithm": "MD5"})
    del missing["algorithm"]
    assert server.challenges(missing) == NOT_OFFERED
    assert server.challenges(client.answer(challenge, qop=None)) == NOT_OFFERED
    assert server.challenges(client.answer(challenge, qop="auth-int")) == NOT_OFFERED


def test_a_nonce_is_for_the_algorithm_it_came_with() -> None:
    server = Server(BOTH)
    sha256, md5 = server.challenged(0), server.challenged(1)
    assert server.challenges(client.answer({**md5, "nonce": sha256["nonce"]})) == STALE
    server.accepts(client.answer(md5))
    server.accepts(client.answer(sha256))


def test_the_legacy_form() -> None:
    # RFC 3665 2.1 F3: no qop, no algorithm, and a comma is missing.
    server = Server()
    params = client.answer(server.challenged(), qop=None)
    del params["algorithm"]
    text = client.written(params).replace(", opaque", " opaque")
    accepted = server.ask(text)
    assert isinstance(accepted, Accepted)
    assert accepted.fields == ()
    # RFC 3665 2.2 F1: qop, in quotes, without nc and cnonce.
    assert isinstance(server.ask(text + ', qop="auth"'), Accepted)
    server.clock.advance(301)
    assert server.challenges(params) == STALE


def test_quotes_where_none_belong() -> None:
    server = Server()
    params = client.answer(server.challenged())
    text = client.written(params)
    text = text.replace("qop=auth", 'qop="auth"').replace("algorithm=MD5", 'algorithm="MD5"')
    assert isinstance(server.ask(text.replace("nc=00000001", 'nc="00000001"')), Accepted)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"response": None}, "Missing parameter in credentials"),
        ({"nonce": None}, "Missing parameter in credentials"),
        ({"uri": None}, "Missing parameter in credentials"),
        ({"nc": None}, "Missing parameter in credentials"),
        ({"cnonce": None}, "Missing parameter in credentials"),
        ({"username": None}, "Malformed or missing username in credentials"),
        ({"username*": "UTF-8''bob"}, "Malformed or missing username in credentials"),
        ({"nc": "1"}, "Malformed nc in credentials"),
        ({"nc": "0x000001"}, "Malformed nc in credentials"),
        ({"nc": "+0000001"}, "Malformed nc in credentials"),
        ({"nc": "0000_001"}, "Malformed nc in credentials"),
    ],
    ids=str,
)
def test_what_digest_needs_is_400(change: dict[str, str | None], reason: str) -> None:
    # RFC 7616 3.4: a parameter that is improper or missing is a 4xx.
    server = Server()
    params = {**client.answer(server.challenged()), **change}
    present = {name: value for name, value in params.items() if value is not None}
    assert server.ask(client.written(present)) == Rejected(400, reason)


def test_session_algorithms_need_qop() -> None:
    server = Server(DigestSettings(algorithms=("MD5-sess",)))
    params = client.answer({**server.challenged(), "algorithm": "MD5"}, qop=None)
    text = client.written({**params, "algorithm": "MD5-sess"})
    assert server.ask(text) == Rejected(400, "Missing qop in credentials")


@pytest.mark.parametrize("text", ['Digest username="bob', 'Digest realm="a", realm="b"', "@"])
def test_fields_that_cannot_be_read(text: str) -> None:
    verdict = Server().ask(text)
    assert isinstance(verdict, Rejected)
    assert verdict.status == 400


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
def test_a_response_of_another_length(length: int) -> None:
    server = Server()
    params = client.answer(server.challenged())
    params["response"] = (params["response"] * 2)[:length]
    reason = "wrong digest" if length else "no credentials"
    assert server.challenges(params) == (False, reason)


def test_an_empty_nonce_asks_for_a_challenge() -> None:
    # RFC 8760 2.7.
    server = Server()
    params = client.answer({**server.challenged(), "nonce": ""})
    assert server.challenges({**params, "response": ""}) == (False, "no credentials")


def test_the_uri_must_name_the_request_uri() -> None:
    server = Server()
    rejected = Rejected(400, "Credentials for another Request-URI")
    there = client.answer(server.challenged(), uri="sip:elsewhere.org")
    assert server.ask(client.written(there)) == rejected
    other = client.answer(server.challenged(), uri="sip:alice@example.com", method="MESSAGE")
    assert server.ask(client.written(other), method="MESSAGE", uri="sip:bob@example.com") == rejected
    # Equivalent, and hashed as sent; and what SIPp sends.
    server.accepts(client.answer(server.challenged(), uri="SIP:Example.COM"))
    server.accepts(client.answer(server.challenged(), uri="sip:127.0.0.1:5060"))


def test_another_uri_spends_no_count_and_tells_only_who_knows_the_password() -> None:
    server = Server()
    challenge = server.challenged()
    guess = client.answer(challenge, uri="sip:elsewhere.org", password="guess")
    assert server.challenges(guess) == WRONG
    server.ask(client.written(client.answer(challenge, uri="sip:elsewhere.org")))
    server.accepts(client.answer(challenge))


def test_opaque_comes_back_as_sent() -> None:
    server = Server(DigestSettings(opaque="5ccc069c403ebaf9f0171e9517f40e41"))
    params = client.answer(server.challenged())
    assert server.challenges({**params, "opaque": "5ccc"}) == STALE
    server.accepts(params)
    empty = Server()
    without = client.answer(empty.challenged())
    del without["opaque"]
    empty.accepts(without)


def test_credentials_for_others_are_passed_over() -> None:
    server = Server()
    params = client.answer(server.challenged())
    foreign = client.written({**params, "realm": "biloxi.example.com"})
    assert server.challenges({**params, "realm": "x"}) == (False, "credentials for another realm")
    # RFC 4475 3.3.7: an unknown scheme is no error.
    unknown = server.ask("NoOneKnowsThisScheme opaque-data=here")
    assert isinstance(unknown, Challenge)
    assert unknown.reason == "no credentials"
    assert isinstance(server.ask("Bearer abc=", foreign, client.written(params)), Accepted)


def test_of_several_for_our_realm_the_one_on_offer_counts() -> None:
    server = Server()
    params = client.answer(server.challenged())
    sha256 = client.written(client.answer({**server.challenged(), "algorithm": "SHA-256"}))
    assert isinstance(server.ask(sha256, client.written(params)), Accepted)
    assert isinstance(server.ask(sha256, sha256), Challenge)


def test_scheme_and_tokens_have_no_case() -> None:
    server = Server()
    text = client.written(client.answer(server.challenged()))
    assert isinstance(
        server.ask(text.replace("Digest", "DIGEST").replace("algorithm=MD5", "ALGORITHM=md5")), Accepted
    )


def test_authentication_info_proves_the_server() -> None:
    server = Server()
    challenge = server.challenged()
    [(_, value)] = server.accepts(client.answer(challenge)).fields
    # RFC 7616 3.5: as the response, without a method.
    expected = client.answer(challenge, method="")["response"]
    assert value == f'qop=auth, rspauth="{expected}", cnonce="0a4f113b", nc=00000001'


def test_nextnonce_past_half_of_the_life() -> None:
    server = Server(DigestSettings(nonce_lifetime=300))
    challenge = server.challenged()
    server.clock.advance(151)
    [(_, value)] = server.accepts(client.answer(challenge)).fields
    following = {**challenge, "nonce": parse_auth_params(value)["nextnonce"]}
    server.clock.advance(290)
    server.accepts(client.answer(following))


def test_authentication_info_may_be_left_out() -> None:
    server = Server(DigestSettings(authentication_info=False))
    assert server.accepts(client.answer(server.challenged())).fields == ()


def test_a_cnonce_cannot_break_out_of_its_quotes() -> None:
    server = Server()
    cnonce = 'a"\\, rspauth="b'
    [(_, value)] = server.accepts(client.answer(server.challenged(), cnonce=cnonce)).fields
    assert parse_auth_params(value)["cnonce"] == cnonce


def test_extended_user_names() -> None:
    # RFC 7616 3.4 and 3.9.2 give the name in this form.
    name = "Jäsøn Doe"
    server = Server(source=Users({name: "zanzibar"}))
    params = client.answer(server.challenged(), username=name)
    del params["username"]
    text = client.written({**params, "username*": "UTF-8''J%C3%A4s%C3%B8n%20Doe"})
    assert isinstance(server.ask(text), Accepted)
    for wrong in ("iso-8859-1''J%E4s", "UTF-8'bob", "bob"):
        assert isinstance(server.ask(client.written({**params, "username*": wrong})), Rejected)


def test_userhash_when_it_is_not_on_offer() -> None:
    server = Server()
    assert server.challenges(client.answer(server.challenged(), userhash=True)) == NOT_OFFERED


def test_unknown_and_missing_userhash() -> None:
    server = Server(DigestSettings(userhash=True))
    params = client.answer(server.challenged(), username="eve", userhash=True)
    assert server.challenges(params) == NOBODY
    del params["username"]
    assert isinstance(server.ask(client.written(params)), Rejected)


@pytest.mark.parametrize(
    ("username", "secret", "aors"),
    [
        ("bob", "zanzibar", {"sip:bob@example.com", "sip:bob@example.net"}),
        ("bob@Example.ORG", "zanzibar", {"sip:bob@example.org"}),
        ("bob", Secret(password="zanzibar", owner="sip:robert@example.net"), {"sip:robert@example.net"}),
    ],
)
def test_what_an_identity_owns(username: str, secret: object, aors: set[str]) -> None:
    server = Server(source=Users({username: secret}), domains=["Example.com", "example.net"])
    accepted = server.accepts(client.answer(server.challenged(), username=username))
    assert accepted.identity == Identity(username, "atlanta.example.com", frozenset(aors))


def test_without_a_realm_each_domain_is_its_own() -> None:
    server = Server(realm=None, domains=["example.com", "example.net"])

    def realm(**request: Any) -> str:
        return client.challenge_of(server.ask(**request))["realm"]

    assert realm(uri="sip:example.com") == "example.com"
    assert realm(uri="sips:EXAMPLE.net") == "example.net"
    assert realm(uri="sip:elsewhere.org") == "example.com"
    assert realm(uri="tel:+1555") == "example.com"
    assert realm(uri="nonsense") == "example.com"
    # Whoever calls is asked in the realm of its own domain, which From names.
    assert realm(uri="sip:alice@example.net", method="INVITE") == "example.com"
    challenge = client.challenge_of(server.ask(uri="sip:example.net"))
    params = client.answer(challenge, uri="sip:example.net")
    assert server.challenges(params, uri="sip:example.com") == (False, "credentials for another realm")
    assert server.accepts(params, uri="sip:example.net").identity.realm == "example.net"


def test_at_least_one_domain() -> None:
    with pytest.raises(ValueError, match="domains"):
        Server(domains=[])
