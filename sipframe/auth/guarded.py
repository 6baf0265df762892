"""A credential source as authenticators get it: guarded, with one look-up for all who ask the same at once.

Rules: what a source answers is looked at here, so that nonsense is the source's failure and nobody else's. The record
of a decision says that the source was asked and whether it knew the user, never what it answered.
"""

from __future__ import annotations

from zope.interface import implementer

from sipframe.auth.userhash import IUserhashSource
from sipframe.decisions import Detail
from sipframe.interfaces import ICredentialSource
from sipframe.seams import Seam, SingleFlight
from sipframe.verdicts import Secret

__all__ = ["GuardedSource", "guarded"]


def guarded(source: object, seam: Seam) -> GuardedSource:
    """``source`` behind its guard. It provides IUserhashSource when the source does.

    Raises TypeError for what provides no ICredentialSource.
    """
    adapted: object = ICredentialSource(source)
    by_hash: object | None = IUserhashSource(source, None)
    if by_hash is None:
        return GuardedSource(adapted, seam)
    return GuardedUserhashSource(adapted, by_hash, seam)


@implementer(ICredentialSource)
class GuardedSource:
    """Answers as the source does, or with a Deferred; raises what the source raises, and Unavailable."""

    def __init__(self, source: object, seam: Seam) -> None:
        self._secret = SingleFlight(seam, source, "secret", _secret)

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        """Ask the source (ICredentialSource)."""
        return self._secret.call(username, realm, algorithm)


@implementer(IUserhashSource)
class GuardedUserhashSource(GuardedSource):
    """The same for a source that knows users by hash as well."""

    def __init__(self, source: object, by_hash: object, seam: Seam) -> None:
        super().__init__(source, seam)
        self._username = SingleFlight(seam, by_hash, "username", _username)

    def username(self, userhash: str, realm: str, algorithm: str) -> object:
        """Ask the source (IUserhashSource)."""
        return self._username.call(userhash, realm, algorithm)


_KNOWN: tuple[str, Detail] = ("Secret", "")
_UNKNOWN: tuple[str, Detail] = ("None", "no such user")


def _secret(answer: object) -> tuple[str, Detail]:
    if type(answer) is Secret:
        for text in answer:
            if text is not None and type(text) is not str:
                break
        else:
            return _KNOWN
        raise TypeError("a Secret of something else than text")
    if answer is None:
        return _UNKNOWN
    if type(answer) is str:
        return _KNOWN
    raise TypeError(f"secret() gave {type(answer).__name__}")


def _username(answer: object) -> tuple[str, Detail]:
    if answer is None:
        return _UNKNOWN
    if type(answer) is str:
        return "str", ""
    raise TypeError(f"username() gave {type(answer).__name__}")
