"""Users in a file of Apache's ``htdigest``: one ``USER:REALM:HA1`` on each line.

Rules: the length of HA1 tells its algorithm: 32 hex digits are MD5, as ``htdigest`` writes them, 64 are SHA-256
(RFC 7616 3.4.2). A user has a line for each algorithm that the server offers. Empty lines and those that begin with
``#`` are skipped. Any other line that is malformed, or has what an earlier one has, refuses the whole file with the
number of the line; a running server then keeps what it read before. A message never says what stands on a line.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from sipframe.auth.sources.by_hash import NamesByHash
from sipframe.auth.sources.watching import WatchedFile
from sipframe.auth.userhash import IUserhashSource
from sipframe.interfaces import ICloseable, ICredentialSource
from sipframe.surroundings import Surroundings
from sipframe.verdicts import Secret

__all__ = ["HtdigestSource", "read_htdigest", "source"]

_ALGORITHMS: Final = {32: "MD5", 64: "SHA-256"}
_HEX: Final = "0123456789abcdefABCDEF"


def read_htdigest(octets: bytes) -> dict[tuple[str, str, str], str]:
    """HA1 in lower-case hex by user name, realm and algorithm. Raises ValueError that names the line.

    Names and realms are UTF-8; other octets stay what they are (surrogateescape).
    """
    found: dict[tuple[str, str, str], str] = {}
    text = octets.removeprefix(BOM_UTF8).decode("utf-8", "surrogateescape")
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line or line[0] == "#":
            continue
        parts = line.split(":")
        if len(parts) != 3 or not parts[0]:
            raise ValueError(f"line {number} is not USER:REALM:HA1")
        username, realm, ha1 = parts
        algorithm = _ALGORITHMS.get(len(ha1))
        if algorithm is None or ha1.strip(_HEX):
            raise ValueError(f"line {number}: HA1 is 32 hex digits (MD5) or 64 (SHA-256)")
        key = (username, realm, algorithm)
        if key in found:
            raise ValueError(f"line {number} has the user, realm and algorithm of an earlier one")
        found[key] = ha1.lower()
    return found


class _Users(NamedTuple):
    ha1: dict[tuple[str, str, str], str]
    names: NamesByHash


def _users(octets: bytes) -> _Users:
    found = read_htdigest(octets)
    return _Users(found, NamesByHash({username for username, _, _ in found}))


@implementer(ICredentialSource, IUserhashSource, ICloseable)
class HtdigestSource:
    """The users in ``path``, which is looked at every ``look_every`` seconds of ``clock`` (0: never again).

    Answers at once. Reading a file that has changed holds up the server, for 100,000 lines about a third of a second.
    Raises ValueError when the file cannot be read or is malformed.
    """

    def __init__(self, path: Path, *, clock: IReactorTime, look_every: float = 2.0) -> None:
        self._file = WatchedFile(path, _users, clock, look_every)

    def secret(self, username: str, realm: str, algorithm: str) -> Secret | None:
        """HA1 of a user (ICredentialSource)."""
        ha1 = self._file.content.ha1.get((username, realm, algorithm))
        return None if ha1 is None else Secret(ha1)

    def username(self, userhash: str, realm: str, algorithm: str) -> str | None:
        """The user whose name has this hash (IUserhashSource); the first call for a realm hashes all names."""
        return self._file.content.names.find(userhash, realm, algorithm)

    def close(self) -> None:
        """Look at the file no more (ICloseable)."""
        self._file.close()


def source(
    path: Annotated[Path, "the file, as Apache's htdigest writes it"],
    look_every: Annotated[float, "seconds between two looks whether it has changed; 0: never"] = 2.0,
    *,
    surroundings: Surroundings,
) -> HtdigestSource:
    """The credential source ``htdigest``. Raises ValueError."""
    return HtdigestSource(path, clock=surroundings.reactor, look_every=look_every)
