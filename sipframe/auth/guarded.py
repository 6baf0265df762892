"""Plug-ins as other plug-ins get them: a credential source for authenticators, an authenticator for a chain.

Rules: each is behind its guard, and of a source one look-up serves all who ask the same at once. What is answered is
looked at here, so that nonsense is the failure of whoever gave it and nobody else's. The record of a decision says that
a source was asked and whether it knew the user, never what it answered.
"""

from __future__ import annotations

from zope.interface import implementer

from sipframe.auth.userhash import IUserhashSource
from sipframe.decisions import Detail, cut
from sipframe.interfaces import IAuthenticator, ICredentialSource, IFlow
from sipframe.message import Request
from sipframe.seams import Seam, SingleFlight
from sipframe.verdicts import Abstained, Accepted, Challenge, Rejected, Secret

__all__ = ["GuardedAuthenticator", "GuardedSource", "guarded"]


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


@implementer(IAuthenticator)
class GuardedAuthenticator:
    """``authenticator`` behind its guard; what it says of a request is a step of its own in the record."""

    def __init__(self, authenticator: object, seam: Seam) -> None:
        self._asked = SingleFlight(seam, authenticator, "authenticate", _verdict)

    def authenticate(self, request: Request, flow: IFlow) -> object:
        """Ask the authenticator (IAuthenticator)."""
        return self._asked.call(request, flow)


def _verdict(answer: object) -> tuple[str, Detail]:
    kind = type(answer)
    if isinstance(answer, Accepted):
        return kind.__name__, cut(str(answer.identity.name))
    if isinstance(answer, Challenge | Rejected | Abstained):
        return kind.__name__, cut(str(answer.reason))
    raise TypeError(f"authenticate() gave {kind.__name__}")


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
