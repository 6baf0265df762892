"""UA instances: which bindings of an AOR are one device (RFC 5626 4.1, 7; RFC 5627 6.1).

Rules: a binding keeps the value of ``+sip.instance`` as it came. Two of them are compared here and nowhere else, by the
URN in them: RFC 4122 3 for UUIDs, RFC 2141 5 for the rest. What is no URN is compared letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from sipframe.verdicts import Binding

__all__ = ["by_instance", "instance_of", "newest_first"]

_REMEMBERED_LENGTH: Final = 128
_ESCAPED: Final = re.compile(r"%[0-9A-Fa-f]{2}")


def instance_of(value: str | None) -> str | None:
    """The instance ID in the value of ``+sip.instance``, quotes taken off, in the form that equals all its others.

    None when there is none: no value, or an empty one. It may be an instance ID already.
    """
    if not value:
        return None
    return _remembered(value) if len(value) <= _REMEMBERED_LENGTH else _instance_of(value)


def _instance_of(value: str) -> str | None:
    text = value.strip()
    if text[:1] == "<" and text[-1:] == ">":
        text = text[1:-1].strip()  # RFC 5626 4.1: the brackets make it a string; the URN is extracted
    start = text[:9].lower()
    if start == "urn:uuid:":
        return text.lower()  # RFC 4122 3
    if start[:4] == "urn:":
        namespace, colon, rest = text[4:].partition(":")
        rest = _ESCAPED.sub(lambda escape: escape.group().lower(), rest)
        return f"urn:{namespace.lower()}{colon}{rest}"  # RFC 2141 5
    return text or None


_remembered = lru_cache(maxsize=4096)(_instance_of)


def newest_first(bindings: Iterable[Binding]) -> tuple[Binding, ...]:
    """The one that was refreshed last stands first; of two that were at the same time, the later one in the list."""
    found = list(bindings)
    if len(found) > 1:
        found.reverse()
        found.sort(key=_age)
    return tuple(found)


def _age(binding: Binding) -> float:
    return -binding.registered_at


def by_instance(bindings: Iterable[Binding]) -> tuple[tuple[Binding, ...], ...]:
    """The bindings of one AOR, those of one device together, the newest of them first.

    A proxy asks one of each tuple at a time, and the next one of it only after 408 or 430 (RFC 5626 7, RFC 5627 6.1).
    A binding without an instance ID stands alone. The tuples come in the order of their first bindings.
    """
    found: dict[object, list[Binding]] = {}
    for position, binding in enumerate(bindings):
        found.setdefault(instance_of(binding.instance_id) or position, []).append(binding)
    return tuple([tuple(group) if len(group) == 1 else newest_first(group) for group in found.values()])
