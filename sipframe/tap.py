"""``twistd sipregistrar``: the command line as settings, and the service they make.

Rules: everything that can be wrong with an option is found out while options are read, and ends the start with one line
before anything listens: without the pages of help that twistd would print above it, and with a status that is not 0.
What is on the command line counts, then what is in the configuration file. The reactor is imported inside functions
only.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import attrs
from twisted.application.service import IService
from twisted.python import usage
from zope.interface.interface import InterfaceClass

from sipframe.arguments import from_text, with_hyphens
from sipframe.cli.state import default_state_directory
from sipframe.config import CHOICES, DEFAULT_DOMAIN, LOOPBACK_ALIASES, Settings
from sipframe.config_file import ConfigurationError, read_configuration
from sipframe.domains import Domains
from sipframe.interfaces import IAuthenticator, ICredentialSource, ILocationStore, IPolicy
from sipframe.plugging import KINDS, Choice, check
from sipframe.transport import CertificateFiles, ListenAddress
from sipframe.wiring import StartError, expired, tls_identity

__all__ = ["Options", "makeService"]

_STATE = "$XDG_STATE_HOME/sipframe or ~/.local/state/sipframe"
_TERMS = ("default-expires", "min-expires", "max-expires", "max-contacts")


class Options(usage.Options):
    """What ``twistd sipregistrar --help`` shows."""

    synopsis = "[options]"
    longdesc = (
        "Serves a SIP registrar and proxy. Without options: UDP and TCP on port 5060 and TLS on 5061 of loopback, for "
        "the domain localhost, with a self-signed certificate. Accounts are made with 'sipframe user add'."
    )

    optParameters: ClassVar[list[list[Any]]] = [
        ["config", None, None, "TOML file with settings; what the command line says counts before it"],
        ["state", None, None, f"Directory of accounts, bindings, certificate [default: {_STATE}]"],
        ["realm", None, None, "Digest realm of all domains [default: each domain is its own]"],
        ["location", None, None, "Location store, NAME[:KEY=VALUE...]; see --help-location [default: sqlite]"],
        ["client-ca", None, None, "PEM file of authorities; asks clients for certificates and verifies those sent"],
        ["digest", None, None, "compatible (MD5), strict (SHA-256, SHA-512-256), or a list: SHA-256,MD5"],
        ["default-expires", None, None, "Seconds for a contact that asks for none [default: 3600]"],
        ["min-expires", None, None, "Less than this is answered 423 [default: 60]"],
        ["max-expires", None, None, "More than this is cut down to it [default: 7200]"],
        ["max-contacts", None, None, "Bindings that one address of record may have [default: 10]"],
        ["strangers", None, None, "Requests of other domains to our users: pass, authenticate, refuse [default: pass]"],
        ["record-route", None, None, "Stay on the way of later requests of a dialog: yes or no [default: yes]"],
        ["t1", None, None, "RFC 3261's T1, the round-trip time estimate, in seconds [default: 0.5]"],
        ["plugin-deadline", None, None, "Seconds that a plug-in may take for one answer [default: 5.0]"],
        ["stop-deadline", None, None, "Seconds that a stop waits for requests that wait [default: 5.0]"],
        ["admin", None, None, "Socket for 'sipframe why': yes (admin.sock in --state), no, or a path [default: yes]"],
        ["log-level", None, None, "info, or debug: every registration and refusal as well [default: info]"],
    ]  # fmt: skip

    optFlags: ClassVar[list[list[Any]]] = [
        [
            "check-config",
            None,
            "Check the configuration and all options, say what is wrong with them, and end",
        ],
        ["no-proxy", None, "Forward nothing to anybody: be a registrar and nothing else"],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.listen: list[ListenAddress] = []
        self.domains: list[str] = []
        self.aliases: dict[str, str] = {}
        self.relay_to: list[str] = []
        self.service_route: list[str] = []
        self.chains: list[Path] = []
        self.key_files: list[Path] = []
        self.choices: dict[InterfaceClass, list[Choice]] = {}
        self.settings: Settings | None = None

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read the command line; end the process with one line when it is wrong."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except usage.UsageError as error:
            sys.exit(f"sipregistrar: {error}")

    def parseArgs(self, *arguments: str) -> None:
        """There are only options."""
        if arguments:
            raise usage.UsageError(f"{arguments[0]!r} is no option; --help lists them")

    def opt_listen(self, text: str) -> None:
        """TRANSPORT:PORT[:interface=ADDRESS], TRANSPORT being udp, tcp or tls. Repeatable."""
        self.listen.append(_checked("listen", ListenAddress.parse, text))

    def opt_domain(self, name: str) -> None:
        """A domain whose users may register here. Repeatable [default: localhost]."""
        self.domains.append(name)

    def opt_alias(self, text: str) -> None:
        """HOST=DOMAIN: HOST in a request names users of DOMAIN. Repeatable."""
        host, equals, domain = text.partition("=")
        if not equals or not host or not domain:
            raise usage.UsageError(f"--alias {text!r}: write HOST=DOMAIN")
        self.aliases[host] = domain

    def opt_relay_to(self, domain: str) -> None:
        """A domain of others that anybody may send requests to by us, which stands in front of it. Repeatable."""
        self.relay_to.append(domain)

    def opt_certificate(self, path: str) -> None:
        """PEM file with the certificate and its chain. Repeatable, for SNI; the first is the default."""
        self.chains.append(Path(path))

    def opt_private_key(self, path: str) -> None:
        """PEM file with the private key of the --certificate in the same place of the order. Repeatable."""
        self.key_files.append(Path(path))

    def opt_credentials(self, text: str) -> None:
        """Credential source, NAME[:KEY=VALUE...]. Repeatable: the first that knows a user decides [default: sqlite]."""
        self._choose(ICredentialSource, text)

    def opt_auth(self, text: str) -> None:
        """Authenticator, NAME[:KEY=VALUE...]. Repeatable: they form a chain [default: digest]."""
        self._choose(IAuthenticator, text)

    def opt_policy(self, text: str) -> None:
        """Policy, NAME[:KEY=VALUE...]. Repeatable, asked in this order [default: none]."""
        self._choose(IPolicy, text)

    def opt_service_route(self, text: str) -> None:
        """<sip:HOST;lr>: a proxy that phones shall send their requests by (RFC 3608). Repeatable [default: none]."""
        self.service_route.append(text)

    def opt_help_credentials(self) -> None:
        """List the credential sources that are installed, and end."""
        _list_and_end(ICredentialSource)

    def opt_help_auth(self) -> None:
        """List the authenticators that are installed, and end."""
        _list_and_end(IAuthenticator)

    def opt_help_location(self) -> None:
        """List the location stores that are installed, and end."""
        _list_and_end(ILocationStore)

    def opt_help_policy(self) -> None:
        """List the policies that are installed, and end."""
        _list_and_end(IPolicy)

    def _choose(self, interface: InterfaceClass, text: str) -> None:
        choice: Choice = _checked(KINDS[interface].option, Choice.parse, text)
        self.choices.setdefault(interface, []).append(choice)

    def postOptions(self) -> None:
        """Make the settings. Raises UsageError with one line."""
        if len(self.chains) != len(self.key_files):
            raise usage.UsageError("give as many --private-key as --certificate: they belong together")
        if self["state"] == "":
            raise usage.UsageError("--state: the name of the directory is empty")
        try:
            self.settings = self.read()
        except ConfigurationError as error:
            if self["check-config"]:
                sys.exit("\n".join([f"{error.file}: {mistake}" for mistake in error.mistakes]))
            raise usage.UsageError(str(error)) from None
        except _Mistakes as error:
            if self["check-config"]:
                sys.exit("\n".join([f"sipregistrar: {mistake}" for mistake in error.mistakes]))
            raise usage.UsageError(str(error)) from None
        except ValueError as error:
            raise usage.UsageError(" ".join(str(error).split())) from None
        if self["check-config"]:
            flaws = list(_flaws(self.settings))
            if flaws:
                sys.exit("\n".join([f"sipregistrar: {flaw}" for flaw in flaws]))
            _say_and_end(["sipregistrar: nothing is wrong with it"])

    def read(self) -> Settings:
        """The settings of the configuration file, as it is now, and of the command line. Raises ValueError."""
        state = default_state_directory()
        settings = Settings(state=state)
        if self["config"] is not None:
            settings = read_configuration(Path(self["config"]), state)
        given = self._given(settings)
        settings = attrs.evolve(settings, **given)
        mistakes = list(_mistakes(settings))
        if mistakes:
            raise _Mistakes(mistakes)
        return settings

    def _given(self, settings: Settings) -> dict[str, Any]:
        """What the command line says, for the fields of ``settings``."""
        given: dict[str, Any] = {}
        for name in ("state", "client-ca"):
            if self[name] is not None:
                given[name.replace("-", "_")] = Path(self[name])
        for name in ("realm", "log-level"):
            if self[name] is not None:
                given[name.replace("-", "_")] = self[name]
        if self["admin"] is not None:
            given["admin"] = _checked("admin", partial(from_text, bool | Path), self["admin"])
        if self["plugin-deadline"] is not None:
            deadline = self._number("plugin-deadline", float)
            given["plug_ins"] = attrs.evolve(settings.plug_ins, deadline=deadline)
        if self["stop-deadline"] is not None:
            given["stop_deadline"] = self._number("stop-deadline", float)
        if self.listen:
            given["listen"] = tuple(self.listen)
        if self.domains:
            given["domains"] = tuple(self.domains)
        if self.domains or self.aliases:
            domains = given.get("domains", settings.domains)
            given["aliases"] = {**(LOOPBACK_ALIASES if domains == (DEFAULT_DOMAIN,) else {}), **self.aliases}
        if self.chains:
            given["certificates"] = [
                CertificateFiles(*pair) for pair in zip(self.chains, self.key_files, strict=True)
            ]
        if self.service_route:
            try:
                registrar = attrs.evolve(settings.registrar, service_route=self.service_route)
            except ValueError as error:
                raise ValueError(f"--{with_hyphens(error, ['service_route'])}") from None
            given["registrar"] = registrar
        terms = {name.replace("-", "_"): self._number(name, int) for name in _TERMS if self[name] is not None}
        if terms:
            given["terms"] = settings.terms._replace(**terms)
        if self["t1"] is not None:
            timers = attrs.evolve(settings.transactions.timers, t1=self._number("t1", float))
            given["transactions"] = attrs.evolve(settings.transactions, timers=timers)
        given |= self._plug_ins(settings)
        proxy: dict[str, Any] = {}
        if self["no-proxy"]:
            proxy["enabled"] = False
        if self["strangers"] is not None:
            proxy["strangers"] = self["strangers"]
        if self["record-route"] is not None:
            proxy["record_route"] = _checked("record-route", partial(from_text, bool), self["record-route"])
        if self.relay_to:
            proxy["relay_to"] = tuple(self.relay_to)
        try:
            given["proxy"] = attrs.evolve(settings.proxy, **proxy)
        except ValueError as error:
            raise ValueError(f"--{error}") from None
        return given

    def _plug_ins(self, settings: Settings) -> dict[str, Any]:
        given: dict[str, Any] = {
            name: tuple(self.choices[interface])
            for name, interface in CHOICES.items()
            if interface in self.choices
        }
        if self["location"] is not None:
            given["location"] = _checked("location", Choice.parse, self["location"])
        if self["digest"] is not None:
            authenticators = given.get("authenticators", settings.authenticators)
            if not any(choice.name == "digest" for choice in authenticators):
                raise ValueError("--digest: there is no digest among --auth")
            given["authenticators"] = tuple(
                [_with_digest(choice, self["digest"]) for choice in authenticators]
            )
        for name, interface in CHOICES.items():
            chosen = given.get(name, ())
            for choice in chosen if isinstance(chosen, tuple) else (chosen,):
                try:
                    check(interface, choice, settings.base)
                except ValueError as error:
                    raise ValueError(f"--{KINDS[interface].option} {error}") from None
        return given

    def _number(self, name: str, kind: type) -> Any:
        try:
            number = from_text(kind, self[name])
        except ValueError as error:
            raise ValueError(f"--{name} {error}") from None
        if kind is float and not (math.isfinite(number) and number > 0):
            raise ValueError(f"--{name} {self[name]!r}: not a number of seconds above 0")
        return number


def _checked(option: str, parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise usage.UsageError(f"--{option} {error}") from None


def _with_digest(choice: Choice, text: str) -> Choice:
    """``choice``, when it is Digest, with the algorithms of ``--digest``."""
    if choice.name != "digest" or text == "compatible":
        return choice
    if text == "strict":
        strict = {"algorithms": "SHA-256,SHA-512-256", "legacy-without-qop": "no"}
        return Choice(choice.name, {**choice.arguments, **strict})
    return Choice(choice.name, {**choice.arguments, "algorithms": text})


class _Mistakes(ValueError):
    """What does not fit together in settings, whether the command line says it or a file: a line each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def _mistakes(settings: Settings) -> Iterator[str]:
    try:
        Domains(settings.domains, settings.aliases)
    except ValueError as error:
        yield str(error)
    named = [("--client-ca", settings.client_ca), ("peer-ca", settings.peer_ca)]
    for files in settings.certificates:
        named += [("--certificate", files.certificate), ("--private-key", files.private_key)]
    for option, path in named:
        if path is not None and not path.exists():
            yield f"{option} {path}: no such file"


def _flaws(settings: Settings) -> Iterator[str]:
    """What is wrong with the content of files that a start reads."""
    if not settings.certificates:
        return
    now = time.time()
    try:
        tls_identity(settings, now)
    except StartError as error:
        yield str(error)
        return
    yield from expired(settings.certificates, now)


def _list_and_end(interface: InterfaceClass) -> None:
    from sipframe.cli.installed import listing

    _say_and_end(listing(interface))


def _say_and_end(lines: Sequence[str]) -> None:
    sys.stdout.write("".join([f"{line}\n" for line in lines]))
    sys.exit(0)


def makeService(options: Options) -> IService:
    """The service that twistd runs."""
    from twisted.internet import reactor

    from sipframe.process import ServedProcess

    assert options.settings is not None
    parent: Any = options.parent  # twistd's own options
    service: IService = ServedProcess(
        options.settings,
        reactor=reactor,
        read=options.read,
        daemon=parent is not None
        and not parent.get("nodaemon", True),  # twist never is one, and has no such option
    )
    return service
