"""The stock credential source and authenticator as they are chosen by name: ``sqlite`` and ``digest``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from twisted.logger import Logger

from sipframe.auth.account_file import AccountsError
from sipframe.auth.accounts import Accounts
from sipframe.auth.authenticator import DigestAuthenticator
from sipframe.auth.settings import DigestSettings
from sipframe.seams import chained
from sipframe.surroundings import Surroundings

__all__ = ["accounts", "digest"]

_log = Logger()


def accounts(
    *,
    path: Annotated[
        Path | None, "the directory of the accounts, as 'sipframe user --state' has it; the server's"
    ] = None,
    surroundings: Surroundings,
) -> Accounts:
    """The accounts in a directory, with what was sealed for this realm made usable. Raises ValueError."""
    realm = surroundings.realm
    opened = None
    try:
        opened = Accounts(
            path or surroundings.state, entropy=surroundings.entropy, clock=surroundings.reactor.seconds
        )
        claimed = opened.claim(realm)
        missing = opened.missing(realm)
    except AccountsError as error:
        if opened is not None:
            opened.close()
        raise ValueError(str(error)) from None
    if claimed:
        _log.info("{count} accounts are now known in realm {realm!r}", count=claimed, realm=realm)
    if missing:
        _log.warn(
            "{count} accounts cannot authenticate: they were added for another realm than {realm}; "
            "set their passwords again with 'sipframe user passwd' or change --realm",
            count=missing,
            realm=realm or "that of their domain",
        )
    return opened


def digest(settings: DigestSettings, *, surroundings: Surroundings) -> DigestAuthenticator:
    """Digest against the credential sources. Raises ValueError for settings that they cannot serve."""
    return DigestAuthenticator(
        surroundings.credentials(),
        domains=surroundings.domains,
        aliases=surroundings.aliases,
        realm=surroundings.realm,
        secret=surroundings.entropy(32),
        clock=surroundings.reactor.seconds,
        settings=settings,
        chain=chained,
    )
