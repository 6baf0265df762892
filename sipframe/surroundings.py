"""What a plug-in that the server makes may know of the server it is made for.

Rules: values and callables only, no part of the server's working. A plug-in asks for it by having a parameter named
``surroundings``; one that needs none of this is simply constructed with its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
from zope.interface.interface import InterfaceClass

from sipframe.events import Events
from sipframe.interfaces import ICredentialSource

__all__ = ["Surroundings"]


@attrs.frozen(kw_only=True)
class Surroundings:
    """One server, as its plug-ins see it."""

    reactor: Any
    """The reactor (IReactorTime and what else it is); in tests a clock."""
    wall_clock: Callable[[], float]
    """Seconds since 1970."""
    entropy: Callable[[int], bytes]
    """So many octets that nobody can guess."""
    state: Path
    """The server's own directory; it exists."""
    base: Path
    """Where relative paths in arguments begin: the configuration file's directory, or where the server was started."""
    domains: tuple[str, ...]
    """The domains that are served, the principal one first, in lower case."""
    aliases: Mapping[str, str]
    """Hosts that name a domain's users as well: alias to domain."""
    realm: str | None
    """The digest realm of all domains; None makes each domain its own realm."""
    events: Events
    """Where to publish what happened, and to hear of it."""
    credentials: Callable[[], ICredentialSource]
    """Whom an authenticator asks for secrets: all credential sources as one, made when it is first wanted."""
    plug_in: Callable[[InterfaceClass, str], Any]
    """Make another plug-in: ``plug_in(IPolicy, "name:key=value")``, for those that stand around others. It is guarded
    and closed with the rest. Raises ValueError."""
