"""What a bearer token has to be, for us to believe it: every knob, with its default.

Rules: frozen, checked when made; a wrong value raises ValueError with the knob's name.
"""

from __future__ import annotations

from typing import Annotated, Literal

import attrs

from sipframe.auth.bearer.key_set import ALGORITHMS

__all__ = ["BearerSettings"]

_SCOPE_TOKEN = frozenset(chr(code) for code in range(0x21, 0x7F)) - {'"', "\\"}  # RFC 6749 3.3

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"
]


@attrs.frozen(kw_only=True)
class BearerSettings:
    """The issuer, and what its tokens must say."""

    issuer: Annotated[str, "who must have issued a token: the claim iss, exactly"]
    audience: Annotated[
        tuple[str, ...], "of whom the claim aud must name one: this service, as the issuer knows it"
    ]
    authz_server: Annotated[
        str | None, "https URL where clients get a token, told in every challenge; the issuer's"
    ] = None
    algorithms: Annotated[tuple[Algorithm, ...], "how a token may be signed"] = ("RS256", "ES256", "EdDSA")
    claim: Annotated[
        str,
        "the claim that names the user: a sip URI, USER@DOMAIN, or USER of each domain; or a list of those",
    ] = "sub"
    scope: Annotated[
        str, "what the claim scope must hold, one or more words; in TOML separated by spaces"
    ] = ""
    leeway: Annotated[float, "seconds that our clock and the issuer's may differ"] = 30.0
    cleartext: Annotated[
        bool, "take tokens over UDP and TCP too, where everybody on the road can use them"
    ] = False
    largest: Annotated[int, "characters that a token may have"] = 8192
    most_remembered: Annotated[int, "tokens that were found good and are not verified anew each time"] = (
        10_000
    )

    def __attrs_post_init__(self) -> None:
        if not self.issuer:
            raise ValueError("issuer: it must be there")
        if not self.audience or not all(self.audience):
            raise ValueError("audience: one at least")  # RFC 8725 3.9
        authz = self.authz
        if not authz.startswith("https://") or not authz.isascii() or not authz.isprintable() or " " in authz:
            raise ValueError("authz-server: it must be an https URL (RFC 8898 2.2)")
        if not self.algorithms or not set(ALGORITHMS) >= set(self.algorithms):
            raise ValueError(f"algorithms: one or more of {', '.join(ALGORITHMS)}")
        if not self.claim:
            raise ValueError("claim: it must be there")
        if not all(_SCOPE_TOKEN.issuperset(word) for word in self.scopes):
            raise ValueError(
                "scope: words of visible ASCII characters without quotation marks and backslashes"
            )
        if not 0 <= self.leeway <= 300:
            raise ValueError("leeway: from 0 to 300 seconds")
        if self.largest < 1 or self.most_remembered < 0:
            raise ValueError("largest and most-remembered: no negative numbers, and largest not 0")

    @property
    def authz(self) -> str:
        """Where clients get a token."""
        return self.issuer if self.authz_server is None else self.authz_server

    @property
    def scopes(self) -> frozenset[str]:
        """The words of ``scope``."""
        return frozenset(self.scope.split())
