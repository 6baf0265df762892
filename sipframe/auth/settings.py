"""What a Digest authenticator offers and remembers: every knob, with its default.

Rules: frozen, checked when made; a wrong value raises ValueError with the knob's name.
"""

from __future__ import annotations

from typing import Annotated, Any

import attrs

from sipframe.auth.digest import ALGORITHMS

__all__ = ["DigestSettings"]


def _algorithms(_: DigestSettings, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not value or len(set(value)) != len(value) or not ALGORITHMS.keys() >= set(value):
        raise ValueError(f"{attribute.name}: one or more of {', '.join(ALGORITHMS)}, none of them twice")


def _qop(_: DigestSettings, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not value or len(set(value)) != len(value) or not {"auth", "auth-int"} >= set(value):
        raise ValueError(f"{attribute.name}: auth, auth-int or both")


def _positive(_: DigestSettings, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ValueError(f"{attribute.name}: more than 0")


def _opaque(_: DigestSettings, attribute: attrs.Attribute[Any], value: str) -> None:
    if len(value) >= 64 or not value.isascii() or not value.isprintable() or '"' in value or "\\" in value:
        raise ValueError(
            f"{attribute.name}: under 64 printable ASCII characters, no quotation mark or backslash"
        )


@attrs.frozen(kw_only=True)
class DigestSettings:
    """The defaults let in what people use; :meth:`strict` is for closed groups of modern clients."""

    algorithms: Annotated[
        tuple[str, ...], "one challenge each, the preferred one first; docs/digest.md says why MD5 alone"
    ] = attrs.field(default=("MD5",), validator=_algorithms)
    """One challenge for each, in this order, the preferred one first (RFC 8760 2.3).

    The default is MD5 alone, because a second challenge keeps people out. Tried with Debian's packages: SIPp 3.6.1 and
    sipsak 0.9.8.1 look at the first challenge only and give up unless it is MD5; baresip 1.0.0 gives up as soon as any
    challenge, wherever it stands, is not MD5. With ``("MD5", "SHA-256")`` the first two still get in, and clients that
    follow RFC 8760 2.4 use MD5. With ``("SHA-256", "MD5")`` only clients that know SHA-256 or skip what they do not
    know get in. Over TLS the difference matters least.
    """
    qop: Annotated[tuple[str, ...], "what is offered, in this order: auth, auth-int"] = attrs.field(
        default=("auth",), validator=_qop
    )
    """What is offered, in this order. SIPp 3.6.1 takes ``auth-int`` whenever it is on offer."""
    legacy_without_qop: Annotated[bool, "accept the form of RFC 2069, which old clients use"] = True
    """Accept responses in the form of RFC 2069, without qop (RFC 3261 22.4 item 8).

    RFC 3665's flows use it. Such a response has no nonce count, so a captured one works again until its nonce
    expires; only for the same method and URI.
    """
    nonce_lifetime: Annotated[float, "seconds until a nonce is stale"] = attrs.field(
        default=300.0, validator=_positive
    )
    """Seconds until a nonce is stale. Past half of it, ``nextnonce`` is sent (RFC 7616 3.5)."""
    userhash: Annotated[
        bool, "offer to hash user names; the credential sources must be able to find them"
    ] = False
    """Offer user name hashing (RFC 7616 3.4.4); the credential source must be an ``IUserhashSource``."""
    authentication_info: Annotated[bool, "prove in the final answer that we know the password too"] = True
    """Prove ourselves with ``rspauth`` in the final answer, when the client used qop (RFC 7616 3.5)."""
    opaque: Annotated[str, "sent with every challenge; under 64 characters"] = attrs.field(
        default="", validator=_opaque
    )
    """Sent with every challenge; it holds no state. Under 64 characters, where SIPp cuts it."""
    nonce_counts: Annotated[int, "nonces that are counted at once"] = attrs.field(
        default=100_000, validator=_positive
    )
    """How many nonces are counted at once, about 200 octets each; see :mod:`sipframe.auth.replay`."""
    nonce_count_window: Annotated[int, "how far behind the highest a nonce count may come late"] = (
        attrs.field(default=64, validator=_positive)
    )
    """How far behind the highest a nonce count may come late, once."""

    @classmethod
    def strict(cls, **changes: Any) -> DigestSettings:
        """No MD5, no legacy form; ``changes`` as for the constructor."""
        return cls(**{"algorithms": ("SHA-256", "SHA-512-256"), "legacy_without_qop": False, **changes})
