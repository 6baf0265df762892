"""Credential sources to try the contract on: two that keep it, and many that each break one rule."""

from __future__ import annotations

import fnmatch
import sqlite3
from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from sipframe.auth.digest import ALGORITHMS, ha1
from sipframe.interfaces import ICredentialSource
from sipframe.testing.contracts import KnownUser
from sipframe.verdicts import Secret, Unavailable


@implementer(ICredentialSource)
class Hashes:
    """HA1 of each user, in a dictionary."""

    def __init__(self, users: Sequence[KnownUser]) -> None:
        self.users = users
        self.table = {
            (user.name, user.realm, name): ha1(algorithm, user.name, user.realm, user.password)
            for user in users
            for name, algorithm in ALGORITHMS.items()
        }

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        found = self.table.get((username, realm, algorithm))
        return None if found is None else Secret(ha1=found)


class Slow(Hashes):
    """The same, later."""

    def __init__(self, users: Sequence[KnownUser], reactor: IReactorTime) -> None:
        super().__init__(users)
        self.reactor = reactor

    async def secret(self, username: str, realm: str, algorithm: str) -> object:
        answer: Deferred[None] = Deferred()
        self.reactor.callLater(1 / (1 + len(username)), answer.callback, None)
        await answer
        return super().secret(username, realm, algorithm)


# Those that break a rule.


class IgnoresCase(Hashes):
    """Names that differ by case are one."""

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        return super().secret(username.lower(), realm, algorithm)


class IgnoresRealm(Hashes):
    """There is only one, is there not?"""

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        return super().secret(username, "example.com", algorithm)


class GivesAway(Hashes):
    """Whoever is not known gets the first user's secret."""

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        return super().secret(username, realm, algorithm) or super().secret("alice", "example.com", algorithm)


class OneForAll(Hashes):
    """Everybody has the last user's secret."""

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        found = super().secret(username, realm, algorithm)
        return found and super().secret(self.users[-1].name, self.users[-1].realm, algorithm)


class Injected(Hashes):
    """Names are part of the query."""

    def __init__(self, users: Sequence[KnownUser]) -> None:
        super().__init__(users)
        self.database = sqlite3.connect(":memory:")
        self.database.execute("CREATE TABLE user (name, realm, password)")
        self.database.executemany(
            "INSERT INTO user VALUES (?, ?, ?)", [(u.name, u.realm, u.password) for u in users]
        )

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        try:
            row = self.database.execute(
                f"SELECT password FROM user WHERE name = '{username}' AND realm = '{realm}'"
            ).fetchone()
        except (sqlite3.Error, ValueError) as error:
            raise Unavailable("the database") from error
        return None if row is None else Secret(password=row[0])

    def close(self) -> None:
        self.database.close()


class Patterns(Hashes):
    """A name is a pattern."""

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        for user in self.users:
            if user.realm == realm and fnmatch.fnmatchcase(user.name, username):
                return super().secret(user.name, realm, algorithm)
        return None


class OnlyUnicode(Hashes):
    """It encodes what is no text."""

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        _ = username.encode()
        return super().secret(username, realm, algorithm)


class UpperCase(Hashes):
    """Its hex digits are large."""

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        found = self.table.get((username, realm, algorithm))
        return None if found is None else Secret(ha1=found.upper())


class OneAlgorithm(Hashes):
    """It has MD5, whatever is asked."""

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        return super().secret(username, realm, "MD5")


class GivesBytes(Hashes):
    """A password is octets, after all."""

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        return b"password"


class Talks(Hashes):
    """What it raises says all that it knows."""

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        if not username.isalnum():
            raise Unavailable(f"not in {self.table}")
        return super().secret(username, realm, algorithm)


class Shows(Hashes):
    """It shows what it has."""

    def __repr__(self) -> str:
        return f"Shows({self.table})"


class Mixes(Slow):
    """It keeps the question where the next one is kept as well."""

    async def secret(self, username: str, realm: str, algorithm: str) -> object:
        self.question = username, realm, algorithm
        await super().secret(username, realm, algorithm)
        return Hashes.secret(self, *self.question)


class Tires(Hashes):
    """It answers each question once."""

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        found = self.table.pop((username, realm, algorithm), None)
        return None if found is None else Secret(ha1=found)


class Shrugs(Hashes):
    """When it is down nobody is known."""

    down = True

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        return None if self.down else super().secret(username, realm, algorithm)
