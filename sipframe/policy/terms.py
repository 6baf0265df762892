"""Registration terms: for everybody, for a domain, for a user.

Rules: only what is given changes; the rest is left as the settings and the policies before this one made it. First come
the terms that are given directly, for those whom ``domain`` and ``user`` name (both must fit; without them everybody),
then those of the domain's table, then those of the user's: the more special ones win. What is given wins over what came
in: when it would leave no ``min <= default <= max``, the ones that are not given follow it, no further than they must.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import attrs

from sipframe.domains import Domains
from sipframe.message import MessageError, SipURI, parse_uri
from sipframe.policy.base import BasePolicy
from sipframe.verdicts import Identity, Terms

if TYPE_CHECKING:
    from sipframe.message import Request

__all__ = ["RegistrationTerms", "TermsChange"]

_EXPIRY: Final = ("min_expires", "default_expires", "max_expires")
_MOST_SECONDS: Final = 2**32 - 1


def _seconds(_: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and not 0 < value <= _MOST_SECONDS:
        raise ValueError(f"{attribute.name.replace('_', '-')}: must be 1 to {_MOST_SECONDS}, not {value}")


def _at_least_one(_: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"{attribute.name.replace('_', '-')}: must be 1 or more, not {value}")


@attrs.frozen(kw_only=True)
class TermsChange:
    """Terms that are given; None leaves one as it is. Times in seconds (RFC 3261 10.3 step 7)."""

    min_expires: Annotated[int | None, "shorter registrations are answered 423"] = attrs.field(
        default=None, validator=_seconds
    )
    default_expires: Annotated[int | None, "seconds for who asks for none"] = attrs.field(
        default=None, validator=_seconds
    )
    max_expires: Annotated[int | None, "longer registrations are shortened to it"] = attrs.field(
        default=None, validator=_seconds
    )
    max_contacts: Annotated[int | None, "contacts of one AOR"] = attrs.field(
        default=None, validator=_at_least_one
    )
    when_full: Annotated[Literal["refuse", "replace-oldest"] | None, "what a contact too many does"] = None
    third_party: Annotated[bool | None, "whether others than the owner may register"] = None
    drop_when_flow_lost: Annotated[bool | None, "whether a binding ends with its connection"] = None

    def __attrs_post_init__(self) -> None:
        given = [value for name in _EXPIRY if (value := getattr(self, name)) is not None]
        if given != sorted(given):
            raise ValueError("min-expires <= default-expires <= max-expires must hold")

    @classmethod
    def of(cls, table: object, where: str) -> TermsChange:
        """Read a table of TOML; names have hyphens. Raises ValueError that begins with ``where``."""
        if not isinstance(table, Mapping):
            raise ValueError(f"{where}: must be a table")
        given: dict[str, Any] = {}
        for name, value in table.items():
            field = str(name).replace("-", "_")
            if field not in _KINDS or name != field.replace("_", "-"):
                known = ", ".join(sorted(_KINDS)).replace("_", "-")
                raise ValueError(f"{where}: there is no {name!r}; known: {known}")
            kind, words = _KINDS[field]
            if type(value) is not kind or (kind is str and value not in _WHEN_FULL):
                raise ValueError(f"{where}: {name} must be {words}, not {value!r}")
            given[field] = value
        try:
            return cls(**given)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None

    def given(self) -> dict[str, Any]:
        """What is given, by the names of :class:`~sipframe.verdicts.Terms`."""
        return {name: value for name, value in attrs.asdict(self).items() if value is not None}


_WHEN_FULL: Final = ("refuse", "replace-oldest")
_KINDS: Final[Mapping[str, tuple[type, str]]] = MappingProxyType(
    {
        "min_expires": (int, "a whole number"),
        "default_expires": (int, "a whole number"),
        "max_expires": (int, "a whole number"),
        "max_contacts": (int, "a whole number"),
        "when_full": (str, " or ".join(_WHEN_FULL)),
        "third_party": (bool, "true or false"),
        "drop_when_flow_lost": (bool, "true or false"),
    }
)


class _Change:
    """A change at work. It remembers the last terms that it made, since they are nearly always the same."""

    __slots__ = ("_before", "_given", "_made")

    def __init__(self, change: TermsChange) -> None:
        self._given = change.given()
        self._before: Terms | None = None
        self._made: Terms | None = None

    def __bool__(self) -> bool:
        return bool(self._given)

    def applied(self, terms: Terms) -> Terms:
        if terms is self._before and self._made is not None:
            return self._made
        made = terms._replace(**self._given)
        low, middle, high = made.min_expires, made.default_expires, made.max_expires
        if "min_expires" in self._given:
            middle, high = max(middle, low), max(high, low)
        if "max_expires" in self._given:
            low, middle = min(low, high), min(middle, high)
        if "default_expires" in self._given:
            low, high = min(low, middle), max(high, middle)
        made = made._replace(min_expires=low, default_expires=middle, max_expires=high)
        self._before, self._made = terms, made
        return made


class RegistrationTerms(BasePolicy):
    """Gives ``change`` to those of ``domain`` and ``user``, and more to those in the tables.

    ``domain`` are domains that are served, or their aliases; ``user`` are AORs (``bob@example.com``). The tables have
    the same as keys. ``served`` knows them; without it every domain will do. Raises ValueError.
    """

    def __init__(
        self,
        change: TermsChange | None = None,
        *,
        domain: tuple[str, ...] = (),
        user: tuple[str, ...] = (),
        domains: Mapping[str, Any] | None = None,
        users: Mapping[str, Any] | None = None,
        served: Domains | None = None,
    ) -> None:
        self._served = served
        self._change = _Change(TermsChange() if change is None else change)
        self._domain = frozenset([self._domain_of(name) for name in domain])
        self._user = frozenset([self._aor_of(name) for name in user])
        self._domains = {
            self._domain_of(name): _Change(TermsChange.of(table, f"domains.{name}"))
            for name, table in (domains or {}).items()
        }
        self._users = {
            self._aor_of(name): _Change(TermsChange.of(table, f"users.{name}"))
            for name, table in (users or {}).items()
        }
        if not (self._change or self._domains or self._users):
            raise ValueError(f"no terms are given: {', '.join(_KINDS).replace('_', '-')}, domains or users")

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> Terms:
        """The terms for ``aor``."""
        domain = aor.rpartition("@")[2].strip("[]")
        if (not self._domain or domain in self._domain) and (not self._user or aor in self._user):
            terms = self._change.applied(terms)
        change = self._domains.get(domain)
        if change is not None:
            terms = change.applied(terms)
        change = self._users.get(aor)
        return terms if change is None else change.applied(terms)

    def _domain_of(self, name: str) -> str:
        if self._served is None:
            return name.strip("[]").rstrip(".").lower()
        found = self._served.domain_of(name)
        if found is None:
            raise ValueError(f"{name} is no domain that is served, nor an alias of one")
        return found

    def _aor_of(self, name: str) -> str:
        try:
            uri = parse_uri(name if name.startswith(("sip:", "sips:")) else f"sip:{name}")
        except MessageError:
            uri = None
        if not isinstance(uri, SipURI) or uri.user is None:
            raise ValueError(f"{name!r} is no user; write bob@example.com")
        aor = (self._served or Domains((uri.host,))).aor_of(uri)
        if aor is None:
            raise ValueError(f"{name!r}: {uri.host} is no domain that is served, nor an alias of one")
        return aor
