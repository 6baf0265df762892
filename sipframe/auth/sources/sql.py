"""Users in a database, by a query of the operator's, through any DB-API 2.0 module (PEP 249).

The query has the placeholders ``:username``, ``:realm`` and ``:algorithm``, without quotes, whatever the module's own
style is, and gives one row, or none when there is no such user::

    SELECT ha1, 'sip:' || name || '@' || domain AS owner FROM account WHERE name = :username AND domain = :realm

Columns: ``password``, or HA1 in hex (RFC 7616 3.4.2), and perhaps ``owner``, the AOR of the account. ``ha1`` is that of
``:algorithm`` (``MD5``, ``SHA-256`` or ``SHA-512-256``); ``ha1_sha256`` and ``ha1_sha512_256`` are used for theirs. A
row that has HA1, but none of the algorithm's length, is as good as none. Other columns are ignored.

Rules: values reach the database as parameters, never as text of the query. Queries run in threads of a bounded pool,
each with its own connection; one that failed is replaced, and a query that met a connection broken since its last use
is run once more. Every failure is :class:`~sipframe.verdicts.Unavailable`. A query that hangs holds its thread: give
the database a time limit for statements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import attrs
from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.threads import deferToThreadPool
from twisted.python.reflect import namedModule
from zope.interface import implementer

from sipframe.auth.sources.answers import Answers
from sipframe.auth.sources.record import FIELDS, secret_of
from sipframe.interfaces import ICloseable, ICredentialSource
from sipframe.surroundings import Surroundings
from sipframe.verdicts import Secret, Unavailable

__all__ = ["SQLSettings", "SQLSource", "in_style", "source"]

_NAMES: Final = "(username|realm|algorithm)"
_PLACEHOLDER: Final = re.compile(rf"(?<![:\w]):{_NAMES}\b")
_QUOTED: Final = re.compile(rf"['\"]:{_NAMES}['\"]")
_SECRET: Final = re.compile("pass|pwd|secret|token|key", re.IGNORECASE)

Parameters = Callable[[Mapping[str, str]], object]


@attrs.frozen
class SQLSettings:
    """Which database, what to ask it, and how much."""

    module: Annotated[str, "the DB-API module, such as sqlite3 or psycopg"]
    connect: Annotated[
        Mapping[str, Any] | str, "what its connect() takes: a table of keyword arguments, or one text"
    ] = attrs.field(repr=False)
    query: Annotated[
        str, "the query, with :username, :realm and :algorithm; columns ha1 or password, and owner"
    ]
    password_file: Annotated[Path | None, "file with the password for connect()"] = None
    pool_min: Annotated[int, "threads, and so connections, to start with"] = 1
    pool_max: Annotated[int, "threads, and so connections, at most"] = 4
    most_calls: Annotated[
        int, "look-ups at once, those that wait for a thread included; more are answered 503"
    ] = 100
    remember: Annotated[float, "seconds that an answer is good for; 0: ask each time"] = 0.0
    remember_unknown: Annotated[float, "seconds that a user stays unknown; 0: ask each time"] = 0.0
    remembered: Annotated[int, "answers to keep, and as many unknown users"] = 10_000

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.pool_min <= self.pool_max or self.pool_max < 1:
            raise ValueError("pool-max is 1 at least, and pool-min no more than that")


def in_style(query: str, style: str) -> tuple[str, Parameters]:
    """``query`` in a ``paramstyle`` of PEP 249, and how to make its parameters. Raises ValueError."""
    if _QUOTED.search(query):
        raise ValueError("query: a placeholder takes no quotes")
    order = _PLACEHOLDER.findall(query)
    if "username" not in order:
        raise ValueError("query: the placeholder :username is missing")
    names = sorted(set(order))
    if style in ("format", "pyformat"):
        query = query.replace("%", "%%")
    if style == "named":
        return query, lambda values: {name: values[name] for name in names}
    if style == "pyformat":
        return _PLACEHOLDER.sub(r"%(\1)s", query), lambda values: {name: values[name] for name in names}
    if style == "numeric":
        numbered = _PLACEHOLDER.sub(lambda match: f":{names.index(match[1]) + 1}", query)
        return numbered, lambda values: tuple([values[name] for name in names])
    if style in ("format", "qmark"):
        marked = _PLACEHOLDER.sub("%s" if style == "format" else "?", query)
        return marked, lambda values: tuple([values[name] for name in order])
    raise ValueError(f"module: its paramstyle {style!r} is none of PEP 249")


@implementer(ICredentialSource, ICloseable)
class SQLSource:
    """Asks a database; see the head of this module. ``reactor`` has threads, and tells the time.

    Raises ValueError when there is no such module, or the query has no placeholder; it does not connect yet.
    """

    def __init__(self, settings: SQLSettings, *, reactor: Any) -> None:
        try:
            self._module = namedModule(settings.module)
            self._query, self._parameters = in_style(settings.query, self._module.paramstyle)
            _ = self._module.connect
        except (ImportError, AttributeError):
            raise ValueError("module: it cannot be imported, or is no DB-API module") from None
        self._reactor = reactor
        keywords = _keywords(settings)
        self._hidden = [str(value) for name, value in keywords.items() if _SECRET.search(name) and value]
        self._tells = not isinstance(settings.connect, str)
        self._answers = Answers(
            self._look_up,
            reactor,
            remember=settings.remember,
            remember_unknown=settings.remember_unknown,
            remembered=settings.remembered,
            most_calls=settings.most_calls,
        )
        self._pool = ConnectionPool(
            settings.module,
            *([settings.connect] if isinstance(settings.connect, str) else []),
            **keywords,
            cp_min=settings.pool_min,
            cp_max=settings.pool_max,
            cp_noisy=False,
            cp_reactor=reactor,
        )

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        """What the database says of a user (ICredentialSource). Fails with Unavailable."""
        return self._answers.secret(username, realm, algorithm)

    async def close(self) -> None:
        """Close the connections, once every query has ended (ICloseable)."""
        _ = await DeferredList(self._answers.calls)
        if self._pool.running or self._pool.startID is not None:  # else the reactor has closed it
            self._pool.close()

    def _look_up(self, username: str, realm: str, algorithm: str) -> Deferred[Secret | None]:
        values = {"username": username, "realm": realm, "algorithm": algorithm}
        asked: Deferred[Secret | None] = deferToThreadPool(
            self._reactor, self._pool.threadpool, self._found, self._parameters(values), algorithm
        )
        return asked

    # In a thread of the pool.

    def _found(self, parameters: object, algorithm: str) -> Secret | None:
        connected = self._pool.threadID() in self._pool.connections
        try:
            try:
                record = self._row(parameters)
            except self._module.Error:
                if not connected:
                    raise
                record = self._row(parameters)
            return None if record is None else secret_of(record, algorithm)
        except Exception as error:
            raise Unavailable(self._said(error)) from None

    def _row(self, parameters: object) -> dict[str, object] | None:
        try:
            connection = self._pool.connect()
        except Exception as error:
            raise _NotConnected(self._said(error) if self._tells else type(error).__name__) from None
        try:
            cursor = connection.cursor()
            try:
                cursor.execute(self._query, parameters)
                rows = cursor.fetchmany(2)
                names = [column[0].lower() for column in cursor.description]
            finally:
                cursor.close()
            connection.commit()  # ends the transaction that reading has begun
        except Exception:
            self._pool.disconnect(connection)
            raise
        if len(rows) > 1:
            raise ValueError("the query gives several rows for one user")
        return (
            {name: value for name, value in zip(names, rows[0], strict=True) if name in FIELDS}
            if rows
            else None
        )

    def _said(self, error: Exception) -> str:
        text = " ".join(str(error).split())
        for hidden in self._hidden:
            text = text.replace(hidden, "...")
        return text if isinstance(error, _NotConnected) else f"{type(error).__name__}: {text}"


class _NotConnected(Exception):
    """Says why; when it is one text that we connect by, a module may repeat it, so then only the kind of error."""


def _keywords(settings: SQLSettings) -> dict[str, Any]:
    keywords = {} if isinstance(settings.connect, str) else dict(settings.connect)
    unfit = sorted([name for name in keywords if name.startswith("cp_")])
    if unfit:
        raise ValueError(f"connect: {', '.join(unfit)} is no argument of the module's connect()")
    if settings.password_file is not None:
        try:
            password = settings.password_file.read_text(encoding="utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
            raise ValueError(f"{settings.password_file}: {reason}") from None
        keywords["password"] = password
    if settings.module == "sqlite3":
        # Each connection has a thread of its own; only closing happens in another.
        keywords.setdefault("check_same_thread", False)
    return keywords


def source(settings: SQLSettings, *, surroundings: Surroundings) -> SQLSource:
    """The credential source ``sql``. Raises ValueError."""
    return SQLSource(settings, reactor=surroundings.reactor)
