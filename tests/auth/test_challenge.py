from __future__ import annotations

from twisted.internet.task import Clock

from sipframe.auth.challenge import Outcome, ProtectionSpace
from sipframe.auth.nonce import NonceClock
from sipframe.auth.settings import DigestSettings
from sipframe.message import parse_auth_params


def space(realm: str = "atlanta.example.com", **settings: object) -> ProtectionSpace:
    return ProtectionSpace(realm, DigestSettings(**settings), bytes(32), NonceClock(Clock().seconds))  # type: ignore[arg-type]


def test_the_fields_of_rfc_3665() -> None:
    # RFC 3665 2.1 F2, in its order.
    challenge = space().challenge(Outcome.NO_CREDENTIALS)
    [value] = challenge.values
    params = parse_auth_params(value.removeprefix("Digest "))
    assert list(params) == ["realm", "qop", "nonce", "opaque", "stale", "algorithm"]
    assert value.startswith('Digest realm="atlanta.example.com", qop="auth", nonce="')
    assert value.endswith('", opaque="", stale=FALSE, algorithm=MD5')
    assert not challenge.stale
    assert challenge.reason == "no credentials"


def test_one_for_each_algorithm_in_order_with_its_own_nonce() -> None:
    names = ("SHA-512-256", "SHA-256-sess", "MD5")
    challenge = space(algorithms=names).challenge(Outcome.NO_CREDENTIALS)
    params = [parse_auth_params(value.removeprefix("Digest ")) for value in challenge.values]
    assert tuple(one["algorithm"] for one in params) == names
    assert len({one["nonce"] for one in params}) == 3


def test_stale() -> None:
    challenge = space(algorithms=("SHA-256", "MD5")).challenge_again(Outcome.STALE)
    assert challenge.stale
    assert all(", stale=TRUE, " in value for value in challenge.values)


def test_everything_on_offer() -> None:
    [value] = (
        space('a"b\\c', qop=("auth", "auth-int"), userhash=True, opaque="x").challenge(Outcome.STALE).values
    )
    params = parse_auth_params(value.removeprefix("Digest "))
    assert params["realm"] == 'a"b\\c'
    assert params["qop"] == "auth,auth-int"
    assert params["opaque"] == "x"
    assert value.endswith("algorithm=MD5, userhash=true")


def test_names_have_no_case_and_nothing_else_is_on_offer() -> None:
    one = space(algorithms=("SHA-256",))
    offer = one.offer("sha-256")
    assert offer is not None
    assert offer.algorithm.name == "SHA-256"
    assert [one.offer(name) for name in ("MD5", "SHA-256-sess", "", "SHA-512-256")] == [None] * 4
