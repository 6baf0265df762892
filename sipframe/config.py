"""Settings: everything that can be set about a server, frozen, with its default.

Rules: a setting is checked when it is made, and a wrong one raises ValueError with one line that names it. Nothing
here opens a file or a socket.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import attrs
from zope.interface.interface import InterfaceClass

from sipframe.domains import is_host
from sipframe.interfaces import IAuthenticator, ICredentialSource, ILocationStore, IPolicy
from sipframe.plugging import Choice
from sipframe.proxy import ProxySettings
from sipframe.registrar import RegistrarSettings
from sipframe.seams import PluginLimits
from sipframe.transaction import TransactionSettings
from sipframe.transport import CertificateFiles, ListenAddress, ResolverSettings, TransportLimits
from sipframe.verdicts import Terms

__all__ = [
    "CHOICES",
    "DEFAULT_DOMAIN",
    "DEFAULT_LISTEN",
    "LOOPBACK_ALIASES",
    "Settings",
]

DEFAULT_DOMAIN = "localhost"
LOOPBACK_ALIASES: Mapping[str, str] = MappingProxyType({"127.0.0.1": DEFAULT_DOMAIN, "::1": DEFAULT_DOMAIN})
"""Without any domain given, users of ``localhost`` may be named by the loopback addresses as well."""

DEFAULT_LISTEN: tuple[ListenAddress, ...] = (
    ListenAddress.parse("udp:5060:interface=127.0.0.1"),
    ListenAddress.parse("tcp:5060:interface=127.0.0.1"),
    ListenAddress.parse("tls:5061:interface=127.0.0.1"),
)


CHOICES: Mapping[str, InterfaceClass] = MappingProxyType(
    {
        "credentials": ICredentialSource,
        "authenticators": IAuthenticator,
        "location": ILocationStore,
        "policies": IPolicy,
    }
)
"""The settings that choose plug-ins, and of which kind."""


def _aliases(domains: tuple[str, ...]) -> Mapping[str, str]:
    return LOOPBACK_ALIASES if domains == (DEFAULT_DOMAIN,) else MappingProxyType({})


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name}: must be more than 0, not {value}")


def _hosts(_: object, attribute: attrs.Attribute[Any], value: tuple[str, ...] | Mapping[str, str]) -> None:
    for name in value:
        if not is_host(name):
            raise ValueError(f"{attribute.name}: {name!r} is no domain name and no address")
    if attribute.name == "domains" and not value:
        raise ValueError("domains: one at least")


def _realm(_: object, __: object, value: str | None) -> None:
    # Unprintable are the control characters, and what stands for octets that are no UTF-8.
    if value is not None and not (value and value.isprintable()):
        raise ValueError(f"realm {value!r}: must be text, and not empty")


def _terms(_: object, attribute: attrs.Attribute[Any], value: Terms) -> None:
    if not 0 < value.min_expires <= value.default_expires <= value.max_expires <= 2**32 - 1:
        raise ValueError(
            "expiry terms: 0 < min-expires <= default-expires <= max-expires < 2**32, not "
            f"{value.min_expires}, {value.default_expires}, {value.max_expires}"
        )
    if value.max_contacts < 1:
        raise ValueError(f"max-contacts: must be 1 or more, not {value.max_contacts}")


def _log_level(_: object, __: object, value: str) -> None:
    if value not in ("info", "debug"):
        raise ValueError(f"log-level {value!r}: one of info, debug")


def _admin(_: object, __: object, value: bool | Path | None) -> None:
    if isinstance(value, Path) and value.name in ("yes", "no", "true", "false"):
        raise ValueError(f"admin: {value.name!r} is a path; write true or false, without quotes")


def _certificates(files: Iterable[CertificateFiles | tuple[Path, Path]]) -> tuple[CertificateFiles, ...]:
    return tuple([one if isinstance(one, CertificateFiles) else CertificateFiles(*one) for one in files])


@attrs.frozen(kw_only=True)
class Settings:
    """One server. Paths are used as they are; times are in seconds."""

    state: Path
    """The state directory: accounts, bindings and, when none is given, the certificate."""
    listen: tuple[ListenAddress, ...] = DEFAULT_LISTEN
    """Where to listen. Without an interface it is every IPv4 address of the machine; port 0 lets the system choose."""
    domains: tuple[str, ...] = attrs.field(default=(DEFAULT_DOMAIN,), validator=_hosts)
    """Whose users may register here, the principal domain first."""
    aliases: Mapping[str, str] = attrs.field(
        default=attrs.Factory(lambda self: _aliases(self.domains), takes_self=True), validator=_hosts
    )
    """Hosts that name a domain's users as well: alias to domain. Without domains: :data:`LOOPBACK_ALIASES`."""
    realm: str | None = attrs.field(default=None, validator=_realm)
    """The digest realm of all domains; None makes each domain its own realm."""
    certificates: tuple[CertificateFiles, ...] = attrs.field(default=(), converter=_certificates)
    """PEM chain and PEM key, the default one first; the others are chosen by SNI. Empty: self-signed, in ``state``.
    Pairs of paths will do."""
    client_ca: Path | None = None
    """PEM file of the authorities whose client certificates are verified; None asks for none."""
    peer_ca: Path | None = None
    """PEM file of the authorities that are believed when we connect to others over TLS; None believes the system's. The
    first of ``certificates`` is what we show when asked; the self-signed one never is."""
    credentials: tuple[Choice, ...] = (Choice("sqlite"),)
    """Who knows the secrets, asked in this order: the first that knows a user decides."""
    authenticators: tuple[Choice, ...] = (Choice("digest"),)
    """Who says who is asking; several form a chain."""
    location: Choice = attrs.field(factory=lambda: Choice("sqlite"))
    """Where bindings are kept."""
    policies: tuple[Choice, ...] = ()
    """Who says what may happen, asked in this order: the first that refuses ends it."""
    base: Path = attrs.field(factory=Path.cwd)
    """Where relative paths in the arguments of plug-ins begin."""
    terms: Terms = attrs.field(default=Terms(), validator=_terms)
    """What a registration may ask for, before policies change it."""
    transactions: TransactionSettings = attrs.field(factory=TransactionSettings)
    """How many transactions there may be, and their timers."""
    limits: TransportLimits = attrs.field(factory=TransportLimits)
    """What peers may take up."""
    proxy: ProxySettings = attrs.field(factory=ProxySettings)
    """Which requests go on to others, and how (RFC 3261 16)."""
    registrar: RegistrarSettings = attrs.field(factory=RegistrarSettings)
    """What phones get that register: flows, URIs of their own, routes (RFC 5626, 5627, 3608)."""
    resolving: ResolverSettings = attrs.field(factory=ResolverSettings)
    """How the names in URIs become addresses (RFC 3263)."""
    plug_ins: PluginLimits = attrs.field(factory=PluginLimits)
    """How long a plug-in may take for one answer, how much it may be asked at once, and when it is left alone."""
    stop_deadline: float = attrs.field(default=5.0, validator=_positive)
    """How long a stop waits for requests that are not answered yet."""
    expire_every: float = attrs.field(default=1.0, validator=_positive)
    """How often the location store is told to forget what has expired."""
    certificates_every: float = attrs.field(default=10.0, validator=_positive)
    """How often certificate files are looked at for changes."""
    most_waiting: int = attrs.field(default=32, validator=_positive)
    """REGISTERs for one AOR that may wait for the one before them."""
    admin: bool | Path | None = attrs.field(default=None, validator=_admin)
    """The socket that ``sipframe why`` asks by: True is ``admin.sock`` in ``state``, a path is there, False is none.
    None is False in an embedded server, and True in one that has the process to itself."""
    decisions_kept: int = attrs.field(default=1000, validator=attrs.validators.ge(0))
    """How many decision records are kept, for ``sipframe why``; 0 keeps none."""
    log_level: Literal["info", "debug"] = attrs.field(default="info", validator=_log_level)
    """``debug`` writes every event to the log, and so every registration and refusal."""
