"""The names that a source has in memory, by their hash (RFC 7616 3.4.4).

Rules: names are hashed when a realm and algorithm are asked about for the first time, some 3 us each, and never twice.
"""

from __future__ import annotations

from collections.abc import Collection

from sipframe.auth.digest import ALGORITHMS, userhash

__all__ = ["NamesByHash"]


class NamesByHash:
    """``names``, which do not change any more."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._hashed: dict[tuple[str, str], dict[str, str]] = {}

    def find(self, hashed: str, realm: str, algorithm: str) -> str | None:
        """The name whose ``H(name:realm)`` is ``hashed``. ``realm`` must be one of ours: each is remembered."""
        found = self._hashed.get((realm, algorithm))
        if found is None:
            used = ALGORITHMS[algorithm]
            found = {userhash(used, name, realm): name for name in self._names}
            self._hashed[realm, algorithm] = found
        return found.get(hashed)
