"""A query over DB-API: real sqlite3 in real threads, and what can go wrong with it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pytest
from twisted.internet.defer import Deferred, DeferredList
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from sipframe.auth.sources.sql import in_style
from sipframe.interfaces import ICloseable, ICredentialSource
from sipframe.verdicts import Secret, Unavailable
from tests.auth.sources.around import CANARY, REALM, by_name, ha1, registers

HERE = "tests.auth.sources.test_sql"
QUERY = """
    SELECT ha1, password AS Password, owner, 7 AS other FROM account
    WHERE name = :username AND realm = :realm AND (algorithm = :algorithm OR algorithm IS NULL)
"""

# This module as a DB-API module: sqlite3, with what the tests do to it.
apilevel, threadsafety, paramstyle = sqlite3.apilevel, sqlite3.threadsafety, "pyformat"
Error = sqlite3.Error


class Broken(Exception):
    """What a connection does, set by a test."""


class Connection:
    """A connection of sqlite3 that a test can break, with the other style of parameters."""

    made: list[Connection]
    gate: threading.Event

    def __init__(self, path: str, password: str) -> None:
        if path == "nowhere":
            raise sqlite3.OperationalError(f"no route to {path} with {password}")
        self.works = True
        self.closed = False
        self.threads: set[str] = set()
        self.real = sqlite3.connect(path, check_same_thread=False)
        self.made.append(self)

    def cursor(self) -> Any:
        self.threads.add(threading.current_thread().name)
        self.gate.wait(120)
        if not self.works:
            raise sqlite3.OperationalError("the connection is gone")
        return Cursor(self.real.cursor())

    def commit(self) -> None:
        self.real.commit()

    def close(self) -> None:
        self.closed = True
        self.real.close()


class Cursor:
    def __init__(self, real: sqlite3.Cursor) -> None:
        self.real = real

    @property
    def description(self) -> Any:
        return self.real.description

    def execute(self, query: str, parameters: dict[str, str]) -> None:
        assert type(parameters) is dict
        for name in parameters:
            query = query.replace(f"%({name})s", f":{name}")
        self.real.execute(query.replace("%%", "%"), parameters)

    def fetchmany(self, size: int) -> Any:
        return self.real.fetchmany(size)

    def close(self) -> None:
        self.real.close()


def connect(path: str, password: str = CANARY) -> Connection:
    return Connection(path, password)


class Case(TestCase):
    """A database, and sources over it that are closed in the end."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = str(self.folder / "accounts.sqlite")
        database = sqlite3.connect(self.path)
        database.execute("CREATE TABLE account (name, realm, algorithm, ha1, password, owner)")
        database.executemany(
            "INSERT INTO account VALUES (?, ?, ?, ?, ?, ?)",
            [
                ("alice", REALM, None, None, CANARY, "sip:al@example.com"),
                ("bob", REALM, "MD5", ha1("bob", CANARY).upper(), None, None),
                ("bob", REALM, "SHA-256", ha1("bob", CANARY, "SHA-256"), None, None),
                ("o'hara", REALM, None, None, CANARY, None),
                ("twins", REALM, None, None, CANARY, None),
                ("twins", REALM, None, None, CANARY, None),
                ("short", REALM, None, ha1("short", CANARY), None, None),
                ("odd", REALM, None, CANARY, None, None),
                ("empty", REALM, None, None, None, None),
            ],
        )
        database.commit()
        database.close()
        Connection.made = []
        Connection.gate = threading.Event()
        Connection.gate.set()
        self.addCleanup(Connection.gate.set)

    def source(self, **arguments: object) -> Any:
        from twisted.internet import reactor

        given = {"module": "sqlite3", "connect": {"database": self.path}, "query": QUERY, **arguments}
        source = by_name("sql", self.folder, reactor, **given)
        self.addCleanup(lambda: Deferred.fromCoroutine(source.close()))
        assert CANARY not in repr(source)
        return source

    async def unavailable(self, source: Any, username: str = "bob") -> str:
        with pytest.raises(Unavailable) as error:
            await source.secret(username, REALM, "MD5")
        assert CANARY not in str(error.value)
        return str(error.value)


class QueryTests(Case):
    """sqlite3 as it is."""

    async def test_users_register(self) -> None:
        source = self.source()
        for username in ("alice", "bob", "o'hara"):
            proved: Any = registers(source, username)
            assert await proved is True
            wrong: Any = registers(source, username, "guess")
            assert await wrong is False

    async def test_what_a_user_is(self) -> None:
        source = self.source()
        assert await source.secret("alice", REALM, "MD5") == Secret(None, CANARY, "sip:al@example.com")
        assert await source.secret("bob", REALM, "SHA-256") == Secret(ha1("bob", CANARY, "SHA-256"))
        assert await source.secret("bob", REALM, "SHA-512-256") is None
        assert await source.secret("bob", "elsewhere", "MD5") is None
        assert await source.secret("carol", REALM, "MD5") is None
        assert await source.secret("short", REALM, "SHA-256") is None

    async def test_a_name_that_is_sql_is_a_name(self) -> None:
        source = self.source()
        for name in ("' OR '1'='1", "bob'; DROP TABLE account; --", ":username", "%", '"'):
            assert await source.secret(name, REALM, "MD5") is None
        assert await source.secret("alice", REALM, "MD5") is not None

    async def test_text_to_connect_by(self) -> None:
        assert await self.source(connect=self.path).secret("alice", REALM, "MD5") is not None

    async def test_answers_can_be_remembered(self) -> None:
        source = self.source(remember="60", remember_unknown="60")
        first = await source.secret("alice", REALM, "MD5")
        assert await source.secret("carol", REALM, "MD5") is None
        assert source.secret("alice", REALM, "MD5") is first
        assert source.secret("carol", REALM, "MD5") is None

    async def test_rows_that_are_no_account(self) -> None:
        source = self.source()
        assert "several rows" in await self.unavailable(source, "twins")
        assert "ha1: it must be 32 or 64 hex digits" in await self.unavailable(source, "odd")
        assert "neither ha1 nor password" in await self.unavailable(source, "empty")

    async def test_a_query_that_fails(self) -> None:
        source = self.source(query="SELECT ha1 FROM missing WHERE name = :username")
        assert await self.unavailable(source) == "OperationalError: no such table: missing"
        assert "neither ha1 nor password" in await self.unavailable(
            self.source(query="SELECT name FROM account WHERE name = :username"), "alice"
        )

    async def test_it_is_a_credential_source(self) -> None:
        source = self.source()
        assert verifyObject(ICredentialSource, source)
        assert verifyObject(ICloseable, source)


class ConnectionTests(Case):
    """sqlite3 behind a module that breaks, waits and takes parameters in another style."""

    def source(self, **arguments: object) -> Any:
        return super().source(**{"module": HERE, "connect": {"path": self.path}, "pool_max": 1, **arguments})

    async def test_another_style_of_parameters(self) -> None:
        source = self.source(query=QUERY + " AND '%' = '%'")
        proved: Any = registers(source, "alice")
        assert await proved is True

    async def test_a_connection_that_broke_is_replaced(self) -> None:
        source = self.source()
        assert await source.secret("alice", REALM, "MD5")
        [first] = Connection.made
        first.works = False
        assert await source.secret("alice", REALM, "MD5")
        assert first.closed
        assert len(Connection.made) == 2

    async def test_one_that_breaks_at_once_is_not_tried_twice(self) -> None:
        source = self.source(query="SELECT ha1 FROM missing WHERE name = :username")
        assert "no such table" in await self.unavailable(source)
        assert len(Connection.made) == 1
        assert Connection.made[0].closed

    async def test_a_database_that_cannot_be_reached_is_told_without_its_password(self) -> None:
        source = self.source(connect={"path": "nowhere", "password": CANARY})
        assert await self.unavailable(source) == "OperationalError: no route to nowhere with ..."
        (self.folder / "password").write_text(CANARY + "\n")
        source = self.source(connect={"path": "nowhere"}, password_file="password")
        assert await self.unavailable(source) == "OperationalError: no route to nowhere with ..."
        assert await self.unavailable(self.source(connect="nowhere")) == "OperationalError"

    async def test_look_ups_are_bounded_and_shared(self) -> None:
        source = self.source(pool_max="2", most_calls="3")
        Connection.gate.clear()
        waiting = [source.secret(name, REALM, "MD5") for name in ("alice", "bob", "carol", "alice")]
        with pytest.raises(Unavailable):
            source.secret("dave", REALM, "MD5")
        Connection.gate.set()
        found: Any = await DeferredList(waiting)
        assert [bool(answer) for _, answer in found] == [True, True, False, True]
        assert len(Connection.made) <= 2
        assert all(len(connection.threads) == 1 for connection in Connection.made)

    async def test_closing_waits_for_what_is_under_way(self) -> None:
        source = self.source()
        Connection.gate.clear()
        waiting = source.secret("alice", REALM, "MD5")
        closed = Deferred.fromCoroutine(source.close())
        assert not closed.called
        Connection.gate.set()
        assert await waiting
        await closed
        assert all(connection.closed for connection in Connection.made)


@pytest.mark.parametrize(
    ("style", "query", "parameters"),
    [
        ("qmark", "a = ? AND b = ? AND c = ? AND '10%' = '10%'", ("bob", "r", "bob")),
        ("format", "a = %s AND b = %s AND c = %s AND '10%%' = '10%%'", ("bob", "r", "bob")),
        ("numeric", "a = :2 AND b = :1 AND c = :2 AND '10%' = '10%'", ("r", "bob")),
        (
            "named",
            "a = :username AND b = :realm AND c = :username AND '10%' = '10%'",
            {"username": "bob", "realm": "r"},
        ),
        (
            "pyformat",
            "a = %(username)s AND b = %(realm)s AND c = %(username)s AND '10%%' = '10%%'",
            {"username": "bob", "realm": "r"},
        ),
    ],
)
def test_styles_of_parameters(style: str, query: str, parameters: object) -> None:
    ours = "a = :username AND b = :realm AND c = :username AND '10%' = '10%'"
    made, values = in_style(ours, style)
    assert made == query
    assert values({"username": "bob", "realm": "r", "algorithm": "MD5"}) == parameters


def test_a_cast_and_a_longer_name_are_no_placeholders() -> None:
    made, _ = in_style("x::username = :username || :username_2 || a:realm", "qmark")
    assert made == "x::username = ? || :username_2 || a:realm"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1",
        "SELECT :realm",
        "SELECT %(username)s",
        "SELECT ':username'",
        "SELECT 1 WHERE a = :username AND b = ':realm'",
    ],
)
def test_a_query_without_its_placeholder(query: str) -> None:
    with pytest.raises(ValueError, match="query: "):
        in_style(query, "qmark")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"module": "sipframe_no_such_module"}, "module: it cannot be imported"),
        ({"module": "json"}, "module: it cannot be imported, or is no DB-API module"),
        ({"query": "SELECT 1"}, "query: the placeholder :username is missing"),
        ({"connect": {"cp_max": 5}}, "connect: cp_max"),
        ({"pool_max": 0}, "pool-max"),
        ({"pool_min": 2, "pool_max": 1}, "pool-max"),
        ({"remember": -1.0}, "remember"),
        ({"most_calls": 0}, "calls"),
        ({"password_file": "nothing"}, "No such file"),
    ],
)
def test_what_is_wrong_at_the_start(tmp_path: Path, arguments: dict[str, object], reason: str) -> None:
    given = {"module": "sqlite3", "connect": {"database": "x"}, "query": QUERY, **arguments}
    with pytest.raises(ValueError, match=f"sql: .*{reason}"):
        by_name("sql", tmp_path, **given)


def test_a_style_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    odd: Any = ModuleType("sipframe_odd_database")
    odd.paramstyle, odd.connect, odd.Error = "braces", print, Exception
    monkeypatch.setitem(__import__("sys").modules, odd.__name__, odd)
    with pytest.raises(ValueError, match="paramstyle 'braces'"):
        by_name("sql", tmp_path, module=odd.__name__, connect="", query=QUERY)
