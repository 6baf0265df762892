"""The domains that are served, and the names under which they are addressed (RFC 3261 10.3 steps 1 and 5).

Rules: a host is ours when it is a domain, an alias of one, or the very address that the request came in on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from sipframe.interfaces import IFlow
from sipframe.message import MessageError, SipURI, aor_of, parse_uri

__all__ = ["Domains", "is_host"]

_MOST_REMEMBERED: Final = 1024
"""Hosts whose answer is kept; of a host no more than 255 octets are worth it (RFC 1035 2.3.4)."""


def is_host(name: str) -> bool:
    """Whether ``name`` can stand behind the @ of a SIP URI (RFC 3261 25.1); an IPv6 address may lack its brackets."""
    host = f"[{name}]" if ":" in name and name[:1] != "[" else name
    try:
        uri = parse_uri(f"sip:{host}")
    except MessageError:
        return False
    return isinstance(uri, SipURI) and uri.host.lower() == host.lower()


class Domains:
    """Which hosts mean which domain. ``aliases`` maps a host to the domain whose users it names."""

    __slots__ = ("_by_host", "_found", "names")

    def __init__(self, names: Iterable[str], aliases: Mapping[str, str] | None = None) -> None:
        self.names = tuple(dict.fromkeys(_plain(name) for name in names))
        self._by_host = {name: name for name in self.names}
        for alias, name in (aliases or {}).items():
            if _plain(name) not in self._by_host:
                raise ValueError(f"the alias {alias!r} names {name!r}, which is no domain that is served")
            self._by_host[_plain(alias)] = _plain(name)
        by_host = self._by_host
        # Most hosts in calls are none of ours, and the same ones come again.
        self._found = lru_cache(_MOST_REMEMBERED)(lambda host: by_host.get(_plain(host)))

    def domain_of(self, host: str) -> str | None:
        """The domain that ``host`` (as in a URI) stands for, or None."""
        return self._by_host.get(host) or self._found(host)

    def serves(self, uri: object, flow: IFlow) -> bool:
        """Whether a Request-URI names a domain of ours, or the address that the request came in on."""
        if not isinstance(uri, SipURI):
            return False
        return self.domain_of(uri.host) is not None or uri.host.strip("[]") == flow.local.host

    def aor_of(self, uri: SipURI) -> str | None:
        """The canonical AOR of a user of ours, or None when the domain is not served or no user is named."""
        domain = self.domain_of(uri.host)
        if domain is None or uri.user is None:
            return None
        if domain == uri.host:
            return aor_of(uri)
        return aor_of(uri._replace(host=f"[{domain}]" if ":" in domain else domain))

    def aor_named(self, user: str, domain: str) -> str:
        """The canonical AOR of ``user``, a plain text, in ``domain``, which is taken as it is: no alias is followed."""
        host = _plain(domain)
        return f"sip:{user}@[{host}]" if ":" in host else f"sip:{user}@{host}"

    def aors_called(self, text: str) -> frozenset[str]:
        """The AORs that ``text``, as a person writes it, may mean on record: itself, without parameters, and with the
        domain in place of an alias. ``sip:`` may be left out. Empty for the empty text.
        """
        try:
            uri = parse_uri(text if text.lower().startswith(("sip:", "sips:")) else f"sip:{text}")
        except MessageError:
            return frozenset((text,)) - {""}  # which is what answers about nobody have
        if not isinstance(uri, SipURI):
            return frozenset((text,))
        return frozenset({text, aor_of(uri), self.aor_of(uri) or text}) - {""}

    def aor_asked(self, uri: SipURI, to: SipURI) -> str:
        """The AOR that a REGISTER is about: the one in To, canonical.

        Empty when it is not served, or not valid for the domain in the Request-URI (RFC 3261 10.3 step 5).
        """
        if uri.host != to.host and self.domain_of(uri.host) not in (
            None,  # the address that the request came in on stands for every domain
            self.domain_of(to.host),
        ):
            return ""
        return self.aor_of(to) or ""


def _plain(host: str) -> str:
    plain = host.strip("[]").rstrip(".").lower()
    if ":" in plain:
        try:
            return str(ip_address(plain))  # RFC 5954 4.2: an IPv6 address can be written in many ways
        except ValueError:
            pass
    return plain
