from __future__ import annotations

import pytest

from sipframe.message import Credentials, parse_auth_params, parse_credentials
from sipframe.ua.answering import ProtectionSpace, choose


def offered(*values: str) -> tuple[Credentials, ...]:
    return parse_credentials(list(values))


def digest(algorithm: str | None = None, rest: str = ', qop="auth"', nonce: str = "n") -> str:
    named = "" if algorithm is None else f", algorithm={algorithm}"
    return f'Digest realm="r", nonce="{nonce}"{named}{rest}'


@pytest.mark.parametrize(
    ("challenges", "chosen"),
    [
        ([digest()], "MD5"),
        ([digest("MD5"), digest("SHA-256"), digest("SHA-512-256")], "SHA-512-256"),
        ([digest("SHA-512-256"), digest("SHA-256"), digest("MD5")], "SHA-512-256"),
        ([digest("MD5"), digest("SHA-256")], "SHA-256"),
        ([digest("md5"), digest("sha-256")], "SHA-256"),
        ([digest("SHA-256-sess"), digest("SHA-256")], "SHA-256-sess"),  # equals: the topmost
        ([digest("SHA-3"), digest("MD5")], "MD5"),
        ([digest("SHA-256", rest=', qop="auth-conf"'), digest("MD5")], "MD5"),
        ([digest("SHA-256-sess", rest=""), digest("MD5", rest="")], "MD5"),  # -sess needs a cnonce
        (['Bearer realm="r"', "Negotiate abc==", digest("MD5")], "MD5"),
    ],
)
def test_the_strongest_that_can_be_answered_is_chosen(challenges: list[str], chosen: str) -> None:
    choice = choose(offered(*challenges))
    assert choice is not None
    assert choice.algorithm.name == chosen


@pytest.mark.parametrize(
    "challenges",
    [
        [],
        ['Basic realm="r"'],
        [digest("SHA-3")],
        ['Digest realm="r"'],
        ['Digest nonce="n"'],
        [digest(nonce="")],
        [digest(rest=', qop="auth-conf"')],
        [digest(rest=', qop=""')],
    ],
)
def test_what_cannot_be_answered_is_not_chosen(challenges: list[str]) -> None:
    assert choose(offered(*challenges)) is None


@pytest.mark.parametrize(
    ("qop", "chosen"),
    [
        ("", ""),
        (', qop="auth"', "auth"),
        (', qop="auth-int,auth"', "auth"),
        (', qop="auth-int"', "auth-int"),
        (", qop=AUTH", "auth"),
        (', qop="x , auth"', "auth"),
    ],
)
def test_auth_is_preferred(qop: str, chosen: str) -> None:
    choice = choose(offered(digest("MD5", rest=qop)))
    assert choice is not None
    assert choice.qop == chosen


def space(challenge: str) -> ProtectionSpace:
    choice = choose(offered(challenge))
    assert choice is not None
    return ProtectionSpace(choice, proxy=False)


# RFC 7616 3.9.1, the example with "Mufasa"; the request is a GET there.
RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616(algorithm: str, response: str) -> None:
    value = space(RFC_7616.format(algorithm)).credentials(
        "Mufasa",
        "Circle of Life",
        "GET",
        "/dir/index.html",
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    params = parse_auth_params(value.removeprefix("Digest "))
    assert params == {
        "username": "Mufasa",
        "realm": "http-auth@example.org",
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "uri": "/dir/index.html",
        "response": response,
        "algorithm": algorithm,
        "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        "qop": "auth",
        "nc": "00000001",
        "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    }


def test_each_use_of_a_nonce_is_counted_and_a_new_nonce_starts_over() -> None:
    one = space(digest())
    counts = [parse_auth_params(one.credentials("u", "p", "X", "u", "c")[7:])["nc"] for _ in range(2)]
    choice = choose(offered(digest(nonce="other")))
    assert choice is not None
    one.renew(choice)
    counts.append(parse_auth_params(one.credentials("u", "p", "X", "u", "c")[7:])["nc"])
    assert counts == ["00000001", "00000002", "00000001"]


def test_the_old_form_has_neither_cnonce_nor_count() -> None:
    params = parse_auth_params(space(digest(rest="")).credentials("u", "p", "X", "sip:u", "c")[7:])
    assert sorted(params) == ["nonce", "realm", "response", "uri", "username"]


def test_quotes_in_names_come_back_as_they_are() -> None:
    one = space('Digest realm="say \\"hi\\"", nonce="n", opaque=""')
    params = parse_auth_params(one.credentials('a"b\\c', "p", "X", "sip:u", "c")[7:])
    assert (params["username"], params["realm"], params["opaque"]) == ('a"b\\c', 'say "hi"', "")


def test_the_server_proves_itself_or_does_not() -> None:
    one = space(RFC_7616.format("SHA-256"))
    assert one.server_knows({"rspauth": "00"}, b"") is None  # nothing was sent yet
    one.credentials("Mufasa", "Circle of Life", "GET", "/dir/index.html", "cnonce")
    assert one.server_knows({}, b"") is None
    assert one.server_knows({"rspauth": "00"}, b"") is False
