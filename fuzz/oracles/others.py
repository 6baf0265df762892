"""Oracles of STUN, flow tokens, bearer tokens and the admin socket's protocol.

Rules: an oracle takes any octets. What the peer cannot have made is never believed.
"""

from __future__ import annotations

import json
from collections.abc import Coroutine
from functools import cache
from typing import Any

from sipframe.admin.commands import Answer, Unanswerable
from sipframe.admin.commands import answer as admin_answer
from sipframe.admin.protocol import Malformed, decision_from, decoded, encoded
from sipframe.auth.bearer.key_set import ALGORITHMS, KeySet, parse_key_set
from sipframe.auth.bearer.tokens import InvalidToken, check_claims, header_of, verified_claims
from sipframe.proxy.token import FlowTokens
from sipframe.testing import Server
from sipframe.transport.stun import answer, is_stun
from tests.auth.bearer.issuer import Signer

__all__ = ["admin", "bearer", "flow_token", "stun"]


def stun(data: bytes) -> None:
    """STUN: an answer is little longer than its question, is STUN, and is no question."""
    for host in ("192.0.2.1", "2001:db8::1"):
        found = answer(data, host, 5060)
        if found is not None:
            assert is_stun(data)
            assert is_stun(found)
            assert len(found) <= len(data) + 32
            assert answer(found, host, 5060) is None
            assert found[8:20] == data[8:20]


def flow_token(data: bytes) -> None:
    """Flow tokens: none is believed that we have not made."""
    text = data.decode("utf-8", "surrogateescape")
    assert FlowTokens(bytes(range(32))).read(text, "call-1") is None


@cache
def _keys() -> KeySet:
    signers = [Signer("RSA", "r"), Signer("EC", "e"), Signer("OKP", "o")]
    return parse_key_set(json.dumps({"keys": [one.jwk for one in signers]}).encode())


def bearer(data: bytes) -> None:
    """Bearer tokens: none is believed that our issuer has not signed. Claims, and JWK Sets, may be anything."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        header = header_of(text, ALGORITHMS)
        _ = verified_claims(text, header, _keys().candidates(header.algorithm, header.kid))
    except InvalidToken as error:
        assert str(error).isprintable()
    else:
        raise AssertionError("a token that nobody has signed")
    try:
        _ = parse_key_set(data)
    except ValueError:
        pass
    try:
        claims = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(claims, dict):
        try:
            since, until = check_claims(
                claims,
                issuer="https://idp.example.net",
                audience=("sip",),
                scope=("sip",),
                now=0.0,
                leeway=0.0,
            )
        except InvalidToken as error:
            assert str(error).isprintable()
        else:
            assert since <= 0.0 < until


@cache
def _server() -> Server:
    server = Server(users={"bob": "zanzibar"})
    server.start()
    phone = server.phone("sip:bob@example.com", password="zanzibar")
    assert phone.register().status == 200
    return server


def admin(data: bytes) -> None:
    """The admin socket: a line is a question, Malformed or Unanswerable; an answer survives its own protocol."""
    try:
        _ = decision_from(decoded(data))
    except Malformed as error:
        assert "\n" not in str(error)
    server = _server()
    try:
        found = _result(admin_answer(server.service, data, server.now()))
    except (Malformed, Unanswerable) as error:
        assert "\n" not in str(error)
        return
    for item in [*found.items, found.end]:
        line = encoded(item)
        assert line.count(b"\n") == 1
        assert decoded(line) == json.loads(line)
    if found.follow is not None:
        found.follow(lambda item: True)()


def _result(asking: Coroutine[Any, Any, Answer]) -> Answer:
    return _server().wait(asking)
