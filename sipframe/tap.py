"""``twistd sipregistrar``: the command line as settings, and the service they make.

Rules: everything that can be wrong with an option is found out while options are read, and ends the start with one line
before anything listens: without the pages of help that twistd would print above it, and with a status that is not 0.
The reactor is imported inside functions only.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from twisted.application.service import IService
from twisted.python import usage

from sipframe.auth.settings import DigestSettings
from sipframe.cli.state import default_state_directory
from sipframe.config import (
    DEFAULT_DOMAIN,
    DEFAULT_LISTEN,
    LOOPBACK_ALIASES,
    LocationChoice,
    Settings,
    accounts_directory,
)
from sipframe.transaction import TimerSettings, TransactionSettings
from sipframe.transport import ListenAddress
from sipframe.verdicts import Terms

__all__ = ["Options", "makeService"]

_LEVELS = ("info", "debug")


_STATE = "$XDG_STATE_HOME/sipframe or ~/.local/state/sipframe"


class Options(usage.Options):
    """What ``twistd sipregistrar --help`` shows."""

    synopsis = "[options]"
    longdesc = (
        "Serves a SIP registrar. Without options: UDP and TCP on port 5060 and TLS on 5061 of loopback, for the "
        "domain localhost, with a self-signed certificate. Accounts are made with 'sipframe user add'."
    )

    optParameters: ClassVar[list[list[Any]]] = [
        ["state", None, None, f"Directory of accounts, bindings, certificate [default: {_STATE}]"],
        ["realm", None, None, "Digest realm of all domains [default: each domain is its own]"],
        ["credentials", None, "sqlite", "Accounts: sqlite[:path=DIRECTORY]; by itself those in --state"],
        ["location", None, "sqlite", "Location store: memory, or sqlite[:path=FILE][:durability=process|power]"],
        ["client-ca", None, None, "PEM file of authorities; asks clients for certificates and verifies those sent"],
        ["digest", None, "compatible", "compatible (MD5), strict (SHA-256, SHA-512-256), or a list: SHA-256,MD5"],
        ["default-expires", None, 3600, "Seconds for a contact that asks for none"],
        ["min-expires", None, 60, "Less than this is answered 423"],
        ["max-expires", None, 7200, "More than this is cut down to it"],
        ["max-contacts", None, 10, "Bindings that one address of record may have"],
        ["t1", None, 0.5, "RFC 3261's T1, the round-trip time estimate, in seconds"],
        ["plugin-deadline", None, 5.0, "Seconds that a plug-in may take for one answer"],
        ["stop-deadline", None, 5.0, "Seconds that a stop waits for requests that are not answered yet"],
        ["log-level", None, "info", "info, or debug: every registration and refusal as well"],
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.listen: list[ListenAddress] = []
        self.domains: list[str] = []
        self.aliases: dict[str, str] = {}
        self.chains: list[Path] = []
        self.key_files: list[Path] = []
        self.settings: Settings | None = None

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read the command line; end the process with one line when it is wrong."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except usage.UsageError as error:
            sys.exit(f"sipregistrar: {error}")

    def opt_listen(self, text: str) -> None:
        """TRANSPORT:PORT[:interface=ADDRESS], TRANSPORT being udp, tcp or tls. Repeatable."""
        self.listen.append(_checked("--listen", ListenAddress.parse, text))

    def opt_domain(self, name: str) -> None:
        """A domain whose users may register here. Repeatable [default: localhost]."""
        self.domains.append(name)

    def opt_alias(self, text: str) -> None:
        """HOST=DOMAIN: HOST in a request names users of DOMAIN. Repeatable."""
        host, equals, domain = text.partition("=")
        if not equals or not host or not domain:
            raise usage.UsageError(f"--alias {text!r}: write HOST=DOMAIN")
        self.aliases[host] = domain

    def opt_certificate(self, path: str) -> None:
        """PEM file with the certificate and its chain. Repeatable, for SNI; the first is the default."""
        self.chains.append(Path(path))

    def opt_private_key(self, path: str) -> None:
        """PEM file with the private key of the --certificate in the same place of the order. Repeatable."""
        self.key_files.append(Path(path))

    def postOptions(self) -> None:
        """Make the settings. Raises UsageError with one line."""
        if len(self.chains) != len(self.key_files):
            raise usage.UsageError("give as many --private-key as --certificate: they belong together")
        if self["log-level"] not in _LEVELS:
            raise usage.UsageError(f"--log-level {self['log-level']}: one of {', '.join(_LEVELS)}")
        for option, paths in (
            ("certificate", self.chains),
            ("private-key", self.key_files),
            ("client-ca", [Path(self["client-ca"])] if self["client-ca"] is not None else []),
        ):
            for path in paths:
                if not path.exists():
                    raise usage.UsageError(f"--{option} {path}: no such file")
        if self["state"] == "":
            raise usage.UsageError("--state: the name of the directory is empty")
        domains = tuple(self.domains) or (DEFAULT_DOMAIN,)
        aliases = self.aliases if self.domains else {**LOOPBACK_ALIASES, **self.aliases}
        try:
            self.settings = Settings(
                state=Path(self["state"]) if self["state"] else default_state_directory(),
                listen=tuple(self.listen) or DEFAULT_LISTEN,
                domains=domains,
                aliases=aliases,
                realm=self["realm"],
                certificates=tuple(zip(self.chains, self.key_files, strict=True)),
                client_ca=None if self["client-ca"] is None else Path(self["client-ca"]),
                accounts=accounts_directory(self["credentials"]),
                location=LocationChoice.parse(self["location"]),
                terms=Terms(
                    default_expires=self._whole("default-expires"),
                    min_expires=self._whole("min-expires"),
                    max_expires=self._whole("max-expires"),
                    max_contacts=self._whole("max-contacts"),
                ),
                digest=_digest(self["digest"]),
                transactions=TransactionSettings(timers=TimerSettings(t1=self._seconds("t1"))),
                plugin_deadline=self._seconds("plugin-deadline"),
                stop_deadline=self._seconds("stop-deadline"),
            )
        except ValueError as error:
            raise usage.UsageError(" ".join(str(error).split())) from None

    def _whole(self, name: str) -> int:
        try:
            return int(self[name])
        except ValueError:
            raise usage.UsageError(f"--{name} {self[name]!r}: not a whole number") from None

    def _seconds(self, name: str) -> float:
        try:
            number = float(self[name])
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number > 0):
            raise usage.UsageError(f"--{name} {self[name]!r}: not a number of seconds above 0")
        return number


def _checked(option: str, parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise usage.UsageError(f"{option} {error}") from None


def _digest(text: str) -> DigestSettings:
    if text == "compatible":
        return DigestSettings()
    if text == "strict":
        return DigestSettings.strict()
    return DigestSettings(algorithms=tuple(text.split(",")))


def makeService(options: Options) -> IService:
    """The service that twistd runs."""
    from twisted.internet import reactor

    from sipframe.process import ServedProcess

    assert options.settings is not None
    parent: Any = options.parent  # twistd's own options
    service: IService = ServedProcess(
        options.settings,
        reactor=reactor,
        events_to_log=options["log-level"] == "debug",
        daemon=parent is not None and not parent["nodaemon"],
    )
    return service
