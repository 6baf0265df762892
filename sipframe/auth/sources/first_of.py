"""Several credential sources as one: they are asked in order, and the first that knows the user wins.

Rules: None alone leads to the next source. What a source raises fails the request, whatever stands behind it: a user
whom a broken source would have refused must not be let in by another. Sources that answer at once cost no Deferred.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.defer import Deferred
from zope.interface import alsoProvides, implementer

from sipframe.auth.userhash import IUserhashSource
from sipframe.interfaces import IComposed, ICredentialSource
from sipframe.verdicts import Secret

__all__ = ["FirstOf"]


@implementer(ICredentialSource, IComposed)
class FirstOf:
    """``sources`` in their order. Provides IUserhashSource too when all of them do.

    A name that is found by its hash goes through all sources again for its secret. The sources are not closed with it.
    Raises TypeError for what provides no ICredentialSource, ValueError when there is none at all.
    """

    def __init__(self, sources: Sequence[ICredentialSource]) -> None:
        if not sources:
            raise ValueError("credential sources: at least one")
        self._sources: tuple[ICredentialSource, ...] = tuple([ICredentialSource(one) for one in sources])
        by_hash: list[IUserhashSource | None] = [IUserhashSource(one, None) for one in sources]
        self._by_hash: tuple[IUserhashSource, ...] = tuple([one for one in by_hash if one is not None])
        if len(self._by_hash) == len(self._sources):
            alsoProvides(self, IUserhashSource)

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        """What the first source gives that knows ``username`` (ICredentialSource)."""
        for position, source in enumerate(self._sources, 1):
            answer = source.secret(username, realm, algorithm)
            if answer is None:
                continue
            if isinstance(answer, (Secret, str)):  # nearly always, and told sooner than what waits
                return answer
            if isinstance(answer, Awaitable):
                rest = [one.secret for one in self._sources[position:]]
                return Deferred.fromCoroutine(_first(answer, rest, (username, realm, algorithm)))
            return answer  # nonsense: the authenticator says so
        return None

    def username(self, userhash: str, realm: str, algorithm: str) -> object:
        """The first name that a source has for ``userhash`` (IUserhashSource)."""
        for position, source in enumerate(self._by_hash, 1):
            answer = source.username(userhash, realm, algorithm)
            if isinstance(answer, Awaitable):
                rest = [one.username for one in self._by_hash[position:]]
                return Deferred.fromCoroutine(_first(answer, rest, (userhash, realm, algorithm)))
            if answer is not None:
                return answer
        return None


async def _first(
    waited: Awaitable[object], rest: Sequence[Callable[[str, str, str], object]], asked: tuple[str, str, str]
) -> object:
    answer = await waited
    for ask in rest:
        if answer is not None:
            break
        answer = ask(*asked)
        if isinstance(answer, Awaitable):
            answer = await answer
    return answer
