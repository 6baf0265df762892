"""``sipframe user``: add, remove, list and import accounts, change passwords.

Rules: no secret is ever printed or taken from the command line, where every process could read it. A server that
runs sees each change within a second; nothing needs a restart.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sipframe.cli.command import CommandError, Commands
from sipframe.cli.password import ask_password, read_password
from sipframe.cli.state import default_state_directory, make_state_directory

if TYPE_CHECKING:
    from sipframe.auth.accounts import Account, Accounts

    Action = Callable[[Accounts, argparse.Namespace], int]

__all__ = ["register"]


def register(commands: Commands) -> None:
    """Add ``user`` and its own commands."""
    user = commands.add_parser("user", help="accounts: add, remove, list, passwd, import")
    actions = user.add_subparsers(title="commands", metavar="COMMAND", required=True)

    state = argparse.ArgumentParser(add_help=False)
    state.add_argument(
        "--state",
        metavar="DIRECTORY",
        type=Path,
        default=default_state_directory(),
        help="the server's state directory (default: %(default)s)",
    )
    realm = argparse.ArgumentParser(add_help=False)
    realm.add_argument(
        "--realm", help="the realm to authenticate in (default: what a server with this state directory uses)"
    )
    account = argparse.ArgumentParser(add_help=False)
    account.add_argument("account", metavar="NAME@DOMAIN")
    password = argparse.ArgumentParser(add_help=False)
    password.add_argument(
        "--password-file",
        metavar="FILE",
        help="read the password from FILE, - for standard input (default: ask for it)",
    )

    add = actions.add_parser("add", help="add an account", parents=[account, password, realm, state])
    add.set_defaults(run=partial(_with_accounts, _add, True))
    passwd = actions.add_parser("passwd", help="change a password", parents=[account, password, realm, state])
    passwd.set_defaults(run=partial(_with_accounts, _passwd, False))
    remove = actions.add_parser("remove", help="remove an account", parents=[account, state])
    remove.set_defaults(run=partial(_with_accounts, _remove, False))
    listing = actions.add_parser("list", help="list the accounts", parents=[state])
    listing.set_defaults(run=partial(_with_accounts, _list, False))
    load = actions.add_parser(
        "import",
        help="add many accounts, change those that exist",
        description="FILE has one NAME@DOMAIN and its password a line, divided by blanks; empty lines are skipped."
        " When a line is wrong, nothing is imported.",
        parents=[realm, state],
    )
    load.add_argument("file", metavar="FILE", help="the file, - for standard input")
    load.set_defaults(run=partial(_with_accounts, _import, True))


def _with_accounts(action: Action, create: bool, arguments: argparse.Namespace) -> int:
    from sipframe.auth.account_file import FILE_NAME
    from sipframe.auth.accounts import Accounts, AccountsError

    directory: Path = arguments.state
    try:
        if create:
            make_state_directory(directory)
        elif not (directory / FILE_NAME).exists():
            raise CommandError(f"no accounts in {directory}")
        with closing(Accounts(directory, entropy=os.urandom, clock=time.monotonic)) as accounts:
            return action(accounts, arguments)
    except AccountsError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"{error.filename or directory}: {error.strerror or error}") from None


def _add(accounts: Accounts, arguments: argparse.Namespace) -> int:
    account = _account(arguments)
    if account in accounts:  # Said before anybody types a password for nothing.
        raise CommandError(f"{account} exists already")
    accounts.add(account, _password(arguments), arguments.realm)
    print(f"Added {account}.")
    return 0


def _passwd(accounts: Accounts, arguments: argparse.Namespace) -> int:
    account = _account(arguments)
    if account not in accounts:
        raise CommandError(f"{account} does not exist")
    accounts.set_password(account, _password(arguments), arguments.realm)
    print(f"Changed the password of {account}.")
    return 0


def _remove(accounts: Accounts, arguments: argparse.Namespace) -> int:
    account = _account(arguments)
    accounts.remove(account)
    print(f"Removed {account}.")
    return 0


def _list(accounts: Accounts, arguments: argparse.Namespace) -> int:
    for account in accounts.all():
        print(account)
    return 0


def _import(accounts: Accounts, arguments: argparse.Namespace) -> int:
    if arguments.file == "-":
        added, changed = accounts.put_all(_users(sys.stdin.buffer, "standard input"), arguments.realm)
    else:
        with open(arguments.file, "rb") as file:
            added, changed = accounts.put_all(_users(file, arguments.file), arguments.realm)
    print(f"Added {added} and changed {changed} accounts.")
    return 0


def _account(arguments: argparse.Namespace) -> Account:
    from sipframe.auth.accounts import parse_account

    return parse_account(arguments.account)


def _users(lines: Iterable[bytes], source: str) -> Iterator[tuple[Account, str]]:
    from sipframe.auth.accounts import AccountsError, parse_account

    for number, line in enumerate(lines, 1):
        text = (
            line.decode("utf-8", "surrogateescape")
            .rstrip("\r\n")
            .removeprefix("\ufeff" if number == 1 else "")
        )
        if not text.strip():
            continue
        name, *rest = text.split(None, 1)
        try:
            account = parse_account(name)
        except AccountsError:
            # Not what stands there: it may well be a password.
            raise CommandError(f"{source}, line {number}: not NAME@DOMAIN and a password") from None
        if not rest:
            raise CommandError(f"{source}, line {number}: no password")
        yield account, rest[0]


def _password(arguments: argparse.Namespace) -> str:
    if arguments.password_file is not None:
        return read_password(arguments.password_file)
    if not sys.stdin.isatty():
        raise CommandError("no terminal to ask for the password: use --password-file")
    password = ask_password("Password: ")
    if password is None:
        raise CommandError("the password is empty")
    if password != ask_password("Again: "):
        raise CommandError("the two passwords differ")
    return password
