"""The stock accounts against the contract of all credential sources."""

from __future__ import annotations

import os
from pathlib import Path

from sipframe.auth.account_file import FILE_NAME
from sipframe.auth.accounts import Account, Accounts
from sipframe.testing.contracts import CredentialSourceContract, KnownUser


class TestAccounts(CredentialSourceContract):
    users = (
        KnownUser("alice", "wonderland-1865"),
        KnownUser("bob", "builder-1999"),
        KnownUser("alice", "springs-1872", "example.org"),
        KnownUser("grüße", "pässword", "example.org"),
        KnownUser("bob@example.com", "builder-1999"),
    )

    def open_source(self, place: Path) -> Accounts:
        accounts = Accounts(place, entropy=os.urandom, clock=self.reactor.seconds)
        for user in self.users:
            if "@" not in user.name:
                accounts.add(Account(user.name, user.realm), user.password)
        accounts.claim(None)
        return accounts

    def failing_source(self, place: Path) -> Accounts:
        accounts = self.open_source(place)
        accounts._connection.execute("DROP TABLE ha1")
        assert (place / FILE_NAME).exists()
        return accounts
