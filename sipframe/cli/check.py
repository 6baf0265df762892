"""``sipframe check``: hold any registrar to its RFCs, and say where it does otherwise.

Rules: only the command line is here, and what is slow is imported when it is wanted. No password is taken from the
command line, where every process could read it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sipframe.cli.command import CommandError, Commands

if TYPE_CHECKING:
    from sipframe.checking import Check
    from sipframe.cli.check_report import Run
    from sipframe.message import SipURI
    from sipframe.ua import Account, Server

__all__ = ["register"]

_TRANSPORTS: Final = ("udp", "tcp", "tls")


def register(commands: Commands) -> None:
    """Add ``check``."""
    parser = commands.add_parser("check", help="check whether a registrar does what the RFCs say")
    parser.description = (
        "Checks a SIP registrar, any registrar, against RFC 3261 and its companions: registrations, requests, digest,"
        " messages that are hard to read, streams, TLS. Prints what passed and what did not, with the messages of"
        " each failure. Binds and removes contacts of its own, and touches no others. The exit code is 0 when all"
        " passed that a server MUST do, 1 when it did not, and 2 when the command line is wrong."
    )
    parser.add_argument("server", metavar="HOST[:PORT]", nargs="?", help="where the server is")
    parser.add_argument(
        "--transport",
        choices=(*_TRANSPORTS, "all"),
        default="udp",
        help="what to check it over (default: udp)",
    )
    parser.add_argument(
        "--tls-port", metavar="PORT", type=_port, help="the port for TLS (with all: default PORT + 1)"
    )
    parser.add_argument(
        "--user", metavar="NAME", help="whose bindings are made and removed; use a test account"
    )
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        help="read the password from FILE, - for standard input (default: ask for it)",
    )
    parser.add_argument("--aor", metavar="AOR", type=_aor, help="the user's (default: sip:NAME@HOST)")
    parser.add_argument("--second-user", metavar="NAME", help="another user, to be kept apart from the first")
    parser.add_argument("--second-password-file", metavar="FILE", help="the second user's password")
    parser.add_argument(
        "--only",
        metavar="ID",
        action="append",
        default=[],
        help="only this check, or this group of checks; may be repeated",
    )
    parser.add_argument("--list", action="store_true", help="tell what checks there are, and end")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write JUnit XML to FILE as well")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument(
        "--ca-file",
        metavar="PEM",
        type=Path,
        help="who signs the server's certificate (default: the system's)",
    )
    parser.add_argument("--insecure", action="store_true", help="believe any certificate; for tests only")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_timeout,
        default=10.0,
        help="how long one check may take (default: %(default)g)",
    )
    parser.add_argument("--verbose", action="store_true", help="show whole messages, digests left out")
    parser.set_defaults(run=partial(_check, parser))


def _aor(text: str) -> SipURI:
    from sipframe.cli.register import parse_aor

    return parse_aor(text)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!a} is no port")
    return int(text)


def _timeout(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 600:
        raise argparse.ArgumentTypeError(f"{text!a} is no number of seconds up to 600")
    return seconds


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from sipframe.checking import chosen

    try:
        checks = chosen(arguments.only)
    except ValueError as error:
        parser.error(str(error))
    if arguments.list:
        _tell(checks)
        return 0
    if arguments.server is None:
        parser.error("HOST[:PORT] is missing")
    if arguments.user is None:
        parser.error("--user is missing: a user whose bindings may be made and removed")
    names = _TRANSPORTS if arguments.transport == "all" else (arguments.transport,)
    if "tls" not in names and (arguments.ca_file or arguments.insecure or arguments.tls_port):
        parser.error("--ca-file, --insecure and --tls-port are for TLS: use --transport tls or all")
    if (arguments.second_user is None) != (arguments.second_password_file is None):
        parser.error("--second-user and --second-password-file go together")
    try:
        servers = [_server(arguments, name) for name in names]
    except ValueError as error:
        parser.error(str(error))
    account, second = _accounts(parser, arguments, servers[0])
    if arguments.aor is not None and arguments.aor.scheme == "sips" and names != ("tls",):
        parser.error("a sips: AOR is registered by TLS only: use --transport tls")

    from twisted.internet import reactor

    from sipframe.cli.check_report import Reporter, run
    from sipframe.cli.register import until_done

    reporter = Reporter(
        sys.stdout, sys.stderr, shutil.get_terminal_size().columns, os.environ, verbose=arguments.verbose
    )
    runs = [_run(arguments, server, account, second) for server in servers]
    where = arguments.server
    reports = until_done(
        reactor, partial(run, reactor, runs, checks, arguments.timeout, os.urandom, reporter)
    )
    if arguments.json:
        reporter.json(where, reports)
    else:
        reporter.table(f"{where} as {account.aor}", reports)
    if arguments.junit is not None:
        try:
            arguments.junit.write_text(reporter.junit(where, reports), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{arguments.junit}: {error.strerror or error}") from None
    return 0 if all(report.conforms for report in reports) else 1


def _tell(checks: tuple[Check, ...]) -> None:
    width = max(len(one.id) for one in checks)
    for one in checks:
        over = "" if len(one.transports) == 3 else f" ({', '.join(sorted(one.transports))} only)"
        print(f"{one.id:{width}}  {one.level.name:6}  {one.reference}: {one.summary}{over}")


def _server(arguments: argparse.Namespace, name: str) -> Server:
    """Where the server is over one transport. Raises ValueError."""
    from sipframe.ua import parse_server

    text: str = arguments.server
    try:
        server = parse_server(f"{name}:{text}")
    except ValueError as error:
        raise ValueError(str(error).replace(f"{name}:", "", 1)) from None
    if name != "tls":
        return server
    if arguments.tls_port is not None:
        return server._replace(port=arguments.tls_port)
    plain = parse_server(f"udp:{text}").port
    return server._replace(port=plain + 1) if arguments.transport == "all" else server


def _accounts(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, server: Server
) -> tuple[Account, Account | None]:
    from sipframe.cli.register import parse_aor
    from sipframe.ua import Account

    host = f"[{server.host}]" if ":" in server.host else server.host
    try:
        own = arguments.aor or parse_aor(f"sip:{arguments.user}@{host}")
        other = None if arguments.second_user is None else own._replace(user=arguments.second_user)
        if other is not None:
            _ = parse_aor(str(other))
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    account = Account(own, arguments.user, _password(parser, arguments.password_file, str(own)))
    if other is None:
        return account, None
    return account, Account(
        other, arguments.second_user, _password(parser, arguments.second_password_file, "")
    )


def _password(parser: argparse.ArgumentParser, file: str | None, who: str) -> str:
    from sipframe.cli.password import ask_password, read_password

    try:
        password = ask_password(f"Password of {who}: ") if file is None else read_password(file)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror or error}") from None
    if not password:
        parser.error("--password-file is missing, and there is no terminal to ask for a password")
    return password


def _run(arguments: argparse.Namespace, server: Server, account: Account, second: Account | None) -> Run:
    from sipframe.checking import Target
    from sipframe.cli.check_report import Run
    from sipframe.cli.register import creator_for

    target = Target(
        transport=server.transport,
        account=account,
        second=second,
        checked_certificate=not arguments.insecure,
    )
    return Run(server, target, creator_for(server, arguments) if server.transport == "TLS" else None)
