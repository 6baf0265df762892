"""Users in a TOML file, or in a table of the configuration.

A user is a password, or a table::

    alice = "wonderland"

    ["bob@example.com"]
    ha1 = "939e7578ed9e3c518a452acee763bce9"  # MD5; ha1-sha256 and ha1-sha512-256 for those
    realm = "example.com"                     # where the user is known; without it, in every realm
    owner = "sip:bob@example.com"             # the AOR of the account, when the name does not say it

Rules: ``password`` or at least one HA1 (RFC 7616 3.4.2); HA1 of an algorithm goes before the password. A name with a
dot or ``@`` in it is written in quotes. Whatever is wrong refuses the whole file; a running server keeps what it read
before. A message says which user and key, never a value.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from sipframe.auth.digest import ALGORITHMS
from sipframe.auth.sources.by_hash import NamesByHash
from sipframe.auth.sources.record import checked_ha1, secret_of
from sipframe.auth.sources.watching import WatchedFile
from sipframe.auth.userhash import IUserhashSource
from sipframe.interfaces import ICloseable, ICredentialSource
from sipframe.surroundings import Surroundings
from sipframe.verdicts import Secret

__all__ = ["TOMLSource", "Users", "read_users", "source"]

_HA1: Final = {"ha1": "MD5", "ha1-sha256": "SHA-256", "ha1-sha512-256": "SHA-512-256"}
_KEYS: Final = frozenset({"password", "owner", "realm", *_HA1})
_PLACE: Final = re.compile(r"\(at (?:line \d+, column \d+|end of document)\)\Z")


class _User(NamedTuple):
    realm: str | None
    secrets: Mapping[str, Secret | None]
    """By algorithm."""


@implementer(ICredentialSource, IUserhashSource)
class Users:
    """Everybody in ``table``, as ``tomllib`` makes it of such a file. Raises ValueError that names user and key."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._users: dict[str, _User] = {}
        for name, value in table.items():
            try:
                self._users[name] = _user({"password": value} if isinstance(value, str) else value)
            except ValueError as error:
                raise ValueError(f"user {name!r}: {error}") from None
        self._names = NamesByHash(self._users)

    def secret(self, username: str, realm: str, algorithm: str) -> Secret | None:
        """The secret of a user (ICredentialSource)."""
        user = self._users.get(username)
        if user is None or user.realm not in (None, realm):
            return None
        return user.secrets[algorithm]

    def username(self, userhash: str, realm: str, algorithm: str) -> str | None:
        """The user whose name has this hash (IUserhashSource); the first call for a realm hashes all names."""
        return self._names.find(userhash, realm, algorithm)


def _user(table: object) -> _User:
    if not isinstance(table, Mapping):
        raise ValueError("a password in quotes, or a table")
    if table.keys() - _KEYS:
        raise ValueError(f"a key that is none of {', '.join(sorted(_KEYS))}; a name with a dot needs quotes")
    realm = table.get("realm")
    if realm is not None and not isinstance(realm, str):
        raise ValueError("realm: it must be text")
    for key, algorithm in _HA1.items():
        if key in table and len(checked_ha1(key, table[key])) != ALGORITHMS[algorithm].size:
            raise ValueError(f"{key}: it must be {ALGORITHMS[algorithm].size} hex digits")
    record = {key.replace("-", "_"): value for key, value in table.items() if key != "realm"}
    return _User(realm, {algorithm: secret_of(record, algorithm) for algorithm in _HA1.values()})


def read_users(octets: bytes) -> Users:
    """Read such a file. Raises ValueError that says where it is wrong, and nothing of what is there."""
    try:
        table = tomllib.loads(octets.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"octet {error.start} is no UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        place = _PLACE.search(str(error))
        raise ValueError(f"it is no TOML {place.group() if place else ''}".rstrip()) from None
    return Users(table)


@implementer(ICredentialSource, IUserhashSource, ICloseable)
class TOMLSource:
    """The users in ``path``, which is looked at every ``look_every`` seconds of ``clock`` (0: never again).

    Answers at once. Raises ValueError when the file cannot be read or is malformed.
    """

    def __init__(self, path: Path, *, clock: IReactorTime, look_every: float = 2.0) -> None:
        self._file = WatchedFile(path, read_users, clock, look_every)

    def secret(self, username: str, realm: str, algorithm: str) -> Secret | None:
        """The secret of a user (ICredentialSource)."""
        return self._file.content.secret(username, realm, algorithm)

    def username(self, userhash: str, realm: str, algorithm: str) -> str | None:
        """The user whose name has this hash (IUserhashSource); the first call for a realm hashes all names."""
        return self._file.content.username(userhash, realm, algorithm)

    def close(self) -> None:
        """Look at the file no more (ICloseable)."""
        self._file.close()


def source(
    path: Annotated[
        Path | None, "a TOML file: NAME = PASSWORD, or a table with ha1, ha1-sha256, realm, owner"
    ] = None,
    users: Annotated[Mapping[str, Any] | None, "the same as a table, in place of a file"] = None,
    look_every: Annotated[float, "seconds between two looks whether the file has changed; 0: never"] = 2.0,
    *,
    surroundings: Surroundings,
) -> TOMLSource | Users:
    """The credential source ``toml``. Raises ValueError."""
    if users is not None and path is None:
        return Users(users)
    if path is None or users is not None:
        raise ValueError("either path or users")
    return TOMLSource(path, clock=surroundings.reactor, look_every=look_every)
