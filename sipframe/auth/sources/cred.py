"""Users of a ``twisted.cred`` checker, as a service that embeds sipframe, or its web site, has one already.

A digest says that its sender knows the password, but does not hold it. So a checker can serve only if it takes
``IUsernameHashedPassword``: it then calls ``checkPassword`` with the password that it knows. One that takes nothing but
a password to compare (hashed password files, PAM, Unix accounts) cannot serve Digest at all, and is refused.

Rules: the checker is asked whether it would let the user in, supposing that the password is right; ``checkPassword``
says yes, and keeps the password. The digest is compared with it afterwards, as with any source's, so a checker's yes
lets nobody in, while its no (an account that is locked, say) keeps a user out, and so does an empty password. A checker
that counts or logs log-ins sees one for each look-up. Its avatar identifier is not used: the user's name says which
AORs are the user's.
"""

from __future__ import annotations

from typing import Annotated, Any

from twisted.cred.checkers import ANONYMOUS, FilePasswordDB, ICredentialsChecker
from twisted.cred.credentials import IUsernameHashedPassword
from twisted.cred.error import LoginDenied, UnauthorizedLogin
from twisted.cred.strcred import StrcredException, makeChecker
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure
from twisted.python.reflect import namedAny
from zope.interface import implementer

from sipframe.auth.digest import octets
from sipframe.interfaces import ICredentialSource
from sipframe.verdicts import Secret

__all__ = ["CheckerSource", "checker_named", "source"]


@implementer(IUsernameHashedPassword)
class _Offered:
    """Credentials that learn the password they are checked against."""

    def __init__(self, username: str) -> None:
        self.username = octets(username)
        self.passwords: list[object] = []

    def checkPassword(self, password: object) -> bool:
        self.passwords.append(password)
        return True


@implementer(ICredentialSource)
class CheckerSource:
    """The passwords of ``checker``, a :class:`twisted.cred.checkers.ICredentialsChecker`.

    It gets user names as octets, as ``twisted.cred``'s own checkers want them. Answers at once when the checker does.
    Raises ValueError when it does not take IUsernameHashedPassword, TypeError when it is no checker.
    """

    def __init__(self, checker: object) -> None:
        self._checker: ICredentialsChecker = ICredentialsChecker(checker)
        accepted = tuple(self._checker.credentialInterfaces)
        if not any(interface.isOrExtends(IUsernameHashedPassword) for interface in accepted):
            raise ValueError(
                f"the checker {type(checker).__name__} cannot serve Digest, which never sends a password: it takes "
                f"{', '.join([one.__name__ for one in accepted]) or 'nothing'}, and not IUsernameHashedPassword"
            )

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        """The password that the checker would compare (ICredentialSource); None when it refuses the user.

        What else the checker raises rises. TypeError when it lets the user in without a look at one password.
        """
        offered = _Offered(username)
        asked: Deferred[object] = maybeDeferred(self._checker.requestAvatarId, offered)
        results: list[object] = []
        _ = asked.addCallbacks(_password, _refused, callbackArgs=(offered,)).addBoth(_keep, results)
        if not results:
            return asked
        [result] = results
        if isinstance(result, Failure):
            _ = asked.addErrback(lambda _: None)
            result.raiseException()
        return result


def _keep(result: object, results: list[object]) -> object:
    results.append(result)
    return result


def _password(avatar_id: object, offered: _Offered) -> Secret | None:
    if avatar_id is ANONYMOUS:
        return None
    if len(offered.passwords) != 1:
        raise TypeError("the checker let a user in without comparing one password")
    password = offered.passwords[0]
    if isinstance(password, bytes):
        password = password.decode("utf-8", "surrogateescape")
    if not isinstance(password, str):
        raise TypeError(f"the checker has a password that is {type(password).__name__}, not bytes or str")
    return Secret(password=password) if password else None


def _refused(failure: Failure) -> None:
    _ = failure.trap(UnauthorizedLogin, LoginDenied)


def checker_named(name: str) -> Any:
    """A checker by a description as ``twistd --auth`` has it (``file:/etc/users``), or by its dotted name.

    What the dotted name leads to is a checker, or is called without arguments to make one. Raises ValueError.
    """
    kind, colon, _ = name.partition(":")
    try:
        if colon or "." not in name:
            checker: Any = makeChecker(name)
        else:
            checker = namedAny(name)
            if not ICredentialsChecker.providedBy(checker) and callable(checker):
                checker = checker()
    except StrcredException as error:
        raise ValueError(f"twisted.cred makes no checker of {kind!r}: {type(error).__name__}") from None
    except Exception as error:
        raise ValueError(f"the checker {kind} cannot be made: {type(error).__name__}") from None
    if not ICredentialsChecker.providedBy(checker):
        raise ValueError(f"{kind} is no ICredentialsChecker, nor anything that makes one")
    if isinstance(checker, FilePasswordDB):
        try:
            with open(checker.filename, "rb"):
                pass
        except OSError as error:
            raise ValueError(f"{checker.filename}: {error.strerror}") from None
    return checker


def source(
    checker: Annotated[str, "a dotted name, or a checker of twisted.cred such as file\\:/path"],
) -> CheckerSource:
    """The credential source ``cred``. Raises ValueError."""
    return CheckerSource(checker_named(checker))
