"""The stock credential source: accounts in SQLite, as ``sipframe user`` writes them.

Rules: no password is kept. HA1 is kept for each algorithm, for the user names NAME and NAME@DOMAIN, in each realm that
is known. An account that is added before any server has said its realm gets the HA1 of its own domain, and its
password is sealed (:mod:`sipframe.auth.sealing`) until a server claims it for its realm. Names are compared with case;
domains are kept in lower case, and a client has to send them so, because HA1 covers what it sends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from zope.interface import implementer

from sipframe.auth import digest
from sipframe.auth.account_file import FILE_NAME, AccountsError, open_accounts, transaction
from sipframe.auth.sealing import Seal
from sipframe.auth.userhash import IUserhashSource
from sipframe.interfaces import ICloseable, ICredentialSource
from sipframe.message import MessageError, SipURI, aor_of, parse_uri
from sipframe.verdicts import Secret

__all__ = ["KEY_NAME", "OWN_DOMAIN", "Account", "Accounts", "AccountsError", "parse_account"]

KEY_NAME: Final = "accounts.key"
OWN_DOMAIN: Final = None
"""The realm of a server that was given none: each account's own domain."""

_COLUMNS: Final = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
_UNFIT: Final = frozenset(' "%:<>@\\')
"""What no NAME may hold: a colon would make HA1 ambiguous, the others would need an escape."""
_PUT_HA1: Final = "INSERT OR REPLACE INTO ha1 VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class Account(NamedTuple):
    """NAME@DOMAIN; it owns ``sip:NAME@DOMAIN`` (and with it ``sips:``, RFC 5630 3.1)."""

    name: str
    domain: str

    def __str__(self) -> str:
        return f"{self.name}@{self.domain}"


def parse_account(text: str) -> Account:
    """Read NAME@DOMAIN. Raises AccountsError when NAME is no user name that Digest and a SIP URI can carry.

    NAME stands without escapes and may hold characters beyond ASCII.
    """
    name, _, host = text.rpartition("@")
    try:
        text.encode()
        uri = parse_uri(f"sip:{host}")
    except (MessageError, UnicodeEncodeError):
        uri = None
    fit = name.isprintable() and not _UNFIT.intersection(name)
    if not name or not fit or not isinstance(uri, SipURI) or uri.host != host:
        raise AccountsError(f"not NAME@DOMAIN: {text.encode('utf-8', 'replace').decode()!r}")
    return Account(name, aor_of(uri).removeprefix("sip:"))


@implementer(ICredentialSource, IUserhashSource, ICloseable)
class Accounts:
    """The accounts in ``directory``, which must exist. Not for use by several threads.

    ``entropy`` is ``os.urandom`` or the like, ``clock`` gives seconds. At most ``cache_size`` known secrets, and as
    many unknown names, are kept in memory; whether another process has changed the file is looked up at most every
    ``recheck`` seconds. Raises :class:`AccountsError` when the file cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        *,
        entropy: Callable[[int], bytes],
        clock: Callable[[], float],
        cache_size: int = 100_000,
        recheck: float = 0.5,
    ) -> None:
        self._connection = open_accounts(directory / FILE_NAME)
        self._path = directory / FILE_NAME
        self._seal = Seal(directory / KEY_NAME, entropy)
        self._clock = clock
        self._recheck = recheck
        self._next_check = clock() + recheck
        self._data_version = self._read_data_version()
        self._known = lru_cache(maxsize=cache_size)(self._find)
        self._unknown: set[tuple[str, str, str]] = set()
        self._unknown_size = cache_size
        # By realm and algorithm: the last account in it, and hash to name.
        self._by_hash: dict[tuple[str, str], tuple[int, dict[str, str]]] = {}

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # What the authenticator asks.

    def secret(self, username: str, realm: str, algorithm: str) -> Secret | None:
        """HA1 of NAME or NAME@DOMAIN, and the AOR it owns (ICredentialSource).

        A bare NAME that several domains have in one realm is the one whose domain is the realm; when there is none it
        is nobody. NAME@DOMAIN always works. Raises AccountsError when the file fails.
        """
        if self._clock() >= self._next_check:
            self._notice_changes()
        if (username, realm, algorithm) in self._unknown:
            return None
        try:
            return self._known(username, realm, algorithm)
        except KeyError:
            # Kept apart from the known ones, so that made-up names push nobody out.
            if len(self._unknown) >= self._unknown_size:
                self._unknown.clear()
            self._unknown.add((username, realm, algorithm))
            return None

    def username(self, userhash: str, realm: str, algorithm: str) -> str | None:
        """The name behind a userhash, NAME or NAME@DOMAIN as it was hashed (IUserhashSource).

        The first call for a realm and algorithm hashes all names, some 3 us each; later ones only those added since. A
        name that was removed may still be found: it has no secret.
        """
        last, names = self._by_hash.get((realm, algorithm), (0, {}))
        found = names.get(userhash)
        if found is not None or not self._may_have_more(last):
            return found
        used = digest.ALGORITHMS[algorithm]
        with self._failing():
            query = "SELECT id, name, domain FROM account WHERE id > ? ORDER BY id"
            for number, name, domain in self._connection.execute(query, (last,)):
                for candidate in (name, f"{name}@{domain}"):
                    names[digest.userhash(used, candidate, realm)] = candidate
                last = number
        self._by_hash[realm, algorithm] = (last, names)
        return names.get(userhash)

    def _may_have_more(self, last: int) -> bool:
        with self._failing():
            row = self._connection.execute("SELECT 1 FROM account WHERE id > ? LIMIT 1", (last,)).fetchone()
        return row is not None

    def _find(self, username: str, realm: str, algorithm: str) -> Secret:
        """Raises KeyError, which the cache does not keep."""
        name, at, domain = username.rpartition("@")
        column = _COLUMNS[algorithm]
        query = (
            f"SELECT account.name, account.domain, ha1.{'full' if at else 'name'}_{column}"
            " FROM account JOIN ha1 ON ha1.account = account.id AND ha1.realm = ? WHERE account.name = ?"
        )
        try:
            with self._failing():
                if at:
                    rows = self._connection.execute(
                        f"{query} AND account.domain = ?", (realm, name, domain)
                    ).fetchall()
                else:
                    rows = self._connection.execute(query, (realm, username)).fetchall()
        except UnicodeEncodeError:
            raise KeyError(username) from None  # Octets that are not UTF-8 name no account.
        if len(rows) > 1:
            rows = [row for row in rows if row[1] == realm]
        if not rows:
            raise KeyError(username)
        name, domain, ha1 = rows[0]
        return Secret(ha1=ha1.hex(), owner=f"sip:{name}@{domain}")

    def _notice_changes(self) -> None:
        self._next_check = self._clock() + self._recheck
        version = self._read_data_version()
        if version != self._data_version:
            self._data_version = version
            self._forget()

    def _read_data_version(self) -> int:
        with self._failing():
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def _forget(self) -> None:
        self._known.cache_clear()
        self._unknown.clear()

    # What a server says when it starts.

    def claim(self, realm: str | None) -> int:
        """Record that a server authenticates in ``realm``, and open what was sealed for it.

        ``None`` is :data:`OWN_DOMAIN`. All in one transaction: HA1 is made for each account with a sealed password,
        then every sealed password is erased, and the key with them. Returns how many accounts got an HA1 for
        ``realm``. Raises AccountsError.
        """
        with self._changing():
            self._connection.execute("INSERT OR IGNORE INTO realm VALUES (?)", (realm or "",))
            sealed = self._connection.execute(
                "SELECT id, name, domain, sealed FROM account WHERE sealed IS NOT NULL"
            ).fetchall()
            claimed = 0
            if realm is not None:
                for number, name, domain, box in sealed:
                    account = Account(name, domain)
                    password = self._seal.open(box, str(account).encode())
                    if password is not None:
                        self._put_ha1(number, account, realm, password.decode("utf-8", "surrogateescape"))
                        claimed += 1
            self._connection.execute("UPDATE account SET sealed = NULL WHERE sealed IS NOT NULL")
        if sealed:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._seal.forget()
        return claimed

    def missing(self, realm: str | None) -> int:
        """How many accounts cannot authenticate in ``realm``, because they were added for another."""
        with self._failing():
            row = self._connection.execute(
                "SELECT count(*) FROM account WHERE NOT EXISTS"
                " (SELECT 1 FROM ha1 WHERE ha1.account = account.id AND ha1.realm = coalesce(?, account.domain))",
                (realm,),
            ).fetchone()
        return int(row[0])

    # What an administrator does.

    def add(self, account: Account, password: str, realm: str | None = None) -> None:
        """Add an account for ``realm``, or for the realms that servers have recorded. Raises AccountsError."""
        with self._changing():
            if self._number(account) is not None:
                raise AccountsError(f"{account} exists already")
            self._put(account, password, self._realms(realm))

    def set_password(self, account: Account, password: str, realm: str | None = None) -> None:
        """Change a password; the old one stops working in every realm. Raises AccountsError."""
        with self._changing():
            if self._number(account) is None:
                raise AccountsError(f"{account} does not exist")
            self._put(account, password, self._realms(realm))

    def put_all(self, users: Iterable[tuple[Account, str]], realm: str | None = None) -> tuple[int, int]:
        """Add accounts, or change those that exist: all or none. Returns how many were added and changed.

        What ``users`` raises while it is read undoes everything.
        """
        added = changed = 0
        with self._changing():
            realms = self._realms(realm)
            for account, password in users:
                if self._put(account, password, realms):
                    added += 1
                else:
                    changed += 1
        return added, changed

    def remove(self, account: Account) -> None:
        """Remove an account. Raises AccountsError."""
        with self._changing():
            number = self._number(account)
            if number is None:
                raise AccountsError(f"{account} does not exist")
            self._connection.execute("DELETE FROM ha1 WHERE account = ?", (number,))
            self._connection.execute("DELETE FROM account WHERE id = ?", (number,))

    def __contains__(self, account: Account) -> bool:
        with self._failing():
            return self._number(account) is not None

    def all(self) -> Iterator[Account]:
        """All accounts, by domain and name."""
        with self._failing():
            for name, domain in self._connection.execute(
                "SELECT name, domain FROM account ORDER BY domain, name"
            ):
                yield Account(name, domain)

    def _realms(self, realm: str | None) -> tuple[str, ...]:
        if realm is not None:
            return (realm,)
        return tuple(name for (name,) in self._connection.execute("SELECT name FROM realm"))

    def _number(self, account: Account) -> int | None:
        row = self._connection.execute(
            "SELECT id FROM account WHERE name = ? AND domain = ?", account
        ).fetchone()
        return None if row is None else int(row[0])

    def _put(self, account: Account, password: str, realms: tuple[str, ...]) -> bool:
        """Whether it is new. No realm known: HA1 for the own domain, and the password sealed for a later claim."""
        sealed = None if realms else self._seal.seal(digest.octets(password), str(account).encode())
        number = self._number(account)
        new = number is None
        if number is None:
            row = self._connection.execute(
                "INSERT INTO account (name, domain, sealed) VALUES (?, ?, ?) RETURNING id", (*account, sealed)
            ).fetchone()
            number = int(row[0])
        else:
            self._connection.execute("DELETE FROM ha1 WHERE account = ?", (number,))
            self._connection.execute("UPDATE account SET sealed = ? WHERE id = ?", (sealed, number))
        for realm in realms or ("",):
            self._put_ha1(number, account, realm or account.domain, password)
        return new

    def _put_ha1(self, number: int, account: Account, realm: str, password: str) -> None:
        names = (account.name, str(account))
        hashes = [
            bytes.fromhex(digest.ha1(algorithm, name, realm, password))
            for name in names
            for algorithm in digest.BASE_ALGORITHMS
        ]
        self._connection.execute(_PUT_HA1, (number, realm, *hashes))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._failing(), transaction(self._connection):
            yield
        self._forget()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise AccountsError(f"{self._path}: {error}") from error
