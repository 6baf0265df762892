"""Every check there is, in the order in which they run.

To add one, write it into the module of its group: a coroutine function that gets a user agent, with a docstring of one
line, under :func:`~sipframe.checking.check.check`. It is found by being there.
"""

from __future__ import annotations

from typing import Final

from sipframe.checking import digest, registrations, requests, rfc3665, streams, tls
from sipframe.checking.check import Check
from sipframe.checking.torture import TORTURE

__all__ = ["CHECKS", "chosen"]

CHECKS: Final[tuple[Check, ...]] = (
    *[
        one
        for module in (rfc3665, registrations, requests, digest)
        for one in vars(module).values()
        if isinstance(one, Check)
    ],
    *TORTURE,
    *[one for module in (streams, tls) for one in vars(module).values() if isinstance(one, Check)],
)


def chosen(names: list[str]) -> tuple[Check, ...]:
    """The checks with these ids or groups, all for none. Raises ValueError for a name that there is not."""
    for name in names:
        if not any(name in (one.id, one.group) for one in CHECKS):
            raise ValueError(f"there is no check {name!a}; --list tells them all")
    return tuple([one for one in CHECKS if not names or one.id in names or one.group in names])
