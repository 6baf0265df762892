"""Answering a digest challenge: which one, and the credentials for it (RFC 3261 22, RFC 7616 3.4, RFC 8760 2.4).

Rules: of the challenges that can be answered the one with the strongest algorithm is; RFC 8760 2.4 leaves that to a
local policy, and the topmost is MD5 at many servers only because some phones read no further. Among equals the topmost
is taken. ``auth`` is preferred to ``auth-int``; without qop the form of RFC 2069 is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from sipframe.auth.digest import ALGORITHMS, BASE_ALGORITHMS, Algorithm, ha1, response, rspauth, session_ha1
from sipframe.message import Credentials, quote

__all__ = ["Choice", "ProtectionSpace", "choose", "credentials", "read_challenge"]

_BY_NAME: Final = {name.lower(): algorithm for name, algorithm in ALGORITHMS.items()}
_STRENGTH: Final = {algorithm.name: rank for rank, algorithm in enumerate(BASE_ALGORITHMS)}


class Choice(NamedTuple):
    """A challenge that can be answered. ``qop`` is ``auth``, ``auth-int`` or empty (the form of RFC 2069)."""

    realm: str
    nonce: str
    algorithm: Algorithm
    algorithm_given: bool
    """Whether the challenge names its algorithm; then the credentials do as well."""
    qop: str
    opaque: str | None
    stale: bool


def choose(challenges: Iterable[Credentials]) -> Choice | None:
    """The challenge to answer, or None when there is none that can be answered (RFC 8760 2.4)."""
    best: Choice | None = None
    for challenge in challenges:
        choice = read_challenge(challenge)
        if choice is not None and (best is None or _strength(choice) > _strength(best)):
            best = choice
    return best


def _strength(choice: Choice) -> int:
    return _STRENGTH[choice.algorithm.base]


def read_challenge(challenge: Credentials) -> Choice | None:
    """The challenge, when it is one that can be answered."""
    params = challenge.params
    if challenge.scheme.lower() != "digest" or "realm" not in params or not params.get("nonce"):
        return None
    algorithm = _BY_NAME.get(params.get("algorithm", "MD5").lower())
    if algorithm is None:
        return None  # RFC 7616 3.3: a challenge with an algorithm that is not understood is ignored
    qop = ""
    if "qop" in params:
        offered = [one.strip(" \t").lower() for one in params["qop"].split(",")]
        qop = next((one for one in ("auth", "auth-int") if one in offered), "")
    if not qop and ("qop" in params or algorithm.session):
        return None
    stale = params.get("stale", "").lower() == "true"
    given = "algorithm" in params
    return Choice(params["realm"], params["nonce"], algorithm, given, qop, params.get("opaque"), stale)


class ProtectionSpace:
    """Our credentials for one realm, and how often a nonce was used. ``proxy``: for Proxy-Authorization."""

    def __init__(self, choice: Choice, *, proxy: bool) -> None:
        self.choice = choice
        self.proxy = proxy
        self.proved = False
        """Whether the server has gone on to answer something else than a challenge."""
        self._count = 0
        self._last: tuple[str, str, str, str] | None = None

    def renew(self, choice: Choice) -> None:
        """Take a new nonce."""
        self.choice = choice
        self._count = 0

    def credentials(
        self, username: str, password: str, method: str, uri: str, cnonce: str, body: bytes = b""
    ) -> str:
        """The value of Authorization or Proxy-Authorization for a request (RFC 7616 3.4)."""
        self._count += 1
        nc = f"{self._count:08x}"
        self._last = (session_key(self.choice, username, password, cnonce), uri, nc, cnonce)
        return credentials(self.choice, username, password, method, uri, nc, cnonce, body)

    def server_knows(self, info: dict[str, str], body: bytes) -> bool | None:
        """Whether Authentication-Info proves that the server knows the secret; None when it does not say.

        RFC 7616 3.5. ``body`` is that of the answer.
        """
        if self._last is None or "rspauth" not in info or not self.choice.qop:
            return None
        key, uri, nc, cnonce = self._last
        expected = rspauth(
            self.choice.algorithm, key, uri, self.choice.nonce, nc, cnonce, self.choice.qop, body
        )
        return info["rspauth"].lower() == expected


def session_key(choice: Choice, username: str, password: str, cnonce: str) -> str:
    """HA1, or what a ``-sess`` algorithm puts in its place (RFC 7616 3.4.2)."""
    key = ha1(choice.algorithm, username, choice.realm, password)
    return session_ha1(choice.algorithm, key, choice.nonce, cnonce) if choice.algorithm.session else key


def credentials(
    choice: Choice,
    username: str,
    password: str,
    method: str,
    uri: str,
    nc: str,
    cnonce: str,
    body: bytes = b"",
) -> str:
    """The value of Authorization that answers ``choice`` (RFC 7616 3.4). ``nc`` is eight hex digits."""
    key = session_key(choice, username, password, cnonce)
    form = (nc, cnonce, choice.qop) if choice.qop else ("", "", "")
    digest = response(choice.algorithm, key, method, uri, choice.nonce, *form, body)
    params = [
        f"username={quote(username)}",
        f"realm={quote(choice.realm)}",
        f"nonce={quote(choice.nonce)}",
        f"uri={quote(uri)}",
        f'response="{digest}"',
    ]
    if choice.algorithm_given:
        params.append(f"algorithm={choice.algorithm.name}")
    if choice.qop:
        params += [f"cnonce={quote(cnonce)}", f"qop={choice.qop}", f"nc={nc}"]
    if choice.opaque is not None:
        params.append(f"opaque={quote(choice.opaque)}")
    return "Digest " + ", ".join(params)
