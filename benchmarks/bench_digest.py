"""What Digest costs: microseconds per request, and what accounts cost in bulk.

Constant work: each figure is the best of ROUNDS rounds of COUNT calls. Requests are parsed before and carry credentials
that were parsed before, so that the authenticator alone is measured; every request with credentials has a fresh
nonce count. The last part makes ACCOUNTS accounts in a temporary directory and claims them for a realm.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

from zope.interface import implementer

from sipframe.auth.accounts import Account, Accounts
from sipframe.auth.authenticator import DigestAuthenticator
from sipframe.auth.nonce import NonceClock, NonceSeries
from sipframe.auth.settings import DigestSettings
from sipframe.interfaces import ICredentialSource, IFlow
from sipframe.message import Request, parse_auth_params, parse_message
from sipframe.verdicts import Accepted, Challenge, Secret

COUNT = 100
ROUNDS = 300
ACCOUNTS = 100_000
FLOW = cast(IFlow, None)
HA1 = {
    "MD5": hashlib.md5(b"bob:example.com:zanzibar").hexdigest(),
    "SHA-256": hashlib.sha256(b"bob:example.com:zanzibar").hexdigest(),
}
SECRETS = {name: Secret(ha1, None, "sip:bob@example.com") for name, ha1 in HA1.items()}


@implementer(ICredentialSource)
class OneUser:
    """A source that knows its answer."""

    def secret(self, username: str, realm: str, algorithm: str) -> Secret | None:
        return SECRETS[algorithm] if username == "bob" else None


def request(authorization: str | None = None) -> Request:
    lines = [
        "REGISTER sip:example.com SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKnashds7",
        "From: Bob <sip:bob@example.com>;tag=a73kszlfl",
        "To: Bob <sip:bob@example.com>",
        "Call-ID: 1j9FpLxk3uxtm8tn@192.0.2.1",
        "CSeq: 1 REGISTER",
    ]
    if authorization is not None:
        lines.append(f"Authorization: {authorization}")
    parsed = parse_message("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())
    assert isinstance(parsed, Request)
    assert len(parsed.credentials) == (authorization is not None)
    return parsed


def authorized(value: str, username: str, qop: bool) -> list[Request]:
    """COUNT requests that answer one challenge, each with its own nonce count."""
    challenge = parse_auth_params(value.removeprefix("Digest "))
    algorithm, nonce = challenge["algorithm"], challenge["nonce"]
    hash_ = hashlib.md5 if algorithm == "MD5" else hashlib.sha256
    ha2 = hash_(b"REGISTER:sip:example.com").hexdigest()
    requests = []
    for count in range(1, COUNT + 1):
        middle = f"{count:08x}:0a4f113b:auth:" if qop else ""
        response = hash_(f"{HA1[algorithm]}:{nonce}:{middle}{ha2}".encode()).hexdigest()
        tail = f', qop=auth, nc={count:08x}, cnonce="0a4f113b"' if qop else ""
        requests.append(
            request(
                f'Digest username="{username}", realm="example.com", nonce="{nonce}", uri="sip:example.com", '
                f'response="{response}", opaque="", algorithm={algorithm}{tail}'
            )
        )
    return requests


def best(label: str, once: Callable[[], Callable[[], None]]) -> None:
    """Print microseconds per call: ``once`` prepares a round of COUNT calls and returns it."""
    figures = []
    for _ in range(ROUNDS):
        run = once()
        begin = time.perf_counter()
        run()
        figures.append((time.perf_counter() - begin) / COUNT * 1e6)
    print(f"{label:<56}{min(figures):8.2f} us")


def asking(
    settings: DigestSettings, username: str | None, qop: bool, verdict: type
) -> Callable[[], Callable[[], None]]:
    """Rounds of asking a fresh authenticator."""

    def once() -> Callable[[], None]:
        authenticator = DigestAuthenticator(
            OneUser(), domains=["example.com"], secret=os.urandom(32), clock=time.monotonic, settings=settings
        )
        challenge = authenticator.authenticate(request(), FLOW)
        assert isinstance(challenge, Challenge)
        if username is None:
            requests = [request()] * COUNT
        else:
            requests = authorized(challenge.values[-1], username, qop)
        assert isinstance(authenticator.authenticate(requests.pop(), FLOW), verdict)

        def run() -> None:
            authenticate = authenticator.authenticate
            for one in requests:
                authenticate(one, FLOW)

        return run

    return once


def repeated(call: Callable[[], object]) -> Callable[[], Callable[[], None]]:
    def run() -> None:
        for _ in range(COUNT):
            call()

    return lambda: run


def timed(label: str, call: Callable[[], object]) -> None:
    begin = time.perf_counter()
    call()
    print(f"{label:<56}{time.perf_counter() - begin:8.2f} s")


def users() -> Iterable[tuple[Account, str]]:
    return ((Account(f"user{number}", "example.com"), f"password{number}") for number in range(ACCOUNTS))


def main() -> None:
    one = DigestSettings()
    two = DigestSettings(algorithms=("MD5", "SHA-256"))
    sha = DigestSettings(algorithms=("SHA-256",))
    best("no credentials, one algorithm on offer", asking(one, None, True, Challenge))
    best("no credentials, two algorithms on offer", asking(two, None, True, Challenge))
    best("MD5, qop=auth, accepted", asking(one, "bob", True, Accepted))
    quiet = DigestSettings(authentication_info=False)
    best("MD5, qop=auth, accepted, no Authentication-Info", asking(quiet, "bob", True, Accepted))
    best("MD5 without qop, accepted", asking(one, "bob", False, Accepted))
    best("SHA-256, qop=auth, accepted", asking(sha, "bob", True, Accepted))
    best("MD5, unknown user", asking(one, "eve", True, Challenge))
    nonces = NonceSeries(os.urandom(32), "example.com", "MD5", NonceClock(time.monotonic))
    nonce = nonces.issue()
    best("a nonce issued", repeated(nonces.issue))
    best("a nonce verified", repeated(lambda: nonces.issued(nonce)))
    with tempfile.TemporaryDirectory() as directory:
        accounts = Accounts(Path(directory), entropy=os.urandom, clock=time.monotonic)
        timed(f"{ACCOUNTS:,} accounts imported", lambda: accounts.put_all(users()))
        timed(f"{ACCOUNTS:,} accounts claimed for a realm", lambda: accounts.claim("realm"))
        best("a secret in memory", repeated(lambda: accounts.secret("user1", "realm", "MD5")))
        accounts.close()


if __name__ == "__main__":
    main()
