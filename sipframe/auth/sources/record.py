"""What a table, a row or an answer says of one user, as a Secret.

Rules: a record has ``password``, or HA1 (RFC 7616 3.4.2) in hex: ``ha1``, ``ha1_sha256`` and ``ha1_sha512_256``, and
perhaps ``owner``, the AOR that the account stands for. What is None is not there. What is wrong with a record is a
ValueError that names the field, never what is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sipframe.auth.digest import ALGORITHMS
from sipframe.message import MessageError, SipURI, aor_of, parse_uri
from sipframe.verdicts import Secret

__all__ = ["FIELDS", "checked_ha1", "checked_owner", "is_name", "secret_of"]

_HA1_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "MD5": ("ha1",),
    "SHA-256": ("ha1_sha256", "ha1"),
    "SHA-512-256": ("ha1_sha512_256", "ha1"),
}
FIELDS: Final = frozenset({"password", "ha1", "ha1_sha256", "ha1_sha512_256", "owner"})
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_SIZES: Final = (32, 64)


def secret_of(record: Mapping[str, object], algorithm: str) -> Secret | None:
    """The secret for ``algorithm``; None when the record has HA1, but none of that length.

    HA1 goes before a password. Raises ValueError.
    """
    owner = checked_owner(record.get("owner"))
    for field in _HA1_FIELDS[algorithm]:
        value = record.get(field)
        if value is not None:
            ha1 = checked_ha1(field, value)
            if len(ha1) == ALGORITHMS[algorithm].size:
                return Secret(ha1=ha1, owner=owner)
    password = record.get("password")
    if password is not None:
        if not isinstance(password, str) or not password:
            raise ValueError("password: it must be text, and not empty")
        return Secret(password=password, owner=owner)
    if all(record.get(field) is None for field in FIELDS if field.startswith("ha1")):
        raise ValueError("it has neither ha1 nor password")
    return None


def checked_ha1(field: str, value: object) -> str:
    """``value`` in lower-case hex; 32 digits, or 64. Raises ValueError."""
    if not isinstance(value, str) or len(value) not in _SIZES or not _HEX.issuperset(value):
        raise ValueError(f"{field}: it must be 32 or 64 hex digits")
    return value.lower()


def checked_owner(value: object) -> str | None:
    """``value``, a ``sip:`` or ``sips:`` URI, as the canonical AOR. Raises ValueError."""
    if value is None:
        return None
    try:
        uri = parse_uri(value) if isinstance(value, str) else None
        if isinstance(uri, SipURI) and uri.user:
            return aor_of(uri)
    except MessageError:
        pass
    raise ValueError("owner: it must be a SIP URI, such as sip:alice@example.com")


def is_name(username: str) -> bool:
    """Whether a name that a client sent may be anybody's: text, not octets that are no UTF-8, and without NUL."""
    try:
        return "\0" not in username and bool(username.encode())
    except UnicodeEncodeError:
        return False
