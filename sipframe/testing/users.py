"""A credential source in memory: names and passwords."""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import implementer

from sipframe.interfaces import ICredentialSource
from sipframe.verdicts import Secret

__all__ = ["Users"]


@implementer(ICredentialSource)
class Users(dict[str, str]):
    """Names to passwords; a name may have its domain (``alice@example.com``). It may be changed at any time."""

    def __init__(self, passwords: Mapping[str, str] | None = None) -> None:
        super().__init__(passwords or {})

    def secret(self, username: str, realm: str, algorithm: str) -> Secret | None:
        """The password of ``username`` (ICredentialSource)."""
        password = self.get(username)
        return None if password is None else Secret(password=password)

    def __repr__(self) -> str:
        return f"Users({', '.join(self)})"
