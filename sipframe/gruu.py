"""GRUUs: URIs that lead to one instance of a user agent, made for it by its registrar (RFC 5627).

Rules: nothing is stored. A public GRUU is the AOR with the instance ID in ``gr`` (RFC 5627 A.1). A temporary one is
``sip:TOKEN@DOMAIN;gr``: the token is AES-SIV (RFC 5297) over the user, the instance ID, eight random octets, and a mark
of each flow's Call-ID, bound to the domain. Without the key nobody can make one, read one, or tell whether two are of
one user (5.1). The marks are what 5.1 and 5.3 ask for: when a flow that is marked has another Call-ID by now, or none
of them is there any more, the GRUU is not valid. What is remembered only saves work, and is bounded.

It is stricter than 5.3 in one thing: a temporary GRUU ends with the last flow that there was when it was made, though
the instance may have newer ones. In another it is weaker: it does not see a new Call-ID of a flow that is younger than
it is. A user agent gets a fresh one with every 200.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import blake2s
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote
from uuid import UUID

from sipframe.domains import Domains
from sipframe.instances import instance_of, newest_first
from sipframe.message import SipURI
from sipframe.verdicts import Binding

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

__all__ = ["Gruu", "Gruus"]

_PREFIX: Final = "tgruu."
_RANDOM: Final = 8
_MOST_MARKS: Final = 8
"""How many flows of one instance are marked, the newest ones; RFC 5626 4.2.1 has two to four."""
MOST_TEXT: Final = 256
"""The longest AOR and instance ID, both together, that there are GRUUs for."""
_LONGEST: Final = 2048
_UUID: Final = "urn:uuid:"
_IN_USER: Final = "-_.!~*'()&=+$,;?/"  # RFC 3261 25.1: unreserved and user-unreserved
_IN_VALUE: Final = "-_.!~*'()[]/:&+$"  # unreserved and param-unreserved

Marks = tuple[tuple[int | None, bytes], ...]
"""The flows of an instance: reg-id, or None, and what is left of the Call-ID."""


class Gruu(NamedTuple):
    """What a GRUU stands for."""

    aor: str
    """Canonical; what the location store is asked for."""
    instance: str
    """The instance ID, as :func:`sipframe.instances.instance_of` gives it."""
    marks: Marks | None = None
    """Of a temporary one: the flows that the instance had when it was made. None: it is a public one."""

    @property
    def temporary(self) -> bool:
        """Whether it hides the AOR, and ends with the registration."""
        return self.marks is not None

    def targets(self, bindings: Iterable[Binding], now: float) -> tuple[Binding, ...] | None:
        """The bindings that it leads to, of those of its AOR, the newest first (RFC 5627 6.1).

        A proxy takes the first; the next one only after 408 or 430. Empty: the instance is not there, which is 480.
        None: the GRUU is not valid any more, which is 404.
        """
        its = _of_instance(self.instance, bindings, now)
        if self.marks is None:
            return its
        there = dict(_marks(its))
        marked = [there[reg_id] == mark for reg_id, mark in self.marks if reg_id in there]
        return its if marked and all(marked) else None  # RFC 5627 5.1, 5.3


class Gruus:
    """Makes GRUUs and reads them.

    ``key`` is at least 16 octets of entropy, kept secret; temporary GRUUs are worth nothing without it. ``entropy``
    gives so many random octets.
    """

    __slots__ = ("_cipher", "_domains", "_entropy")

    def __init__(self, domains: Domains, key: bytes, entropy: Callable[[int], bytes]) -> None:
        # Imported here, so that a server without GRUUs never loads it.
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        if len(key) < 16:
            raise ValueError("a key for GRUUs has at least 16 octets")
        self._domains = domains
        self._entropy = entropy
        self._cipher: AESSIV = AESSIV(hmac.digest(key, b"temporary GRUU", "sha512"))

    def resolve(self, uri: SipURI) -> Gruu | None:
        """What ``uri``, which has the parameter ``gr``, stands for. None: it is no GRUU of ours, which is 404.

        Nobody is asked: whether there is such an AOR, and such an instance, is for :meth:`Gruu.targets` to say.
        """
        value = uri.param("gr")
        if value is None:
            return None
        if not value:
            return self._read(uri)
        aor = self._domains.aor_of(uri)
        instance = instance_of(value)
        return None if aor is None or instance is None else Gruu(aor, instance)

    def public(self, aor: str, instance: str, scheme: str = "sip") -> str:
        """The public GRUU of ``instance`` (RFC 5627 5.1): the URI's text."""
        return f"{scheme}:{_public(aor, instance)}"

    def temporary(
        self, aor: str, instance: str, bindings: Iterable[Binding], now: float, scheme: str = "sip"
    ) -> str:
        """A new temporary GRUU of ``instance``, which holds as the flows among ``bindings`` do: the URI's text."""
        host = aor.rpartition("@")[2]
        return f"{scheme}:{self._token(aor, instance, bindings, now)}@{host};gr"

    def contact_params(self, aor: str, bindings: tuple[Binding, ...], now: float) -> Callable[[Binding], str]:
        """What gives each Contact of a 200 its ``pub-gruu`` and ``temp-gruu`` (RFC 5627 5.2).

        All contacts of one instance get the same, in the scheme of the contact (RFC 5630 5.2.1).
        """
        tokens: dict[str, str] = {}
        host = aor.rpartition("@")[2]

        def params(binding: Binding) -> str:
            instance = instance_of(binding.instance_id)
            if instance is None or len(aor) + len(instance) > MOST_TEXT:
                return ""
            token = tokens.get(instance)
            if token is None:
                token = tokens[instance] = self._token(aor, instance, bindings, now)
            scheme = "sips" if binding.contact[:5].lower() == "sips:" else "sip"
            return f';pub-gruu="{scheme}:{_public(aor, instance)}";temp-gruu="{scheme}:{token}@{host};gr"'

        return params

    def _token(self, aor: str, instance: str, bindings: Iterable[Binding], now: float) -> str:
        user, _, host = aor.removeprefix("sip:").rpartition("@")
        packed = _packed(instance)
        marks = _marks(_of_instance(instance, bindings, now))[:_MOST_MARKS]
        plain = bytearray(self._entropy(_RANDOM))
        plain += packed
        plain.append(len(marks))
        for reg_id, mark in marks:
            plain += (0 if reg_id is None else reg_id + 1).to_bytes(4, "big")
            plain += mark
        plain += _octets(user)
        sealed = self._cipher.encrypt(bytes(plain), [_octets(host)])
        return _PREFIX + _text(sealed)

    def _read(self, uri: SipURI) -> Gruu | None:
        from cryptography.exceptions import InvalidTag

        user, _, host = (self._domains.aor_of(uri) or "").removeprefix("sip:").rpartition("@")
        text = user.removeprefix(_PREFIX)
        if text == user or len(text) > _LONGEST:
            return None
        try:
            sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            if _text(sealed) != text:
                return None  # another spelling of what may be one of ours
            plain = self._cipher.decrypt(sealed, [_octets(host)])
        except (binascii.Error, ValueError, InvalidTag):
            return None
        # We have written what opens, so it has the form that _token() gives it.
        instance, end = _unpacked(plain, _RANDOM)
        marks: list[tuple[int | None, bytes]] = []
        for start in range(end + 1, end + 1 + 8 * plain[end], 8):
            number = int.from_bytes(plain[start : start + 4], "big")
            marks.append((number - 1 if number else None, plain[start + 4 : start + 8]))
        user = plain[end + 1 + 8 * len(marks) :].decode("utf-8", "surrogateescape")
        return Gruu(f"sip:{user}@{host}", instance, tuple(marks))


def _of_instance(instance: str, bindings: Iterable[Binding], now: float) -> tuple[Binding, ...]:
    return newest_first(
        [
            binding
            for binding in bindings
            if binding.expires_at > now and instance_of(binding.instance_id) == instance
        ]
    )


def _marks(newest: Iterable[Binding]) -> Marks:
    """RFC 5627 5.1: the Call-ID of the contact that was registered last, for each reg-id."""
    found: dict[int | None, bytes] = {}
    for binding in newest:
        if binding.reg_id not in found:
            found[binding.reg_id] = blake2s(_octets(binding.call_id), digest_size=4).digest()
    return tuple(found.items())


@lru_cache(maxsize=4096)
def _public(aor: str, instance: str) -> str:
    user, _, host = aor.removeprefix("sip:").rpartition("@")
    return f"{_escaped(user, _IN_USER)}@{host};gr={_escaped(instance, _IN_VALUE)}"


@lru_cache(maxsize=4096)
def _packed(instance: str) -> bytes:
    """An instance ID in few octets: its length in two of them, 0 for a UUID, then itself."""
    if instance.startswith(_UUID):
        try:
            uuid = UUID(instance)
        except ValueError:
            pass
        else:
            if uuid.urn == instance:
                return b"\0\0" + uuid.bytes
    octets = _octets(instance)
    return len(octets).to_bytes(2, "big") + octets


def _unpacked(plain: bytes, start: int) -> tuple[str, int]:
    """What :func:`_packed` has written to ``plain`` at ``start``, and where it ends."""
    at = start + 2
    length = int.from_bytes(plain[start:at], "big")
    if not length:
        return UUID(bytes=plain[at : at + 16]).urn, at + 16
    return plain[at : at + length].decode("utf-8", "surrogateescape"), at + length


def _text(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode("ascii").rstrip("=")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _escaped(text: str, safe: str) -> str:
    return quote(text, safe, "utf-8", "surrogateescape")
