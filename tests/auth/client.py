"""A Digest client for tests, written from RFC 7616 3.4 without a look at sipframe's own arithmetic."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from sipframe.message import Request, parse_auth_params, parse_message
from sipframe.verdicts import Challenge

HASHES: dict[str, Callable[[bytes], str]] = {
    "MD5": lambda data: hashlib.md5(data).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data).hexdigest(),
}
ALGORITHMS = [name + suffix for name in HASHES for suffix in ("", "-sess")]


def request(
    *authorization: str | bytes, method: str = "REGISTER", uri: str = "sip:example.com", body: bytes = b""
) -> Request:
    """A request as it comes from the network, with these Authorization fields."""
    lines = [
        f"{method} {uri} SIP/2.0".encode(),
        b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKnashds7",
        b"Max-Forwards: 70",
        b"From: Bob <sip:bob@example.com>;tag=a73kszlfl",
        b"To: Bob <sip:bob@example.com>",
        b"Call-ID: 1j9FpLxk3uxtm8tn@192.0.2.1",
        f"CSeq: 1 {method}".encode(),
    ]
    for value in authorization:
        text = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
        lines.append(b"Authorization: " + text)
    lines.append(f"Content-Length: {len(body)}".encode())
    parsed = parse_message(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    assert isinstance(parsed, Request)
    return parsed


def challenge_of(challenge: object, index: int = 0) -> dict[str, str]:
    """The parameters of one of the challenges in a verdict."""
    assert isinstance(challenge, Challenge)
    return parse_auth_params(challenge.values[index].removeprefix("Digest "))


def answer(
    challenge: Mapping[str, str],
    *,
    username: str = "bob",
    password: str = "zanzibar",
    method: str = "REGISTER",
    uri: str = "sip:example.com",
    qop: str | None = "auth",
    nc: str = "00000001",
    cnonce: str = "0a4f113b",
    body: bytes = b"",
    userhash: bool = False,
) -> dict[str, str]:
    """The parameters of a right Authorization for ``challenge``; values not quoted yet."""
    name = challenge.get("algorithm", "MD5")
    digest = HASHES[name.removesuffix("-sess")]

    def h(*parts: str) -> str:
        return digest(":".join(parts).encode("utf-8", "surrogateescape"))

    a1 = h(username, challenge["realm"], password)
    if name.endswith("-sess"):
        a1 = h(a1, challenge["nonce"], cnonce)
    a2 = h(method, uri, digest(body)) if qop == "auth-int" else h(method, uri)
    params = {
        "username": h(username, challenge["realm"]) if userhash else username,
        "realm": challenge["realm"],
        "nonce": challenge["nonce"],
        "uri": uri,
        "opaque": challenge.get("opaque", ""),
        "algorithm": name,
    }
    if userhash:
        params["userhash"] = "true"
    if qop is None:
        params["response"] = h(a1, challenge["nonce"], a2)
    else:
        params.update(qop=qop, nc=nc, cnonce=cnonce)
        params["response"] = h(a1, challenge["nonce"], nc, cnonce, qop, a2)
    return params


def written(params: Mapping[str, str]) -> str:
    """An Authorization value."""
    bare = {"algorithm", "qop", "nc", "stale", "userhash", "username*"}
    fields = []
    for name, value in params.items():
        quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        fields.append(f"{name}={value if name in bare else quoted}")
    return "Digest " + ", ".join(fields)
