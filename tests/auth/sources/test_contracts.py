"""The sources of this room against the contract of all credential sources."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, ClassVar

from treq.testing import StubTreq
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.web.resource import Resource

from sipframe.auth.digest import ALGORITHMS, ha1
from sipframe.auth.sources.cred import CheckerSource
from sipframe.auth.sources.first_of import FirstOf
from sipframe.auth.sources.htdigest import HtdigestSource
from sipframe.auth.sources.http import HTTPSettings, HTTPSource
from sipframe.auth.sources.sql import SQLSettings, SQLSource
from sipframe.auth.sources.toml import TOMLSource
from sipframe.testing.contracts import CredentialSourceContract, KnownUser

ALICE = KnownUser("alice", "wonderland-1865")
BOB = KnownUser("bob", "builder-1999")
ELSEWHERE = KnownUser("alice", "springs-1872", "example.org")


class TestHtdigest(CredentialSourceContract):
    users = (ALICE, BOB, ELSEWHERE)
    algorithms = ("MD5", "SHA-256")

    def open_source(self, place: Path) -> HtdigestSource:
        path = place / "users.htdigest"
        lines = [
            f"{name}:{realm}:{ha1(ALGORITHMS[algorithm], name, realm, password)}\n"
            for name, password, realm in self.users
            for algorithm in self.algorithms
        ]
        _ = path.write_text("".join(lines), encoding="utf-8")
        return HtdigestSource(path, clock=self.reactor)


class TestTOML(CredentialSourceContract):
    users = (ALICE, BOB)

    def open_source(self, place: Path) -> TOMLSource:
        path = place / "users.toml"
        tables = [
            f'[{user.name}]\npassword = "{user.password}"\nrealm = "{user.realm}"\n' for user in self.users
        ]
        _ = path.write_text("".join(tables), encoding="utf-8")
        return TOMLSource(path, clock=self.reactor)


class TestTOMLWithoutRealms(TestTOML):
    any_realm: ClassVar[bool] = True

    def open_source(self, place: Path) -> TOMLSource:
        path = place / "users.toml"
        lines = [f'{user.name} = "{user.password}"\n' for user in self.users]
        _ = path.write_text("".join(lines), encoding="utf-8")
        return TOMLSource(path, clock=self.reactor)


class TestSQL(CredentialSourceContract):
    users = (ALICE, BOB, ELSEWHERE)
    query: ClassVar[str] = "SELECT password FROM user WHERE name = :username AND realm = :realm"

    def settings(self, path: Path) -> SQLSettings:
        return SQLSettings(module="sqlite3", connect={"database": str(path)}, query=self.query)

    def open_source(self, place: Path) -> SQLSource:
        path = place / "users.sqlite"
        with sqlite3.connect(path) as database:
            _ = database.execute("CREATE TABLE user (name, password, realm)")
            _ = database.executemany("INSERT INTO user VALUES (?, ?, ?)", self.users)
        database.close()
        return SQLSource(self.settings(path), reactor=self.reactor)

    def failing_source(self, place: Path) -> SQLSource:
        return SQLSource(self.settings(place / "empty.sqlite"), reactor=self.reactor)


class Directory(Resource):
    """Knows the users over HTTP."""

    isLeaf = True

    def __init__(self) -> None:
        Resource.__init__(self)

    def render_POST(self, request: Any) -> bytes:
        question = json.loads(request.content.read())
        for name, password, realm in TestHTTP.users:
            if (name, realm) == (question["username"], question["realm"]):
                return json.dumps({"password": password}).encode()
        return b"null"


class Broken(Resource):
    """Says what nobody should."""

    isLeaf = True

    def __init__(self) -> None:
        Resource.__init__(self)

    def render_POST(self, request: Any) -> bytes:
        request.setResponseCode(500)
        return json.dumps({"password": ALICE.password}).encode()


class TestHTTP(CredentialSourceContract):
    users = (ALICE, BOB, ELSEWHERE)

    def asking(self, resource: Resource) -> HTTPSource:
        stub: Any = StubTreq
        settings = HTTPSettings(url="http://127.0.0.1:80/users")
        return HTTPSource(settings, reactor=self.reactor, client=stub(resource))

    def open_source(self, place: Path) -> HTTPSource:
        return self.asking(Directory())

    def failing_source(self, place: Path) -> HTTPSource:
        return self.asking(Broken())


class TestCred(CredentialSourceContract):
    users = (ALICE, BOB)
    any_realm = True

    def open_source(self, place: Path) -> CheckerSource:
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        for user in self.users:
            checker.addUser(user.name.encode(), user.password.encode())
        return CheckerSource(checker)


class TestFirstOf(TestSQL):
    """One that answers at once before one that waits."""

    def open_source(self, place: Path) -> Any:
        path = place / "users.toml"
        _ = path.write_text(
            f'[alice]\npassword = "{ALICE.password}"\nrealm = "{ALICE.realm}"\n', encoding="utf-8"
        )
        self.parts: list[Any] = [
            TOMLSource(path, clock=self.reactor, look_every=0),
            super().open_source(place),
        ]
        return FirstOf(self.parts)

    def close_source(self, source: Any) -> object:
        return self.parts[1].close() if isinstance(source, FirstOf) else source.close()
