from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from sipframe.auth import digest
from sipframe.auth.accounts import OWN_DOMAIN, Account, Accounts, AccountsError, parse_account
from sipframe.auth.authenticator import DigestAuthenticator
from sipframe.auth.settings import DigestSettings
from sipframe.auth.userhash import IUserhashSource
from sipframe.interfaces import ICredentialSource, IFlow
from sipframe.verdicts import Accepted, Secret
from tests.auth import client

BOB = Account("bob", "example.com")
REALM = "atlanta.example.com"
PASSWORD = "zanzibar-4711"


def opened(directory: Path, clock: Clock | None = None, cache_size: int = 100) -> Accounts:
    clock = clock or Clock()
    return Accounts(directory, entropy=os.urandom, clock=clock.seconds, cache_size=cache_size)


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Accounts]:
    with closing(opened(tmp_path)) as one:
        yield one


def ha1(username: str, realm: str, algorithm: str = "MD5", password: str = PASSWORD) -> str:
    return digest.ha1(digest.ALGORITHMS[algorithm], username, realm, password)


def knows(accounts: Accounts, username: str, realm: str, password: str = PASSWORD) -> bool:
    """Whether the account has the right HA1 for every algorithm; it must have it for all or for none."""
    right = [
        (secret := accounts.secret(username, realm, algorithm.name)) is not None
        and secret.ha1 == ha1(username, realm, algorithm.name, password)
        for algorithm in digest.BASE_ALGORITHMS
    ]
    assert len(set(right)) == 1
    return right[0]


def octets_in(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(directory.iterdir()))


def test_interfaces(accounts: Accounts) -> None:
    assert verifyObject(ICredentialSource, accounts)
    assert verifyObject(IUserhashSource, accounts)


def test_both_forms_of_the_name(accounts: Accounts) -> None:
    accounts.claim(REALM)
    accounts.add(BOB, PASSWORD)
    for username in ("bob", "bob@example.com"):
        assert knows(accounts, username, REALM)
        assert accounts.secret(username, REALM, "MD5") == Secret(
            ha1(username, REALM), None, "sip:bob@example.com"
        )
    for username in (
        "Bob",
        "bob@EXAMPLE.COM",
        "bob@example.org",
        "eve",
        "",
        "@",
        "@example.com",
        "bob@",
        "b\0b",
    ):
        assert accounts.secret(username, REALM, "MD5") is None
    assert accounts.secret("bob", "example.com", "MD5") is None
    assert accounts.secret("b\udce4b", REALM, "MD5") is None


def test_before_any_server_the_own_domain_is_the_realm(accounts: Accounts) -> None:
    accounts.add(BOB, PASSWORD)
    assert knows(accounts, "bob", "example.com")
    assert accounts.claim(OWN_DOMAIN) == 0
    assert knows(accounts, "bob@example.com", "example.com")
    assert accounts.missing(OWN_DOMAIN) == 0


def test_a_realm_that_is_claimed_later(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as command:
        command.add(BOB, PASSWORD)
        command.add(Account("alice", "example.net"), "pass with blanks äöü")
    assert PASSWORD.encode() not in octets_in(tmp_path)
    with closing(opened(tmp_path)) as server:
        assert server.missing(REALM) == 2
        assert not knows(server, "bob", REALM)
        assert server.claim(REALM) == 2
        assert server.missing(REALM) == 0
        assert knows(server, "bob", REALM)
        assert knows(server, "alice@example.net", REALM, "pass with blanks äöü")
        assert knows(server, "bob", "example.com")
        sealed = server._connection.execute(
            "SELECT count(*) FROM account WHERE sealed IS NOT NULL"
        ).fetchone()
        assert sealed == (0,)
        assert not (tmp_path / "accounts.key").exists()
        assert server.claim(REALM) == 0
        # From now on the realm is known and nothing has to be sealed.
        server.add(Account("carol", "example.com"), PASSWORD)
        assert knows(server, "carol", REALM)
        assert not knows(server, "carol", "example.com")
        assert not (tmp_path / "accounts.key").exists()


def test_a_server_without_a_realm_claims_too(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as accounts:
        accounts.add(BOB, PASSWORD)
        assert (tmp_path / "accounts.key").exists()
        accounts.claim(OWN_DOMAIN)
        assert not (tmp_path / "accounts.key").exists()
        accounts.add(Account("carol", "example.net"), PASSWORD)
        assert knows(accounts, "carol", "example.net")
        assert not (tmp_path / "accounts.key").exists()


def test_a_realm_that_changes_is_counted(accounts: Accounts) -> None:
    accounts.claim(REALM)
    accounts.add(BOB, PASSWORD)
    assert accounts.claim("biloxi.example.com") == 0
    assert accounts.missing("biloxi.example.com") == 1
    assert accounts.missing(OWN_DOMAIN) == 1
    # A new password is for every realm that a server had.
    accounts.set_password(BOB, "new")
    assert knows(accounts, "bob", REALM, "new")
    assert knows(accounts, "bob", "biloxi.example.com", "new")


def test_a_lost_key_is_counted(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as accounts:
        accounts.add(BOB, PASSWORD)
    (tmp_path / "accounts.key").unlink()
    with closing(opened(tmp_path)) as server:
        assert server.claim(REALM) == 0
        assert server.missing(REALM) == 1


def test_a_realm_may_be_given(accounts: Accounts, tmp_path: Path) -> None:
    accounts.add(BOB, PASSWORD, REALM)
    assert knows(accounts, "bob", REALM)
    assert not knows(accounts, "bob", "example.com")
    assert not (tmp_path / "accounts.key").exists()


def test_no_clear_password_in_any_file(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as accounts:
        accounts.add(BOB, PASSWORD)
        assert PASSWORD.encode() not in octets_in(tmp_path)
        accounts.claim(REALM)
        accounts.set_password(BOB, PASSWORD + "!")
        assert PASSWORD.encode() not in octets_in(tmp_path)


def test_a_changed_password(accounts: Accounts) -> None:
    accounts.add(BOB, PASSWORD)
    assert knows(accounts, "bob", "example.com")
    accounts.set_password(BOB, "new")
    assert knows(accounts, "bob", "example.com", "new")
    # Also in a realm that is claimed afterwards.
    accounts.claim(REALM)
    assert knows(accounts, "bob", REALM, "new")


def test_a_removed_account(accounts: Accounts) -> None:
    accounts.add(BOB, PASSWORD)
    assert BOB in accounts
    accounts.remove(BOB)
    assert BOB not in accounts
    assert accounts.secret("bob", "example.com", "MD5") is None
    assert list(accounts.all()) == []
    accounts.add(BOB, "new")
    assert knows(accounts, "bob", "example.com", "new")


def test_what_cannot_be_done_is_said(accounts: Accounts) -> None:
    accounts.add(BOB, PASSWORD)
    with pytest.raises(AccountsError, match=r"^bob@example\.com exists already$"):
        accounts.add(BOB, "other")
    assert knows(accounts, "bob", "example.com")
    eve = Account("eve", "example.com")
    with pytest.raises(AccountsError, match=r"^eve@example\.com does not exist$"):
        accounts.remove(eve)
    with pytest.raises(AccountsError, match=r"^eve@example\.com does not exist$"):
        accounts.set_password(eve, "x")
    assert list(accounts.all()) == [BOB]


def test_many_at_once_all_or_none(accounts: Accounts) -> None:
    accounts.add(BOB, "old")
    users = [(Account(f"user{number}", "example.com"), f"p{number}") for number in range(50)]
    assert accounts.put_all([*users, (BOB, PASSWORD)]) == (50, 1)
    assert knows(accounts, "user49", "example.com", "p49")
    assert knows(accounts, "bob", "example.com")

    def broken() -> Iterator[tuple[Account, str]]:
        yield Account("x", "example.com"), "x"
        raise LookupError

    with pytest.raises(LookupError):
        accounts.put_all(broken())
    assert len(list(accounts.all())) == 51


def test_a_bare_name_in_several_domains(accounts: Accounts) -> None:
    accounts.add(BOB, PASSWORD)
    accounts.add(Account("bob", "example.net"), "other")
    accounts.claim(REALM)
    assert accounts.secret("bob", REALM, "MD5") is None
    assert knows(accounts, "bob@example.com", REALM)
    assert knows(accounts, "bob@example.net", REALM, "other")
    # In a realm that is a domain, the name is that domain's.
    accounts.claim("example.net")
    accounts.set_password(BOB, PASSWORD)
    accounts.set_password(Account("bob", "example.net"), "other")
    assert knows(accounts, "bob", "example.net", "other")
    assert knows(accounts, "bob@example.com", "example.net")


def test_what_another_process_changes_is_seen(tmp_path: Path) -> None:
    clock = Clock()
    with closing(opened(tmp_path, clock)) as server, closing(opened(tmp_path)) as command:
        server.claim(REALM)
        assert server.secret("bob", REALM, "MD5") is None
        command.add(BOB, PASSWORD)
        clock.advance(1)
        assert knows(server, "bob", REALM)
        command.set_password(BOB, "new")
        clock.advance(1)
        assert knows(server, "bob", REALM, "new")
        command.remove(BOB)
        clock.advance(1)
        assert server.secret("bob", REALM, "MD5") is None


def test_a_cached_secret_needs_no_query(tmp_path: Path) -> None:
    clock = Clock()
    with closing(opened(tmp_path, clock)) as accounts:
        accounts.add(BOB, PASSWORD)
        accounts.secret("bob", "example.com", "MD5")
        accounts.secret("eve", "example.com", "MD5")
        statements: list[str] = []
        accounts._connection.set_trace_callback(statements.append)
        accounts.secret("bob", "example.com", "MD5")
        accounts.secret("eve", "example.com", "MD5")
        assert statements == []
        clock.advance(1)
        accounts.secret("bob", "example.com", "MD5")
        assert statements == ["PRAGMA data_version"]


def test_made_up_names_push_nobody_out_of_memory(tmp_path: Path) -> None:
    with closing(opened(tmp_path, cache_size=10)) as accounts:
        accounts.add(BOB, PASSWORD)
        accounts.secret("bob", "example.com", "MD5")
        for number in range(100):
            assert accounts.secret(f"eve{number}", "example.com", "MD5") is None
        assert len(accounts._unknown) <= 10
        assert accounts._known.cache_info().currsize == 1


@pytest.mark.parametrize("algorithm", digest.BASE_ALGORITHMS, ids=lambda algorithm: algorithm.name)
def test_userhash(accounts: Accounts, algorithm: digest.Algorithm) -> None:
    def found(username: str, realm: str = REALM) -> str | None:
        return accounts.username(digest.userhash(algorithm, username, realm), realm, algorithm.name)

    accounts.claim(REALM)
    accounts.add(BOB, PASSWORD)
    assert found("bob") == "bob"
    assert found("bob@example.com") == "bob@example.com"
    assert found("bob", "example.com") == "bob"
    assert found("eve") is None
    assert accounts.username("no hash at all \udce4", REALM, algorithm.name) is None
    accounts.add(Account("eve", "example.com"), PASSWORD)
    assert found("eve") == "eve"
    accounts.remove(BOB)
    accounts.add(Account("carol", "example.com"), PASSWORD)
    assert found("carol") == "carol"


def test_the_whole_way(accounts: Accounts) -> None:
    accounts.add(BOB, PASSWORD)
    accounts.claim(REALM)
    clock = Clock()
    settings = DigestSettings(algorithms=tuple(client.ALGORITHMS), userhash=True)
    authenticator = DigestAuthenticator(
        accounts,
        domains=["example.com"],
        realm=REALM,
        secret=bytes(32),
        clock=clock.seconds,
        settings=settings,
    )
    flow: IFlow = None  # type: ignore[assignment]
    for index in range(len(client.ALGORITHMS)):
        for username in ("bob", "bob@example.com"):
            for userhash in (False, True):
                challenge = client.challenge_of(authenticator.authenticate(client.request(), flow), index)
                params = client.answer(challenge, username=username, password=PASSWORD, userhash=userhash)
                verdict = authenticator.authenticate(client.request(client.written(params)), flow)
                assert isinstance(verdict, Accepted)
                assert verdict.identity == (username, REALM, frozenset({"sip:bob@example.com"}))


def test_a_file_that_fails_later(accounts: Accounts) -> None:
    accounts.close()
    with pytest.raises(AccountsError):
        accounts.secret("bob", REALM, "MD5")


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("bob@example.com", BOB),
        ("Bob@EXAMPLE.com", Account("Bob", "example.com")),
        ("bob@example.com.", BOB),
        ("+1-555;x=y@192.0.2.1", Account("+1-555;x=y", "192.0.2.1")),
        ("bob@[2001:DB8::1]", Account("bob", "[2001:db8::1]")),
        ("jäsøn@example.com", Account("jäsøn", "example.com")),
    ],
)
def test_account_names(text: str, account: Account) -> None:
    assert parse_account(text) == account


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bob",
        "@",
        "bob@",
        "@example.com",
        "a@b@example.com",
        "a:b@example.com",
        "a b@example.com",
        "a%20@example.com",
        "bob@exa mple",
        "bob@example.com:5060",
        "bob@example.com;lr",
        "bob@-",
        "b\nb@example.com",
        "b\udce4@example.com",
        '"@example.com',
        "<@example.com",
        "b\\@example.com",
        "bob@[::",
        "bob@ex_ample",
    ],
)
def test_what_is_no_account_name(text: str) -> None:
    with pytest.raises(AccountsError) as caught:
        parse_account(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=12), st.sampled_from(["example.com", "EXAMPLE.com", "[::1]"]))
def test_an_account_name_reads_back(name: str, domain: str) -> None:
    try:
        account = parse_account(f"{name}@{domain}")
    except AccountsError:
        return
    assert parse_account(str(account)) == account
