"""``sipframe register``: register with any server, as a phone does, and draw what happens.

Rules: only the command line is here, and what is slow is imported when it is wanted. No password is taken from the
command line, where every process could read it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipframe.cli.command import CommandError, Commands

if TYPE_CHECKING:
    from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

    from sipframe.message import SipURI
    from sipframe.ua import Action, Contact, Server

__all__ = ["creator_for", "parse_aor", "register", "until_done"]


def register(commands: Commands) -> None:
    """Add ``register``."""
    parser = commands.add_parser("register", help="register with a server and draw what happens")
    parser.description = (
        "Registers an address-of-record with a SIP server, as a phone does, draws the messages as they are sent and"
        " answered, and lists the bindings that the server then has. The exit code is 0 when the last answer is 200."
    )
    parser.add_argument("aor", metavar="AOR", type=parse_aor, help="sip:NAME@DOMAIN, or NAME@DOMAIN")
    parser.add_argument(
        "--server",
        metavar="TRANSPORT:HOST[:PORT]",
        type=_server,
        help="udp, tcp or tls and where to (default: the AOR's domain, by UDP; for sips: by TLS)",
    )
    parser.add_argument("--username", help="the name to authenticate with (default: the AOR's)")
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        help="read the password from FILE, - for standard input (default: ask for it)",
    )
    parser.add_argument(
        "--contact",
        metavar="URI",
        type=_contact,
        action="append",
        default=[],
        help="what to bind to the AOR; may be repeated (default: made from the local address)",
    )
    parser.add_argument("--expires", metavar="SECONDS", type=_seconds, help="how long the binding shall last")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--fetch", action="store_true", help="change nothing, list the bindings")
    action.add_argument("--remove", action="store_true", help="remove the bindings of each --contact")
    action.add_argument("--remove-all", action="store_true", help="remove all bindings (Contact: *)")
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
        default=32.0,
        help="how long to wait in all (default: %(default)g)",
    )
    parser.add_argument("--verbose", action="store_true", help="show whole messages, digests left out")
    parser.set_defaults(run=partial(_register, parser))


def parse_aor(text: str) -> SipURI:
    """The AOR that ``sip:NAME@DOMAIN`` or ``NAME@DOMAIN`` names. Raises ArgumentTypeError."""
    from sipframe.message import MessageError, SipURI, parse_uri

    try:
        uri = parse_uri(text if text.lower().startswith(("sip:", "sips:")) else f"sip:{text}")
    except MessageError as error:
        raise argparse.ArgumentTypeError(f"{text!a}: {error.reason}") from None
    if not isinstance(uri, SipURI) or not uri.user:
        raise argparse.ArgumentTypeError(f"{text!a} is not sip:NAME@DOMAIN")
    return SipURI(uri.scheme, uri.user, None, uri.host, uri.port, (), ())


def _server(text: str) -> Server:
    from sipframe.ua import parse_server

    try:
        return parse_server(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _contact(text: str) -> Contact:
    from sipframe.message import MessageError, parse_name_addr
    from sipframe.ua import Contact

    try:
        contact = parse_name_addr(text if "<" in text else f"<{text}>")
        _ = contact.uri
    except MessageError as error:
        raise argparse.ArgumentTypeError(f"{text!a}: {error.reason}") from None
    params = tuple([one for one in contact.params if one[0] != "expires"])
    return Contact(str(contact._replace(params=params)), contact.expires)


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"{text!a} is no number of seconds under 2**32")
    return int(text)


def _timeout(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86400:
        raise argparse.ArgumentTypeError(f"{text!a} is no number of seconds")
    return seconds


def _register(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from sipframe.cli.password import ask_password, read_password
    from sipframe.message.uri import plain
    from sipframe.ua import Account, server_of

    aor: SipURI = arguments.aor
    server: Server = arguments.server or server_of(aor)
    if arguments.remove and not arguments.contact:
        parser.error("--remove needs --contact; --remove-all removes everything")
    if arguments.contact and (arguments.fetch or arguments.remove_all):
        parser.error("--contact goes with neither --fetch nor --remove-all")
    if aor.scheme == "sips" and server.transport != "TLS":
        parser.error("a sips: AOR is registered by TLS only: use --server tls:HOST:PORT")
    if server.transport != "TLS" and (arguments.ca_file or arguments.insecure):
        parser.error("--ca-file and --insecure are for TLS: use --server tls:HOST:PORT")
    creator = creator_for(server, arguments) if server.transport == "TLS" else None
    try:
        if arguments.password_file is None:
            password = ask_password(f"Password of {aor.user}@{aor.host}: ")
        else:
            password = read_password(arguments.password_file)
    except OSError as error:
        raise CommandError(f"{arguments.password_file}: {error.strerror or error}") from None

    from twisted.internet import reactor

    from sipframe.cli.registering import Settings, run
    from sipframe.cli.watching import Watcher

    account = Account(aor, arguments.username or plain(aor.user or ""), password)
    settings = Settings(
        account=account,
        server=server,
        creator=creator,
        action=_action(arguments),
        contacts=tuple(arguments.contact),
        expires=arguments.expires,
        timeout=arguments.timeout,
    )
    seconds: Callable[[], float] = reactor.seconds
    watcher = Watcher(
        sys.stdout,
        shutil.get_terminal_size().columns,
        os.environ,
        seconds,
        verbose=arguments.verbose,
        unchecked=arguments.insecure,
    )
    return int(until_done(reactor, partial(run, reactor, settings, os.urandom, watcher)))


def until_done(reactor: Any, start: Callable[[], Any]) -> Any:
    """Run the reactor until the coroutine of ``start`` has ended; return its result or raise what it raised."""
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    results: list[Any] = []

    def end(result: Any) -> None:
        if not results:
            results.append(result)
            reactor.stop()

    def interrupted() -> None:
        # The reactor is stopping. What its closing sockets make of the registration is of no interest.
        if not results:
            results.append(KeyboardInterrupt())

    def begin() -> None:
        reactor.addSystemEventTrigger("before", "shutdown", interrupted)
        _ = Deferred.fromCoroutine(start()).addBoth(end)

    reactor.callWhenRunning(begin)
    reactor.run()
    result = results[0]
    if isinstance(result, KeyboardInterrupt):
        raise result
    if isinstance(result, Failure):
        result.raiseException()
    return result


def creator_for(server: Server, arguments: argparse.Namespace) -> IOpenSSLClientConnectionCreator:
    """Whom ``--ca-file`` and ``--insecure`` have a TLS client believe. Raises CommandError."""
    from sipframe.ua.trust import Unchecked, read_authorities, verified

    if arguments.insecure:
        print(
            "sipframe: WARNING: --insecure: the certificate is not checked, anybody may be the server",
            file=sys.stderr,
            flush=True,
        )
        return Unchecked(server.host)
    try:
        authorities = None if arguments.ca_file is None else read_authorities(arguments.ca_file)
    except OSError as error:
        raise CommandError(f"{arguments.ca_file}: {error.strerror or error}") from None
    except ValueError as error:
        raise CommandError(f"{arguments.ca_file}: {error}") from None
    return verified(server.host, authorities)


def _action(arguments: argparse.Namespace) -> Action:
    from sipframe.ua import Action

    if arguments.fetch:
        return Action.FETCH
    if arguments.remove_all:
        return Action.REMOVE_ALL
    return Action.REMOVE if arguments.remove else Action.BIND
